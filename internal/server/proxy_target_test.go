package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestATargetNeedsNoEncodedSlash makes the addresses of a provider's paths as
// clients do from a base URL: each is as good as the encoded form.
func TestATargetNeedsNoEncodedSlash(t *testing.T) {
	seen := make(chan passed, 1)
	c := newCallers(t, echoing(seen))
	ws := c.made("sales", object{"capabilities": object{"allow": []string{"acme/things"}}})
	c.launch(ws, "r", nil)
	for _, key := range []string{c.key, c.mint(ws.ID, "r", object{}).Expose()} {
		for target, want := range map[string]string{
			"acme~": "acme/things", "acme%2F": "acme/things", "acme%7E": "acme/things", "acme%2f": "acme/things",
			"acme~things": "acme/things", "acme%2Fthings": "acme/things", "acme-main": "acme/things",
			"acme~@" + acmeHost: "acme/things", "acme~things@" + acmeHost + ":443": "acme/things", "acme-main@" +
				strings.ToUpper(acmeHost): "acme/things",
			"acme%7Ethings%40" + acmeHost: "acme/things",
		} {
			base := c.srv.URL + "/v1/proxy/" + target
			joined, err := url.JoinPath(base+"/", "v1/things/a%2Fb")
			require.NoError(t, err)
			relative, err := url.Parse(base + "/")
			require.NoError(t, err)
			resolved, err := relative.Parse("v1/things/a%2Fb") // as JavaScript's URL and Python's urljoin do
			require.NoError(t, err)
			for how, address := range map[string]string{
				"with its slash": base + "/v1/things/a%2Fb", "joined": joined, "resolved": resolved.String(),
				"without its slash": strings.TrimSuffix(base+"/", "/") + "/v1/things/a%2Fb",
			} {
				resp, body := c.through("GET", strings.TrimPrefix(address, c.srv.URL+"/v1/proxy/"), "", "Authorization",
					"Bearer "+key)
				require.Equal(t, http.StatusAccepted, resp.StatusCode, "%s %s: %s", target, how, body)
				require.Equal(t, "/v1/things/a%2Fb", (<-seen).URI)
				require.Equal(t, want, c.last().Capability, target)
			}
		}
	}
}

// TestAHostMayStandInTheAddress: a client that can set no header picks one of
// the hosts of a provider all the same, and no other.
func TestAHostMayStandInTheAddress(t *testing.T) {
	seen := make(chan passed, 1)
	c := newCallers(t, echoing(seen))
	key := []string{"Authorization", "Bearer " + c.key}
	resp, _ := c.through("GET", "acme~@"+acmeHost+"/v1/things", "", append([]string{"Bctrl-Host", "other.example"},
		key...)...)
	require.Equal(t, http.StatusAccepted, resp.StatusCode, "what stands in the address is meant")
	<-seen
	for _, host := range []string{"evil.example", "127.0.0.1", acmeHost + ":8443", acmeHost + "@evil.example",
		"x." + acmeHost, acmeHost + "."} {
		_, code := c.through("GET", "acme~things@"+url.PathEscape(host)+"/v1/things", "", key...)
		require.Equal(t, "invoke.host_not_allowed", code, host)
	}
	require.Empty(t, seen)
}

// TestADecodedTargetIsExplained: what a client makes of github%2F is a credential
// that there is none of, and the refusal says what to write.
func TestADecodedTargetIsExplained(t *testing.T) {
	c := newCallers(t, nil)
	ws := c.made("sales", object{"capabilities": object{"allow": []string{"acme/things"}}})
	c.launch(ws, "r", nil)
	token := c.mint(ws.ID, "r", object{}).Expose()
	refusal := func(key, path string) map[string]any {
		target, rest, _ := strings.Cut(path, "/")
		resp, body := c.passed("GET", target, "/"+rest, "Authorization", "Bearer "+key)
		require.GreaterOrEqual(t, resp.StatusCode, 400)
		var got map[string]any
		require.NoError(t, json.Unmarshal([]byte(body), &got))
		delete(got, "requestId")
		return got
	}
	for _, path := range []string{"gitlab//api/v4/projects", "gitlab/api/v4/projects",
		"openai/chat-completions/v1/chat/completions"} {
		for _, key := range []string{c.key, token} {
			require.Contains(t, refusal(key, path)["message"], "~name/…", path)
		}
	}
	before := refusal(token, "github/user")
	c.secretIn(globally(), "GITHUB_TOKEN", "github-token-0123456789") // which makes the credential github
	require.Equal(t, before, refusal(token, "github/user"), "a runtime does not learn whether there is one")
}
