package server

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/sample"
)

// TestAQueryArrivesAsItIs: what sounds like a key is none where the credential
// has its key elsewhere. A cache's key that went missing would delete them all.
func TestAQueryArrivesAsItIs(t *testing.T) {
	seen := make(chan passed, 1)
	c := newCallers(t, echoing(seen))
	client := c.client.Capabilities.HTTPClient(bctrl.CallTarget{Capability: "acme/things"})
	for _, query := range []string{
		"key=linux", "api_key=a&access_token=b&key=c&token=d", "a=1&a=2&b=&c&=d&&e", "q=a+b%20c", "f=x;y=z", "p=100%&q=%zz",
		"u=%C3%A9&v=%2F%3F", "t=a/b?c:d@e!$'()*,",
		"X-Amz-Signature=x&sig=y&signature=z&secret=w&auth=v", "b=2&a=1", "j={\"a\":[1]}", "caf=\xc3\xa9",
	} {
		require.Equal(t, http.StatusAccepted, c.plainly("GET", "/v1/proxy/acme~things/v1/things?"+query, "Authorization",
			"Bearer "+c.key), query)
		require.Equal(t, "/v1/things?"+query, (<-seen).URI, "by base URL")
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+acmeHost+"/v1/things", nil)
		require.NoError(t, err)
		req.URL.RawQuery = query
		resp, err := client.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusAccepted, resp.StatusCode, query)
		require.Equal(t, "/v1/things?"+query, (<-seen).URI, "by HTTPClient")
	}
	query := url.Values{"key": {"linux", "mac"}, "api_key": {""}, "token": {"a;b"}}
	got, err := c.client.Capabilities.Invoke(t.Context(), bctrl.Invocation{Capability: "acme/things", Path: "/v1/things",
		Query: query})
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, got.Status)
	require.Equal(t, "/v1/things?"+query.Encode(), (<-seen).URI, "by Invoke")
}

// TestHeadersOfTheCallersOwnArrive does the same with headers.
func TestHeadersOfTheCallersOwnArrive(t *testing.T) {
	seen := make(chan passed, 1)
	c := newCallers(t, echoing(seen))
	own := http.Header{"X-Csrf-Token": {"a"}, "X-Session-Token": {"b"}, "Access-Key": {"c"}, "Job-Token": {"d"},
		"X-Client-Secret-Id": {"e"}, "X-Request-Id": {"mine-1"}}
	arrived := func(why string) {
		got := <-seen
		for name := range own {
			require.Equal(t, own[name], got.Header[name], "%s: %s", why, name)
		}
		require.Equal(t, "Key "+acmeKey, got.Header.Get("X-Acme"), why)
		require.Empty(t, got.Header.Get("Authorization"), why)
	}
	headers := []string{"Authorization", "Bearer " + c.key}
	for name := range own {
		headers = append(headers, name, own.Get(name))
	}
	resp, body := c.through("GET", "acme~things/v1/things", "", headers...)
	require.Equal(t, http.StatusAccepted, resp.StatusCode, body)
	arrived("by base URL")

	_, err := c.client.Capabilities.Invoke(t.Context(), bctrl.Invocation{Capability: "acme/things", Path: "/v1/things",
		Header: own})
	require.NoError(t, err)
	arrived("by Invoke")

	client := c.client.Capabilities.HTTPClient(bctrl.CallTarget{Capability: "acme/things"})
	ask := func(set func(http.Header)) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+acmeHost+"/v1/things", nil)
		require.NoError(t, err)
		req.Header = own.Clone()
		set(req.Header)
		resp, err := client.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	for why, set := range map[string]func(http.Header){
		"as it is": func(http.Header) {},
		"with a word where the key goes": func(h http.Header) {
			h.Set("X-Acme", "Key none")
			h.Set("Authorization", "Bearer none")
		},
		"with a word in unusual letters": func(h http.Header) {
			h["x-acme"], h["authorization"] = []string{"none"}, []string{"none"}
		},
		"with a word where others have one": func(h http.Header) {
			h.Set("X-Api-Key", "none")
			h.Set("X-Amz-Security-Token", "none")
		},
	} {
		require.Equal(t, http.StatusAccepted, ask(set), why)
		arrived("by HTTPClient, " + why)
	}
	require.Equal(t, http.StatusBadRequest, ask(func(h http.Header) {
		h.Set("Cookie", "a=b")
	}), "a cookie says who calls: it is refused, not dropped")
	require.Empty(t, seen)
}

// TestAWordStandsForTheKey uses the SDKs' HTTP client with every provider of the
// registry: where its key goes, the word is replaced, and nothing else is.
func TestAWordStandsForTheKey(t *testing.T) {
	for _, p := range sample.Of(t, 3, builtinProviders(t).Providers()) {
		t.Run(p.ID, func(t *testing.T) {
			k := newKeyed(t, p)
			target := bctrl.CallTarget{Capability: p.ID + "/"}
			if strings.Contains(p.Hosts[0], "*") {
				target = bctrl.CallTarget{Credential: k.target}
			}
			client := k.client.Capabilities.HTTPClient(target)
			host := strings.ReplaceAll(p.Hosts[0], "*", "eu-west-1")
			for _, how := range asSDK(p.Auth, "none") {
				query := "key2=linux&q=mine&api_keys=a;b"
				for i := 0; i < len(how.query); i += 2 {
					query = how.query[i] + "=" + how.query[i+1] + "&" + query
				}
				address := "https://" + host + p.BasePath + how.pathPrefix + strings.TrimPrefix(k.path, p.BasePath) + "?" + query
				req, err := http.NewRequestWithContext(t.Context(), k.method, address, nil)
				require.NoError(t, err)
				for i := 0; i < len(how.header); i += 2 {
					req.Header.Set(how.header[i], how.header[i+1])
				}
				resp, err := client.Do(req)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				require.Equal(t, http.StatusAccepted, resp.StatusCode, how.place)
				got := <-k.seen
				require.Contains(t, got.URI, "q=mine", how.place)
				require.Contains(t, got.URI, "key2=linux", how.place)
				k.token = k.key
				k.proves(passed{got.Method, strings.ReplaceAll(got.URI, ";", "%3B"), got.Body, got.Header}, how.place)
			}
		})
	}
}

// TestAnOptionalHeaderIsTheCallersWhereTheCredentialHasNone: a key that is for
// one account is for that; one that is for many leaves the choice.
func TestAnOptionalHeaderIsTheCallersWhereTheCredentialHasNone(t *testing.T) {
	seen := make(chan passed, 1)
	c := newCallers(t, nil)
	require.NoError(t, c.providers.Serve("api.stripe.com", echoing(seen)))
	c.secretIn(globally(), "STRIPE_API_KEY", "sk-stripe-0123456789")
	header := object{"Stripe-Account": "acct_1"}
	invoke := func() answer {
		return c.do("POST", []string{"capabilities", "stripe/events", "invoke"}, nil,
			object{"path": "/v1/events", "headers": header})
	}
	require.Equal(t, http.StatusOK, invoke().Status)
	require.Equal(t, "acct_1", (<-seen).Header.Get("Stripe-Account"))
	c.secretIn(globally(), "STRIPE_ACCOUNT", "acct_2")
	require.Equal(t, "invoke.auth_refused", invoke().code())
	header = object{}
	require.Equal(t, http.StatusOK, invoke().Status)
	require.Equal(t, "acct_2", (<-seen).Header.Get("Stripe-Account"))
}
