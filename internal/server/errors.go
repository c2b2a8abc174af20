package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/strictjson"
)

// refusal is an answer other than what was asked for. The message never holds a
// value that was sent.
func refusal(status int, code, message string) *bctrl.Error {
	return &bctrl.Error{Status: status, Code: code, Message: message}
}

// withHint adds to a new refusal what its caller can do about it.
func withHint(e *bctrl.Error, hint string) *bctrl.Error {
	e.Hint = hint
	return e
}

// withField adds to a new refusal the field that it is about.
func withField(e *bctrl.Error, field string) *bctrl.Error {
	e.Field = field
	return e
}

// invalid is the refusal of what was sent; field is empty where it is none alone.
func invalid(code, field, message string) *bctrl.Error {
	return withField(refusal(http.StatusBadRequest, code, message), field)
}

// notText is the refusal of what JSON could not give back: bytes that are no
// UTF-8. An empty field is the path.
func notText(field string) *bctrl.Error {
	what := field
	if what == "" {
		what = "the path"
	}
	return invalid("request.invalid_utf8", field, what+" is not UTF-8")
}

// unauthorized is the answer to a caller who is not known.
func unauthorized(code, message string) *bctrl.Error {
	return refusal(http.StatusUnauthorized, code, message)
}

// forbidden is the answer to a caller who may not do this.
func forbidden(code, message string) *bctrl.Error {
	return refusal(http.StatusForbidden, code, message)
}

// notFound is the answer for a thing that is not there.
func notFound(code, message string) *bctrl.Error {
	return refusal(http.StatusNotFound, code, message)
}

// timedOut is the answer when the caller's side did not come to an end in time.
func timedOut(code, message string) *bctrl.Error {
	return refusal(http.StatusRequestTimeout, code, message)
}

// conflict is the answer when the state does not allow it.
func conflict(code, message string) *bctrl.Error {
	return refusal(http.StatusConflict, code, message)
}

// preconditionFailed is the answer when what is stored is not what the request
// is made for.
func preconditionFailed(code, message string) *bctrl.Error {
	return refusal(http.StatusPreconditionFailed, code, message)
}

// tooLarge is the answer to a body over a limit.
func tooLarge(code, message string) *bctrl.Error {
	return refusal(http.StatusRequestEntityTooLarge, code, message)
}

// unprocessable is the answer to a request that is well formed and would end
// the same if it came again.
func unprocessable(code, message string) *bctrl.Error {
	return refusal(http.StatusUnprocessableEntity, code, message)
}

// tooManyRequests is the answer to what came too often; it may come again later.
func tooManyRequests(code, message string) *bctrl.Error {
	return refusal(http.StatusTooManyRequests, code, message)
}

// fault is the answer when something is wrong with the server or its data.
func fault(code, message string) *bctrl.Error {
	return refusal(http.StatusInternalServerError, code, message)
}

// badGateway is the answer when a provider gave none that is whole.
func badGateway(code, message string) *bctrl.Error {
	return refusal(http.StatusBadGateway, code, message)
}

// unavailable is the answer when the server cannot do it now.
func unavailable(code, message string) *bctrl.Error {
	return refusal(http.StatusServiceUnavailable, code, message)
}

// gatewayTimeout is the answer when what the server waited for took too long.
func gatewayTimeout(code, message string) *bctrl.Error {
	return refusal(http.StatusGatewayTimeout, code, message)
}

// badJSON names the field that a body got wrong, never its value.
func badJSON(err error) error {
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
	return invalid(area+e.Code, e.Field, "the body is not what this request takes: "+e.Error())
}

// errInternal is all that a caller learns of a fault of the server's own.
var errInternal = fault("server.internal", "the server failed; its log has the request id")

// errAbandoned is the end of a request whose caller left, or which the server's
// own end outran: no fault of the server.
var errAbandoned = timedOut("request.abandoned", "the request ended before it was answered")

// asError turns any error into the one that is answered.
func asError(err error) *bctrl.Error {
	if e, ok := errors.AsType[*bctrl.Error](err); ok {
		return e
	}
	if forged, ok := errors.AsType[*store.ForgedError](err); ok {
		return errTampered(tamperedCode(forged.Kind))
	}
	if tooLong, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge("request.too_large", "the body exceeds "+strconv.FormatInt(tooLong.Limit, 10)+" bytes")
	}
	switch {
	case errors.Is(err, seal.ErrLocked):
		return errLocked
	case errors.Is(err, store.ErrFull):
		return unavailable("server.disk_full", "the server's disk is full")
	case errors.Is(err, store.ErrClosed):
		return unavailable("server.stopping", "the server is stopping")
	}
	return errInternal
}

// encodeError is the body of an error answer.
func encodeError(e *bctrl.Error, requestID string) []byte {
	out := *e
	out.RequestID = requestID
	body, err := json.Marshal(&out)
	if err != nil {
		body, _ = json.Marshal(errInternal) // strings alone: cannot fail
	}
	return body
}

// unopened is the answer when a sealed record does not open.
func unopened(err error, code string) error {
	if errors.Is(err, seal.ErrTampered) {
		return errTampered(code)
	}
	return err
}

// tampered reports whether an error says that what is stored was changed outside
// the server.
func tampered(err error) bool { return err != nil && strings.HasSuffix(asError(err).Code, ".tampered") }

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
	case store.KindOperation:
		return "operations.tampered"
	case store.KindInvokeRate, store.KindCapabilityPolicy:
		return "capabilities.tampered"
	}
	return "storage.tampered"
}

// errTampered is the answer when a sealed record does not open: what is stored
// is not what was sealed.
func errTampered(code string) *bctrl.Error {
	return withHint(
		fault(code, "the stored record was changed outside the server and is not used"),
		"set it again, and look who can write to the data directory",
	)
}

var errStopping = unavailable("server.stopping", "the server is stopping")
