package web

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"

	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/token"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// ErrLocked is the answer to what needs the key while the server has none.
var ErrLocked = WithHint(
	Unavailable(wire.CodeLocked, "the server is locked: it has no key to seal or open anything with"),
	"its operator unlocks it: bctrl unlock",
)

// unprovenCaller finds who calls a route of [Route.ToUnlock] on a locked server,
// which can prove no stored key to be its own. Unlocking authenticates once more,
// before anything is unlocked.
func (k *Kernel) unprovenCaller(ctx context.Context, h http.Header) (access.Caller, error) {
	key, ok := bearer(h)
	actsFor := len(h.Values(wire.HeaderSubaccount)) + len(h.Values(wire.HeaderRuntime)) + len(h.Values(wire.HeaderMounts))
	if !ok || token.Is(key) || actsFor > 0 {
		return access.Caller{}, ErrLocked
	}
	stored, err := k.DB.Read().Unproven().KeyByHash(ctx, sha256.Sum256([]byte(key)))
	if errors.Is(err, store.ErrNotFound) || err == nil && !stored.RevokedAt.IsZero() {
		return access.Caller{}, ErrUnauthorized
	}
	return access.Caller{Org: stored.Org, KeyID: stored.ID}, err
}

// openKeysOf has the keys of the caller's organization at hand, to seal and open
// with. While the server is locked it reports so to a route that works all the
// same, and refuses any other.
func (k *Kernel) openKeysOf(rq *Request) (locked bool, err error) {
	err = k.Keys.Ensure(rq.Context(), rq.Caller.Org)
	if errors.Is(err, seal.ErrLocked) && rq.Route.WithoutKey {
		return true, nil
	}
	return false, err
}

// CheckUnlocked is a [Condition]: what it is required of cannot begin, or go on,
// while the server is locked.
func (k *Kernel) CheckUnlocked(context.Context, store.Queries, access.Caller) error {
	if k.Custody.Locked() {
		return ErrLocked
	}
	return nil
}
