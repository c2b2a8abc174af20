package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/strictjson"
)

// Refusal is an answer other than what was asked for, with an HTTP status. The
// message never holds a value that was sent. Use the constructor that is named for
// the status, where there is one.
func Refusal(status int, code, message string) *bctrl.Error {
	return &bctrl.Error{Status: status, Code: code, Message: message}
}

// WithHint adds to a new refusal what its caller can do about it.
func WithHint(e *bctrl.Error, hint string) *bctrl.Error {
	e.Hint = hint
	return e
}

// WithField adds to a new refusal the field that it is about.
func WithField(e *bctrl.Error, field string) *bctrl.Error {
	e.Field = field
	return e
}

// Invalid is the refusal of what was sent; field is empty where it is none alone.
func Invalid(code, field, message string) *bctrl.Error {
	return WithField(Refusal(http.StatusBadRequest, code, message), field)
}

// NotUTF8 is the refusal of what JSON could not give back: bytes that are no
// UTF-8. An empty field is the path.
func NotUTF8(field string) *bctrl.Error {
	what := field
	if what == "" {
		what = "the path"
	}
	return Invalid("request.invalid_utf8", field, what+" is not UTF-8")
}

// Unauthorized is the answer to a caller who is not known.
func Unauthorized(code, message string) *bctrl.Error {
	return Refusal(http.StatusUnauthorized, code, message)
}

// Forbidden is the answer to a caller who may not do this.
func Forbidden(code, message string) *bctrl.Error {
	return Refusal(http.StatusForbidden, code, message)
}

// NotFound is the answer for a thing that is not there.
func NotFound(code, message string) *bctrl.Error {
	return Refusal(http.StatusNotFound, code, message)
}

// TimedOut is the answer when the caller's side did not come to an end in time.
func TimedOut(code, message string) *bctrl.Error {
	return Refusal(http.StatusRequestTimeout, code, message)
}

// Conflict is the answer when the state does not allow it.
func Conflict(code, message string) *bctrl.Error {
	return Refusal(http.StatusConflict, code, message)
}

// PreconditionFailed is the answer when what is stored is not what the request
// is made for.
func PreconditionFailed(code, message string) *bctrl.Error {
	return Refusal(http.StatusPreconditionFailed, code, message)
}

// TooLarge is the answer to a body over a limit.
func TooLarge(code, message string) *bctrl.Error {
	return Refusal(http.StatusRequestEntityTooLarge, code, message)
}

// Unprocessable is the answer to a request that is well formed and would end
// the same if it came again.
func Unprocessable(code, message string) *bctrl.Error {
	return Refusal(http.StatusUnprocessableEntity, code, message)
}

// TooManyRequests is the answer to what came too often; it may come again later.
func TooManyRequests(code, message string) *bctrl.Error {
	return Refusal(http.StatusTooManyRequests, code, message)
}

// Fault is the answer when something is wrong with the server or its data.
func Fault(code, message string) *bctrl.Error {
	return Refusal(http.StatusInternalServerError, code, message)
}

// BadGateway is the answer when a provider gave none that is whole.
func BadGateway(code, message string) *bctrl.Error {
	return Refusal(http.StatusBadGateway, code, message)
}

// Unavailable is the answer when the server cannot do it now.
func Unavailable(code, message string) *bctrl.Error {
	return Refusal(http.StatusServiceUnavailable, code, message)
}

// GatewayTimeout is the answer when what the server waited for took too long.
func GatewayTimeout(code, message string) *bctrl.Error {
	return Refusal(http.StatusGatewayTimeout, code, message)
}

// BadJSON is the refusal of a body that strictjson did not read: it names the field
// that is wrong, never its value. Any other error comes back as it is.
func BadJSON(err error) error {
	if refused, ok := errors.AsType[*bctrl.Error](err); ok { // by a type's own UnmarshalJSON
		return refused
	}
	e, ok := errors.AsType[*strictjson.Error](err)
	if !ok {
		return err
	}
	area := "request."
	if slices.Contains(strings.Split(e.Field, "."), "mounts") {
		area = "mounts." // as the SDK refuses the same text
	}
	return Invalid(area+e.Code, e.Field, "the body is not what this request takes: "+e.Error())
}

// ErrInternal is all that a caller learns of a fault of the server's own.
var ErrInternal = Fault("server.internal", "the server failed; its log has the request id")

// ErrAbandoned is the end of a request whose caller left, or which the server's
// own end outran: no fault of the server.
var ErrAbandoned = TimedOut("request.abandoned", "the request ended before it was answered")

// AsError turns any error into the one that is answered: a refusal into itself, what
// the store and the seals fail with into theirs, all else into [ErrInternal].
func AsError(err error) *bctrl.Error {
	if e, ok := errors.AsType[*bctrl.Error](err); ok {
		return e
	}
	if forged, ok := errors.AsType[*store.ForgedError](err); ok {
		return Tampered(tamperedCode(forged.Kind))
	}
	if tooLong, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return TooLarge("request.too_large", "the body exceeds "+strconv.FormatInt(tooLong.Limit, 10)+" bytes")
	}
	switch {
	case errors.Is(err, seal.ErrLocked):
		return ErrLocked
	case errors.Is(err, store.ErrFull):
		return Unavailable("server.disk_full", "the server's disk is full")
	case errors.Is(err, store.ErrUnavailable):
		return Unavailable("server.database_unavailable", "the server's database does not answer; whether this was done "+
			"shows when it does")
	case errors.Is(err, store.ErrReadOnly):
		return Unavailable("server.database_read_only", "the server's database takes no writes now")
	case errors.Is(err, store.ErrFenced):
		return cluster.ErrLeaseLost
	case errors.Is(err, store.ErrClosed):
		return ErrStopping
	}
	return ErrInternal
}

// EncodeError encodes the body of an error answer, with the request's id.
func EncodeError(e *bctrl.Error, requestID string) []byte {
	out := *e
	out.RequestID = requestID
	body, err := json.Marshal(&out)
	if err != nil {
		body, _ = json.Marshal(ErrInternal) // strings alone: cannot fail
	}
	return body
}

// Unopened is the error of a seal that did not open a record, as it is answered:
// one that was changed is [Tampered] with the code, any other comes back as it is.
func Unopened(err error, code string) error {
	if errors.Is(err, seal.ErrTampered) {
		return Tampered(code)
	}
	return err
}

// IsTampered reports whether an error says that what is stored was changed outside
// the server.
func IsTampered(err error) bool {
	return err != nil && strings.HasSuffix(AsError(err).Code, ".tampered")
}

// tamperedCode is the code of a row that is not as the server wrote it.
func tamperedCode(kind string) string {
	switch kind {
	case store.KindAPIKey:
		return "keys.tampered"
	case store.KindOrganization:
		return "subaccounts.tampered"
	case store.KindWorkspace, store.KindMountPin:
		return "workspaces.tampered"
	case store.KindRuntime:
		return "runtimes.tampered"
	case store.KindRuntimeToken:
		return "tokens.tampered"
	case store.KindProfile:
		return "profiles.tampered"
	case store.KindOperation, store.KindCachedTask:
		return "operations.tampered"
	case store.KindEvent:
		return "events.tampered"
	case store.KindWebhook, store.KindDelivery:
		return "webhooks.tampered"
	case store.KindInvokeRate, store.KindCapabilityPolicy:
		return "capabilities.tampered"
	}
	return "storage.tampered"
}

// Tampered is the answer when a sealed record does not open: what is stored
// is not what was sealed.
func Tampered(code string) *bctrl.Error {
	return WithHint(
		Fault(code, "the stored record was changed outside the server and is not used"),
		"set it again, and look who can write to the data directory",
	)
}

// ErrStopping is the answer to what the end of the server cuts short.
var ErrStopping = Unavailable("server.stopping", "the server is stopping")
