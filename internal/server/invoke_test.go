package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store"
)

func TestAnInvocationReachesTheProviderWithItsKey(t *testing.T) {
	c := newCallers(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Set-Cookie", "session=1")
		w.Header().Set("X-Acme", "Key "+acmeKey)
		w.Header().Set("X-Plain", "p")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]string{
			"host": r.Host, "uri": r.URL.RequestURI(), "method": r.Method,
			"keyed": map[bool]string{true: "yes"}[r.Header.Get("X-Acme") == "Key "+acmeKey],
			"auth":  r.Header.Get("Authorization"), "mine": r.Header.Get("X-Mine"), "type": r.Header.Get("Content-Type"),
			"body": string(body),
		})
	})
	inv := bctrl.Invocation{
		Capability: "acme/things",
		Path:       "/v1/repos/o/r/issues/7",
		Query:      url.Values{"page": {"2"}},
		Header:     http.Header{"X-Mine": {"m"}},
		Body:       object{"a": 1},
	}
	got, err := c.client.Capabilities.Invoke(t.Context(), inv)
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, got.Status)
	var seen map[string]string
	require.NoError(t, got.JSON(&seen))
	require.Equal(t, map[string]string{
		"host": acmeHost, "uri": "/v1/repos/o/r/issues/7?page=2", "method": "POST", "keyed": "yes", "auth": "", "mine": "m",
		"type": "application/json", "body": `{"a":1}`,
	}, seen)
	require.Equal(t, "acme-main", got.Credential)
	require.Equal(t, "global", got.Tier)
	require.Equal(t, "p", got.Header.Get("X-Plain"))
	for _, gone := range []string{"Set-Cookie", "X-Acme"} {
		require.Empty(t, got.Header.Values(gone), gone)
	}

	e := c.last()
	require.Equal(t, []any{"capability.invoke", "acme/things", "acme/things", "acme-main", "global", "POST", acmeHost,
		"/v1/repos/{owner}/{repo}", 201, "ok"},
		[]any{e.Action, e.Object, e.Capability, e.Credential, e.Tier, e.Method, e.Host, e.Path, e.Status, e.Outcome})
	require.EqualValues(t, len(`{"a":1}`), e.RequestBytes)
	require.NotZero(t, e.ResponseBytes)
	require.NotEmpty(t, e.UID)
}

func TestEveryKindOfBodyArrivesAsItWasSent(t *testing.T) {
	c := newCallers(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Type", r.Header.Get("Content-Type"))
		w.Header().Set("X-Length", r.Header.Get("Content-Length"))
		if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
			if err := r.ParseMultipartForm(1 << 20); err != nil {
				http.Error(w, err.Error(), http.StatusTeapot)
				return
			}
			file, head, err := r.FormFile("file")
			if err != nil {
				http.Error(w, err.Error(), http.StatusTeapot)
				return
			}
			content, _ := io.ReadAll(file)
			_, _ = io.WriteString(w, r.FormValue("model")+" "+head.Filename+" "+head.Header.Get("Content-Type")+" "+
				string(content))
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = io.Copy(w, r.Body)
	})
	big := bytes.Repeat([]byte{0, 1, 2, 255}, 1<<19)
	form := []bctrl.FormPart{{Name: "model", Value: "whisper-1"}, {
		Name:        "file",
		Filename:    "a.wav",
		ContentType: "audio/wav",
		Content:     strings.NewReader("RIFF"),
	}}
	for _, test := range []struct {
		why  string
		inv  bctrl.Invocation
		want string
		kind string
	}{
		{"JSON", bctrl.Invocation{Body: []int{1, 2}}, "[1,2]", "application/json"},
		{"JSON of another type", bctrl.Invocation{Body: object{},
			Header: http.Header{"Content-Type": {"application/vnd.acme+json"}}}, "{}", "application/vnd.acme+json"},
		{"raw", bctrl.Invocation{RawBody: bytes.NewReader(big)}, string(big), "application/octet-stream"},
		{"raw, of unknown length and a type",
			bctrl.Invocation{RawBody: io.MultiReader(strings.NewReader("a,b"), strings.NewReader(",c")),
				Header: http.Header{"Content-Type": {"text/csv"}}}, "a,b,c", "text/csv"},
		{"raw and empty", bctrl.Invocation{RawBody: strings.NewReader("")}, "", "application/octet-stream"},
		{"a form", bctrl.Invocation{Multipart: form}, "whisper-1 a.wav audio/wav RIFF", "multipart/form-data"},
	} {
		t.Run(test.why, func(t *testing.T) {
			test.inv.Capability, test.inv.Path, test.inv.Method = "acme/things", "/v1/things", "POST"
			got, err := c.client.Capabilities.Invoke(t.Context(), test.inv)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, got.Status, "%s", got.Body)
			require.Equal(t, test.want, string(got.Body))
			require.True(t, strings.HasPrefix(got.Header.Get("X-Type"), test.kind), got.Header.Get("X-Type"))
		})
	}
	raw := c.do("POST", []string{"capabilities", "acme/things", "invoke"}, nil, object{
		"method": "POST", "path": "/v1/things", "multipart": []object{{"name": "model", "value": "m"},
			{"name": "file", "filename": "f", "data": base64.StdEncoding.EncodeToString([]byte("x"))}},
	})
	require.Contains(t, string(raw.Body), `"text":"m f  x"`)
}

// TestWhatIsRefusedNeverLeaves has the code of each refusal, and that each is in
// the audit log and none has reached the provider.
func TestWhatIsRefusedNeverLeaves(t *testing.T) {
	c := newCallers(t, func(http.ResponseWriter, *http.Request) {})
	c.policy(bctrl.CapabilityPolicy{MaxRequestBytes: 10})
	envelope := func(fields object) object {
		out := object{"path": "/v1/things", "method": "GET"}
		for name, value := range fields {
			out[name] = value
		}
		return out
	}
	for _, test := range []struct {
		why, code string
		status    int
		body      any
	}{
		{"a url", "invoke.url_refused", 400, envelope(object{"url": "https://evil.example/"})},
		{"a url in capitals", "invoke.url_refused", 400, envelope(object{"URL": "https://evil.example/"})},
		{"another field", "request.unknown_field", 400, envelope(object{"authorization": "x"})},
		{"two bodies", "invoke.two_bodies", 400, envelope(object{"body": object{}, "rawBody": "eA=="})},
		{"a body and a form", "invoke.two_bodies", 400, envelope(object{"body": 1, "multipart": []object{}})},
		{"no body at all, said so", "request.ambiguous_null", 400, envelope(object{"body": nil})},
		{"a body twice", "invoke.two_bodies", 400, json.RawMessage(`{"path":"/v1/things","body":1,"body":2}`)},
		{"parts that are not there", "invoke.invalid_parts", 400, envelope(object{"content": "raw"})},
		{"a header twice", "invoke.repeated_header", 400,
			json.RawMessage(`{"path":"/v1/things","headers":{"X-A":"1","X-A":"2"}}`)},
		{"a header twice in other letters", "invoke.repeated_header", 400,
			envelope(object{"headers": object{"X-A": "1", "x-a": "2"}})},
		{"a type of content twice", "invoke.repeated_header", 400,
			envelope(object{"headers": object{"Content-Type": "text/plain", "content-type": "text/csv"}, "body": "x"})},
		{"a key", "invoke.auth_refused", 400, envelope(object{"headers": object{"Authorization": "Bearer x"}})},
		{"the credential's own header", "invoke.auth_refused", 400, envelope(object{"headers": object{"x-acme": "mine"}})},
		{"a cookie", "invoke.auth_refused", 400, envelope(object{"headers": object{"cookie": "a=b"}})},
		{"a host header", "invoke.header_refused", 400, envelope(object{"headers": object{"Host": "evil.example"}})},
		{"another method by header", "invoke.header_refused", 400,
			envelope(object{"headers": object{"X-HTTP-Method-Override": "DELETE"}})},
		{"a line in a header", "invoke.header_refused", 400, envelope(object{"headers": object{"X-A": "a\r\nX-B: b"}})},
		{"a method", "invoke.method_not_allowed", 403, envelope(object{"method": "DELETE"})},
		{"a path", "invoke.path_not_allowed", 403, envelope(object{"path": "/v1/thingsandmore"})},
		{"a path that climbs", "invoke.path_refused", 400, envelope(object{"path": "/v1/things/../admin"})},
		{"a path that climbs behind an encoded slash", "invoke.path_refused", 400,
			envelope(object{"path": "/v1/things%2f..%2fadmin"})},
		{"a host", "invoke.host_not_allowed", 403, envelope(object{"host": "evil.example"})},
		{"an address", "invoke.host_not_allowed", 403, envelope(object{"host": "127.0.0.1"})},
		{"a host with user info", "invoke.host_not_allowed", 403, envelope(object{"host": acmeHost + "@evil.example"})},
		{"a port", "invoke.host_not_allowed", 403, envelope(object{"host": acmeHost + ":8443"})},
		{"too much", "invoke.request_too_large", 413, envelope(object{"method": "POST", "body": "more than ten bytes"})},
		{"a timeout", "invoke.timeout", 400, envelope(object{"timeoutMs": 1800001})},
		{"a group without a workspace", "scope.group_without_workspace", 400,
			envelope(object{"context": object{"type": "group", "groupId": "g"}})},
		{"a blank id", "scope.blank_id", 400, envelope(object{"context": object{"type": "workspace", "workspaceId": ""}})},
		{"an unknown workspace", "scope.workspace_not_found", 404,
			envelope(object{"context": object{"type": "workspace", "workspaceId": "nowhere"}})},
		{"an unknown credential", "credentials.not_found", 404, envelope(object{"credential": "none"})},
	} {
		t.Run(test.why, func(t *testing.T) {
			got := c.do("POST", []string{"capabilities", "acme/things", "invoke"}, nil, test.body)
			require.Equal(t, test.code, got.code(), "%s", got.Body)
			require.Equal(t, test.status, got.Status)
			e := c.last()
			require.Equal(t, test.code, e.Outcome)
			require.Equal(t, test.status == 403, e.Decision == bctrl.AuditDenied)
		})
	}
	got := c.do("POST", []string{"capabilities", "acme/nothing", "invoke"}, nil, envelope(nil))
	require.Equal(t, "capabilities.not_found", got.code())
	require.Zero(t, c.hits.Load())
}

// TestWhatIsNoHostAndNoMethodIsNotInTheLog: it may be a key, or an address with one.
func TestWhatIsNoHostAndNoMethodIsNotInTheLog(t *testing.T) {
	c := newCallers(t, func(http.ResponseWriter, *http.Request) {})
	const key = "sk-pasted-0123456789"
	invoke := func(field, text string) answer {
		body := object{"path": "/v1/things", "method": "GET"}
		body[field] = text
		return c.do("POST", []string{"capabilities", "acme/things", "invoke"}, nil, body)
	}
	for _, host := range []string{key, "https://u:" + key + "@" + acmeHost + "/v1/things?sig=" + key, acmeHost + ":" + key,
		key + "@" + acmeHost, "::1%" + key + "/with?anything=1", "[fe80::1%" + key + "]:443"} {
		refused(t, invoke("host", host), 403, "invoke.host_not_allowed", host)
		require.Empty(t, c.last().Host, host)
		_, code := c.passed("GET", "acme~things", "/v1/things", "BCTRL-Host", host)
		require.Contains(t, code, "invoke.host_not_allowed")
		require.Empty(t, c.last().Host, host)
	}
	_, code := c.passed("GET", "acme~things@"+key, "/v1/things")
	require.Contains(t, code, "invoke.host_not_allowed")
	refused(t, invoke("method", key), 403, "invoke.method_not_allowed", "a key for a method")
	require.Empty(t, c.last().Method)
	all, err := json.Marshal(c.events())
	require.NoError(t, err)
	require.NotContains(t, string(all), key)

	for _, host := range []string{"evil.example", "Evil.example:8443", "127.0.0.1", "169.254.169.254:80", "[::1]:80",
		"::1", "localhost"} {
		refused(t, invoke("host", host), 403, "invoke.host_not_allowed", host)
		require.Equal(t, host, c.last().Host, "who reads the log wants to know")
	}
	refused(t, invoke("method", "DELETE"), 403, "invoke.method_not_allowed", "a method")
	require.Equal(t, "DELETE", c.last().Method)
}

// TestACallWhoseTimeIsUpBeforeItIsOnRecordSaysSo, here since the transaction before takes longer.
func TestACallWhoseTimeIsUpBeforeItIsOnRecordSaysSo(t *testing.T) {
	c := newCallers(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	busy, done := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer done()
	begun, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- c.db.Write(t.Context(), func(*store.Tx) error {
			close(begun)
			<-busy.Done()
			return nil
		})
	}()
	<-begun
	got := c.do("POST", []string{"capabilities", "acme/things", "invoke"}, nil,
		object{"path": "/v1/things", "timeoutMs": 1})
	require.NoError(t, <-ended)
	require.Equal(t, "invoke.upstream_timeout", got.code(), "%s", got.Body)
	require.Equal(t, "invoke.upstream_timeout", c.last().Outcome)
	require.Zero(t, c.hits.Load(), "nothing was sent")
}

func TestPartsBehindAnInvocationAreOneBody(t *testing.T) {
	c := newCallers(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	part := func(name, text string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + text + "\r\n"
	}
	const raw = `{"method":"POST","path":"/v1/things","content":"raw"}`
	for why, test := range map[string]struct{ body, code string }{
		"the envelope is not first": {part("body", "x") + part("invocation", raw) + "--b--\r\n", "invoke.invalid_parts"},
		"no body":                   {part("invocation", raw) + "--b--\r\n", "invoke.invalid_parts"},
		"another name":              {part("invocation", raw) + part("file", "x") + "--b--\r\n", "invoke.invalid_parts"},
		"nothing says so": {part("invocation", `{"path":"/v1/things"}`) + part("body", "x") + "--b--\r\n",
			"invoke.invalid_parts"},
		"a second body": {part("invocation", raw) + part("body", "x") + part("body", "y") + "--b--\r\n",
			"invoke.two_bodies"},
		"one in the envelope too": {part("invocation", strings.Replace(raw, "{", `{"body":1,`, 1)) + part("body",
			"x") + "--b--\r\n", "invoke.two_bodies"},
		"it breaks off": {part("invocation", raw) + strings.TrimSuffix(part("body", "x"), "\r\n"), "request.abandoned"},
	} {
		t.Run(why, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
				c.srv.URL+"/v1/capabilities/acme%2Fthings/invoke", strings.NewReader(test.body))
			require.NoError(t, err)
			req.Header.Set("Content-Type", "multipart/form-data; boundary=b")
			req.Header.Set("Authorization", "Bearer "+c.key)
			resp, err := c.srv.Client().Do(req)
			require.NoError(t, err)
			defer resp.Body.Close()
			var e bctrl.Error
			require.NoError(t, json.NewDecoder(resp.Body).Decode(&e))
			require.Equal(t, test.code, e.Code)
			require.Equal(t, test.code, c.last().Outcome)
		})
	}
}

func TestCallsAMinuteHold(t *testing.T) {
	c := newCallers(t, func(http.ResponseWriter, *http.Request) {})
	c.policy(bctrl.CapabilityPolicy{CallsPerMinute: 2})
	for range 2 {
		_, err := c.client.Capabilities.Invoke(t.Context(), things())
		require.NoError(t, err)
	}
	_, err := c.client.Capabilities.Invoke(t.Context(), things())
	require.ErrorIs(t, err, bctrl.ErrRateLimited)
	require.Equal(t, "invoke.rate_limited", codeOf(err))
	got := c.do("POST", []string{"capabilities", "acme/things", "invoke"}, nil, object{})
	require.Equal(t, "invoke.rate_limited", got.code())
	require.NotEmpty(t, got.Header.Get("Retry-After"))
	require.NotEqual(t, "1", got.Header.Get("Retry-After"), "it says when there is room")
	require.EqualValues(t, 2, c.hits.Load())
	require.Equal(t, "invoke.rate_limited", c.last().Outcome)

	_, err = c.client.Capabilities.Invoke(t.Context(), bctrl.Invocation{Capability: "acme/things", Path: "/nowhere"})
	require.Equal(t, "invoke.path_not_allowed", codeOf(err), "what is refused anyway is no call")
}

func TestAnInvocationIsNeverSentTwice(t *testing.T) {
	c := newCallers(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	for range 3 { // the provider's 503 is an answer, and asks nobody to try again
		got, err := c.client.Capabilities.Invoke(t.Context(), things())
		require.NoError(t, err)
		require.Equal(t, http.StatusServiceUnavailable, got.Status)
	}
	require.EqualValues(t, 3, c.hits.Load())

	key := bctrl.WithIdempotencyKey("once")
	_, err := c.client.Capabilities.Invoke(t.Context(), things(), key)
	require.NoError(t, err)
	_, err = c.client.Capabilities.Invoke(t.Context(), things(), key)
	require.ErrorIs(t, err, bctrl.ErrConflict)
	require.Equal(t, "invoke.already_sent", codeOf(err))
	other := things()
	other.Path += "/2"
	_, err = c.client.Capabilities.Invoke(t.Context(), other, key)
	require.Equal(t, "request.idempotency_mismatch", codeOf(err))
	require.EqualValues(t, 4, c.hits.Load())
}

func TestTheSDKNeverSendsAnInvocationTwice(t *testing.T) {
	c := newCallers(t, func(http.ResponseWriter, *http.Request) {})
	client := c.sdk(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(httptest.NewRecorder(), r) // it is done, and the reply is lost
			panic(http.ErrAbortHandler)
		})
	})
	_, err := client.Capabilities.Invoke(t.Context(), things())
	require.ErrorIs(t, err, bctrl.ErrUnavailable)
	_, err = client.Capabilities.Stream(t.Context(), things())
	require.ErrorIs(t, err, bctrl.ErrUnavailable)
	_, err = client.Capabilities.HTTPClient(bctrl.CallTarget{Capability: "acme/things"}).Get("https://" + acmeHost +
		"/v1/things")
	require.Error(t, err)
	require.EqualValues(t, 3, c.hits.Load())
}

func TestARuntimeInvokesWhatItsMountsPermitInItsOwnContext(t *testing.T) {
	c := newCallers(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Header.Get("X-Acme")) })
	ws := c.workspace("sales", bctrl.Mounts{Capabilities: &bctrl.CapabilityMount{Allow: []string{"acme/things"}}})
	group := c.secretIn(inGroup(ws.ID, "emea"), "ACME", "the-key-of-the-group")
	c.ok("PUT", []string{"bindings"}, object{"capability": "acme/things", "secretRef": "vault:secret:" + group.ID,
		"scope": inGroup(ws.ID, "emea")}, nil)
	c.ok("PUT", []string{"capabilities", "acme/other"}, object{"methods": []string{"GET"}, "paths": []string{"/v1/other"}},
		nil)
	bare := c.launch(ws, "bare", nil)
	runtime := func(rt bctrl.RuntimeInfo) *bctrl.Runtime {
		w, err := c.client.Workspaces.Get(t.Context(), ws.ID)
		require.NoError(t, err)
		found, err := w.Runtimes.Get(t.Context(), rt.Alias)
		require.NoError(t, err)
		return found
	}
	got, err := runtime(bare).Capabilities.Invoke(t.Context(), things())
	require.NoError(t, err)
	require.Equal(t, "Key [secret]", string(got.Body), "a secret does not come back")

	// In the group it is the group's secret.
	grouped := c.launchIn(ws, "grouped", "emea")
	seen := make(chan string, 1)
	require.NoError(t, c.providers.Serve(acmeHost, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("X-Acme")
	})))
	c.server.broker.Close() // connections to the one before
	_, err = runtime(grouped).Capabilities.Invoke(t.Context(), things())
	require.NoError(t, err)
	require.Equal(t, "Key the-key-of-the-group", <-seen)
	e := c.last()
	require.Equal(t, []string{ws.ID, "emea", grouped.ID, "grouped"}, []string{e.WorkspaceID, e.Group, e.RuntimeID,
		e.Consumer})

	for why, inv := range map[string]bctrl.Invocation{
		"another workspace":          {Capability: "acme/things", Context: bctrl.InWorkspace("other")},
		"its own, without the group": {Capability: "acme/things", Context: bctrl.InWorkspace(ws.ID)},
		"everywhere":                 {Capability: "acme/things", Context: bctrl.Global()},
		"another consumer":           {Capability: "acme/things", Consumer: "bare"},
		"another group by name":      {Capability: "acme/things", Context: bctrl.InGroup(ws.Name, "apac")},
	} {
		_, err := runtime(grouped).Capabilities.Invoke(t.Context(), inv)
		require.Equal(t, "invoke.context_mismatch", codeOf(err), why)
	}
	for _, workspace := range []string{ws.ID, ws.Name} {
		own := things()
		own.Context, own.Consumer = bctrl.InGroup(workspace, "emea"), "grouped"
		_, err = runtime(grouped).Capabilities.Invoke(t.Context(), own)
		require.NoError(t, err, "it may say what it is")
		require.Equal(t, "Key the-key-of-the-group", <-seen)
	}
	for _, id := range []string{"acme/other", "acme/nothing", "nobody/nothing"} {
		_, err := runtime(bare).Capabilities.Invoke(t.Context(), bctrl.Invocation{Capability: id, Path: "/v1/other"})
		require.ErrorIs(t, err, bctrl.ErrOutsideMount, id)
		require.Equal(t, "capability.outside_mount", codeOf(err), id)
	}
	denied := c.log(bctrl.AuditFilter{Decision: bctrl.AuditDenied, Object: "acme/other"})
	require.Len(t, denied, 1)
	require.Equal(t, bare.ID, denied[0].RuntimeID)
}
