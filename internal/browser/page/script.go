package page

import (
	"context"
	"errors"
	"fmt"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/runtime"

	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// The functions below run in an isolated world, where scripts of the page can change
// nothing. But an element that is named like a property of document or of its form
// (<input name=action>) shadows it, in every world. So the properties of those two
// are only read through the prototypes.
const (
	jsSize = `function () {
	return {
		elements: Document.prototype.getElementsByTagName.call(document, '*').length,
		scrolled: window.scrollY,
		height: (Object.getOwnPropertyDescriptor(Document.prototype, 'documentElement').get.call(document) || {})
			.scrollHeight || 0,
		viewWidth: innerWidth,
		viewHeight: innerHeight,
	};
}`

	jsConnected = `function () { return this.isConnected; }`

	// jsInView returns the elements at points of the viewport, in the order of
	// the document. Looking up one point of a huge document can take 20 ms.
	jsInView = `function (limit) {
	const seen = new Set(), until = performance.now() + 1500;
	for (const share of [.02, .5, .2, .8, .35, .65, .95])
		for (let y = 8; y < innerHeight && seen.size < limit && performance.now() < until; y += 16) {
			const el = Document.prototype.elementFromPoint.call(document, innerWidth * share, y);
			if (el && el !== document.documentElement && el.localName !== 'body') seen.add(el);
		}
	return [...seen].sort((a, b) => a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1);
}`

	// jsQuiet resolves once the document has not changed for a while. Places that tick, as a
	// clock does or a chart, are left out: those that have changed over and over for three
	// times as long, while nothing else changed and nothing came to them. A drawing is one place.
	jsQuiet = `function (quiet, max) {
	const ticking = globalThis.bctrlTicking ??= new WeakSet();
	return new Promise(resolve => {
		let timer, fresh = performance.now();
		const changed = new Set(), again = new Map();
		const done = still => { observer.disconnect(); clearTimeout(timer); clearTimeout(end); resolve(still); };
		const drawn = m => m.target instanceof SVGElement;
		const place = m => drawn(m) && m.target.ownerSVGElement || m.target;
		const grows = m => !drawn(m) && m.addedNodes.length > m.removedNodes.length;
		const observer = new MutationObserver(all => {
			all = all.filter(m => grows(m) || !ticking.has(place(m)));
			if (!all.length) return;
			clearTimeout(timer);
			timer = setTimeout(done, quiet, true);
			if (all.some(m => grows(m) || !changed.has(place(m)))) {
				fresh = performance.now();
				again.clear();
			}
			for (const at of new Set(all.map(place))) {
				changed.add(at);
				again.set(at, (again.get(at) || 0) + 1);
			}
			if (performance.now() - fresh <= 3 * quiet) return;
			for (const [at, times] of again) if (times > 2) ticking.add(at);
			done(true);
		});
		observer.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
		timer = setTimeout(done, quiet, true);
		const end = setTimeout(done, max, false);
	});
}`
)

// errScript is the error of a function of ours that threw, because the element or the
// document changed while it ran.
var errScript = errors.New("the page changed meanwhile")

// codeServerError is the code of the protocol for a command that could not be carried out
// although it was written as it has to be.
const codeServerError = -32000

// scriptCall is the part of Runtime.callFunctionOn that is used here. The
// generated type leaves out arguments that are "" or [].
type scriptCall struct {
	Function  string                     `json:"functionDeclaration"`
	Object    runtime.RemoteObjectID     `json:"objectId,omitzero"`
	World     runtime.ExecutionContextID `json:"executionContextId,omitzero"`
	Arguments []scriptArgument           `json:"arguments"`
	Group     string                     `json:"objectGroup,omitzero"`
	ByValue   bool                       `json:"returnByValue"`
	Gesture   bool                       `json:"userGesture"`
	Silent    bool                       `json:"silent"`
	Await     bool                       `json:"awaitPromise"`
}

type scriptArgument struct {
	Object runtime.RemoteObjectID `json:"objectId,omitzero"`
	Value  jsonv2.Value           `json:"value,omitzero"`
}

func scriptArguments(args []any) ([]scriptArgument, error) {
	out := make([]scriptArgument, len(args))
	for i, arg := range args {
		if n, ok := arg.(*node); ok {
			out[i].Object = n.object
			continue
		}
		raw, err := jsonv2.Marshal(arg, protocol.PageText())
		if err != nil {
			return nil, fmt.Errorf("encoding an argument: %w", err)
		}
		out[i].Value = raw
	}
	return out, nil
}

// callFunction calls fn in an isolated world and returns what it returned, by value
// unless the caller wants the object.
func callFunction(ctx context.Context, s *session, call scriptCall, args []any) (*runtime.RemoteObject, error) {
	var err error
	if call.Arguments, err = scriptArguments(args); err != nil {
		return nil, err
	}
	call.Silent, call.Await = true, true
	var got runtime.CallFunctionOnResult
	if err := s.Call(ctx, runtime.CallFunctionOn.Method, call, &got); err != nil {
		if refused, ok := errors.AsType[*cdproto.Error](err); ok && refused.Code == codeServerError {
			return nil, errScript // the world that it was to run in is gone, and the document with it
		}
		return nil, err
	}
	if got.ExceptionDetails != nil || got.Result == nil {
		return nil, errScript // what was thrown may hold text of the page
	}
	return got.Result, nil
}

// evaluate calls fn in the world w of a frame and decodes what it returned.
func evaluate(ctx context.Context, f *frame, w runtime.ExecutionContextID, result any, fn string, args ...any) error {
	got, err := callFunction(ctx, f.session, scriptCall{Function: fn, World: w, ByValue: true}, args)
	if err != nil {
		return err
	}
	return decodeResult(got, result)
}

// callOn calls fn on the node and decodes what it returned.
func (n *node) callOn(ctx context.Context, result any, fn string, args ...any) error {
	got, err := callFunction(ctx, n.frame.session, scriptCall{
		Function: fn,
		Object:   n.object,
		ByValue:  true,
		Gesture:  true,
	}, args)
	if err != nil {
		return err
	}
	return decodeResult(got, result)
}

func decodeResult(got *runtime.RemoteObject, result any) error {
	if result == nil {
		return nil
	}
	if len(got.Value) == 0 {
		return errScript
	}
	if err := decode(got.Value, result); err != nil {
		return errScript
	}
	return nil
}

// evaluateNodes calls fn, which returns an array of nodes, and returns their
// objects, at most limit.
func evaluateNodes(ctx context.Context, f *frame, w runtime.ExecutionContextID, group, fn string,
	limit int) ([]runtime.RemoteObjectID, error) {
	got, err := callFunction(ctx, f.session, scriptCall{Function: fn, World: w, Group: group}, []any{limit})
	if err != nil {
		return nil, err
	}
	return elementsOf(ctx, f.session, got.ObjectID, limit)
}

// elementsOf returns the nodes in an array, at most limit.
func elementsOf(ctx context.Context, s *session, array runtime.RemoteObjectID,
	limit int) ([]runtime.RemoteObjectID, error) {
	own := true
	list, err := protocol.Call(ctx, s, runtime.GetProperties, runtime.GetPropertiesParams{
		ObjectID:      array,
		OwnProperties: &own,
	})
	if err != nil {
		return nil, err
	}
	var out []runtime.RemoteObjectID
	for _, p := range list.Result {
		if p.Value != nil && p.Value.Subtype == runtime.RemoteObjectSubtypeNode && len(out) < limit {
			out = append(out, p.Value.ObjectID)
		}
	}
	return out, nil
}

// backendOf returns the id of a node that stays valid when the object is released.
func backendOf(ctx context.Context, s *session, object runtime.RemoteObjectID) (cdp.BackendNodeID, error) {
	got, err := protocol.Call(ctx, s, dom.DescribeNode, dom.DescribeNodeParams{ObjectID: object})
	if err != nil {
		return 0, err
	}
	return got.Node.BackendNodeID, nil
}

// decode decodes what the browser sent.
func decode(data []byte, into any) error {
	return jsonv2.Unmarshal(data, into, protocol.PageText())
}
