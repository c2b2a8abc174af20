package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// filesIn are the files below a directory and what they hold.
func filesIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(name string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(name)
		found[strings.TrimPrefix(filepath.ToSlash(name), filepath.ToSlash(dir)+"/")] = string(content)
		return err
	}))
	return found
}

func TestAFolderGoesToStorageAndComesBack(t *testing.T) {
	d := at(t)
	want := map[string]string{"a.txt": "a", "b/c d.txt": "c", "b/ü/e.txt": "", "b-no": "n"}
	for name, content := range want {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join("tree", name)), 0o777))
		require.NoError(t, os.WriteFile(filepath.Join("tree", name), []byte(content), 0o666))
	}
	require.NoError(t, os.WriteFile("secret", []byte("canary"), 0o600))
	require.NoError(t, os.Symlink("../secret", "tree/link"))

	said := d.run("", "storage", "cp", "-r", "tree", "files:kept").stderr
	require.Contains(t, said, "files:kept/b/c d.txt, 1 B.")
	require.NotContains(t, d.do("storage", "ls", "-r", "files"), "link", "a link is not followed")
	d.do("storage", "cp", "-r", "files:kept/", "back")
	require.Equal(t, want, filesIn(t, "back"))
	d.do("storage", "cp", "-r", "files:kept/b", "part")
	require.Equal(t, map[string]string{"c d.txt": "c", "ü/e.txt": ""}, filesIn(t, "part"),
		"the folder b, and not what begins like it")

	require.Equal(t, exitFailed, d.run("", "storage", "cp", "-r", "tree", "files:kept").code, "what is there is kept")
	require.Equal(t, exitFailed, d.run("", "storage", "cp", "-r", "files:kept", "back").code)
	d.do("storage", "cp", "-r", "tree", "files:kept", "--force")
	require.Contains(t, d.do("storage", "cp", "-r", "files:kept", "back", "--force", "--json"),
		`"logicalPath": "kept/a.txt"`)

	d.do("storage", "rm", "-r", "files:kept/b")
	d.do("storage", "cp", "-r", "files:", "rest")
	require.Equal(t, map[string]string{"kept/a.txt": "a", "kept/b-no": "n"}, filesIn(t, "rest"))
	for _, args := range [][]string{
		{"cp", "-r", "files:none", "x"}, {"rm", "-r", "files:none"}, {"rm", "-r", "files:"},
		{"cp", "-r", "secret", "files:x"},
		{"cp", "-r", "files:kept", "-"}, {"cp", "tree", "files:x/"}, {"rm", "files:kept"},
	} {
		require.NotZero(t, d.run("", append([]string{"storage"}, args...)...).code, args)
	}
}

func TestAFolderFromStorageStaysBelowItsDestination(t *testing.T) {
	d := at(t)
	require.NoError(t, os.WriteFile("f", []byte("planted"), 0o666))
	d.do("storage", "cp", "f", "files:link/f")
	require.NoError(t, os.Mkdir("outside", 0o777))
	require.NoError(t, os.Mkdir("inside", 0o777))
	require.NoError(t, os.Symlink("../outside", "inside/link"))
	require.Equal(t, exitFailed, d.run("", "storage", "cp", "-r", "files:", "inside").code)
	require.Empty(t, filesIn(t, "outside"))
}
