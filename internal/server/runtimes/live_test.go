package runtimes

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

func TestARuntimeRemembersItsNewestDownloads(t *testing.T) {
	lr := newLiveRuntime("org", "workspace", "runtime")
	defer lr.end()
	for i := range maxDownloads + 2 {
		lr.rememberDownload(bctrl.StorageObject{ID: strconv.Itoa(i)})
	}
	kept := lr.newestDownloads()
	require.Len(t, kept, maxDownloads)
	require.Equal(t, "2", kept[0].ID)
	require.Equal(t, strconv.Itoa(maxDownloads+1), kept[maxDownloads-1].ID)
}
