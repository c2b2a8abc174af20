package devtools

import (
	"testing"

	"github.com/chromedp/cdproto/target"
	"github.com/stretchr/testify/require"
)

// TestWhatAClientMadeIsNotThereToOthers has one client make a context and a tab in it,
// and another look for them in every way that there is.
func TestWhatAClientMadeIsNotThereToOthers(t *testing.T) {
	m, browser := newScripted(t)
	a, b := attach(t, m), attach(t, m)
	server, err := m.AttachServer(t.Context())
	require.NoError(t, err)
	send := func(c *Client, text string) message {
		t.Helper()
		require.NoError(t, c.Write(t.Context(), []byte(text)))
		return <-browser.commands
	}
	made := send(a, `{"id":1,"method":"Target.createBrowserContext","params":{"disposeOnDetach":true}}`)
	browser.say(t, `{"id":%d,"sessionId":"S1","result":{"browserContextId":"CA"}}`, made.ID)
	require.JSONEq(t, `{"id":1,"result":{"browserContextId":"CA"}}`, read(t, a))
	const info = `{"targetId":"T","type":"page","title":"","url":"","attached":false,"browserContextId":"CA"}`
	for _, session := range []string{"S1", "S2", "S3"} {
		browser.say(t, `{"sessionId":"%s","method":"Target.targetCreated","params":{"targetInfo":%s}}`, session, info)
	}
	require.Contains(t, read(t, a), "Target.targetCreated")
	require.Contains(t, read(t, server), "Target.targetCreated")

	// The browser attaches it to whoever attaches all; another client lets go of it.
	browser.say(t, `{"sessionId":"S2","method":"Target.attachedToTarget","params":{"sessionId":"X","targetInfo":%s,`+
		`"waitingForDebugger":true}}`, info)
	released := <-browser.detached
	require.Equal(t, target.SessionID("S2"), released.SessionID)
	require.JSONEq(t, `{"sessionId":"X"}`, string(released.Params))

	for _, refused := range []string{
		`{"id":7,"method":"Target.attachToTarget","params":{"targetId":"T","flatten":true}}`,
		`{"id":7,"method":"Target.closeTarget","params":{"targetId":"T"}}`,
		`{"id":7,"method":"Target.getTargetInfo","params":{"targetId":"T"}}`,
		`{"id":7,"method":"Target.createTarget","params":{"url":"about:blank","browserContextId":"CA"}}`,
		`{"id":7,"method":"Storage.getCookies","params":{"browserContextId":"CA"}}`,
		`{"id":7,"method":"Browser.getWindowForTarget","params":{"targetId":"T"}}`,
	} {
		require.NoError(t, b.Write(t.Context(), []byte(refused)))
		require.Contains(t, read(t, b), `"code":-32602`, refused)
	}
	asked := send(b, `{"id":8,"method":"Target.getTargets"}`)
	browser.say(t, `{"id":%d,"sessionId":"S2","result":{"targetInfos":[%s,{"targetId":"U","browserContextId":"D"}]}}`,
		asked.ID, info)
	require.JSONEq(t, `{"id":8,"result":{"targetInfos":[{"targetId":"U","browserContextId":"D"}]}}`, read(t, b))
	asked = send(b, `{"id":9,"method":"Target.getBrowserContexts"}`)
	browser.say(t, `{"id":%d,"sessionId":"S2","result":{"browserContextIds":["CA","D"]}}`, asked.ID)
	require.JSONEq(t, `{"id":9,"result":{"browserContextIds":["D"]}}`, read(t, b))

	// Its own client and the server do all of that.
	for _, c := range []*Client{a, server} {
		require.Equal(t, target.CommandCloseTarget,
			send(c, `{"id":2,"method":"Target.closeTarget","params":{"targetId":"T"}}`).Method)
	}
	for _, session := range []string{"S2", "S1"} {
		browser.say(t, `{"sessionId":"%s","method":"Target.targetDestroyed","params":{"targetId":"T"}}`, session)
	}
	require.Contains(t, read(t, a), "Target.targetDestroyed")
	browser.say(t, `{"sessionId":"S2","method":"Target.targetDestroyed","params":{"targetId":"V"}}`)
	browser.say(t, `{"sessionId":"S2","method":"Target.receivedMessageFromTarget","params":{}}`)
	require.Contains(t, read(t, b), "receivedMessageFromTarget", "of neither tab was it told")
}

// TestATabThatAClientOpenedIsClosedByNobodyElseWhileThatIsConnected leaves it to all once
// its client has left.
func TestATabThatAClientOpenedIsClosedByNobodyElseWhileThatIsConnected(t *testing.T) {
	m, browser := newScripted(t)
	a, b := attach(t, m), attach(t, m)
	require.NoError(t, a.Write(t.Context(),
		[]byte(`{"id":1,"method":"Target.createTarget","params":{"url":"about:blank"}}`)))
	browser.say(t, `{"id":%d,"sessionId":"S1","result":{"targetId":"T"}}`, (<-browser.commands).ID)
	require.Contains(t, read(t, a), `"T"`)
	browser.say(t, `{"sessionId":"S2","method":"Target.attachedToTarget","params":{"sessionId":"TB",`+
		`"targetInfo":{"targetId":"T","browserContextId":"D"}}}`)
	require.Contains(t, read(t, b), "attachedToTarget", "it is everybody's to see and to drive")
	closing := []string{
		`{"id":3,"method":"Target.closeTarget","params":{"targetId":"T"}}`,
		`{"id":3,"sessionId":"TB","method":"Page.close"}`,
	}
	for _, text := range closing {
		require.NoError(t, b.Write(t.Context(), []byte(text)))
		require.Contains(t, read(t, b), "another client")
	}
	a.Close(t.Context())
	for _, text := range closing {
		require.NoError(t, b.Write(t.Context(), []byte(text)))
		require.NotEmpty(t, (<-browser.commands).Method)
	}
}
