package devtools

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

func TestAClientThatLeavesIsDetached(t *testing.T) {
	m, browser := newScripted(t)
	ctx, cancel := context.WithCancel(t.Context())
	here, there := browsertest.PipeConn()
	served := make(chan error, 1)
	go func() { served <- m.Serve(ctx, there, oneClient{}) }()
	require.NoError(t, here.Write(ctx, []byte(`{"id":1,"method":"Target.getTargets"}`)))
	asked := <-browser.commands
	browser.say(t, `{"sessionId":"S1","method":"Target.attachedToTarget","params":{"sessionId":"TAB"}}`)
	browser.say(t, `{"id":%d,"sessionId":"S1","result":{}}`, asked.ID)
	for range 2 {
		_, err := here.Read(ctx)
		require.NoError(t, err)
	}
	require.Len(t, m.clients, 1)
	require.Len(t, m.sessions, 2)
	require.NoError(t, here.Write(ctx, []byte(`{"id":2,"method":"Target.getTargets"}`)))
	<-browser.commands // it is not answered any more
	cancel()
	require.NoError(t, <-served)
	m.mu.Lock()
	defer m.mu.Unlock()
	require.Empty(t, m.clients)
	require.Empty(t, m.sessions)
	require.Empty(t, m.pending)
}
