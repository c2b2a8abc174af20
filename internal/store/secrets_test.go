package store

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// TestNoQueryForSecretsReadsWhatItDoesNotReturn reads SQLite's plans: a list is
// entered by what narrows it most.
func TestNoQueryForSecretsReadsWhatItDoesNotReturn(t *testing.T) {
	db, _ := openEmpty(t)
	var text string
	q := Queries{prepare: func(ctx context.Context, query string) (*sql.Stmt, error) {
		text = query
		return db.queries.prepare(ctx, query)
	}}
	plan := func() string { return strings.Join(queryPlan(t, db, text), "; ") }
	byID := "secrets USING INDEX secrets_id (org_id=? AND id=?)"
	for _, tc := range []struct {
		why   string
		r     SecretRange
		begin string
	}{
		{"all", SecretRange{}, "secrets USING INDEX secrets_id (org_id=? AND id>?)"},
		{"a scope", SecretRange{Scope: bctrl.Global()},
			"secrets USING INDEX secrets_scope (org_id=? AND workspace_id=? AND group_id=? AND id>?)"},
		{"a provider", SecretRange{Provider: "p", Scope: bctrl.Global()},
			"secrets USING INDEX secrets_provider (org_id=? AND provider=? AND workspace_id=? AND group_id=? AND id>?)"},
		{"a name", SecretRange{Name: "n"}, byID},
		{"a group's attachments", SecretRange{AttachedTo: bctrl.InGroup("w", "g")}, byID},
	} {
		_, err := q.Secrets(t.Context(), "o", tc.r)
		require.NoError(t, err)
		got := plan()
		require.Contains(t, got, "SEARCH "+tc.begin, tc.why)
		require.NotContains(t, got, "SCAN", tc.why)
	}
	_, err := q.SecretsInWorkspace(t.Context(), "o", "w", 10)
	require.NoError(t, err)
	require.Equal(t, "SEARCH secrets USING INDEX secrets_scope (org_id=? AND workspace_id=?)", plan())
	_, err = q.SecretsAttachedIn(t.Context(), "o", "w", "", 10)
	require.NoError(t, err)
	require.Contains(t, plan(), "SEARCH "+byID)
	_, err = q.SecretByName(t.Context(), "o", bctrl.Global(), "n")
	require.ErrorIs(t, err, ErrNotFound)
	require.Contains(t, plan(), "secret_names_name (org_id=? AND name=? AND workspace_id=? AND group_id=?)")
}
