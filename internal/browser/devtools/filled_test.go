package devtools

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// fillCounting is a client of a browser in which something is filled as a test goes on.
type fillCounting struct {
	oneClient
	fills *int
}

func (c fillCounting) Fills() (int, bool) { return *c.fills, false }

// TestATraceIsJudgedByTheStartThatTheBrowserTook has a client start a second one, which the
// browser refuses, after a login was filled and sent.
func TestATraceIsJudgedByTheStartThatTheBrowserTook(t *testing.T) {
	fills := 0
	f := newFilter(fillCounting{fills: &fills})
	start := func(answer message) {
		t.Helper()
		sent, err := f.checkCommand(t.Context(), message{ID: 1, Method: "Tracing.start"})
		require.NoError(t, err)
		answer.ID, answer.noted = 1, sent.noted
		f.clean(answer, "Tracing.start")
	}
	read := func(handle string) error {
		f.clean(message{Params: []byte(`{"stream":"` + handle + `"}`)}, "Tracing.tracingComplete")
		_, err := f.checkCommand(t.Context(), message{ID: 1, Method: "IO.read", Params: []byte(`{"handle":"` + handle + `"}`)})
		return err
	}
	start(message{Result: []byte(`{}`)})
	fills++
	start(message{Error: &messageError{Code: codeServerError, Message: "Tracing has already been started"}})
	require.ErrorContains(t, read("first"), "devtools.holds_fill")
	start(message{Result: []byte(`{}`)})
	require.NoError(t, read("second"), "one that began after the fill")
}
