package custody

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
)

var sources = []bctrl.SealSource{bctrl.SealFile, bctrl.SealEnvironment, bctrl.SealPassphrase}

// TestACrashAtAnyPointOfARotationLeavesTheDataReadable takes an image of
// everything on disk at each point, and starts from each.
func TestACrashAtAnyPointOfARotationLeavesTheDataReadable(t *testing.T) {
	for _, source := range sources {
		t.Run(string(source), func(t *testing.T) {
			p := newPlace(t, source)
			old := p.c.key.Load().ID()
			oldGiven, oldVariable := p.given, os.Getenv(variable)
			type image struct{ at, dir string }
			images := []image{{"before", p.image()}}
			p.c.reached = func(point string) error {
				images = append(images, image{point, p.image()})
				return nil
			}
			written := func(ctx context.Context, write func(*store.Tx) error) error {
				err := p.db.Write(ctx, func(tx *store.Tx) error {
					err := write(tx)
					images = append(images, image{"written", p.image()}) // and not committed
					return err
				})
				images = append(images, image{"durable", p.image()}) // and not known to be
				return err
			}
			given := second
			switch source {
			case bctrl.SealFile:
				given = ""
			case bctrl.SealEnvironment:
				given = seal.Generate().Expose()
			}
			require.NoError(t, p.c.Rotate(t.Context(), bctrl.NewSecret(given), written))
			p.verified("after")
			fresh := p.c.key.Load().ID()
			require.NotEqual(t, old, fresh)
			p.close()
			require.Len(t, images, 7)

			for _, i := range images {
				after := i.at == "durable" || i.at == pointCommitted || i.at == pointInPlace
				q := &place{
					T:      t,
					dir:    i.dir,
					source: source,
					sealed: p.sealed,
					given:  oldGiven,
				}
				want := old
				if after {
					want = fresh
				}
				switch {
				case source == bctrl.SealPassphrase && after:
					q.given = given
				case source == bctrl.SealEnvironment && after:
					t.Setenv(variable, given)
				case source == bctrl.SealEnvironment:
					t.Setenv(variable, oldVariable)
				}
				require.NoError(t, q.tryOpen(), i.at)
				require.Equal(t, want, q.c.key.Load().ID(), i.at)
				q.verified(i.at)
				staged, err := filepath.Glob(q.keyFile() + ".next*")
				require.NoError(t, err)
				if after {
					require.Empty(t, staged, "%s: it was finished", i.at)
				}
				for _, file := range staged { // it was undone
					long := time.Now().Add(-48 * time.Hour)
					require.NoError(t, os.Chtimes(file, long, long))
					q.close()
					require.NoError(t, q.tryOpen(), i.at)
					require.NoFileExists(t, file, i.at)
				}
				q.note(1)
				if source == bctrl.SealPassphrase && i.at != pointStaged {
					q.close() // deriving keys is slow
					continue
				}
				require.NoError(t, q.rotate(third), "%s: and again", i.at)
				q.verified(i.at + ", rotated once more")
				q.close()
			}
		})
	}
}

// TestARotationKeepsItsKeyWhateverOthersDoWithItsFile: nodes on one machine may have one key file.
func TestARotationKeepsItsKeyWhateverOthersDoWithItsFile(t *testing.T) {
	for why, do := range map[string]func(p *place) error{
		"another node starts, and the key that it opens is the old one": func(p *place) error {
			cfg := p.config()
			cfg.Rows, cfg.Head = &seal.Rows{}, nil
			other, err := Open(p.Context(), cfg)
			if err != nil {
				return err
			}
			return other.Close()
		},
		"another node begins to rotate": func(p *place) error {
			_, err := seal.StageFile(p.keyFile())
			return err
		},
		"another node has finished it": func(p *place) error { return seal.CommitFile(p.keyFile(), stagedID(p)) },
	} {
		t.Run(why, func(t *testing.T) {
			p := newPlace(t, bctrl.SealFile)
			p.c.reached = func(point string) error {
				if point == pointSigned {
					return do(p)
				}
				return nil
			}
			killed := ""
			done := func(ctx context.Context, write func(*store.Tx) error) error {
				err := p.db.Write(ctx, write)
				killed = p.image()
				return err
			}
			require.NoError(t, p.c.Rotate(t.Context(), bctrl.Secret{}, done))
			id := p.c.key.Load().ID()
			kept, err := seal.FromFile(p.keyFile())
			require.NoError(t, err)
			require.Equal(t, id, kept.ID(), "nobody else has it")
			p.close()
			p.open()
			p.verified("started anew")
			q := &place{T: t, dir: killed, source: bctrl.SealFile, sealed: p.sealed}
			require.NoError(t, q.tryOpen(), "it was killed when it had committed")
			require.Equal(t, id, q.c.key.Load().ID())
			q.close()
		})
	}
}

// stagedID is the id of the key that is staged beside a place's key file.
func stagedID(p *place) string {
	staged, err := filepath.Glob(p.keyFile() + ".next-*")
	require.NoError(p, err)
	require.Len(p, staged, 1)
	return strings.TrimPrefix(staged[0], p.keyFile()+".next-")
}

func TestRotationsInARowKeepTheDataAndTheLog(t *testing.T) {
	for _, source := range sources {
		t.Run(string(source), func(t *testing.T) {
			p := newPlace(t, source)
			ids := map[string]bool{p.c.key.Load().ID(): true}
			for n, given := range []string{second, third, first} {
				p.note(n)
				require.NoError(t, p.rotate(given))
				id := p.c.key.Load().ID()
				require.False(t, ids[id], "a key was used again")
				ids[id] = true
				p.keep(fmt.Sprint("made-", n))
				p.verified(given)
				if source == bctrl.SealEnvironment {
					t.Setenv(variable, p.given)
				} else if source == bctrl.SealPassphrase {
					p.given = given
				}
				p.close()
				p.open()
				p.verified(given + ", started again")
			}
			status, err := p.c.Status(t.Context(), p.db.Read())
			require.NoError(t, err)
			require.False(t, status.Locked)
			require.False(t, status.LastRotatedAt.Before(status.CreatedAt))
			require.EqualValues(t, 6, status.DataKeys, "two, three and the server's own")
			require.Equal(t, p.c.key.Load().ID(), status.KeyID)
		})
	}
}

func TestTheOldKeyOpensNothingAfterARotation(t *testing.T) {
	p := newPlace(t, bctrl.SealFile)
	old, err := os.ReadFile(p.keyFile())
	require.NoError(t, err)
	require.NoError(t, p.rotate(""))
	p.close()
	info, err := os.Stat(p.keyFile())
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, os.WriteFile(p.keyFile(), old, 0o600))
	require.ErrorIs(t, p.tryOpen(), seal.ErrWrongKey)
}

func TestAKeyFileBehindALinkIsReplacedWhereItIs(t *testing.T) {
	p := newPlace(t, bctrl.SealFile)
	p.close()
	real := filepath.Join(t.TempDir(), "kept")
	require.NoError(t, os.Rename(p.keyFile(), real))
	require.NoError(t, os.Symlink(real, p.keyFile()))
	p.open()
	require.NoError(t, p.rotate(""))
	p.close()
	info, err := os.Lstat(p.keyFile())
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&fs.ModeSymlink)
	p.open()
	p.verified("behind a link")
}

func TestWhatFailsOnTheWayLeavesTheOldKeyInUse(t *testing.T) {
	full := fmt.Errorf("writing: %w", store.ErrFull)
	for why, tc := range map[string]struct {
		prepare func(p *place)
		restore func(p *place)
		commit  func(p *place) func(context.Context, func(*store.Tx) error) error
		want    error
	}{
		"the disk is full": {
			commit: func(*place) func(context.Context, func(*store.Tx) error) error {
				return func(context.Context, func(*store.Tx) error) error { return full }
			},
			want: store.ErrFull,
		},
		"the transaction is undone": {
			commit: func(p *place) func(context.Context, func(*store.Tx) error) error {
				return func(ctx context.Context, write func(*store.Tx) error) error {
					return p.db.Write(ctx, func(tx *store.Tx) error { return errors.Join(write(tx), full) })
				}
			},
			want: store.ErrFull,
		},
		"the new key cannot be written": {
			prepare: func(p *place) { // a link to itself, beside which root cannot write either
				require.NoError(p, os.Rename(p.keyFile(), p.keyFile()+".kept"))
				require.NoError(p, os.Symlink("key", p.keyFile()))
			},
			restore: func(p *place) { require.NoError(p, os.Rename(p.keyFile()+".kept", p.keyFile())) },
		},
		"the head of the log cannot be written": {
			prepare: func(p *place) {
				require.NoError(p, os.MkdirAll(filepath.Join(p.dir, "head.next", "x"), 0o700))
				p.note(1)
			},
		},
		"a data key was changed": {
			prepare: func(p *place) {
				require.NoError(p, p.db.Write(p.Context(), func(tx *store.Tx) error {
					d, err := tx.DEK(p.Context(), "org-b")
					if err != nil {
						return err
					}
					d.Wrapped[20] ^= 1
					return errors.Join(tx.RewrapDEK(p.Context(), d), auditAppend(tx))
				}))
				delete(p.sealed, "org-b")
			},
			want: seal.ErrTampered,
		},
	} {
		t.Run(why, func(t *testing.T) {
			p := newPlace(t, bctrl.SealFile)
			old := p.c.key.Load().ID()
			if tc.prepare != nil {
				tc.prepare(p)
			}
			commit := p.commit
			if tc.commit != nil {
				commit = tc.commit(p)
			}
			err := p.c.Rotate(t.Context(), bctrl.Secret{}, commit)
			require.Error(t, err)
			if tc.want != nil {
				require.ErrorIs(t, err, tc.want)
			}
			require.NoError(t, os.RemoveAll(filepath.Join(p.dir, "head.next")))
			require.False(t, p.c.Locked())
			require.Equal(t, old, p.c.key.Load().ID())
			p.verified("goes on")
			if tc.restore != nil {
				tc.restore(p)
			}
			p.note(2)
			p.close()
			p.open()
			require.Equal(t, old, p.c.key.Load().ID())
			p.verified("starts again")
		})
	}
}

func TestARotationIsToldWhatItsSourceTakes(t *testing.T) {
	key := seal.Generate().Expose()
	for _, tc := range []struct {
		source bctrl.SealSource
		given  string
		want   error
	}{
		{bctrl.SealFile, key, ErrNotTaken},
		{bctrl.SealEnvironment, "", ErrKeyNeeded},
		{bctrl.SealEnvironment, "no key", seal.ErrBadKey},
		{bctrl.SealPassphrase, "", ErrPassphraseNeeded},
		{bctrl.SealPassphrase, "short", seal.ErrPassphrase},
	} {
		p := newPlace(t, tc.source)
		require.ErrorIs(t, p.c.Rotate(t.Context(), bctrl.NewSecret(tc.given), p.commit), tc.want)
		p.verified("refused")
	}
	p := newPlace(t, bctrl.SealEnvironment)
	require.ErrorIs(t, p.c.Rotate(t.Context(), bctrl.NewSecret(os.Getenv(variable)), p.commit), ErrSameKey)
}

func TestSealingGoesOnWhileTheKeyIsExchanged(t *testing.T) {
	p := newPlace(t, bctrl.SealFile)
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	var wg sync.WaitGroup
	sealed := map[string][]byte{}
	for g := range 4 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				scope := fmt.Sprintf("new-%d-%d", g, n) // each makes a data key
				if err := p.c.Keys().Ensure(t.Context(), scope); err != nil {
					t.Error(err)
					return
				}
				out, err := p.c.Keys().Seal(record(scope), []byte("value of "+scope))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				sealed[scope] = out
				mu.Unlock()
			}
		})
	}
	for range 5 {
		require.NoError(t, p.rotate(""))
	}
	stop()
	wg.Wait()
	for scope, out := range sealed {
		p.sealed[scope] = out
	}
	require.Greater(t, len(p.sealed), 20)
	p.close()
	p.open()
	p.verified("after all of it")
}
