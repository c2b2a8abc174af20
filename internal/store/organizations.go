package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl/internal/tuple"
)

// Organization is a tenant: everything belongs to one, and none sees another.
type Organization struct {
	ID, Name string
	// Parent is the organization that this one is a subaccount of, or empty.
	Parent string
	// Closed is set when it is being deleted: nobody acts in it any more.
	Closed bool
	// Operator is set for the organization that the first run made, whose keys may
	// administer the server.
	Operator  bool
	CreatedAt time.Time
}

const organizationColumns = "id, name, COALESCE(parent_id, ''), closed, operator, created_at, proof"

func scanOrganization(row scanner) (o Organization, p provenRow, err error) {
	var created int64
	err = row(&o.ID, &o.Name, &o.Parent, &o.Closed, &o.Operator, &created, &p.proof)
	o.CreatedAt = fromMillis(created)
	p.kind, p.uid, p.org, p.cells = KindOrganization, o.ID, o.ID, o.cells()
	return o, p, err
}

func (o Organization) cells() tuple.Encoding {
	return cellsOf(KindOrganization).Text(o.ID, o.Name, o.Parent).Flag(o.Closed).Flag(o.Operator).
		Number(millis(o.CreatedAt))
}

// Organizations lists all organizations that are proven, oldest first.
func (q Queries) Organizations(ctx context.Context) ([]Organization, error) {
	return manyProven(ctx, q, checked(q, scanOrganization), "SELECT "+organizationColumns+
		" FROM organizations ORDER BY id")
}

// HasOrganizations reports whether there is any, proven or not.
func (q Queries) HasOrganizations(ctx context.Context) (bool, error) {
	return one(ctx, q, func(row scanner) (has bool, err error) { return has, row(&has) },
		"SELECT EXISTS (SELECT 1 FROM organizations)")
}

// OperatorOrganization returns the operator's: the one that the first run made. When
// that one is gone there is none.
func (q Queries) OperatorOrganization(ctx context.Context) (Organization, error) {
	return one(ctx, q, checked(q, scanOrganization), "SELECT "+organizationColumns+
		" FROM organizations WHERE operator ORDER BY id LIMIT 1")
}

// OperatorID is the id of the operator's organization, proven or not, and so the
// name of all that is in this store.
func (q Queries) OperatorID(ctx context.Context) (string, error) {
	return one(ctx, q, func(row scanner) (id string, err error) { return id, row(&id) },
		"SELECT id FROM organizations WHERE operator ORDER BY id LIMIT 1")
}

// Organization returns the organization with this id, closed or not.
func (q Queries) Organization(ctx context.Context, id string) (Organization, error) {
	return one(ctx, q, checked(q, scanOrganization), "SELECT "+organizationColumns+" FROM organizations WHERE id = $1", id)
}

// ClosedOrganizations lists those whose deletion was not finished.
func (q Queries) ClosedOrganizations(ctx context.Context) ([]Organization, error) {
	return manyProven(ctx, q, checked(q, scanOrganization), "SELECT "+organizationColumns+
		" FROM organizations WHERE closed ORDER BY id")
}

// openOrganization returns the organization with this id unless it is closed.
func (q Queries) openOrganization(ctx context.Context, id string) (Organization, error) {
	return one(ctx, q, checked(q, scanOrganization), "SELECT "+organizationColumns+
		" FROM organizations WHERE id = $1 AND NOT closed", id)
}

// Subaccount returns the organization with this id when it is a subaccount of
// parent and not closed.
func (q Queries) Subaccount(ctx context.Context, parent, id string) (Organization, error) {
	return one(ctx, q, newest(q, scanOrganization), "SELECT "+
		organizationColumns+newestEvent(KindOrganization, "organizations")+
		" FROM organizations WHERE parent_id = $1 AND id = $2 AND NOT closed", parent, id)
}

// Subaccounts lists the subaccounts of an organization by id, which is by age,
// after the id given.
func (q Queries) Subaccounts(ctx context.Context, parent, after string, limit int) ([]Organization, error) {
	return many(ctx, q, checked(q, scanOrganization), "SELECT "+organizationColumns+` FROM organizations
		WHERE parent_id = $1 AND NOT closed AND id > $2 ORDER BY id LIMIT $3`, parent, after, limit)
}

// IsSubaccount reports whether an organization has a parent.
func (q Queries) IsSubaccount(ctx context.Context, org string) (bool, error) {
	o, err := q.Organization(ctx, org)
	return o.Parent != "", err
}

// HoldsData reports whether an organization has a login, a secret, a credential
// of any kind, a workspace, a profile or a file.
func (q Queries) HoldsData(ctx context.Context, org string) (bool, error) {
	return one(ctx, q, func(row scanner) (holds bool, err error) { return holds, row(&holds) },
		`SELECT EXISTS (SELECT 1 FROM vault_entries WHERE org_id = $1)
			OR EXISTS (SELECT 1 FROM ai_credentials WHERE org_id = $1)
		OR EXISTS (SELECT 1 FROM workspaces WHERE org_id = $1) OR EXISTS (SELECT 1 FROM browser_profiles WHERE org_id = $1)
		OR EXISTS (SELECT 1 FROM objects WHERE org_id = $1) OR EXISTS (SELECT 1 FROM secrets WHERE org_id = $1)
		OR EXISTS (SELECT 1 FROM credentials WHERE org_id = $1) OR EXISTS (SELECT 1 FROM capabilities
			WHERE org_id = $1)`, org)
}

// InsertOrganization adds an organization; a subaccount with a name that its
// parent has given already gives [ErrExists].
func (tx *Tx) InsertOrganization(ctx context.Context, o Organization) error {
	proof, err := tx.prove(KindOrganization, o.cells(), false)
	if err != nil {
		return err
	}
	tx.wroteRecord(o.record())
	_, err = tx.exec(ctx, `INSERT INTO organizations (id, name, parent_id, closed, operator, created_at, proof)
		VALUES ($1, $2, NULLIF($3, ''), $4, $5, $6, $7)`, o.ID, o.Name, o.Parent, o.Closed, o.Operator,
		millis(o.CreatedAt), proof)
	return err
}

// CloseOrganization begins the deletion of a subaccount. It gets no new key
// any more; those that it has are the caller's to revoke.
func (tx *Tx) CloseOrganization(ctx context.Context, parent, id string) error {
	o, err := tx.Subaccount(ctx, parent, id)
	if err != nil {
		return err
	}
	o.Closed = true
	proof, err := tx.prove(KindOrganization, o.cells(), false)
	if err != nil {
		return err
	}
	tx.wroteRecord(o.record())
	return tx.execChanging(ctx, "UPDATE organizations SET closed = TRUE, proof = $1 WHERE parent_id = $2 "+
		"AND id = $3", proof, parent, id)
}

// Emptied is what a round of [Tx.EmptyOrganization] removed.
type Emptied struct {
	// Profiles are the uids of browser profiles, Blobs the bytes of files: the
	// caller's to remove, once this is durable.
	Profiles, Blobs []string
	// Done is set when nothing is left, the organization itself included.
	Done bool
}

// EmptyOrganization removes up to about limit rows of a closed organization,
// and with the last of them the organization. It is called until it is done.
// record is called after each removal of a record, with its name.
func (tx *Tx) EmptyOrganization(
	ctx context.Context, org string, limit int, record func(name string) error,
) (e Emptied, err error) {
	removed := 0
	for _, remove := range tx.removals(ctx, org, limit, record, &e) {
		n, err := remove()
		if err != nil {
			return e, err
		}
		if removed += n; removed >= limit {
			return e, nil
		}
	}
	if _, err := tx.exec(ctx, "DELETE FROM operations WHERE org_id = $1", org); err != nil {
		return e, err
	}
	if _, err := tx.exec(ctx, "DELETE FROM events WHERE org_id = $1", org); err != nil {
		return e, err
	}
	if _, err := tx.exec(ctx, "DELETE FROM runtime_nodes WHERE org_id = $1", org); err != nil {
		return e, err
	}
	if _, err := tx.exec(ctx, "DELETE FROM invoke_rates WHERE org_id = $1", org); err != nil {
		return e, err
	}
	if _, err := tx.exec(ctx, "DELETE FROM idempotency WHERE org_id = $1", org); err != nil {
		return e, err
	}
	switch err := tx.DeleteDEK(ctx, org); {
	case err == nil:
		if err := record(org); err != nil {
			return e, err
		}
	case !errors.Is(err, ErrNotFound): // it was never used
		return e, err
	}
	tx.wroteRecord(deleted(KindOrganization, org, org))
	if err := tx.execChanging(ctx, "DELETE FROM organizations WHERE id = $1 AND closed", org); err != nil {
		return e, err
	}
	e.Done = true
	return e, record(org)
}

// removals remove what an organization holds, a kind each: at most limit rows, of
// which record is told the names. What is kept outside the database is noted in e.
func (tx *Tx) removals(
	ctx context.Context, org string, limit int, record func(name string) error, e *Emptied,
) []func() (int, error) {
	all := tx.Unproven() // the rows are only removed
	return []func() (int, error){
		func() (int, error) {
			list, err := all.VaultEntries(ctx, org, VaultRange{Limit: limit})
			return removeAll(list, err, record, VaultEntry.name,
				func(v VaultEntry) error { return tx.DeleteVaultEntry(ctx, org, v.UID) })
		},
		func() (int, error) {
			list, err := all.Secrets(ctx, org, SecretRange{Limit: limit})
			return removeAll(list, err, record, Secret.name, func(s Secret) error { return tx.DeleteSecret(ctx, org, s.ID) })
		},
		func() (int, error) {
			list, err := all.Workspaces(ctx, org, "", limit)
			return removeAll(list, err, record, Workspace.name,
				func(w Workspace) error { return tx.DeleteWorkspace(ctx, org, w.ID) })
		},
		func() (int, error) {
			list, err := all.Webhooks(ctx, org, "", limit)
			return removeAll(list, err, record, Webhook.name, func(w Webhook) error { return tx.DeleteWebhook(ctx, org, w.UID) })
		},
		func() (int, error) {
			list, err := all.AICredentials(ctx, org, "", limit)
			return removeAll(list, err, record, AICredential.name,
				func(c AICredential) error { return tx.DeleteAICredential(ctx, org, c.UID) })
		},
		func() (int, error) {
			list, err := all.Bindings(ctx, org, BindingRange{Limit: limit})
			return removeAll(list, err, record, Binding.name, func(b Binding) error { return tx.DeleteBinding(ctx, org, b.UID) })
		},
		func() (int, error) {
			list, err := all.Credentials(ctx, org, "", limit)
			return removeAll(list, err, record, Credential.name,
				func(c Credential) error { return tx.DeleteCredential(ctx, org, c.UID) })
		},
		func() (int, error) {
			list, err := all.CapabilityPolicies(ctx, org, "", limit)
			return removeAll(list, err, record, CapabilityPolicy.name,
				func(p CapabilityPolicy) error { return tx.DeleteCapabilityPolicy(ctx, org, p.UID) })
		},
		func() (int, error) {
			list, err := all.Capabilities(ctx, org, "", limit)
			return removeAll(list, err, record, Capability.name,
				func(c Capability) error { return tx.DeleteCapability(ctx, org, c.UID) })
		},
		func() (int, error) {
			list, err := all.APIKeys(ctx, org, "", limit)
			return removeAll(list, err, record, APIKey.name, func(k APIKey) error { return tx.DeleteAPIKey(ctx, org, k.ID) })
		},
		func() (int, error) {
			list, err := all.Profiles(ctx, org, "", limit)
			return removeAll(list, err, nil, nil, func(p Profile) error {
				e.Profiles = append(e.Profiles, p.UID)
				return tx.DeleteProfile(ctx, org, p.UID)
			})
		},
		func() (int, error) {
			list, err := all.Objects(ctx, org, ObjectFilter{Limit: limit})
			return removeAll(list, err, record, Object.name, func(o Object) error {
				e.Blobs = append(e.Blobs, strings.Clone(o.BlobID)) // not the page that it is of
				return tx.DeleteObject(ctx, org, o)
			})
		},
	}
}

func (e VaultEntry) name() string   { return e.Key }
func (s Secret) name() string       { return s.ID }
func (w Workspace) name() string    { return w.ID }
func (c AICredential) name() string { return c.ID }
func (k APIKey) name() string       { return k.ID }
func (o Object) name() string       { return o.Namespace + "/" + o.Path }
func (b Binding) name() string      { return b.Target }
func (c Credential) name() string   { return c.ID }
func (c Capability) name() string   { return c.ID }

func (p CapabilityPolicy) name() string { return p.Capability }

// removeAll removes a list, and records each where it is a record.
func removeAll[T any](
	list []T, err error, record func(string) error, name func(T) string, remove func(T) error,
) (int, error) {
	if err != nil {
		return 0, err
	}
	for _, item := range list {
		if err := remove(item); err != nil {
			return 0, err
		}
		if record == nil {
			continue
		}
		if err := record(name(item)); err != nil {
			return 0, err
		}
	}
	return len(list), nil
}
