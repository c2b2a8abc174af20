package bctrl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/bctrl-go/bctrl/internal/body"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// refusal is an error of the SDK's own checks.
func refusal(status int, code, field, message string) *Error {
	return &Error{
		Status:  status,
		Code:    code,
		Field:   field,
		Message: message,
	}
}

func (e *Error) hinted(hint string) *Error {
	e.Hint = hint
	return e
}

// fail names the route in an error.
func (x *exchange) fail(err error) error {
	e, known := errors.AsType[*Error](err)
	if !known {
		e = &Error{Code: "request.failed", Message: "the request cannot be sent", cause: err}
	}
	e.Method, e.PathTemplate = x.r.method, x.r.path
	return e
}

// noted remembers what [ResponseInfo] tells.
func (x *exchange) noted(resp *http.Response) {
	x.status, x.header = resp.StatusCode, resp.Header
	if id := resp.Header.Get(wire.HeaderRequestID); printable(id) && len(id) <= 200 {
		x.requestID = id
	}
}

// captured fills what [CaptureResponse] asked for.
func (x *exchange) captured() {
	if x.settings.capture == nil {
		return
	}
	*x.settings.capture = ResponseInfo{
		Status:         x.status,
		RequestID:      x.requestID,
		Attempts:       x.attempts,
		IdempotencyKey: x.settings.idempotencyKey,
		ETag:           x.header.Get("Etag"),
	}
}

// unanswered makes the error of a call that got no answer, or not all of one.
func (x *exchange) unanswered(ctx context.Context, err error) error {
	e := &Error{
		Code:      "transport.no_answer",
		Retryable: true,
		RequestID: x.requestID,
		cause:     withoutURL(err),
	}
	switch {
	case ctx.Err() != nil:
		e = endedBy(ctx)
		e.RequestID = x.requestID
	case errors.Is(err, errTooLong):
		e.Status, e.Code, e.Retryable = http.StatusRequestEntityTooLarge, "transport.answer_too_large", false
		e.Message = fmt.Sprintf("the answer is longer than %d MiB", x.r.longest()>>20)
	case errors.Is(err, body.ErrUnreadable):
		e.Status, e.Code, e.Message, e.Retryable = http.StatusBadRequest, "request.unreadable_body", e.cause.Error(), false
	default:
		e.Message = "no answer from the server: " + e.cause.Error()
	}
	return x.fail(e)
}

// endedBy is the error of what a context has ended, which is known to have done so.
func endedBy(ctx context.Context) *Error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &Error{Code: "transport.timeout", Message: "no answer in time", Retryable: true, cause: ctx.Err()}
	}
	return &Error{Code: codeCancelled, Message: "the call was cancelled", cause: ctx.Err()}
}

// withoutURL drops the address that net/http puts into its errors: it holds
// path variables and queries.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// refused makes the error of an answer that is not a success.
func (x *exchange) refused(resp *http.Response) error {
	e := &Error{}
	body, err := readBounded(resp.Body, resp.ContentLength, maxErrorAnswer)
	if err != nil || json.Unmarshal(body, e) != nil || e.Code == "" {
		*e = Error{Code: "http.status_" + strconv.Itoa(resp.StatusCode), Message: plainMessage(resp.StatusCode)}
	}
	e.Status = resp.StatusCode
	e.Retryable = retryable(e.Status, e.Code)
	if e.RequestID == "" || resp.Header.Get(wire.HeaderRequestID) != "" {
		e.RequestID = x.requestID
	}
	return x.fail(e)
}

// plainMessage stands for an answer that says nothing of its own: one of a
// proxy on the way, or of something that is no BCTRL server.
func plainMessage(status int) string {
	if status >= 300 && status < 400 {
		return "the server answered with a redirect, which is never followed"
	}
	text := http.StatusText(status)
	if text == "" {
		return "the server answered " + strconv.Itoa(status) + " and no explanation"
	}
	return "the server answered " + strconv.Itoa(status) + " " + text + " and no explanation"
}
