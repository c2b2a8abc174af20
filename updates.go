package bctrl

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

const (
	pathUpdates       = "/v1/updates"
	pathRuntimeEvents = pathRuntime + "/events"
)

// FirstKept begins with the oldest event that is kept: see [UpdatesOptions].
const FirstKept int64 = -1

// UpdatesCallOption changes one [Client.Updates]: [UpdatesOptions] or a [CallOption].
type UpdatesCallOption interface {
	applyUpdates(*calling[UpdatesOptions])
}

// UpdatesOptions selects updates; the zero UpdatesOptions selects all that come from now
// on.
type UpdatesOptions struct {
	// WorkspaceID and RuntimeID select those of one.
	WorkspaceID, RuntimeID string
	// Types select those; none is all. A [GapEvent] is always told.
	Types []EventType
	// After is the number of the event after which to begin, [Event.Seq]; [FirstKept]
	// is the oldest that is kept. Zero is what comes next.
	After int64
}

// Updates ranges over what happens to everything that the caller may see, as it happens,
// until the context ends; the last error is then the context's. With a runtime token, or
// through a handle's own token, it is what happens in that runtime.
//
// A connection that breaks is made anew and goes on where it broke: each event comes
// once, in order. Events are kept for seven days, and 50,000 of an organization; who was
// away for longer, or reads too slowly, gets a [GapEvent] in the place of what is gone.
// An error ends it only when the server refuses, or cannot be reached at first.
//
// Access: runtime.read
func (c *Client) Updates(ctx context.Context, opts ...UpdatesCallOption) iter.Seq2[Update, error] {
	o := collect(opts, UpdatesCallOption.applyUpdates)
	return func(yield func(Update, error) bool) {
		f := feed[Update]{
			via: c.via,
			request: request{
				method: http.MethodGet,
				path:   pathUpdates,
				query:  o.options.query(),
				slow:   true,
				opts:   o.calls,
			},
			decode: decodeEvent,
		}
		f.all(ctx)(yield)
	}
}

func (o UpdatesOptions) applyUpdates(c *calling[UpdatesOptions]) { c.options = o }

func (o UpdatesOptions) query() url.Values {
	q := queryOf("workspaceId", o.WorkspaceID, "runtimeId", o.RuntimeID, "types", joinTypes(o.Types))
	if o.After != 0 {
		q.Set("after", strconv.FormatInt(max(o.After, 0), 10))
	}
	return q
}

func joinTypes(types []EventType) string {
	texts := make([]string, len(types))
	for i, t := range types {
		texts[i] = string(t)
	}
	return strings.Join(texts, ",")
}

func decodeEvent(text []byte) (e Event, err error) { return e, json.Unmarshal(text, &e) }

// EventsOptions selects events of a runtime; the zero EventsOptions selects all.
type EventsOptions struct {
	// Types select those; none is all. A [GapEvent] and the runtime's end are always told.
	Types []EventType
	// After is the number of the event after which to begin, [Event.Seq]; zero is the
	// runtime's launch.
	After int64
}

// Events ranges over what happens in the runtime, from its launch on or after an event,
// and ends with the runtime: its last event is a [StoppedEvent] or a [FailedEvent]. Where
// the context ends first, the last error is the context's. It may be called for a
// runtime that has ended, too.
//
// The events are those that the handle's mounts show: see [Event.Within]. Else it is as
// [Client.Updates].
//
// Access: runtime.read
func (rt *Runtime) Events(ctx context.Context, options ...EventsOptions) iter.Seq2[Event, error] {
	o := merged(options)
	return func(yield func(Event, error) bool) {
		f := rt.feed(pathRuntimeEvents, queryOf("types", joinTypes(o.Types), "after", seqText(o.After)))
		f.request.params = []string{rt.workspaceID, rt.Alias}
		f.request.as = rt.limits
		ended := false
		for e, err := range f.all(ctx) {
			if ended = err != nil && hasEnded(err); ended {
				break
			}
			if !yield(e, err) {
				return
			}
		}
		if !ended {
			return
		}
		// As a runtime that has ended nobody can ask; the key itself may.
		after := o.After
		if last, err := strconv.ParseInt(f.last, 10, 64); err == nil {
			after = last
		}
		if after == 0 {
			after = FirstKept
		}
		f = rt.feed(pathUpdates, UpdatesOptions{RuntimeID: rt.ID, Types: withEnds(o.Types), After: after}.query())
		f.all(ctx)(yield)
	}
}

// feed is a stream of the runtime's events, as the handle's mounts show them.
func (rt *Runtime) feed(path string, query url.Values) feed[Event] {
	return feed[Event]{
		via: rt.via,
		request: request{
			method: http.MethodGet,
			path:   path,
			query:  query,
			slow:   true,
		},
		decode: func(text []byte) (Event, error) {
			e, err := decodeEvent(text)
			return e.Within(rt.limits.mounts()), err
		},
		isLast: func(e Event) bool { return e.RuntimeID == rt.ID && e.ends() },
	}
}

// withEnds are the types that select a runtime's end too.
func withEnds(types []EventType) []EventType {
	if len(types) == 0 {
		return nil
	}
	return append([]EventType{EventStopped, EventFailed}, types...)
}

func merged(options []EventsOptions) (o EventsOptions) {
	for _, next := range options {
		o.Types = append(o.Types, next.Types...)
		if next.After != 0 {
			o.After = next.After
		}
	}
	return o
}

// WaitEventOptions says what [Runtime.WaitEvent] waits for.
type WaitEventOptions struct {
	// Types are what is waited for; none is any event.
	Types []EventType
	// After is the number of the event after which to look, [Event.Seq]; zero is from now
	// on. What may happen before the call is waited for after an event that was seen.
	After int64
}

// eventRound is how long one request waits on the server.
const eventRound = 20 * time.Second

// WaitEvent waits for the next event in the runtime of one of these types, for as long as
// the context allows. A [GapEvent] ends it too: what was waited for may be in it. Where
// the runtime ends, and that is not waited for, it is an error. Once the server has answered
// a first time, no event is lost with an answer that is; After is for who needs all.
//
// Access: runtime.read
func (rt *Runtime) WaitEvent(ctx context.Context, o WaitEventOptions, opts ...CallOption) (*Event, error) {
	var in wire.EventWait
	for _, t := range o.Types {
		in.Types = append(in.Types, string(t))
	}
	if o.After != 0 {
		in.After = new(max(o.After, 0))
	}
	ctx, cancel := bounded(ctx, opts)
	defer cancel()
	for {
		// Where an answer is lost, the question that follows has to begin at the same event. So
		// the first asks only after which one that is.
		in.TimeoutMs = millis(eventRound)
		if in.After == nil {
			in.TimeoutMs = 1
		}
		out, err := rt.askForEvent(ctx, in, rt.limits, opts)
		if in.After != nil && rt.limits != nil && hasEnded(err) {
			return rt.missedEvent(ctx, in, err, opts)
		}
		if err != nil {
			return nil, err
		}
		if out.Event != nil {
			return out.Event, nil
		}
		if out.WaitStatus != wire.WaitTimeout {
			return nil, errBadEvent()
		}
		in.After = &out.After
	}
}

func (rt *Runtime) askForEvent(
	ctx context.Context, in wire.EventWait, as *limits, opts []CallOption,
) (out wire.EventWaited[Event], err error) {
	err = rt.via().call(ctx, &request{
		method: http.MethodPost,
		path:   pathRuntimeEvents + "/wait",
		params: []string{rt.workspaceID, rt.Alias},
		as:     as,
		in:     in,
		out:    &out,
		safe:   true,
		slow:   true,
		opts:   opts,
	})
	return out, err
}

// missedEvent returns what was waited for where it came before the runtime had ended, as its end
// itself, and else ended. As that runtime nobody can ask; the key itself may.
func (rt *Runtime) missedEvent(
	ctx context.Context, in wire.EventWait, ended error, opts []CallOption,
) (*Event, error) {
	in.TimeoutMs = 1
	out, err := rt.askForEvent(ctx, in, nil, opts)
	if err != nil || out.Event == nil || out.Event.RuntimeID != "" && out.Event.RuntimeID != rt.ID {
		return nil, ended // or a later runtime has the alias
	}
	seen := out.Event.Within(rt.limits.mounts())
	return &seen, nil
}
