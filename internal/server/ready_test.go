package server

import (
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/blob/s3test"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// goneBrowser is a driver whose program may be gone.
type goneBrowser struct {
	*browser.Fake
	gone atomic.Bool
}

func (g *goneBrowser) Check() error {
	if g.gone.Load() {
		return errors.New("no Chromium at /home/somebody/chromium")
	}
	return nil
}

// alone is embedded under a name that is none of its methods'.
type alone = cluster.Alone

// leaselessMember is a node that may be without its lease.
type leaselessMember struct {
	alone
	lost atomic.Bool
}

func (m *leaselessMember) Valid() error {
	if m.lost.Load() {
		return cluster.ErrLeaseLost
	}
	return nil
}

type readiness struct {
	Status  string
	Missing []struct{ Part, Code, Message string }
}

// codes are the missing parts and their codes, in their order.
func (r readiness) codes() (all []string) {
	for _, m := range r.Missing {
		all = append(all, m.Part+" "+m.Code)
	}
	return all
}

// TestReadyzNamesWhatIsTakenAway takes away each part of a server, alone and together, and gives it back.
func TestReadyzNamesWhatIsTakenAway(t *testing.T) {
	postgres, err := pgtest.New(false)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, postgres.Close()) })
	bucket := s3test.Start(t)
	bucket.Setenv(t)
	folder := bucket.Bucket(t, "files")
	files, err := blob.ParseS3(bucket.URL("files"))
	require.NoError(t, err)
	driver, member := &goneBrowser{Fake: &browser.Fake{}}, &leaselessMember{}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bctrl.db"), []byte(postgres.URL("postgres")), 0o600))
	store, err := blob.OpenS3(t.Context(), files)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	h := newHarnessIn(t, dir, custody.Config{}, func(cfg *Config) {
		cfg.Blobs, cfg.Browsers, cfg.Cluster, cfg.ReadyAge = store, driver, member, time.Nanosecond
	})
	ask := func() (readiness, int) {
		got := h.send("GET", "/readyz", nil)
		var r readiness
		require.NoError(t, json.Unmarshal(got.Body, &r))
		require.NotContains(t, string(got.Body), "somebody", "no path of the machine")
		return r, got.Status
	}
	behind := func(options string, statements ...string) { // the server's back
		db, err := sql.Open("pgx", postgres.URL("postgres")+"&default_transaction_read_only=off"+options)
		require.NoError(t, err)
		for _, s := range statements {
			_, err := db.ExecContext(t.Context(), s)
			require.NoError(t, err)
		}
		require.NoError(t, db.Close())
	}
	expect := func(why string, code int, status string, parts ...string) {
		t.Helper()
		got, answered := ask()
		require.Equal(t, status, got.Status, why)
		require.Equal(t, code, answered, why)
		require.Equal(t, parts, got.codes(), why)
	}
	expect("all is there", 200, "ok")

	moved := folder + ".away"
	require.NoError(t, os.Rename(folder, moved))
	expect("the bucket is gone", 200, "degraded", "bucket storage.bucket_missing")
	require.NoError(t, os.Rename(moved, folder))
	bucket.Kill()
	expect("its server is gone", 200, "degraded", "bucket storage.unavailable")
	driver.gone.Store(true)
	expect("the browser too", 200, "degraded", "bucket storage.unavailable", "browser runtimes.no_browser")
	require.NoError(t, bucket.Resume())
	expect("the browser alone", 200, "degraded", "browser runtimes.no_browser")

	h.server.Custody.Lock()
	expect("locked is graver", 200, "locked", "key seal.locked", "browser runtimes.no_browser")
	driver.gone.Store(false)
	member.lost.Store(true)
	expect("without its lease nothing is answered", 503, "unready", "lease server.lease_lost", "key seal.locked")
	member.lost.Store(false)
	require.NoError(t, h.server.Custody.Unlock(t.Context(), bctrl.Secret{}, nil))
	expect("unlocked", 200, "ok")

	require.NoError(t, postgres.Kill())
	expect("the database is gone", 503, "unready", "database server.database_unavailable")
	require.NoError(t, postgres.Start())
	require.Eventually(t, func() bool { got, _ := ask(); return got.Status == "ok" }, time.Minute, 10*time.Millisecond)

	write := func(key string) int {
		return h.do("PUT", []string{"vault", key}, nil, object{"password": "p"}).Status
	}
	require.Eventually(t, func() bool { return write("a") == 200 }, time.Minute, 10*time.Millisecond)
	behind("", "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
	require.Eventually(t, func() bool { return write("b") == 503 }, time.Minute, 10*time.Millisecond)
	expect("it takes no writes", 503, "unready", "database server.database_read_only")
	h.server.DB.Fence("a node that has no lease")
	expect("nor may it be written to: another part tells of that", 200, "ok")
	h.server.DB.Fence("")
	expect("it takes no writes still", 503, "unready", "database server.database_read_only")
	behind("", "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
	require.Eventually(t, func() bool { got, _ := ask(); return got.Status == "ok" }, time.Minute, 10*time.Millisecond,
		"found out though nobody writes")

	require.Equal(t, 200, write("b"))
	behind("&session_replication_role=replica", // without triggers
		"DELETE FROM audit_events WHERE seq = (SELECT MAX(seq) FROM audit_events)",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bctrl'")
	require.Equal(t, 503, write("c"))
	for range 2 {
		expect("it lacks what the server wrote", 503, "unready", "database server.database_unavailable")
	}
	got, _ := ask()
	require.Contains(t, got.Missing[0].Message, "writes no more")
}
