package page

import (
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/domsnapshot"
	"github.com/stretchr/testify/require"
)

// TestABoardOfManyColumnsIsReadOnceThrough has a page with as many places to drag from as a
// hostile one may have. Comparing each with each would take longer than a test may.
func TestABoardOfManyColumnsIsReadOnceThrough(t *testing.T) {
	const columns = 200_000
	texts := []string{"BODY", "DIV", "P", "draggable", "true", "SECTION"}
	nodes, laid := &domsnapshot.NodeTreeSnapshot{}, &domsnapshot.LayoutTreeSnapshot{}
	add := func(name domsnapshot.StringIndex, parent int64, attributes ...int64) int64 {
		node := int64(len(nodes.NodeName))
		nodes.NodeName = append(nodes.NodeName, name)
		nodes.ParentIndex = append(nodes.ParentIndex, parent)
		nodes.BackendNodeID = append(nodes.BackendNodeID, cdp.BackendNodeID(node+1))
		nodes.Attributes = append(nodes.Attributes, attributes)
		laid.NodeIndex = append(laid.NodeIndex, node)
		return node
	}
	body := add(0, -1)
	for range columns {
		add(2, add(1, add(5, body)), 3, 4) // each in a place of its own
	}
	empty := add(1, body)
	read := newLayout()
	r := &layoutReader{
		layout: &read,
		part:   &domsnapshot.DocumentSnapshot{Nodes: nodes, Layout: laid},
		texts:  texts,
	}
	r.read()
	require.Len(t, read.draggable, columns)
	require.Len(t, read.takesDrops, columns)
	require.NotContains(t, read.takesDrops, nodes.BackendNodeID[empty], "it stands elsewhere")
}
