package calls

import (
	"context"
	"errors"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/server/models"
	"github.com/bctrl-go/bctrl/internal/store"
)

// candidates are what a resolution chooses from: rows, and the broker's view of
// them.
type candidates struct {
	state broker.State
	// credentials are the rows by uid.
	credentials map[string]store.Credential
	// ai is the row of the AI credential that the query names.
	ai *store.AICredential
	// looked are the ids of secrets of which state says how the context sees them,
	// or that are not there.
	looked map[string]bool
}

// candidates reads the credentials, bindings and secrets that the answer to a query
// depends on. It refuses a row that is not as it was sealed, also where another
// would be chosen: as it was sealed it may be the one.
func (s *Service) candidates(
	ctx context.Context, q store.Queries, org string, query broker.Query,
) (*candidates, error) {
	found := &candidates{credentials: map[string]store.Credential{}, looked: map[string]bool{}}
	if err := s.candidateCredentials(ctx, q, org, query, found); err != nil {
		return nil, err
	}
	for _, c := range found.state.Credentials {
		for _, id := range c.Secrets {
			if err := found.addSight(ctx, q, org, id, query.Context); err != nil {
				return nil, err
			}
		}
	}
	chosen, err := broker.Choose(found.state, query)
	if err != nil {
		return found, nil //nolint:nilerr // broker.Resolve fails with it again
	}
	rows, err := q.CandidateBindings(ctx, org, query.Capability, chosen.Credential.ID, query.Consumer, query.Context)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if err := s.catalog.VerifyBinding(org, row); err != nil {
			return nil, err
		}
		found.state.Bindings = append(found.state.Bindings, broker.Binding{
			UID:      row.UID,
			Scope:    row.Scope,
			Target:   row.Target,
			Consumer: row.Consumer,
			Field:    row.Field,
			Secret:   row.Secret,
		})
		if err := found.addSight(ctx, q, org, row.Secret, query.Context); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// candidateCredentials adds the credential that a query names, else those of its
// provider that its context may see.
func (s *Service) candidateCredentials(
	ctx context.Context, q store.Queries, org string, query broker.Query, found *candidates,
) (err error) {
	var rows []store.Credential
	if query.Credential == "" {
		rows, err = q.CandidateCredentials(ctx, org, query.Provider, query.Context)
	} else {
		var row store.Credential
		row, err = q.Credential(ctx, org, query.Credential)
		rows = append(rows, row)
		if errors.Is(err, store.ErrNotFound) {
			return s.candidateAI(ctx, q, org, query.Credential, found)
		}
	}
	if err != nil {
		return err
	}
	for _, row := range rows {
		found.credentials[row.UID] = row
		meta, err := s.catalog.VerifyCredential(org, row)
		if err != nil {
			return err
		}
		found.state.Credentials = append(found.state.Credentials, broker.Credential{
			UID:         row.UID,
			ID:          row.ID,
			Provider:    row.Provider,
			Scope:       row.Scope,
			Priority:    int(row.Priority),
			Disabled:    !meta.Enabled,
			Provisioned: meta.Provisioned,
			Secrets:     meta.Secrets,
		})
	}
	return nil
}

// candidateAI adds the AI credential with an id, as a global credential. It adds
// nothing where there is none.
func (s *Service) candidateAI(ctx context.Context, q store.Queries, org, id string, found *candidates) error {
	row, err := q.AICredential(ctx, org, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	meta, err := models.UnprovenMeta(row)
	provider, field := s.catalog.ProviderOfAI(meta.Provider)
	found.ai = &row
	found.state.Credentials = append(found.state.Credentials, broker.Credential{
		UID:      row.UID,
		ID:       row.ID,
		Provider: provider,
		Scope:    bctrl.Global(),
		Disabled: !meta.Enabled,
		AI:       true,
		Secrets:  map[string]string{field: ""},
		Tampered: err != nil,
	})
	return nil
}

// addSight adds to the state whether and how a context sees a secret. The tables
// say so; the seal has to say the same when the secret is opened.
func (found *candidates) addSight(ctx context.Context, q store.Queries, org, id string, in bctrl.Scope) error {
	if id == "" || found.looked[id] {
		return nil
	}
	found.looked[id] = true
	sight, err := q.SecretVisibility(ctx, org, id, in)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	seen := broker.Secret{
		ID:           id,
		Scope:        sight.Scope,
		Provider:     sight.Provider,
		AttachedOnly: sight.AttachedOnly,
	}
	if sight.Attached {
		seen.Attached = []bctrl.Scope{in}
	}
	found.state.Secrets = append(found.state.Secrets, seen)
	return nil
}
