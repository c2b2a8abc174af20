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

// invalid is a refusal of what was sent. The message never holds the value.
func invalid(code, field, message string) *bctrl.Error {
	return &bctrl.Error{Status: http.StatusBadRequest, Code: code, Field: field, Message: message}
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

// notFound is the answer for a thing that is not there.
func notFound(code, message string) *bctrl.Error {
	return &bctrl.Error{Status: http.StatusNotFound, Code: code, Message: message}
}

// conflict is the answer when the state does not allow it.
func conflict(code, message string) *bctrl.Error {
	return &bctrl.Error{Status: http.StatusConflict, Code: code, Message: message}
}

// badJSON names the field that a body got wrong, never its value.
func badJSON(err error) error {
	var refused *bctrl.Error // by a type's own UnmarshalJSON
	if errors.As(err, &refused) {
		return refused
	}
	var e *strictjson.Error
	if !errors.As(err, &e) {
		return err
	}
	area := "request."
	if slices.Contains(strings.Split(e.Field, "."), "mounts") {
		area = "mounts." // as the SDK refuses the same text
	}
	return invalid(area+e.Code, e.Field, "the body is not what this request takes: "+e.Error())
}

// errInternal is all that a caller learns of a fault of the server's own.
var errInternal = &bctrl.Error{Status: http.StatusInternalServerError, Code: "server.internal", Message: "the server failed; its log has the request id"}

// errAbandoned is the end of a request whose caller left, or which the server's
// own end outran: no fault of the server.
var errAbandoned = &bctrl.Error{Status: http.StatusRequestTimeout, Code: "request.abandoned", Message: "the request ended before it was answered"}

// asError turns any error into the one that is answered.
func asError(err error) *bctrl.Error {
	var e *bctrl.Error
	var forged *store.ForgedError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &forged):
		return errTampered(tamperedCode(forged.Kind))
	case errors.As(err, &tooLarge):
		return &bctrl.Error{Status: http.StatusRequestEntityTooLarge, Code: "request.too_large", Message: "the body exceeds " + strconv.FormatInt(tooLarge.Limit, 10) + " bytes"}
	case errors.Is(err, seal.ErrLocked):
		return errLocked
	case errors.Is(err, store.ErrFull):
		return &bctrl.Error{Status: http.StatusServiceUnavailable, Code: "server.disk_full", Message: "the server's disk is full"}
	case errors.Is(err, store.ErrClosed):
		return &bctrl.Error{Status: http.StatusServiceUnavailable, Code: "server.stopping", Message: "the server is stopping"}
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
	return &bctrl.Error{
		Status: http.StatusInternalServerError, Code: code,
		Message: "the stored record was changed outside the server and is not used", Hint: "set it again, and look who can write to the data directory",
	}
}
