package calls

import (
	"context"
	"errors"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/server/models"
	"github.com/bctrl-go/bctrl/internal/store"
)

// candidates are the rows that may take part in a resolution, and the state
// that they make.
type candidates struct {
	state       broker.State
	credentials map[string]store.Credential // by uid
	ai          *store.AICredential
	sights      map[string]bool // ids of secrets that were looked at
}

// candidates reads what a query's answer depends on. A row among them that its
// seal does not prove is an error, also where another would be chosen: where it
// was moved from, it may be the one.
func (s *Service) candidates(ctx context.Context, q store.Queries, org string, query broker.Query) (*candidates, error) {
	found := &candidates{credentials: map[string]store.Credential{}, sights: map[string]bool{}}
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
		return found, nil //nolint:nilerr // Resolve says it again
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

// candidateAI takes an AI credential for a credential of the broker.
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

// addSight adds to the state how the context sees a secret.
func (found *candidates) addSight(ctx context.Context, q store.Queries, org, id string, in bctrl.Scope) error {
	if id == "" || found.sights[id] {
		return nil
	}
	found.sights[id] = true
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
