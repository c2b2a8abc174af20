package agent

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/origin"
)

// hostList says which hosts a task may be at. Its nil permits every one.
type hostList struct{ patterns []string }

// newHostList takes the host patterns of a call, which have been checked. Nil is no
// list, an empty one permits no host.
func newHostList(patterns []string) *hostList {
	if patterns == nil {
		return nil
	}
	l := &hostList{}
	for _, text := range patterns {
		if pattern, err := origin.ParseAllowedHost(text, nil); err == nil {
			l.patterns = append(l.patterns, pattern)
		}
	}
	return l
}

// permits reports whether a task may be at an address, which is of a document as the
// browser has it. A page without a site, blank or an error, is permitted: nothing is on it.
func (l *hostList) permits(address string) bool {
	if l == nil {
		return true
	}
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	switch u.Scheme {
	case "http", "https":
		host, port := u.Hostname(), cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
		return slices.ContainsFunc(l.patterns, func(p string) bool { return origin.MatchAllowedHost(p, host, port) })
	case "blob":
		return !strings.HasPrefix(u.Opaque, "blob:") && l.permits(u.Opaque)
	case "about":
		return u.Opaque == "blank"
	case "chrome-error", "":
		return true
	}
	return slices.Contains(l.patterns, origin.EveryHost)
}

const (
	// maxLeft bounds how many pages are left one after the other until the task is ended:
	// a browser has fewer tabs.
	maxLeft = 30
	// maxStrays bounds how many pages on their way elsewhere a result lists, and
	// maxToldStrays how many one view tells of: a page can try without end. The audit log
	// has them all.
	maxStrays     = 100
	maxToldStrays = 10
	// kindLeft is the kind of the action that a page has done by itself.
	kindLeft = "leave"

	codeHostNotAllowed = "agent.host_not_allowed"
)

// refusesAddress returns why a task may not open an address, or nil.
func (r *run) refusesAddress(address string) *bctrl.Error {
	if !mayOpen(address) {
		return browser.Forbidden("agent.address_refused",
			"only whole http and https addresses without user info can be opened", "")
	}
	if !r.set.hosts.permits(address) {
		return browser.Forbidden(codeHostNotAllowed, "this task may not be at that host", "")
	}
	return nil
}

// mayOpen reports whether a model may send the browser to an address at all.
func mayOpen(address string) bool {
	u, err := url.Parse(address)
	return err == nil && len(address) <= maxURL && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		u.User == nil
}

// refusedVisit records that a task may not open an address, and is the outcome of that.
// Its error ends the task: what cannot be recorded is not gone on with.
func (r *run) refusedVisit(ctx context.Context, kind, address string, refusal *bctrl.Error) (outcome, error) {
	r.progress(kind, withoutQuery(address))
	if err := r.recordVisit(ctx, address, refusal); err != nil {
		return outcome{}, err
	}
	o, err := r.afterAction(ctx, bctrl.ActAction{Kind: kind, Target: withoutQuery(address)}, refusal, "")
	o.mayHaveChanged = false
	return o, err
}

// recordVisit records a refusal, by the host of an address or, where it has none, its
// scheme. Its error is that it could not be.
func (r *run) recordVisit(ctx context.Context, address string, refusal *bctrl.Error) error {
	object := "unreadable"
	if u, err := url.Parse(address); err == nil {
		object = cmp.Or(strings.ToLower(u.Host), u.Scheme+":")
	}
	if err := r.deps.refused(ctx, bctrl.VisitHost, r.shortSafe(object), refusal); err != error(refusal) {
		return fmt.Errorf("record what was refused: %w", err)
	}
	return nil
}

// keepToHosts bounds where the browser goes for the time of the task. The function that it
// returns ends that, and records what was stopped until then.
func (r *run) keepToHosts(ctx context.Context) (release func(context.Context) error, err error) {
	if r.set.hosts == nil {
		return func(context.Context) error { return nil }, nil
	}
	page, err := r.deps.Page(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the page: %w", err)
	}
	r.bounds = page.KeepTo(r.set.hosts.permits)
	return func(ctx context.Context) error {
		r.bounds.Release()
		return r.recordStopped(ctx)
	}, nil
}

// recordStopped records where the browser has not let pages go.
func (r *run) recordStopped(ctx context.Context) error {
	for _, address := range r.bounds.Stopped() {
		if err := r.recordStray(ctx, address); err != nil {
			return err
		}
	}
	return nil
}

// recordStray records a page that was on its way to where the task may not be, and adds it
// to the actions of the result, as long as those are not too many.
func (r *run) recordStray(ctx context.Context, address string) error {
	refusal := browser.Forbidden(codeHostNotAllowed, "this task may not be at that host: the page was kept from there", "")
	if err := r.recordVisit(ctx, address, refusal); err != nil {
		return err
	}
	address = withoutQuery(address)
	if r.strays++; r.strays <= maxStrays {
		r.recordAction(bctrl.ActAction{Kind: kindLeft, Target: address}, refusal, "")
	}
	r.strayed = append(r.strayed, r.shortSafe(address))
	return nil
}

// noteStrayed says, once, which pages were on their way elsewhere since the last view.
func (r *run) noteStrayed() (note string) {
	told := min(len(r.strayed), maxToldStrays)
	for _, address := range r.strayed[:told] {
		note += "(a page was on its way to " + address + ", where this task may not be: it was kept from there)\n"
	}
	if more := len(r.strayed) - told; more > 0 {
		note += fmt.Sprintf("(and %d times more to such places)\n", more)
	}
	r.strayed = nil
	return note
}

// lookWithin reads what is in front, once every page is left that the task may not be at,
// and returns how many those were. The browser keeps pages from going there; what it shows
// all the same, as from its history or a service worker, is left. Each is recorded.
func (r *run) lookWithin(ctx context.Context) (seen *browser.Observation, left int, err error) {
	for {
		if seen, err = r.look(ctx); err != nil {
			return nil, left, err
		}
		if err := r.recordStopped(ctx); err != nil {
			return nil, left, err
		}
		if r.tabsBefore == nil {
			r.tabsBefore = make(map[browser.TabID]bool)
			for _, t := range seen.Tabs {
				r.tabsBefore[t.ID] = true
			}
		}
		address, leave := r.forbiddenPage(seen)
		if leave == nil {
			r.hideForbiddenTabs(seen)
			return seen, left, nil
		}
		if left++; left > maxLeft {
			return nil, left, browser.Forbidden(codeHostNotAllowed,
				"the browser comes back to hosts that the call does not allow, and could not be kept from there", "")
		}
		if err := r.recordStray(ctx, address); err != nil {
			return nil, left, err
		}
		if err := leave(browser.WithoutDialogs(ctx)); err != nil {
			return nil, left, fmt.Errorf("leave a page of a host that the task may not be at: %w", err)
		}
	}
}

// forbiddenPage returns a page that the task may not be at, and how it is left; nil for
// none. In front that is what the page has become. Behind, it is what pages of the task
// have opened: tabs that were there before belong to somebody else.
func (r *run) forbiddenPage(seen *browser.Observation) (address string, leave func(context.Context) error) {
	closes := func(id browser.TabID) func(context.Context) error {
		return func(ctx context.Context) error { return r.page.CloseTab(ctx, id) }
	}
	for _, t := range seen.Tabs {
		opened := !r.tabsBefore[t.ID]
		switch {
		case t.Active && opened && len(seen.Tabs) > 1 && !r.set.hosts.permits(seen.URL):
			return seen.URL, closes(t.ID)
		case !t.Active && opened && !r.set.hosts.permits(t.URL):
			return t.URL, closes(t.ID)
		}
	}
	if r.set.hosts.permits(seen.URL) {
		return "", nil
	}
	return seen.URL, func(ctx context.Context) error { return r.page.Goto(ctx, "about:blank", "") }
}

// hideForbiddenTabs takes out of the list of tabs what pages say that the task may not be
// at.
func (r *run) hideForbiddenTabs(seen *browser.Observation) {
	for i, t := range seen.Tabs {
		if !r.set.hosts.permits(t.URL) {
			seen.Tabs[i].URL, seen.Tabs[i].Title = originOf(t.URL), ""
		}
	}
}

// originOf is the scheme and the host of an address.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
