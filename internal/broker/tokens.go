package broker

import (
	"container/list"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
)

const (
	// maxGrants is how many credentials' access tokens are kept.
	maxGrants = 4096
	// maxAliases is how many refresh tokens, each the successor of the one
	// before, lead to the same access token: a request that began before a
	// rotation knows an old one.
	maxAliases = 4
)

// token is an access token.
type token struct {
	access bctrl.Secret
	// obtained is when it was asked for. until is when it is renewed; zero for never,
	// unless the provider refuses it.
	obtained, until time.Time
}

// tokenSource gets access tokens for one target.
type tokenSource struct {
	endpoint endpoint
	grant    *grant
	cache    *tokenCache
	identity string
	rotated  func(ctx context.Context, field string, from, to bctrl.Secret) error
	alone    func(ctx context.Context, field string) (stored bctrl.Secret, done func(), err error)
	now      func() time.Time
}

// grant is what is known of one credential's authorization. It outlives the
// targets that use it.
type grant struct {
	mu      sync.Mutex
	current token
	// refused is the access token that the provider took no more last.
	refused bctrl.Secret
	refresh bctrl.Secret
	// saved is the refresh token that is stored, as far as is known here.
	saved bctrl.Secret
	// unsaved marks a refresh token that is not stored yet. Until it is, the
	// access token that came with it is not used: lost, it would lock the
	// credential out.
	unsaved bool
	// others lets other servers renew again; nil while they may.
	others func()
	flight *flight
	// ids and place are the cache's, under its lock.
	ids   [][sha256.Size]byte
	place *list.Element
}

// flight is a renewal under way.
type flight struct {
	done  chan struct{}
	token token
	err   error
}

// get returns a fresh access token. Whoever comes while one is being renewed
// waits for it, each as long as its own context lasts; the renewal itself ends
// with none of them.
func (s *tokenSource) get(ctx context.Context) (token, error) {
	g := s.grant
	g.mu.Lock()
	if g.usable(s.now()) {
		defer g.mu.Unlock()
		return g.current, nil
	}
	f := g.flight
	if f == nil {
		f = &flight{done: make(chan struct{})}
		g.flight = f
		go s.renew(context.WithoutCancel(ctx), f)
	}
	g.mu.Unlock()
	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		return token{}, ctx.Err()
	}
}

// usable reports, under the grant's lock, whether its token can be used.
func (g *grant) usable(now time.Time) bool {
	t := g.current
	return !g.unsaved && !t.access.IsZero() && (t.until.IsZero() || now.Before(t.until))
}

// forgetToken forgets a token that the provider no longer takes, unless another has
// replaced it.
func (s *tokenSource) forgetToken(t token) {
	s.grant.mu.Lock()
	defer s.grant.mu.Unlock()
	if s.grant.current.access.Equal(t.access) {
		s.grant.current, s.grant.refused = token{}, t.access
	}
}

// refreshToken returns the newest refresh token, zero for none.
func (s *tokenSource) refreshToken() bctrl.Secret {
	s.grant.mu.Lock()
	defer s.grant.mu.Unlock()
	return s.grant.refresh
}

func (s *tokenSource) renew(ctx context.Context, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	f.token, f.err = s.obtain(ctx)
	s.grant.mu.Lock()
	s.grant.flight = nil
	s.grant.mu.Unlock()
	close(f.done)
}

// obtain gets a token, and stores a refresh token that came with it. Only one runs
// at a time for a grant.
func (s *tokenSource) obtain(ctx context.Context) (token, error) {
	g := s.grant
	if err := s.storeRefreshToken(ctx); err != nil { // what an earlier attempt could not store
		return token{}, err
	}
	s.letOthersIn()
	if t, ok := s.known(); ok {
		return t, nil
	}
	refresh, err := s.keepOthersOut(ctx)
	if err != nil {
		return token{}, err
	}
	defer s.letOthersIn()
	if t, ok := s.known(); ok {
		return t, nil
	}

	asked := s.now()
	answer, err := s.endpoint.requestToken(ctx, refresh)
	if err != nil {
		return token{}, err
	}
	t := token{access: answer.access, obtained: asked}
	if answer.lifetime > 0 {
		t.until = asked.Add(answer.lifetime - min(maxSkew, answer.lifetime/4))
	}
	g.mu.Lock()
	g.current = t
	if rotated := answer.refresh; s.endpoint.auth.Grant == bctrl.GrantRefreshToken && !rotated.IsZero() &&
		!rotated.Equal(refresh) {
		g.refresh, g.unsaved = rotated, true
	}
	g.mu.Unlock()
	return t, s.storeRefreshToken(ctx)
}

// known returns the grant's token where it can be used.
func (s *tokenSource) known() (token, bool) {
	g := s.grant
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.current, g.usable(s.now())
}

// keepOthersOut has no other server renew the credential's token, and returns the refresh
// token to do so with: another server may have replaced the one that is known here. A call
// that had read the replacement before this one has a grant of its own, whose token is taken.
func (s *tokenSource) keepOthersOut(ctx context.Context) (refresh bctrl.Secret, err error) {
	g := s.grant
	if s.alone == nil || s.endpoint.auth.Grant != bctrl.GrantRefreshToken {
		return s.refreshToken(), nil
	}
	stored, done, err := s.alone(ctx, fieldRefreshToken)
	if err != nil {
		return refresh, fail(ErrToken, "another server renews the access token, or the stored refresh token cannot be read")
	}
	other := s.cache.alias(g, s.id(stored))
	var theirs token
	if other != nil && other != g {
		other.mu.Lock()
		if other.usable(s.now()) {
			theirs = other.current
		}
		other.mu.Unlock()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.others = done
	g.refresh, g.saved = stored, stored
	if !theirs.access.IsZero() && !theirs.access.Equal(g.refused) {
		g.current = theirs
	}
	return stored, nil
}

// letOthersIn ends what keepOthersOut began, once there is no refresh token that is known
// here alone.
func (s *tokenSource) letOthersIn() {
	g := s.grant
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.others != nil && !g.unsaved {
		g.others()
		g.others = nil
	}
}

// storeRefreshToken stores the refresh token when it is a new one.
func (s *tokenSource) storeRefreshToken(ctx context.Context) error {
	g := s.grant
	g.mu.Lock()
	refresh, saved, unsaved := g.refresh, g.saved, g.unsaved
	g.mu.Unlock()
	if !unsaved {
		return nil
	}
	// Known to the cache before it is stored: a request that reads it from the store
	// then finds the access token too.
	s.cache.alias(g, s.id(refresh))
	if s.rotated != nil {
		err := s.rotated(ctx, fieldRefreshToken, saved, refresh)
		if errors.Is(err, ErrSuperseded) {
			s.cache.forget(g) // requests that have begun with it may use it
		} else if err != nil {
			return fail(ErrToken, "the new refresh token could not be stored")
		}
	}
	g.mu.Lock()
	g.unsaved, g.saved = false, refresh
	g.mu.Unlock()
	return nil
}

// id is where the cache keeps what a refresh token of this target leads to.
func (s *tokenSource) id(refresh bctrl.Secret) [sha256.Size]byte {
	return s.endpoint.id(s.identity, refresh)
}

// tokenCache keeps the grants used last. The zero value is ready.
type tokenCache struct {
	mu    sync.Mutex
	byID  map[[sha256.Size]byte]*grant
	order list.List // of *grant, the one used last in front
}

// get returns the grant of an id, or a new one with a refresh token.
func (c *tokenCache) get(id [sha256.Size]byte, refresh bctrl.Secret) *grant {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g, ok := c.byID[id]; ok {
		c.order.MoveToFront(g.place)
		return g
	}
	if c.byID == nil {
		c.byID = map[[sha256.Size]byte]*grant{}
	}
	g := &grant{refresh: refresh, saved: refresh, ids: [][sha256.Size]byte{id}}
	g.place = c.order.PushFront(g)
	c.byID[id] = g
	for e := c.order.Back(); e != nil && c.order.Len() > maxGrants; {
		old := e
		e = e.Prev()
		c.removeIdle(old)
	}
	return g
}

// alias makes g found by another id as well, and returns what was found by it before.
func (c *tokenCache) alias(g *grant, id [sha256.Size]byte) (before *grant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before = c.byID[id]
	if g.place == nil || before == g {
		return before // forgotten, or known
	}
	g.ids = append(slices.DeleteFunc(g.ids, func(known [sha256.Size]byte) bool { return known == id }), id)
	c.byID[id] = g
	if len(g.ids) > maxAliases {
		if c.byID[g.ids[0]] == g {
			delete(c.byID, g.ids[0])
		}
		g.ids = g.ids[1:]
	}
	return before
}

// removeIdle removes a grant unless it has something to store.
func (c *tokenCache) removeIdle(e *list.Element) {
	g := e.Value.(*grant)
	g.mu.Lock()
	busy := g.flight != nil || g.unsaved
	g.mu.Unlock()
	if !busy {
		c.unlink(g)
	}
}

// forget removes a grant that nobody is to find any more.
func (c *tokenCache) forget(g *grant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g.place != nil {
		c.unlink(g)
	}
}

// unlink removes a grant, under the cache's lock.
func (c *tokenCache) unlink(g *grant) {
	c.order.Remove(g.place)
	for _, id := range g.ids {
		if c.byID[id] == g {
			delete(c.byID, id)
		}
	}
	g.place = nil
}

func (c *tokenCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.order.Front(); e != nil; {
		old := e
		e = e.Next()
		c.removeIdle(old)
	}
}

// wait waits for the renewals under way.
func (c *tokenCache) wait() {
	var flights []*flight
	c.mu.Lock()
	for e := c.order.Front(); e != nil; e = e.Next() {
		g := e.Value.(*grant)
		g.mu.Lock()
		if g.flight != nil {
			flights = append(flights, g.flight)
		}
		g.mu.Unlock()
	}
	c.mu.Unlock()
	for _, f := range flights {
		<-f.done
	}
}
