package calls

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/server/models"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// send opens the secrets that a call uses and sends it.
func (s *Service) send(ctx context.Context, c *intendedCall) (*http.Response, error) {
	client, err := s.clientOf(c)
	if err != nil {
		return nil, err
	}
	req, err := c.httpRequest(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.StillUnderway(ctx); err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if err := c.redact(resp); err != nil {
		_ = resp.Body.Close() // it is refused whole
		return nil, err
	}
	return resp, nil
}

// httpRequest makes the request that the broker sends.
func (c *intendedCall) httpRequest(ctx context.Context) (*http.Request, error) {
	if c.made != nil {
		req := c.made.Clone(ctx)
		if c.body != nil {
			req.Body, req.GetBody = io.NopCloser(c.body), nil
		}
		return req, nil
	}
	path, err := url.PathUnescape(c.to.path)
	if err != nil {
		return nil, err // it has been checked
	}
	u := *c.to.base
	u.Path, u.RawPath, u.RawQuery = path, c.to.path, c.to.query
	req := (&http.Request{Method: c.method, URL: &u, Header: c.to.header}).WithContext(ctx) // which the broker clones
	if c.body != nil {
		c.body.attach(req)
	}
	return req, nil
}

// hidesFields reports whether the capability's policy names fields to take out.
func (c *intendedCall) hidesFields() bool {
	return c.capability.Policy != nil && len(c.capability.Policy.Redact) > 0
}

// isUnpacked reports whether the answer is read or changed here.
func (c *intendedCall) isUnpacked() bool { return c.made != nil || c.hidesFields() }

// redact takes the fields that the capability's policy names out of an answer, and
// refuses an answer that is no JSON.
func (c *intendedCall) redact(resp *http.Response) error {
	if !c.hidesFields() {
		return nil
	}
	r := broker.NewRedactor(c.capability.Policy.Redact)
	if c.method == http.MethodHead || !mayHaveBody(resp.StatusCode) {
		return nil
	}
	text, ok := r.Reader(resp.Body, resp.Header.Get("Content-Type"))
	if !ok {
		return web.Unprocessable("invoke.answer_refused",
			"the capability's policy hides fields of JSON, and the provider's answer is none")
	}
	resp.Body, resp.ContentLength = readCloser{text, resp.Body}, -1
	broker.DropDigests(resp.Header)
	return nil
}

// brokerTarget says for the broker where a call goes, how it authenticates and with
// what.
func (s *Service) brokerTarget(c *intendedCall, secrets map[string]bctrl.Secret) broker.Target {
	t := broker.Target{
		BaseURL:   c.to.base.String(),
		Auth:      c.to.auth,
		Secrets:   secrets,
		Identity:  tokenIdentity(c),
		MaxAnswer: c.maxAnswer,
		Rotated:   s.keepRefreshToken(c),
		Alone:     s.renewAlone(c),
		Unpack:    c.isUnpacked(),
	}
	if c.with.ai == nil || c.made == nil && t.Auth.Type != "" {
		return t
	}
	meta, err := models.UnprovenMeta(*c.with.ai)
	if err != nil {
		return t
	}
	var key bctrl.Secret
	for _, secret := range secrets {
		key = secret
	}
	at := model.Target(meta.Provider, meta.Address(), key)
	at.MaxAnswer, at.Unpack = t.MaxAnswer, t.Unpack
	return at
}

// tokenIdentity is the key under which the broker keeps access tokens for a call:
// calls share one only where they use the same credential with the same secrets.
func tokenIdentity(c *intendedCall) string {
	id := c.caller.Org + "/" + c.with.uid
	for _, field := range slices.Sorted(maps.Keys(c.with.Secrets)) {
		id += "/" + c.with.Secrets[field]
	}
	return id
}

// keepRefreshToken returns the function with which the broker stores a refresh token
// that the provider has put in the place of the one that it was asked with.
func (s *Service) keepRefreshToken(
	c *intendedCall,
) func(ctx context.Context, field string, from, to bctrl.Secret) error {
	org, ids := c.caller.Org, c.with.Secrets
	return func(ctx context.Context, field string, from, to bctrl.Secret) error {
		replaced, err := s.catalog.ReplaceValue(ctx, org, ids[field], from, to)
		if err == nil && !replaced {
			err = broker.ErrSuperseded
		}
		return err
	}
}

// renewPause is how often a node looks whether another has renewed a token.
const renewPause = 50 * time.Millisecond

// renewAlone returns the function with which the broker keeps other nodes from renewing
// the access token of a call's credential; nil where there are none.
func (s *Service) renewAlone(
	c *intendedCall,
) func(ctx context.Context, field string) (stored bctrl.Secret, done func(), err error) {
	if s.Cluster.Alone() {
		return nil
	}
	org, ids, name := c.caller.Org, c.with.Secrets, "token/"+tokenIdentity(c)
	return func(ctx context.Context, field string) (stored bctrl.Secret, done func(), err error) {
		again := time.NewTicker(renewPause)
		defer again.Stop()
		for {
			release, held, err := s.Hold(ctx, name)
			if err != nil {
				return stored, nil, err
			}
			if held {
				if stored, err = s.catalog.Value(ctx, org, ids[field]); err != nil {
					release()
				}
				return stored, release, err
			}
			select {
			case <-again.C:
			case <-ctx.Done():
				return stored, nil, ctx.Err()
			}
		}
	}
}
