package wire

import (
	"bytes"
	"encoding/json"
)

// Error is the body of every answer that is not a success. P is
// bctrl.Problem, which this package cannot import.
type Error[P any] struct {
	Error       ErrorText  `json:"error"`
	Code        string     `json:"code"`
	ReasonClass string     `json:"reasonClass"`
	RequestID   string     `json:"requestId,omitempty"`
	Hint        string     `json:"hint,omitempty"`
	Details     Details[P] `json:"details,omitzero"`
}

// ErrorText is what went wrong, in words: a string, or for the SDKs of providers
// an object that says the same under "message".
type ErrorText string

// UnmarshalJSON reads either form.
func (t *ErrorText) UnmarshalJSON(data []byte) error {
	var in struct{ Message string }
	if bytes.HasPrefix(data, []byte("{")) {
		err := json.Unmarshal(data, &in)
		*t = ErrorText(in.Message)
		return err
	}
	return json.Unmarshal(data, (*string)(t))
}

// CodeInProgress is the conflict that passes: an earlier attempt of the very
// same request, by its idempotency key, is still being answered.
const CodeInProgress = "request.in_progress"

// How work ends that was begun and not done: somebody cancelled it, or its
// runtime ended.
const (
	CodeCancelled    = "executions.cancelled"
	CodeRuntimeEnded = "runtimes.ended"
)

// What a runtime that has ended is called: to whoever may know of it, and to its
// own token, which has ended with it.
const (
	CodeNotActive  = "runtimes.not_active"
	CodeTokenEnded = "auth.runtime_ended"
)

// What a launch fails with where the server has no browser, or none that starts.
const (
	CodeNoBrowser    = "runtimes.no_browser"
	CodeLaunchFailed = "runtimes.launch_failed"
)

// Lasts reports whether a failure of the server's own, a 5xx, stays until
// somebody mends it, so that sending the same request again only takes time.
func Lasts(code string) bool {
	switch code {
	case CodeNoBrowser, CodeLaunchFailed, CodeLocked:
		return true
	}
	return false
}

// CodeLocked is the refusal of what needs the server's key while it has none.
const CodeLocked = "seal.locked"

// Details is the part of an [Error] that names everything that is wrong.
type Details[P any] struct {
	Problems []P `json:"problems,omitempty"`
}

// IsZero lets "omitzero" leave empty details out.
func (d Details[P]) IsZero() bool { return len(d.Problems) == 0 }

// reasonClasses pairs statuses with the coarse classes of the contract, the
// first of a class standing for it when only the class is known.
func reasonClasses() []struct {
	status int
	class  string
} {
	return []struct {
		status int
		class  string
	}{
		{400, "invalid_input"}, {422, "invalid_input"}, {401, "unauthorized"}, {403, "capability_denied"},
		{413, "capability_limit_exceeded"}, {429, "rate_limited"}, {404, "not_found"}, {409, "conflict"},
		{412, "conflict"}, {502, "upstream"}, {504, "upstream"}, {500, "server"},
	}
}

// ReasonClass returns the class of an HTTP status.
func ReasonClass(status int) string {
	for _, r := range reasonClasses() {
		if r.status == status {
			return r.class
		}
	}
	if status >= 400 && status < 500 {
		return "invalid_input"
	}
	return "server"
}

// StatusOf returns the status that stands for a class, 500 for an unknown one.
// An error inside an answer, as of a failed step, has a class and no status.
func StatusOf(class string) int {
	for _, r := range reasonClasses() {
		if r.class == class {
			return r.status
		}
	}
	return 500
}
