package calls

import (
	"context"
	"errors"
	"net/http"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// callFailure turns the error of a call into what its caller may see; nil stays nil.
// An end of the call goes before the failure of its body, and that before what the
// broker says of both.
func callFailure(ctx context.Context, body *requestBody, err error) error {
	if err == nil {
		return nil
	}
	if why := web.EndedBecause(ctx); why != nil {
		return why
	}
	if body != nil {
		if why := body.failed.Load(); why != nil {
			return why // the broker says only that the request broke
		}
	}
	if _, ok := errors.AsType[*bctrl.Error](err); ok {
		return err
	}
	for _, f := range upstreamFailures {
		if errors.Is(err, f.kind) {
			return &failedCallError{refusal: f.refuse(err), cause: err}
		}
	}
	if ctx.Err() != nil {
		return web.ErrAbandoned
	}
	return err
}

// failedCallError is how a failed call is refused, and why it failed.
type failedCallError struct {
	refusal *bctrl.Error
	cause   error
}

// Error implements error.
func (e *failedCallError) Error() string { return e.refusal.Error() }

// Unwrap returns the refusal and the cause.
func (e *failedCallError) Unwrap() []error { return []error{e.refusal, e.cause} }

var errUpstreamTimeout = web.Refusal(http.StatusGatewayTimeout, "invoke.upstream_timeout",
	"the provider did not answer in time")

// upstreamFailure says how one kind of the broker's errors is refused.
type upstreamFailure struct {
	kind    error
	refusal *bctrl.Error
	// detailed is set where the refusal goes on with what the broker says.
	detailed bool
}

// refuse makes the refusal of an error.
func (f upstreamFailure) refuse(err error) *bctrl.Error {
	out := *f.refusal
	e, ok := errors.AsType[*broker.Error](err)
	switch {
	case !f.detailed || !ok:
	case e.Kind == f.kind:
		out.Message += ": " + e.Detail
	default: // the kind is that of what e wraps
		out.Message += ": " + e.Error()
	}
	return &out
}

// upstreamFailures are looked through in this order. Where asking again would change
// nothing, the status is one after which no provider's SDK asks again.
var upstreamFailures = []upstreamFailure{
	{
		kind: broker.ErrAddress,
		refusal: web.Forbidden(
			"invoke.address_refused",
			"the provider is at an address that the egress policy does not permit",
		),
		detailed: true,
	},
	{
		kind:     broker.ErrRedirect,
		refusal:  web.Unprocessable("invoke.redirect_refused", "the provider redirects, and a key follows no redirect"),
		detailed: true,
	},
	{
		kind:     broker.ErrTooLarge,
		refusal:  web.Unprocessable("invoke.response_too_large", "the provider's answer is too long"),
		detailed: true,
	},
	{
		kind: broker.ErrHeader,
		refusal: web.Unprocessable("invoke.response_header_too_large",
			"the provider's answer has a header that is longer than 64 KiB"),
	},
	{
		kind:     broker.ErrAnswer,
		refusal:  web.Unprocessable("invoke.answer_refused", "the provider's answer is refused"),
		detailed: true,
	},
	{kind: broker.ErrTimeout, refusal: errUpstreamTimeout},
	{
		kind:     broker.ErrUnreachable,
		refusal:  web.BadGateway("invoke.upstream_unreachable", "no whole answer came from the provider"),
		detailed: true,
	},
	{
		kind: broker.ErrRange,
		refusal: web.WithField(web.WithHint(
			web.Forbidden("invoke.range_refused",
				"a part of the answer is asked for in a way that could give away a secret in pieces"),
			"ask for the whole, or for one range of bytes where the capability's policy hides no fields",
		), "headers"),
	},
	{
		kind:     broker.ErrRefused,
		refusal:  web.Invalid("invoke.request_refused", "", "the request cannot be sent to this provider"),
		detailed: true,
	},
	{
		kind:     broker.ErrUnsignable,
		refusal:  web.TooLarge("invoke.unsignable", "the request cannot be signed"),
		detailed: true,
	},
	{
		kind: broker.ErrTokenRefused,
		refusal: web.WithHint(
			web.Unprocessable("credentials.no_token", "the provider gives no access token for this credential"),
			"the client's id, its secret or the refresh token is not the right one any more",
		),
		detailed: true,
	},
	{
		kind:     broker.ErrToken,
		refusal:  web.BadGateway("credentials.no_token", "the provider gives no access token for this credential"),
		detailed: true,
	},
	{
		kind:     broker.ErrTarget,
		refusal:  web.Conflict("credentials.unusable", "the credential cannot be used"),
		detailed: true,
	},
}
