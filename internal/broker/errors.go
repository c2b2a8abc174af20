package broker

import (
	"errors"
	"fmt"
)

// The kinds of failure. Most come in an [Error] that says more.
var (
	// ErrTarget: the target itself is malformed.
	ErrTarget = errors.New("not a usable provider address")
	// ErrRefused: the request does not belong to the target, or brings its own
	// authentication.
	ErrRefused = errors.New("request refused by the broker")
	// ErrAddress: the egress policy does not permit the provider's address.
	ErrAddress = errors.New("provider address refused by the egress policy")
	// ErrUnreachable: no whole answer came.
	ErrUnreachable = errors.New("provider unreachable")
	// ErrTimeout: the provider took too long to connect or to answer.
	ErrTimeout = errors.New("provider timed out")
	// ErrAnswer: the answer is a redirect, of another protocol, or in an encoding
	// that cannot be scrubbed.
	ErrAnswer = errors.New("provider answer refused")
	// ErrRedirect is the [ErrAnswer] of a redirect.
	ErrRedirect = fmt.Errorf("%w: a redirect", ErrAnswer)
	// ErrHeader: the answer's header is longer than any that is passed on.
	ErrHeader = fmt.Errorf("the header of the answer is longer than %d bytes", maxHeader)
	// ErrTooLarge: the answer is longer than the target allows.
	ErrTooLarge = errors.New("provider answer too large")
	// ErrUnsignable: the request's body is too long to be signed.
	ErrUnsignable = errors.New("request cannot be signed")
	// ErrSuperseded is what [Target.Rotated] returns when somebody has replaced or
	// deleted the secret in the meantime: theirs stands.
	ErrSuperseded = errors.New("the secret was replaced or deleted")
	// ErrToken: no access token could be had.
	ErrToken = errors.New("no access token")
	// ErrTokenRefused is the [ErrToken] of an endpoint that says no.
	ErrTokenRefused = fmt.Errorf("%w", ErrToken)
)

// Error is why a request was not sent, or has no answer that may be passed on.
type Error struct {
	// Kind is one of this package's errors.
	Kind error
	// Detail says more, and is safe to repeat: it holds no secret, and nothing
	// that a provider wrote.
	Detail string

	cause error
}

// Error implements error.
func (e *Error) Error() string { return e.Kind.Error() + ": " + e.Detail }

// Unwrap returns the kind, and the error that Detail repeats where it does one.
func (e *Error) Unwrap() []error {
	if e.cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.cause}
}

// fail returns an [Error] of a kind. A %w in the format is its cause too.
func fail(kind error, format string, args ...any) error {
	detail := fmt.Errorf(format, args...)
	return &Error{
		Kind:   kind,
		Detail: detail.Error(),
		cause:  errors.Unwrap(detail),
	}
}
