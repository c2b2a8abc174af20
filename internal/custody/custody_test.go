package custody

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/seal"
)

func TestALockedServerKnowsNothingUntilItIsUnlocked(t *testing.T) {
	for _, source := range sources {
		t.Run(string(source), func(t *testing.T) {
			p := newPlace(t, source)
			told := 0
			p.c.OnLock(func() { told++ })
			before := p.db.Head().Seq
			key := *p.c.key.Load()
			p.c.Lock()
			p.c.Lock()
			require.Equal(t, 1, told)
			require.True(t, p.c.Locked())
			_, err := p.c.Keys().Open(record("org-a"), p.sealed["org-a"])
			require.ErrorIs(t, err, seal.ErrLocked)
			require.ErrorIs(t, p.c.Keys().Ensure(t.Context(), "org-c"), seal.ErrLocked)
			_, err = p.c.Verify(t.Context())
			require.ErrorIs(t, err, seal.ErrLocked)
			require.ErrorIs(t, p.c.Rotate(t.Context(), bctrl.Secret{}, p.commit), seal.ErrLocked)
			_, err = key.Sign(nil)
			require.ErrorIs(t, err, seal.ErrLocked, "the bytes are gone, for a copy too")
			p.note(1) // nobody signs it yet
			signed, err := p.db.Read().NewestCheckpoint(t.Context())
			require.NoError(t, err)
			require.Equal(t, before, signed.Seq, "everything before the lock is signed")

			require.NoError(t, p.c.Unlock(t.Context(), bctrl.NewSecret(p.given), nil))
			require.False(t, p.c.Locked())
			_, err = p.c.Keys().Open(record("org-a"), p.sealed["org-a"])
			require.NoError(t, err, "what was begun before goes on without asking")
			p.verified("unlocked")
			p.close()
			p.open()
			p.verified("started again")
		})
	}
}

func TestAPassphraseServerStartsLockedAndOpensWithItsPassphraseAlone(t *testing.T) {
	p := newPlace(t, bctrl.SealPassphrase)
	p.close()
	p.given, p.source = "", "" // it knows where its key comes from
	p.open()
	require.True(t, p.c.Locked())
	status, err := p.c.Status(t.Context(), p.db.Read())
	require.NoError(t, err)
	require.Equal(t, bctrl.SealPassphrase, status.Source)
	require.NotEmpty(t, status.KeyID)
	p.note(1)
	require.ErrorIs(t, p.c.Unlock(t.Context(), bctrl.Secret{}, nil), ErrPassphraseNeeded)
	require.ErrorIs(t, p.c.Unlock(t.Context(), bctrl.NewSecret(second), nil), seal.ErrWrongKey)
	require.True(t, p.c.Locked())
	require.NoError(t, p.c.Unlock(t.Context(), bctrl.NewSecret(first), nil))
	p.verified("unlocked")
	require.NoFileExists(t, p.keyFile())
	text, err := os.ReadFile(filepath.Join(p.dir, "bctrl.db"))
	require.NoError(t, err)
	require.NotContains(t, string(text), first)

	p.close()
	p.given = second
	require.ErrorIs(t, p.tryOpen(), seal.ErrWrongKey)
}

func TestTheFirstRunWithAPassphraseNeedsIt(t *testing.T) {
	p := &place{T: t, dir: t.TempDir(), source: bctrl.SealPassphrase}
	require.ErrorIs(t, p.tryOpen(), ErrPassphraseNeeded)
	p.given = first
	p.open()
	p.close()
}

func TestAServerIsUnlockedWithTheKeyThatItsDataIsSealedUnder(t *testing.T) {
	p := newPlace(t, bctrl.SealFile)
	text, err := os.ReadFile(p.keyFile())
	require.NoError(t, err)
	p.c.Lock()
	require.NoError(t, os.WriteFile(p.keyFile(), []byte(seal.Generate().Expose()), 0o600))
	require.ErrorIs(t, p.c.Unlock(t.Context(), bctrl.Secret{}, nil), seal.ErrWrongKey, "the file's")
	require.ErrorIs(t, p.c.Unlock(t.Context(), seal.Generate(), nil), seal.ErrWrongKey, "a text's")
	require.ErrorIs(t, p.c.Unlock(t.Context(), bctrl.NewSecret("x"), nil), seal.ErrBadKey)
	require.NoError(t, os.Chmod(p.keyFile(), 0o644))
	require.ErrorIs(t, p.c.Unlock(t.Context(), bctrl.Secret{}, nil), seal.ErrTooOpen)
	require.NoError(t, os.Remove(p.keyFile()))
	require.ErrorIs(t, p.c.Unlock(t.Context(), bctrl.Secret{}, nil), os.ErrNotExist, "and none is made")
	require.NoFileExists(t, p.keyFile())
	require.True(t, p.c.Locked())
	require.NoError(t, p.c.Unlock(t.Context(), bctrl.NewSecret(string(text)), nil))
	p.verified("by its text")
}

func TestFileAndEnvironmentCanHoldTheSameKeyAndAPassphraseIsNeither(t *testing.T) {
	p := newPlace(t, bctrl.SealFile)
	text, err := os.ReadFile(p.keyFile())
	require.NoError(t, err)
	p.close()
	require.NoError(t, os.Remove(p.keyFile()))
	t.Setenv(variable, string(text))
	p.source = ""
	p.open()
	require.Equal(t, bctrl.SealEnvironment, p.c.Source())
	p.verified("moved into the environment")
	p.close()
	p.source, p.given = bctrl.SealPassphrase, first
	require.ErrorIs(t, p.tryOpen(), ErrOtherSource)

	q := newPlace(t, bctrl.SealPassphrase)
	q.close()
	for _, source := range []bctrl.SealSource{bctrl.SealFile, bctrl.SealEnvironment} {
		q.source = source
		require.ErrorIs(t, q.tryOpen(), ErrOtherSource)
	}
	q.source = "cloud"
	require.Error(t, q.tryOpen())
}

// TestUnlockingRefusesALogThatWasPutBack keeps a server that starts
// locked from believing what it could not check then.
func TestUnlockingRefusesALogThatWasPutBack(t *testing.T) {
	p := newPlace(t, bctrl.SealPassphrase)
	p.close()
	old := p.image()
	p.open()
	p.note(1)
	p.close()
	head, err := os.ReadFile(filepath.Join(p.dir, "head"))
	require.NoError(t, err)
	q := &place{T: t, dir: old, source: bctrl.SealPassphrase}
	require.NoError(t, os.WriteFile(filepath.Join(old, "head"), head, 0o600))
	q.open()
	t.Cleanup(q.close)
	q.note(1)
	q.note(2)
	require.ErrorIs(t, q.c.Unlock(t.Context(), bctrl.NewSecret(first), nil), audit.ErrOlder)
	require.True(t, q.c.Locked())
}
