package agent

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
)

const (
	maxURL      = 2048
	maxWait     = 10 * time.Second
	maxDownload = 60 * time.Second
	// downloadPoll is how often a waiting task looks for a new file.
	downloadPoll = 100 * time.Millisecond
)

type navigate struct {
	URL string `json:"url"`
}

func (a navigate) do(ctx context.Context, r *run) (outcome, error) {
	if refusal := r.refusesAddress(a.URL); refusal != nil {
		return r.refusedVisit(ctx, "navigate", a.URL, refusal)
	}
	return r.moves(ctx, "navigate", withoutQuery(a.URL), "opened",
		func(ctx context.Context, p browser.Page) error { return p.Goto(ctx, a.URL, "") })
}

type wait struct {
	Seconds float64 `json:"seconds"`
}

func (a wait) do(ctx context.Context, r *run) (outcome, error) {
	d := seconds(a.Seconds, maxWait)
	r.progress("wait", d.String())
	select {
	case <-ctx.Done():
		return outcome{}, ctx.Err()
	case <-time.After(d):
	}
	return r.afterAction(ctx, bctrl.ActAction{Kind: "wait", Target: d.String()}, nil, "waited")
}

type waitDownload struct {
	Seconds float64 `json:"seconds"`
}

// do waits for a file that the newest view does not list yet.
func (a waitDownload) do(ctx context.Context, r *run) (outcome, error) {
	limit := maxDownload
	if a.Seconds != 0 {
		limit = seconds(a.Seconds, maxDownload)
	}
	r.progress("wait_download", limit.String())
	ctxWait, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	poll := time.NewTicker(downloadPoll)
	defer poll.Stop()
	for {
		if files := r.newDownloads(); len(files) > r.shownDownloads {
			return r.afterAction(ctx, bctrl.ActAction{
				Kind:   "download",
				Target: files[len(files)-1].Filename,
			}, nil, "a file has landed")
		}
		select {
		case <-ctx.Done():
			return outcome{}, ctx.Err()
		case <-ctxWait.Done():
			err := &bctrl.Error{Code: "agent.no_download", Message: "no new file has landed in " + limit.String()}
			return r.afterAction(ctx, bctrl.ActAction{Kind: "download"}, err, "")
		case <-poll.C:
		}
	}
}

// seconds makes a duration of a model's number, from one second to limit.
func seconds(n float64, limit time.Duration) time.Duration {
	return time.Duration(max(1, min(n, limit.Seconds())) * float64(time.Second)).Round(time.Millisecond)
}

// onElement does something to the element that the model calls ref.
func (r *run) onElement(ctx context.Context, kind, ref, success string,
	do func(context.Context, browser.Ref) error) (outcome, error) {
	e, unknown, ok := r.element(ref)
	if !ok {
		return unknown, nil
	}
	r.progress(kind, describe(e))
	return r.afterAction(ctx, bctrl.ActAction{
		Kind:    kind,
		Target:  describe(e),
		Element: r.elementDescription(e),
	}, do(ctx, e.Ref), success)
}

// afterAction records an action, unless it failed because the task is over.
func (r *run) afterAction(ctx context.Context, a bctrl.ActAction, err error, success string) (outcome, error) {
	o := r.recordAction(a, err, success)
	return o, ctx.Err()
}

// withoutQuery drops what may carry data from an address that is shown.
func withoutQuery(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	if u.Host == "" && strings.Contains(address, "@") {
		return u.Scheme + ":" // a browser may read user info there
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return u.String()
}
