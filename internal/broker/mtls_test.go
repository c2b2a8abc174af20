package broker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// authority issues client certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "authority"},
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return authority{cert, key, pool}
}

// issue returns the secrets of a client of a name.
func (a authority) issue(t *testing.T, name string) map[string]bctrl.Secret {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: name},
		NotAfter:     time.Now().Add(time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return secrets(
		"certificate", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		"privateKey", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})),
	)
}

// TestTheCertificateIsPresented to a server that requires one and verifies it.
func TestTheCertificateIsPresented(t *testing.T) {
	trusted := newAuthority(t)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.TLS.PeerCertificates[0].Subject.CommonName, " ", r.Header.Get("Authorization"))
	}))
	srv.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted.pool}
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // it is to refuse some
	srv.StartTLS()
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	b := New(Config{Egress: loopback, RootCAs: roots})
	defer b.Close()
	mtls := bctrl.CredentialAuth{Type: bctrl.AuthMTLS}

	for _, name := range []string{"acme", "globex", "acme"} {
		c, err := b.Client(Target{
			BaseURL:  srv.URL,
			Identity: name,
			Auth:     mtls,
			Secrets:  trusted.issue(t, name),
		})
		require.NoError(t, err)
		for range 2 {
			_, text := send(t, c, request(t, t.Context(), srv.URL))
			require.Equal(t, name+" ", text, "each on its own connection")
		}
	}
	withKey := bctrl.CredentialAuth{Type: bctrl.AuthMTLS, Headers: map[string]string{"Authorization": "Bearer {apiKey}"}}
	both := trusted.issue(t, "acme")
	both["apiKey"] = bctrl.NewSecret(canary)
	c, err := b.Client(Target{BaseURL: srv.URL, Auth: withKey, Secrets: both})
	require.NoError(t, err)
	_, text := send(t, c, request(t, t.Context(), srv.URL))
	require.Equal(t, "acme Bearer [secret]", text, "a bearer token beside it")

	// A certificate of somebody else, and none.
	stranger, err := b.Client(Target{BaseURL: srv.URL, Auth: mtls, Secrets: newAuthority(t).issue(t, "acme")})
	require.NoError(t, err)
	_, err = stranger.Do(request(t, t.Context(), srv.URL))
	require.ErrorIs(t, err, ErrUnreachable)
	_, err = client(t, b, Target{BaseURL: srv.URL}).Do(request(t, t.Context(), srv.URL))
	require.ErrorIs(t, err, ErrUnreachable, "another target's connection is not used")
}

func TestACertificateNeedsItsKeyAndTLS(t *testing.T) {
	a := newAuthority(t)
	one, other := a.issue(t, "one"), a.issue(t, "other")
	b := New(Config{Egress: loopback})
	mtls := bctrl.CredentialAuth{Type: bctrl.AuthMTLS}
	mixed := map[string]bctrl.Secret{"certificate": one["certificate"], "privateKey": other["privateKey"]}
	_, err := b.Client(Target{BaseURL: "https://api.example.com", Auth: mtls, Secrets: mixed})
	require.ErrorIs(t, err, ErrTarget)
	_, err = b.Client(Target{BaseURL: "http://api.example.com", Auth: mtls, Secrets: one})
	require.ErrorIs(t, err, ErrTarget)
}

func TestAFingerprintTellsListsApart(t *testing.T) {
	require.NotEqual(t, fingerprint("ab", "c"), fingerprint("a", "bc"))
	require.NotEqual(t, fingerprint("a"), fingerprint("a", ""))
	require.NotEqual(t, fingerprint("1:a"), fingerprint("", "a"))
	parts := []string{"a", "b"}
	require.Equal(t, fingerprint("a", "b"), fingerprint(parts...))
}

func TestCertificatesThatAreKeptAreBounded(t *testing.T) {
	var c transportCache
	opened := 0
	open := func() (*http.Transport, error) { opened++; return &http.Transport{}, nil }
	for i := range maxCertified + 10 {
		_, err := c.get(fingerprint(fmt.Sprint(i)), open)
		require.NoError(t, err)
		_, err = c.get(fingerprint("0"), open)
		require.NoError(t, err)
	}
	require.Equal(t, maxCertified, c.order.Len())
	require.Len(t, c.byID, maxCertified)
	require.Equal(t, maxCertified+10, opened, "the one that is used stays")
	c.clear()
	require.Empty(t, c.byID)
}
