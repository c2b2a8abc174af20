package daemon

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAClockThatIsOffIsSaidOnce(t *testing.T) {
	var said bytes.Buffer
	var ahead, within time.Duration
	w := clockWatch{
		compare: func(context.Context) (time.Duration, time.Duration, error) { return ahead, within, nil },
		log:     slog.New(slog.NewTextHandler(&said, nil)),
	}
	for _, tc := range []struct {
		why           string
		ahead, within time.Duration
		says          string
	}{
		{"the same", 0, time.Millisecond, ""},
		{"some seconds", -4 * time.Second, time.Millisecond, ""},
		{"a minute that nobody can tell", time.Minute, time.Minute, ""},
		{"a minute ahead", time.Minute, time.Second, "ahead=1m0s"},
		{"still", 62 * time.Second, time.Second, ""},
		{"set", time.Second, time.Second, "again"},
		{"a minute behind", -time.Minute, time.Second, "ahead=-1m0s"},
	} {
		said.Reset()
		ahead, within = tc.ahead, tc.within
		w.look(t.Context())
		require.Equal(t, tc.says != "", said.Len() > 0, tc.why)
		require.True(t, strings.Contains(said.String(), tc.says), tc.why+said.String())
	}
}
