package runtimes

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"sync"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/egress"
	"github.com/bctrl-go/bctrl/internal/scrub"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// maxRefusedHosts bounds how many hosts of a runtime are recorded as refused. A page
// can ask for any number of them.
const maxRefusedHosts = 1000

// hosts is what the browser of a live runtime may speak to, beside what the mounts of
// the workspace and the runtime say.
//
// A browser does not tell for whom it loads what. So mounts of hosts that are
// declared below the runtime, by a token, a handle, an execution or a step, bound
// the whole browser for as long as their execution runs or their client is
// connected.
type hosts struct {
	mu      sync.Mutex
	limits  map[*bctrl.Chain]struct{}
	refused refusedHosts
	total   int
	// spoken are the hosts that the browser has spoken to or shown, for its recording, and
	// crowded is set where there were more than maxSpokenHosts.
	spoken  map[string]struct{}
	crowded bool
}

// maxSpokenHosts bounds how many hosts are remembered of a recording.
const maxSpokenHosts = 1000

// noteSpoken notes a host of which something may be in the recording.
func (h *hosts) noteSpoken(host string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, known := h.spoken[host]; known || h.crowded {
		return
	}
	if h.crowded = len(h.spoken) == maxSpokenHosts; h.crowded {
		return
	}
	if h.spoken == nil {
		h.spoken = map[string]struct{}{}
	}
	h.spoken[host] = struct{}{}
}

// covered reports whether every level permits all hosts of which something may be in the
// recording.
func (h *hosts) covered(chain bctrl.Chain) bool {
	if !limitsHosts(chain) {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for host := range h.spoken {
		if !mayVisit(chain, host) {
			return false
		}
	}
	return !h.crowded
}

// refusedHosts counts what was asked of each host, up to maxRefusedHosts of them.
type refusedHosts map[string]int

// count counts a request that was refused. It reports whether it was the first to its
// host.
func (r *refusedHosts) count(host string) (first bool) {
	if *r == nil {
		*r = refusedHosts{}
	}
	if (*r)[host] == 0 && len(*r) == maxRefusedHosts {
		return false
	}
	(*r)[host]++
	return (*r)[host] == 1
}

// limit bounds the browser by levels that were declared below the runtime.
func (h *hosts) limit(levels bctrl.Chain) (release func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.limits == nil {
		h.limits = map[*bctrl.Chain]struct{}{}
	}
	h.limits[&levels] = struct{}{}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.limits, &levels)
	}
}

// permit reports whether the browser may speak to a host, under the mounts of the
// workspace and the runtime.
func (h *hosts) permit(chain bctrl.Chain, host string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for levels := range h.limits {
		if !mayVisit(append(slices.Clip(chain), *levels...), host) {
			return false
		}
	}
	return mayVisit(chain, host)
}

// mayVisit reports whether every level permits a host. Where none says anything of
// hosts it may be any text that a browser takes for one, also a name that no
// pattern could be written for, with an underscore or a dot at its end.
func mayVisit(chain bctrl.Chain, host string) bool {
	return !limitsHosts(chain) || chain.Allows(bctrl.Action{Verb: bctrl.VisitHost, Object: host})
}

// mayShow reports whether every level permits the host of an address. One without a host
// is of no site, and of what is no address the browser says what is wrong with it.
func mayShow(chain bctrl.Chain, address string) bool {
	u, err := url.Parse(address)
	return err != nil || u.Hostname() == "" || mayVisit(chain, u.Hostname())
}

func limitsHosts(levels []bctrl.Mounts) bool {
	return slices.ContainsFunc(levels, func(m bctrl.Mounts) bool { return m.Web != nil })
}

// countRefused counts a request that was refused. It reports whether it was the first
// to its host.
func (h *hosts) countRefused(host string) (first bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.total++
	return h.refused.count(host)
}

// refusedSoFar is how many requests were refused, and the hosts they were to, sorted.
func (h *hosts) refusedSoFar() (total int, to []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.total, slices.Sorted(maps.Keys(h.refused))
}

// gate lets the browser of a runtime speak to the hosts that are permitted at the
// moment, and ends what is open to one that no longer is before the change is
// acknowledged. The first refusal of each host is recorded.
func (s *Service) gate(lr *liveRuntime, rt store.Runtime, ws store.Workspace) egress.Gate {
	bounds := web.RuntimeOf(rt, ws)
	return func(ctx context.Context, host string, speak func(context.Context)) error {
		granted := &web.Grant{Caller: access.Caller{Org: lr.org, Runtime: bounds}}
		granted.Require(func(_ context.Context, _ store.Queries, c access.Caller) error {
			if !lr.hosts.permit(c.Runtime.Chain, host) {
				return errHostOutside(host)
			}
			return nil
		})
		opened := false
		err := s.WhileGranted(ctx, granted, func(ctx context.Context) error {
			opened = true
			if rt.Launch.Record {
				lr.hosts.noteSpoken(host)
			}
			speak(ctx)
			return nil
		})
		if err != nil && !opened && web.AsError(err).Code == browser.CodeHostOutside {
			if lr.secrets.HoldsFolded(host) { // a page has put what was filled into a name
				host = scrub.Mark
			}
			if lr.hosts.countRefused(host) {
				s.tell(lr, bctrl.HostRefusedEvent{Host: host})
				x := &execution{
					org:  lr.org,
					live: lr,
					ws:   ws,
					rt:   rt,
				}
				return s.recordRefusal(ctx, x, bctrl.VisitHost, host, errHostOutside(host))
			}
		}
		return err
	}
}

func errHostOutside(host string) *bctrl.Error {
	return web.WithHint(
		web.Forbidden(browser.CodeHostOutside, "the mounts do not permit the browser to speak to "+host),
		"mount it in the workspace, in web.allow, and keep it in every narrower level",
	)
}

// limitHosts holds the browser to the mounts of hosts that were declared below the
// runtime, until release. What is open to other hosts has ended when it returns.
func (s *Service) limitHosts(
	ctx context.Context, lr *liveRuntime, workspace string, below []bctrl.Mounts,
) (release func()) {
	if !limitsHosts(below) {
		return func() {}
	}
	release = lr.hosts.limit(below)
	s.RecheckUnderway(ctx, lr.org, workspace)
	return release
}

// checkVisit refuses an address whose host the mounts of the execution do not permit
// now, and records that.
func (p recordedPage) checkVisit(ctx context.Context, address string) error {
	c, err := p.s.currentCaller(ctx, p.x)
	if err != nil || mayShow(c.Runtime.Chain, address) {
		return err
	}
	host := p.hostOf(address)
	return p.s.recordRefusal(ctx, p.x, bctrl.VisitHost, host, errHostOutside(host))
}

// leaveOutside leaves the page in front where the mounts of the execution do not permit
// its host: it was opened when they did, or by a wider execution. It returns why.
func (p recordedPage) leaveOutside(ctx context.Context) (why error) {
	c, err := p.s.currentCaller(ctx, p.x)
	if err != nil || !limitsHosts(c.Runtime.Chain) {
		return err
	}
	tabs, err := p.Tabs(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(tabs, func(t browser.Tab) bool { return t.Active })
	if i < 0 {
		return nil
	}
	if why = p.checkVisit(ctx, tabs[i].URL); why == nil {
		return nil
	}
	if err := p.Page.Goto(ctx, "about:blank", ""); err != nil {
		return err
	}
	return why
}

// Observe implements [browser.Page].
func (p recordedPage) Observe(ctx context.Context) (*browser.Observation, error) {
	why := p.leaveOutside(ctx)
	if why != nil && web.AsError(why).Code != browser.CodeHostOutside {
		return nil, why
	}
	seen, err := p.Page.Observe(ctx)
	if err == nil && why != nil {
		left := web.AsError(why)
		seen.Outline = "note: the page was left: " + left.Code + ": " + left.Message + "\n" + seen.Outline
	}
	return seen, err
}

// Screenshot implements [browser.Page].
func (p recordedPage) Screenshot(ctx context.Context, fullPage bool) ([]byte, error) {
	if err := p.leaveOutside(ctx); err != nil {
		return nil, err
	}
	return p.Page.Screenshot(ctx, fullPage)
}

// Picture implements [browser.Page].
func (p recordedPage) Picture(ctx context.Context, options browser.PictureOptions) (*browser.Picture, error) {
	if err := p.leaveOutside(ctx); err != nil {
		return nil, err
	}
	return p.Page.Picture(ctx, options)
}

// Read implements [browser.Page].
func (p recordedPage) Read(ctx context.Context, options browser.ReadOptions) (*browser.Reading, error) {
	if err := p.leaveOutside(ctx); err != nil {
		return nil, err
	}
	return p.Page.Read(ctx, options)
}
