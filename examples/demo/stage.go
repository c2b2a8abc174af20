package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/internal/daemon"
	"github.com/bctrl-go/bctrl/internal/democrm"
)

// stage is the world around the program: the server, the CRM and the model,
// and somebody who tells what happens. A program of your own has none of this;
// it is given a URL and a key.
type stage struct {
	printer
	url string       // of the server
	key bctrl.Secret // of the organization

	crm            *democrm.App
	crmURL         string
	password, seed bctrl.Secret // of the CRM's one account

	credential bctrl.AICredentialCreate
	model      *modeltest.Model // nil when a real one works

	dir      string
	daemon   *daemon.Daemon
	requests atomic.Int64 // that have reached the server
	sent     int64        // of them, before the step under way
	cancel   context.CancelFunc
	servers  []*http.Server
	running  sync.WaitGroup
	ended    error        // of the daemon
	log      bytes.Buffer // of the server: warnings and errors; to be read after close
}

// openStage starts everything with made-up secrets and an empty, temporary
// data directory. What it returns must be closed, also beside an error.
func openStage(ctx context.Context) (s *stage, err error) {
	s = &stage{
		printer:  newPrinter(os.Stdout),
		password: bctrl.NewSecret(rand.Text()),
		seed:     newSeed(),
		cancel:   func() {},
	}
	if s.dir, err = os.MkdirTemp("", "bctrl-demo-"); err != nil {
		return s, err
	}
	if err := s.openCRM(); err != nil {
		return s, err
	}
	if err := s.chooseModel(); err != nil {
		return s, err
	}
	return s, s.openServer(ctx)
}

func (s *stage) openCRM() (err error) {
	s.crm, err = democrm.New(democrm.Config{Username: "bot@company.com", Password: s.password, TOTPSeed: s.seed})
	if err != nil {
		return err
	}
	s.crmURL, err = s.serve(s.crm)
	return err
}

// chooseModel takes a real model where there is a key for one.
func (s *stage) chooseModel() (err error) {
	if key := os.Getenv("OPENAI_API_KEY"); key != "" {
		s.credential = bctrl.AICredentialCreate{ID: "openai-prod", Provider: bctrl.OpenAI, APIKey: bctrl.NewSecret(key)}
		return nil
	}
	if key := os.Getenv("ANTHROPIC_API_KEY"); key != "" {
		s.credential = bctrl.AICredentialCreate{ID: "anthropic-prod", Provider: bctrl.Anthropic, APIKey: bctrl.NewSecret(key)}
		return nil
	}
	key := bctrl.NewSecret("sk-demo-" + rand.Text())
	s.model, err = modeltest.New(modeltest.Config{Key: key, Script: modeltest.LogInAndExport("quarter", "Q1")})
	if err != nil {
		return err
	}
	base, err := s.serve(s.model)
	s.credential = bctrl.AICredentialCreate{
		ID:           "openai-prod",
		Provider:     bctrl.OpenAI,
		Label:        "Production",
		APIKey:       key,
		BaseURL:      base + "/v1",
		DefaultModel: modeltest.DefaultModel,
	}
	return err
}

func (s *stage) openServer(ctx context.Context) (err error) {
	s.daemon, err = daemon.Open(ctx, daemon.Config{
		DataDir: filepath.Join(s.dir, "data"),
		KeyFile: filepath.Join(s.dir, "key"),
		Log:     slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelWarn})),
		// The CRM and the scripted model are on this machine, where pages and
		// providers may not be otherwise.
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	if err != nil {
		return err
	}
	s.key = s.daemon.FirstKey
	s.daemon.Wrap(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.requests.Add(1)
			next.ServeHTTP(w, r)
		})
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.url = "http://" + listener.Addr().String()
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx)) // outlives the program, which stops its runtime
	s.cancel = cancel
	s.running.Go(func() { s.ended = s.daemon.Serve(serving, listener) })
	return nil
}

// serve serves h on a port of its own.
func (s *stage) serve(h http.Handler) (url string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	// it can quote a page
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	s.servers = append(s.servers, server)
	s.running.Go(func() { _ = server.Serve(listener) }) // ends with Close
	return "http://" + listener.Addr().String(), nil
}

// describe says what runs where.
func (s *stage) describe() {
	s.title("The stage")
	s.note("server  %s, the real one, in this process; its data lies in", s.url)
	s.note("        %s until the end", s.dir)
	s.note("site    %s, a CRM with a login, a one-time code and an export", s.crmURL)
	if s.model == nil {
		s.note("model   %s, with the key in your environment", s.credential.Provider)
		return
	}
	s.note("model   SCRIPTED, not a real one: it speaks OpenAI's wire format and decides from what")
	s.note("        it is shown of the page. OPENAI_API_KEY or ANTHROPIC_API_KEY brings a real one.")
}

// step says what comes next.
func (s *stage) step(format string, args ...any) {
	s.heading(format, args...)
	s.sent = s.requests.Load()
}

// refused tells of a refusal by the SDK. Anything else than one of the wanted
// kind, before any request, is an error of the demo.
func (s *stage) refused(err, want error) error {
	refusal, ok := errors.AsType[*bctrl.Error](err)
	if !errors.Is(err, want) || !ok {
		return errors.Join(fmt.Errorf("this should have been refused: %w", want), err)
	}
	s.refusal(refusal)
	if n := s.requests.Load() - s.sent; n > 0 {
		return fmt.Errorf("the SDK should have refused this by itself, and sent %d requests", n)
	}
	s.note("The SDK did so by itself: no request has reached the server.")
	return nil
}

// conclude says what has happened, as the outside saw it.
func (s *stage) conclude(began time.Time) error {
	counts := s.crm.Counts()
	s.title("Done in %s", round(time.Since(began)))
	s.note("The CRM saw %d login with password and code, %d wrong ones, %d export.", counts.Logins, counts.WrongLogins,
		counts.Exports)
	if s.model != nil {
		requests := s.model.Requests()
		for _, r := range requests {
			if s.holdsSecret(r.Body) {
				return errors.New("a secret was sent to the model")
			}
		}
		s.note("The model was sent %d requests: no password, no seed and no key was in any of them.", len(requests))
	}
	files := 0
	data := os.DirFS(filepath.Join(s.dir, "data"))
	err := fs.WalkDir(data, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := fs.ReadFile(data, path)
		if err == nil && s.holdsSecret(text) {
			err = fmt.Errorf("a secret lies open in %s", path)
		}
		files++
		return err
	})
	if err != nil {
		return err
	}
	s.note("The server's data was %d files: none of the three was in any of them but sealed.", files)
	s.note("The program that did this is in examples/demo/main.go.")
	return nil
}

// holdsSecret looks for any of the secrets, in clear.
func (s *stage) holdsSecret(text []byte) bool {
	for _, secret := range []bctrl.Secret{s.password, s.seed, s.credential.APIKey} {
		if bytes.Contains(text, []byte(secret.Expose())) {
			return true
		}
	}
	return false
}

// close ends everything and removes what is on disk.
func (s *stage) close() error {
	s.cancel()
	for _, server := range s.servers {
		_ = server.Close() // nothing more is asked of it
	}
	s.running.Wait()
	err := s.ended
	if s.daemon != nil {
		err = errors.Join(err, s.daemon.Close())
	}
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// newSeed makes up a TOTP seed of 20 bytes.
func newSeed() bctrl.Secret {
	seed := make([]byte, 20)
	_, _ = rand.Read(seed) // crypto/rand never fails
	return bctrl.NewSecret(base32.StdEncoding.EncodeToString(seed))
}
