package server

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// storedHeader is what a provider keeps beside an object.
var storedHeader = map[string]string{
	"Content-Type": "text/plain", "Content-Encoding": "gzip", "Cache-Control": "public, max-age=31536000",
	"Content-Disposition": `attachment; filename="a.txt"`,
	"Content-Language":    "de", "Etag": `"9e107d9d372bb6826bd81d3542a419d6"`,
	"Last-Modified": "Mon, 02 Jan 2006 15:04:05 GMT", "Expires": "Thu, 01 Dec 2033 16:00:00 GMT",
	"Vary": "Origin", "X-Amz-Meta-Owner": "me", "X-Amz-Checksum-Crc32": "AAAAAA==", "Accept-Ranges": "bytes",
}

// TestWhatAProviderKeepsComesBackAsItIs has an object that is packed come back
// to the byte with all that is said of it, to HEAD, to conditions, through the
// proxy and in an invocation.
func TestWhatAProviderKeepsComesBackAsItIs(t *testing.T) {
	var object bytes.Buffer
	z := gzip.NewWriter(&object)
	_, err := z.Write(bytes.Repeat([]byte("hello "), 1500))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	c := newCallers(t, func(w http.ResponseWriter, r *http.Request) {
		for name, value := range storedHeader {
			w.Header().Set(name, value)
		}
		w.Header().Set("Content-Length", strconv.Itoa(object.Len()))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(object.Bytes()))
	})
	described := func(h http.Header) {
		t.Helper()
		for name, value := range storedHeader {
			require.Equal(t, value, h.Get(name), name)
		}
		require.Equal(t, "0", h.Get("X-Accel-Expires"), "no cache on the way keeps it for all")
		require.Contains(t, h.Values("Vary"), "Authorization, X-Api-Key, X-Goog-Api-Key, X-Amz-Security-Token")
	}
	resp, body := c.passed("GET", "acme%2F", "/v1/things", "Accept-Encoding", "identity")
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.True(t, body == object.String(), "%d bytes of %d", len(body), object.Len())
	require.EqualValues(t, object.Len(), resp.ContentLength)
	described(resp.Header)
	resp, body = c.passed("HEAD", "acme%2F", "/v1/things")
	require.EqualValues(t, object.Len(), resp.ContentLength)
	require.Empty(t, body)
	described(resp.Header)
	resp, _ = c.passed("GET", "acme%2F", "/v1/things", "If-None-Match", storedHeader["Etag"])
	require.Equal(t, http.StatusNotModified, resp.StatusCode)
	require.Equal(t, storedHeader["Etag"], resp.Header.Get("Etag"))

	got, err := c.client.Capabilities.Invoke(t.Context(), things())
	require.NoError(t, err)
	require.True(t, bytes.Equal(object.Bytes(), got.Body))
	require.Equal(t, "gzip", got.Header.Get("Content-Encoding"))
}

// TestAnAnswerWithoutCacheControlHasNone: it would be kept beside copies of the
// object.
func TestAnAnswerWithoutCacheControlHasNone(t *testing.T) {
	c := newCallers(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") })
	resp, _ := c.passed("GET", "acme%2F", "/v1/things")
	require.Empty(t, resp.Header.Values("Cache-Control"))
	require.Equal(t, "private, no-store", resp.Header.Get("Cdn-Cache-Control"))
	require.EqualValues(t, 1, resp.ContentLength)
}

// TestNoRangeShowsWhatIsHidden has ranges of an answer whose fields a policy
// hides, and of one that repeats the key.
func TestNoRangeShowsWhatIsHidden(t *testing.T) {
	text := `{"id":1,"email":"a@b.example"}`
	c := newCallers(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text+r.Header.Get("X-Acme")))
	})
	var pieces strings.Builder
	for at := range (len(text) + len("Key ") + len(acmeKey) + 7) / 8 {
		resp, part := c.passed("GET", "acme%2F", "/v1/things", "Range", fmt.Sprintf("bytes=%d-%d", at*8, at*8+7))
		require.Equal(t, http.StatusPartialContent, resp.StatusCode)
		pieces.WriteString(part)
	}
	require.False(t, strings.Contains(pieces.String(), acmeKey[:6]), "an echo in pieces")
	require.True(t, strings.HasPrefix(pieces.String(), text))

	c.policy(bctrl.CapabilityPolicy{Redact: []string{"email"}})
	for _, asked := range []string{"bytes=1-", "bytes=0-7", "bytes=-20", "bytes=0-"} {
		resp, body := c.passed("GET", "acme%2F", "/v1/things", "Range", asked)
		require.Equal(t, http.StatusForbidden, resp.StatusCode)
		require.False(t, strings.Contains(body, "a@b"))
		require.Equal(t, "invoke.range_refused", c.last().Outcome)
		inv := things()
		inv.Header = http.Header{"Range": {asked}}
		_, err := c.client.Capabilities.Invoke(t.Context(), inv)
		require.Equal(t, "invoke.range_refused", codeOf(err))
	}
}

// TestFinalRefusalsAreNotAskedAgain has the statuses after which the SDKs of
// OpenAI, Anthropic, Stripe, AWS and GitHub ask again.
func TestFinalRefusalsAreNotAskedAgain(t *testing.T) {
	c := newCallers(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/things/redirect":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "/v1/things/header":
			w.Header().Set("X-Big", strings.Repeat("x", 100<<10))
		case "/v1/things/coding":
			w.Header().Set("Content-Encoding", "unheard-of")
			_, _ = io.WriteString(w, "x")
		case "/v1/things/breaks":
			panic(http.ErrAbortHandler)
		}
	})
	for path, final := range map[string]bool{"redirect": true, "header": true, "coding": true, "breaks": false} {
		resp, body := c.passed("GET", "acme%2F", "/v1/things/"+path)
		if !final {
			require.Equal(t, http.StatusBadGateway, resp.StatusCode)
			require.Empty(t, resp.Header.Get("X-Should-Retry"))
			continue
		}
		require.Equal(t, http.StatusUnprocessableEntity, resp.StatusCode, "%s: %s", path, body)
		require.Equal(t, "false", resp.Header.Get("X-Should-Retry"), path)
	}
	c.ok("PATCH", []string{"credentials", "acme-main"}, object{"enabled": false}, nil)
	resp, body := c.passed("GET", "acme%2F", "/v1/things")
	require.Equal(t, http.StatusUnprocessableEntity, resp.StatusCode)
	require.Contains(t, body, "credentials.disabled")
	_, err := c.client.Capabilities.Invoke(t.Context(), things())
	require.Equal(t, "credentials.disabled", codeOf(err))
}

// TestAWebsocketIsRefused by its own code, by a real client and by hand, and
// the provider sees none of it; an offer of HTTP/2 is no wish.
func TestAWebsocketIsRefused(t *testing.T) {
	c := newCallers(t, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Upgrade", "Connection", "Http2-Settings"} {
			if r.Header.Get(name) != "" {
				w.WriteHeader(http.StatusTeapot)
			}
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, resp, err := websocket.Dial(ctx, c.srv.URL+"/v1/proxy/acme%2F/v1/things", &websocket.DialOptions{
		HTTPClient: c.srv.Client(), HTTPHeader: http.Header{"Authorization": {"Bearer " + c.key}},
	})
	require.Error(t, err)
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	require.Equal(t, "invoke.upgrade_refused", c.last().Outcome)
	require.Zero(t, c.hits.Load())

	for _, request := range []struct{ method, more, want string }{
		{"GET", "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n", "400"},
		{"GET", "Connection: keep-alive, Upgrade\r\nUpgrade: websocket, h2c\r\n", "400"},
		{"GET", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", "200"},
		{"GET", "Expect: more\r\n", "417"},
		{"CONNECT", "", "40"},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(c.srv.URL, "http://"))
		require.NoError(t, err)
		fmt.Fprintf(conn, "%s /v1/proxy/acme%%2F/v1/things HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n%s\r\n",
			request.method, c.key, request.more)
		line, err := bufio.NewReader(conn).ReadString('\n')
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		require.True(t, strings.HasPrefix(line, "HTTP/1.1 "+request.want), "%s %s: %s", request.method, request.more, line)
	}
	require.EqualValues(t, 1, c.hits.Load())
}
