//go:build unix

package chromium

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser/page"
)

func TestACopyIsMadeWholeOrNotAtAll(t *testing.T) {
	user, err := lookupAccount("")
	require.NoError(t, err)
	d, err := makeDirs(t.TempDir(), "uploads", user)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.remove()) })
	u := uploads{d.uploads, user}
	path, err := u.Make(5, func(w io.Writer) error { _, err := io.WriteString(w, "hello"); return err })
	require.NoError(t, err)
	require.Equal(t, d.uploads, filepath.Dir(path))
	info, err := os.Lstat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o400), info.Mode(), "nobody else reads it, and nobody writes it")
	require.True(t, user.owns(info))
	folder, err := os.Stat(d.uploads)
	require.NoError(t, err)
	require.True(t, madeBySelf(folder), "a browser that was taken over puts nothing in it")

	_, err = u.Make(4, func(w io.Writer) error { _, err := io.WriteString(w, "hello"); return err })
	require.ErrorIs(t, err, page.ErrTooLarge)
	broken := errors.New("no more")
	_, err = u.Make(4, func(io.Writer) error { return broken })
	require.ErrorIs(t, err, broken)
	u.Remove(path)
	left, err := os.ReadDir(d.uploads)
	require.NoError(t, err)
	require.Empty(t, left)
}
