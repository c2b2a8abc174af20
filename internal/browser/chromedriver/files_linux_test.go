package chromedriver

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// folderOf makes the folder of a session, of another user than the server where the test
// may do that.
func folderOf(t *testing.T) *process {
	t.Helper()
	user := User{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	if os.Getuid() == 0 {
		const nobody = 65534
		user = User{UID: nobody, GID: nobody, Switched: true}
	}
	var p process
	require.NoError(t, p.makeFolder(Options{User: user, Dir: t.TempDir()}, "/usr/bin/perl"))
	t.Cleanup(func() { require.NoError(t, p.removeFolder()) })
	return &p
}

// TestTheBrowsersUserPutsNothingWhereTheServerWorks looks at all of a session's folder: a
// browser that was taken over could put a link there, which the server would follow.
func TestTheBrowsersUserPutsNothingWhereTheServerWorks(t *testing.T) {
	p := folderOf(t)
	l, err := p.listen(commandsFile, p.files.user)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	path, err := p.files.add("note.txt", strings.NewReader("brought"))
	require.NoError(t, err)
	seen := 0
	require.NoError(t, filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o022, path)
		own := d.Name() == dataFolder || d.Name() == commandsFile // the server opens neither as a file
		if !own {
			require.Equal(t, os.Geteuid(), int(info.Sys().(*syscall.Stat_t).Uid), path)
		}
		if p.files.user.Switched && d.IsDir() && !own {
			require.Equal(t, fs.FileMode(0o711), info.Mode().Perm(), "chromedriver passes %s", path)
		}
		seen++
		return nil
	}))
	require.Equal(t, 7, seen)

	secret := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(secret, []byte("of the server"), 0o600))
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Symlink(secret, path))
	brought, err := p.files.open(path)
	require.NoError(t, err)
	var read strings.Builder
	require.Error(t, brought.WriteTo(t.Context(), &read), "nor is a link followed")
	require.Empty(t, read.String())
}

func TestNothingStaysOfAFileThatWasNotBroughtWhole(t *testing.T) {
	p := folderOf(t)
	broken := errors.New("a wrong checksum")
	_, err := p.files.add("note.txt", io.MultiReader(strings.NewReader("brought"), failing{broken}))
	require.ErrorIs(t, err, broken)
	p.files.bytes = maxFileBytes - 7
	_, err = p.files.add("note.txt", strings.NewReader("brought too"))
	require.ErrorIs(t, err, errFilesFull)
	_, err = p.files.add("../note.txt", strings.NewReader("brought"))
	require.Error(t, err)
	left, err := os.ReadDir(filepath.Join(p.dir, filesFolder))
	require.NoError(t, err)
	require.Empty(t, left)

	path, err := p.files.add("note.txt", strings.NewReader("brought"))
	require.NoError(t, err, "what fits")
	file, err := p.files.open(path)
	require.NoError(t, err)
	require.Equal(t, "note.txt", file.Name)
	require.Equal(t, int64(7), file.Size)
	var read strings.Builder
	require.NoError(t, file.WriteTo(t.Context(), &read))
	require.Equal(t, "brought", read.String())
	_, err = p.files.open("/etc/passwd")
	require.ErrorIs(t, err, errNotBrought)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
