package daemon

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFreeMemoryIsWhatIsLeftToTheServersControlGroup(t *testing.T) {
	free, ok := availableMemory()
	require.True(t, ok)
	require.Positive(t, free)

	mount := t.TempDir()
	self := filepath.Join(mount, "self")
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(mount, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	write("self", "0::/pod/server\n")
	_, limited := leftToGroup(mount, self)
	require.False(t, limited, "no group has a limit")
	write("pod/server/memory.max", "max\n")
	write("pod/server/memory.current", "700\n")
	_, limited = leftToGroup(mount, self)
	require.False(t, limited)
	write("pod/memory.max", "1000\n")
	write("pod/memory.current", "900\n")
	write("pod/memory.stat", "anon 500\ninactive_file 300\nactive_file 50\n")
	left, limited := leftToGroup(mount, self)
	require.True(t, limited, "the group above has one")
	require.EqualValues(t, 400, left)
	write("pod/server/memory.max", "800\n")
	left, _ = leftToGroup(mount, self)
	require.EqualValues(t, 100, left, "the smaller counts")
	write("pod/memory.current", "1400\n")
	left, _ = leftToGroup(mount, self)
	require.Zero(t, left, "never less than nothing")
	write("self", "4:memory:/x\n")
	_, limited = leftToGroup(mount, self)
	require.False(t, limited, "of cgroup v1 nothing is read")
}
