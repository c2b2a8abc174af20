package bctrl

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// Runtime is a handle on one runtime. Everything through it is held to the
// runtime's mounts: what they do not permit is refused before a request is
// sent, and the server is told to hold each call to them too.
//
// A handle is safe for concurrent use: one goroutine may follow [Runtime.Events] while
// another stops the runtime. Status and Info alone are as last read: Refresh and Stop
// replace them, so who does not know that neither runs takes [Runtime.Latest].
type Runtime struct {
	ID     string
	Alias  string
	Driver Driver
	Status RuntimeStatus
	// Info is everything the server said of the runtime.
	Info RuntimeInfo

	// Vault, Storage and AI are limited to what the runtime may use.
	Vault   *RuntimeVault `json:"-"`
	Storage *Storage      `json:"-"`
	AI      *RuntimeAI    `json:"-"`
	// Capabilities calls providers with what the runtime may use.
	Capabilities *RuntimeCapabilities `json:"-"`
	// Stagehand is the agent, BrowserUse the same one with the options of another
	// library, Page the browser's page in front, Pages its tabs.
	Stagehand  *Stagehand    `json:"-"`
	BrowserUse *BrowserUse   `json:"-"`
	Page       *BrowserPage  `json:"-"`
	Pages      *BrowserPages `json:"-"`
	// Files puts files where the browser's pages can be given them.
	Files *RuntimeFiles `json:"-"`

	workspaceID string
	via         via
	limits      *limits
	// mu guards Status and Info.
	mu sync.Mutex
}

func newRuntime(via via, info RuntimeInfo, effective Mounts) *Runtime {
	return newHandle(via, info, info.Status, newLimits(info.ID, effective))
}

// newHandle is a handle on a runtime that is limited to s.
func newHandle(via via, info RuntimeInfo, status RuntimeStatus, s *limits) *Runtime {
	rt := &Runtime{
		ID:          info.ID,
		Alias:       info.Alias,
		Driver:      info.Driver,
		Status:      status,
		Info:        info,
		workspaceID: info.WorkspaceID,
		via:         via,
	}
	rt.limit(s)
	return rt
}

// Latest returns what was last read of the runtime, by whichever goroutine: Info, with
// Status in it. It sends nothing.
func (rt *Runtime) Latest() RuntimeInfo {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	info := rt.Info
	info.Status = rt.Status
	return info
}

func (rt *Runtime) show(info RuntimeInfo) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.Status, rt.Info = info.Status, info
}

// limit makes the services of a handle that is limited to s.
func (rt *Runtime) limit(s *limits) {
	rt.limits = s
	rt.Vault = &RuntimeVault{via: rt.via, limits: s}
	rt.Storage = &Storage{via: rt.via, limits: s}
	rt.AI = &RuntimeAI{via: rt.via, limits: s}
	rt.Capabilities = &RuntimeCapabilities{via: rt.via, limits: s}
	rt.Stagehand = &Stagehand{rt: rt}
	rt.BrowserUse = &BrowserUse{rt: rt}
	rt.Page = &BrowserPage{rt: rt}
	rt.Pages = &BrowserPages{rt: rt}
	rt.Files = &RuntimeFiles{rt: rt}
}

// Mounts returns what the runtime may use through this handle: the mounts of
// every level above it and of every [Runtime.Narrow], together. They are
// computed when the handle is made; a workspace that is lowered later lowers
// the server's answers at once and these with [Runtime.Refresh].
func (rt *Runtime) Mounts() Mounts { return rt.limits.mounts().clone() }

// Narrow returns a lower handle on the same runtime, and sends nothing. Every
// call through it carries the lower mounts, and the server enforces them.
// Mounts that widen are [ErrWidening], with a witness; those that would take more
// than 60 KiB of the header of each call are refused, too (mounts.too_long).
func (rt *Runtime) Narrow(m Mounts) (*Runtime, error) {
	lower, err := rt.limits.lower(m)
	if err == nil && len(lower.narrowed) > maxNarrowed {
		err = refusal(http.StatusBadRequest, "mounts.too_long", "mounts",
			"the mounts would take more than 60 KiB of the header of each request").
			hinted("name prefixes instead of keys, or narrow the runtime when it is launched")
	}
	if err != nil {
		return nil, err
	}
	info := rt.Latest()
	return newHandle(rt.via, info, info.Status, lower), nil
}

// Refresh reads the runtime's state again. A handle from [Runtime.Narrow]
// keeps its mounts; any other takes on what the server says is effective. A
// runtime that has ended says how in Status and in Info.
//
// Access: runtime.read
func (rt *Runtime) Refresh(ctx context.Context, opts ...CallOption) error {
	var info RuntimeInfo
	if err := callOfEnded(ctx, rt.via, rt.request(http.MethodGet, "", &info, opts)); err != nil {
		return err
	}
	if info.ID != rt.ID { // another runtime has the alias since
		rt.ended()
		return nil
	}
	rt.show(info)
	if rt.limits.narrowed == "" {
		rt.limits.effective.Store(&info.EffectiveMounts)
	}
	return nil
}

// Explain decides about an action against the mounts as they are on the server
// now, and says which entry of which level decided. Level 0 is the workspace, 1
// the runtime; below them come the levels of a token, if the caller is one, and
// what this handle narrowed, as one.
//
// Access: runtime.read
func (rt *Runtime) Explain(ctx context.Context, action Action, opts ...CallOption) (*Decision, error) {
	var out Decision
	return ptr(&out, rt.via().call(ctx, &request{
		method: http.MethodPost,
		path:   pathRuntime + "/explain",
		params: []string{rt.workspaceID, rt.Alias},
		as:     rt.limits,
		in:     action,
		out:    &out,
		safe:   true,
		opts:   opts,
	}))
}

// Stop ends the browser and waits until it is gone. Stopping a runtime that
// has stopped changes nothing.
//
// Access: runtime.stop
func (rt *Runtime) Stop(ctx context.Context, opts ...CallOption) error {
	var info RuntimeInfo
	err := rt.via().call(ctx, rt.request(http.MethodPost, "/stop", &info, opts))
	switch {
	case err == nil:
		rt.show(info)
	case hasEnded(err):
		rt.ended()
	default:
		return err
	}
	return nil
}

// ended notes an end of which no more is known.
func (rt *Runtime) ended() {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.Status != RuntimeFailed {
		rt.Status = RuntimeStopped
	}
}

// hasEnded reports whether a call failed because its runtime has ended.
func hasEnded(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Code == wire.CodeNotActive || e.Code == wire.CodeTokenEnded)
}

// callOfEnded sends a request that makes sense of a runtime that has ended,
// too. As that runtime nothing can be asked any more; the key itself may still
// read what became of it.
func callOfEnded(ctx context.Context, via via, r *request) error {
	ctx, cancel := bounded(ctx, r.opts)
	defer cancel()
	err := via().call(ctx, r)
	if r.as == nil || !hasEnded(err) {
		return err
	}
	plain := *r
	plain.as = nil
	return via().call(ctx, &plain)
}

func (rt *Runtime) request(method, suffix string, out any, opts []CallOption) *request {
	return &request{
		method: method,
		path:   pathRuntime + suffix,
		params: []string{rt.workspaceID, rt.Alias},
		as:     rt.limits,
		out:    out,
		opts:   opts,
	}
}
