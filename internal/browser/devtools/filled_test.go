package devtools

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl/internal/scrub"
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

// TestNoMessageTellsAClientWhatWasFilled has a message of each class that the protocol has.
func TestNoMessageTellsAClientWhatWasFilled(t *testing.T) {
	for _, c := range []struct {
		method, params, result string
		// told is what the client is told in its place; "" is a refusal.
		told string
		why  string
	}{
		{method: "Accessibility.getFullAXTree", result: `{"nodes":[{"nodeId":"1","value":{"value":"canary"}}]}`,
			told: `{"nodes":[{"nodeId":"1","value":{"value":"[secret]"}}]}`, why: "the tree that models are shown"},
		{method: "Accessibility.queryAXTree", result: `{"nodes":[{"name":{"value":"a canary b"}}]}`,
			told: `{"nodes":[{"name":{"value":"a [secret] b"}}]}`, why: "a part of it"},
		{method: "Accessibility.nodesUpdated", params: `{"nodes":[{"value":{"value":"canary"}}]}`,
			told: `{"nodes":[{"value":{"value":"[secret]"}}]}`, why: "what changed in it"},
		{method: "DOM.getDocument", result: `{"root":{"nodeId":7,"children":[{"nodeValue":"canary"}]}}`,
			told: `{"root":{"nodeId":7,"children":[{"nodeValue":"[secret]"}]}}`, why: "the nodes of a page"},
		{method: "DOM.getAttributes", result: `{"attributes":["value","canary"]}`,
			told: `{"attributes":["value","[secret]"]}`, why: "an attribute"},
		{method: "DOM.attributeModified", params: `{"nodeId":1,"name":"value","value":"canary"}`,
			told: `{"nodeId":1,"name":"value","value":"[secret]"}`, why: "one that changed"},
		{method: "DOM.getOuterHTML", result: `{"outerHTML":"<p>canary"}`, why: "a text as a whole"},
		{method: "DOMSnapshot.captureSnapshot", result: `{"strings":["canary"]}`, why: "the whole page"},
		{method: "CSS.getMatchedStylesForNode", result: `{"text":"content: 'canary'"}`,
			told: `{"text":"content: '[secret]'"}`, why: "a style"},
		{method: "DOMStorage.domStorageItemAdded", params: `{"key":"k","newValue":"canary"}`,
			told: `{"key":"k","newValue":"[secret]"}`, why: "what a page keeps"},
		{method: "Network.getCookies", result: `{"cookies":[{"name":"a","value":"canary","httpOnly":true}]}`,
			told: `{"cookies":[{"name":"a","value":"[secret]","httpOnly":true}]}`, why: "a cookie that no script reads"},
		{method: "Network.responseReceivedExtraInfo",
			params: `{"requestId":"1","headers":{"Location":"/?p=%63anary"},"headersText":"Location: /?p=canary"}`,
			told:   `{"requestId":"1","headers":{"Location":"/?p=[secret]"},"headersText":"Location: /?p=[secret]"}`,
			why:    "a header"},
		{method: "Network.webSocketFrameReceived", params: `{"timestamp":12345.678901,"response":{"payloadData":"canary"}}`,
			told: `{"timestamp":12345.678901,"response":{"payloadData":"[secret]"}}`, why: "what a socket says"},
		{method: "Network.webSocketFrameSent", params: `{"response":{"payloadData":"Y2FuYXJ5"}}`,
			told: `{"response":{"payloadData":"[secret]"}}`, why: "in base64"},
		{method: "Network.eventSourceMessageReceived", params: `{"data":"canary"}`, told: `{"data":"[secret]"}`,
			why: "what a stream of events says"},
		{method: "Network.requestWillBeSent", params: `{"requestId":"1","request":{"postData":"p=canary"}}`,
			told: `{"requestId":"1","request":{"postData":"p=[secret]"}}`, why: "a body"},
		{method: "Network.dataReceived", params: `{"requestId":"1","dataLength":3,"data":"Y2Fu"}`,
			told: `{"dataLength":3,"requestId":"1"}`, why: "a piece of an answer, whatever is in it"},
		{method: "Runtime.consoleAPICalled", params: `{"args":[{"type":"string","value":"canary"}]}`,
			told: `{"args":[{"type":"string","value":"[secret]"}]}`, why: "what a page writes"},
		{method: "Log.entryAdded", params: `{"entry":{"text":"\u0063anary \\\"canary\\\""}}`,
			told: `{"entry":{"text":"[secret] \\\"[secret]\\\""}}`, why: "escaped, and between quotes"},
		{method: "Page.javascriptDialogOpening", params: `{"message":"canary"}`, told: `{"message":"[secret]"}`,
			why: "a dialog"},
		{method: "Target.targetInfoChanged", params: `{"targetInfo":{"title":"canary","url":"https://a.example/"}}`,
			told: `{"targetInfo":{"title":"[secret]","url":"https://a.example/"}}`, why: "a title"},
		{method: "Audits.issueAdded", params: `{"canary":1}`, told: `{"[secret]":1}`, why: "in a name"},
		{method: "Debugger.getScriptSource", result: `{"scriptSource":"'canary'"}`, why: "a source"},
		{method: "Network.getResponseBody", result: `{"body":"canary","base64Encoded":false}`, why: "a body as a whole"},

		// What the client's own scripts return, and what is no text.
		{method: "Runtime.evaluate", result: `{"result":{"value":"canary"}}`, told: `{"result":{"value":"canary"}}`,
			why: "a script could write it in another way"},
		{method: "Runtime.getProperties", result: `{"result":[{"value":{"value":"canary"}}]}`,
			told: `{"result":[{"value":{"value":"canary"}}]}`, why: "the same"},
		{method: "Runtime.bindingCalled", params: `{"payload":"canary"}`, told: `{"payload":"canary"}`, why: "the same"},
		{method: "Page.captureScreenshot", result: `{"data":"Y2FuYXJ5"}`, told: `{"data":"Y2FuYXJ5"}`,
			why: "letters of a picture mean nothing"},
	} {
		msg := message{Params: []byte(c.params), Result: []byte(c.result)}
		if c.params != "" {
			msg.Method = c.method
		} else {
			msg.ID = 1
		}
		got := testFilter().clean(msg, c.method)
		if c.told == "" {
			require.NotNil(t, got.Error, c.why)
			require.Contains(t, got.Error.Message, "devtools.holds_fill", c.why)
			require.Empty(t, got.Result, c.why)
			continue
		}
		require.Nil(t, got.Error, c.why)
		require.JSONEq(t, c.told, string(got.Params)+string(got.Result), c.why)
	}
	failed := testFilter().clean(message{ID: 1, Error: &messageError{Message: "no canary", Data: []byte(`"canary"`)}},
		"Page.navigate")
	require.Equal(t, &messageError{Message: "no [secret]", Data: []byte(`"[secret]"`)}, failed.Error, "an error")
	_, err := testFilter().checkCommand(t.Context(),
		message{ID: 1, Method: "Network.streamResourceContent", Params: []byte(`{"requestId":"other"}`)})
	require.ErrorContains(t, err, "devtools.holds_fill", "the pieces of an answer are not turned on")
}

// TestOnlyTheFilledValueIsTakenOutOfAMessage compares what is left with what was there.
func TestOnlyTheFilledValueIsTakenOutOfAMessage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.Custom(func(t *rapid.T) string {
			said := rapid.StringMatching(`[ -~é"\\\n]{0,6}`).Draw(t, "text")
			if rapid.Bool().Draw(t, "filled") {
				said += " canary "
			}
			return said
		})
		number := rapid.SampledFrom([]string{"0", "-1", "1e400", "12345678901234567890", "1.50", "true", "null"})
		var fields, want []string
		for i := range rapid.IntRange(1, 8).Draw(t, "fields") {
			name, said, n := fmt.Sprintf("n%d", i), text.Draw(t, "said"), number.Draw(t, "number")
			for list, said := range map[*[]string]string{
				&fields: said, &want: strings.ReplaceAll(said, "canary", scrub.Mark),
			} {
				quoted, err := jsonv2.Marshal(said)
				require.NoError(t, err)
				*list = append(*list, fmt.Sprintf(`"%s":[%s, {"of":%s}]`, name, n, quoted))
			}
		}
		got := testFilter().clean(message{Method: "DOM.setChildNodes",
			Params: []byte("{" + strings.Join(fields, ",") + "}")}, "DOM.setChildNodes")
		require.Equal(t, "{"+strings.Join(want, ",")+"}", string(got.Params))
	})
}
