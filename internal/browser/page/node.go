package page

import (
	"context"
	"strconv"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/runtime"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// node is an element in a document, held in an isolated world until release.
type node struct {
	ref     browser.Ref
	frame   *frame
	world   runtime.ExecutionContextID
	object  runtime.RemoteObjectID
	backend cdp.BackendNodeID
	group   string
}

func (t *tab) node(ctx context.Context, f *frame, backend cdp.BackendNodeID) (*node, error) {
	w, err := isolatedWorld(ctx, f)
	if err != nil {
		return nil, err
	}
	return t.nodeIn(ctx, f, w, backend)
}

// nodeIn is node in a world that is there already.
func (t *tab) nodeIn(ctx context.Context, f *frame, w runtime.ExecutionContextID,
	backend cdp.BackendNodeID) (*node, error) {
	n := &node{
		frame:   f,
		world:   w,
		backend: backend,
		group:   t.set.objectGroup(),
	}
	got, err := protocol.Call(ctx, f.session, dom.ResolveNode, dom.ResolveNodeParams{
		BackendNodeID:      backend,
		ExecutionContextID: w,
		ObjectGroup:        n.group,
	})
	if err != nil {
		return nil, err
	}
	n.object = got.Object.ObjectID
	return n, nil
}

// release lets the page collect the node; it does not wait for a page that may
// hang.
func (n *node) release() { releaseGroup(n.frame.session, n.group) }

func releaseGroup(s *session, group string) {
	_, _ = s.Post(context.Background(), runtime.ReleaseObjectGroup.Method,
		runtime.ReleaseObjectGroupParams{ObjectGroup: group})
}

// objectGroup names the objects of one action, to release them together.
func (s *Set) objectGroup() string { return "bctrl-" + strconv.FormatInt(s.groups.Add(1), 10) }

// key names the node for as long as its document lives.
func (n *node) key() protocol.Element { return n.frame.element(n.backend) }

// beside returns the node of an object in the same document, which is released with n and
// goes by its reference.
func (n *node) beside(ctx context.Context, object runtime.RemoteObjectID) (*node, error) {
	backend, err := backendOf(ctx, n.frame.session, object)
	if err != nil {
		return nil, err
	}
	return &node{
		ref:     n.ref,
		frame:   n.frame,
		world:   n.world,
		object:  object,
		backend: backend,
		group:   n.group,
	}, nil
}

// related returns the element that fn finds for a node, nil when it finds none. It goes
// by the node's reference, and is released by itself.
func (t *tab) related(ctx context.Context, n *node, fn string, args ...any) (*node, error) {
	s, group := n.frame.session, t.set.objectGroup()
	got, err := callFunction(ctx, s, scriptCall{
		Function: fn,
		Object:   n.object,
		Group:    group,
		Gesture:  true,
	}, args)
	if err != nil {
		return nil, err
	}
	if got.Subtype != runtime.RemoteObjectSubtypeNode {
		releaseGroup(s, group)
		return nil, nil
	}
	backend, err := backendOf(ctx, s, got.ObjectID)
	if err != nil {
		return nil, err
	}
	return &node{
		ref:     n.ref,
		frame:   n.frame,
		world:   n.world,
		object:  got.ObjectID,
		backend: backend,
		group:   group,
	}, nil
}
