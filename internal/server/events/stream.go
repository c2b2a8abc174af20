package events

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// markEvery is after how many events of others a client is told where it stands, so that
// one which comes back is not told of a gap in what it would not have seen.
const markEvery = 1000

// errStreamOver ends a stream whose last event was sent.
var errStreamOver = errors.New("the stream is over")

// Stream answers a request with the events of a reader, from its position on, as its
// caller may see them. It ends with the client and its right to ask, and after an event
// for which isLast is true; nil has none.
func (h *Hub) Stream(w http.ResponseWriter, rq *web.Request, r *Reader, isLast func(bctrl.Event) bool) error {
	moved, stop := h.DB.WatchEvents(r.filter.Org, r.filter.Runtime)
	defer stop()
	st := web.OpenStream(w)
	if err := st.Begin(r.Position); err != nil {
		return st.Close(err)
	}
	s := stream{
		hub:    h,
		st:     st,
		reader: r,
		isLast: isLast,
		caller: rq.Caller,
		marked: r.Position,
	}
	ctx := rq.Context()
	err := h.Follow(ctx, st, func() (<-chan struct{}, error) { return moved, s.send(ctx) })
	if h.endedWithRuntime(ctx, rq.Caller, err) {
		// The runtime that the caller acts as is over, and was its to follow until then.
		err = s.sendAll(context.WithoutCancel(ctx))
	}
	if errors.Is(err, errStreamOver) {
		err = nil
	}
	return st.Close(err)
}

// endedWithRuntime reports whether what a caller was doing has ended, with err or its
// context, because the runtime is over that it acts as.
func (h *Hub) endedWithRuntime(ctx context.Context, c access.Caller, err error) bool {
	why := cmp.Or(web.EndedBecause(ctx), err)
	if c.Runtime == nil || why == nil {
		return false
	}
	code := web.AsError(why).Code
	return code == wire.CodeNotActive || code == wire.CodeTokenEnded
}

// stream is an answer of events on its way.
type stream struct {
	hub    *Hub
	st     *web.Stream
	reader *Reader
	isLast func(bctrl.Event) bool
	// caller is who reads, under the newest rules that were looked at.
	caller access.Caller
	// marked is where the client knows that it stands.
	marked int64
}

// send sends what there is now, as the caller's newest mounts show it.
func (s *stream) send(ctx context.Context) (err error) {
	if s.caller, err = s.hub.CallerNow(ctx, s.caller); err != nil {
		return err
	}
	return s.sendAll(ctx)
}

func (s *stream) sendAll(ctx context.Context) error {
	for {
		list, err := s.reader.Next(ctx)
		if err != nil {
			return err
		}
		for _, e := range list {
			data, err := json.Marshal(seenBy(s.caller, e))
			if err != nil {
				return err
			}
			if err := s.st.Send(e.Seq, string(e.Type), data); err != nil {
				return err
			}
			s.marked = e.Seq
			if s.isLast != nil && s.isLast(e) {
				return errStreamOver
			}
		}
		if len(list) == 0 {
			break
		}
		if err := s.isCutShort(ctx); err != nil {
			return err
		}
	}
	if s.reader.Position-s.marked < markEvery {
		return nil
	}
	s.marked = s.reader.Position
	return s.st.Mark(s.marked)
}

// isCutShort ends a stream that has much to send when its server or its client ends.
func (s *stream) isCutShort(ctx context.Context) error {
	select {
	case <-s.hub.StreamsEnd():
		return errStreamOver
	case <-ctx.Done():
		return web.EndedBecause(ctx)
	default:
		return nil
	}
}

// seenBy is an event as a caller may see it.
func seenBy(c access.Caller, e bctrl.Event) bctrl.Event {
	if c.Runtime == nil {
		return e
	}
	return e.Within(c.Runtime.Chain.Effective())
}

// Wait returns the next event of a reader, as the request's caller may see it, or nil
// where there is none in time.
func (h *Hub) Wait(rq *web.Request, r *Reader, wait time.Duration) (*bctrl.Event, error) {
	ctx := rq.Context()
	moved, stop := h.DB.WatchEvents(r.filter.Org, r.filter.Runtime)
	defer stop()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		list, err := r.Next(ctx)
		if err != nil {
			return nil, err
		}
		if len(list) > 0 {
			return r.first(rq.Caller, list), nil
		}
		select {
		case <-moved:
		case <-timer.C:
			return nil, nil
		case <-h.StreamsEnd():
			return nil, nil
		case <-ctx.Done():
			if list, err = nil, web.EndedBecause(ctx); h.endedWithRuntime(ctx, rq.Caller, nil) {
				list, _ = r.Next(context.WithoutCancel(ctx)) // the end itself may be what is waited for
			}
			if len(list) == 0 {
				return nil, errors.Join(err, ctx.Err())
			}
			return r.first(rq.Caller, list), nil
		}
	}
}

// first is the first of the events that were read. The others are to be read again.
func (r *Reader) first(c access.Caller, list []bctrl.Event) *bctrl.Event {
	r.Position = list[0].Seq
	seen := seenBy(c, list[0])
	return &seen
}

// TypesOf reads a list of types of events, and refuses one that there is not.
func TypesOf(field string, list []string) ([]bctrl.EventType, error) {
	var types []bctrl.EventType
	for i, text := range list {
		of := bctrl.EventType(text)
		if !slices.Contains(bctrl.EventTypes(), of) {
			return nil, web.WithHint(
				web.Invalid("events.unknown_type", web.FieldAt(field, i), "there is no such type of an event"),
				"it is one such as runtime.navigated; docs/events.md lists them",
			)
		}
		types = append(types, of)
	}
	return types, nil
}

// QueryTypes reads the parameter types, which names some with commas between them.
func QueryTypes(rq *web.Request) ([]bctrl.EventType, error) {
	if !rq.Query.Has("types") {
		return nil, nil
	}
	return TypesOf("types", strings.Split(rq.Query.Get("types"), ","))
}

// QueryPosition reads after which event a client goes on, where it says so: in the
// header of one that comes back, or the parameter after.
func QueryPosition(rq *web.Request) (after int64, given bool, err error) {
	if after, given, err = rq.LastEventID(); err != nil || given {
		return after, given, err
	}
	after, err = rq.Integer("after", 0, 0, 1<<53)
	return after, rq.Query.Has("after"), err
}

// Routes are the routes of updates.
func (h *Hub) Routes() []web.Route {
	return []web.Route{
		web.Raw("GET /v1/updates", access.RuntimeRead, h.streamUpdates, "workspaceId", "runtimeId", "types", "after"),
	}
}

// streamUpdates sends what happens in the organization from now on, or after an event:
// to an organization key all of it, to a runtime caller what happens in its runtime.
func (h *Hub) streamUpdates(w http.ResponseWriter, rq *web.Request) error {
	f := Filter{Org: rq.Caller.Org, Workspace: rq.Query.Get("workspaceId"), Runtime: rq.Query.Get("runtimeId")}
	for _, id := range []struct{ name, value string }{{"workspaceId", f.Workspace}, {"runtimeId", f.Runtime}} {
		if id.value != "" && web.ValidUUID(id.value) != nil {
			return web.Invalid("request.parameter", id.name, id.name+" must be a uuid")
		}
	}
	if own := rq.Caller.Runtime; own != nil && f.Runtime == "" {
		f.Runtime = own.ID
	}
	var err error
	if f.Types, err = QueryTypes(rq); err != nil {
		return err
	}
	after, given, err := QueryPosition(rq)
	if err != nil {
		return err
	}
	if err := rq.Authorize(f.Runtime); err != nil {
		return err
	}
	r := h.ReadAfter(f, after)
	if !given {
		if r, err = h.ReadNew(rq.Context(), f); err != nil {
			return err
		}
	}
	return h.Stream(w, rq, r, nil)
}
