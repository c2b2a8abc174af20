package catalog

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// changeSecret changes the secret that the path names by fn, and records that. Where
// fn changes nothing, the secret is not stored.
func (s *Service) changeSecret(
	ctx context.Context, rq *web.Request, fn func(tx *store.Tx, sec *Secret, ev *audit.Event) (changed bool, err error),
) (bctrl.SecretInfo, error) {
	return web.ChangeRules(ctx, rq, func(tx *store.Tx, ev *audit.Event) (bctrl.SecretInfo, error) {
		sec, err := s.findSecret(ctx, tx.Queries, rq.Caller.Org, rq.Object)
		if err != nil {
			return bctrl.SecretInfo{}, err
		}
		web.SetEventScope(ev, sec.Meta.Scope)
		changed, err := fn(tx, &sec, ev)
		if err == nil && changed {
			err = s.updateSecretRow(ctx, tx, rq.Caller.Org, &sec)
		}
		if err != nil {
			return bctrl.SecretInfo{}, err
		}
		ev.UID, ev.Version = sec.row.ID, sec.row.Version
		return s.describeSecret(ctx, tx.Queries, rq.Caller.Org, sec)
	})
}

// updateSecretRow seals what a secret has become as its next version, and stores
// that.
func (s *Service) updateSecretRow(ctx context.Context, tx *store.Tx, org string, sec *Secret) error {
	if err := s.sealSecret(org, sec); err != nil {
		return err
	}
	err := tx.UpdateSecret(ctx, org, sec.row, sec.Meta.index())
	if errors.Is(err, store.ErrExists) {
		err = errSecretExists()
	}
	return err
}

// authorizeSecret decides about the secret that the path names.
func (s *Service) authorizeSecret(rq *web.Request) error {
	id, err := rq.Path("id", web.ValidUUID)
	if err != nil {
		return err
	}
	return rq.Authorize(id)
}

// updateSecret changes a secret's name and aliases, and with the name its pin.
func (s *Service) updateSecret(ctx context.Context, rq *web.Request, in bctrl.SecretUpdate) (bctrl.SecretInfo, error) {
	if err := s.authorizeSecret(rq); err != nil {
		return bctrl.SecretInfo{}, err
	}
	return s.changeSecret(ctx, rq, func(tx *store.Tx, sec *Secret, ev *audit.Event) (bool, error) {
		before := sec.Meta.index().Names
		web.SetIfGiven(&sec.Meta.Name, in.Name)
		if in.Aliases != nil {
			sec.Meta.Aliases = in.Aliases
		}
		var p web.Problems
		checkSecretNames(&p, sec.Meta.Name, sec.Meta.Aliases)
		if err := p.Err(); err != nil {
			return false, err
		}
		return !slices.Equal(before, sec.Meta.index().Names), s.repin(ctx, tx, rq.Caller.Org, sec, *ev)
	})
}

// repin pins a secret to what its new name says. The credential that was made of it by
// the name before is deleted, or made anew without it, and that of the new name is
// made. The secret itself is stored afterwards.
func (s *Service) repin(ctx context.Context, tx *store.Tx, org string, sec *Secret, ev audit.Event) error {
	provider, field := s.pinOfName(sec.Meta.Name)
	if provider == sec.Meta.Provider && field == sec.Meta.Field {
		return nil
	}
	if err := s.checkPinWhereUsed(ctx, tx.Queries, org, sec.row.ID, provider, field); err != nil {
		return err
	}
	if err := s.unprovision(ctx, tx, org, sec.row.ID, ev); err != nil {
		return err
	}
	sec.Meta.Provider, sec.Meta.Field = provider, field
	if provider == "" {
		return nil
	}
	next := *sec // as it will be stored
	if err := s.sealSecret(org, &next); err != nil {
		return err
	}
	return s.provision(ctx, tx, org, next, ev)
}

// checkPinWhereUsed refuses to pin a secret where a credential that somebody made or a
// binding uses it for something else, which it could not any more. What was made of it
// by its former name is not asked: it is deleted with that.
func (s *Service) checkPinWhereUsed(ctx context.Context, q store.Queries, org, id, provider, field string) error {
	if provider == "" {
		return nil
	}
	next := Secret{Meta: SecretMeta{Provider: provider, Field: field}}
	refused := func(user string) error {
		e := web.Conflict("secrets.in_use", "the new name is "+provider+
			"'s, to which the secret would be pinned, and "+user+" uses it for something else")
		return web.WithHint(web.WithField(e, "name"),
			"delete that first or give it another secret, or choose a name that no provider has")
	}
	credentials, err := q.CredentialsOfSecret(ctx, org, id)
	if err != nil {
		return err
	}
	for _, row := range credentials {
		meta, err := s.VerifyCredential(org, row)
		if err != nil {
			return err
		}
		for of, used := range meta.Secrets {
			if used == id && !meta.Provisioned && !next.PinPermits(row.Provider, of) {
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
		case err != nil && web.AsError(err).Status == http.StatusNotFound:
		case err != nil:
			return err
		case !next.PinPermits(of.provider, row.Field):
			return refused("a binding of " + row.Target)
		}
	}
	return nil
}

// rotateSecret replaces a secret's value.
func (s *Service) rotateSecret(ctx context.Context, rq *web.Request, in wire.SecretRotate) (bctrl.SecretInfo, error) {
	if err := s.authorizeSecret(rq); err != nil {
		return bctrl.SecretInfo{}, err
	}
	var p web.Problems
	checkSecretValue(&p, in.Value)
	if err := p.Err(); err != nil {
		return bctrl.SecretInfo{}, err
	}
	return s.changeSecret(ctx, rq, func(_ *store.Tx, sec *Secret, _ *audit.Event) (bool, error) {
		sec.setValue(in.Value)
		return true, nil
	})
}

// setValue gives a secret that is about to be stored a value as of now.
func (sec *Secret) setValue(value wire.Value) { sec.Value, sec.Meta.RotatedAt = value, store.Now() }

// Value returns what a secret is now, for the server itself.
func (s *Service) Value(ctx context.Context, org, id string) (bctrl.Secret, error) {
	sec, err := s.findSecret(ctx, s.DB.Read(), org, id)
	return bctrl.NewSecret(sec.Value.Reveal()), err
}

// ReplaceValue stores a new value of a secret in a transaction of its own, which
// the server itself records: what a provider has put in the place of one that it
// takes no more. replaced is false, and nothing is stored, where the secret is gone
// or its value is not from any more: what a person has stored since stays.
func (s *Service) ReplaceValue(
	ctx context.Context, org, id string, from, to bctrl.Secret,
) (replaced bool, err error) {
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		replaced = false
		sec, err := s.findSecret(ctx, tx.Queries, org, id)
		switch {
		case err == nil && !bctrl.NewSecret(sec.Value.Reveal()).Equal(from):
			return nil
		case err != nil && web.AsError(err).Status == http.StatusNotFound:
			return nil
		case err != nil:
			return err
		}
		sec.setValue(wire.NewValue(to.Expose()))
		if err := s.updateSecretRow(ctx, tx, org, &sec); err != nil {
			return err
		}
		ev := web.ServerEvent(string(access.SecretWrite), sec.row.ID)
		ev.Org, ev.Outcome = org, audit.OK
		web.SetEventScope(&ev, sec.Meta.Scope)
		replaced = true
		return audit.Append(tx, ev)
	})
	return replaced, err
}

// deleteSecret deletes a secret, also one that does not open.
func (s *Service) deleteSecret(ctx context.Context, rq *web.Request, _ web.None) (web.None, error) {
	if err := s.authorizeSecret(rq); err != nil {
		return web.None{}, err
	}
	return web.ChangeRules(ctx, rq, func(tx *store.Tx, ev *audit.Event) (web.None, error) {
		row, err := tx.Secret(ctx, rq.Caller.Org, rq.Object)
		if errors.Is(err, store.ErrNotFound) {
			return web.None{}, errNoSecret()
		}
		if err != nil {
			return web.None{}, err
		}
		web.SetEventScope(ev, row.Scope)
		if err := s.unprovision(ctx, tx, rq.Caller.Org, row.ID, *ev); err != nil {
			return web.None{}, err
		}
		ev.UID, ev.Version = row.ID, row.Version
		return web.None{}, tx.DeleteSecret(ctx, rq.Caller.Org, row.ID)
	})
}

// attachSecret makes a secret visible in a group.
func (s *Service) attachSecret(ctx context.Context, rq *web.Request, _ web.None) (bctrl.SecretInfo, error) {
	return s.changeAttachments(ctx, rq, func(sec *Secret, to bctrl.Scope) (bool, error) {
		if slices.Contains(sec.Meta.Attachments, to) {
			return false, nil
		}
		if len(sec.Meta.Attachments) >= maxAttachments {
			return false, web.Conflict("secrets.too_many_attachments",
				"the secret is attached to as many groups as one can be")
		}
		sec.Meta.Attachments = append(sec.Meta.Attachments, to)
		return true, nil
	})
}

// detachSecret takes back what attachSecret did.
func (s *Service) detachSecret(ctx context.Context, rq *web.Request, _ web.None) (bctrl.SecretInfo, error) {
	return s.changeAttachments(ctx, rq, func(sec *Secret, from bctrl.Scope) (bool, error) {
		i := slices.Index(sec.Meta.Attachments, from)
		if i < 0 {
			return false, nil
		}
		sec.Meta.Attachments = slices.Delete(sec.Meta.Attachments, i, i+1)
		return true, nil
	})
}

// changeAttachments changes by fn whether the secret that the path names is attached
// to the group that it names. The event is about that group.
func (s *Service) changeAttachments(
	ctx context.Context, rq *web.Request, fn func(*Secret, bctrl.Scope) (bool, error),
) (bctrl.SecretInfo, error) {
	if err := s.authorizeSecret(rq); err != nil {
		return bctrl.SecretInfo{}, err
	}
	group := bctrl.InGroup(rq.PathValue("workspaceId"), rq.PathValue("groupId"))
	if err := group.Validate(); err != nil {
		return bctrl.SecretInfo{}, web.ScopeAt(err, "", "workspaceId", "groupId")
	}
	return s.changeSecret(ctx, rq, func(tx *store.Tx, sec *Secret, ev *audit.Event) (bool, error) {
		to, err := web.StoredScope(ctx, tx.Queries, rq.Caller.Org, group)
		if err != nil {
			return false, web.ScopeAt(err, "", "workspaceId", "groupId")
		}
		web.SetEventScope(ev, to)
		return fn(sec, to)
	})
}
