package server

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// changeSecret changes the secret that the path names. When fn leaves it as it
// was, nothing is written but the event.
func (s *Server) changeSecret(
	ctx context.Context, rq *request, fn func(tx *store.Tx, sec *secret, ev *audit.Event) (changed bool, err error),
) (bctrl.SecretInfo, error) {
	return changeRules(ctx, s, rq, func(tx *store.Tx, ev *audit.Event) (bctrl.SecretInfo, error) {
		sec, err := s.findSecret(ctx, tx.Queries, rq.caller.Org, rq.object)
		if err != nil {
			return bctrl.SecretInfo{}, err
		}
		about(ev, sec.meta.Scope)
		changed, err := fn(tx, &sec, ev)
		if err == nil && changed {
			err = s.writeSecret(ctx, tx, rq.caller.Org, &sec)
		}
		if err != nil {
			return bctrl.SecretInfo{}, err
		}
		ev.UID, ev.Version = sec.row.ID, sec.row.Version
		return s.describeSecret(ctx, tx.Queries, rq.caller.Org, sec)
	})
}

// writeSecret stores what a secret has become.
func (s *Server) writeSecret(ctx context.Context, tx *store.Tx, org string, sec *secret) error {
	if err := s.sealSecret(org, sec); err != nil {
		return err
	}
	err := tx.UpdateSecret(ctx, org, sec.row, sec.meta.index())
	if errors.Is(err, store.ErrExists) {
		err = errSecretExists()
	}
	return err
}

// aboutSecret authorises what the path names.
func (s *Server) aboutSecret(rq *request) error {
	id, err := rq.path("id", validUUID)
	if err != nil {
		return err
	}
	return s.authorize(rq, id)
}

// updateSecret changes name and aliases, and with the name what the secret is
// pinned to.
func (s *Server) updateSecret(ctx context.Context, rq *request, in bctrl.SecretUpdate) (bctrl.SecretInfo, error) {
	if err := s.aboutSecret(rq); err != nil {
		return bctrl.SecretInfo{}, err
	}
	return s.changeSecret(ctx, rq, func(tx *store.Tx, sec *secret, ev *audit.Event) (bool, error) {
		before := sec.meta.index().Names
		apply(&sec.meta.Name, in.Name)
		if in.Aliases != nil {
			sec.meta.Aliases = in.Aliases
		}
		var p problems
		checkSecretNames(&p, sec.meta.Name, sec.meta.Aliases)
		if err := p.err(); err != nil {
			return false, err
		}
		return !slices.Equal(before, sec.meta.index().Names), s.repin(ctx, tx, rq.caller.Org, sec, *ev)
	})
}

// repin gives a secret the part that its name has now, and ends the one that it
// had by the name before: the credential that was made of it goes, or is made
// without it, and that of the new name is made. The secret is stored afterwards.
func (s *Server) repin(ctx context.Context, tx *store.Tx, org string, sec *secret, ev audit.Event) error {
	provider, field := s.pinOfName(sec.meta.Name)
	if provider == sec.meta.Provider && field == sec.meta.Field {
		return nil
	}
	if err := s.fitsWhereUsed(ctx, tx.Queries, org, sec.row.ID, provider, field); err != nil {
		return err
	}
	if err := s.unprovision(ctx, tx, org, sec.row.ID, ev); err != nil {
		return err
	}
	sec.meta.Provider, sec.meta.Field = provider, field
	if provider == "" {
		return nil
	}
	next := *sec // as it will be stored
	if err := s.sealSecret(org, &next); err != nil {
		return err
	}
	return s.provision(ctx, tx, org, next, ev)
}

// fitsWhereUsed refuses to pin a secret that is in use for something else: what
// uses it could not any more. What was made of it by the name that it had goes
// with that name.
func (s *Server) fitsWhereUsed(ctx context.Context, q store.Queries, org, id, provider, field string) error {
	if provider == "" {
		return nil
	}
	next := secret{meta: secretMeta{Provider: provider, Field: field}}
	refused := func(user string) error {
		e := conflict("secrets.in_use", "the new name is "+provider+
			"'s, to which the secret would be pinned, and "+user+" uses it for something else")
		return withHint(withField(e, "name"),
			"delete that first or give it another secret, or choose a name that no provider has")
	}
	credentials, err := q.CredentialsOfSecret(ctx, org, id)
	if err != nil {
		return err
	}
	for _, row := range credentials {
		meta, err := s.proveCredential(org, row)
		if err != nil {
			return err
		}
		for of, used := range meta.Secrets {
			if used == id && !meta.Provisioned && !next.fits(row.Provider, of) {
				return refused("the credential " + row.ID)
			}
		}
	}
	bindings, err := q.Bindings(ctx, org, store.BindingRange{Secret: id, Limit: maxPinned})
	if err != nil {
		return err
	}
	for _, row := range bindings {
		of, err := s.bindableOf(ctx, q, org, row.Target)
		switch {
		case err != nil && asError(err).Status == http.StatusNotFound:
		case err != nil:
			return err
		case !next.fits(of.provider, row.Field):
			return refused("a binding of " + row.Target)
		}
	}
	return nil
}

// rotateSecret replaces the value.
func (s *Server) rotateSecret(ctx context.Context, rq *request, in wire.SecretRotate) (bctrl.SecretInfo, error) {
	if err := s.aboutSecret(rq); err != nil {
		return bctrl.SecretInfo{}, err
	}
	var p problems
	checkSecretValue(&p, in.Value)
	if err := p.err(); err != nil {
		return bctrl.SecretInfo{}, err
	}
	return s.changeSecret(ctx, rq, func(_ *store.Tx, sec *secret, _ *audit.Event) (bool, error) {
		sec.rotate(in.Value)
		return true, nil
	})
}

func (sec *secret) rotate(value wire.Value) { sec.value, sec.meta.RotatedAt = value, store.Now() }

// deleteSecret removes a secret, also one that does not open any more.
func (s *Server) deleteSecret(ctx context.Context, rq *request, _ none) (none, error) {
	if err := s.aboutSecret(rq); err != nil {
		return none{}, err
	}
	return changeRules(ctx, s, rq, func(tx *store.Tx, ev *audit.Event) (none, error) {
		row, err := tx.Secret(ctx, rq.caller.Org, rq.object)
		if errors.Is(err, store.ErrNotFound) {
			return none{}, errNoSecret()
		}
		if err != nil {
			return none{}, err
		}
		about(ev, row.Scope)
		if err := s.unprovision(ctx, tx, rq.caller.Org, row.ID, *ev); err != nil {
			return none{}, err
		}
		ev.UID, ev.Version = row.ID, row.Version
		return none{}, tx.DeleteSecret(ctx, rq.caller.Org, row.ID)
	})
}

// attachSecret makes a secret visible in a group.
func (s *Server) attachSecret(ctx context.Context, rq *request, _ none) (bctrl.SecretInfo, error) {
	return s.changeAttachments(ctx, rq, func(sec *secret, to bctrl.Scope) (bool, error) {
		if slices.Contains(sec.meta.Attachments, to) {
			return false, nil
		}
		if len(sec.meta.Attachments) >= maxAttachments {
			return false, conflict("secrets.too_many_attachments",
				"the secret is attached to as many groups as one can be")
		}
		sec.meta.Attachments = append(sec.meta.Attachments, to)
		return true, nil
	})
}

// detachSecret is the inverse of attachSecret.
func (s *Server) detachSecret(ctx context.Context, rq *request, _ none) (bctrl.SecretInfo, error) {
	return s.changeAttachments(ctx, rq, func(sec *secret, from bctrl.Scope) (bool, error) {
		i := slices.Index(sec.meta.Attachments, from)
		if i < 0 {
			return false, nil
		}
		sec.meta.Attachments = slices.Delete(sec.meta.Attachments, i, i+1)
		return true, nil
	})
}

// changeAttachments changes where a secret is attached. The event is about that
// group.
func (s *Server) changeAttachments(
	ctx context.Context, rq *request, fn func(*secret, bctrl.Scope) (bool, error),
) (bctrl.SecretInfo, error) {
	if err := s.aboutSecret(rq); err != nil {
		return bctrl.SecretInfo{}, err
	}
	group := bctrl.InGroup(rq.PathValue("workspaceId"), rq.PathValue("groupId"))
	if err := group.Validate(); err != nil {
		return bctrl.SecretInfo{}, err
	}
	return s.changeSecret(ctx, rq, func(tx *store.Tx, sec *secret, ev *audit.Event) (bool, error) {
		to, err := storedScope(ctx, tx.Queries, rq.caller.Org, group)
		if err != nil {
			return false, err
		}
		about(ev, to)
		return fn(sec, to)
	})
}
