package seal

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheKeyFileIsMadeOnceAndReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "dir", "kek")
	_, err := FromFile(path)
	require.ErrorIs(t, err, fs.ErrNotExist)

	made, err := CreateFile(path)
	require.NoError(t, err)
	read, err := FromFile(path)
	require.NoError(t, err)
	require.Equal(t, made.ID(), read.ID())

	for name, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, want, info.Mode().Perm(), name)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "a temporary file was left")

	_, err = CreateFile(path)
	require.ErrorIs(t, err, fs.ErrExist)
	again, err := FromFile(path)
	require.NoError(t, err)
	require.Equal(t, made.ID(), again.ID(), "an existing key was replaced")
}

func TestServersThatStartTogetherAgreeOnOneKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	var made sync.Map
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if key, err := CreateFile(path); err == nil {
				made.Store(key.ID(), true)
			}
		})
	}
	wg.Wait()
	key, err := FromFile(path)
	require.NoError(t, err)
	count := 0
	made.Range(func(id, _ any) bool {
		count++
		require.Equal(t, key.ID(), id)
		return true
	})
	require.Equal(t, 1, count)
}

func TestAKeyFileThatOthersCanReadIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	_, err := CreateFile(path)
	require.NoError(t, err)
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o660, 0o601, 0o644} {
		require.NoError(t, os.Chmod(path, mode))
		_, err := FromFile(path)
		require.ErrorIs(t, err, ErrTooOpen, "%o", mode)
		require.ErrorContains(t, err, "chmod 600")
	}
	require.NoError(t, os.Chmod(path, 0o400))
	_, err = FromFile(path)
	require.NoError(t, err)
}

func TestAWrongKeyFileIsRefusedWithoutQuotingIt(t *testing.T) {
	good := Generate().Expose()
	canary := strings.Repeat("Q", 48)
	for why, text := range map[string]string{
		"empty":               "",
		"another thing":       canary,
		"no prefix":           strings.TrimPrefix(good, textPrefix),
		"another version":     strings.Replace(good, "key-1", "key-2", 1),
		"cut short":           good[:len(good)-4],
		"not base64":          textPrefix + canary[:47] + "!",
		"wrong check sum":     textPrefix + canary,
		"two keys":            good + "\n" + good,
		"white space inside":  good[:20] + " " + good[20:],
		"larger than any key": strings.Repeat(good, 200),
	} {
		path := filepath.Join(t.TempDir(), "kek")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := FromFile(path)
		require.ErrorIs(t, err, ErrBadKey, why)
		require.ErrorContains(t, err, path, why)
		require.NotContains(t, err.Error(), "QQQ", why)
		require.NotContains(t, err.Error(), good[20:30], why)
	}
	_, err := FromFile(t.TempDir())
	require.Error(t, err, "a directory")
}

func TestAKeyIsTheSameFromFileAndEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	file, err := CreateFile(path)
	require.NoError(t, err)
	text, err := os.ReadFile(path)
	require.NoError(t, err)

	t.Setenv("TEST_BCTRL_KEY", string(text)) // with the line's end, as $(cat) may leave or not
	env, err := FromEnvironment("TEST_BCTRL_KEY")
	require.NoError(t, err)
	require.Equal(t, file.ID(), env.ID())

	for why, value := range map[string]string{"empty": "", "mistyped": string(text[:30]) + "AAAA" + string(text[34:])} {
		t.Setenv("TEST_BCTRL_KEY", value)
		_, err := FromEnvironment("TEST_BCTRL_KEY")
		require.ErrorIs(t, err, ErrBadKey, why)
		require.ErrorContains(t, err, "TEST_BCTRL_KEY", why)
	}
}

// TestWhatACrashLeftOfAKeyFileGoesWithTheNext, and what somebody else is writing does not.
func TestWhatACrashLeftOfAKeyFileGoesWithTheNext(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	_, err := CreateFile(path)
	require.NoError(t, err)
	left, written := filepath.Join(dir, unfinished+"1"), filepath.Join(dir, unfinished+"2")
	require.NoError(t, os.Link(path, left)) // as between the two
	long := time.Now().Add(-2 * unfinishedAge)
	require.NoError(t, os.Chtimes(left, long, long))
	require.NoError(t, os.WriteFile(written, nil, 0o600))
	staged, err := StageFile(path)
	require.NoError(t, err)
	require.NoFileExists(t, left)
	require.FileExists(t, written)
	require.NoError(t, CommitFile(path, staged.ID()))
}

func TestAStagedKeyIsDroppedWhenNoRotationIsInItAnyMore(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	now, err := CreateFile(path)
	require.NoError(t, err)
	old, err := StageFile(path)
	require.NoError(t, err)
	fresh, err := StageFile(path)
	require.NoError(t, err)
	long := time.Now().Add(-2 * stagedAge)
	for _, name := range []string{"key.next", "key.next.mine", "key.nextcloud", "key.next-backup"} {
		require.NoError(t, os.Link(path, filepath.Join(dir, name)))
	}
	require.NoError(t, os.Chtimes(path+".next-"+old.ID(), long, long))
	require.NoError(t, os.Chtimes(path, long, long)) // and all that are linked to it
	before, err := StagedFile(path, now.ID())
	require.NoError(t, err, "as versions before named it")
	require.Equal(t, now.ID(), before.ID())
	require.NoError(t, DropStaged(path))
	_, err = StagedFile(path, old.ID())
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorIs(t, CommitFile(path, old.ID()), fs.ErrNotExist)
	got, err := StagedFile(path, fresh.ID())
	require.NoError(t, err)
	require.Equal(t, fresh.ID(), got.ID())
	require.NoFileExists(t, path+".next")
	for _, name := range []string{"key", "key.next.mine", "key.nextcloud", "key.next-backup"} {
		require.FileExists(t, filepath.Join(dir, name))
	}
	require.NoError(t, os.WriteFile(path+".next", []byte("no key"), 0o600))
	require.NoError(t, CommitFile(path, fresh.ID()))
	require.NoError(t, CommitFile(path, fresh.ID()), "another server has done it")
	open, err := StageFile(path)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(path+".next-"+open.ID(), 0o644))
	_, err = StagedFile(path, open.ID())
	require.ErrorIs(t, err, ErrTooOpen)
}
