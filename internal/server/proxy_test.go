package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

func TestARequestPassesThroughAsItIs(t *testing.T) {
	seen := make(chan passed, 1)
	c := newCallers(t, echoing(seen))
	resp, _ := c.through("POST", "acme%2Fthings/v1/things/a%20b/?q=1&q=2&empty", `{"a": 1}`,
		"Authorization", "Bearer "+c.key, "Content-Type", "application/json", "Accept", "a", "Accept", "b", "User-Agent",
		"acme-sdk/1",
		"Idempotency-Key", "theirs", "X-Mine", "m", "Connection", "X-Hop", "X-Hop", "h", "BCTRL-Consumer", "me")
	require.Equal(t, http.StatusAccepted, resp.StatusCode)
	require.Equal(t, "202", resp.Header.Get("Bctrl-Upstream-Status"))
	require.Equal(t, "theirs", resp.Header.Get("Bctrl-Upstream-Request-Id"))
	require.NotEqual(t, "theirs", resp.Header.Get("X-Request-Id"))
	require.Empty(t, resp.Header.Get("Strict-Transport-Security"), "that is for the provider's host")
	got := <-seen
	require.Equal(t, []string{"POST", "/v1/things/a%20b/?q=1&q=2&empty", `{"a": 1}`},
		[]string{got.Method, got.URI, got.Body})
	require.Equal(t, []string{"a", "b"}, got.Header.Values("Accept"))
	require.Equal(t, "acme-sdk/1", got.Header.Get("User-Agent"))
	require.Equal(t, "theirs", got.Header.Get("Idempotency-Key"), "it is the provider's")
	require.Equal(t, "Key "+acmeKey, got.Header.Get("X-Acme"))
	for name := range got.Header {
		require.False(t, strings.HasPrefix(name, "Bctrl-") || name == "Authorization" || name == "X-Hop", name)
	}
	require.Equal(t, "me", c.last().Consumer)

	c.through("POST", "acme%2Fthings/v1/things", `{"a": 1}`, "Authorization", "Bearer "+c.key, "Idempotency-Key", "theirs")
	<-seen // nor is it ours to answer from memory
}

func TestOurTokenStandsWhereAProvidersKeyWould(t *testing.T) {
	seen := make(chan passed, 1)
	c := newCallers(t, echoing(seen))
	ws := c.made("sales", object{"capabilities": object{"allow": []string{"acme/things"}}})
	c.launch(ws, "r", nil)
	token := c.mint(ws.ID, "r", object{}).Expose()
	basic := func(password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+password))
	}
	signed := "AWS4-HMAC-SHA256 Credential=AKIA/20260102/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00"
	for _, key := range []string{c.key, token} {
		for why, headers := range map[string][]string{
			"bearer":                   {"Authorization", "Bearer " + key},
			"GitHub's":                 {"Authorization", "token " + key},
			"x-api-key":                {"x-api-key", key},
			"x-goog-api-key":           {"x-goog-api-key", key},
			"the password":             {"Authorization", basic(key)},
			"the session of AWS":       {"Authorization", signed, "X-Amz-Security-Token", key, "X-Amz-Date", "20260102T030405Z"},
			"in two places, and equal": {"Authorization", "Bearer " + key, "x-api-key", key},
		} {
			resp, body := c.through("GET", "acme%2Fthings/v1/things", "", headers...)
			require.Equal(t, http.StatusAccepted, resp.StatusCode, "%s: %s", why, body)
			got := <-seen
			for name, values := range got.Header {
				require.NotContains(t, strings.Join(values, " "), key, name)
				require.NotContains(t, strings.Join(values, " "), "AWS4", name)
			}
		}
	}
	for why, test := range map[string]struct {
		code    string
		headers []string
	}{
		"no key":             {"auth.unauthorized", nil},
		"a wrong one":        {"auth.unauthorized", []string{"Authorization", "Bearer bctrl_wrong"}},
		"the provider's own": {"invoke.auth_refused", []string{"Authorization", "Bearer sk-live"}},
		"ours and the provider's": {"invoke.auth_refused", []string{"Authorization", "Bearer " + c.key, "x-api-key",
			"sk-live"}},
		"two of ours":          {"invoke.auth_refused", []string{"Authorization", "Bearer " + c.key, "x-api-key", token}},
		"a signature alone":    {"invoke.auth_refused", []string{"Authorization", signed}},
		"another header":       {"invoke.auth_refused", []string{"Authorization", "Bearer " + c.key, "Xi-Api-Key", c.key}},
		"the credential's own": {"invoke.auth_refused", []string{"Authorization", "Bearer " + c.key, "X-Acme", "mine"}},
		"a cookie":             {"invoke.auth_refused", []string{"Authorization", "Bearer " + c.key, "Cookie", "a=b"}},
	} {
		resp, code := c.through("GET", "acme%2Fthings/v1/things", "", test.headers...)
		require.Equal(t, test.code, code, why)
		require.Equal(t, "false", resp.Header.Get("X-Should-Retry"), why)
		events := c.events()
		require.Equal(t, test.code, events[len(events)-1].Outcome, why)
	}
	_, code := c.through("GET", "acme%2Fthings/v1/things?key="+url.QueryEscape(c.key), "", "Authorization",
		"Bearer "+c.key)
	require.Equal(t, "invoke.auth_refused", code)
	require.Empty(t, seen)
}

func TestAPassedRequestMustBePermitted(t *testing.T) {
	seen := make(chan passed, 1)
	c := newCallers(t, echoing(seen))
	c.ok("PUT", []string{"capabilities", "acme/more"}, object{"methods": []string{"DELETE"},
		"paths": []string{"/v1/things/{id}"}}, nil)
	ws := c.made("sales", object{"capabilities": object{"allow": []string{"acme/things"}}})
	c.launch(ws, "r", nil)
	key, token := []string{"Authorization", "Bearer " + c.key}, []string{"Authorization",
		"Bearer " + c.mint(ws.ID, "r", object{}).Expose()}
	for _, test := range []struct {
		why, method, target, code string
		headers                   []string
	}{
		{"a capability", "GET", "acme%2Fthings/v1/things", "", key},
		{"all of a provider", "GET", "acme%2F/v1/things/7", "", key},
		{"all of a provider, by the method", "DELETE", "acme%2F/v1/things/7", "", key},
		{"a credential", "DELETE", "acme-main/v1/things/7", "", key},
		{"a host that is the target's", "GET", "acme%2Fthings/v1/things", "", append([]string{"BCTRL-Host", acmeHost},
			key...)},
		{"a workspace", "GET", "acme%2Fthings/v1/things", "", append([]string{"BCTRL-Workspace-Id", "sales"}, key...)},
		{"a runtime's capability", "GET", "acme%2Fthings/v1/things", "", token},
		{"a runtime's part of a provider", "GET", "acme%2F/v1/things", "", token},
		{"a runtime with a credential", "GET", "acme-main/v1/things", "", token},

		{"another method", "DELETE", "acme%2Fthings/v1/things", "invoke.method_not_allowed", key},
		{"another method of the provider", "PATCH", "acme%2F/v1/things", "invoke.method_not_allowed", key},
		{"another path", "GET", "acme%2Fthings/v1/thingsandmore", "invoke.path_not_allowed", key},
		{"another path of the provider", "GET", "acme%2F/v2/things", "invoke.path_not_allowed", key},
		{"no path", "GET", "acme%2Fthings/", "invoke.path_not_allowed", key},
		{"a path that climbs", "GET", "acme%2Fthings/v1/things/..%2fadmin", "invoke.path_refused", key},
		{"a dot segment", "GET", "acme%2Fthings/v1/things/%2e%2e/admin", "invoke.path_refused", key},
		{"a double slash", "GET", "acme%2Fthings/v1//things", "invoke.path_refused", key},
		{"a dot segment as it is", "GET", "acme%2Fthings/v1/things/../../admin", "invoke.path_refused", key},
		{"a zero byte", "GET", "acme%2Fthings/v1/things/%00", "invoke.path_refused", key},
		{"dots for a target", "GET", "../v1/things", "invoke.target", key},
		{"nothing for a target", "GET", "/v1/things", "invoke.target", key},
		{"a runtime's dot segment elsewhere", "GET", "acme%2Fmore/../things", "capability.outside_mount", token},
		{"another host", "GET", "acme%2Fthings/v1/things", "invoke.host_not_allowed",
			append([]string{"BCTRL-Host", "evil.example"}, key...)},
		{"another host of the provider", "GET", "acme%2F/v1/things", "invoke.host_not_allowed",
			append([]string{"BCTRL-Host", "evil.example"}, key...)},
		{"two hosts", "GET", "acme%2Fthings/v1/things", "invoke.repeated_header",
			append([]string{"BCTRL-Host", acmeHost, "BCTRL-Host", "evil.example"}, key...)},
		{"a group alone", "GET", "acme%2Fthings/v1/things", "scope.group_without_workspace",
			append([]string{"BCTRL-Group-Id", "g"}, key...)},
		{"no capability", "GET", "acme%2Fnothing/v1/things", "capabilities.not_found", key},
		{"no credential", "GET", "nobodys/v1/things", "credentials.not_found", key},
		{"no target", "GET", "%20/v1/things", "invoke.target", key},
		{"a runtime outside its mounts", "GET", "acme%2Fmore/v1/things/7", "capability.outside_mount", token},
		{"a runtime, and nothing there", "GET", "nobody%2Fnothing/v1/things/7", "capability.outside_mount", token},
		{"a runtime with no credential that there is", "GET", "nobodys/v1/things", "capability.outside_mount", token},
		{"a runtime and another provider", "GET", "nobody%2F/v1/things", "capability.outside_mount", token},
		{"a runtime's method of the provider", "DELETE", "acme%2F/v1/things/7", "invoke.method_not_allowed", token},
		{"a runtime in another context", "GET", "acme%2Fthings/v1/things", "invoke.context_mismatch",
			append([]string{"BCTRL-Workspace-Id", "other"}, token...)},
	} {
		resp, code := c.through(test.method, test.target, "", test.headers...)
		require.Equal(t, test.code, code, test.why)
		if test.code == "" {
			require.Equal(t, http.StatusAccepted, resp.StatusCode, test.why)
			<-seen
		} else {
			e := c.log(bctrl.AuditFilter{Action: "capability.invoke"})[0]
			require.Equal(t, test.code, e.Outcome, test.why)
		}
	}
	require.Empty(t, seen)
}

func TestAnHTTPClientCallsAsTheProvidersSDKWould(t *testing.T) {
	c := newCallers(t, func(w http.ResponseWriter, r *http.Request) {
		// Full duplex: each line is answered as it comes.
		conn := http.NewResponseController(w)
		_ = conn.EnableFullDuplex()
		w.Header().Set("Content-Type", "text/plain")
		_ = conn.Flush()
		buf := make([]byte, 64)
		for {
			n, err := r.Body.Read(buf)
			_, _ = w.Write([]byte(strings.ToUpper(string(buf[:n]))))
			_ = conn.Flush()
			if err != nil {
				return
			}
		}
	})
	client := c.client.Capabilities.HTTPClient(bctrl.CallTarget{Capability: "acme/things"})
	in, out := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+acmeHost+"/v1/things?key=placeholder",
		in)
	require.NoError(t, err)
	req.Header.Set("X-Api-Key", "placeholder")
	resp, err := client.Do(req)
	require.NoError(t, err)
	require.Equal(t, req.URL, resp.Request.URL)
	buf := make([]byte, 5)
	for _, word := range []string{"hello", "world"} {
		_, err := io.WriteString(out, word)
		require.NoError(t, err)
		_, err = io.ReadFull(resp.Body, buf)
		require.NoError(t, err)
		require.Equal(t, strings.ToUpper(word), string(buf))
	}
	require.NoError(t, out.Close())
	rest, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Empty(t, rest)
	require.NoError(t, resp.Body.Close())

	for why, test := range map[string]struct{ address, code string }{
		"another host":     {"https://evil.example/v1/things", "invoke.host_not_allowed"},
		"another port":     {"https://" + acmeHost + ":8443/v1/things", "invoke.host_not_allowed"},
		"no encryption":    {"http://" + acmeHost + "/v1/things", "!invoke.url_refused"},
		"user information": {"https://a:b@" + acmeHost + "/v1/things", "!invoke.url_refused"},
	} {
		resp, err := client.Get(test.address)
		if code, local := strings.CutPrefix(test.code, "!"); local {
			require.Equal(t, code, codeOf(err), why)
			continue
		}
		require.NoError(t, err)
		var e bctrl.Error
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&e))
		require.NoError(t, resp.Body.Close())
		require.Equal(t, test.code, e.Code, why)
	}

	ctx, cancel := context.WithCancel(t.Context())
	in, out = io.Pipe()
	req, err = http.NewRequestWithContext(ctx, http.MethodPost, "https://"+acmeHost+"/v1/things", in)
	require.NoError(t, err)
	resp, err = client.Do(req)
	require.NoError(t, err)
	cancel()
	_, err = io.ReadAll(resp.Body)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, resp.Body.Close())
	for err = nil; err == nil; { // what was read ahead is lost
		_, err = io.WriteString(out, "x")
	}
	require.ErrorIs(t, err, io.ErrClosedPipe, "the body is closed")
}

// TestARuntimesModelCallUsesItsAICredential has semantics 2.5 choose it, and
// bindings the secret.
func TestARuntimesModelCallUsesItsAICredential(t *testing.T) {
	seen := make(chan string, 1)
	c := newCallers(t, nil)
	require.NoError(t, c.providers.Serve("api.openai.com", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Authorization")
	})))
	for _, id := range []string{"mine", "theirs"} {
		c.ok("POST", []string{"ai-credentials"}, object{"id": id, "provider": "openai", "apiKey": "sk-" + id}, nil)
	}
	ws := c.made("sales", object{"ai": object{"allow": []string{"mine"}}})
	plain, grouped := c.launch(ws, "plain", nil), c.launchIn(ws, "grouped", "emea")
	bare := c.launch(c.made("bare", object{"capabilities": object{"allow": []string{"/"}}}), "bare", nil)
	group := c.secretIn(inGroup(ws.ID, "emea"), "KEY", "sk-of-the-group")
	c.ok("PUT", []string{"bindings"}, object{"credential": "mine", "secretRef": "vault:secret:" + group.ID,
		"scope": inGroup(ws.ID, "emea")}, nil)
	chat := object{"path": "/v1/chat/completions", "body": object{}}
	invoke := func(rt bctrl.RuntimeInfo, body object) answer {
		return c.do("POST", []string{"capabilities", "openai/chat-completions", "invoke"}, nil, body, as(rt)...)
	}
	require.Equal(t, 200, invoke(plain, chat).Status)
	require.Equal(t, "Bearer sk-mine", <-seen)
	require.Equal(t, 200, invoke(grouped, chat).Status)
	require.Equal(t, "Bearer sk-of-the-group", <-seen)
	e := c.log(bctrl.AuditFilter{Capability: "openai/chat-completions"})[0]
	require.Equal(t, []string{"ai.use", "mine", "mine", "emea", "grouped"}, []string{e.Action, e.Object, e.Credential,
		e.Group, e.Consumer})

	require.Equal(t, "ai.outside_mount", invoke(bare, chat).code(), "a capability is no AI credential")
	require.Equal(t, "ai.outside_mount", invoke(plain, object{"path": "/v1/chat/completions", "body": object{},
		"credential": "theirs"}).code())
	got := c.do("POST", []string{"capabilities", "openai/chat-completions", "invoke"}, nil,
		object{"body": object{}, "credential": "theirs"})
	require.Equal(t, 200, got.Status, "%s", got.Body)
	require.Equal(t, "Bearer sk-theirs", <-seen, "an organization key names any")
	got = c.do("POST", []string{"capabilities", "openai/chat-completions", "invoke"}, nil, object{"body": object{}})
	require.Equal(t, "credentials.none", got.code(), "and without a name has the tiers alone")

	c.ok("PATCH", []string{"ai-credentials", "mine"}, object{"enabled": false}, nil)
	require.Equal(t, http.StatusConflict, invoke(plain, chat).Status)
	require.Empty(t, seen)
}
