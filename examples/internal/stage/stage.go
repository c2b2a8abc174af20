// Package stage is the world around the examples of agents: a server with a
// temporary data directory, a CRM that asks for a password and a one-time code,
// and a model that follows a script. A program of your own has none of this; it
// is given a URL and a key.
package stage

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/internal/daemon"
	"github.com/bctrl-go/bctrl/internal/democrm"
)

// Stage is what a program is given.
type Stage struct {
	// URL and Key are the server's.
	URL string
	Key bctrl.Secret
	// Site is the CRM's address, Login its one account.
	Site  string
	Login bctrl.VaultCredential
	// Model is the key of the scripted model.
	Model bctrl.AICredentialCreate

	model   *modeltest.Model
	log     bytes.Buffer // of the server: warnings and errors
	servers []*http.Server
	running sync.WaitGroup
}

// Run runs a program on a stage of its own and clears it away, whatever has
// happened. A program in whose course a request to the model held the password
// or the seed of the login has failed.
func Run(ctx context.Context, script modeltest.Script, program func(context.Context, *Stage) error) (err error) {
	s := &Stage{}
	defer func() {
		for _, server := range s.servers {
			_ = server.Close() // nothing more is asked of it
		}
		s.running.Wait()
	}()
	if err := s.openSites(script); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bctrl-example-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := s.onServer(ctx, dir, program); err != nil {
		_, _ = s.log.WriteTo(os.Stderr) // it may say why
		return err
	}
	for _, r := range s.model.Requests() {
		for _, secret := range []bctrl.Secret{s.Login.Password, s.Login.TOTP} {
			if bytes.Contains(r.Body, []byte(secret.Expose())) {
				return errors.New("a secret was sent to the model")
			}
		}
	}
	return nil
}

// openSites starts the CRM and the model, with made-up secrets.
func (s *Stage) openSites(script modeltest.Script) error {
	seed := make([]byte, 20)
	_, _ = rand.Read(seed) // crypto/rand never fails
	s.Login = bctrl.VaultCredential{
		Username: "bot@company.com",
		Password: bctrl.NewSecret(rand.Text()),
		TOTP:     bctrl.NewSecret(base32.StdEncoding.EncodeToString(seed)),
	}
	crm, err := democrm.New(democrm.Config{Username: s.Login.Username, Password: s.Login.Password, TOTPSeed: s.Login.TOTP})
	if err != nil {
		return err
	}
	if s.Site, err = s.serve(crm); err != nil {
		return err
	}
	s.Site = strings.Replace(s.Site, "127.0.0.1", "localhost", 1) // lists of hosts take names
	s.Login.Origins = []string{s.Site}

	key := bctrl.NewSecret("sk-example-" + rand.Text())
	if s.model, err = modeltest.New(modeltest.Config{Key: key, Script: script}); err != nil {
		return err
	}
	base, err := s.serve(s.model)
	s.Model = bctrl.AICredentialCreate{
		ID:           "openai-prod",
		Provider:     bctrl.OpenAI,
		APIKey:       key,
		BaseURL:      base + "/v1",
		DefaultModel: modeltest.DefaultModel,
	}
	return err
}

// onServer runs the program while a server runs, whose data is below dir.
func (s *Stage) onServer(ctx context.Context, dir string, program func(context.Context, *Stage) error) (err error) {
	d, err := daemon.Open(ctx, daemon.Config{
		DataDir: filepath.Join(dir, "data"),
		KeyFile: filepath.Join(dir, "key"),
		Log:     slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelWarn})),
		// The CRM and the scripted model are on this machine, where pages and
		// providers may not be otherwise.
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.URL, s.Key = "http://"+listener.Addr().String(), d.FirstKey
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx)) // outlives the program, which stops its runtime
	ended := make(chan error, 1)
	go func() { ended <- d.Serve(serving, listener) }()
	err = program(ctx, s)
	cancel()
	return errors.Join(err, <-ended)
}

// serve serves h on a port of its own.
func (s *Stage) serve(h http.Handler) (url string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	// its log can quote a page
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	s.servers = append(s.servers, server)
	s.running.Go(func() { _ = server.Serve(listener) }) // ends with Close
	return "http://" + listener.Addr().String(), nil
}
