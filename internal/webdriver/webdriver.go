// Package webdriver reads and writes what is said over WebDriver
// (https://www.w3.org/TR/webdriver2/), as far as whoever stands between a client and
// its driver has to: what a new session asks for, which session was made, and how a
// client is refused.
package webdriver

import (
	"encoding/json"
	"net/http"

	"github.com/bctrl-go/bctrl"
)

// Error codes of WebDriver §6.6.
const (
	NotCreated      = "session not created"
	InvalidSession  = "invalid session id"
	InvalidArgument = "invalid argument"
	UnknownCommand  = "unknown command"
	UnknownError    = "unknown error"
)

// statuses are what the errors are answered with.
var statuses = map[string]int{
	NotCreated:      http.StatusInternalServerError,
	InvalidSession:  http.StatusNotFound,
	InvalidArgument: http.StatusBadRequest,
	UnknownCommand:  http.StatusNotFound,
	UnknownError:    http.StatusInternalServerError,
}

// value is the envelope of every answer.
type value[T any] struct {
	Value T `json:"value"`
}

// refused is the value of an error. Clients show its message alone.
type refused struct {
	Error      string `json:"error"`
	Message    string `json:"message"`
	Stacktrace string `json:"stacktrace"`
	Data       data   `json:"data"`
}

// data repeats what programs may ask a refusal for.
type data struct {
	Code      string `json:"code"`
	Field     string `json:"field,omitempty"`
	Hint      string `json:"hint,omitempty"`
	RequestID string `json:"requestId,omitempty"`
}

// Refusal is how a client of WebDriver is told of a refusal: an error of WebDriver with
// the status that it has there, and in its message the code of ours and the hint.
func Refusal(name string, e *bctrl.Error, requestID string) (status int, body []byte) {
	message := e.Code + ": " + e.Message
	if e.Field != "" {
		message += " (" + e.Field + ")"
	}
	if e.Hint != "" {
		message += "; " + e.Hint
	}
	body, err := json.Marshal(value[refused]{refused{
		Error:   name,
		Message: message,
		Data:    data{e.Code, e.Field, e.Hint, requestID},
	}})
	if err != nil { // text is always written
		return http.StatusInternalServerError, nil
	}
	return statuses[name], body
}

// Null is the answer of a command that returns nothing.
func Null() []byte { return []byte(`{"value":null}`) }

// Status is the answer to who asks whether a session can be made.
func Status(ready bool, message string) ([]byte, error) {
	type status struct {
		Ready   bool   `json:"ready"`
		Message string `json:"message"`
	}
	return json.Marshal(value[status]{status{ready, message}})
}

// ClosedLast reports whether an answer to the closing of a window says that none is
// left, with which the session has ended.
func ClosedLast(answer []byte) bool {
	var left value[[]string]
	return json.Unmarshal(answer, &left) == nil && left.Value != nil && len(left.Value) == 0
}
