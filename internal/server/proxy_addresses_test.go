package server

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// answering is a provider that answers with headers, in pairs, and a status.
func answering(status *int, headers *[]string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(*headers); i += 2 {
			w.Header().Add((*headers)[i], (*headers)[i+1])
		}
		w.WriteHeader(*status)
	}
}

// TestAddressesOfAProviderPointBack: who follows one sends our token, so it is
// one of ours. Where {} stands is the proxy with the target.
func TestAddressesOfAProviderPointBack(t *testing.T) {
	status, headers := http.StatusCreated, []string(nil)
	c := newCallers(t, answering(&status, &headers))
	const own = "https://" + acmeHost
	for _, test := range []struct{ name, sent, want string }{
		{"Location", own + "/v1/things/a%2Fb?x=1&y=%20+;#f", "{}/v1/things/a%2Fb?x=1&y=%20+;#f"},
		{"Location", "/v1/things/7?a=b", "{}/v1/things/7?a=b"},
		{"Location", "//" + acmeHost + "/v1/x", "{}/v1/x"},
		{"Location", "../other", "{}/v1/other"},
		{"Location", "../../../../../vault/x", "{}/vault/x"},
		{"Location", own + "/v1/../../../x?y=../z", "{}/x?y=../z"},
		{"Location", own + "/v1/%2e%2E/..%2f/x?y=%2e%2e/z", "{}/..%2f/x?y=%2e%2e/z"},
		{"Location", "?page=2", "?page=2"},
		{"Location", "next", "next"},
		{"Location", own, "{}"},
		{"Location", own + "?a", "{}?a"},
		{"Location", "HTTPS://API.Acme.Example:443/v1", "{}/v1"},
		{"Location", "http://" + acmeHost + "/v1", "{}/v1"},
		{"Location", "http://" + acmeHost + ":80/v1", "{}/v1"},
		{"Location", "https://user:word@" + acmeHost + "/v1", "{}/v1"},
		{"Location", "https://" + acmeHost + "./v1", "{}/v1"},
		{"Location", "https://other.example/v1?next=" + own + "/v1", "https://other.example/v1?next=" + own + "/v1"},
		{"Location", "https://" + acmeHost + ".evil.example/v1", "https://" + acmeHost + ".evil.example/v1"},
		{"Location", own + "/login?return_to=" + own + "/v1", "{}/login?return_to=" + own + "/v1"},
		{"Content-Location", "/v1/things/7", "{}/v1/things/7"},
		{"Link", `<` + own + `/v1/things?page=2>; rel="next", <` + own +
			`/v1/things?page=9,10>; rel="last", <https://docs.example/>; rel="help"`,
			`<{}/v1/things?page=2>; rel="next", <{}/v1/things?page=9,10>; rel="last", <https://docs.example/>; rel="help"`},
		{"Link", `</v1/things?page=2>; rel=next; title="see </v1>"`, `<{}/v1/things?page=2>; rel=next; title="see <{}/v1>"`},
		{"Refresh", "5; url=" + own + "/v1/things", "5; url={}/v1/things"},
		{"Refresh", "0;URL='/v1/things?a=1;b'", "0;URL='{}/v1/things?a=1;b'"},
		{"Refresh", "5", "5"},
		{"Operation-Location", own + "/v1/operations/1", "{}/v1/operations/1"},
		{"Azure-AsyncOperation", own + "/v1/operations/1", "{}/v1/operations/1"},
		{"X-Goog-Upload-Url", own + "/upload?upload_id=1", "{}/upload?upload_id=1"},
		{"X-Status-Url", "/v1/status/1", "{}/v1/status/1"},
		{"X-Next-Page", own + "/v1/things?page=2", "{}/v1/things?page=2"},
		{"X-Pagination", `{"next":"` + own + `/v1/things?page=2","page":1}`, `{"next":"{}/v1/things?page=2","page":1}`},
		{"X-Next-Page", "2", "2"},
		{"X-Base-Path", "/v1/things", "/v1/things"},
		{"X-Amz-Meta-Source", own + "/v1", own + "/v1"},
		{"X-Goog-Meta-Source-Url", "/v1", "/v1"},
		{"Content-Disposition", `attachment; filename="` + own + `"`, `attachment; filename="` + own + `"`},
		{"Etag", `"` + own + `/"`, `"` + own + `/"`},
	} {
		headers = []string{test.name, test.sent}
		for _, target := range []string{"acme~", "acme~things", "acme%2Fthings", "acme-main", "acme~@" + acmeHost} {
			for _, status = range []int{http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNotFound} {
				resp, body := c.through("GET", target+"/v1/things/1", "", "Authorization", "Bearer "+c.key)
				require.Equal(t, status, resp.StatusCode, body)
				want := strings.ReplaceAll(test.want, "{}", c.srv.URL+"/v1/proxy/"+target)
				if test.name == "X-Pagination" {
					want = strings.Replace(`{"next":"!/v1/things?page=2","page":1}`, "!", c.srv.URL+"/v1/proxy/"+target, 1)
				}
				if test.sent == "../other" { // of /v1/things/1
					want = c.srv.URL + "/v1/proxy/" + target + "/v1/other"
				}
				require.Equal(t, want, resp.Header.Get(test.name), "%s: %s", test.name, test.sent)
			}
		}
		resp, err := c.client.Capabilities.HTTPClient(bctrl.CallTarget{Capability: "acme/"}).Get(own + "/v1/things/1")
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, test.sent, resp.Header.Get(test.name), "an HTTPClient keeps it")
		got, err := c.client.Capabilities.Invoke(t.Context(), bctrl.Invocation{Capability: "acme/things",
			Path: "/v1/things/1"})
		require.NoError(t, err)
		require.Equal(t, test.sent, got.Header.Get(test.name), "Invoke has no address of ours")
	}
}

// TestAnAddressPointsToWhereTheCallerIs: with the scheme and the host that the
// caller used, or those that the operator says.
func TestAnAddressPointsToWhereTheCallerIs(t *testing.T) {
	status, headers := http.StatusOK, []string{"Location", "https://" + acmeHost + "/v1/x"}
	c := newCallers(t, answering(&status, &headers))
	plain := strings.TrimPrefix(c.srv.URL, "http://")
	for _, test := range []struct {
		why, public, want string
		headers           []string
	}{
		{"as it is", "", c.srv.URL, nil},
		{"behind what ends TLS", "", "https://" + plain, []string{"X-Forwarded-Proto", "https, http"}},
		{"behind what has another name", "", "https://bctrl.example:8443", []string{"X-Forwarded-Proto", "https",
			"X-Forwarded-Host", "bctrl.example:8443"}},
		{"a name that is none", "", c.srv.URL, []string{"X-Forwarded-Host", "evil.example/?"}},
		{"as the operator says", "https://public.example/bctrl", "https://public.example/bctrl",
			[]string{"X-Forwarded-Host", "other.example"}},
	} {
		c.server.PublicURL = nil
		if test.public != "" {
			u, err := url.Parse(test.public)
			require.NoError(t, err)
			c.server.PublicURL = u
		}
		resp, _ := c.through("GET", "acme~/v1/things", "", append([]string{"Authorization", "Bearer " + c.key},
			test.headers...)...)
		require.Equal(t, test.want+"/v1/proxy/acme~/v1/x", resp.Header.Get("Location"), test.why)
	}
}

// TestAnAddressAtAnotherHostNamesIt: GitHub answers from one host with addresses
// of another, and S3 has one for each bucket.
func TestAnAddressAtAnotherHostNamesIt(t *testing.T) {
	seen := make(chan passed, 8)
	c := newCallers(t, nil)
	serve := func(host string, to string) {
		require.NoError(t, c.providers.Serve(host, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", to)
			seen <- passed{r.Method, r.Host + r.URL.RequestURI(), "", r.Header}
		})))
	}
	serve("api.github.com", "https://uploads.github.com/repos/a/b/releases/1/assets?name=x")
	serve("uploads.github.com", "https://api.github.com/repos/a/b/releases/assets/1")
	c.secretIn(globally(), "GITHUB_TOKEN", "github-token-0123456789")
	key := []string{"Authorization", "Bearer " + c.key}
	proxy := c.srv.URL + "/v1/proxy/"
	for _, target := range []string{"github~", "github", "github%2F"} {
		resp, body := c.through("GET", target+"/repos/a/b/releases/1", "", key...)
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
		require.Equal(t, "api.github.com/repos/a/b/releases/1", (<-seen).URI)
		next := resp.Header.Get("Location")
		name, _ := url.PathUnescape(strings.ReplaceAll(target, "%2F", "~"))
		require.Equal(t, proxy+name+"@uploads.github.com/repos/a/b/releases/1/assets?name=x", next)
		resp, body = c.through("POST", strings.TrimPrefix(next, proxy), "zip", key...)
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
		require.Equal(t, "uploads.github.com/repos/a/b/releases/1/assets?name=x", (<-seen).URI)
		require.Equal(t, proxy+name+"@api.github.com/repos/a/b/releases/assets/1", resp.Header.Get("Location"))
	}
	resp, _ := c.through("GET", "github~/repos/a/b", "", append([]string{"Bctrl-Host", "api.github.com"}, key...)...)
	<-seen
	require.Equal(t, proxy+"github~@uploads.github.com/repos/a/b/releases/1/assets?name=x", resp.Header.Get("Location"))
	resp, _ = c.through("POST", "github~release-assets/repos/a/b/releases/1/assets", "zip", key...)
	<-seen
	back := resp.Header.Get("Location")
	require.Equal(t, proxy+"github~release-assets@api.github.com/repos/a/b/releases/assets/1", back,
		"which it may not call, and so asks here")
	_, code := c.through("GET", strings.TrimPrefix(back, proxy), "", key...)
	require.Equal(t, "invoke.method_not_allowed", code)
}

// TestPagesOfGitHubAreFollowed: GitHub names a repository by its number on every
// page but the first, an account and an organization, too.
func TestPagesOfGitHubAreFollowed(t *testing.T) {
	seen := make(chan passed, 8)
	c := newCallers(t, nil)
	require.NoError(t, c.providers.Serve("api.github.com", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("page") == "" {
			path := strings.NewReplacer("/repos/acme/site", "/repositories/1300192", "/users/octocat", "/user/583231",
				"/orgs/acme", "/organizations/9919").Replace(r.URL.Path)
			w.Header().Set("Link", `<https://api.github.com`+path+`?page=2>; rel="next"`)
		}
		seen <- passed{r.Method, r.URL.RequestURI(), "", r.Header}
	})))
	c.secretIn(globally(), "GITHUB_TOKEN", "github-token-0123456789")
	for _, test := range []struct{ capability, path, next string }{
		{"github/repos", "/repos/acme/site/branches", "/repositories/1300192/branches?page=2"},
		{"github/issues", "/repos/acme/site/issues", "/repositories/1300192/issues?page=2"},
		{"github/issues", "/repos/acme/site/labels", "/repositories/1300192/labels?page=2"},
		{"github/pulls", "/repos/acme/site/pulls", "/repositories/1300192/pulls?page=2"},
		{"github/actions", "/repos/acme/site/actions/runs", "/repositories/1300192/actions/runs?page=2"},
		{"github/contents", "/repos/acme/site/contents/x", "/repositories/1300192/contents/x?page=2"},
		{"github/git", "/repos/acme/site/git/refs", "/repositories/1300192/git/refs?page=2"},
		{"github/users", "/users/octocat/repos", "/user/583231/repos?page=2"},
		{"github/orgs", "/orgs/acme/repos", "/organizations/9919/repos?page=2"},
	} {
		ws := c.made("w-"+strings.ReplaceAll(test.capability, "/", "-")+strings.ReplaceAll(test.path, "/", "-"),
			object{"capabilities": object{"allow": []string{test.capability}}})
		c.launch(ws, "r", nil)
		token := c.mint(ws.ID, "r", object{}).Expose()
		resp, body := c.through("GET", "github~"+test.path, "", "Authorization", "Bearer "+token)
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
		<-seen
		_, link, _ := strings.Cut(resp.Header.Get("Link"), "<")
		link, _, _ = strings.Cut(link, ">")
		require.True(t, strings.HasPrefix(link, c.srv.URL+"/v1/proxy/"), link)
		resp, body = c.through("GET", strings.TrimPrefix(link, c.srv.URL+"/v1/proxy/"), "", "Authorization", "Bearer "+token)
		require.Equal(t, http.StatusOK, resp.StatusCode, "%s: %s", link, body)
		require.Equal(t, test.next, (<-seen).URI)
	}
	ws := c.made("public", object{"capabilities": object{"allow": []string{"github/users"}}})
	c.launch(ws, "r", nil)
	token := c.mint(ws.ID, "r", object{}).Expose()
	for _, path := range []string{"/user", "/user/repos", "/user/emails", "/user/keys", "/user/memberships/orgs",
		"/user/keys/1"} {
		_, code := c.through("GET", "github~"+path, "", "Authorization", "Bearer "+token)
		require.Equal(t, "capability.outside_mount", code, "%s is no public fact", path)
	}
	require.Empty(t, seen)
}

// TestWhatACredentialAddsIsNotInALinkBack: it is added again when the link is
// followed, and a caller that brought it would be refused.
func TestWhatACredentialAddsIsNotInALinkBack(t *testing.T) {
	for _, test := range []struct{ provider, host, path, location, want string }{
		{"trello", "api.trello.com", "/1/boards/7",
			"https://api.trello.com/1/boards/8?key=KEY&fields=a;b&token=TOKEN&before=1", "/1/boards/8?fields=a;b&before=1"},
		{"trello", "api.trello.com", "/1/boards/7", "/1/boards/8?key=KEY&token=TOKEN", "/1/boards/8"},
		{"telegram", "api.telegram.org", "/getMe", "https://api.telegram.org/botTOKEN/getUpdates?offset=1",
			"/getUpdates?offset=1"},
	} {
		t.Run(test.provider, func(t *testing.T) {
			c := newCallers(t, nil)
			p, _ := builtinProviders(t).Provider(test.provider)
			location := test.location
			for _, s := range p.Secrets {
				c.secretIn(globally(), s.Name, "real-"+s.Field+"-0123456789")
				location = strings.ReplaceAll(location, strings.ToUpper(strings.TrimPrefix(s.Field, "api")),
					"real-"+s.Field+"-0123456789")
			}
			require.NoError(t, c.providers.Serve(test.host, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", location)
			})))
			resp, body := c.through("GET", test.provider+"~"+test.path, "", "Authorization", "Bearer "+c.key)
			require.Equal(t, http.StatusOK, resp.StatusCode, body)
			require.Equal(t, c.srv.URL+"/v1/proxy/"+test.provider+"~"+test.want, resp.Header.Get("Location"))
		})
	}
}

// TestAnUploadIsResumed is Google's protocol: a session's address, parts that
// are answered with 308, and the end.
func TestAnUploadIsResumed(t *testing.T) {
	c := newCallers(t, nil)
	const session = "/upload/gmail/v1/users/me/messages/send?uploadType=resumable&upload_id=AB-c%2F%2B"
	var got strings.Builder
	require.NoError(t, c.providers.Serve("oauth2.googleapis.com",
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"access_token": "access-0123456789", "token_type": "Bearer", "expires_in": 3600}`)
		})))
	require.NoError(t, c.providers.Serve("gmail.googleapis.com",
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			part, _ := io.ReadAll(r.Body)
			switch {
			case r.Header.Get("Authorization") != "Bearer access-0123456789":
				w.WriteHeader(http.StatusUnauthorized)
			case r.Method == http.MethodPost:
				w.Header().Set("Location", "https://gmail.googleapis.com"+session)
			case r.URL.RequestURI() != session:
				w.WriteHeader(http.StatusNotFound)
			default:
				got.Write(part)
				if got.Len() < 8 {
					w.Header().Set("Range", "bytes=0-3")
					w.WriteHeader(http.StatusPermanentRedirect)
				}
			}
		})))
	for _, s := range []string{"GMAIL_CLIENT_ID", "GMAIL_CLIENT_SECRET", "GMAIL_REFRESH_TOKEN"} {
		c.secretIn(globally(), s, strings.ToLower(s)+"-0123456789")
	}
	ws := c.made("mail", object{"capabilities": object{"allow": []string{"gmail/send"}}})
	c.launch(ws, "r", nil)
	auth := []string{"Authorization", "Bearer " + c.mint(ws.ID, "r", object{}).Expose()}
	resp, body := c.through("POST", "gmail~/upload/gmail/v1/users/me/messages/send?uploadType=resumable", "", auth...)
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	to := strings.TrimPrefix(resp.Header.Get("Location"), c.srv.URL+"/v1/proxy/")
	require.Equal(t, "gmail~"+session, to)
	resp, body = c.through("PUT", to, "1234", append([]string{"Content-Range", "bytes 0-3/8"}, auth...)...)
	require.Equal(t, http.StatusPermanentRedirect, resp.StatusCode, body)
	require.Equal(t, "bytes=0-3", resp.Header.Get("Range"))
	resp, body = c.through("PUT", to, "5678", append([]string{"Content-Range", "bytes 4-7/8"}, auth...)...)
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	require.Equal(t, "12345678", got.String())
}

// TestOurTokenStaysWhereALinkIsFollowed runs a client that follows links with
// whatever it authenticates with, and dials nobody but us.
func TestOurTokenStaysWhereALinkIsFollowed(t *testing.T) {
	status, headers := http.StatusOK, []string{"Link", "<https://" + acmeHost + "/v1/things?page=2>; rel=next"}
	c := newCallers(t, answering(&status, &headers))
	dialed := map[string]bool{}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network,
		address string) (net.Conn, error) {
		dialed[address] = true
		return new(net.Dialer).DialContext(ctx, network, address)
	}}}
	defer client.CloseIdleConnections()
	next := c.srv.URL + "/v1/proxy/acme~/v1/things"
	for range 3 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, next, nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+c.key)
		resp, err := client.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode)
		_, link, _ := strings.Cut(resp.Header.Get("Link"), "<")
		next, _, _ = strings.Cut(link, ">")
	}
	require.Equal(t, map[string]bool{strings.TrimPrefix(c.srv.URL, "http://"): true}, dialed)
}

// TestAnAddressOfAnAICredentialIsWhereItsCallerIs: the caller has the provider's
// base path, the credential one of its own.
func TestAnAddressOfAnAICredentialIsWhereItsCallerIs(t *testing.T) {
	c := newCallers(t, nil)
	seen := make(chan string, 8)
	require.NoError(t, c.providers.Serve("gate.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.URL.RequestURI()
		w.Header().Set("Location", "https://gate.example/team/openai/v1/files/7?x=1")
		w.Header().Set("Content-Location", "/team/openai/v1/files")
	})))
	c.ok("POST", []string{"ai-credentials"}, object{"id": "gated", "provider": "openai", "apiKey": "sk-gate-0123456789",
		"baseUrl": "https://gate.example/team/openai/v1"}, nil)
	resp, body := c.through("GET", "gated/v1/files", "", "Authorization", "Bearer "+c.key)
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	require.Equal(t, "/team/openai/v1/files", <-seen)
	require.Equal(t, c.srv.URL+"/v1/proxy/gated/v1/files/7?x=1", resp.Header.Get("Location"))
	require.Equal(t, c.srv.URL+"/v1/proxy/gated/v1/files", resp.Header.Get("Content-Location"))
	resp, body = c.through("GET", strings.TrimPrefix(resp.Header.Get("Location"), c.srv.URL+"/v1/proxy/"), "",
		"Authorization", "Bearer "+c.key)
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	require.Equal(t, "/team/openai/v1/files/7?x=1", <-seen)
}
