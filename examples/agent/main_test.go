package main

import (
	"bytes"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryVerbDoesItsWorkAndAsksNoMoreThanItHasTo(t *testing.T) {
	var out bytes.Buffer
	var last atomic.Value // the task that the model was asked about last
	err := run(t.Context(), func(turn modeltest.Turn) modeltest.Call {
		last.Store(turn.Task)
		return script(turn)
	}, &out) // fails when the model was sent a secret
	require.NoError(t, err, out.String())
	for _, line := range []string{
		`AGENT    Exported Q1 as pipeline-2026-q1\.csv\. \d+ steps of 10`,
		` +fill prod/crm`,
		` +totp prod/crm`,
		`OBSERVE  the quarter shown: select \[Q2\], asking 0 times`,
		`EXTRACT  \d+ deals, the first \[\{ID:D-\d+ Account:\w+ \w+ Amount:\d+\}\]`,
		`ACT      from the cache: false, asking [1-9] times`,
		`ACT      from the cache: true, asking 0 times`,
		`REPLAY   \d+ actions, downloads/pipeline-2026-q1.*\.csv, asking 0 times`,
	} {
		require.Regexp(t, `(?m)^`+line+`$`, out.String())
	}
	require.Contains(t, last.Load(), "Log out", "the replay after it asks no model")
}
