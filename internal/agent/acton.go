package agent

import (
	"context"
	"net/url"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
)

const (
	// handleVersion begins every handle; fingerprintBytes is how much it keeps of a
	// digest.
	handleVersion    = "h1"
	fingerprintBytes = 16
	maxHandle        = 200
	maxMethodArgs    = 20
)

// handle names an element on the page as it is now: its reference, and digests of the
// page's address and of what the element is. A digest of either that has changed tells
// that the page is no longer the one that was observed.
func (r *run) handle(e browser.Element) string {
	return strings.Join([]string{handleVersion, string(e.Ref), r.fingerprint(e)}, ".")
}

// fingerprint leaves out the element's index: the reference names it, and another one
// before it does not make it another.
func (r *run) fingerprint(e browser.Element) string {
	what := r.elementDescription(e)
	what.Index = 0
	text := documentOf(r.pageURL) + "\x00" + encodeObject(what)
	return digest(text)[:2*fingerprintBytes]
}

// documentOf is the address of a document without what scripts change in passing.
func documentOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}

// CheckObserved refuses what [Observe] does not give.
func CheckObserved(o bctrl.Observed) error {
	m, known := methodOf(o.Method)
	if !known {
		e := invalid("agent.invalid_observed", "method", "nothing that was observed has this method")
		e.Hint = "it is one of " + methodNames()
		return e
	}
	if len(o.Arguments) > maxMethodArgs {
		return invalid("agent.invalid_observed", "arguments", "there are too many arguments")
	}
	if why := m.refuses(o.Arguments); why != "" {
		return invalid("agent.invalid_observed", "arguments", why)
	}
	if _, ok := parseHandle(o.Handle); !ok {
		return invalid("agent.invalid_observed", "handle", "this is no handle that observing gives")
	}
	return nil
}

// parsedHandle is what a handle names.
type parsedHandle struct {
	ref         browser.Ref
	fingerprint string
}

func parseHandle(text string) (h parsedHandle, ok bool) {
	parts := strings.Split(text, ".")
	if len(text) > maxHandle || len(parts) != 3 || parts[0] != handleVersion || parts[1] == "" ||
		len(parts[2]) != 2*fingerprintBytes {
		return h, false
	}
	return parsedHandle{browser.Ref(parts[1]), parts[2]}, true
}

// ActOn does what was observed, without asking a model, through the same tool and checks
// as a model would. An element that is gone, or has become another, is refused with
// "page.changed", and nothing is done.
func ActOn(ctx context.Context, deps Deps, o bctrl.Observed) (*bctrl.ActResult, error) {
	if err := CheckObserved(o); err != nil {
		return nil, err
	}
	r := newRun(deps, onePage(bctrl.VisionOff))
	err := r.onOnePage(ctx, func(ctx context.Context) error { return r.actOn(ctx, o) })
	return r.actResult(), err
}

func (r *run) actOn(ctx context.Context, o bctrl.Observed) error {
	if err := r.listLogins(ctx); err != nil {
		return err
	}
	for {
		again, err := r.actOnOnce(ctx, o)
		if err != nil || !again {
			return err
		}
	}
}

// actOnOnce does what was observed, or reports that it has to be looked for again, since a person
// has worked in the browser.
func (r *run) actOnOnce(ctx context.Context, o bctrl.Observed) (again bool, err error) {
	if _, err := r.observe(ctx); err != nil {
		return false, err
	}
	h, _ := parseHandle(o.Handle)
	e, there := r.elements[h.ref]
	if !there || r.fingerprint(e) != h.fingerprint {
		return false, browser.Conflict("page.changed", "the element is gone, or has become another",
			"observe the page again")
	}
	m, _ := methodOf(o.Method)
	call, err := m.call(e.Ref, o.Arguments)
	if err != nil {
		return false, err
	}
	rec := r.beginRecord(ctx)
	out, err := r.runCall(ctx, call)
	if err == nil {
		r.result.Success, r.result.Message = !out.failed, out.text
		r.refreshURL(ctx, out.mayHaveChanged)
	}
	if errRecord := r.endRecord(ctx, rec, nil, err != nil); err == nil {
		err = errRecord
	}
	return out.code == browser.CodePersonWorked, err
}
