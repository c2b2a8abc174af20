package server

import (
	"context"
	"errors"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// organizationCreate is what the audit log calls the making of an organization that is
// no subaccount.
const organizationCreate = "organization.create"

// EnsureOrganization makes the first organization, which is the operator's, where
// there is none, and returns its key, which is stored nowhere. Otherwise it returns
// the zero Secret. Its errors are of the store.
func (s *Server) EnsureOrganization(ctx context.Context) (bctrl.Secret, error) {
	has, err := s.DB.Read().HasOrganizations(ctx)
	if err != nil || has {
		return bctrl.Secret{}, err
	}
	key, err := s.addOrganization(ctx, "default", true)
	if errors.Is(err, errNotFirst) {
		return bctrl.Secret{}, nil // another node has made it at the same moment
	}
	return key, err
}

var errNotFirst = errors.New("there is an organization already")

// createOrganization makes an organization, which shares nothing with others, and
// returns its first key, which is stored nowhere. A name that is none is refused;
// other errors are of the store.
func (s *Server) createOrganization(ctx context.Context, name string) (bctrl.Secret, error) {
	return s.addOrganization(ctx, name, false)
}

// addOrganization is createOrganization, of the first one alone where it has to be that.
func (s *Server) addOrganization(ctx context.Context, name string, first bool) (bctrl.Secret, error) {
	if err := validOrganizationName(name); err != nil {
		return bctrl.Secret{}, err
	}
	key, hash := newKey()
	org := store.Organization{ID: web.NewID(), Name: name, CreatedAt: store.Now()}
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		others, err := tx.HasOrganizations(ctx)
		if err == nil && others && first {
			err = errNotFirst
		}
		if err != nil {
			return err
		}
		org.Operator = !others
		if err := tx.InsertOrganization(ctx, org); err != nil {
			return err
		}
		made := web.ServerEvent(organizationCreate, org.ID)
		made.Org = org.ID
		if err := audit.Append(tx, made); err != nil {
			return err
		}
		k := store.APIKey{
			ID:        web.NewID(),
			Org:       org.ID,
			Label:     "first",
			Hash:      hash,
			CreatedAt: org.CreatedAt,
		}
		if err := tx.InsertAPIKey(ctx, k); err != nil {
			return err
		}
		made.Action, made.Object = string(access.KeyWrite), k.ID
		return audit.Append(tx, made)
	})
	if err != nil {
		return bctrl.Secret{}, err
	}
	return key, nil
}

func validOrganizationName(name string) error {
	if err := names.Name(name); err != nil {
		return web.Invalid("subaccounts.invalid_name", "name", "not an organization's name: "+err.Error())
	}
	return nil
}

// emptyAtOnce is how many rows one transaction removes, so that other writes need not
// wait long.
const emptyAtOnce = 200

// emptyOrganization removes what a closed organization holds, then the organization.
// It records each part as ev.
func (s *Server) emptyOrganization(ctx context.Context, org string, ev audit.Event) error {
	ev.Outcome = audit.OK
	for {
		var gone store.Emptied
		err := s.DB.Write(ctx, func(tx *store.Tx) (err error) {
			gone, err = tx.EmptyOrganization(ctx, org, emptyAtOnce, func(name string) error {
				ev.Object = name
				return audit.Append(tx, ev)
			})
			return err
		})
		if errors.Is(err, store.ErrNotFound) {
			return nil // another node has removed the last of it
		}
		if errors.Is(err, store.ErrUnavailable) {
			s.profiles.Doubt(gone.Profiles...)
		}
		if err != nil {
			return err
		}
		for _, id := range gone.Blobs {
			s.files.DropUnusedBlob(ctx, id)
		}
		for _, uid := range gone.Profiles {
			s.profiles.RemoveFolder(uid)
		}
		if gone.Done {
			return nil
		}
	}
}
