package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/strictjson"
	"github.com/bctrl-go/bctrl/internal/token"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// KeyPrefix marks an organization key, so that scanners of leaked secrets can
// find one.
const KeyPrefix = "bctrl_"

// ErrUnauthorized is the answer to whoever is nobody: it tells nobody why.
var ErrUnauthorized = WithHint(
	Unauthorized("auth.unauthorized", "the key is missing, wrong or revoked"),
	"send it as Authorization: Bearer <key>; bctrl keys create makes one",
)

// Authenticate finds who calls, from the headers of a request: an organization key
// or a runtime token, moved into a subaccount, bound to a runtime and lowered as the
// headers say. A key or token that is nobody's is [ErrUnauthorized], whatever is
// wrong with it; a genuine token that has ended, and headers that are wrong, have
// refusals of their own. With an error the caller is as far as it is known.
func (k *Kernel) Authenticate(ctx context.Context, h http.Header) (access.Caller, error) {
	key, ok := bearer(h)
	if !ok {
		return access.Caller{}, ErrUnauthorized
	}
	if token.Is(key) {
		return k.authenticateToken(ctx, key, h)
	}
	stored, err := k.DB.APIKeyByHash(ctx, sha256.Sum256([]byte(key)))
	if errors.Is(err, store.ErrNotFound) || k.isForged(err) || err == nil && !stored.RevokedAt.IsZero() {
		return access.Caller{}, ErrUnauthorized
	}
	if err != nil {
		return access.Caller{}, err
	}
	caller := access.Caller{Org: stored.Org, KeyID: stored.ID}
	if caller, err = k.actFor(ctx, caller, h); err != nil {
		return caller, err
	}
	return k.actAs(ctx, caller, h)
}

// isForged reports whether a caller has shown what rests on a row that this server
// did not write. The caller is answered as one who has nothing; the log tells.
func (k *Kernel) isForged(err error) bool {
	row, ok := errors.AsType[*store.ForgedError](err)
	if !ok {
		return false
	}
	k.Log.Error("a caller rests on a row that was changed outside the server", "kind", row.Kind, "id", row.UID)
	return true
}

func bearer(h http.Header) (string, bool) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, key, _ := strings.Cut(values[0], " ")
	return key, strings.EqualFold(scheme, "Bearer") && strings.HasPrefix(key, KeyPrefix)
}

// actFor moves the caller into the subaccount that BCTRL-Subaccount-Id names.
// Any other id is one refusal, whether or not it exists.
func (k *Kernel) actFor(ctx context.Context, c access.Caller, h http.Header) (access.Caller, error) {
	switch ids := h.Values(wire.HeaderSubaccount); {
	case len(ids) == 0:
		return c, nil
	case len(ids) > 1 || names.UUID(ids[0]) != nil:
		return c, Invalid("auth.subaccount", wire.Spelled(wire.HeaderSubaccount),
			"BCTRL-Subaccount-Id must be given once, and be a subaccount's id")
	default:
		sub, err := k.DB.Read().Subaccount(ctx, c.Org, ids[0])
		if errors.Is(err, store.ErrNotFound) || k.isForged(err) {
			return c, errNotSubaccount
		}
		c.Org, c.Parent = sub.ID, c.Org
		return c, err
	}
}

var errNotSubaccount = Forbidden(
	"auth.not_subaccount", "BCTRL-Subaccount-Id does not name a subaccount of the key's organization")

// actAs binds the caller to the runtime that BCTRL-Runtime names, lowered by
// BCTRL-Mounts.
func (k *Kernel) actAs(ctx context.Context, c access.Caller, h http.Header) (access.Caller, error) {
	ids, mounts := h.Values(wire.HeaderRuntime), h.Values(wire.HeaderMounts)
	if len(ids) == 0 && len(mounts) == 0 {
		return c, nil
	}
	if len(ids) != 1 {
		return c, Invalid("auth.runtime", wire.Spelled(wire.HeaderRuntime),
			"BCTRL-Runtime must be given once, also beside BCTRL-Mounts")
	}
	if names.UUID(ids[0]) != nil {
		return c, Invalid("auth.runtime", wire.Spelled(wire.HeaderRuntime), "BCTRL-Runtime must be a runtime's id")
	}
	rt, err := LiveRuntime(ctx, k.DB.Read(), c.Org, ids[0])
	if err != nil {
		return c, err
	}
	if rt, err = lowerByHeader(rt, h); err != nil {
		return c, err
	}
	c.Runtime = rt
	return c, nil
}

// lowerByHeader returns rt lowered by BCTRL-Mounts, if there are any.
func lowerByHeader(rt *access.Runtime, h http.Header) (*access.Runtime, error) {
	switch mounts := h.Values(wire.HeaderMounts); len(mounts) {
	case 0:
		return rt, nil
	case 1:
		narrower, err := ParseMountsHeader(mounts[0])
		if err == nil {
			err = CheckHosts(narrower)
		}
		if err != nil {
			return nil, err
		}
		return rt.Narrow(narrower)
	}
	return nil, Invalid("auth.mounts", wire.Spelled(wire.HeaderMounts), "BCTRL-Mounts must be given at most once")
}

// ParseMountsHeader reads the value of BCTRL-Mounts: mounts in JSON, in base64url
// with or without padding. It checks none of their rules but the grammar.
func ParseMountsHeader(text string) (m bctrl.Mounts, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return m, Invalid("auth.mounts", wire.Spelled(wire.HeaderMounts), "BCTRL-Mounts must be base64url")
	}
	if err := strictjson.Unmarshal(bytes.TrimSpace(raw), &m); err != nil {
		return m, BadJSON(err)
	}
	return m, nil
}
