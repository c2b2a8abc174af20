package bctrl_test

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheMapNamesWhatThereIs looks for every file and folder that CONTRIBUTING.md
// sends a newcomer to, by the end of its path.
func TestTheMapNamesWhatThereIs(t *testing.T) {
	var there strings.Builder
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && path == ".git" && entry.IsDir() {
			return fs.SkipDir
		}
		there.WriteString("/" + path + "\n")
		return err
	})
	require.NoError(t, err)
	text, err := os.ReadFile("CONTRIBUTING.md")
	require.NoError(t, err)
	named := regexp.MustCompile("`([a-z_-]+/[a-z_/-]*[a-z]|[a-zA-Z_/.-]+\\.(?:go|json|md|txt|yaml|yml))/?`").
		FindAllStringSubmatch(string(text), -1)
	require.Greater(t, len(named), 40)
	for _, name := range named {
		require.True(t, strings.Contains(there.String(), "/"+name[1]+"\n"), "%s is not there", name[1])
	}
}
