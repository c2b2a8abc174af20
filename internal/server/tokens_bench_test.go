package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// benchToken puts a runtime into the store and returns a token of it that was
// attenuated twice.
func benchToken(b *testing.B, s *Server, db *store.DB, key string) string {
	b.Helper()
	orgs, err := db.Read().Organizations(b.Context())
	require.NoError(b, err)
	org := orgs[0].ID
	now := time.Now()
	ws := store.Workspace{
		ID:        web.NewID(),
		Name:      "sales",
		Version:   1,
		Mounts:    sales(),
		CreatedAt: now,
		UpdatedAt: now,
	}
	rt := store.Runtime{
		ID:          web.NewID(),
		WorkspaceID: ws.ID,
		Alias:       "crm",
		Status:      bctrl.RuntimeActive,
		Live:        true,
		CreatedAt:   now,
		UpdatedAt:   now,
	}
	require.NoError(b, db.Write(b.Context(), func(tx *store.Tx) error {
		if err := tx.InsertWorkspace(b.Context(), org, ws); err != nil {
			return err
		}
		if err := audit.Append(tx, audit.Event{Caller: "test"}); err != nil {
			return err
		}
		if err := tx.InsertRuntime(b.Context(), org, rt); err != nil {
			return err
		}
		return audit.Append(tx, audit.Event{Caller: "test"})
	}))
	token := minted(b, s, key, ws.ID, vaultMount("prod/crm/"))
	for _, m := range []bctrl.Mounts{vaultMount("prod/crm/salesforce", "prod/crm/hubspot"),
		{Storage: &bctrl.StorageMount{Access: bctrl.StorageNone}}} {
		weaker, err := bctrl.Attenuate(token, m, now.Add(time.Minute))
		require.NoError(b, err)
		token = weaker
	}
	return token.Expose()
}

// minted mints a token of the runtime crm.
func minted(b *testing.B, s *Server, key, workspace string, mounts bctrl.Mounts) bctrl.Secret {
	b.Helper()
	body, err := json.Marshal(object{"ttlMs": time.Hour.Milliseconds(), "mounts": mounts})
	require.NoError(b, err)
	req := httptest.NewRequestWithContext(b.Context(), http.MethodPost,
		target([]string{"workspaces", workspace, "runtimes", "crm", "tokens"}, nil), bytes.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, req)
	var out struct{ Token string }
	require.NoError(b, json.Unmarshal(rec.Body.Bytes(), &out))
	require.NotEmpty(b, out.Token)
	return bctrl.NewSecret(out.Token)
}

// BenchmarkVerifyToken is everything but the revocation check and the decision.
func BenchmarkVerifyToken(b *testing.B) {
	s, db, key := benchServer(b)
	text := benchToken(b, s, db, key)
	root, err := s.TokenKey.Get(b.Context())
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := web.VerifyToken(root, text); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAuthenticateToken finds the caller of a request, with the rows that
// a decision needs, and decides.
func BenchmarkAuthenticateToken(b *testing.B) {
	s, db, key := benchServer(b)
	header := http.Header{"Authorization": {"Bearer " + benchToken(b, s, db, key)}}
	b.ReportAllocs()
	for b.Loop() {
		c, err := s.Authenticate(b.Context(), header)
		if err != nil || !access.Decide(c, access.Action{Verb: bctrl.UseVault, Object: "prod/crm/hubspot"}) {
			b.Fatal("refused", err)
		}
	}
}
