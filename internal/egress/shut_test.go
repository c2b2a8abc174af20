package egress

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAShutProxyLetsNothingThroughUntilItIsOpened(t *testing.T) {
	answered := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	plain, secure := httptest.NewServer(answered), httptest.NewTLSServer(answered)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	proxy := shutProxy(t, Route{}, nil)
	at, err := url.Parse(proxy.URL())
	require.NoError(t, err)
	transport := secure.Client().Transport.(*http.Transport).Clone()
	transport.Proxy = http.ProxyURL(at)
	client := &http.Client{Transport: transport}
	t.Cleanup(client.CloseIdleConnections)
	reach := func(address string) bool {
		resp, err := client.Get(address)
		if err != nil {
			return false
		}
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode == http.StatusOK
	}
	require.False(t, reach(plain.URL))
	require.False(t, reach(secure.URL))

	asked := 0
	proxy.Open(onlyLoopback, func(ctx context.Context, _ string, speak func(context.Context)) error {
		asked++
		speak(ctx)
		return nil
	})
	require.True(t, reach(plain.URL))
	require.True(t, reach(secure.URL))
	require.Equal(t, 2, asked, "the gate is asked from then on, also over a connection of before")
}
