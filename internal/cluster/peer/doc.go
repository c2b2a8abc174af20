// Package peer is how the nodes of a cluster speak to each other: over TLS 1.3, with
// certificates on both sides that an authority has signed which only the holders of the
// cluster's key have.
//
// Who answers at the address of a node proves by its certificate that it is that node, of
// this cluster; who calls proves that it is a node of it. Nothing else is taken from a
// connection: a request that is passed on carries the authorization of its own caller, and
// the node that it comes to asks for that and decides as if the caller had come itself. It
// believes the other node about where the caller is, and by which name and scheme it
// reached the cluster.
package peer
