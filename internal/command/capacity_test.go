package command

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/daemon"
)

func TestCapacityIsReadOrRefusedByItsFlag(t *testing.T) {
	with := func(change func(*capacity)) capacity {
		c := capacity{Warm: "0", MaxRuntimes: "0", MinFree: "0", QueueTime: "30s"}
		change(&c)
		return c
	}
	for _, tc := range []struct {
		why  string
		of   capacity
		want daemon.Config
		flag string // that the refusal names
	}{
		{"nothing is bounded", with(func(*capacity) {}), daemon.Config{QueueTime: 30 * time.Second}, ""},
		{"all of it", capacity{"3", "20", "2GiB", "1m30s"}, daemon.Config{
			Warm:          3,
			MaxRuntimes:   20,
			MinFreeMemory: 2 << 30,
			QueueTime:     90 * time.Second,
		}, ""},
		{"plain bytes", with(func(c *capacity) { c.MinFree = "1048576" }), daemon.Config{
			MinFreeMemory: 1 << 20,
			QueueTime:     30 * time.Second,
		}, ""},
		{"negative", with(func(c *capacity) { c.Warm = "-1" }), daemon.Config{}, "--warm"},
		{"no number", with(func(c *capacity) { c.Warm = "two" }), daemon.Config{}, "--warm"},
		{"too many", with(func(c *capacity) { c.Warm = "1000" }), daemon.Config{}, "--warm"},
		{"negative", with(func(c *capacity) { c.MaxRuntimes = "-5" }), daemon.Config{}, "--max-runtimes"},
		{"an unknown unit", with(func(c *capacity) { c.MinFree = "2GB" }), daemon.Config{}, "--min-free-memory"},
		{"more than there are bytes", with(func(c *capacity) { c.MinFree = "99999999999TiB" }), daemon.Config{},
			"--min-free-memory"},
		{"no time", with(func(c *capacity) { c.QueueTime = "30" }), daemon.Config{}, "--queue-time"},
		{"none at all", with(func(c *capacity) { c.QueueTime = "0s" }), daemon.Config{}, "--queue-time"},
		{"a day", with(func(c *capacity) { c.QueueTime = "24h" }), daemon.Config{}, "--queue-time"},
	} {
		var got daemon.Config
		err := tc.of.configure(&got)
		if tc.flag != "" {
			require.ErrorContains(t, err, tc.flag, tc.why)
			continue
		}
		require.NoError(t, err, tc.why)
		require.Equal(t, tc.want, got, tc.why)
	}
}
