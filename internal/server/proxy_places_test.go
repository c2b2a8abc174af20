package server

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/sample"
)

// sdkRequest is what an SDK that was given key in place of a provider's key sends,
// beside what it asks for.
type sdkRequest struct {
	place         string
	header, query []string // in pairs
	pathPrefix    string
}

var field = regexp.MustCompile(`\{[A-Za-z]+\??\}`)

// asSDK lists the ways in which the SDKs of a provider send a key, as the
// provider's auth says. All of them are used for one request each.
func asSDK(auth bctrl.CredentialAuth, key string) (ways []sdkRequest) {
	fill := func(text string) string { return field.ReplaceAllString(text, key) }
	secret := func(text string) bool {
		names := field.FindAllString(text, -1)
		return slices.ContainsFunc(names, func(n string) bool {
			return !slices.Contains(auth.Public, strings.Trim(n, "{?}"))
		})
	}
	for name, text := range auth.Headers {
		if secret(text) {
			ways = append(ways, sdkRequest{place: "the header " + name, header: []string{name, fill(text)}})
		}
	}
	all := sdkRequest{place: "the query"}
	for name, text := range auth.Query {
		if secret(text) {
			all.query = append(all.query, name, fill(text))
		}
	}
	if all.query != nil {
		ways = append(ways, all)
	}
	switch auth.Type {
	case bctrl.AuthPath:
		ways = append(ways,
			sdkRequest{place: "the path", pathPrefix: fill(auth.Path)},
			sdkRequest{place: "the path, behind the number that libraries want", pathPrefix: field.ReplaceAllString(auth.Path,
				"123456:"+key)})
	case bctrl.AuthBasic:
		half := func(text string) string {
			if secret(text) {
				return fill(text)
			}
			return field.ReplaceAllString(text, "AC0123456789")
		}
		pair := base64.StdEncoding.EncodeToString([]byte(half(auth.Username) + ":" + half(auth.Password)))
		ways = append(ways, sdkRequest{place: "Basic", header: []string{"Authorization", "Basic " + pair}})
	case bctrl.AuthOAuth2:
		ways = append(ways, sdkRequest{place: "the access token", header: []string{"Authorization", "Bearer " + key}})
	case bctrl.AuthAWSSigV4:
		ways = append(ways, sdkRequest{place: "the session token", header: []string{
			"Authorization", "AWS4-HMAC-SHA256 Credential=AKIDNONE/20260102/eu-west-1/s3/aws4_request, SignedHeaders=host, " +
				"Signature=00",
			"X-Amz-Security-Token", key, "X-Amz-Date", "20260102T030405Z",
		}})
	}
	return ways
}

// keyed is a provider of the registry with secrets, and what it was sent.
type keyed struct {
	*callers
	provider registry.Provider
	// path is one that a capability of it permits, behind what holds a key.
	target, host, method, path string
	seen                       chan passed
	token                      string
}

func newKeyed(t *testing.T, p registry.Provider) *keyed {
	k := &keyed{
		callers:  newCallers(t, nil),
		provider: p,
		target:   url.PathEscape(p.ID + "/"),
		seen:     make(chan passed, 8),
	}
	wild := strings.NewReplacer("*", "eu-west-1")
	host := wild.Replace(p.Hosts[0])
	k.host = host
	require.NoError(t, k.providers.Serve(host, echoing(k.seen)))
	if p.Auth.OAuth2 != nil {
		at, err := url.Parse(p.Auth.OAuth2.TokenURL)
		require.NoError(t, err)
		require.NoError(t, k.providers.Serve(at.Host, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"access_token": "real-accessToken", "token_type": "Bearer", "expires_in": 3600}`)
		})))
	}
	refs := object{}
	for _, s := range p.Secrets {
		stored := k.secretIn(globally(), s.Name, "real-"+s.Field)
		refs[s.Field] = "vault:secret:" + stored.ID
	}
	if host != p.Hosts[0] { // of a provider with many an administrator picks one
		k.target = p.ID + "-main"
		k.ok("POST", []string{"credentials"}, object{
			"id": k.target, "provider": p.ID, "secretRefs": refs, "scope": globally(), "hosts": []string{host}, "priority": 1,
		}, nil)
	}
	i := slices.IndexFunc(p.Capabilities, func(c registry.Capability) bool {
		return !c.Model && (c.Host == "" || registry.MatchHost(c.Host, host))
	})
	k.method, k.path = p.Capabilities[i].Methods[0],
		regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(p.Capabilities[i].Paths[0], "x")
	ws := k.made("sales", object{"capabilities": object{"allow": []string{p.ID + "/"}}})
	k.launch(ws, "r", nil)
	k.token = k.mint(ws.ID, "r", object{}).Expose()
	return k
}

// send sends a request as an SDK, with more headers, and returns the code of the
// refusal or "".
func (k *keyed) send(how sdkRequest, more ...string) (*http.Response, string) {
	k.Helper()
	return k.through(k.method, k.target+k.uri(how), "", append(slices.Clone(how.header), more...)...)
}

// uri is what an SDK asks the provider for.
func (k *keyed) uri(how sdkRequest) string {
	query := url.Values{}
	for i := 0; i < len(how.query); i += 2 {
		query.Set(how.query[i], how.query[i+1])
	}
	query.Set("q", "mine")
	base := k.provider.BasePath
	return base + how.pathPrefix + strings.TrimPrefix(k.path, base) + "?" + query.Encode()
}

// handed sends a request as an SDK that was given our HTTP client and a word in
// place of the key.
func (k *keyed) handed(how sdkRequest) (status int, body string) {
	k.Helper()
	target := bctrl.CallTarget{Capability: k.provider.ID + "/"}
	if k.host != k.provider.Hosts[0] {
		target = bctrl.CallTarget{Credential: k.target}
	}
	req, err := http.NewRequestWithContext(k.Context(), k.method, "https://"+k.host+k.uri(how), nil)
	require.NoError(k, err)
	for i := 0; i < len(how.header); i += 2 {
		req.Header.Set(how.header[i], how.header[i+1])
	}
	resp, err := k.client.Capabilities.HTTPClient(target).Do(req)
	require.NoError(k, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(k, err)
	return resp.StatusCode, string(text)
}

// proves refuses where a provider did not get its real key, or got any other.
func (k *keyed) proves(got passed, why string) {
	k.Helper()
	auth := k.provider.Auth
	real := func(text string) string {
		return field.ReplaceAllStringFunc(text, func(name string) string { return "real-" + strings.Trim(name, "{?}") })
	}
	uri, err := url.Parse(got.URI)
	require.NoError(k, err)
	for name, text := range auth.Headers {
		require.Equal(k, real(text), got.Header.Get(name), why)
	}
	for name, text := range auth.Query {
		require.Equal(k, []string{real(text)}, uri.Query()[name], why)
	}
	authorization := got.Header.Get("Authorization")
	switch auth.Type {
	case bctrl.AuthPath:
		require.Equal(k, real(auth.Path)+k.path, uri.Path, why)
	case bctrl.AuthBasic:
		require.Equal(k, "Basic "+base64.StdEncoding.EncodeToString([]byte(real(auth.Username)+":"+real(auth.Password))),
			authorization, why)
	case bctrl.AuthOAuth2:
		require.Equal(k, "Bearer real-accessToken", authorization, why)
	case bctrl.AuthAWSSigV4:
		require.True(k, strings.HasPrefix(authorization, "AWS4-HMAC-SHA256 Credential=real-accessKeyId/"), why)
		require.Equal(k, "real-sessionToken", got.Header.Get("X-Amz-Security-Token"), why)
	}
	if auth.Type != bctrl.AuthPath {
		require.Equal(k, k.path, uri.Path, why)
	}
	require.Equal(k, []string{"mine"}, uri.Query()["q"], "%s: the rest passes", why)
	k.holdsNoneOfOurs(got, why)
}

// holdsNoneOfOurs fails where our key or token reached a provider.
func (k *keyed) holdsNoneOfOurs(got passed, why string) {
	k.Helper()
	text := got.URI + got.Body
	for name, values := range got.Header {
		text += name + strings.Join(values, " ")
		for _, value := range values {
			raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(value, "Basic "))
			text += string(raw)
		}
	}
	require.False(k, strings.Contains(text, k.key) || strings.Contains(text, k.token),
		"%s: our token reached the provider", why)
}

// TestOurTokenStandsWhereTheRegistryHasAProvidersKey walks the registry: an SDK
// that is given our token in place of the key works, wherever it puts it.
func TestOurTokenStandsWhereTheRegistryHasAProvidersKey(t *testing.T) {
	providers := builtinProviders(t).Providers()
	require.GreaterOrEqual(t, len(providers), 30)
	for _, p := range sample.Of(t, 3, providers) {
		t.Run(p.ID, func(t *testing.T) {
			k := newKeyed(t, p)
			require.NotEmpty(t, asSDK(p.Auth, k.key))
			for who, key := range map[string]string{"an organization key": k.key, "a runtime token": k.token} {
				for _, how := range asSDK(p.Auth, key) {
					resp, body := k.send(how)
					require.Equal(t, http.StatusAccepted, resp.StatusCode, "%s in %s: %s", who, how.place, body)
					k.proves(<-k.seen, who+" in "+how.place)
					if len(how.header) > 0 {
						require.Contains(t, strings.Join(resp.Header.Values("Vary"), ", "), how.header[0],
							"no cache gives it to who has none there")
					}
				}
			}
			for _, how := range asSDK(p.Auth, "placeholder") {
				status, body := k.handed(how)
				require.Equal(t, http.StatusAccepted, status, "our HTTP client, a word in %s: %s", how.place, body)
				got := <-k.seen
				k.proves(got, "our HTTP client, a word in "+how.place)
				require.NotContains(t, got.URI, "placeholder")
			}
			ours := []string{"Authorization", "Bearer " + k.token}
			for i, how := range asSDK(p.Auth, "sk-live-of-somebody") {
				resp, code := k.send(how)
				require.Equal(t, "invoke.auth_refused", code, "a key of somebody else in %s", how.place)
				require.Equal(t, http.StatusBadRequest, resp.StatusCode)
				_, code = k.send(how, ours...)
				require.Equal(t, "invoke.auth_refused", code, "a key of somebody else in %s, beside our token", how.place)
				_, code = k.send(asSDK(p.Auth, k.key)[i], ours...)
				require.Equal(t, "invoke.auth_refused", code, "another key of ours in %s, beside our token", how.place)
			}
			_, code := k.send(sdkRequest{}, "X-Trace", "of "+k.token, "Authorization", "Bearer "+k.token)
			require.Equal(t, "invoke.auth_refused", code, "our token where no key goes")
			_, code = k.send(sdkRequest{query: []string{"callback", "https://example.com/?t=" + k.token}}, ours...)
			require.Equal(t, "invoke.auth_refused", code, "our token within a parameter")
			require.Empty(t, k.seen, "nothing of that was sent")
		})
	}
}

// TestOurTokenStandsWhereACredentialSaysItsKeyIs is the same for providers that
// the registry does not have, whose credentials say how they authenticate.
func TestOurTokenStandsWhereACredentialSaysItsKeyIs(t *testing.T) {
	for why, auth := range map[string]bctrl.CredentialAuth{
		"a header":            {Type: bctrl.AuthHeader, Headers: map[string]string{"X-Thing": "Key {k}; v=1"}},
		"two headers":         {Type: bctrl.AuthHeader, Headers: map[string]string{"X-One": "{a}", "X-Two": "{b}"}},
		"a parameter":         {Type: bctrl.AuthQuery, Query: map[string]string{"appid": "{k}"}},
		"a path":              {Type: bctrl.AuthPath, Path: "/services/{a}/{b}"},
		"Basic, as user name": {Type: bctrl.AuthBasic, Username: "{k}", Password: "X"},
		"Basic, as both":      {Type: bctrl.AuthBasic, Username: "{a}", Password: "{b}"},
	} {
		t.Run(why, func(t *testing.T) {
			k := &keyed{
				callers: newCallers(t, nil),
				target:  "thing-main",
				method:  "GET",
				path:    "/v1/things",
				seen:    make(chan passed, 8),
			}
			require.NoError(t, k.providers.Serve("api.thing.example", echoing(k.seen)))
			k.provider.Auth = auth
			k.ownCredential(auth)
			ws := k.made("sales", object{"capabilities": object{"allow": []string{"thing/"}}})
			k.launch(ws, "r", nil)
			k.token = k.mint(ws.ID, "r", object{}).Expose()
			for _, target := range []string{"thing-main", "thing%2F", "thing%2Fthings"} {
				k.target = target
				for _, key := range []string{k.key, k.token} {
					for _, how := range asSDK(auth, key) {
						if strings.Contains(how.place, "number") {
							continue
						}
						resp, body := k.send(how)
						require.Equal(t, http.StatusAccepted, resp.StatusCode, "%s: %s: %s", target, how.place, body)
						k.proves(<-k.seen, target)
					}
				}
				for _, how := range asSDK(auth, "sk-live-of-somebody") {
					if how.pathPrefix != "" {
						continue // with a path of its own: no key, as far as anybody can tell
					}
					_, code := k.send(how, "Authorization", "Bearer "+k.token)
					require.Equal(t, "invoke.auth_refused", code, "%s: somebody's key in %s", target, how.place)
				}
			}
			require.Empty(t, k.seen)
		})
	}
}

// ownCredential makes thing-main, which authenticates so, and thing/things.
func (k *keyed) ownCredential(auth bctrl.CredentialAuth) {
	k.Helper()
	required, _ := auth.Fields()
	refs := object{}
	for _, name := range required {
		refs[name] = "vault:secret:" + k.secretIn(globally(), strings.ToUpper(name), "real-"+name).ID
	}
	k.ok("POST", []string{"credentials"}, object{
		"id": "thing-main", "provider": "thing", "secretRefs": refs, "scope": globally(),
		"hosts": []string{"api.thing.example"}, "auth": auth,
	}, nil)
	k.ok("PUT", []string{"capabilities", "thing/things"},
		object{"methods": []string{"GET"}, "paths": []string{"/v1/things"}}, nil)
}

// TestASignatureOfNoKeyIsMadeAnew: an SDK that signs has our token where the id
// of its key is, and signs with a secret that is none.
func TestASignatureOfNoKeyIsMadeAnew(t *testing.T) {
	k := &keyed{
		callers: newCallers(t, nil),
		target:  "thing-main",
		method:  "GET",
		path:    "/v1/things",
		seen:    make(chan passed, 8),
	}
	require.NoError(t, k.providers.Serve("api.thing.example", echoing(k.seen)))
	k.ownCredential(bctrl.CredentialAuth{
		Type:    bctrl.AuthHMAC,
		HMAC:    &bctrl.HMACAuth{Algorithm: "sha256"},
		Headers: map[string]string{"Thing-Key": "{keyId}", "Thing-Signature": "v1={signature}"},
		Query:   map[string]string{"at": "{timestamp}"},
	})
	resp, body := k.send(sdkRequest{header: []string{"Thing-Key", k.key, "Thing-Signature", "v1=00"},
		query: []string{"at", "1"}})
	require.Equal(t, http.StatusAccepted, resp.StatusCode, body)
	got := <-k.seen
	require.Equal(t, "real-keyId", got.Header.Get("Thing-Key"))
	require.Regexp(t, "^v1=[0-9a-f]{64}$", got.Header.Get("Thing-Signature"))
	require.NotContains(t, got.URI, "at=1&")
	k.token = k.key
	k.holdsNoneOfOurs(got, "HMAC")
	_, code := k.send(sdkRequest{header: []string{"Thing-Key", "somebody's", "Authorization", "Bearer " + k.key}})
	require.Equal(t, "invoke.auth_refused", code)
	require.Empty(t, k.seen)
}
