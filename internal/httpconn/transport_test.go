package httpconn

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const leaked = "sk-live-do-not-log-0123456789"

// processLog takes over the process's log until the test ends.
type processLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *processLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *processLog) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Len()
}

func captureLog(t testing.TB) *processLog {
	l := new(processLog)
	before := log.Writer()
	log.SetOutput(l)
	t.Cleanup(func() { log.SetOutput(before) })
	return l
}

// talker is a server that answers each request on a connection as it is told,
// and tells when a connection has ended.
type talker struct {
	net.Listener
	first string // said before any request
	serve func(c net.Conn, r *http.Request, n int)
	mu    sync.Mutex
	conns int
	ended chan struct{}
	work  sync.WaitGroup
}

func talk(
	t testing.TB, wrap func(net.Listener) net.Listener, first string, serve func(c net.Conn, r *http.Request, n int),
) *talker {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &talker{
		Listener: wrap(l),
		first:    first,
		serve:    serve,
		ended:    make(chan struct{}, 100),
	}
	s.work.Go(func() {
		for {
			c, err := s.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns++
			s.mu.Unlock()
			s.work.Go(func() { s.conn(c) })
		}
	})
	t.Cleanup(func() { l.Close(); s.work.Wait() })
	return s
}

func (s *talker) conn(c net.Conn) {
	defer func() { c.Close(); s.ended <- struct{}{} }()
	_, _ = io.WriteString(c, s.first)
	r := bufio.NewReader(c)
	for n := 0; ; n++ {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		s.serve(c, req, n)
	}
}

func (s *talker) opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

func plainly(l net.Listener) net.Listener { return l }

// overTLS returns what makes a listener speak TLS and the settings of a client
// that trusts it.
func overTLS(t testing.TB) (wrap func(net.Listener) net.Listener, client *tls.Config) {
	srv := httptest.NewUnstartedServer(nil)
	srv.StartTLS()
	cfg := srv.TLS.Clone()
	cfg.NextProtos = []string{"http/1.1"}
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	srv.Close()
	return func(l net.Listener) net.Listener {
		return tls.NewListener(l, cfg)
	}, &tls.Config{RootCAs: roots, ServerName: "example.com", MinVersion: tls.VersionTLS12}
}

// unasked are answers that bring more than they declare.
var unasked = []struct{ why, method, answer string }{
	{"behind a length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + leaked},
	{"behind a length, on the line", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n" + leaked + "\n"},
	{"behind a large length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x",
		100000) + leaked},
	{"a second answer", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: " +
		"29\r\n\r\n" + leaked},
	{"behind a length of none", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + leaked},
	{"a body of 204", "GET", "HTTP/1.1 204 No Content\r\n\r\n" + leaked},
	{"a body of 304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 29\r\n\r\n" + leaked},
	{"a body for HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 29\r\n\r\n" + leaked},
	{"behind chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + leaked},
	{"behind chunks with extensions", "GET",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0002;a=\"b;0\"\r\nok\r\n000;x\r\n\r\n" + leaked},
	{"behind a trailer", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2\r\nok\r\n0\r\nA: " +
		"b\r\n\r\n" + leaked},
	{"behind a trailer that ends in two ways", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: " +
		"A\r\n\r\n2\r\nok\r\n0\r\nA: b\n\n" + leaked + "\r\n\r\n"},
	{"behind an interim answer and a length", "GET", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 " +
		"OK\r\nContent-Length: 2\r\n\r\nok" + leaked},
	{"behind bare line feeds", "GET", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok" + leaked},
}

func TestNothingUnaskedReachesTheLog(t *testing.T) {
	wrap, cfg := overTLS(t)
	for _, way := range []struct {
		scheme string
		wrap   func(net.Listener) net.Listener
	}{{"http", plainly}, {"https", wrap}} {
		for _, c := range unasked {
			for _, later := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/later=%v", way.scheme, c.why, later), func(t *testing.T) {
					logged := captureLog(t)
					s := talk(t, way.wrap, "", func(conn net.Conn, _ *http.Request, _ int) {
						if !later {
							_, _ = io.WriteString(conn, c.answer)
							return
						}
						i := strings.Index(c.answer, leaked)
						_, _ = io.WriteString(conn, c.answer[:i])
						_, _ = io.WriteString(conn, c.answer[i:])
					})
					tr := New(&http.Transport{TLSClientConfig: cfg})
					for range 2 {
						req, err := http.NewRequest(c.method, way.scheme+"://"+s.Addr().String(), nil)
						require.NoError(t, err)
						resp, err := tr.RoundTrip(req)
						require.NoError(t, err)
						body, _ := io.ReadAll(resp.Body) // one may break, as net/http sees it
						resp.Body.Close()
						require.False(t, bytes.Contains(body, []byte(leaked)))
						<-s.ended // the connection was given up
					}
					require.Equal(t, 2, s.opened())
					require.Zero(t, logged.len())
				})
			}
		}
	}
}

func TestAServerThatSpeaksFirstIsNotQuoted(t *testing.T) {
	logged := captureLog(t)
	s := talk(t, plainly, "220 "+leaked+"\r\n", func(net.Conn, *http.Request, int) {})
	_, err := New(&http.Transport{Proxy: http.ProxyFromEnvironment}).RoundTrip(httptest.NewRequest("GET",
		"http://"+s.Addr().String(), nil))
	require.Error(t, err)
	require.NotContains(t, err.Error(), leaked)
	<-s.ended
	require.Zero(t, logged.len())
}

// TestWhatIsNoAnswerIsNotQuoted sends what net/http would put into its error.
func TestWhatIsNoAnswerIsNotQuoted(t *testing.T) {
	for _, answer := range []string{"220 " + leaked, leaked, "HTTP/1.1 " + leaked, "HTTP/1.1 20" + leaked,
		"HTTP/1.1 2000" + leaked, "HTTP/" + leaked} {
		logged := captureLog(t)
		s := talk(t, plainly, "", func(c net.Conn, _ *http.Request, _ int) { _, _ = io.WriteString(c, answer+"\r\n\r\n") })
		_, err := New(&http.Transport{}).RoundTrip(httptest.NewRequest("GET", "http://"+s.Addr().String(), nil))
		require.ErrorIs(t, err, ErrNotHTTP)
		require.NotContains(t, err.Error(), leaked)
		require.Zero(t, logged.len())
	}
}

// TestGoodAnswersAreReadAsNetHTTPReadsThem sends random answers in random pieces
// over one connection.
func TestGoodAnswersAreReadAsNetHTTPReadsThem(t *testing.T) {
	logged := captureLog(t)
	rapid.Check(t, func(rt *rapid.T) {
		type exchange struct{ method, answer, body, trailer string }
		exchanges := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) exchange {
			body := string(rapid.SliceOfN(rapid.SampledFrom([]byte("0a\r\n ;{")), 0, 9000).Draw(rt, "body"))
			e := exchange{method: "GET", body: body}
			switch rapid.IntRange(0, 4).Draw(rt, "kind") {
			case 0:
				e.answer = fmt.Sprintf("HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			case 1:
				e.answer, e.trailer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n", "end"
				for rest := body; rest != ""; {
					n := rapid.IntRange(1, len(rest)).Draw(rt, "chunk")
					e.answer += fmt.Sprintf("%x\r\n%s\r\n", n, rest[:n])
					rest = rest[n:]
				}
				e.answer += "0\r\nT: end\r\n\r\n"
			case 2:
				e.answer, e.body = "HTTP/1.1 204 No Content\r\n\r\n", ""
			case 3:
				e.method, e.body = "HEAD", ""
				e.answer = fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body))
			default:
				e.answer = fmt.Sprintf("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 404 "+
					"No\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			}
			return e
		}), 1, 5).Draw(rt, "exchanges")
		cut := rapid.IntRange(1, 5000).Draw(rt, "piece")
		s := talk(&cleanups{}, plainly, "", func(c net.Conn, _ *http.Request, n int) {
			for rest := exchanges[n].answer; rest != ""; {
				k := min(cut, len(rest))
				_, _ = io.WriteString(c, rest[:k])
				rest = rest[k:]
			}
		})
		defer func() { s.Close(); s.work.Wait() }()
		tr := New(&http.Transport{})
		defer tr.CloseIdleConnections()
		for _, e := range exchanges {
			req, err := http.NewRequest(e.method, "http://"+s.Addr().String(), nil)
			require.NoError(rt, err)
			resp, err := tr.RoundTrip(req)
			require.NoError(rt, err)
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			require.NoError(rt, err)
			require.Equal(rt, e.body, string(body))
			require.Equal(rt, e.trailer, resp.Trailer.Get("T"))
		}
		require.Equal(rt, 1, s.opened(), "a connection serves all of them")
	})
	require.Zero(t, logged.len())
}

// cleanups is a testing.TB for what a property ends itself.
type cleanups struct{ testing.TB }

func (*cleanups) Cleanup(func())            {}
func (*cleanups) Helper()                   {}
func (*cleanups) Errorf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (*cleanups) FailNow()                  { panic("failed") }

func TestHTTP2IsSpokenWhereTheServerDoes(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	for _, force := range []bool{true, false} {
		tr := New(&http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2: force})
		resp, err := tr.RoundTrip(httptest.NewRequest("GET", srv.URL, nil))
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, map[bool]string{true: "HTTP/2.0", false: "HTTP/1.1"}[force], string(body))
		require.NotNil(t, resp.TLS)
		tr.CloseIdleConnections()
	}
}

func TestAnotherProtocolPassesBothWays(t *testing.T) {
	s := talk(t, plainly, "", func(c net.Conn, _ *http.Request, _ int) {
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello")
		_, _ = io.Copy(c, c)
	})
	req := httptest.NewRequest("GET", "http://"+s.Addr().String(), nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp, err := New(&http.Transport{}).RoundTrip(req)
	require.NoError(t, err)
	rw := resp.Body.(io.ReadWriteCloser)
	_, err = io.WriteString(rw, " again")
	require.NoError(t, err)
	got := make([]byte, len("hello again"))
	_, err = io.ReadFull(rw, got)
	require.NoError(t, err)
	require.Equal(t, "hello again", string(got))
	rw.Close()
}

func TestAHandshakeThatNeverEndsIsATimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	tr := New(&http.Transport{TLSHandshakeTimeout: time.Millisecond})
	_, err = tr.RoundTrip(httptest.NewRequest("GET", "https://"+l.Addr().String(), nil))
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())
}

func TestAFloodOfInterimAnswersEnds(t *testing.T) {
	s := talk(t, plainly, "", func(c net.Conn, _ *http.Request, _ int) {
		for {
			if _, err := io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\n"); err != nil {
				return
			}
		}
	})
	_, err := New(&http.Transport{}).RoundTrip(httptest.NewRequest("GET", "http://"+s.Addr().String(), nil))
	require.ErrorIs(t, err, ErrInterim)
}

// TestAProxyLeadsToTheServer goes through a proxy, with a password, to a server
// that sends more than it declares.
func TestAProxyLeadsToTheServer(t *testing.T) {
	logged := captureLog(t)
	wrap, cfg := overTLS(t)
	s := talk(t, wrap, "", func(c net.Conn, _ *http.Request, _ int) { _, _ = io.WriteString(c, unasked[0].answer) })
	sent := make(chan string, 1)
	proxy := talk(t, plainly, "", func(c net.Conn, r *http.Request, _ int) {
		sent <- r.Method + " " + r.Host + " " + r.Header.Get("Proxy-Authorization")
		to, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
		var work sync.WaitGroup
		work.Go(func() { _, _ = io.Copy(to, c); to.Close() })
		_, _ = io.Copy(c, to)
		c.Close()
		work.Wait()
	})
	via := &url.URL{Scheme: "http", User: url.UserPassword("me", "pw"), Host: proxy.Addr().String()}
	tr := New(&http.Transport{TLSClientConfig: cfg, Proxy: http.ProxyURL(via)})
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(httptest.NewRequest("GET", "https://example.com", nil))
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, "ok", string(body))
	<-s.ended
	require.Zero(t, logged.len())
	require.Equal(t, "CONNECT example.com:443 Basic "+base64.StdEncoding.EncodeToString([]byte("me:pw")), <-sent)
}

func TestAProxyThatRefusesIsNotQuoted(t *testing.T) {
	proxy := talk(t, plainly, "", func(c net.Conn, _ *http.Request, _ int) {
		_, _ = io.WriteString(c, "HTTP/1.1 403 "+leaked+"\r\nContent-Length: 0\r\n\r\n")
	})
	via := &url.URL{Scheme: "http", Host: proxy.Addr().String()}
	_, err := New(&http.Transport{Proxy: http.ProxyURL(via)}).RoundTrip(httptest.NewRequest("GET", "https://example.com",
		nil))
	require.ErrorIs(t, err, ErrProxy)
	require.NotContains(t, err.Error(), leaked)
}

func TestAProxyThatTalksForEverIsRefused(t *testing.T) {
	proxy := talk(t, plainly, "", func(c net.Conn, _ *http.Request, _ int) {
		_, err := io.WriteString(c, "HTTP/1.1 200 Connection established\r\n")
		for err == nil {
			_, err = io.WriteString(c, "X: "+strings.Repeat("y", 4096)+"\r\n")
		}
	})
	via := &url.URL{Scheme: "http", Host: proxy.Addr().String()}
	_, err := New(&http.Transport{Proxy: http.ProxyURL(via)}).RoundTrip(httptest.NewRequest("GET", "https://example.com",
		nil))
	require.ErrorIs(t, err, ErrProxy)
}
