package devtools

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// pausing is a client with a tab, in which the browser has paused a request.
func pausing(t *testing.T) (*scripted, *Client) {
	t.Helper()
	m, browser := newScripted(t)
	c, err := m.attachClient(t.Context(), oneClient{}, nil)
	require.NoError(t, err)
	browser.say(t, `{"sessionId":"S1","method":"Target.attachedToTarget","params":{"sessionId":"TAB"}}`)
	require.Contains(t, read(t, c), "TAB")
	browser.say(t, `{"sessionId":"TAB","method":"Fetch.requestPaused","params":{"requestId":"1",`+
		`"networkId":"n","request":{"url":"https://app.example/a"}}}`)
	require.Contains(t, read(t, c), "Fetch.requestPaused")
	return browser, c
}

func TestAStallingClientHoldsARequestUpForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		browser, c := pausing(t)
		<-time.After(pauseLimit / 2)
		require.NotNil(t, c.pauseOf("TAB", "1"), "it does something with it, and has the time anew")
		require.Nil(t, c.pauseOf("", "1"), "ids are a session's own")
		began := time.Now()
		let := <-browser.commands
		require.Equal(t, pauseLimit, time.Since(began))
		require.Equal(t, "Fetch.continueRequest", let.Method)
		require.EqualValues(t, "TAB", let.SessionID)
		require.JSONEq(t, `{"requestId":"1"}`, string(let.Params))
		require.Nil(t, c.pauseOf("TAB", "1"), "it is not the client's any more")
		// The client has taken the answer to read: it cannot go on as it is.
		browser.say(t, `{"id":%d,"sessionId":"TAB","error":{"code":-32000,"message":"it was taken"}}`, let.ID)
		fail := <-browser.commands
		require.Equal(t, "Fetch.failRequest", fail.Method)
		browser.say(t, `{"id":%d,"sessionId":"TAB","result":{}}`, fail.ID)

		// The next one waits for less, until the client says something.
		for _, limit := range []time.Duration{stalledLimit, pauseLimit} {
			browser.say(t, `{"sessionId":"TAB","method":"Fetch.requestPaused","params":{"requestId":"2",`+
				`"request":{"url":"https://app.example/b"}}}`)
			require.Contains(t, read(t, c), "app.example/b")
			began := time.Now()
			let := <-browser.commands
			require.Equal(t, limit, time.Since(began))
			browser.say(t, `{"id":%d,"sessionId":"TAB","result":{}}`, let.ID)
			require.NoError(t, c.sendCommand(message{ID: 1, Method: "Browser.getVersion"}))
			said := <-browser.commands
			browser.say(t, `{"id":%d,"sessionId":"S1","result":{}}`, said.ID)
			require.Contains(t, read(t, c), `"id":1`)
		}
	})
}

func TestADecisionThatTheBrowserRefusesLeavesTheRequestWithItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		browser, c := pausing(t)
		decide := message{ID: 1, SessionID: "TAB", Method: "Fetch.continueRequest", Params: []byte(`{"requestId":"1"}`)}
		require.NoError(t, c.sendCommand(decide))
		sent := <-browser.commands
		require.Nil(t, c.pauseOf("TAB", "1"), "it is decided")
		browser.say(t, `{"id":%d,"sessionId":"TAB","error":{"code":-32602,"message":"Invalid header"}}`, sent.ID)
		require.Contains(t, read(t, c), "Invalid header")
		require.NotNil(t, c.pauseOf("TAB", "1"))
		require.NoError(t, c.sendCommand(decide))
		sent = <-browser.commands
		browser.say(t, `{"id":%d,"sessionId":"TAB","result":{}}`, sent.ID)
		require.Contains(t, read(t, c), `"id":1`)
		<-time.After(2 * pauseLimit)
		require.Empty(t, browser.commands, "nobody lets it go a second time")
	})
}

// TestARequestWithAFillGoesOnThoughItsClientDoesNotRead has a client that reads nothing.
func TestARequestWithAFillGoesOnThoughItsClientDoesNotRead(t *testing.T) {
	browser, c := pausing(t)
	for _, event := range []string{
		`"Fetch.requestPaused","params":{"requestId":"2","networkId":"filled","request":{"url":"https://app.example/"}}`,
		`"Fetch.requestPaused","params":{"requestId":"2","responseStatusCode":200,"networkId":"filled",` +
			`"request":{"url":"https://app.example/"}}`,
		`"Fetch.requestPaused","params":{"requestId":"2","request":{"url":"https://app.example/?p=stand-in"}}`,
		`"Fetch.requestPaused","params":{"requestId":"2"}`,
		`"Fetch.requestPaused","params":{"requestId":"2","request":{"postDataEntries":[{"bytes":"not base64"}]}}`,
	} {
		browser.say(t, `{"sessionId":"TAB","method":`+event+`}`)
		let := <-browser.commands
		require.Equal(t, "Fetch.continueRequest", let.Method)
		require.JSONEq(t, `{"requestId":"2"}`, string(let.Params))
		require.Nil(t, c.pauseOf("TAB", "2"), "its id is of no use to the client")
		browser.say(t, `{"id":%d,"sessionId":"TAB","result":{}}`, let.ID)
	}
	browser.say(t, `{"sessionId":"TAB","method":"Fetch.authRequired","params":{"requestId":"3",`+
		`"request":{"url":"https://app.example/","headers":{"a":"stand-in"}}}}`)
	let := <-browser.commands
	require.Equal(t, "Fetch.continueWithAuth", let.Method)
	require.JSONEq(t, `{"requestId":"3","authChallengeResponse":{"response":"Default"}}`, string(let.Params))
	browser.say(t, `{"id":%d,"sessionId":"TAB","result":{}}`, let.ID)
	browser.say(t, `{"sessionId":"TAB","method":"Page.frameResized","params":{}}`)
	require.Contains(t, read(t, c), "Page.frameResized", "the client was told of none of them")
}

// TestRequestsInAContextOfAnotherClientAreNotToldOf has a client intercept in the whole
// browser.
func TestRequestsInAContextOfAnotherClientAreNotToldOf(t *testing.T) {
	browser, c := pausing(t)
	m := c.m
	other, err := m.attachClient(t.Context(), oneClient{}, nil)
	require.NoError(t, err)
	m.mu.Lock()
	m.owners.contexts["theirs"] = other
	m.mu.Unlock()
	browser.say(t, `{"sessionId":"S1","method":"Target.targetCreated","params":{"targetInfo":{"targetId":"MINE"}}}`)
	require.Contains(t, read(t, c), "MINE")
	browser.say(t, `{"sessionId":"S1","method":"Target.targetCreated","params":{"targetInfo":{"targetId":"THEIRS",`+
		`"browserContextId":"theirs"}}}`)
	for _, frame := range []string{"THEIRS", "a frame in it"} {
		browser.say(t, `{"sessionId":"S1","method":"Fetch.requestPaused","params":{"requestId":"9","frameId":"%s",`+
			`"request":{"url":"https://app.example/"}}}`, frame)
		let := <-browser.commands
		require.JSONEq(t, `{"requestId":"9"}`, string(let.Params))
		browser.say(t, `{"id":%d,"sessionId":"S1","result":{}}`, let.ID)
	}
	browser.say(t, `{"sessionId":"S1","method":"Fetch.requestPaused","params":{"requestId":"9","frameId":"MINE",`+
		`"request":{"url":"https://app.example/"}}}`)
	require.Contains(t, read(t, c), `"MINE"`)
}

// TestWhatHoldsAFilledValueIsNotHandedOver has answers and traces.
func TestWhatHoldsAFilledValueIsNotHandedOver(t *testing.T) {
	f := testFilter()
	for _, method := range []string{"Fetch.getResponseBody", "Network.getResponseBody", "Page.captureSnapshot",
		"DOMSnapshot.captureSnapshot", "Page.searchInResource", "Network.searchInResponseBody", "Page.getAppManifest",
		"CacheStorage.requestCachedResponse", "DOM.getOuterHTML", "Debugger.getScriptSource", "CSS.getStyleSheetText"} {
		got := f.clean(message{ID: 1, SessionID: mine, Result: []byte(`{"body":"a canary"}`)}, method)
		require.Contains(t, got.Error.Message, "devtools.holds_fill", method)
		require.Empty(t, got.Result)
		require.Equal(t, mine, got.SessionID)
	}

	// A trace that began when there were as many fills is read, one that began before is not.
	f = testFilter()
	finish := func() error {
		f.clean(message{Params: []byte(`{"stream":"trace"}`)}, "Tracing.tracingComplete")
		_, err := f.checkCommand(t.Context(), message{ID: 1, Method: "IO.read", Params: []byte(`{"handle":"trace"}`)})
		return err
	}
	start, err := f.checkCommand(t.Context(), message{ID: 1, Method: "Tracing.start"})
	require.NoError(t, err)
	f.clean(message{ID: 1, Result: []byte(`{}`), noted: start.noted}, "Tracing.start")
	require.NoError(t, finish())
	f = testFilter()
	require.ErrorContains(t, finish(), "devtools.holds_fill")
	got := f.clean(message{Params: []byte(`{"value":[{"args":"canary"}]}`)}, "Tracing.dataCollected")
	require.JSONEq(t, `{"value":[]}`, string(got.Params))
}
