package devtools

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
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
		params := []byte(`{"handle":"` + handle + `"}`)
		_, err := f.checkCommand(t.Context(), message{ID: 1, Method: "IO.read", Params: params})
		return err
	}
	start(message{Result: []byte(`{}`)})
	fills++
	start(message{Error: &messageError{Code: codeServerError, Message: "Tracing has already been started"}})
	require.ErrorContains(t, read("first"), "devtools.holds_fill")
	start(message{Result: []byte(`{}`)})
	require.NoError(t, read("second"), "one that began after the fill")
}

// TestNoPieceOfAFilledValueIsReadOfAStream reads a byte at a time, and another stream in
// between.
func TestNoPieceOfAFilledValueIsReadOfAStream(t *testing.T) {
	f := testFilter()
	read := func(handle, data string, eof bool) (string, *messageError) {
		t.Helper()
		params, err := json.Marshal(map[string]string{"handle": handle})
		require.NoError(t, err)
		sent, err := f.checkCommand(t.Context(), message{ID: 1, Method: "IO.read", Params: params})
		if err != nil {
			return "", &messageError{Message: err.Error()}
		}
		result, err := json.Marshal(map[string]any{
			"data": base64.StdEncoding.EncodeToString([]byte(data)), "base64Encoded": true, "eof": eof,
		})
		require.NoError(t, err)
		got := f.clean(message{ID: 1, Result: result, noted: sent.noted}, "IO.read")
		var parts struct{ Data []byte }
		if got.Error == nil {
			require.NoError(t, json.Unmarshal(got.Result, &parts))
		}
		return string(parts.Data), got.Error
	}
	f.clean(message{Result: []byte(`{"stream":"a"}`)}, "Page.printToPDF")
	f.clean(message{Result: []byte(`{"stream":"b"}`)}, "Page.printToPDF")
	got := ""
	for i, letter := range "x canary" {
		part, failure := read("a", string(letter), false)
		got += part
		require.Equal(t, i == len("x canary")-1, failure != nil)
		other, failure := read("b", strings.Repeat(".", 4<<10), false)
		require.Nil(t, failure)
		require.Len(t, other, 4<<10)
	}
	require.Equal(t, "x ", got)
	_, failure := read("a", "!", true)
	require.Contains(t, failure.Message, "devtools.holds_fill", "no more of it is read")

	f.clean(message{Result: []byte(`{"stream":"c"}`)}, "Page.printToPDF")
	first, failure := read("c", "the can", false)
	require.Nil(t, failure)
	last, failure := read("c", "al, the can", true)
	require.Nil(t, failure)
	require.Equal(t, "the canal, the can", first+last, "what is no value arrives whole")
}

func TestStreamsThatWereClosedTakeNoRoom(t *testing.T) {
	f := testFilter()
	for i := range 3 * maxHandles {
		handle := fmt.Sprint(i)
		f.clean(message{Result: []byte(`{"stream":"` + handle + `"}`)}, "Page.printToPDF")
		method := []string{"IO.read", "IO.close"}
		if i%2 == 0 {
			method = method[:1] // its tab is closed, and nobody closes it
		}
		for _, m := range method {
			sent, err := f.checkCommand(t.Context(), message{ID: 1, Method: m, Params: []byte(`{"handle":"` + handle + `"}`)})
			require.NoError(t, err, "the stream %d", i)
			f.clean(message{ID: 1, Result: []byte(`{}`), noted: sent.noted}, m)
		}
	}
	f = testFilter()
	f.clean(message{Result: []byte(`{"stream":"a"}`)}, "Page.printToPDF")
	sent, err := f.checkCommand(t.Context(), message{ID: 1, Method: "IO.close", Params: []byte(`{"handle":"a"}`)})
	require.NoError(t, err)
	f.clean(message{ID: 1, Result: []byte(`{}`), noted: sent.noted}, "IO.close")
	require.Empty(t, f.streams.byHandle)
	require.Empty(t, f.streams.order)
}
