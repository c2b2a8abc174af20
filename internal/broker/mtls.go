package broker

import (
	"container/list"
	"crypto/sha256"
	"crypto/tls"
	"net/http"
	"net/url"
	"sync"

	"github.com/bctrl-go/bctrl/internal/httpconn"
	"github.com/bctrl-go/bctrl/internal/tuple"
)

// maxCertified is how many client certificates are kept with their connections.
const maxCertified = 256

// withCertificate returns a transport whose connections present the target's
// certificate and serve this target alone.
func (b *Broker) withCertificate(t Target, base *url.URL) (http.RoundTripper, error) {
	if base.Scheme != "https" {
		return nil, fail(ErrTarget, "a client certificate needs https")
	}
	certificate, key := t.Secrets[fieldCertificate], t.Secrets[fieldPrivateKey]
	id := fingerprint(t.Identity, certificate.Expose(), key.Expose())
	kept, err := b.certified.get(id, func() (*http.Transport, error) {
		pair, err := tls.X509KeyPair([]byte(certificate.Expose()), []byte(key.Expose()))
		if err != nil {
			// The error's text could quote the PEM.
			return nil, fail(ErrTarget, "the certificate and the private key are not a PEM pair")
		}
		cfg := tlsConfig(b.roots)
		// A server that names no authority of ours still gets the certificate:
		// the credential was made for it.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		return b.overTLS(cfg).Transport, nil
	})
	if err != nil {
		return nil, err
	}
	return &httpconn.Transport{Transport: kept}, nil
}

// fingerprint is an identity under which what is made of secrets is kept.
func fingerprint(parts ...string) [sha256.Size]byte {
	all := tuple.New(4 << 10).Text(parts...)
	defer clear(all)
	return sha256.Sum256(all)
}

// transportCache keeps the transports used last. The zero value is ready.
type transportCache struct {
	mu    sync.Mutex
	byID  map[[sha256.Size]byte]*list.Element
	order list.List // of keptTransport, the one used last in front
}

type keptTransport struct {
	id        [sha256.Size]byte
	transport *http.Transport
}

func (c *transportCache) get(id [sha256.Size]byte, open func() (*http.Transport, error)) (*http.Transport, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byID[id]; ok {
		c.order.MoveToFront(e)
		return e.Value.(keptTransport).transport, nil
	}
	transport, err := open()
	if err != nil {
		return nil, err
	}
	if c.byID == nil {
		c.byID = map[[sha256.Size]byte]*list.Element{}
	}
	c.byID[id] = c.order.PushFront(keptTransport{id, transport})
	for c.order.Len() > maxCertified {
		c.remove(c.order.Back())
	}
	return transport, nil
}

// remove drops a transport; requests on its connections end undisturbed.
func (c *transportCache) remove(e *list.Element) {
	kept := c.order.Remove(e).(keptTransport)
	delete(c.byID, kept.id)
	kept.transport.CloseIdleConnections()
}

func (c *transportCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.order.Len() > 0 {
		c.remove(c.order.Back())
	}
}
