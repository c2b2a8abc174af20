package server

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

// request is one request on its way through the server.
type request struct {
	*http.Request
	// server serves it.
	server *Server
	w      *statusWriter
	id     string
	route  *route
	caller access.Caller
	// unproven is set where the caller is only believed to be who it says: see
	// [toUnlock].
	unproven bool
	query    url.Values

	// object is what the request is about, for the audit log; never a value.
	object string
	// decided is set once access has said yes.
	decided bool
	// describe completes the request's event with what its route alone knows; nil
	// is nothing. The log wants every refusal of a request that has one.
	describe func(*audit.Event)
	// recorded is set once the audit log has the request's event.
	recorded bool
	// read is the body, once it has been read whole.
	read []byte
	// leaving is done when the request leaves: it lets go of the idempotency
	// key, and is no longer underway.
	leaving []func()
	// granted is what a runtime caller was permitted so far.
	granted grant
	// activity is the request as something that is underway; nil where nothing can
	// end it.
	activity *activity
	// idempotent is set when the request carries an idempotency key.
	idempotent *idempotent
	// answer is the encoded answer when it was made inside a transaction.
	answer []byte
}

// bodyBound is how long a JSON body may take to arrive.
const bodyBound = 30 * time.Second

// body reads the whole body, at most as much as the route takes.
func (rq *request) body() ([]byte, error) {
	if rq.read != nil {
		return rq.read, nil
	}
	limit := cmp.Or(rq.route.maxBody, maxBody)
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

// path returns a path variable, checked by its grammar.
func (rq *request) path(name string, valid func(string) error) (string, error) {
	v := rq.PathValue(name)
	if err := valid(v); err != nil {
		return "", err
	}
	return v, nil
}

// validUUID is the grammar of the ids that the server makes.
func validUUID(v string) error {
	if names.UUID(v) != nil {
		return invalid("request.invalid_id", "id", "the id must be a uuid")
	}
	return nil
}

// flag reads a boolean parameter; absent is false.
func (rq *request) flag(name string) (bool, error) {
	v, err := rq.optionalFlag(name)
	return v != nil && *v, err
}

// optionalFlag reads a boolean parameter; absent is nil.
func (rq *request) optionalFlag(name string) (*bool, error) {
	switch rq.query.Get(name) {
	case "":
		if !rq.query.Has(name) {
			return nil, nil
		}
	case "true":
		return new(true), nil
	case "false":
		return new(false), nil
	}
	return nil, invalid("request.parameter", name, name+" must be true or false")
}

// millis reads a duration parameter in milliseconds, between low and high;
// absent is def.
func (rq *request) millis(name string, def, low, high time.Duration) (time.Duration, error) {
	n, err := rq.integer(name, def.Milliseconds(), low.Milliseconds(), high.Milliseconds())
	return time.Duration(n) * time.Millisecond, err
}

// integer reads a number parameter between low and high; absent is def.
func (rq *request) integer(name string, def, low, high int64) (int64, error) {
	if !rq.query.Has(name) {
		return def, nil
	}
	n, err := strconv.ParseInt(rq.query.Get(name), 10, 64)
	if err != nil || n < low || n > high {
		return 0, invalid("request.parameter", name, name+" must be a whole number from "+
			strconv.FormatInt(low, 10)+" to "+strconv.FormatInt(high, 10))
	}
	return n, nil
}

// page reads limit and cursor. A cursor is opaque: the last key of the page
// before, encoded.
func (rq *request) page() (limit int, after string, err error) {
	n, err := rq.integer("limit", 50, 1, 1000)
	if err != nil {
		return 0, "", err
	}
	raw, err := base64.RawURLEncoding.DecodeString(rq.query.Get("cursor"))
	if err != nil {
		return 0, "", invalid("request.cursor", "cursor", "the cursor is not one that this server gave")
	}
	return int(n), string(raw), nil
}

// pageOf makes a page of rows that were read one past the limit, and the cursor
// of the next.
func pageOf[T any](rows []T, limit int, key func(T) string) ([]T, string) {
	if len(rows) <= limit {
		return rows, ""
	}
	rows = rows[:limit]
	return rows, base64.RawURLEncoding.EncodeToString([]byte(key(rows[limit-1])))
}

// event is the audit event of this request, its outcome still open.
func (rq *request) event() audit.Event {
	e := audit.Event{
		Org:       rq.caller.Org,
		Parent:    rq.caller.Parent,
		Caller:    rq.caller.Name(),
		Action:    string(rq.route.verb),
		Object:    rq.object,
		Decision:  audit.Allowed,
		RequestID: rq.id,
	}
	if rt := rq.caller.Runtime; rt != nil {
		e.Workspace, e.Group, e.Runtime = rt.WorkspaceID, rt.Group, rt.ID
	}
	if rq.describe != nil {
		rq.describe(&e)
	}
	return e
}

// newRequestID takes the caller's id when it is a plain one, so that both
// sides' logs meet, else makes one.
func newRequestID(given string) string {
	if len(given) >= 1 && len(given) <= 128 && strings.Trim(given, idAlphabet) == "" {
		return given
	}
	return newID()
}

const idAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

// newID makes a uuid v7: unique, and in order of time.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

func queryValues(raw string) (url.Values, error) { return url.ParseQuery(raw) }

// ifMatch reads the version that an update is meant for; 0 is any.
func (rq *request) ifMatch() (int64, error) {
	tag := rq.Header.Get("If-Match")
	if tag == "" || tag == "*" {
		return 0, nil
	}
	n, err := strconv.ParseInt(strings.Trim(tag, `"`), 10, 64)
	if err != nil || n < 1 {
		return 0, invalid("request.if_match", "If-Match", "If-Match must be a version number")
	}
	return n, nil
}

// errStale is the answer to an update of a version that is not the newest.
var errStale = withHint(
	preconditionFailed("request.stale_version", "it has changed since that version"),
	"read it again and repeat the change",
)

// publicURL is where callers reach the server: as configured, else as this one
// did.
func (s *Server) publicURL(rq *request) *url.URL {
	if s.public != nil {
		u := *s.public
		return &u
	}
	u := &url.URL{Scheme: "http", Host: rq.Host}
	if rq.TLS != nil {
		u.Scheme = "https"
	}
	return u
}
