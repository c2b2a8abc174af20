package peer

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl/internal/names"
)

const (
	// domain is below which nodes have their names. No resolver knows it: it stands in
	// certificates alone.
	domain = "node.bctrl.internal"
	// lifetime is how long a certificate is good for. A node makes itself another when
	// half of it is over.
	lifetime = 24 * time.Hour
	// clockSkew is by how much the clocks of two nodes may differ.
	clockSkew = time.Hour
)

// nameOf is the name of a node in its certificate.
func nameOf(node string) string { return node + "." + domain }

// authority signs the certificates of a cluster's nodes. Each node has the same one, made
// from the key that they share.
type authority struct {
	key  ed25519.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

// newAuthority makes the authority of a seed of 32 bytes.
func newAuthority(seed []byte) (*authority, error) {
	a := &authority{key: ed25519.NewKeyFromSeed(seed), pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber:                big.NewInt(1),
		Subject:                     pkix.Name{CommonName: "nodes of a bctrl cluster"},
		NotBefore:                   time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:                    time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC), // its key decides, not its age
		IsCA:                        true,
		BasicConstraintsValid:       true,
		MaxPathLenZero:              true,
		KeyUsage:                    x509.KeyUsageCertSign,
		PermittedDNSDomains:         []string{domain},
		PermittedDNSDomainsCritical: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("making the authority of the cluster: %w", err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	a.pool.AddCert(a.cert)
	return a, nil
}

// certificate makes the certificate of a node, with a key of its own.
func (a *authority) certificate(node string, now time.Time) (*tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		DNSNames:     []string{nameOf(node)},
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(lifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("making the certificate of a node: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
}

// identity is who this node is to the others. It is made when it is first needed, and
// again when the node comes back as another, or its certificate grows old.
type identity struct {
	seed func(context.Context) ([]byte, error)
	self func() string
	now  func() time.Time

	mu        sync.Mutex // guards what follows, and is held for moments
	authority *authority
	// forgotten counts how often all was: an authority that was made before is not kept.
	forgotten int
	cert      *tls.Certificate
	node      string
	renewAt   time.Time
}

// current returns the authority and this node's certificate, or the error of the seed, as
// while the server is locked.
func (id *identity) current(ctx context.Context) (*authority, *tls.Certificate, error) {
	for {
		a, cert, err := id.known()
		if a != nil || err != nil {
			return a, cert, err
		}
		if err := id.makeAuthority(ctx); err != nil {
			return nil, nil, err
		}
	}
}

// makeAuthority makes the authority of the seed, for which it may wait, and keeps it unless
// all was forgotten meanwhile, or another caller was first.
func (id *identity) makeAuthority(ctx context.Context) error {
	id.mu.Lock()
	forgotten := id.forgotten
	id.mu.Unlock()
	seed, err := id.seed(ctx)
	if err != nil {
		return err
	}
	defer clear(seed)
	made, err := newAuthority(seed)
	if err != nil {
		return err
	}
	id.mu.Lock()
	defer id.mu.Unlock()
	if id.forgotten == forgotten && id.authority == nil {
		id.authority = made
	} else {
		clear(made.key)
	}
	return nil
}

// known returns the authority and this node's certificate, which it makes where it is not
// good any more; neither where there is no authority.
func (id *identity) known() (*authority, *tls.Certificate, error) {
	id.mu.Lock()
	defer id.mu.Unlock()
	if id.authority == nil {
		return nil, nil, nil
	}
	now, node := id.now(), id.self()
	if id.cert == nil || id.node != node || now.After(id.renewAt) {
		cert, err := id.authority.certificate(node, now)
		if err != nil {
			return nil, nil, err
		}
		id.cert, id.node, id.renewAt = cert, node, now.Add(lifetime/2)
	}
	return id.authority, id.cert, nil
}

// forget lets go of all keys, until they are needed again. It does not wait for who makes them.
func (id *identity) forget() {
	id.mu.Lock()
	defer id.mu.Unlock()
	if id.authority != nil {
		clear(id.authority.key)
	}
	id.authority, id.cert = nil, nil
	id.forgotten++
}

// serverConfig is for connections that come from other nodes.
func (id *identity) serverConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			authority, cert, err := id.current(hello.Context())
			if err != nil {
				return nil, err
			}
			return &tls.Config{
				MinVersion:             tls.VersionTLS13,
				Certificates:           []tls.Certificate{*cert},
				ClientAuth:             tls.RequireAndVerifyClientCert,
				ClientCAs:              authority.pool,
				NextProtos:             []string{"http/1.1"}, // as websockets need it
				SessionTicketsDisabled: true,                 // a certificate is looked at each time
				Time:                   id.now,
				VerifyConnection: func(s tls.ConnectionState) error {
					_, err := callerOf(s)
					return err
				},
			}, nil
		},
	}
}

// clientConfig is for a connection to a node.
func (id *identity) clientConfig(ctx context.Context, node string) (*tls.Config, error) {
	authority, cert, err := id.current(ctx)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{*cert},
		RootCAs:      authority.pool,
		ServerName:   nameOf(node),
		NextProtos:   []string{"http/1.1"},
		Time:         id.now,
	}, nil
}

var errNoNode = errors.New("the certificate is not that of a node")

// callerOf is the node at the other end of a connection that came from it.
func callerOf(s tls.ConnectionState) (node string, err error) {
	if len(s.PeerCertificates) == 0 || len(s.PeerCertificates[0].DNSNames) != 1 {
		return "", errNoNode
	}
	node, ok := strings.CutSuffix(s.PeerCertificates[0].DNSNames[0], "."+domain)
	if !ok || names.UUID(node) != nil {
		return "", errNoNode
	}
	return node, nil
}
