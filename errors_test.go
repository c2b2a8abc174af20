package bctrl

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWhatEndedEarlyIsNotInvalid: the status alone, 422, cannot tell them apart,
// nor can the class that an error inside an answer has.
func TestWhatEndedEarlyIsNotInvalid(t *testing.T) {
	for _, tc := range []struct {
		code  string
		ended bool
		why   string
	}{
		{"executions.cancelled", true, "somebody cancelled it"},
		{"runtimes.ended", true, "its runtime was stopped"},
		{"request.idempotency_mismatch", false, "the request itself is wrong"},
	} {
		answered := clientOn(t, always(422, refusalBody(tc.code, "invalid_input"))).Profiles.Delete(t.Context(), "p")
		inside := &Error{}
		require.NoError(t, json.Unmarshal([]byte(refusalBody(tc.code, "invalid_input")), inside))
		for _, err := range []error{answered, inside} {
			require.Equal(t, tc.ended, errors.Is(err, ErrEnded), tc.why)
			require.Equal(t, !tc.ended, errors.Is(err, ErrInvalid), tc.why)
		}
	}
}
