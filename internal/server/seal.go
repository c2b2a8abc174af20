package server

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Server) sealRoutes() []web.Route {
	return []web.Route{
		web.Endpoint("GET /v1/seal", access.SealRead, s.sealStatus),
		web.Endpoint("POST /v1/seal/lock", access.SealWrite, s.lockSeal),
		web.Endpoint("POST /v1/seal/unlock", access.SealWrite, s.unlockSeal),
		web.Endpoint("POST /v1/seal/rotate", access.SealWrite, s.rotateSeal),
	}
}

// lockedUse says for whom a route works while the server is locked.
type lockedUse int

const (
	// proven is an organization key that was genuine when the server was locked. A
	// server that started locked knows of none.
	proven lockedUse = iota + 1
	// unproven is any organization key in the store, also one of which nobody can tell,
	// while the master key is away, whether this server made it.
	unproven
)

// whileLocked is the table of the routes that work while the server is locked, for
// organization keys alone. They read no secret, or they stop or revoke something.
// Every other route is refused, those that are yet to come included. Rows are
// believed there when they were genuine at the lock, or have ended since. Files are
// not in the table: whose they are cannot be told without the master key.
func whileLocked() map[string]lockedUse {
	return map[string]lockedUse{
		"GET /v1/seal":         unproven,
		"POST /v1/seal/unlock": unproven,
		"GET /v1/nodes":        unproven,
		"POST /v1/seal/lock":   proven,

		"GET /v1/self":                  proven,
		"GET /v1/keys":                  proven,
		"DELETE /v1/keys/{id}":          proven,
		"DELETE /v1/tokens/{id}":        proven,
		"GET /v1/subaccounts":           proven,
		"GET /v1/audit":                 proven,
		"GET /v1/audit/export":          proven,
		"GET /v1/audit/stream":          proven,
		"GET /v1/vault":                 proven,
		"GET /v1/browser-profiles":      proven,
		"GET /v1/browser-profiles/{id}": proven,

		"GET /v1/workspaces":                                proven,
		"GET /v1/workspaces/{id}":                           proven,
		"GET /v1/workspaces/{id}/state":                     proven,
		"GET /v1/workspaces/{id}/runtimes":                  proven,
		"GET /v1/workspaces/{id}/runtimes/{alias}":          proven,
		"POST /v1/workspaces/{id}/runtimes/{alias}/explain": proven,
		"POST /v1/workspaces/{id}/runtimes/{alias}/stop":    proven,

		"GET /v1/operations/{id}":         proven,
		"POST /v1/operations/{id}/wait":   proven,
		"POST /v1/operations/{id}/cancel": proven,
	}
}

// forgetKeys lets go of what was opened with the master key, and ends what is
// underway and needs it. It is called when the server is locked.
func (s *Server) forgetKeys() {
	s.files.ForgetLinkKey()
	s.TokenKey.Forget()
	s.NodeKey.Forget()
	if s.peers != nil {
		s.peers.Forget()
	}
	s.broker.Forget()
	s.calls.Forget()
	s.EndKeyed()
}

// requireOperator refuses a caller that is not the operator: the organization that the
// server's first run made, with a key of its own.
func (s *Server) requireOperator(ctx context.Context, rq *web.Request) error {
	return s.requireOperatorFor(ctx, rq, "", errNotOperator)
}

// requireOperatorFor is requireOperator for an object of the route's right, with the refusal
// of who is not the operator.
func (s *Server) requireOperatorFor(ctx context.Context, rq *web.Request, object string, refusal error) error {
	if err := rq.Authorize(object); err != nil {
		return err
	}
	q := s.DB.Read()
	if rq.Unproven {
		q = q.Unproven()
	}
	operator, err := q.OperatorOrganization(ctx)
	if errors.Is(err, store.ErrNotFound) || err == nil && operator.ID != rq.Caller.Org {
		err = refusal
	}
	return err
}

var errNotOperator = web.WithHint(
	web.Forbidden("seal.not_operator", "the master key is the operator's"),
	"use a key of the organization that the server's first run made, for itself",
)

func (s *Server) sealStatus(ctx context.Context, rq *web.Request, _ web.None) (out bctrl.SealStatus, err error) {
	if err := s.requireOperator(ctx, rq); err != nil {
		return out, err
	}
	return s.Custody.Status(ctx, s.DB.Read())
}

// lockSeal records the lock before it is done, so that the log is signed up to it. The
// record locks the other nodes too.
// The answer is not kept for a caller who sends the request twice: by then there is
// no key to seal it with.
func (s *Server) lockSeal(ctx context.Context, rq *web.Request, _ web.None) (out bctrl.SealStatus, err error) {
	if err := s.requireOperator(ctx, rq); err != nil {
		return out, err
	}
	rq.Object = "lock"
	rq.KeepNoAnswer()
	rq.MarkRecorded()
	lock := func(tx *store.Tx) (audit.Event, error) {
		tx.LockAll()
		return rq.Event(), nil
	}
	err = s.UseFound(ctx, lock, func() error {
		s.Custody.Lock()
		return nil
	})
	if err == nil {
		err = s.Obey(ctx, store.RuleChange{})
	}
	if err != nil {
		return out, err
	}
	return s.Custody.Status(ctx, s.DB.Read())
}

// How often somebody may try to unlock the server: five times at once, then every two
// seconds. A passphrase is weak against whoever may try many.
const (
	unlockEvery = 2 * time.Second
	unlockBurst = 5
)

func (s *Server) unlockSeal(ctx context.Context, rq *web.Request, in wire.SealKey) (out bctrl.SealStatus, err error) {
	if err := s.requireOperator(ctx, rq); err != nil {
		return out, err
	}
	rq.Object = "unlock"
	rq.KeepNoAnswer()
	given, err := s.givenKey(in)
	if err != nil {
		return out, err
	}
	if s.Custody.Locked() {
		if !s.unlocks.Allow() {
			return out, web.WithHint(
				web.TooManyRequests("seal.too_many_attempts", "too many attempts to unlock the server"),
				"one more is taken every "+unlockEvery.String(),
			)
		}
		rq.MarkRecorded()
		err := s.Use(ctx, rq.Event(), func() error {
			return s.sealError(rq, s.Custody.Unlock(ctx, given, func() error {
				if err := s.proveOperator(ctx, rq); err != nil {
					return err
				}
				return s.takeOver(ctx)
			}))
		})
		if err != nil {
			return out, err
		}
	}
	return s.Custody.Status(ctx, s.DB.Read())
}

// proveOperator decides about whoever unlocks once more, before the server is
// unlocked but with the key at hand: only now can it be told whether the caller's
// own key is one that this server made.
func (s *Server) proveOperator(ctx context.Context, rq *web.Request) (err error) {
	if rq.Caller, err = s.Authenticate(ctx, rq.Header); err != nil {
		return err
	}
	rq.Unproven = false
	return s.requireOperator(ctx, rq)
}

func (s *Server) rotateSeal(ctx context.Context, rq *web.Request, in wire.SealKey) (out bctrl.SealStatus, err error) {
	if err := s.requireOperator(ctx, rq); err != nil {
		return out, err
	}
	given, err := s.givenKey(in)
	if err != nil {
		return out, err
	}
	rq.Object = "rotate"
	rq.MarkRecorded()
	answered := func(ctx context.Context, write func(*store.Tx) error) error {
		return s.DB.Write(ctx, func(tx *store.Tx) error {
			if err := write(tx); err != nil {
				return err
			}
			if out, err = s.Custody.Status(ctx, tx.Queries); err != nil {
				return err
			}
			return rq.KeepAnswer(ctx, tx, out)
		})
	}
	err = s.Use(ctx, rq.Event(), func() error {
		return s.sealError(rq, s.Custody.Rotate(ctx, given, answered))
	})
	if err == nil {
		err = s.Obey(ctx, store.RuleChange{})
	}
	return out, err
}

// givenKey is the passphrase or the key that a body gives. The one that the server's
// key is not made of is refused.
func (s *Server) givenKey(in wire.SealKey) (bctrl.Secret, error) {
	byPassphrase := s.Custody.Source() == bctrl.SealPassphrase
	if byPassphrase && !in.Key.IsZero() {
		return bctrl.Secret{}, web.Invalid("seal.key_not_taken", "key", "the server's key is made of a passphrase")
	}
	if !byPassphrase && !in.Passphrase.IsZero() {
		return bctrl.Secret{}, web.Invalid("seal.passphrase_not_taken", "passphrase",
			"the server's key is not made of a passphrase")
	}
	if byPassphrase {
		return bctrl.NewSecret(in.Passphrase.Reveal()), nil
	}
	return bctrl.NewSecret(in.Key.Reveal()), nil
}

// sealError is the answer to what went wrong with the master key. What an operator
// has to see to on the machine is logged too.
func (s *Server) sealError(rq *web.Request, err error) error {
	logged := func(e *bctrl.Error) error {
		s.Log.Error("the key could not be changed", "requestId", rq.ID, "error", err)
		return web.WithHint(e, cmp.Or(e.Hint, "the server's log says more"))
	}
	_, ofFile := errors.AsType[*fs.PathError](err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, seal.ErrWrongKey):
		return web.Forbidden("seal.wrong_key", "the data is sealed under another key")
	case errors.Is(err, seal.ErrPassphrase):
		return web.Invalid("seal.invalid_passphrase", "passphrase", "a new passphrase has 12 characters or more")
	case errors.Is(err, custody.ErrPassphraseNeeded):
		return web.Invalid("seal.passphrase_required", "passphrase", "the passphrase is missing")
	case errors.Is(err, custody.ErrKeyNeeded):
		return web.Invalid("seal.key_required", "key",
			"the text of the new key is missing: the server cannot put it into its environment")
	case errors.Is(err, custody.ErrNotTaken):
		return web.Invalid("seal.key_not_taken", "key", "the server makes the new key itself, for its key file")
	case errors.Is(err, custody.ErrSameKey):
		return web.Conflict("seal.same_key", "the new key is the one in use")
	case errors.Is(err, audit.ErrHeadMissing), errors.Is(err, audit.ErrHeadForged), errors.Is(err, audit.ErrOlder):
		return logged(web.WithHint(web.Conflict("seal.log_refused", "the audit log is not the one that was signed last"),
			"where that was meant, as after a restore, stop the server and run 'bctrl audit accept'"))
	case errors.Is(err, seal.ErrTampered):
		return logged(web.Fault("seal.tampered", "a data key was changed outside the server"))
	case errors.Is(err, seal.ErrBadKey):
		return logged(web.Invalid("seal.invalid_key", "", "what is given, or stored, is not a key"))
	case errors.Is(err, seal.ErrTooOpen), ofFile:
		return logged(web.Conflict("seal.key_file", "the key file, or its folder, cannot be used"))
	}
	return err
}
