package store

import "context"

// Offer is that of a launch which waits for room on one node, to another node.
type Offer struct {
	Org, Runtime string
	// Node has the runtime, and offers it.
	Node string
	// Number is that of the offer: 0 of a runtime's first, until [Tx.EndOffer].
	Number int64
}

// TakeOffer makes the runtime that is offered one of the node whose transaction it is. It is
// [ErrNotFound] where the other node has given the offer up, has lost its lease, or was asked to
// end the runtime. What was taken may be taken again by the same node.
func (tx *Tx) TakeOffer(ctx context.Context, o Offer) error {
	return tx.execChanging(ctx, "UPDATE runtime_nodes SET node_id = $1 WHERE org_id = $2 AND runtime_id = $3 AND "+
		"(node_id = $1 OR node_id = $4 AND offer = $5 AND NOT asked_to_end AND "+
		"EXISTS (SELECT 1 FROM nodes WHERE id = $4 AND "+tx.on.holdsLease()+"))", tx.node, o.Org, o.Runtime, o.Node, o.Number)
}

// EndOffer gives an offer of the node whose transaction it is up, so that nobody takes it later.
// It is [ErrNotFound] where somebody has. The next offer has the next number.
func (tx *Tx) EndOffer(ctx context.Context, o Offer) error {
	return tx.execChanging(ctx,
		"UPDATE runtime_nodes SET offer = $1 WHERE org_id = $2 AND runtime_id = $3 AND node_id = $4",
		o.Number+1, o.Org, o.Runtime, tx.node)
}
