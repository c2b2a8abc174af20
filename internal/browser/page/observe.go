package page

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/runtime"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

const (
	// maxFrames is how many frames of a page are read, in document order.
	maxFrames = 40
	// maxElements is how many elements a document may hold to be read whole;
	// of a larger one only what is in view is read. Reading costs about 1 KiB
	// of memory an element.
	maxElements = 30_000
	// maxInView is how many elements are read of a document that is too large.
	maxInView = 200
	// maxReading bounds the time that takes.
	maxReading = 5 * time.Second
)

// axNode is the part of an accessibility node that an outline needs. The
// generated type decodes three times as much.
type axNode struct {
	ID         string            `json:"nodeId"`
	Ignored    bool              `json:"ignored"`
	Role       axValue           `json:"role"`
	Name       axValue           `json:"name"`
	Value      axValue           `json:"value"`
	Properties []axProperty      `json:"properties"`
	Children   []string          `json:"childIds"`
	Backend    cdp.BackendNodeID `json:"backendDOMNodeId"`
}

type axValue struct {
	Value axText `json:"value"`
}

type axProperty struct {
	Name  string  `json:"name"`
	Value axValue `json:"value"`
}

// axText is the text of a value of any JSON type.
type axText string

// UnmarshalJSON takes the text of a string, and of anything else its JSON.
func (t *axText) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var s string
		if err := decode(data, &s); err != nil {
			return err
		}
		*t = axText(s)
		return nil
	}
	*t = axText(data)
	return nil
}

func (n *axNode) property(name string) string {
	for _, p := range n.Properties {
		if p.Name == name {
			return string(p.Value.Value)
		}
	}
	return ""
}

// document is what was read of one frame.
type document struct {
	frame *frame
	// owner is the element of the parent document that holds the frame.
	owner cdp.BackendNodeID
	nodes map[string]*axNode
	root  *axNode
	layout
	scrolled float64 // how far, in CSS pixels
	height   float64 // of the document, in CSS pixels
	view     box     // the viewport's size
	partial  bool    // only what is in view was read
}

// documents are the documents of a page at one moment.
type documents struct {
	tree *frameTree
	top  *document
	// byOwner has the documents of frames, by their parent and the element there.
	byOwner map[cdp.FrameID]map[cdp.BackendNodeID]*document
}

// readDocuments reads the documents of all frames.
func (t *tab) readDocuments(ctx context.Context) (*documents, error) {
	tree, err := t.frameTree(ctx)
	if err != nil {
		return nil, err
	}
	frames := tree.order[:min(len(tree.order), maxFrames)]
	docs := make([]*document, len(frames))
	failures := make([]error, len(frames))
	var each sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i, f := range frames {
		each.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			docs[i], failures[i] = t.readDocument(ctx, tree, f)
		})
	}
	each.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("reading the page: %w", err)
	}
	readLayouts(ctx, docs)
	out := &documents{tree: tree, byOwner: map[cdp.FrameID]map[cdp.BackendNodeID]*document{}}
	for i, doc := range docs {
		if doc == nil {
			if frames[i] == tree.top {
				return nil, fmt.Errorf("reading the page: %w", failures[i])
			}
			continue
		}
		if doc.frame == tree.top {
			out.top = doc
			continue
		}
		if out.byOwner[doc.frame.parent] == nil {
			out.byOwner[doc.frame.parent] = map[cdp.BackendNodeID]*document{}
		}
		out.byOwner[doc.frame.parent][doc.owner] = doc
	}
	t.set.refs.prune(t, tree)
	t.pruneFilled(tree)
	return out, nil
}

// observe reads the page.
func (t *tab) observe(ctx context.Context) (*browser.Observation, error) {
	docs, err := t.readDocuments(ctx)
	if err != nil {
		return nil, err
	}
	info, err := t.info(ctx)
	if err != nil {
		return nil, err
	}
	out := newOutline(t, docs)
	t.noteUnsent(ctx)
	if note := t.challengeNote(); note != "" {
		out.line(0, -1, "note: "+note)
	}
	for _, note := range append(t.set.takeNotes(), t.takeNotes()...) {
		out.line(0, -1, "note: "+note)
	}
	out.document(docs.top, 0, point{})
	return out.observation(info.Title), nil
}

// readDocument reads the accessibility tree of one frame. A page is read without
// frames that fail, but for the top one.
func (t *tab) readDocument(ctx context.Context, tree *frameTree, f *frame) (*document, error) {
	if f.session != t.session {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 2*frameTimeout)
		defer cancel()
	}
	doc := &document{frame: f, layout: newLayout()}
	if f != tree.top {
		// A frame that is not shown in its parent is not part of the page.
		parent := tree.byID[f.parent]
		if parent == nil {
			return nil, protocol.ErrGone
		}
		owner, err := protocol.Call(ctx, parent.session, dom.GetFrameOwner, dom.GetFrameOwnerParams{FrameID: f.id})
		if err != nil {
			return nil, err
		}
		doc.owner = owner.BackendNodeID
	}
	w, err := isolatedWorld(ctx, f)
	if err != nil {
		return nil, err
	}
	var size struct {
		Elements float64 `json:"elements"`
		Scrolled float64 `json:"scrolled"`
		Height   float64 `json:"height"`
		Width    float64 `json:"viewWidth"`
		View     float64 `json:"viewHeight"`
	}
	if err := evaluate(ctx, f, w, &size, jsSize); err != nil {
		return nil, err
	}
	doc.scrolled, doc.height, doc.view = size.Scrolled, size.Height, box{right: size.Width, bottom: size.View}
	if size.Elements > maxElements {
		return doc, t.readInView(ctx, doc, w)
	}
	var got struct {
		Nodes []*axNode `json:"nodes"`
	}
	params := accessibility.GetFullAXTreeParams{FrameID: f.id}
	if err := f.session.Call(ctx, accessibility.GetFullAXTree.Method, params, &got); err != nil {
		return nil, err
	}
	doc.setNodes(got.Nodes)
	return doc, nil
}

func (d *document) setNodes(nodes []*axNode) {
	d.nodes = make(map[string]*axNode, len(nodes))
	for _, n := range nodes {
		d.nodes[n.ID] = n
	}
	if len(nodes) > 0 {
		d.root = nodes[0]
	}
}

// readInView reads a document that is too large by asking what is to be seen
// at points of the viewport: a flat list instead of a tree.
func (t *tab) readInView(ctx context.Context, d *document, w runtime.ExecutionContextID) error {
	d.partial = true
	group := t.set.objectGroup()
	defer releaseGroup(d.frame.session, group)
	root := &axNode{ID: "view", Role: axValue{"RootWebArea"}}
	nodes := []*axNode{root}
	limit, cancel := context.WithTimeout(ctx, maxReading)
	defer cancel()
	objects, err := evaluateNodes(limit, d.frame, w, group, jsInView, maxInView)
	if err != nil {
		d.setNodes(nodes) // the browser takes too long even for that: nothing is in view
		return ctx.Err()
	}
	// Unless enabled, the browser builds the whole tree anew for each answer.
	if err := protocol.Tell(ctx, d.frame.session, accessibility.Enable, cdp.Empty{}); err != nil {
		return err
	}
	defer func() {
		_, _ = d.frame.session.Post(context.WithoutCancel(ctx), accessibility.Disable.Method, nil)
	}()
	for _, object := range objects {
		var got struct {
			Nodes []*axNode `json:"nodes"`
		}
		no := false
		params := accessibility.GetPartialAXTreeParams{ObjectID: object, FetchRelatives: &no}
		if err := d.frame.session.Call(limit, accessibility.GetPartialAXTree.Method, params, &got); err != nil {
			continue // gone meanwhile, or the time is over
		}
		for _, n := range got.Nodes {
			n.ID = fmt.Sprintf("view-%d", len(nodes))
			n.Children = nil
			root.Children = append(root.Children, n.ID)
			nodes = append(nodes, n)
		}
	}
	d.setNodes(nodes)
	return ctx.Err()
}

// Observe reads the page. See [browser.Page].
func (s *Set) Observe(ctx context.Context) (*browser.Observation, error) {
	obs, err := s.observeFront(ctx)
	if err != nil {
		return nil, err
	}
	obs.Tabs, err = s.Tabs(ctx)
	return obs, err
}

func (s *Set) observeFront(ctx context.Context) (*browser.Observation, error) {
	for range maxHops {
		if browser.AnswersDialogs(ctx) {
			if obs, err := s.observeDialog(ctx); obs != nil || err != nil {
				return obs, err
			}
		}
		var obs *browser.Observation
		err := s.readTab(ctx, func(ctx context.Context, t *tab) error {
			return s.withTab(ctx, t, func(ctx context.Context, t *tab) (err error) {
				obs, err = t.observe(ctx)
				return err
			})
		})
		if !hasCode(err, browser.CodeDialogOpen) {
			return obs, err
		}
	}
	return nil, errDialogOpen
}

// withTab reads a tab, and reads again where the document was replaced meanwhile or
// the tab closed.
func (s *Set) withTab(ctx context.Context, t *tab, read func(context.Context, *tab) error) error {
	err := read(ctx, t)
	for range maxHops {
		if err == nil || ctx.Err() != nil {
			return err
		}
		if t, err = s.agentTab(ctx); err == nil {
			err = read(ctx, t)
		}
	}
	return err
}
