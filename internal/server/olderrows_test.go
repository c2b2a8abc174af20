package server

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store"
)

// remembered keeps a copy of a table's rows as they are now, proofs and all, and
// returns what puts them back.
func (h *harness) remembered(table string) (putBack func()) {
	h.Helper()
	db := h.raw()
	db.SetMaxOpenConns(1) // the copy is this connection's
	run := func(statements ...string) {
		h.Helper()
		for _, s := range statements {
			_, err := db.ExecContext(h.Context(), h.statement(fmt.Sprintf(s, table)))
			require.NoError(h, err, s)
		}
	}
	h.Cleanup(func() { require.NoError(h, db.Close()) })
	run("CREATE TEMP TABLE before AS SELECT * FROM main.%s")
	return func() {
		h.Helper()
		run("DELETE FROM main.%s", "INSERT INTO main.%s SELECT * FROM before")
	}
}

// TestARowOfBeforeWithItsOwnProofPermitsNothing puts rows back to what they were
// before something was taken away: each is refused when it is used, and named by
// verifying.
func TestARowOfBeforeWithItsOwnProofPermitsNothing(t *testing.T) {
	read := []string{"vault", "prod/crm"}
	for _, tc := range []struct {
		why, table, record string
		take               func(h *harness, ws store.Workspace, token bctrl.Secret)
		status             int
		code               string
	}{
		{"a workspace that was lowered", "workspaces", "workspace:", func(h *harness, ws store.Workspace, _ bctrl.Secret) {
			h.ok("PATCH", []string{"workspaces", ws.ID}, object{"mounts": object{"vault": object{"allow": []string{"other/"}}}},
				nil)
		}, 500, "workspaces.tampered"},
		{"a runtime that was stopped", "runtimes", "runtime:", func(h *harness, ws store.Workspace, _ bctrl.Secret) {
			h.ok("POST", []string{"workspaces", ws.ID, "runtimes", "r", "stop"}, nil, nil)
		}, 500, "runtimes.tampered"},
		{"a token that was revoked", "runtime_tokens", "token:", func(h *harness, _ store.Workspace, token bctrl.Secret) {
			h.ok("DELETE", []string{"tokens", tokenID(h.T, token)}, nil, nil)
		}, 401, "auth.unauthorized"},
	} {
		t.Run(tc.why, func(t *testing.T) {
			h := newHarness(t)
			h.setLogin("prod/crm")
			ws := h.made("w", object{"vault": object{"allow": []string{"/"}, "allowRawReads": true}})
			h.launch(ws, "r", nil)
			token := h.mint(ws.ID, "r", object{})
			require.Equal(t, 200, h.with(token, "GET", read, nil).Status)
			putBack := h.remembered(tc.table)
			tc.take(h, ws, token)
			require.NotEqual(t, 200, h.with(token, "GET", read, nil).Status, "taken away")
			require.True(t, h.verified())
			putBack()
			refused(t, h.with(token, "GET", read, nil), tc.status, tc.code, tc.why)
			h.found(tc.record)
		})
	}
}

// TestARuntimeThatWasDeletedIsMissed deletes the row of a runtime, and then a
// workspace with another: only who may has done the second.
func TestARuntimeThatWasDeletedIsMissed(t *testing.T) {
	h := newHarness(t)
	mine, gone := h.made("mine", object{}), h.made("gone", object{})
	h.launch(mine, "r", nil)
	h.launch(gone, "r", nil)
	putBack := h.remembered("runtimes")
	for _, ws := range []store.Workspace{mine, gone} {
		h.ok("POST", []string{"workspaces", ws.ID, "runtimes", "r", "stop"}, nil, nil)
	}
	h.ok("DELETE", []string{"workspaces", gone.ID}, nil, nil)
	require.True(t, h.verified())
	h.behind("DELETE FROM runtimes")
	h.found("runtime:")
	putBack()
	h.found("runtime:")
}

// TestWhatIsReadBesideWritesIsOfOneMoment changes a workspace and reads it at the
// same time: none of the reads takes the row and the log of two moments for a row
// that was put back.
func TestWhatIsReadBesideWritesIsOfOneMoment(t *testing.T) {
	h := newHarness(t)
	ws, org := h.made("w", object{}), h.org()
	done := make(chan error, 1)
	go func() {
		for range 200 {
			if _, err := h.db.Read().Workspace(t.Context(), org, ws.ID); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for i := range 50 {
		h.ok("PATCH", []string{"workspaces", ws.ID}, object{"name": fmt.Sprint("w", i)}, nil)
	}
	require.NoError(t, <-done)
}

// TestAVersionOfAFileIsTheNewest puts a file back to what was replaced or deleted,
// and deletes one with the sums of its folders: each is named, and what was put
// back is not read.
func TestAVersionOfAFileIsTheNewest(t *testing.T) {
	file := []string{"storage", "namespaces", "n", "files", "f.txt"}
	for _, tc := range []struct {
		why  string
		take func(h *harness)
	}{
		{"replaced", func(h *harness) { h.stored("n", "f.txt", "after") }},
		{"deleted", func(h *harness) { h.ok("DELETE", file, nil, nil) }},
	} {
		t.Run(tc.why, func(t *testing.T) {
			h := newHarness(t)
			h.made("n", object{})
			h.stored("n", "f.txt", "before")
			putBack := h.remembered("objects")
			tc.take(h)
			require.True(t, h.verified())
			putBack()
			refused(t, h.do("GET", file, nil, nil), 500, "storage.tampered", tc.why)
			h.found("object:")
		})
	}
	t.Run("deleted with its sums", func(t *testing.T) {
		h := newHarness(t)
		h.made("n", object{})
		h.stored("n", "f.txt", "content")
		require.True(t, h.verified())
		h.behind("DELETE FROM objects", "DELETE FROM folders")
		h.found("object:")
	})
}
