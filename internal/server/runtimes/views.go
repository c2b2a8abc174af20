package runtimes

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/origin"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

const pathEmbed = "/v1/workspaces/{id}/runtimes/{alias}/embed"

func (s *Service) viewRoutes() []web.Route {
	made := web.On(
		s.atRuntime(),
		web.Endpoint("POST "+pathEmbed+"/live", access.RuntimeConnect, s.makeLiveView),
		web.Endpoint("GET "+pathEmbed+"/live", access.RuntimeConnect, s.listLiveViews),
		web.Endpoint("DELETE "+pathEmbed+"/live/{view}", access.RuntimeConnect, s.revokeLiveView),
		web.Endpoint("POST "+pathEmbed+"/recording", access.RuntimeConnect, s.makeRecordingView),
	)
	shown := web.On(
		s.atToken(),
		web.Raw("GET /embed/live/{token}", access.Public, s.serveLivePage),
		web.Raw("POST /embed/live/{token}/open", access.Public, s.openLiveView),
		web.Raw("GET /embed/live/{token}/socket", access.Public, s.serveLiveSocket),
		web.Raw("GET /embed/recording/{token}", access.Public, s.serveRecordingPage),
		web.Raw("GET /embed/recording/{token}/index", access.Public, s.serveRecordingIndex, "fromFrame", "fromMark"),
		web.Raw("GET /embed/recording/{token}/frames/{n}", access.Public, s.serveRecordingFrame),
		web.Raw("GET /embed/recording/{token}/file", access.Public, s.serveRecordingFile),
	)
	assets := web.Raw("GET /embed/assets/{name}", access.Public, s.serveAsset).On(web.AnyNode())
	return append(append(made, shown...), assets)
}

// The bounds of views.
const (
	minViewTTL     = 10 * time.Second
	maxViewTTL     = 24 * time.Hour
	defaultViewTTL = time.Hour
	// maxViews bounds the views of one runtime that have not ended, and those that have.
	maxViews = 100
	// keepEndedViews is how long it is told how a view has ended.
	keepEndedViews = 24 * time.Hour
	// maxEmbedOrigins bounds the origins whose pages may hold a view.
	maxEmbedOrigins = 20
)

// view is an address that shows a runtime, live or recorded, to whoever has it. It is in
// memory alone: what it shows dies with the process, or can be asked for again.
type view struct {
	id          string
	kind        viewKind
	org         string
	runtime     string
	workspace   string
	group       string
	caller      access.Caller // with whom it ends
	interactive bool
	origins     []string
	created     time.Time
	expires     time.Time

	mu      sync.Mutex // guards what follows
	revoked bool
	ended   chan struct{} // closed when it is revoked
	opened  time.Time
	// refusals are the codes with which opening it was refused.
	refusals []string
	session  [sha256.Size]byte // of the browser tab that has opened it
	// leave ends the connection that shows it; nil where none does. Number counts them.
	leave  context.CancelCauseFunc
	number int
}

type viewKind string

const (
	liveKind      viewKind = "live"
	recordingKind viewKind = "recording"
)

// views are the views of a server.
type views struct {
	mark    func() string // begins each token; nil is nothing
	mu      sync.Mutex
	byToken map[[sha256.Size]byte]*view
}

// add takes in a view and returns its token. It forgets those that ended long ago.
func (vs *views) add(v *view, now time.Time) (token string, err error) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if vs.byToken == nil {
		vs.byToken = map[[sha256.Size]byte]*view{}
	}
	going, ended := 0, 0
	var oldest [sha256.Size]byte // of those that have ended
	for hash, old := range vs.byToken {
		switch {
		case now.Sub(old.expires) > keepEndedViews:
			delete(vs.byToken, hash)
		case old.runtime != v.runtime || old.kind != v.kind:
		case old.usable(now) == nil:
			going++
		default:
			if ended++; ended == 1 || old.id < vs.byToken[oldest].id { // ids are in order of time
				oldest = hash
			}
		}
	}
	if ended > maxViews {
		delete(vs.byToken, oldest)
	}
	if going >= maxViews {
		return "", web.WithHint(web.Conflict(string(v.kind)+".too_many",
			"the runtime has too many views that have not ended"),
			"revoke some, or give them less time")
	}
	if token = newViewSecret(); vs.mark != nil {
		token = vs.mark() + token
	}
	vs.byToken[sha256.Sum256([]byte(token))] = v
	return token, nil
}

// forget forgets the live views of a runtime that had ended before it did. Those that had
// not say so until their time.
func (vs *views) forget(runtime string, now time.Time) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	maps.DeleteFunc(vs.byToken, func(_ [sha256.Size]byte, v *view) bool {
		return v.kind == liveKind && v.runtime == runtime && v.usable(now) != nil
	})
}

func newViewSecret() string {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails, by its contract
	return base64.RawURLEncoding.EncodeToString(secret[:])
}

// find returns the view of a token.
func (vs *views) find(kind viewKind, token string) *view {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	v := vs.byToken[sha256.Sum256([]byte(token))]
	if v == nil || v.kind != kind {
		return nil
	}
	return v
}

// of lists the live views of a runtime that have not ended and that a caller may know of,
// as it may of connect URLs, the oldest first.
func (vs *views) of(runtime string, c access.Caller, now time.Time) []*view {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	var out []*view
	for _, v := range vs.byToken {
		if v.kind == liveKind && v.runtime == runtime && mayKnowOf(v.caller, c) &&
			now.Before(v.expires) && !v.isRevoked() {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b *view) int { return strings.Compare(a.id, b.id) }) // ids are in order of time
	return out
}

func (v *view) isRevoked() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.revoked
}

// newView checks what is asked of a view, and makes it.
func newView(kind viewKind, rq *web.Request, rt store.Runtime, ttlMs int64, origins []string) (*view, error) {
	var p web.Problems
	ttl := time.Duration(ttlMs) * time.Millisecond
	switch {
	case ttlMs == 0:
		ttl = defaultViewTTL
	case ttlMs < minViewTTL.Milliseconds() || ttlMs > maxViewTTL.Milliseconds():
		p.Add(string(kind)+".invalid_ttl", "ttlMs", "ttlMs must be 10 seconds to 24 hours, in milliseconds")
	}
	p.Limit("embedOrigins", len(origins), maxEmbedOrigins)
	canonical := []string{}
	for i, text := range origins[:min(len(origins), maxEmbedOrigins)] {
		o, err := origin.Parse(text)
		if err != nil {
			p.Add(string(kind)+".invalid_origin", web.FieldAt("embedOrigins", i),
				"it must be an origin, such as https://app.example.com")
			continue
		}
		canonical = append(canonical, o)
	}
	if err := p.Err(); err != nil {
		return nil, err
	}
	now := store.Now()
	v := &view{
		id:        web.NewID(),
		kind:      kind,
		org:       rq.Caller.Org,
		runtime:   rt.ID,
		workspace: rt.WorkspaceID,
		group:     rt.Group,
		caller:    rq.Caller,
		origins:   canonical,
		created:   now,
		expires:   now.Add(ttl),
		ended:     make(chan struct{}),
	}
	if token := rq.Caller.Token; token != nil && token.Expires.Before(v.expires) {
		v.expires = token.Expires
	}
	return v, nil
}

func (s *Service) makeLiveView(
	ctx context.Context, rq *web.Request, in wire.LiveViewCreate,
) (out wire.LiveView, err error) {
	rt, ws, err := s.authorizedRuntime(ctx, rq)
	if err != nil {
		return out, err
	}
	v, err := newView(liveKind, rq, rt, in.TTLMs, in.EmbedOrigins)
	if err != nil {
		return out, err
	}
	v.interactive = in.Interactive
	lr, ok := s.activeRuntime(ctx, rt)
	if !ok || lr.life.Err() != nil {
		return out, web.ErrNotActive
	}
	ev := rq.Event()
	ev.Workspace, ev.Group, ev.Runtime = ws.ID, rt.Group, rt.ID
	ev.Action, ev.Object = liveMade, v.id
	rq.MarkRecorded()
	err = s.Use(ctx, ev, func() error {
		token, err := s.views.add(v, time.Now())
		if err != nil {
			return err
		}
		out = v.describe()
		out.URL = wire.NewValue(rq.PublicURL().JoinPath("embed", "live", token).String())
		return nil
	})
	return out, err
}

// The actions of the events of views.
const (
	liveMade       = "live.made"
	liveClaimed    = "live.claimed" // by the browser tab that it is for, or refused to another
	liveOpened     = "live.opened"
	liveRevoked    = "live.revoked"
	liveTakenOver  = "live.taken_over"
	liveHandedBack = "live.handed_back"
	liveClosed     = "live.closed"
	recordingShown = "recording.shown"
)

// event is the event of something that happens at a view.
func (v *view) event(action string) audit.Event {
	return audit.Event{
		Org:       v.org,
		Parent:    v.caller.Parent,
		Caller:    v.caller.Name(),
		Workspace: v.workspace,
		Group:     v.group,
		Runtime:   v.runtime,
		Action:    action,
		Object:    v.id,
		Decision:  audit.Allowed,
		Outcome:   audit.OK,
	}
}

func (v *view) describe() wire.LiveView {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := wire.LiveView{
		ID:           v.id,
		Interactive:  v.interactive,
		EmbedOrigins: v.origins,
		CreatedAt:    v.created,
		ExpiresAt:    v.expires,
	}
	if !v.opened.IsZero() {
		opened := v.opened
		out.OpenedAt = &opened
	}
	return out
}

func (s *Service) listLiveViews(
	ctx context.Context, rq *web.Request, _ web.None,
) (list wire.List[wire.LiveView], err error) {
	rt, _, err := s.authorizedRuntime(ctx, rq)
	if err != nil {
		return list, err
	}
	list.Plural = wire.LiveViews
	for _, v := range s.views.of(rt.ID, rq.Caller, time.Now()) {
		list.Items = append(list.Items, v.describe())
	}
	return list, nil
}

func (s *Service) revokeLiveView(ctx context.Context, rq *web.Request, _ web.None) (out web.None, err error) {
	id, err := rq.Path("view", web.ValidUUID)
	if err != nil {
		return out, err
	}
	rt, ws, err := s.authorizedRuntime(ctx, rq)
	if err != nil {
		return out, err
	}
	going := s.views.of(rt.ID, rq.Caller, time.Now())
	at := slices.IndexFunc(going, func(v *view) bool { return v.id == id })
	if at < 0 {
		return out, web.NotFound("live.not_found", "there is no such live view, or it has ended")
	}
	v := going[at]
	ev := rq.Event()
	ev.Workspace, ev.Group, ev.Runtime = ws.ID, rt.Group, rt.ID
	ev.Action, ev.Object = liveRevoked, v.id
	rq.MarkRecorded()
	return out, s.Use(ctx, ev, func() error {
		v.revoke()
		return nil
	})
}

// revoke ends the view, and what shows it.
func (v *view) revoke() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.revoked {
		v.revoked = true
		close(v.ended)
	}
}

// What is told of a view that shows nothing, each as a page and as an answer.
var (
	errNoView = web.WithHint(web.NotFound("live.not_found", "there is no such live view"),
		"look whether the whole address was copied, or ask for another")
	errViewExpired = web.WithHint(web.Refusal(http.StatusGone, "live.expired", "this live view has expired"),
		"ask for another")
	errViewRevoked = web.WithHint(web.Refusal(http.StatusGone, "live.revoked",
		"this live view was ended by whoever made it"),
		"ask for another")
	errViewCallerEnded = web.WithHint(web.Refusal(http.StatusGone, "live.caller_ended",
		"the key or token that this live view was made with has ended"), "ask for another")
	errViewEnded = web.WithHint(web.Refusal(http.StatusGone, "live.runtime_ended", "the browser has ended"),
		"its recording can be played, if it was recorded")
	errOpenedTwice = web.WithHint(web.Conflict("live.opened_twice", "this live view is open in another browser tab"),
		"a view is for one tab: ask for another")
	errViewReplaced = web.Conflict("live.replaced", "this live view was opened again in the same browser")
	errStalled      = web.WithHint(web.TimedOut("live.stalled", "this page took too long to show what it was sent"),
		"open it again once the connection is better")
)

// usable returns why a view shows nothing any more; nil where it does.
func (v *view) usable(now time.Time) error {
	switch {
	case v.isRevoked():
		return errViewRevoked
	case !now.Before(v.expires):
		return errViewExpired
	}
	return nil
}

// liveView finds the live view that a path names, and its runtime.
func (s *Service) liveView(rq *web.Request) (*view, *liveRuntime, error) {
	v := s.views.find(liveKind, rq.PathValue("token"))
	if v == nil {
		return nil, nil, errNoView
	}
	if err := v.usable(time.Now()); err != nil {
		return v, nil, err
	}
	lr, ok := s.startedRuntime(v.runtime)
	if !ok || lr.life.Err() != nil {
		return v, nil, errViewEnded
	}
	return v, lr, nil
}

// open gives the view to a browser tab, by the secret that the tab keeps, or to the first
// that comes without one.
func (v *view) open(session string, now time.Time) (secret string, first bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	hash := sha256.Sum256([]byte(session))
	switch {
	case v.opened.IsZero():
		secret = newViewSecret()
		v.session, v.opened = sha256.Sum256([]byte(secret)), now
		return secret, true, nil
	case subtle.ConstantTimeCompare(hash[:], v.session[:]) == 1:
		return session, false, nil
	}
	return "", false, errOpenedTwice
}

// connect makes a connection the one that shows the view, in the place of the one before.
func (v *view) connect(session string, leave context.CancelCauseFunc) (disconnect func(), err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	hash := sha256.Sum256([]byte(session))
	if v.opened.IsZero() || subtle.ConstantTimeCompare(hash[:], v.session[:]) != 1 {
		return nil, errOpenedTwice
	}
	if v.leave != nil {
		v.leave(errViewReplaced)
	}
	v.number++
	number := v.number
	v.leave = leave
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.number == number {
			v.leave = nil
		}
	}, nil
}
