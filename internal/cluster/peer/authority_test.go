package peer

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/cluster"
)

// TestOnlyANodeOfTheClusterIsAnsweredAndAnswers has each way in which one of two ends is not
// the node that it has to be, and counts what comes through.
func TestOnlyANodeOfTheClusterIsAnsweredAndAnswers(t *testing.T) {
	day := func(days time.Duration) func() time.Time {
		return func() time.Time { return time.Now().Add(days * 24 * time.Hour) }
	}
	for _, c := range []struct {
		why      string
		key      byte
		now      func() time.Time
		expected string // the id that the caller wants at the address; "" is the right one
		passes   bool
	}{
		{"two nodes of a cluster", 1, nil, "", true},
		{"clocks differ by some minutes", 1, func() time.Time { return time.Now().Add(-20 * time.Minute) }, "", true},
		{"another cluster's key", 2, nil, "", false},
		{"the node at the address is not the one that was looked for", 1, nil, uuid.NewString(), false},
		{"the certificates of one are of two days later", 1, day(2), "", false},
		{"the certificates of one are over", 1, day(-2), "", false},
	} {
		t.Run(c.why, func(t *testing.T) {
			owner, caller := newNode(t, 1, nil), newNode(t, c.key, c.now)
			came := 0
			owner.answer(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { came++ }))
			to := owner.at
			if c.expected != "" {
				to.ID = c.expected
			}
			w := httptest.NewRecorder()
			err := caller.Pass(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil), to)
			if c.passes {
				require.NoError(t, err)
				require.Equal(t, 1, came)
				return
			}
			require.ErrorIs(t, err, ErrLost)
			require.Zero(t, came)
		})
	}
}

// TestNoOtherClientOfTheListenerIsAnswered speaks to it with what is no node's connection.
func TestNoOtherClientOfTheListenerIsAnswered(t *testing.T) {
	owner := newNode(t, 1, nil)
	came := false
	owner.answer(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { came = true }))
	a, err := newAuthority(seedOf(1))
	require.NoError(t, err)
	id := uuid.NewString()
	good, err := a.certificate(id, time.Now())
	require.NoError(t, err)
	for _, c := range []struct {
		why    string
		change func(*tls.Config)
	}{
		{"no certificate", func(c *tls.Config) { c.Certificates = nil }},
		{"TLS 1.2", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }},
		{"a certificate that another authority of the same name signed", func(c *tls.Config) {
			c.Certificates = []tls.Certificate{*certificateOf(t, 2, id)}
		}},
		{"a certificate of the authority with a name that is no node's", func(c *tls.Config) {
			cert, err := a.certificate("admin", time.Now())
			require.NoError(t, err)
			c.Certificates = []tls.Certificate{*cert}
		}},
		{"a certificate of the authority for servers alone", func(c *tls.Config) {
			c.Certificates = []tls.Certificate{*serverAlone(t, a, id)}
		}},
		{"a certificate that a node signed, who is no authority", func(c *tls.Config) {
			c.Certificates = []tls.Certificate{*signedByNode(t, a, good, id)}
		}},
	} {
		t.Run(c.why, func(t *testing.T) {
			cfg := &tls.Config{
				MinVersion:   tls.VersionTLS13,
				RootCAs:      a.pool,
				ServerName:   nameOf(owner.at.ID),
				Certificates: []tls.Certificate{*good},
			}
			c.change(cfg)
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}}
			rq, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+owner.at.Address, nil)
			require.NoError(t, err)
			res, err := client.Do(rq)
			if err == nil {
				_ = res.Body.Close()
			}
			require.Error(t, err)
			require.False(t, came)
		})
	}
}

func certificateOf(t *testing.T, key byte, node string) *tls.Certificate {
	t.Helper()
	a, err := newAuthority(seedOf(key))
	require.NoError(t, err)
	cert, err := a.certificate(node, time.Now())
	require.NoError(t, err)
	return cert
}

// signed is a certificate of a node as parent signs it.
func signed(
	t *testing.T, parent *x509.Certificate, by any, node string, use ...x509.ExtKeyUsage,
) *tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(7),
		Subject:      pkix.Name{CommonName: node},
		DNSNames:     []string{nameOf(node)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		ExtKeyUsage:  use,
	}, parent, public, by)
	require.NoError(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

func serverAlone(t *testing.T, a *authority, node string) *tls.Certificate {
	return signed(t, a.cert, a.key, node, x509.ExtKeyUsageServerAuth)
}

func signedByNode(t *testing.T, a *authority, by *tls.Certificate, node string) *tls.Certificate {
	t.Helper()
	parent, err := x509.ParseCertificate(by.Certificate[0])
	require.NoError(t, err)
	cert := signed(t, parent, by.PrivateKey, node, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
	cert.Certificate = append(cert.Certificate, by.Certificate[0], a.cert.Raw)
	return cert
}

// TestAServerWithoutItsKeySpeaksToNoNode is one that is locked, until it is unlocked.
func TestAServerWithoutItsKeySpeaksToNoNode(t *testing.T) {
	errLocked := errors.New("locked")
	locked := false
	m := newMember()
	p := New(Config{Member: m, Log: slog.New(slog.DiscardHandler), Seed: func(context.Context) ([]byte, error) {
		if locked {
			return nil, errLocked
		}
		return seedOf(1), nil
	}})
	t.Cleanup(p.Close)
	other := newNode(t, 1, nil)
	other.answer(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	here := &node{Peers: p, member: m}
	here.answer(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	pass := func(from *node, to cluster.Node) error {
		rq := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		return from.Pass(httptest.NewRecorder(), rq, to)
	}
	require.NoError(t, pass(here, other.at))
	require.NoError(t, pass(other, here.at))
	locked = true
	p.Forget()
	other.transport.CloseIdleConnections()
	require.ErrorIs(t, pass(here, other.at), errLocked)
	require.ErrorIs(t, pass(other, here.at), ErrLost)
	require.True(t, here.isThere(t.Context(), other.at), "what it has passed on goes on")
	require.True(t, other.isThere(t.Context(), here.at), "it is there, and speaks to nobody")
	locked = false
	require.NoError(t, pass(here, other.at))
	require.NoError(t, pass(other, here.at))
}

// TestACertificateIsMadeAnewInTime is for a node that lives for long, and for one that comes
// back as another.
func TestACertificateIsMadeAnewInTime(t *testing.T) {
	now, self := time.Now(), uuid.NewString()
	id := identity{
		seed: func(context.Context) ([]byte, error) { return seedOf(1), nil },
		self: func() string { return self },
		now:  func() time.Time { return now },
	}
	current := func() *x509.Certificate {
		_, cert, err := id.current(t.Context())
		require.NoError(t, err)
		parsed, err := x509.ParseCertificate(cert.Certificate[0])
		require.NoError(t, err)
		return parsed
	}
	first := current()
	require.Equal(t, []string{nameOf(self)}, first.DNSNames)
	require.Equal(t, first, current())
	for range 10 {
		now = now.Add(lifetime * 2 / 3)
		require.True(t, current().NotAfter.After(now.Add(lifetime/3)))
	}
	self = uuid.NewString()
	require.Equal(t, []string{nameOf(self)}, current().DNSNames)
}

// TestForgettingKeysDoesNotWaitForWhoMakesThem has the seed be slow: an authority that was made
// of it before is not kept.
func TestForgettingKeysDoesNotWaitForWhoMakesThem(t *testing.T) {
	asked, goOn := make(chan struct{}, 2), make(chan struct{})
	id := identity{
		seed: func(context.Context) ([]byte, error) {
			asked <- struct{}{}
			<-goOn
			return seedOf(1), nil
		},
		self: uuid.NewString,
		now:  time.Now,
	}
	made := make(chan error, 1)
	go func() {
		_, _, err := id.current(context.WithoutCancel(t.Context()))
		made <- err
	}()
	<-asked
	forgotten := make(chan struct{})
	go func() {
		id.forget()
		close(forgotten)
	}()
	select {
	case <-forgotten:
	case <-time.After(time.Minute):
		require.Fail(t, "it waits")
	}
	close(goOn)
	require.NoError(t, <-made)
	require.Len(t, asked, 1, "the seed is asked for again")
}
