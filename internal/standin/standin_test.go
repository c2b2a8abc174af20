package standin_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bctrl-go/bctrl/internal/standin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAStandInHasTheNameOfItsProvider(t *testing.T) {
	in, err := standin.New()
	require.NoError(t, err)
	t.Cleanup(in.Close)
	require.NoError(t, in.Serve("api.example.com", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Host)
	})))
	address, ok := in.Instead("api.example.com:443")
	require.True(t, ok)
	_, ok = in.Instead("api.example.com:8443")
	require.False(t, ok)

	for name, trusted := range map[string]bool{"api.example.com": true, "other.example.com": false} {
		conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: in.Roots(), ServerName: name,
			MinVersion: tls.VersionTLS12})
		require.Equal(t, trusted, err == nil, "%s: %v", name, err)
		if err == nil {
			require.NoError(t, conn.Close())
		}
	}
	_, err = tls.Dial("tcp", address, &tls.Config{ServerName: "api.example.com", MinVersion: tls.VersionTLS12})
	require.Error(t, err, "nobody else trusts it")
	host, _, err := net.SplitHostPort(address)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", host)
}
