package web

import (
	"cmp"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/names"
)

// Request is one request on its way through the server.
type Request struct {
	*http.Request
	// kernel serves it.
	kernel *Kernel
	w      *statusWriter
	ID     string
	Route  *Route
	Caller access.Caller
	// Unproven is set where the caller is only believed to be who it says: see
	// [server.toUnlock].
	Unproven bool
	Query    url.Values

	// Object is what the request is about, for the audit log; never a value.
	Object string
	// decided is set once access has been asked.
	decided bool
	// Describe completes the request's event with what its route alone knows; nil
	// is nothing. The log wants every refusal of a request that has one.
	Describe func(*audit.Event)
	// recorded is set once the audit log has the request's event.
	recorded bool
	// read is the body, once it has been read whole.
	read []byte
	// leaving is done when the request leaves: it lets go of the idempotency
	// key, and is no longer underway.
	leaving []func()
	// Granted is what a runtime caller was permitted so far.
	Granted Grant
	// activity is the request as something that is underway; nil where nothing can
	// end it.
	activity *activity
	// idempotent is set where the request carries an idempotency key and its
	// answer is to be kept for it.
	idempotent *idempotencyKey
	// answer is the encoded answer where it was made inside a transaction.
	answer []byte
}

// MarkRecorded says that the audit log has the request's event, or will have it
// before the request is answered: the kernel writes none.
func (rq *Request) MarkRecorded() { rq.recorded = true }

// MarkDecided says that whether the caller may do what the route does to the
// object was decided otherwise than by [Request.Authorize]. Empty is no object in
// particular, as for a list that shows what its caller may see.
func (rq *Request) MarkDecided(object string) { rq.Object, rq.decided = object, true }

// bodyBound is how long a JSON body may take to arrive.
const bodyBound = 30 * time.Second

// ReadBody reads the whole body, at most as much as the route takes.
func (rq *Request) ReadBody() ([]byte, error) {
	if rq.read != nil {
		return rq.read, nil
	}
	limit := cmp.Or(rq.Route.MaxBody, MaxBody)
	if rq.ContentLength > limit { // told before it is sent, to who asks first
		return nil, &http.MaxBytesError{Limit: limit}
	}
	// A caller who sends a byte a minute must not hold a connection for ever.
	conn := http.NewResponseController(rq.w)
	if err := conn.SetReadDeadline(time.Now().Add(bodyBound)); err == nil {
		defer func() { _ = conn.SetReadDeadline(time.Time{}) }() // it could be set before
	}
	return io.ReadAll(http.MaxBytesReader(rq.w, rq.Body, limit))
}

// Path returns a path variable, checked by its grammar.
func (rq *Request) Path(name string, valid func(string) error) (string, error) {
	v := rq.PathValue(name)
	if err := valid(v); err != nil {
		return "", err
	}
	return v, nil
}

// ValidUUID is the grammar of the ids that the server makes.
func ValidUUID(v string) error {
	if names.UUID(v) != nil {
		return Invalid("request.invalid_id", "id", "the id must be a uuid")
	}
	return nil
}

// Flag reads a boolean parameter; absent is false.
func (rq *Request) Flag(name string) (bool, error) {
	v, err := rq.OptionalFlag(name)
	return v != nil && *v, err
}

// OptionalFlag reads a boolean parameter; absent is nil.
func (rq *Request) OptionalFlag(name string) (*bool, error) {
	switch rq.Query.Get(name) {
	case "":
		if !rq.Query.Has(name) {
			return nil, nil
		}
	case "true":
		return new(true), nil
	case "false":
		return new(false), nil
	}
	return nil, Invalid("request.parameter", name, name+" must be true or false")
}

// Millis reads a duration parameter in milliseconds, between low and high;
// absent is def.
func (rq *Request) Millis(name string, def, low, high time.Duration) (time.Duration, error) {
	n, err := rq.Integer(name, def.Milliseconds(), low.Milliseconds(), high.Milliseconds())
	return time.Duration(n) * time.Millisecond, err
}

// Integer reads a number parameter between low and high; absent is def.
func (rq *Request) Integer(name string, def, low, high int64) (int64, error) {
	if !rq.Query.Has(name) {
		return def, nil
	}
	n, err := strconv.ParseInt(rq.Query.Get(name), 10, 64)
	if err != nil || n < low || n > high {
		return 0, Invalid("request.parameter", name, name+" must be a whole number from "+
			strconv.FormatInt(low, 10)+" to "+strconv.FormatInt(high, 10))
	}
	return n, nil
}

// Page reads limit and cursor. A cursor is opaque: the last key of the page
// before, encoded.
func (rq *Request) Page() (limit int, after string, err error) {
	n, err := rq.Integer("limit", 50, 1, 1000)
	if err != nil {
		return 0, "", err
	}
	raw, err := base64.RawURLEncoding.DecodeString(rq.Query.Get("cursor"))
	if err != nil {
		return 0, "", Invalid("request.cursor", "cursor", "the cursor is not one that this server gave")
	}
	return int(n), string(raw), nil
}

// PageOf makes a page of rows that were read one past the limit, and the cursor
// of the next.
func PageOf[T any](rows []T, limit int, key func(T) string) ([]T, string) {
	if len(rows) <= limit {
		return rows, ""
	}
	rows = rows[:limit]
	return rows, base64.RawURLEncoding.EncodeToString([]byte(key(rows[limit-1])))
}

// Event is the audit event of this request, its outcome still open.
func (rq *Request) Event() audit.Event {
	e := audit.Event{
		Org:       rq.Caller.Org,
		Parent:    rq.Caller.Parent,
		Caller:    rq.Caller.Name(),
		Action:    string(rq.Route.Verb),
		Object:    rq.Object,
		Decision:  audit.Allowed,
		RequestID: rq.ID,
	}
	if rt := rq.Caller.Runtime; rt != nil {
		e.Workspace, e.Group, e.Runtime = rt.WorkspaceID, rt.Group, rt.ID
	}
	if rq.Describe != nil {
		rq.Describe(&e)
	}
	return e
}

// newRequestID takes the caller's id when it is a plain one, so that both
// sides' logs meet, else makes one.
func newRequestID(given string) string {
	if len(given) >= 1 && len(given) <= 128 && strings.Trim(given, idAlphabet) == "" {
		return given
	}
	return NewID()
}

const idAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

// NewID makes a uuid v7: unique, and in order of time.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

func queryValues(raw string) (url.Values, error) { return url.ParseQuery(raw) }

// IfMatch reads the version that an update is meant for; 0 is any.
func (rq *Request) IfMatch() (int64, error) {
	tag := rq.Header.Get("If-Match")
	if tag == "" || tag == "*" {
		return 0, nil
	}
	n, err := strconv.ParseInt(strings.Trim(tag, `"`), 10, 64)
	if err != nil || n < 1 {
		return 0, Invalid("request.if_match", "If-Match", "If-Match must be a version number")
	}
	return n, nil
}

// ErrStale is the answer to an update of a version that is not the newest.
var ErrStale = WithHint(
	PreconditionFailed("request.stale_version", "it has changed since that version"),
	"read it again and repeat the change",
)

// PublicURL is where callers reach the server: as configured, else as this one
// did.
func (rq *Request) PublicURL() *url.URL {
	if public := rq.kernel.PublicURL; public != nil {
		u := *public
		return &u
	}
	u := &url.URL{Scheme: "http", Host: rq.Host}
	if rq.TLS != nil {
		u.Scheme = "https"
	}
	return u
}
