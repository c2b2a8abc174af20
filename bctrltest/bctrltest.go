// Package bctrltest runs the real BCTRL server inside a test, over a real,
// temporary store:
//
//	func TestMyAgent(t *testing.T) {
//		srv := bctrltest.New(t)
//		client := srv.Client()
//		// … the code under test, with client
//	}
//
// Everything answers as the server does, because it is the server: mounts,
// sealing, files, the audit log. Two things are stand-ins unless asked for.
// Without [WithBrowser] a runtime's browser is a fake that fetches no page: it
// launches, stops and takes a screenshot of nothing, and an agent sees an
// empty page. Without [WithModel] there is no model, and an agent's call fails.
//
// When the test ends the server is closed, and the test fails if the server
// left anything running.
package bctrltest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/daemon"
	"github.com/bctrl-go/bctrl/internal/httpconn"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
)

// Server is a BCTRL server that lives as long as its test.
type Server struct {
	// URL is the server's base URL, on a loopback address.
	URL string

	t      testing.TB
	dir    string
	key    bctrl.Secret
	faults faults
	model  *scriptedModel
}

// Option changes what [New] starts.
type Option func(*options)

type options struct {
	browser bool
	warm    int
	script  modeltest.Script
	forms   []modeltest.Form
	log     *slog.Logger
	// actionTimeout bounds each action of an agent on a page; zero is as in production.
	actionTimeout time.Duration

	providers []provider
}

// WithBrowser gives runtimes a real Chromium, unprivileged and sandboxed. The
// test fails, with the command that installs one, when the machine has none.
// Pages on loopback addresses can be reached, so the site under test can be an
// [net/http/httptest.Server].
func WithBrowser() Option { return func(o *options) { o.browser = true } }

// WithWarmBrowsers keeps n browsers ready, as `bctrl serve --warm` does: a runtime that
// is launched with no configuration and no profile then starts at once.
func WithWarmBrowsers(n int) Option { return func(o *options) { o.warm = n } }

// WithModel starts a model provider that follows script, speaking the wire
// formats of OpenAI and Anthropic. Use [Server.ModelCredential] to create an AI
// credential for it. With forms it answers as models and the servers before them do in
// practice: without tools, for example.
func WithModel(script modeltest.Script, forms ...modeltest.Form) Option {
	return func(o *options) { o.script, o.forms = script, forms }
}

// New starts a server with an empty store and one organization. It is closed
// when the test and its subtests are done.
func New(t testing.TB, opts ...Option) *Server {
	t.Helper()
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	s := &Server{t: t, dir: t.TempDir()}
	if o.script != nil {
		s.model = newScriptedModel(t, o.script, o.forms)
	}
	cfg := daemon.Config{
		DataDir: filepath.Join(s.dir, "data"),
		KeyFile: filepath.Join(s.dir, "key"),
		Log:     o.log,
		Warm:    o.warm,
		// A test that leaves a call underway is not waited for.
		CallGrace: time.Millisecond,

		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	}
	cfg.Chromium.ActionTimeout = o.actionTimeout
	standIns(t, o.providers, &cfg)
	if !o.browser {
		cfg.Browsers = &browser.Fake{}
	} else if _, err := browser.Locate(""); err != nil {
		t.Fatalf("bctrltest: %v", err)
	}
	if err := os.Mkdir(cfg.DataDir, 0o700); err != nil {
		t.Fatalf("bctrltest: %v", err)
	}
	storetest.Create(t, filepath.Join(cfg.DataDir, "bctrl.db"))
	d, err := daemon.Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("bctrltest: %v", err)
	}
	s.key = d.FirstKey
	s.serve(d)
	return s
}

// serve answers on a loopback port until the test is done.
func (s *Server) serve(d *daemon.Daemon) {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatalf("bctrltest: %v", errors.Join(err, d.Close()))
	}
	s.URL = "http://" + l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	d.Wrap(s.faults.wrap)
	go func() { done <- d.Serve(ctx, l) }()
	s.t.Cleanup(func() {
		s.t.Helper()
		s.faults.release()
		cancel()
		if err := errors.Join(<-done, d.Close()); err != nil {
			s.t.Errorf("bctrltest: closing the server: %v", err)
		}
	})
}

// Client returns a client with the organization key. opts come after the
// defaults, which are the server's URL and key and short waits between
// retries; retries themselves are as in [bctrl.New].
func (s *Server) Client(opts ...bctrl.Option) *bctrl.Client {
	s.t.Helper()
	transport := httpconn.New(&http.Transport{})
	s.t.Cleanup(transport.CloseIdleConnections)
	c, err := bctrl.New(append([]bctrl.Option{
		bctrl.WithBaseURL(s.URL), bctrl.WithAPIKey(s.key), bctrl.WithHTTPClient(&http.Client{Transport: transport}),
		bctrl.WithRetryWait(time.Millisecond, 10*time.Millisecond),
	}, opts...)...)
	if err != nil {
		s.t.Fatalf("bctrltest: %v", err)
	}
	return c
}

// APIKey returns the organization key, for code under test that makes its own
// client.
func (s *Server) APIKey() bctrl.Secret { return s.key }
