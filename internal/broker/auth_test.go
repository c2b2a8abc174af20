package broker

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

func TestSecretsGoWhereTheirStrategySays(t *testing.T) {
	b, base, last := recording(t)
	for _, c := range []struct {
		why     string
		auth    bctrl.CredentialAuth
		secrets map[string]bctrl.Secret
		header  map[string]string // "" for none
		target  string
	}{
		{"none", bctrl.CredentialAuth{}, nil, map[string]string{"Authorization": ""}, "/v1/x?q=1"},
		{
			"a header", header("authorization", "Bearer {apiKey}"), secrets("apiKey", canary),
			map[string]string{"Authorization": "Bearer " + canary, "X-Api-Key": ""}, "/v1/x?q=1",
		},
		{
			"several headers, one of which is a default and one optional",
			header("Dd-Api-Key", "{a}", "Dd-App-Key", "{b}", "X-Version", "2", "X-Org", "{org?}"),
			secrets("a", "key-a", "b", "key-b"), map[string]string{
				"Dd-Api-Key": "key-a",
				"Dd-App-Key": "key-b",
				"X-Version":  "2",
				"X-Org":      "",
			}, "/v1/x?q=1",
		},
		{
			"an optional header that is there", header("X-Key", "{a}", "X-Org", "{org?}"), secrets("a", "key-a", "org", "org-1"),
			map[string]string{"X-Org": "org-1"}, "/v1/x?q=1",
		},
		{"no key where none is needed", header("Authorization", "Bearer {apiKey?}"), secrets("apiKey", ""),
			map[string]string{"Authorization": ""}, "/v1/x?q=1"},
		{
			"a parameter", bctrl.CredentialAuth{Type: bctrl.AuthQuery, Query: map[string]string{"key": "{apiKey}"}},
			secrets("apiKey", "a+b/c=&d e"),
			map[string]string{"Authorization": ""}, "/v1/x?key=a%2Bb%2Fc%3D%26d+e&q=1",
		},
		{
			"several parameters", bctrl.CredentialAuth{
				Type:  bctrl.AuthQuery,
				Query: map[string]string{"key": "{apiKey}", "token": "{token}", "v": "1"},
			},
			secrets("apiKey", "key-a", "token", "token-b"), nil, "/v1/x?key=key-a&q=1&token=token-b&v=1",
		},
		{"a path", bctrl.CredentialAuth{Type: bctrl.AuthPath, Path: "/bot{token}"}, secrets("token", "123:ABC-x"), nil,
			"/v1/bot123:ABC-x/x?q=1"},
		{"a path with what a segment cannot hold", bctrl.CredentialAuth{Type: bctrl.AuthPath, Path: "/{token}"},
			secrets("token", "a?b c"), nil, "/v1/a%3Fb%20c/x?q=1"},
		{
			"basic", bctrl.CredentialAuth{Type: bctrl.AuthBasic, Username: "{user}", Password: "{pass}"},
			secrets("user", "AC1", "pass", "p:w d"),
			map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte("AC1:p:w d"))}, "/v1/x?q=1",
		},
		{
			"basic without password", bctrl.CredentialAuth{Type: bctrl.AuthBasic, Username: "{key}", Password: "{pass?}"},
			secrets("key", "sk-1"),
			map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte("sk-1:"))}, "/v1/x?q=1",
		},
		{
			"basic with a constant user", bctrl.CredentialAuth{Type: bctrl.AuthBasic, Username: "api", Password: "{key}"},
			secrets("key", "sk-1"),
			map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte("api:sk-1"))}, "/v1/x?q=1",
		},
	} {
		client, err := b.Client(Target{BaseURL: base + "/v1", Auth: c.auth, Secrets: c.secrets})
		require.NoError(t, err, c.why)
		req := request(t, t.Context(), base+"/v1/x?q=1")
		req.Header.Set("Cookie", "session=1")
		resp, _ := send(t, client, req)
		for name, want := range c.header {
			require.Equal(t, want, last.header.Get(name), "%s: %s", c.why, name)
		}
		require.Equal(t, c.target, last.target, c.why)
		require.Empty(t, last.header.Get("Cookie"), c.why)
		require.Equal(t, "{}", last.body, c.why)
		for _, secret := range c.secrets {
			if !secret.IsZero() {
				require.NotContains(t, fmt.Sprint(req.Header, req.URL, resp.Request.Header, resp.Request.URL), secret.Expose(),
					"%s: the caller's request never holds it", c.why)
			}
		}
	}
}

func TestACallersValueReplacesADefaultAndNoMore(t *testing.T) {
	b, base, last := recording(t)
	auth := header("X-Key", "{apiKey}", "Notion-Version", "2022-06-28")
	auth.Query = map[string]string{"sig": "{apiKey}"}
	c, err := b.Client(Target{BaseURL: base, Auth: auth, Secrets: secrets("apiKey", canary)})
	require.NoError(t, err)
	req := request(t, t.Context(), base)
	req.Header.Set("Notion-Version", "2025-09-03")
	send(t, c, req)
	require.Equal(t, "2025-09-03", last.header.Get("Notion-Version"))

	*last = seen{}
	for _, spelling := range []string{"x-key", "X-KEY"} {
		req = request(t, t.Context(), base)
		req.Header.Set(spelling, "mine")
		_, err = c.Do(req)
		require.ErrorIs(t, err, ErrRefused)
	}
	for _, query := range []string{"sig=mine", "SIG=", "a=b&%73ig=x"} {
		_, err = c.Do(request(t, t.Context(), base+"/?"+query))
		require.ErrorIs(t, err, ErrRefused, query)
		require.NotContains(t, err.Error(), "mine")
	}
	require.Empty(t, last.target, "nothing was sent")
}

func TestASecretThatCannotBeSentIsRefusedUnquoted(t *testing.T) {
	b := New(Config{})
	path := bctrl.CredentialAuth{Type: bctrl.AuthPath, Path: "/{a}"}
	basic := bctrl.CredentialAuth{Type: bctrl.AuthBasic, Username: "{a}", Password: "{b?}"}
	for _, c := range []struct {
		why   string
		auth  bctrl.CredentialAuth
		value string
	}{
		{"a line break in a header", header("X", "{a}"), "canary\r\nX-Evil: 1"},
		{"a space in a header", header("X", "{a}"), "canary x"},
		{"a letter beyond ASCII in a header", header("X", "{a}"), "canaryé"},
		{"nothing", header("X", "{a}"), ""},
		{"a path that climbs", path, ".."},
		{"a path that climbs behind a slash", path, "canary/../x"},
		{"a path with a backslash", path, `canary\x`},
		{"a colon in the user name", basic, "canary:x"},
		{"a control character in the user name", basic, "canary\x00"},
		{"another secret for the field", header("X", "{other}"), "canary"},
		{"an auth that is none", header("X", "{a"), "canary"},
		{"an unknown type", bctrl.CredentialAuth{Type: "magic"}, "canary"},
		{"a region that nobody names",
			bctrl.CredentialAuth{Type: bctrl.AuthAWSSigV4, SigV4: &bctrl.SigV4Auth{Service: "s3"}}, "canary"},
		{"a certificate that is none", bctrl.CredentialAuth{Type: bctrl.AuthMTLS}, "canary"},
		{
			"a key that is not base64",
			bctrl.CredentialAuth{
				Type:    bctrl.AuthHMAC,
				Headers: map[string]string{"X": "{signature}"},
				HMAC:    &bctrl.HMACAuth{Algorithm: "sha256", KeyEncoding: "base64"},
			}, "canary!",
		},
	} {
		all := secrets("a", c.value, "accessKeyId", c.value, "secretAccessKey", c.value, "certificate", c.value, "privateKey",
			c.value, "secret", c.value)
		_, err := b.Client(Target{BaseURL: "https://api.example.com", Auth: c.auth, Secrets: all})
		require.ErrorIs(t, err, ErrTarget, c.why)
		require.NotContains(t, err.Error(), "canary", c.why)
	}
}

// TestEverySecretOfATargetIsTakenOut lets a provider echo what it got, and what
// it could make of it, byte by byte.
func TestEverySecretOfATargetIsTakenOut(t *testing.T) {
	const user, pass = "account-12345", "pass/word+99?"
	both := base64.StdEncoding.EncodeToString([]byte(user + ":" + pass))
	forms := []string{
		user, pass, both, strings.TrimRight(both, "="), url.QueryEscape(pass), hex.EncodeToString([]byte(pass)),
		hex.EncodeToString([]byte(both)),
		base64.RawURLEncoding.EncodeToString([]byte("xx" + pass)), strings.ReplaceAll(pass, "/", `\/`), "Basic " + both,
	}
	b, base := provider(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Echo", r.Header.Get("Authorization"))
		for _, form := range forms {
			for i := range len(form) {
				_, _ = w.Write([]byte{form[i]})
				w.(http.Flusher).Flush()
			}
			_, _ = io.WriteString(w, "|")
		}
	})
	c, err := b.Client(Target{
		BaseURL: base,
		Auth:    bctrl.CredentialAuth{Type: bctrl.AuthBasic, Username: "{user}", Password: "{pass}"},
		Secrets: secrets("user", user, "pass", pass),
	})
	require.NoError(t, err)
	resp, text := send(t, c, request(t, t.Context(), base))
	for _, form := range forms[:len(forms)-1] {
		require.NotContains(t, text, form)
	}
	require.NotContains(t, text, both[4:20], "nor a part of the encoded pair")
	require.Equal(t, "Basic [secret]", resp.Header.Get("X-Echo"))
	require.Empty(t, resp.Header.Get("Authorization"))
}

func TestAPublicFieldStaysInAnswers(t *testing.T) {
	b, base := provider(t, func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ := r.BasicAuth()
		fmt.Fprintf(w, "/Accounts/%s/Messages %s %s", user, pass, r.Header.Get("Authorization"))
	})
	auth := bctrl.CredentialAuth{
		Type:     bctrl.AuthBasic,
		Username: "{sid}",
		Password: "{token}",
		Public:   []string{"sid"},
	}
	c, err := b.Client(Target{
		BaseURL: base,
		Auth:    auth,
		Secrets: secrets("sid", "AC0123456789", "token", "token-0123456789"),
	})
	require.NoError(t, err)
	_, text := send(t, c, request(t, t.Context(), base))
	require.Equal(t, "/Accounts/AC0123456789/Messages [secret] Basic [secret]", text)
}

func TestABodyStreamsWhereNothingNeedsItsHash(t *testing.T) {
	first := make(chan string)
	b, base := provider(t, func(_ http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, buf)
		first <- string(buf)
		_, _ = io.Copy(io.Discard, r.Body)
	})
	for _, target := range []Target{
		{BaseURL: base, Auth: header("X", "{a}"), Secrets: secrets("a", canary)},
		{BaseURL: base, Auth: sigV4Auth("s3"), Secrets: awsSecrets()},
	} {
		c, err := b.Client(target)
		require.NoError(t, err)
		pr, pw := io.Pipe()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, base, pr)
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() {
			resp, err := c.Do(req)
			if err == nil {
				err = resp.Body.Close()
			}
			done <- err
		}()
		_, err = pw.Write([]byte("hello"))
		require.NoError(t, err)
		require.Equal(t, "hello", <-first, "it arrives before the body ends")
		require.NoError(t, pw.Close())
		require.NoError(t, <-done)
	}
}

// TestABodyThatMustBeHashedIsBounded: one that can be read twice is not.
func TestABodyThatMustBeHashedIsBounded(t *testing.T) {
	var arrived int64
	b, base := provider(t, func(_ http.ResponseWriter, r *http.Request) { arrived, _ = io.Copy(io.Discard, r.Body) })
	for _, target := range []Target{
		{BaseURL: base, Auth: sigV4Auth("bedrock"), Secrets: awsSecrets()},
		{
			BaseURL: base,
			Auth:    hmacAuth(bctrl.HMACAuth{Algorithm: "sha256"}),
			Secrets: secrets("secret", canary, "keyId", "k1"),
		},
	} {
		c, err := b.Client(target)
		require.NoError(t, err)
		for _, size := range []int{0, 1, MaxSigned, MaxSigned + 1} {
			body := bytes.NewReader(make([]byte, size))
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base, io.MultiReader(body)) // of unknown length
			require.NoError(t, err)
			arrived = -1
			resp, err := c.Do(req)
			if size > MaxSigned {
				require.ErrorIs(t, err, ErrUnsignable)
				require.EqualValues(t, -1, arrived, "nothing was sent")
				continue
			}
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.EqualValues(t, size, arrived)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base, bytes.NewReader(make([]byte, MaxSigned+1)))
		require.NoError(t, err)
		send(t, c, req)
		require.EqualValues(t, MaxSigned+1, arrived)
	}
}

// TestARequestIsSentOnce: net/http repeats a request that a dying connection
// may have delivered, when it has the means to.
func TestARequestIsSentOnce(t *testing.T) {
	sent := 0
	b, base := provider(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if sent++; sent%2 == 1 {
			return // leaves an idle connection
		}
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	})
	b.secure.ForceAttemptHTTP2 = false
	c := client(t, b, Target{BaseURL: base})
	for _, body := range []io.Reader{strings.NewReader("body"), nil, http.NoBody} {
		for range 2 {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base, body)
			require.NoError(t, err)
			req.Header.Set("Idempotency-Key", "k")
			before := sent
			if resp, err := c.Do(req); err == nil {
				require.NoError(t, resp.Body.Close())
			} else {
				require.ErrorIs(t, err, ErrUnreachable)
			}
			require.Equal(t, before+1, sent)
		}
	}
}

func TestAnAddressCanBeElsewhereInATest(t *testing.T) {
	b, base, last := recording(t)
	elsewhere := New(Config{
		RootCAs: b.secure.TLSClientConfig.RootCAs,
		Instead: func(address string) (string, bool) {
			return strings.TrimPrefix(base, "https://"), address == "example.com:443"
		},
	})
	defer elsewhere.Close()
	c := client(t, elsewhere, Target{BaseURL: "https://example.com"})
	send(t, c, request(t, t.Context(), "https://example.com/v1"))
	require.Equal(t, "/v1", last.target)

	_, err := client(t, elsewhere, Target{BaseURL: base}).Do(request(t, t.Context(), base))
	require.ErrorIs(t, err, ErrAddress, "the policy decides about every other address")
}
