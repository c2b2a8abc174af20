package page

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl/internal/browser/fill"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// frame is one document in the browser's own frame tree.
type frame struct {
	id, parent cdp.FrameID
	loader     cdp.LoaderID
	// origin is "scheme://host[:port]"; empty for an opaque one (a sandboxed
	// frame, a data: URL).
	origin  string
	url     string
	session *session
	top     *frame // of the tab

	pixelsMu sync.Mutex
	pixels   float64 // see devicePixels; 0 where they are not known yet
}

// document names the document of the frame.
func (f *frame) document() protocol.Document { return protocol.Document{Frame: f.id, Loader: f.loader} }

// element names an element of the document.
func (f *frame) element(backend cdp.BackendNodeID) protocol.Element {
	return protocol.Element{Document: f.document(), Backend: backend}
}

// frameTree holds the frames of a tab at one moment.
type frameTree struct {
	top   *frame
	byID  map[cdp.FrameID]*frame
	order []*frame // parents before children
}

// has reports whether a frame shows a document.
func (t *frameTree) has(d protocol.Document) bool {
	f := t.byID[d.Frame]
	return f != nil && f.loader == d.Loader
}

// frameTree asks the tab and the processes of its frames for their documents.
// A process that does not answer in time is left out with its frames.
func (t *tab) frameTree(ctx context.Context) (*frameTree, error) {
	t.mu.Lock()
	others := append([]*session(nil), t.frames...)
	t.mu.Unlock()
	parts := make([]*page.FrameTree, len(others))
	var each sync.WaitGroup
	for i, session := range others {
		each.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, frameTimeout)
			defer cancel()
			if got, err := protocol.Call(ctx, session, page.GetFrameTree, cdp.Empty{}); err == nil {
				parts[i] = got.FrameTree
			}
		})
	}
	got, err := protocol.Call(ctx, t.session, page.GetFrameTree, cdp.Empty{})
	each.Wait()
	if err != nil {
		return nil, fmt.Errorf("reading the frames: %w", err)
	}
	tree := &frameTree{byID: map[cdp.FrameID]*frame{}}
	tree.add(got.FrameTree, t.session)
	for i, part := range parts {
		tree.add(part, others[i])
	}
	tree.top = tree.byID[cdp.FrameID(t.session.targetID)]
	if tree.top == nil && len(tree.order) > 0 {
		tree.top = tree.order[0]
	}
	if tree.top == nil {
		return nil, protocol.ErrGone
	}
	for _, f := range tree.order {
		f.top = tree.top
	}
	return tree, nil
}

func (t *frameTree) add(part *page.FrameTree, session *session) {
	if part == nil || part.Frame == nil {
		return
	}
	f := &frame{
		id:      part.Frame.ID,
		parent:  part.Frame.ParentID,
		loader:  part.Frame.LoaderID,
		origin:  fill.CanonicalOrigin(part.Frame.SecurityOrigin),
		url:     part.Frame.URL + part.Frame.URLFragment,
		session: session,
	}
	if t.byID[f.id] == nil {
		t.byID[f.id] = f
		t.order = append(t.order, f)
	}
	for _, child := range part.ChildFrames {
		t.add(child, session)
	}
}

// processRoot returns the uppermost frame around f of f's process.
func (t *frameTree) processRoot(f *frame) *frame {
	for up := t.byID[f.parent]; up != nil && up.session == f.session; up = t.byID[f.parent] {
		f = up
	}
	return f
}

// zoomInTab returns how many CSS pixels of the tab one of the frame's is long. It is not 1 in
// a frame on which, or around which, a page uses the property zoom: the browser measures what
// is in such a frame in the frame's own pixels.
func (f *frame) zoomInTab(ctx context.Context) (float64, error) {
	if f == f.top {
		return 1, nil
	}
	own, err := f.devicePixels(ctx)
	if err != nil {
		return 0, err
	}
	around, err := f.top.devicePixels(ctx)
	if err != nil {
		return 0, err
	}
	return own / around, nil
}

// devicePixels returns how many pixels of the screen one of the frame's CSS pixels is long,
// and asks for it once. Its errors do not say that something is not shown: see [isNotShown].
func (f *frame) devicePixels(ctx context.Context) (float64, error) {
	f.pixelsMu.Lock()
	defer f.pixelsMu.Unlock()
	if f.pixels > 0 {
		return f.pixels, nil
	}
	w, err := isolatedWorld(ctx, f)
	if err == nil {
		err = evaluate(ctx, f, w, &f.pixels, `function () { return devicePixelRatio; }`)
	}
	if _, refused := errors.AsType[*cdproto.Error](err); refused || err == nil && f.pixels <= 0 {
		err = errScript
	}
	return f.pixels, err
}

// isNotShown reports whether the browser itself has said, where it was asked for the place of
// something, that this has none, or whether what it was in has ended.
func isNotShown(err error) bool {
	_, refused := errors.AsType[*cdproto.Error](err)
	return refused || errors.Is(err, protocol.ErrGone)
}

// ancestors returns f and every frame above it up to the top; nil when the
// tree does not lead there.
func (t *frameTree) ancestors(f *frame) []*frame {
	var chain []*frame
	for f != nil && len(chain) <= len(t.order) {
		chain = append(chain, f)
		if f == t.top {
			return chain
		}
		f = t.byID[f.parent]
	}
	return nil
}

// info asks the browser process about the tab: unlike the process that renders the
// page, no page can have taken it over.
func (t *tab) info(ctx context.Context) (*target.Info, error) {
	root := t.set.conn.Root()
	got, err := protocol.Call(ctx, root, target.GetTargetInfo, target.GetTargetInfoParams{TargetID: t.session.targetID})
	if err != nil {
		return nil, fmt.Errorf("reading the tab's address: %w", err)
	}
	if got.TargetInfo == nil {
		return nil, protocol.ErrGone
	}
	return got.TargetInfo, nil
}

// isolatedWorld returns an execution context that shares the document with the page,
// but neither its objects nor its prototypes: no script of the page runs there.
func isolatedWorld(ctx context.Context, f *frame) (runtime.ExecutionContextID, error) {
	got, err := protocol.Call(ctx, f.session, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{
		FrameID:   f.id,
		WorldName: f.session.world,
	})
	switch _, refused := errors.AsType[*cdproto.Error](err); {
	case refused:
		return 0, errScript // there is no such frame any more
	case err != nil:
		return 0, fmt.Errorf("entering the document: %w", err)
	}
	return got.ExecutionContextID, nil
}
