package bctrl

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/bctrl-go/bctrl/internal/strictjson"
	"github.com/bctrl-go/bctrl/internal/token"
	"github.com/bctrl-go/bctrl/internal/wire"
)

const (
	pathTokens = pathRuntime + "/tokens"
	pathToken  = "/v1/tokens/{id}"
)

// The bounds of [TokenRequest.TTL].
const (
	minTokenTTL = time.Second
	maxTokenTTL = 7 * 24 * time.Hour
)

// TokenRequest says what a new runtime token may do, and for how long.
type TokenRequest struct {
	// Mounts lower what the handle may use; the zero Mounts inherit all of it.
	Mounts Mounts
	// TTL is how long the token lives: 1 second to 7 days, an hour when zero.
	TTL time.Duration
}

// Token mints a runtime token: an API key for code that must not see the
// organization key, such as an agent's process. Its holder can use what this
// handle may, lowered by the request's mounts, and read, execute on, connect to,
// save the profile of and stop this runtime, nothing else; and can weaken it further with
// [Attenuate], without a request. Mounts that widen are [ErrWidening] before
// anything is sent.
//
// The token dies with its TTL, its runtime, its workspace, and with
// [Client.RevokeToken]. It is shown this once: the server keeps its id, which
// [InspectToken] reads. A runtime token cannot mint another.
//
// Access: token.write
func (rt *Runtime) Token(ctx context.Context, req TokenRequest, opts ...CallOption) (Secret, error) {
	var out wire.NewToken
	// Not as the runtime: minting takes an organization key.
	r := &request{
		method: http.MethodPost,
		path:   pathTokens,
		params: []string{rt.workspaceID, rt.Alias},
		out:    &out,
		opts:   opts,
	}
	lower, err := rt.limits.lower(req.Mounts)
	if err != nil {
		return Secret{}, (&exchange{r: r}).fail(err)
	}
	if ttl := req.TTL; ttl != 0 && (ttl < minTokenTTL || ttl > maxTokenTTL) {
		return Secret{}, (&exchange{r: r}).fail(refusal(http.StatusBadRequest, "tokens.invalid_ttl", "TTL",
			"a token lives from 1 second to 7 days"))
	}
	r.in = wire.TokenCreate[Mounts]{RuntimeID: rt.ID, Mounts: &lower.declared, TTLMs: millis(req.TTL)}
	err = rt.via().call(ctx, r)
	token, err := r.said(out.Token.Reveal(), err)
	return NewSecret(token), err
}

// RevokeToken ends a runtime token and every one attenuated from it, from the
// next request on; what they have running is cut. The id is that of
// [TokenInfo]. Revoking a token again changes nothing.
//
// Access: token.write
func (c *Client) RevokeToken(ctx context.Context, id string, opts ...CallOption) error {
	return c.via().call(ctx, &request{
		method: http.MethodDelete,
		path:   pathToken,
		params: []string{id},
		opts:   opts,
	})
}

// Attenuate returns a weaker token, and sends nothing: one that permits what
// token does and m too, and that ends at expiry. The zero Mounts and the zero
// time leave token as it is. Nothing makes a token stronger, whoever tries: the
// result carries the chain of what was asked, and the server decides every call
// against all of it. See package internal/token for the construction, a chain of
// HMACs as in macaroons.
//
// Mounts that widen what the token itself carries are [ErrWidening], with a
// witness, and so is a later expiry. What the token inherits from its runtime is
// not in it: the server alone knows that, and holds the result to it.
// Each addition makes the token longer: 4096 bytes, or 30 additions of mounts
// or an expiry, are the limit.
func Attenuate(token Secret, m Mounts, expiry time.Time) (Secret, error) {
	t, info, err := openToken(token)
	if err != nil {
		return Secret{}, err
	}
	added, err := info.caveats(m, expiry)
	if err != nil {
		return Secret{}, err
	}
	if t, err = t.Add(added...); err != nil {
		return Secret{}, errTokenTooLong() // its caveats are well formed
	}
	return NewSecret(t.Text()), nil
}

// caveats returns what weakens the token to m and expiry.
func (i TokenInfo) caveats(m Mounts, expiry time.Time) (added []token.Caveat, err error) {
	if m != (Mounts{}) {
		if _, err := assumed(i.Levels, m).Narrow(m); err != nil {
			return nil, err
		}
		text, err := json.Marshal(m)
		if err != nil {
			return nil, refusal(http.StatusBadRequest, "mounts.invalid", "mounts", "the mounts cannot be encoded")
		}
		added = append(added, token.Caveat{Kind: token.Mounts, Body: text})
	}
	switch {
	case expiry.IsZero():
	case expiry.Truncate(time.Millisecond).After(i.ExpiresAt): // rounded down, as a token has it
		e := refusal(http.StatusBadRequest, codeExpiryWidening, "expiry", "the token ends before that")
		e.Witness = expiry.UTC().Format(time.RFC3339Nano)
		return nil, e.hinted("leave the expiry out to keep " + i.ExpiresAt.Format(time.RFC3339))
	case expiry.Before(time.Unix(0, 0)):
		return nil, refusal(http.StatusBadRequest, "tokens.invalid_expiry", "expiry", "the expiry lies before 1970")
	default:
		added = append(added, token.ExpiryAt(expiry))
	}
	return added, nil
}

// assumed returns the most that may lie above child, as far as levels tell:
// what they leave to levels above them, which a token does not carry, is taken
// to permit whatever child asks.
func assumed(levels []Mounts, child Mounts) Mounts {
	top := Mounts{
		AI:           &AIMount{Allow: []string{}},
		Vault:        &VaultMount{Allow: []string{"/"}, AllowRawReads: new(true)},
		Capabilities: &CapabilityMount{Allow: []string{"/"}},
	}
	for _, m := range append(slices.Clip(levels), child) {
		if m.AI != nil {
			top.AI.Allow = append(top.AI.Allow, m.AI.Allow...)
			for _, id := range m.AI.Defaults {
				top.AI.Allow = append(top.AI.Allow, id)
			}
		}
		if ns := m.Storage.namespace(); ns != "" && top.Storage == nil {
			top.Storage = &StorageMount{Workspace: ns}
		}
	}
	return append(Chain{top}, levels...).Effective()
}

// TokenInfo is what a runtime token says of itself.
type TokenInfo struct {
	// ID is that of the token it was minted as; [Client.RevokeToken] takes it.
	ID string `json:"id"`
	// Organization and RuntimeID are what it is bound to.
	Organization string `json:"organization"`
	RuntimeID    string `json:"runtimeId"`
	// Levels are the mounts it carries: those it was minted with, then those of
	// each attenuation. All of them restrict, below the workspace's and the
	// runtime's, which it does not carry.
	Levels []Mounts `json:"levels"`
	// ExpiresAt is the earliest of its expiries.
	ExpiresAt time.Time `json:"expiresAt"`
}

// InspectToken reads what a runtime token says of itself, and sends nothing. It
// cannot tell a genuine token from a forged one: only the server can, which
// holds the key. A text that is no token's is [ErrInvalid].
func InspectToken(token Secret) (*TokenInfo, error) {
	_, info, err := openToken(token)
	return ptr(&info, err)
}

func openToken(text Secret) (*token.Token, TokenInfo, error) {
	malformed := func() error {
		return refusal(http.StatusBadRequest, "tokens.malformed", "token", "this is not a runtime token").
			hinted("one begins with " + strconv.Quote(token.Prefix) + " and comes from Runtime.Token")
	}
	t, err := token.Parse(text.Expose())
	if err != nil {
		return nil, TokenInfo{}, malformed()
	}
	info := TokenInfo{ID: t.ID.String(), Organization: t.Organization.String(), RuntimeID: t.Runtime.String()}
	for _, c := range t.Caveats {
		switch c.Kind {
		case token.Expiry:
			if at := c.Time(); info.ExpiresAt.IsZero() || at.Before(info.ExpiresAt) {
				info.ExpiresAt = at
			}
		case token.Mounts:
			level, err := levelOf(c.Body)
			if err != nil {
				return nil, TokenInfo{}, malformed()
			}
			info.Levels = append(info.Levels, level)
		}
	}
	return t, info, nil
}

var errNotCanonical = errors.New("not canonical")

// levelOf reads the mounts of a caveat. They are canonical JSON of what a level
// may declare: a token that the SDK would not have made is none.
func levelOf(text []byte) (m Mounts, err error) {
	if err := strictjson.Unmarshal(text, &m); err != nil {
		return m, err
	}
	canonical, err := json.Marshal(m)
	if err != nil {
		return m, err
	}
	if string(canonical) != string(text) {
		return m, errNotCanonical
	}
	_, err = assumed(nil, m).Narrow(m) // leaves nothing to refuse but grammar
	return m, err
}

func errTokenTooLong() error {
	return refusal(http.StatusBadRequest, "tokens.too_long", "mounts",
		"the token would exceed 4096 bytes or 30 additions").
		hinted("name prefixes instead of keys, or mint a token with these mounts")
}
