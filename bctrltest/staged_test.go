package bctrltest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
)

func TestAFileThatIsStagedAgainUnderItsKeyIsThereOnce(t *testing.T) {
	srv := bctrltest.New(t)
	ws, err := srv.Client().Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "w"})
	require.NoError(t, err)
	launch := func() *bctrl.Runtime {
		rt, err := ws.Runtimes.Browser("r").Stagehand(t.Context(), bctrl.Launch{})
		require.NoError(t, err)
		return rt
	}
	rt := launch()
	stage := func(rt *bctrl.Runtime, name, content string, opts ...bctrl.UploadOption) (*bctrl.StorageObject, error) {
		return rt.Files.Stage(t.Context(), name, strings.NewReader(content), opts...)
	}
	key := bctrl.WithIdempotencyKey("job-1")
	first, err := stage(rt, "q1.pdf", "one", key)
	require.NoError(t, err)
	again, err := stage(rt, "q1.pdf", "one", key)
	require.NoError(t, err)
	require.Equal(t, first, again)
	_, err = stage(rt, "q1.pdf", "two", key)
	require.ErrorIs(t, err, bctrl.ErrInvalid, "another file")
	other, err := stage(rt, "q1.pdf", "one", bctrl.WithIdempotencyKey("job-2"))
	require.NoError(t, err)
	require.NotEqual(t, first.LogicalPath, other.LogicalPath)

	lower, err := rt.Narrow(bctrl.Mounts{AI: &bctrl.AIMount{Allow: []string{}}})
	require.NoError(t, err)
	_, err = stage(lower, "q1.pdf", "three", key) // of another caller
	require.ErrorIs(t, err, bctrl.ErrConflict, "nothing is replaced")
	stored, err := rt.Storage.Get(t.Context(), first.LogicalPath)
	require.NoError(t, err)
	require.Equal(t, "one", string(stored))

	require.NoError(t, rt.Stop(t.Context()))
	later, err := stage(launch(), "q1.pdf", "four", key)
	require.NoError(t, err, "of a runtime that has the alias later")
	require.NotEqual(t, first.LogicalPath, later.LogicalPath)
}
