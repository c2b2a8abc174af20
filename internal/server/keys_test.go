package server

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/wire"
)

type keyList struct{ Keys []wire.Key }

func TestAKeyIsShownOnceAndWorksUntilItIsRevoked(t *testing.T) {
	h := newHarness(t)
	var made wire.NewKey
	h.ok("POST", []string{"keys"}, object{"label": "ci"}, &made, "Idempotency-Key", "once")
	as := func(key string) int { return h.send("GET", "/v1/keys", nil, "Authorization", "Bearer "+key).Status }
	require.Equal(t, http.StatusOK, as(made.Key.Reveal()))

	listed := h.do("GET", []string{"keys"}, nil, nil)
	require.NotContains(t, string(listed.Body), made.Key.Reveal())
	var list keyList
	h.ok("GET", []string{"keys"}, nil, &list)
	require.Len(t, list.Keys, 2)
	require.Equal(t, wire.Key{ID: made.ID, Label: "ci", CreatedAt: made.CreatedAt}, list.Keys[1])

	var revoked, again wire.Key
	h.ok("DELETE", []string{"keys", made.ID}, nil, &revoked)
	require.NotNil(t, revoked.RevokedAt)
	require.Equal(t, http.StatusUnauthorized, as(made.Key.Reveal()), "on the next request")
	h.ok("DELETE", []string{"keys", made.ID}, nil, &again)
	require.Equal(t, revoked, again, "revoking twice is once")

	files, err := filepath.Glob(filepath.Join(h.dir, "bctrl.db*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		raw, err := os.ReadFile(f)
		require.NoError(t, err)
		require.False(t, bytes.Contains(raw, []byte(made.Key.Reveal())), "%s holds the key in clear", filepath.Base(f))
	}
}

func TestTheLastGoodKeyCannotBeRevoked(t *testing.T) {
	h := newHarness(t)
	var list keyList
	h.ok("GET", []string{"keys"}, nil, &list)
	first := list.Keys[0].ID
	refused(t, h.do("DELETE", []string{"keys", first}, nil, nil), http.StatusConflict, "keys.last", "the only one")
	var second wire.NewKey
	h.ok("POST", []string{"keys"}, object{}, &second)
	h.ok("DELETE", []string{"keys", second.ID}, nil, nil)
	refused(t, h.do("DELETE", []string{"keys", first}, nil, nil), http.StatusConflict, "keys.last",
		"a revoked one does not count")
	h.ok("POST", []string{"keys"}, object{}, &second)
	h.ok("DELETE", []string{"keys", first}, nil, nil) // its own: another is good
	require.Equal(t, http.StatusUnauthorized, h.do("GET", []string{"keys"}, nil, nil).Status)
	h.key = second.Key.Reveal()
	refused(t, h.do("DELETE", []string{"keys", web.NewID()}, nil, nil), http.StatusNotFound, "keys.not_found",
		"no such key")
	refused(t, h.do("DELETE", []string{"keys", "first"}, nil, nil), http.StatusBadRequest, "request.invalid_id",
		"not an id")
}

func TestAnOperatorDoesToTheStoreWhatTheRoutesDo(t *testing.T) {
	h := newHarness(t)
	offline := OfflineKeys{h.db}
	made, err := offline.Create(t.Context(), "ops")
	require.NoError(t, err)
	before := h.key
	h.key = made.Key.Reveal()
	var list keyList
	h.ok("GET", []string{"keys"}, nil, &list)
	all, err := offline.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, list.Keys, all)
	_, err = offline.Revoke(t.Context(), all[0].ID)
	require.NoError(t, err)
	h.key = before
	require.Equal(t, http.StatusUnauthorized, h.do("GET", []string{"keys"}, nil, nil).Status)
	_, err = offline.Revoke(t.Context(), made.ID)
	require.Equal(t, "keys.last", web.AsError(err).Code)
	_, err = offline.Revoke(t.Context(), web.NewID())
	require.Equal(t, "keys.not_found", web.AsError(err).Code)
	_, err = offline.Create(t.Context(), string(make([]byte, 300)))
	require.Equal(t, "request.too_long", web.AsError(err).Code)

	var recorded []string
	for _, e := range h.events() {
		if e.Caller == operator {
			recorded = append(recorded, e.Action+" "+e.Object+" "+e.Outcome)
		}
	}
	require.Equal(t, []string{"key.write " + made.ID + " ok", "key.write " + all[0].ID + " ok"}, recorded)
}
