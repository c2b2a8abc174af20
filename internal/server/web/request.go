package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

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
	// ID is the request's id in the log, the audit log and the answer: the
	// caller's own where it sent a plain one.
	ID string
	// TraceID is the trace that the request is in, empty where it is in none.
	TraceID string
	// Route is the one that the router found.
	Route *Route
	// Caller is who calls, under the newest rules that were looked at; nobody where
	// the route is [access.Public].
	Caller access.Caller
	// Unproven is set where the caller is only believed to be who it says: see
	// [Route.ToUnlock]. A handler clears it once it has proved the caller.
	Unproven bool
	// Query has the route's own parameters, each once and in UTF-8. A route in a
	// provider's form reads the URL itself.
	Query url.Values

	// Object is what the request is about, for the audit log; never a value.
	// [Request.Authorize] sets it, and a handler that has found it by another name.
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
	// Granted is what the caller was permitted so far. A handler may add to what
	// has to go on being so, by [Grant.Require].
	Granted Grant
	// activity is the request as something that is underway; nil where nothing can
	// end it.
	activity *activity
	// idempotent is set where the request carries an idempotency key and its
	// answer is to be kept for it.
	idempotent *idempotencyKey
	// refusable is what idempotent was of a request for which a refusal is kept.
	refusable *idempotencyKey
	// answer is the encoded answer where it was made inside a transaction.
	answer []byte
}

// Path returns a variable of the path, or the error of its grammar.
func (rq *Request) Path(name string, valid func(string) error) (string, error) {
	v := rq.PathValue(name)
	if err := valid(v); err != nil {
		return "", err
	}
	return v, nil
}

// ValidUUID is the grammar, for [Request.Path], of the ids that the server makes.
func ValidUUID(v string) error {
	if names.UUID(v) != nil {
		return Invalid("request.invalid_id", "id", "the id must be a uuid")
	}
	return nil
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

// IfMatch reads the version that an update is meant for from If-Match (RFC 9110
// §13.1.1); 0 is any. What is no version is request.if_match.
func (rq *Request) IfMatch() (int64, error) {
	tags := rq.Header.Values("If-Match")
	if len(tags) == 0 {
		return 0, nil
	}
	tag := strings.Join(tags, ",") // one is meant
	if tag == "*" {
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
// did, by its Host header. The caller may change it.
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

// RetryAfter has a refusal ask its caller to wait so many seconds before the next attempt.
func (rq *Request) RetryAfter(seconds int) {
	rq.w.Header().Set("Retry-After", strconv.Itoa(seconds))
}
