package store

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	// asWriter and limitFiles are of the environment: the file of a store that this binary writes
	// to, and how large each file may grow, in bytes, which is to SQLite a disk that is full.
	asWriter   = "BCTRL_TEST_STORE_WRITER"
	limitFiles = "BCTRL_TEST_LIMIT_FILES"
)

// writers is how many callers write in that process, each to an entry of its own.
const writers = 8

// writeUntilKilled makes version after version of each entry, and says of each once it is
// acknowledged. Pages are moved all the time, and the log is cut now and then.
func writeUntilKilled(path string) {
	ctx := context.Background()
	bounds, scrub := unscrubbed(1, 1, 1<<40), true
	if limit, err := strconv.ParseUint(os.Getenv(limitFiles), 10, 64); err == nil {
		signal.Ignore(syscall.SIGXFSZ) // the write fails instead
		err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: math.MaxUint64})
		if err != nil {
			panic(err)
		}
		bounds.every, bounds.end, scrub = 1<<40, 1<<40, false // so that the log meets the limit
	}
	db, err := openFile(ctx, path, testProver{}, bounds)
	if err != nil {
		panic(err)
	}
	for i := range writers {
		go func() {
			for {
				key := fmt.Sprintf("k%d", i)
				var version int64
				err := db.Write(ctx, func(tx *Tx) error {
					e, err := tx.VaultEntry(ctx, "org", key)
					if err != nil {
						return err
					}
					e.Version++
					version = e.Version
					e.Sealed = fmt.Appendf(nil, "%04096d", version)
					tx.scrub = scrub && version%20 == 0
					if err := tx.UpdateVaultEntry(ctx, "org", e); err != nil {
						return err
					}
					return logged(tx)
				})
				if err != nil {
					fmt.Println("refused", i, err)
					continue
				}
				fmt.Println("wrote", i, version)
			}
		}()
	}
	select {}
}

// killed runs such a process until it has said so many lines, kills it, and returns the last
// version of each entry that was acknowledged, and how often a write was refused.
func killed(t *testing.T, path string, lines int, environment ...string) (acknowledged [writers]int64, refused int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(append(os.Environ(), asWriter+"="+path), environment...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	for said := bufio.NewScanner(out); said.Scan(); lines-- {
		var i int
		var version int64
		if n, _ := fmt.Sscanf(said.Text(), "wrote %d %d", &i, &version); n == 2 {
			acknowledged[i] = version
		} else {
			refused++
		}
		if lines == 0 {
			require.NoError(t, cmd.Process.Kill())
		}
	}
	require.Error(t, cmd.Wait())
	return acknowledged, refused
}

// requireKept requires of a store that a process left what that has acknowledged, and a chain
// and a database that are whole.
func requireKept(t *testing.T, path string, acknowledged [writers]int64) {
	t.Helper()
	db, err := Open(t.Context(), path, testProver{})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var sound string
	require.NoError(t, db.reader.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&sound))
	require.Equal(t, "ok", sound)
	for i, version := range acknowledged {
		e, err := db.Read().VaultEntry(t.Context(), "org", fmt.Sprintf("k%d", i))
		require.NoError(t, err)
		require.GreaterOrEqual(t, e.Version, version)
		if e.Version > 1 {
			require.Equal(t, fmt.Sprintf("%04096d", e.Version), string(e.Sealed))
		}
	}
	head, seq := ZeroHash(), int64(0)
	require.NoError(t, db.Read().EachEntry(t.Context(), 0, func(e StoredEntry) error {
		seq++
		head = NextHash(head, e.Entry)
		require.Equal(t, seq, e.Seq)
		require.Equal(t, head, e.Hash)
		return nil
	}))
}

// withEntries makes a store with an entry for each writer.
func withEntries(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "bctrl.db")
	db, err := Open(t.Context(), path, testProver{})
	require.NoError(t, err)
	require.NoError(t, db.Write(t.Context(), func(tx *Tx) error {
		if err := insertOrganization(t.Context(), tx, "org"); err != nil {
			return err
		}
		for i := range writers {
			key := fmt.Sprintf("k%d", i)
			if err := insert(t.Context(), tx, key, entry(key)); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NoError(t, db.Close())
	return path
}

func TestAKillWhileTheLogIsMovedLosesNothing(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	path := withEntries(t)
	for range 8 {
		acknowledged, refused := killed(t, path, 1+rng.IntN(300))
		require.Zero(t, refused)
		requireKept(t, path, acknowledged)
	}
}

// TestAFullDiskEndsTheLog: where the log cannot grow, what is in it is moved, and it begins anew.
func TestAFullDiskEndsTheLog(t *testing.T) {
	path := withEntries(t)
	acknowledged, refused := killed(t, path, 1500, fmt.Sprint(limitFiles, "=", 2<<20))
	require.Positive(t, refused, "the log has to meet the limit for this to mean anything")
	require.Less(t, refused, 500, "a refusal is of the writes of one transaction")
	requireKept(t, path, acknowledged)
}
