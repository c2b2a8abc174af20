package calls

import (
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/broker"
)

// keptOpen is how long a secret that a call has opened may be kept for the calls that
// follow, in plain text. SECURITY.md says it.
const keptOpen = 5 * time.Second

// opened keeps the clients of the broker that calls were sent with, and with them the
// secrets that were opened: to open and to compile them again takes longer than most
// of what else a call needs of this server. A client is used again only for a call
// that was resolved to the very same rows, and all are dropped keptOpen after the
// first was kept. It is safe for concurrent use.
type opened struct {
	mu sync.Mutex
	// round counts how often all were dropped.
	round   uint64
	clients map[clientKey]*broker.Client
}

// clientKey is what a client depends on.
type clientKey struct {
	with *Resolution
	base string
	// made is set where package model has made the request.
	made bool
}

// maxOpened bounds how many clients are kept.
const maxOpened = 256

// get returns a client, nil where none is kept, and the round that it belongs to.
func (o *opened) get(key clientKey) (c *broker.Client, round uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.clients[key], o.round
}

// keep keeps a client whose secrets were opened in a round. One of a round that is
// over is not kept: the server may have been locked since.
func (o *opened) keep(key clientKey, c *broker.Client, round uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.round != round || len(o.clients) >= maxOpened {
		return
	}
	if o.clients == nil {
		o.clients = map[clientKey]*broker.Client{}
		time.AfterFunc(keptOpen, func() { o.drop(round) })
	}
	o.clients[key] = c
}

// drop ends a round, if it is not over.
func (o *opened) drop(round uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.round == round {
		o.round, o.clients = o.round+1, nil
	}
}

// forget drops all of them.
func (o *opened) forget() {
	_, round := o.get(clientKey{})
	o.drop(round)
}

// isKept reports whether clients that authenticate in this way are kept. The others
// keep access tokens and certificates in the broker, which has its own rules for them.
func isKept(auth bctrl.CredentialAuth) bool {
	return auth.Type != bctrl.AuthOAuth2 && auth.Type != bctrl.AuthMTLS
}

// clientOf returns the client that a call is sent with. Only where none is kept does
// it open the secrets of the call.
func (s *Service) clientOf(c *intendedCall) (*broker.Client, error) {
	key := clientKey{with: c.with, base: c.to.base.String(), made: c.made != nil}
	kept, round := s.opened.get(key)
	if kept != nil {
		return kept.Limited(c.maxAnswer, c.isUnpacked()), nil
	}
	secrets, err := c.with.Open()
	if err != nil {
		return nil, err
	}
	target := s.brokerTarget(c, secrets)
	client, err := s.broker.Client(target)
	// Where calls are resolved anew for each transaction no other one would find it.
	if _, remembers := s.DB.Generation(); err == nil && remembers && isKept(target.Auth) {
		s.opened.keep(key, client, round)
	}
	return client, err
}
