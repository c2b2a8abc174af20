package bctrl

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// The sentinels that [errors.Is] finds in an [*Error], whether the server or
// the SDK itself refused.
var (
	// ErrNotFound: the thing does not exist (404).
	ErrNotFound = errors.New("not found")
	// ErrUnauthorized: the caller is missing or unknown (401).
	ErrUnauthorized = errors.New("unauthorized")
	// ErrForbidden: the caller may not do this (403).
	ErrForbidden = errors.New("forbidden")
	// ErrConflict: the state does not allow it now (409, or a stale version, 412).
	ErrConflict = errors.New("conflict")
	// ErrInvalid: the request is malformed (400, 405, 416, 422).
	ErrInvalid = errors.New("invalid")
	// ErrRateLimited: too many requests (429).
	ErrRateLimited = errors.New("rate limited")
	// ErrUnavailable: the server cannot answer now (5xx, or no answer at all).
	// A call that was cancelled is not one of these: it matches the context's
	// own error.
	ErrUnavailable = errors.New("unavailable")
	// ErrTooLarge: the request or the answer exceeds a limit (413).
	ErrTooLarge = errors.New("too large")
	// ErrEnded: what was asked for was begun, and ended before it was done:
	// somebody cancelled the execution, or stopped its runtime.
	ErrEnded = errors.New("ended before it was done")
	// ErrWidening: mounts ask for more than the level above permits, or a
	// token's expiry for longer.
	ErrWidening = errors.New("mounts widen their ceiling")
	// ErrOutsideMount: the mounts do not permit the action.
	ErrOutsideMount = errors.New("outside the mounts")
)

// codeCancelled is the code of a call whose own context was cancelled.
const codeCancelled = "transport.cancelled"

// codeExpiryWidening is the code of an attenuation that would outlive its
// token.
const codeExpiryWidening = "tokens.expiry_widening"

// Error is the one error type of this package, for refusals by the server and
// by the SDK's own checks alike. Match it with [errors.Is] and a sentinel, or
// take it apart with [errors.As].
type Error struct {
	// Status is the HTTP status; for a local refusal the one that the server
	// would have answered, and 0 when there was no answer at all.
	Status int
	// Code is "area.name", for example "mounts.scope_widening".
	Code string
	// Message says what is wrong. It never holds a rejected value.
	Message string
	// Field is the path of the offending field: "mounts.vault.allow[0]".
	Field string
	// Witness is an action that the request would permit and its ceiling does
	// not (semantics: the witness). Empty unless mounts were refused.
	Witness string
	// Hint says what to do about it.
	Hint string
	// RequestID is the server's id of the request, for its operator.
	RequestID string
	// Method and PathTemplate name the route: "GET", "/v1/vault/{key}". Values
	// of path variables are not part of it.
	Method, PathTemplate string
	// Retryable reports whether the same request may succeed later.
	Retryable bool
	// Problems lists everything that is wrong when the check found more than
	// the first problem, which Code, Field and Witness name.
	Problems []Problem

	cause error
}

// Problem is one of several things wrong with a request.
type Problem struct {
	// Code is the problem's name, as in [Error.Code].
	Code string `json:"code"`
	// Field is the path of the offending field.
	Field string `json:"field,omitempty"`
	// Value is the refused text. Only mounts are quoted: they are policy, not
	// secrets.
	Value string `json:"value,omitempty"`
	// Witness is an action that shows the widening.
	Witness string `json:"witness,omitempty"`
	// Ceiling is the level above, as text.
	Ceiling string `json:"ceiling,omitempty"`
	// Hint says what to do about it.
	Hint string `json:"hint,omitempty"`
}

// Error returns one line: what was called, the code, what is wrong and the
// hint. It never holds a body, a query or a secret.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("bctrl: ")
	if e.Method != "" {
		b.WriteString(e.Method + " " + e.PathTemplate + ": ")
	}
	if e.Code != "" {
		b.WriteString(e.Code + ": ")
	}
	b.WriteString(e.Message)
	for i, p := range e.problems() {
		if i > 0 {
			b.WriteString("; " + p.Code)
		}
		p.writeTo(&b)
	}
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	if e.RequestID != "" {
		b.WriteString(" [request " + e.RequestID + "]")
	}
	return oneLine(b.String())
}

// problems returns the problems, the first of which Code, Field and Witness
// name.
func (e *Error) problems() []Problem {
	if len(e.Problems) > 0 {
		return e.Problems
	}
	if e.Field == "" && e.Witness == "" {
		return nil
	}
	return []Problem{{Code: e.Code, Field: e.Field, Witness: e.Witness}}
}

func (p Problem) writeTo(b *strings.Builder) {
	for _, part := range []struct{ name, text string }{
		{"field", p.Field}, {"value", p.Value}, {"witness", p.Witness}, {"ceiling", p.Ceiling},
	} {
		if part.text != "" {
			b.WriteString(" " + part.name + " " + part.text)
		}
	}
}

// oneLine keeps text that came from outside from forging a second line.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}

// LogValue implements [slog.LogValuer] with the fields of the error.
func (e *Error) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("code", e.Code), slog.Int("status", e.Status),
		slog.String("message", oneLine(e.Message))}
	for _, a := range []slog.Attr{
		slog.String("field", e.Field), slog.String("witness", e.Witness), slog.String("requestId", e.RequestID),
		slog.String("method", e.Method), slog.String("path", e.PathTemplate),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	return slog.GroupValue(attrs...)
}

// Unwrap returns what caused the error: a transport error or a cancelled
// context, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether e belongs to the class that target names.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return e.Status == http.StatusNotFound
	case ErrUnauthorized:
		return e.Status == http.StatusUnauthorized
	case ErrForbidden:
		return e.Status == http.StatusForbidden
	case ErrConflict:
		return e.Status == http.StatusConflict || e.Status == http.StatusPreconditionFailed
	case ErrInvalid:
		return malformed(e.Status) && !e.ended()
	case ErrEnded:
		return e.ended()
	case ErrRateLimited:
		return e.Status == http.StatusTooManyRequests
	case ErrUnavailable:
		return e.Status >= 500 || e.Status == 0 && e.Code != codeCancelled
	case ErrTooLarge:
		return e.Status == http.StatusRequestEntityTooLarge
	case ErrWidening:
		return e.hasCode("mounts.scope_widening", "mounts.denied_by_ceiling", codeExpiryWidening)
	case ErrOutsideMount:
		return e.Status == http.StatusForbidden && strings.HasSuffix(e.Code, "outside_mount")
	}
	return false
}

func malformed(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusRequestedRangeNotSatisfiable,
		http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// ended goes by the code: no status says that a request was well formed, was
// begun and cannot be asked for again.
func (e *Error) ended() bool { return e.Code == wire.CodeCancelled || e.Code == wire.CodeRuntimeEnded }

func (e *Error) hasCode(codes ...string) bool {
	for _, code := range codes {
		if e.Code == code {
			return true
		}
		for _, p := range e.Problems {
			if p.Code == code {
				return true
			}
		}
	}
	return false
}

// MarshalJSON writes the error as the server's API does: error, code,
// reasonClass, requestId, hint and details.problems.
func (e *Error) MarshalJSON() ([]byte, error) {
	w := wire.Error[Problem]{
		Error:       wire.ErrorText(e.Message),
		Code:        e.Code,
		ReasonClass: wire.ReasonClass(e.Status),
		RequestID:   e.RequestID,
		Hint:        e.Hint,
	}
	w.Details.Problems = e.problems()
	return json.Marshal(w)
}

// UnmarshalJSON reads what [Error.MarshalJSON] writes, and what the server
// writes in its place to the SDKs of providers. The first problem sets
// Field and Witness. Status becomes the one that stands for the reasonClass:
// an error inside an answer has no status of its own.
func (e *Error) UnmarshalJSON(data []byte) error {
	var w wire.Error[Problem]
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	*e = Error{
		Status:    wire.StatusOf(w.ReasonClass),
		Code:      w.Code,
		Message:   string(w.Error),
		Hint:      w.Hint,
		RequestID: w.RequestID,
		Problems:  w.Details.Problems,
	}
	if len(e.Problems) > 0 {
		e.Field, e.Witness = e.Problems[0].Field, e.Problems[0].Witness
	}
	e.Retryable = retryable(e.Status, e.Code)
	return nil
}
