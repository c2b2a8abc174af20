package devtools

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// recording is a client whose refusals are kept.
type recording struct {
	oneClient
	codes *[]string
	fail  error
}

func (c recording) recordRefusal(_ context.Context, refusal *bctrl.Error) error {
	*c.codes = append(*c.codes, refusal.Code)
	if c.fail != nil {
		return c.fail
	}
	return refusal
}

// TestWhatTheRulesRefuseIsRecordedOnceForAConnection asks for the same again and again, as a
// client may.
func TestWhatTheRulesRefuseIsRecordedOnceForAConnection(t *testing.T) {
	var codes []string
	f := newFilter(recording{codes: &codes})
	for range 3 {
		for _, method := range []string{"Browser.crash", "SystemInfo.getInfo", "Nonsense.enable", "Browser.crashGpuProcess"} {
			_, err := f.checkCommand(t.Context(), message{ID: 1, Method: method})
			told := f.recordRefusal(t.Context(), err)
			require.Equal(t, err, told, "the client is told the same each time")
		}
	}
	require.Equal(t, []string{"devtools.ends_runtime", "devtools.machine", "devtools.not_permitted"}, codes)
	for _, own := range []error{bctrl.ErrNotFound, errors.New("no code"), &bctrl.Error{Code: "storage.outside_mount"}} {
		require.Equal(t, own, f.recordRefusal(t.Context(), own))
	}
	require.Len(t, codes, 3, "what others record, and what is no refusal")
	pdf := &bctrl.Error{Code: "page.pdf_refused"}
	for range 2 {
		require.Equal(t, error(pdf), f.recordRefusal(t.Context(), pdf))
	}
	require.Len(t, codes, 5, "each print")

	full := errors.New("the log is full")
	f = newFilter(recording{codes: &codes, fail: full})
	_, err := f.checkCommand(t.Context(), message{ID: 1, Method: "Browser.crash"})
	require.Equal(t, full, f.recordRefusal(t.Context(), err), "what cannot be recorded is said")
}
