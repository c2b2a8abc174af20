package calls

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

func TestEveryFailureReadsAsASentence(t *testing.T) {
	for _, f := range upstreamFailures {
		for _, err := range []error{
			f.kind,
			&broker.Error{Kind: f.kind, Detail: "a detail"},
			fmt.Errorf("reading: %w", f.kind),
		} {
			message := web.AsError(callFailure(t.Context(), nil, err)).Message
			require.NotContains(t, message, "  ", f.refusal.Code)
			require.NotContains(t, message, ": :", f.refusal.Code)
			require.Equal(t, strings.TrimRight(message, ": "), message, f.refusal.Code)
		}
	}
}

func TestAFailureSaysWhatTheBrokerSaysOfIt(t *testing.T) {
	for _, f := range upstreamFailures {
		message := web.AsError(callFailure(t.Context(), nil, &broker.Error{Kind: f.kind, Detail: "a detail"})).Message
		want := f.refusal.Message
		if f.detailed {
			want += ": a detail"
		}
		require.Equal(t, want, message)
		require.NotContains(t, f.refusal.Message, "a detail", "the next one is told nothing of it")
	}
}
