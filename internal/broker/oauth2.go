package broker

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/template"
)

const (
	// tokenTimeout bounds getting an access token and storing what came with it.
	tokenTimeout = 30 * time.Second
	// maxTokenAnswer bounds the answer of a token endpoint in bytes.
	maxTokenAnswer = 1 << 20
	// maxSkew is how long before its end an access token is renewed; a short
	// lived one is after three quarters of its life.
	maxSkew = time.Minute

	fieldRefreshToken = "refreshToken"
)

// endpoint is a token endpoint and who asks there.
type endpoint struct {
	transport              http.RoundTripper
	url                    *url.URL
	auth                   bctrl.OAuth2Auth
	clientID, clientSecret bctrl.Secret
}

// granted is an answer of a token endpoint.
type granted struct {
	access, refresh bctrl.Secret
	// lifetime is 0 when the server does not say.
	lifetime time.Duration
}

// oauth2 completes c for a target that is reached with access tokens.
func (b *Broker) oauth2(c *compiled, t Target) error {
	address, err := parseBase(t.Auth.OAuth2.TokenURL)
	if e, ok := errors.AsType[*Error](err); ok {
		return fail(e.Kind, "%s (of the token endpoint)", e.Detail)
	}
	if len(c.late) == 0 {
		bearer, err := template.Parse("Bearer {" + fieldAccessToken + "}")
		if err != nil {
			return fail(ErrTarget, "%w", err)
		}
		c.late = append(c.late, lateEntry{name: "Authorization", text: bearer})
	}
	e := endpoint{
		transport:    b.secure,
		url:          address,
		auth:         *t.Auth.OAuth2,
		clientID:     t.Secrets["clientId"],
		clientSecret: t.Secrets["clientSecret"],
	}
	refresh := t.Secrets[fieldRefreshToken]
	c.tokens = &tokenSource{
		endpoint: e,
		grant:    b.tokens.get(e.id(t.Identity, refresh), refresh),
		cache:    &b.tokens,
		identity: t.Identity,
		rotated:  t.Rotated,
		alone:    t.Alone,
		now:      b.now,
	}
	return nil
}

// id is the identity of a grant: the endpoint, what is asked there, by whom and with
// which refresh token.
func (e endpoint) id(identity string, refresh bctrl.Secret) [sha256.Size]byte {
	params := url.Values{}
	for name, value := range e.auth.Params {
		params.Set(name, value)
	}
	return fingerprint(identity, e.url.String(), e.auth.Grant, strings.Join(e.auth.Scopes, " "), params.Encode(),
		e.clientID.Expose(), e.clientSecret.Expose(), refresh.Expose())
}

// requestToken gets an access token. Its request is sent once: a refresh token may
// be good for one use.
func (e endpoint) requestToken(ctx context.Context, refresh bctrl.Secret) (granted, error) {
	form := url.Values{"grant_type": {e.auth.Grant}}
	for _, name := range slices.Sorted(maps.Keys(e.auth.Params)) {
		form.Set(name, e.auth.Params[name])
	}
	if e.auth.Grant == bctrl.GrantRefreshToken {
		form.Set("refresh_token", refresh.Expose())
	}
	if len(e.auth.Scopes) > 0 {
		form.Set("scope", strings.Join(e.auth.Scopes, " "))
	}
	// RFC 6749 §2.3.1. A public client has no secret and says its id.
	inBody := e.auth.ClientAuth == "body" || e.clientSecret.IsZero()
	if inBody {
		form.Set("client_id", e.clientID.Expose())
		if !e.clientSecret.IsZero() {
			form.Set("client_secret", e.clientSecret.Expose())
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return granted{}, fail(ErrToken, "the request cannot be made") // its own error would quote it
	}
	req.GetBody = nil
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "bctrl")
	if !inBody {
		req.SetBasicAuth(url.QueryEscape(e.clientID.Expose()), url.QueryEscape(e.clientSecret.Expose()))
	}
	resp, err := e.transport.RoundTrip(req)
	if err != nil {
		return granted{}, fail(ErrToken, "%w", e.unreachable(ctx, err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenAnswer))
	if err != nil {
		return granted{}, fail(ErrToken, "%w", e.unreachable(ctx, err))
	}
	return readGrant(resp.StatusCode, body)
}

// unreachable is [classify] for the endpoint: its time is not the caller's.
func (e endpoint) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("its endpoint: %w", ErrTimeout)
	}
	return fmt.Errorf("its endpoint: %w", classify(ctx, err))
}

// readGrant reads an answer by RFC 6749 §5. Of what the server wrote, an error
// repeats only the codes of §5.2.
func readGrant(status int, body []byte) (granted, error) {
	var answer struct {
		AccessToken  string          `json:"access_token"`
		RefreshToken string          `json:"refresh_token"`
		TokenType    string          `json:"token_type"`
		ExpiresIn    json.RawMessage `json:"expires_in"`
		Error        json.RawMessage `json:"error"`
	}
	err := json.Unmarshal(body, &answer)
	if status != http.StatusOK && status != http.StatusCreated {
		refused := ErrToken
		if status == http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden {
			refused = ErrTokenRefused
		}
		return granted{}, fail(refused, "its endpoint answered %d%s", status, knownCode(answer.Error))
	}
	switch {
	case err != nil:
		return granted{}, fail(ErrToken, "its endpoint's answer is not the JSON of RFC 6749")
	case answer.AccessToken == "":
		return granted{}, fail(ErrToken, "its endpoint's answer holds none%s", knownCode(answer.Error))
	case !fitsHeader(answer.AccessToken) || len(answer.AccessToken) > maxHeaderSecret:
		return granted{}, fail(ErrToken, "it holds a character that no header can carry, or is too long")
	case answer.TokenType != "" && !strings.EqualFold(answer.TokenType, "bearer"):
		return granted{}, fail(ErrToken, "it is not a bearer token")
	}
	g := granted{access: bctrl.NewSecret(answer.AccessToken), refresh: bctrl.NewSecret(answer.RefreshToken)}
	// Some servers write the number as a string.
	if seconds, err := strconv.ParseFloat(strings.Trim(string(answer.ExpiresIn), `"`), 64); err == nil && seconds > 0 {
		g.lifetime = time.Duration(min(seconds, 1e8) * float64(time.Second))
	}
	return g, nil
}

// maxHeaderSecret bounds an access token in bytes.
const maxHeaderSecret = 16 << 10

func knownCode(raw json.RawMessage) string {
	var code string
	if json.Unmarshal(raw, &code) != nil {
		return ""
	}
	switch code {
	case "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client",
		"unsupported_grant_type", "invalid_scope":
		return " " + code
	}
	return ""
}
