package calls

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// limitByPolicy returns a request with the limits of its capability as they are now.
// It refuses one whose capability permits something else than when it was decided
// about.
func (s *Service) limitByPolicy(ctx context.Context, tx *store.Tx, req providerRequest) (providerRequest, error) {
	if req.capability.ID == "" {
		return req, nil
	}
	now, err := s.capabilityIn(ctx, tx, req.caller.Org, req.capability.ID)
	if err != nil {
		return req, err
	}
	return req.limitedBy(now)
}

// limitedBy returns the request with the limits of now, which is its capability as
// it is read once more, and refuses it where that permits something else.
func (r providerRequest) limitedBy(now bctrl.Capability) (providerRequest, error) {
	if !samePermission(now, r.capability) {
		return r, errCapabilityChanged
	}
	r.capability.Policy = now.Policy
	if now.Policy == nil {
		return r, nil
	}
	if most := now.Policy.MaxResponseBytes; most > 0 {
		r.maxAnswer = min(r.maxAnswer, most)
	}
	if most := now.Policy.MaxRequestBytes; r.body != nil && most > 0 {
		return r, r.body.limitTo(most)
	}
	return r, nil
}

// samePermission reports whether two descriptions of a capability permit the
// same requests, with the same credential.
func samePermission(a, b bctrl.Capability) bool {
	return a.Credential == b.Credential && a.Model == b.Model &&
		slices.Equal(a.Methods, b.Methods) && slices.Equal(a.Paths, b.Paths) && slices.Equal(a.Hosts, b.Hosts)
}

var errCapabilityChanged = web.Conflict("capabilities.changed", "the capability was changed at this moment")

// countCall counts a call of a capability whose policy limits calls a minute, and
// refuses it where as many have begun as are permitted.
func countCall(ctx context.Context, tx *store.Tx, req providerRequest) error {
	p := req.capability.Policy
	if p == nil || p.CallsPerMinute == 0 {
		return nil
	}
	wait, err := tx.TakeCall(ctx, req.caller.Org, req.capability.ID, p.CallsPerMinute, time.Now())
	if err == nil && wait > 0 {
		err = &rateLimitedError{wait}
	}
	return err
}

// rateLimitedError refuses a call, and says after how long there is room for one.
type rateLimitedError struct{ wait time.Duration }

// Error implements error.
func (e *rateLimitedError) Error() string { return e.refusal().Error() }

// Unwrap returns the refusal.
func (e *rateLimitedError) Unwrap() error { return e.refusal() }

func (e *rateLimitedError) refusal() *bctrl.Error {
	return web.WithHint(
		web.TooManyRequests("invoke.rate_limited",
			"as many calls of this capability have begun as its policy permits in a minute"),
		"there is room for one in "+e.retryAfter()+" seconds",
	)
}

// retryAfter is the wait in whole seconds, rounded up, for the header Retry-After.
func (e *rateLimitedError) retryAfter() string {
	return strconv.FormatInt(int64((e.wait+time.Second-1)/time.Second), 10)
}
