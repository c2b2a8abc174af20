package bctrl

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"net/url"
	"time"

	"github.com/bctrl-go/bctrl/internal/body"
)

// CallOption changes one call. Every CallOption is also an [UploadOption], an
// [OpenOption], a [DeleteOption], an [UpdatesCallOption] and an option of each call of an
// agent, such as [ActCallOption].
type CallOption interface {
	UploadOption
	OpenOption
	DeleteOption
	ActCallOption
	ObserveCallOption
	ExtractCallOption
	AgentCallOption
	BrowserUseCallOption
	UpdatesCallOption
	apply(*callSettings)
}

// callSettings is what call options write to.
type callSettings struct {
	idempotencyKey string
	hasKey         bool
	timeout        time.Duration
	hasTimeout     bool
	capture        *ResponseInfo
	query          url.Values
}

type callOption func(*callSettings)

func (o callOption) apply(s *callSettings)   { o(s) }
func (o callOption) applyUpload(s *upload)   { s.opts = append(s.opts, o) }
func (o callOption) applyOpen(s *opening)    { s.opts = append(s.opts, o) }
func (o callOption) applyDelete(s *deletion) { s.opts = append(s.opts, o) }

// WithIdempotencyKey sets the Idempotency-Key of a mutation, 1 to 200 visible
// ASCII characters, so that calling again after a crash has no second effect:
// the server replays the first answer for 24 hours. A key is the caller's own:
// of the organization key, or of the token as it is held. Without it every call
// makes its own.
func WithIdempotencyKey(key string) CallOption {
	return callOption(func(s *callSettings) { s.idempotencyKey, s.hasKey = key, true })
}

// WithCallTimeout bounds this call, its retries included, in place of the
// client's [WithTimeout]; zero is no bound but the context's, and a negative one is
// refused. On a stream it bounds the reading too, and where waiting takes several
// requests, as that of [Operation.Wait] or of a launch, all of them together. Of a
// list it bounds the fetching of each page.
func WithCallTimeout(d time.Duration) CallOption {
	return callOption(func(s *callSettings) { s.timeout, s.hasTimeout = d, true })
}

// WithQuery adds parameters to the query of a [Client.Do]. The methods of the
// services send what their arguments say; a parameter of the same name here
// replaces it.
func WithQuery(query url.Values) CallOption {
	return callOption(func(s *callSettings) { s.query = query })
}

// CaptureResponse fills into when the call has ended, with an error or without.
// A list fills it anew with every page.
func CaptureResponse(into *ResponseInfo) CallOption {
	return callOption(func(s *callSettings) { s.capture = into })
}

// ResponseInfo says how a call went. See [CaptureResponse].
type ResponseInfo struct {
	// Status of the last answer; 0 when there was none.
	Status int
	// RequestID is the server's, or the SDK's own where none came back.
	RequestID string
	// Attempts counts the requests that were sent; 0 for a local refusal.
	Attempts int
	// IdempotencyKey that was sent; empty for a read.
	IdempotencyKey string
	// ETag of the answer, if it had one.
	ETag string
}

// DeleteOption changes a deletion.
type DeleteOption interface{ applyDelete(*deletion) }

type deletion struct {
	force bool
	opts  []CallOption
}

type deleteOption func(*deletion)

func (o deleteOption) applyDelete(d *deletion) { o(d) }

// WithForce deletes what is still in use: an AI credential that is mounted, a
// workspace with live runtimes, a subaccount that holds data.
func WithForce() DeleteOption { return deleteOption(func(d *deletion) { d.force = true }) }

func deletionOf(opts []DeleteOption) deletion {
	var d deletion
	for _, o := range opts {
		o.applyDelete(&d)
	}
	return d
}

func (d deletion) query() url.Values {
	if !d.force {
		return nil
	}
	return url.Values{"force": {"true"}}
}

// bounded returns a context with the [WithCallTimeout] among the options, for what is
// not over with the answer to one request. It is to be cancelled once that is over.
func bounded(ctx context.Context, opts []CallOption) (context.Context, context.CancelFunc) {
	var s callSettings
	for _, o := range opts {
		o.apply(&s)
	}
	if s.timeout > 0 {
		return context.WithTimeout(ctx, s.timeout)
	}
	return context.WithCancel(ctx)
}

// request is one call before it is sent.
type request struct {
	method string
	path   string   // template: "/v1/vault/{key}"
	params []string // the values of its variables, in order
	query  url.Values
	header http.Header
	as     *limits // the runtime to act as; nil acts as the caller
	in     any     // encoded as JSON unless nil
	body   *body.Source
	out    any  // decoded from JSON unless nil
	safe   bool // a POST that changes nothing and needs no Idempotency-Key
	slow   bool // not bounded by the client's timeout
	once   bool // never sent again, whatever becomes of it
	answer int  // the longest answer that is read, in bytes; 0 is maxAnswer
	opts   []CallOption
}

// mutates reports whether the call needs an Idempotency-Key.
func (r *request) mutates() bool {
	return !r.safe && r.method != http.MethodGet && r.method != http.MethodHead
}

// longest is the bound of an answer, in bytes.
func (r *request) longest() int { return cmp.Or(r.answer, maxAnswer) }

// Durations are whole milliseconds on the wire, in fields that end in Ms, and
// time.Duration in Go.

func millis(d time.Duration) int64 { return d.Milliseconds() }

// millisOrMore is for what zero means something else of, such as a default: it
// rounds away from zero, so that what is none stays none.
func millisOrMore(d time.Duration) int64 {
	ms := millis(d)
	switch rest := d % time.Millisecond; {
	case rest > 0:
		ms++
	case rest < 0:
		ms--
	}
	return ms
}

// fromMillis is the longest duration there is for more than one holds.
func fromMillis(ms int64) time.Duration {
	const longest = math.MaxInt64 / int64(time.Millisecond)
	return time.Duration(max(-longest, min(ms, longest))) * time.Millisecond
}
