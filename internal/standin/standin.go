// Package standin lets a test's handlers stand in for providers: each is served
// over TLS on a loopback port, with a certificate for the provider's real host
// name that only those trust who are given the authority.
//
//	in, err := standin.New()
//	…
//	err = in.Serve("api.openai.com", handler)
//	…
//	broker.New(broker.Config{RootCAs: in.Roots(), Instead: in.Instead})
package standin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// Providers are handlers that stand in for providers. It is safe for concurrent
// use.
type Providers struct {
	authority *x509.Certificate
	key       *ecdsa.PrivateKey

	plain bool

	mu      sync.Mutex
	servers map[string]*httptest.Server // by host:port
	all     []*httptest.Server
	other   map[string]string
}

// New makes an authority of its own and no provider.
func New() (*Providers, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "stand-ins of a test"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	authority, err := sign(template, template, key, key)
	if err != nil {
		return nil, err
	}
	return &Providers{
		authority: authority,
		key:       key,
		servers:   map[string]*httptest.Server{},
		other:     map[string]string{},
	}, nil
}

func sign(of, by *x509.Certificate, key, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	raw, err := x509.CreateCertificate(rand.Reader, of, by, &key.PublicKey, signer)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return x509.ParseCertificate(raw)
}

// Certificate makes a certificate for a host.
func (p *Providers) Certificate(host string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a serial number: %w", err)
	}
	leaf, err := sign(&x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: host},
		DNSNames:     []string{host},
		NotBefore:    p.authority.NotBefore,
		NotAfter:     p.authority.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, p.authority, key, p.key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, err
}

// WithoutHTTP2 serves those to come over HTTP/1.1 alone, where a handler can
// write what it likes.
func (p *Providers) WithoutHTTP2() { p.plain = true }

// Serve lets handler stand in for the provider at host, "api.openai.com" or
// "api.example.com:8443", until [Providers.Close],
// or for new connections until another does.
func (p *Providers) Serve(host string, handler http.Handler) error {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = host, "443"
	}
	cert, err := p.Certificate(name)
	if err != nil {
		return err
	}
	srv := httptest.NewUnstartedServer(handler)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	srv.EnableHTTP2 = !p.plain
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // a test may refuse its certificate
	srv.StartTLS()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.servers[net.JoinHostPort(name, port)], p.all = srv, append(p.all, srv)
	return nil
}

// Roots are the system's certificates and that of the authority.
func (p *Providers) Roots() *x509.CertPool {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AddCert(p.authority)
	return roots
}

// Instead says where the stand-in for an address is.
func (p *Providers) Instead(address string) (to string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if to, ok := p.other[address]; ok {
		return to, true
	}
	srv, ok := p.servers[address]
	if !ok {
		return "", false
	}
	return srv.Listener.Addr().String(), true
}

// Redirect has an address, "api.openai.com:443", reached at another from now on.
func (p *Providers) Redirect(address, to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.other[address] = to
}

// Close ends all of them and waits for their handlers.
func (p *Providers) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, srv := range p.all {
		srv.CloseClientConnections()
		srv.Close()
	}
}
