package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/token"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// The answers to a token that is genuine and has ended: its holder may know
// why. A forged one is answered like a wrong key.
var (
	errTokenExpired = Unauthorized("auth.token_expired", "the runtime token has expired")
	errTokenRevoked = Unauthorized("auth.token_revoked", "the runtime token was revoked")
	errTokenEnded   = Unauthorized(wire.CodeTokenEnded, "the runtime token's runtime has ended")
)

// errKeyRevoked is the end of what a key had running. Whoever calls with the key
// is answered as with any wrong one.
var errKeyRevoked = Unauthorized("auth.key_revoked", "the organization key was revoked")

// errEnded is the answer to a runtime caller whose runtime has ended: a token is
// nobody from then on, an organization key still is.
func errEnded(c access.Caller) *bctrl.Error {
	if c.Token != nil {
		return errTokenEnded
	}
	return ErrNotActive
}

// tokenKeyName names the root key of all tokens.
const tokenKeyName = "runtime-tokens"

// authenticateToken finds who calls with a runtime token. The caller is
// returned with an error too, once it is known, for the audit log.
func (k *Kernel) authenticateToken(ctx context.Context, text string, h http.Header) (access.Caller, error) {
	root, err := k.TokenKey.Get(ctx)
	if err != nil {
		return access.Caller{}, err
	}
	info, err := VerifyToken(root, text)
	if err != nil {
		return access.Caller{}, err
	}
	c := access.Caller{
		Org: info.Organization, Token: &access.Token{ID: info.ID, Expires: info.ExpiresAt},
		Runtime: &access.Runtime{ID: info.RuntimeID}, // without a chain, which permits nothing
	}
	if err := k.tokenLives(ctx, c); err != nil {
		return c, err
	}
	rt, err := LiveRuntime(ctx, k.DB.Read(), c.Org, info.RuntimeID)
	if errors.Is(err, ErrNotActive) {
		return c, errTokenEnded
	}
	if err != nil {
		return c, err
	}
	rt.Chain, rt.Launched = append(rt.Chain, info.Levels...), append(rt.Launched, info.Levels...)
	c.Runtime = rt
	another := func(v string) bool { return v != rt.ID }
	if slices.ContainsFunc(h.Values(wire.HeaderRuntime), another) || len(h.Values(wire.HeaderSubaccount)) > 0 {
		return c, ErrContextMismatch
	}
	narrower, err := lowerByHeader(rt, h)
	if err != nil {
		return c, err
	}
	c.Runtime = narrower
	return c, nil
}

// VerifyToken reads a token by the root key of all tokens. What is not genuine is
// [ErrUnauthorized]. It asks neither the clock nor the store: the token may have
// ended.
func VerifyToken(root []byte, text string) (*bctrl.TokenInfo, error) {
	t, err := token.Parse(text)
	if err != nil || !t.Genuine(root) {
		return nil, ErrUnauthorized
	}
	info, err := bctrl.InspectToken(bctrl.NewSecret(text))
	if err != nil {
		return nil, ErrUnauthorized // mounts that the SDK would not have written
	}
	return info, nil
}

// callerLives refuses a caller who has ended since it was authenticated: its key
// was revoked, the subaccount that it acts for was closed, its token has ended.
// A runtime that acts by itself, as for a page's download, has neither.
func (k *Kernel) callerLives(ctx context.Context, c access.Caller) error {
	if c.Token != nil || c.KeyID == "" {
		return k.tokenLives(ctx, c)
	}
	key, err := k.DB.Read().APIKey(ctx, cmp.Or(c.Parent, c.Org), c.KeyID)
	if errors.Is(err, store.ErrNotFound) || k.isForged(err) || err == nil && !key.RevokedAt.IsZero() {
		return errKeyRevoked
	}
	if err != nil || c.Parent == "" {
		return err
	}
	_, err = k.DB.Read().Subaccount(ctx, c.Parent, c.Org)
	if errors.Is(err, store.ErrNotFound) || k.isForged(err) {
		return errNotSubaccount
	}
	return err
}

// tokenLives refuses a caller whose token has expired or was revoked.
func (k *Kernel) tokenLives(ctx context.Context, c access.Caller) error {
	if c.Token == nil {
		return nil
	}
	if !time.Now().Before(c.Token.Expires) {
		return errTokenExpired
	}
	row, err := k.DB.Read().RuntimeToken(ctx, c.Org, c.Token.ID)
	switch {
	case errors.Is(err, store.ErrNotFound): // it went with its workspace
		return errTokenEnded
	case k.isForged(err):
		return ErrUnauthorized
	case err != nil:
		return err
	case !row.RevokedAt.IsZero():
		return errTokenRevoked
	}
	return nil
}
