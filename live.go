package bctrl

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

const (
	pathLiveViews = pathRuntime + "/embed/live"
	pathLiveView  = pathLiveViews + "/{view}"
	pathRecording = pathRuntime + "/embed/recording"
)

// LiveOptions say what a live view permits, and for how long.
type LiveOptions struct {
	// Interactive lets whoever opens the view take the browser over: with mouse, wheel,
	// keyboard, input method, paste and touch. Agents wait meanwhile.
	Interactive bool
	// TTL is how long the view can be opened and stays open: 10 seconds to 24 hours, an
	// hour when zero, and never longer than the key or token that asked for it.
	TTL time.Duration
	// EmbedOrigins are the origins whose pages may hold the view in a frame; with none it
	// can be held in no frame.
	EmbedOrigins []string
}

// LiveView is an address at which a person sees a runtime's browser as it moves.
type LiveView struct {
	ID string `json:"id"`
	// URL is the page to open. Whoever has it first can open it, and from then on that
	// browser tab alone: treat it as a secret. It is empty in lists.
	URL          string    `json:"url,omitempty"`
	Interactive  bool      `json:"interactive"`
	EmbedOrigins []string  `json:"embedOrigins"`
	CreatedAt    time.Time `json:"createdAt"`
	ExpiresAt    time.Time `json:"expiresAt"`
	// OpenedAt is when somebody opened it; nil before.
	OpenedAt *time.Time `json:"openedAt,omitempty"`

	rt *Runtime
}

// Live returns an address that shows the runtime's browser to a person, for as long as
// the runtime lives and the options say. What was filled from the vault is masked on it,
// also for a person who has taken the browser over.
//
// Access: runtime.connect
func (rt *Runtime) Live(ctx context.Context, o LiveOptions, opts ...CallOption) (*LiveView, error) {
	var out wire.LiveView
	r := rt.request(http.MethodPost, "/embed/live", &out, opts)
	r.in = wire.LiveViewCreate{Interactive: o.Interactive, TTLMs: millisOrMore(o.TTL), EmbedOrigins: o.EmbedOrigins}
	if err := rt.via().call(ctx, r); err != nil {
		return nil, err
	}
	return rt.liveView(out), nil
}

// LiveViews lists the runtime's live views that have not ended, the oldest first, without
// their addresses. A token sees, and ends, those that were made with it.
//
// Access: runtime.connect
func (rt *Runtime) LiveViews(ctx context.Context, opts ...CallOption) ([]*LiveView, error) {
	out := wire.List[wire.LiveView]{Plural: wire.LiveViews}
	if err := rt.via().call(ctx, rt.request(http.MethodGet, "/embed/live", &out, opts)); err != nil {
		return nil, err
	}
	views := make([]*LiveView, len(out.Items))
	for i, v := range out.Items {
		views[i] = rt.liveView(v)
	}
	return views, nil
}

func (rt *Runtime) liveView(v wire.LiveView) *LiveView {
	return &LiveView{
		ID:           v.ID,
		URL:          v.URL.Reveal(),
		Interactive:  v.Interactive,
		EmbedOrigins: v.EmbedOrigins,
		CreatedAt:    v.CreatedAt,
		ExpiresAt:    v.ExpiresAt,
		OpenedAt:     v.OpenedAt,
		rt:           rt,
	}
}

// Revoke ends the view, also where it is open.
//
// Access: runtime.connect
func (v *LiveView) Revoke(ctx context.Context, opts ...CallOption) error {
	rt := v.rt
	return rt.via().call(ctx, &request{
		method: http.MethodDelete,
		path:   pathLiveView,
		params: []string{rt.workspaceID, rt.Alias, v.ID},
		as:     rt.limits,
		opts:   opts,
	})
}

// RecordingStatus is where a recording is in its life.
type RecordingStatus string

const (
	// RecordingRunning is of a runtime that is live.
	RecordingRunning RecordingStatus = "recording"
	// RecordingStored is of one whose runtime has ended: it is a file of the mounted
	// storage, with the source [SourceRecording].
	RecordingStored RecordingStatus = "stored"
)

// RecordingMark is something that happened while a runtime was recorded.
type RecordingMark struct {
	// At is when, from the beginning of the recording.
	At time.Duration `json:"-"`
	// Kind is "step" of a step of an execution, "action" of what an agent did, "page" of
	// a document that was shown, and "person" of a person who took over or handed back.
	Kind string `json:"kind"`
	// Text says what, without secrets.
	Text string `json:"text"`
}

// UnmarshalJSON implements [json.Unmarshaler].
func (m *RecordingMark) UnmarshalJSON(data []byte) error {
	var in wire.RecordingMark
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*m = RecordingMark{At: fromMillis(in.AtMs), Kind: in.Kind, Text: in.Text}
	return nil
}

// MarshalJSON implements [json.Marshaler].
func (m RecordingMark) MarshalJSON() ([]byte, error) {
	return json.Marshal(wire.RecordingMark{AtMs: millis(m.At), Kind: m.Kind, Text: m.Text})
}

// Recording is what was shown in a runtime's browser, from its first page on.
type Recording struct {
	Status RecordingStatus `json:"status"`
	// URL is a page that plays it, until ExpiresAt; treat it as a secret. With "/file"
	// behind it, it is the recording as a QuickTime movie, which common players open.
	URL       string        `json:"url"`
	ExpiresAt time.Time     `json:"expiresAt"`
	StartedAt time.Time     `json:"startedAt"`
	Duration  time.Duration `json:"-"`
	// Bytes are those of its pictures.
	Bytes int64 `json:"bytes"`
	// Truncated says that it has come to a limit, 256 MiB or 4 hours, before its browser
	// ended.
	Truncated bool            `json:"truncated"`
	Marks     []RecordingMark `json:"marks"`
	// Object is the file of one that is stored; nil before.
	Object *StorageObject `json:"object,omitempty"`
}

// MarshalJSON implements [json.Marshaler].
func (r Recording) MarshalJSON() ([]byte, error) {
	type plain Recording
	return json.Marshal(struct {
		plain
		DurationMs int64 `json:"durationMs"`
	}{plain(r), millis(r.Duration)})
}

// UnmarshalJSON implements [json.Unmarshaler].
func (r *Recording) UnmarshalJSON(data []byte) error {
	type plain Recording
	var w struct {
		plain
		DurationMs int64 `json:"durationMs"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	*r = Recording(w.plain)
	r.Duration = fromMillis(w.DurationMs)
	return nil
}

// RecordingOptions say how a recording may be looked at.
type RecordingOptions struct {
	// TTL is how long the page that plays it can be opened: 10 seconds to 24 hours, an hour
	// when zero, and never longer than the key or token that asked for it.
	TTL time.Duration
	// EmbedOrigins are the origins whose pages may hold it in a frame.
	EmbedOrigins []string
}

// Recording returns the recording of the runtime, live or ended, which was launched with
// [Launch.Record]. It is masked as a live view is. One that was not recorded is
// "recordings.none", and one that could not be kept, or whose file was deleted,
// "recordings.not_kept". Once the runtime has ended it waits until the file is written. It
// shows every host that the browser spoke to: a token or handle whose mounts do not permit
// all of them now is refused, "recordings.wider".
//
// Access: runtime.connect
func (rt *Runtime) Recording(ctx context.Context, opts ...CallOption) (*Recording, error) {
	return rt.RecordingWith(ctx, RecordingOptions{}, opts...)
}

// RecordingWith is [Runtime.Recording] with options for its page.
//
// Access: runtime.connect
func (rt *Runtime) RecordingWith(ctx context.Context, o RecordingOptions, opts ...CallOption) (*Recording, error) {
	var out struct {
		wire.Recording
		Marks  []RecordingMark `json:"marks"`
		Object *StorageObject  `json:"object"`
	}
	r := rt.request(http.MethodPost, "/embed/recording", &out, opts)
	r.in = wire.RecordingView{TTLMs: millisOrMore(o.TTL), EmbedOrigins: o.EmbedOrigins}
	if err := callOfEnded(ctx, rt.via, r); err != nil {
		return nil, err
	}
	return &Recording{
		Status:    RecordingStatus(out.Status),
		URL:       out.URL.Reveal(),
		ExpiresAt: out.ExpiresAt,
		StartedAt: out.StartedAt,
		Duration:  fromMillis(out.DurationMs),
		Bytes:     out.Bytes,
		Truncated: out.Truncated,
		Marks:     out.Marks,
		Object:    out.Object,
	}, nil
}
