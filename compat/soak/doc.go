// Package soak proves a cluster with what goes wrong in one: three processes of `bctrl serve`
// over a PostgreSQL, an S3 server and a provider of the test's own, with Toxiproxy on every way
// between them. While callers write, read, call, launch, lower and revoke, a scenario kills
// nodes and the database, pauses nodes, and cuts or slows down what is between them. Then
// everything that was acknowledged has to be there, the audit log whole, and nothing left over.
//
// The scenario is drawn from a seed, which is printed; when things happen inside the processes is
// not. `make soak` has 200 kills of nodes and 50 of the database; `go test ./soak` a few of both, in
// a minute.
//
//	BCTRL_SOAK=full      the long run
//	BCTRL_SOAK_SEED=n    the scenario of a run before
//
// It is in this module, and not in the root, so that nobody who uses bctrl gets Toxiproxy.
package soak
