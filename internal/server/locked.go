package server

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

// errLocked is the answer to what needs the key while the server has none.
var errLocked = withHint(
	unavailable(wire.CodeLocked, "the server is locked: it has no key to seal or open anything with"),
	"its operator unlocks it: bctrl unlock",
)

// unprovenCaller finds who calls one of those routes on a locked server that
// knows of no key. Unlocking asks again, before anything is unlocked.
func (s *Server) unprovenCaller(ctx context.Context, h http.Header) (access.Caller, error) {
	key, ok := bearer(h)
	actsFor := len(h.Values(wire.HeaderSubaccount)) + len(h.Values(wire.HeaderRuntime)) + len(h.Values(wire.HeaderMounts))
	if !ok || token.Is(key) || actsFor > 0 {
		return access.Caller{}, errLocked
	}
	stored, err := s.db.Read().Unproven().KeyByHash(ctx, sha256.Sum256([]byte(key)))
	if errors.Is(err, store.ErrNotFound) || err == nil && !stored.RevokedAt.IsZero() {
		return access.Caller{}, errUnauthorized
	}
	return access.Caller{Org: stored.Org, KeyID: stored.ID}, err
}

// unsealed makes the caller's organization able to seal and open. While the
// server is locked it reports so, for a route that works all the same.
func (s *Server) unsealed(rq *request) (locked bool, err error) {
	err = s.keys.Ensure(rq.Context(), rq.caller.Org)
	if errors.Is(err, seal.ErrLocked) && rq.route.withoutKey {
		return true, nil
	}
	return false, err
}

// isUnlocked refuses what cannot begin, or go on, while the server is locked.
func (s *Server) isUnlocked(context.Context, store.Queries, access.Caller) error {
	if s.custody.Locked() {
		return errLocked
	}
	return nil
}
