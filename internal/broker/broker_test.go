package broker

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/egress"
	"github.com/bctrl-go/bctrl/internal/prefix"
)

func TestATargetThatIsNotPlainIsRefused(t *testing.T) {
	b := New(Config{})
	for _, base := range []string{
		"", "api.openai.com/v1", "ftp://h/", "file:///etc/passwd", "https://", "https:h", "https://user:" + canary + "@h/",
		"https://h/?key=" + canary,
		"https://h/v1?", "https://h/#f", "https://h/a/../b", "https://h//v1", "https://h/%2e%2e/v1", "https://h/a%2F..%2Fb",
		"https://h/\x7f", "%zz",
	} {
		_, err := b.Client(Target{BaseURL: base, Auth: header("X-Key", "{apiKey}"), Secrets: secrets("apiKey", canary)})
		require.ErrorIs(t, err, ErrTarget, base)
		require.NotContains(t, err.Error(), canary)
	}
	for _, key := range []string{"a b", "line\nbreak", "tab\t", "é"} {
		_, err := b.Client(Target{BaseURL: "https://h/", Auth: header("X-Key", "{apiKey}"), Secrets: secrets("apiKey", key)})
		require.ErrorIs(t, err, ErrTarget, "%q", key)
	}
}

func TestARequestStaysBelowItsTarget(t *testing.T) {
	var arrived []string
	b, base := provider(t, func(_ http.ResponseWriter, r *http.Request) { arrived = append(arrived, r.URL.EscapedPath()) })
	c := client(t, b, Target{BaseURL: base + "/v1"})
	host := strings.TrimPrefix(base, "https://")
	for _, address := range []string{
		"https://evil.example/v1/x", "http://" + host + "/v1/x", "https://127.0.0.1:1/v1/x", "https://user@" + host + "/v1/x",
		base + "/v2/x", base + "/v1beta", base + "/", base, base + "/v1/../admin", base + "/v1/%2e%2e/admin",
		base + "/v1/..%2fadmin",
		base + "/v1/%252e%252e/admin", base + "/v1/..;/admin", base + `/v1/..\admin`, base + "/v1/..%5cadmin", base +
			"/v1//x", base + "/v1/x#f",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			continue // net/http itself will not make it
		}
		_, err = c.Do(req)
		require.ErrorIs(t, err, ErrRefused, address)
		require.NotContains(t, err.Error(), canary)
	}
	req := request(t, t.Context(), base+"/v1/x")
	req.Host = "evil.example"
	_, err := c.Do(req)
	require.ErrorIs(t, err, ErrRefused, "another Host header")
	req = request(t, t.Context(), base+"/v1/x")
	req.URL.RawQuery = "a=b#c" // as net/http has it of a request
	_, err = c.Do(req)
	require.ErrorIs(t, err, ErrRefused, "a fragment behind the query")
	require.Empty(t, arrived, "nothing was sent")

	for _, address := range []string{base + "/v1", base + "/v1/models/a%2Fb", base + "/v1/a.b/..c"} {
		resp, err := c.Do(request(t, t.Context(), address))
		require.NoError(t, err, address)
		require.NoError(t, resp.Body.Close())
	}
	require.Equal(t, []string{"/v1", "/v1/models/a%2Fb", "/v1/a.b/..c"}, arrived)
}

// TestACallersQueryIsItsOwn: only a target that authenticates with a parameter
// has one that a caller cannot bring.
func TestACallersQueryIsItsOwn(t *testing.T) {
	var arrived []string
	b, base := provider(t, func(_ http.ResponseWriter, r *http.Request) { arrived = append(arrived, r.URL.RawQuery) })
	const query = "key=linux&b=+&a=%20&a=&a&x;y=1&&z=%zz&caf\xc3\xa9"
	for _, target := range []Target{
		{BaseURL: base}, {
			BaseURL: base,
			Auth: bctrl.CredentialAuth{
				Type:  bctrl.AuthQuery,
				Query: map[string]string{"appid": "{k}"},
			},
			Secrets: secrets("k", "s 1"),
		},
	} {
		resp, err := client(t, b, target).Do(request(t, t.Context(), base+"/?"+query))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	require.Equal(t, []string{query, strings.Replace(query, "key=linux", "appid=s+1&key=linux", 1)}, arrived)
	c := client(t, b, Target{
		BaseURL: base,
		Auth: bctrl.CredentialAuth{
			Type:  bctrl.AuthQuery,
			Query: map[string]string{"key": "{k}"},
		},
		Secrets: secrets("k", "s"),
	})
	for _, own := range []string{"key=k", "KEY=k", "%6bey=k", "key", "a=1;key=k", "a&%4bey=&b"} {
		_, err := c.Do(request(t, t.Context(), base+"/?"+own))
		require.ErrorIs(t, err, ErrRefused, own)
	}
}

func TestACallerCannotBringItsOwnAuth(t *testing.T) {
	b, base := provider(t, func(http.ResponseWriter, *http.Request) { t.Error("the request was sent") })
	for _, name := range []string{"Authorization", "Proxy-Authorization"} {
		req := request(t, t.Context(), base)
		req.Header.Set(strings.ToLower(name), "mine")
		_, err := client(t, b, Target{BaseURL: base}).Do(req)
		require.ErrorIs(t, err, ErrRefused, name)
		require.NotContains(t, err.Error(), "mine")
	}
}

func TestPlainHTTPOnlyWhereItIsExplicitlyAllowed(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	for _, c := range []struct {
		why    string
		policy egress.Policy
		want   error
	}{
		{"loopback is allowed", loopback, nil},
		{"nothing is allowed", egress.Policy{}, ErrAddress},
		{"another range is allowed", egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, ErrAddress},
	} {
		b := New(Config{Egress: c.policy})
		resp, err := client(t, b, Target{BaseURL: srv.URL}).Do(request(t, t.Context(), srv.URL))
		require.ErrorIs(t, err, c.want, c.why)
		if resp != nil {
			require.NoError(t, resp.Body.Close())
		}
		b.Close()
	}
}

func TestAPublicAddressIsPermittedButNotListed(t *testing.T) {
	public := netip.MustParseAddr("8.8.8.8")
	require.NoError(t, loopback.Check(public))
	require.False(t, listed(loopback, public), "so plain http does not go there")
	require.True(t, listed(loopback, netip.MustParseAddr("::ffff:127.0.0.1")))
}

func TestTheEnvironmentsProxyIsIgnored(t *testing.T) {
	b, base := provider(t, func(http.ResponseWriter, *http.Request) {})
	require.Nil(t, b.secure.Proxy)
	require.Nil(t, b.plain.Proxy)
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	resp, err := client(t, b, Target{BaseURL: base}).Do(request(t, t.Context(), base))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
}

func TestARedirectIsAnError(t *testing.T) {
	followed := false
	b, base := provider(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/next" {
			followed = true
		}
		http.Redirect(w, r, "/next?k="+canary, http.StatusTemporaryRedirect)
	})
	c := client(t, b, Target{BaseURL: base})
	_, err := (&http.Client{Transport: c}).Do(request(t, t.Context(), base))
	require.ErrorIs(t, err, ErrAnswer)
	require.NotContains(t, err.Error(), canary)
	require.False(t, followed)
}

func TestAnAnswerIsCleanedOfTheKey(t *testing.T) {
	quoted, err := json.Marshal(canary)
	require.NoError(t, err)
	forms := []string{
		canary, string(quoted), url.QueryEscape(canary), strings.ReplaceAll(canary, "/", `\/`),
		base64.StdEncoding.EncodeToString([]byte(canary)), base64.StdEncoding.EncodeToString([]byte("x:" + canary)),
	}
	b, base := provider(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Echo", canary)
		w.Header().Set("Set-Cookie", "s=1")
		w.Header().Set("Authorization", "Bearer x")
		w.Header().Set("X-Api-Key", "x")
		w.Header().Set("Www-Authenticate", "Basic realm=x")
		w.Header().Set("Trailer", "X-Late")
		w.WriteHeader(http.StatusUnauthorized)
		for _, form := range forms {
			for i := range len(form) { // one byte a chunk
				_, _ = w.Write([]byte{form[i]})
				w.(http.Flusher).Flush()
			}
			_, _ = w.Write([]byte("|"))
		}
		w.Header().Set("X-Late", canary)
	})
	resp, err := client(t, b, Target{BaseURL: base}).Do(request(t, t.Context(), base))
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	for _, form := range forms {
		require.NotContains(t, string(text), form)
	}
	require.Equal(t, len(forms), strings.Count(string(text), "[secret]"), string(text))
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	require.Equal(t, "[secret]", resp.Header.Get("X-Echo"))
	for _, name := range []string{"Set-Cookie", "Authorization", "X-Api-Key", "Www-Authenticate"} {
		require.Empty(t, resp.Header.Get(name), name)
	}
	require.Empty(t, resp.Trailer)
}

func TestACompressedAnswerIsCleanedToo(t *testing.T) {
	b, base := provider(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", r.Header.Get("X-Send"))
		var buf bytes.Buffer
		z := gzip.NewWriter(&buf)
		_, _ = z.Write([]byte("key " + canary))
		_ = z.Close()
		_, _ = w.Write(buf.Bytes())
	})
	c := client(t, b, Target{BaseURL: base})
	req := request(t, t.Context(), base)
	req.Header.Set("X-Send", "gzip")
	req.Header.Set("Accept-Encoding", "gzip") // would switch the transport's decompression off
	resp, err := c.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "key [secret]", string(text))

	req = request(t, t.Context(), base)
	req.Header.Set("X-Send", "br")
	_, err = c.Do(req)
	require.ErrorIs(t, err, ErrAnswer, "an encoding that cannot be read cannot be scrubbed")
}

func TestAnAnswerIsBounded(t *testing.T) {
	b, base := provider(t, func(w http.ResponseWriter, r *http.Request) {
		n := 100
		if r.URL.Path == "/more" {
			n = 101
		}
		if r.URL.Query().Has("chunked") {
			w.(http.Flusher).Flush()
		}
		_, _ = w.Write(bytes.Repeat([]byte("x"), n))
	})
	c := client(t, b, Target{BaseURL: base, MaxAnswer: 100})
	for _, query := range []string{"", "?chunked"} {
		resp, err := c.Do(request(t, t.Context(), base+"/enough"+query))
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Len(t, text, 100)

		resp, err = c.Do(request(t, t.Context(), base+"/more"+query))
		if err == nil {
			text, err = io.ReadAll(resp.Body)
			require.Len(t, text, 100)
			require.NoError(t, resp.Body.Close())
		}
		require.ErrorIs(t, err, ErrTooLarge)
	}
}

func TestErrorsHoldNothingOfTheRequestOrTheAnswer(t *testing.T) {
	hang := make(chan struct{})
	b, base := provider(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}
		conn, buf, err := w.(http.Hijacker).Hijack()
		if err == nil {
			fmt.Fprintf(buf, "HTTP/1.1 %s\r\n\r\n", canary)
			_ = buf.Flush()
			_ = conn.Close()
		}
	})
	defer close(hang)
	b.secure.ForceAttemptHTTP2 = false
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		why     string
		ctx     context.Context
		broker  *Broker
		address string
		want    error
	}{
		{"a malformed answer that quotes the key", t.Context(), b, base, ErrUnreachable},
		{"nobody listens", t.Context(), b, "https://127.0.0.1:1", ErrUnreachable},
		{"an unknown certificate", t.Context(), New(Config{Egress: loopback}), base, ErrUnreachable},
		{"a refused address", t.Context(), New(Config{}), base, ErrAddress},
		{"the metadata address", t.Context(), b, "https://169.254.169.254", ErrAddress},
		{"cancelled", cancelled, b, base + "/hang", context.Canceled},
	} {
		_, err := client(t, c.broker, Target{BaseURL: c.address}).Do(request(t, c.ctx, c.address+"?q=private-query"))
		require.ErrorIs(t, err, c.want, c.why)
		for e := err; e != nil; e = errors.Unwrap(e) {
			require.NotContains(t, fmt.Sprintf("%v %+v %#v", e, e, e), canary, c.why)
			require.NotContains(t, e.Error(), "private-query", c.why)
		}
		c.broker.Close()
	}
}

func TestNoPrinterShowsAClientsKey(t *testing.T) {
	c := client(t, New(Config{}), Target{BaseURL: "https://api.example.com/v1"})
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", c, c, *c), canary)
}

func FuzzBelow(f *testing.F) {
	for _, seed := range []string{"/v1/x", "/v1/../x", "/v1/%2e%2e/x", "/v1/%252e", "/v1/a%2Fb"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if climbs(path) || !prefix.PathWithin("/v1", path) {
			return
		}
		decoded, err := url.PathUnescape(path)
		if err != nil {
			t.Fatal("an undecodable path passed")
		}
		joined := (&url.URL{Path: "/"}).JoinPath(decoded)
		if joined.Path != "/v1" && !strings.HasPrefix(joined.Path, "/v1/") {
			t.Fatalf("%q leaves /v1: %q", path, joined.Path)
		}
	})
}

// TestAStatusThatHTTPDoesNotHaveIsRefused is about what net/http reads and
// panics when it is told to write.
func TestAStatusThatHTTPDoesNotHaveIsRefused(t *testing.T) {
	for _, status := range []string{"000", "007", "099"} {
		b, base := provider(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "HTTP/1.1 "+status+" Fine\r\nContent-Length: 0\r\n\r\n")
		})
		_, err := client(t, b, Target{BaseURL: base}).Do(request(t, t.Context(), base))
		require.ErrorIs(t, err, ErrAnswer, status)
	}
}
