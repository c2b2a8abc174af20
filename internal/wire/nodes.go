package wire

// Nodes is the list of the nodes of a cluster. N is bctrl.Node, which this package cannot
// import.
type Nodes[N any] struct {
	Nodes []N `json:"nodes"`
}
