package files

import (
	"fmt"
	"path"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
)

func TestANumberedPathIsAPathInTheSameFolder(t *testing.T) {
	name := rapid.StringMatching(`[a-zé報]{1,90}(\.[a-zé]{0,40}){0,3}`)
	paths := rapid.Custom(func(rt *rapid.T) string {
		return path.Join(append(rapid.SliceOfN(name, 0, 4).Draw(rt, "folders"), name.Draw(rt, "name"))...)
	}).Filter(func(p string) bool { return bctrl.ValidStoragePath(p) == nil })
	rapid.Check(t, func(rt *rapid.T) {
		p := paths.Draw(rt, "path")
		n := rapid.IntRange(2, 1_000_000).Draw(rt, "n")
		got := numberedPath(p, n)
		require.NoError(rt, bctrl.ValidStoragePath(got), "%q", got)
		require.Equal(rt, path.Dir(p), path.Dir(got))
		require.Contains(rt, got, fmt.Sprintf(" (%d)", n))
		require.NotEqual(rt, got, numberedPath(p, n+1))
	})
}

func TestANameIsSpelledSoThatNoHeaderBreaks(t *testing.T) {
	for name, want := range map[string]string{
		"q1.csv":          `attachment; filename="q1.csv"`,
		"a b;c=d.csv":     `attachment; filename="a b;c=d.csv"`,
		`a"b.csv`:         `attachment; filename="a_b.csv"; filename*=UTF-8''a%22b.csv`,
		"50%.csv":         `attachment; filename="50_.csv"; filename*=UTF-8''50%25.csv`,
		"Übersicht +.csv": `attachment; filename="_bersicht +.csv"; filename*=UTF-8''%C3%9Cbersicht%20%2B.csv`,
		"報告.csv":          `attachment; filename="__.csv"; filename*=UTF-8''%E5%A0%B1%E5%91%8A.csv`,
	} {
		require.Equal(t, want, attachment(name))
	}
}
