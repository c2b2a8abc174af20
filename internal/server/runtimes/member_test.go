package runtimes

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

func TestARuntimeRemembersItsNewestDownloads(t *testing.T) {
	m := newMember("org", "runtime")
	defer m.end()
	for i := range maxLanded + 2 {
		m.land(bctrl.StorageObject{ID: strconv.Itoa(i)})
	}
	kept := m.landed()
	require.Len(t, kept, maxLanded)
	require.Equal(t, "2", kept[0].ID)
	require.Equal(t, strconv.Itoa(maxLanded+1), kept[maxLanded-1].ID)
}
