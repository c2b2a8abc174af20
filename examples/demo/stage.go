package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/internal/daemon"
	"github.com/bctrl-go/bctrl/internal/democrm"
)

// stage is the world around the program: the server, the CRM and the model.
// A program of your own has none of this; it is given a URL and a key.
type stage struct {
	url string       // of the server
	key bctrl.Secret // of the organization

	crm            *democrm.App
	crmURL         string
	password, seed bctrl.Secret // of the CRM's one account

	credential bctrl.AICredentialCreate
	model      *modeltest.Model // nil when a real one works

	dir     string
	daemon  *daemon.Daemon
	cancel  context.CancelFunc
	servers []*http.Server
	running sync.WaitGroup
	ended   error // of the daemon
}

// openStage starts everything with made-up secrets and an empty, temporary
// data directory.
func openStage(ctx context.Context) (_ *stage, err error) {
	s := &stage{password: bctrl.NewSecret(rand.Text()), seed: newSeed(), cancel: func() {}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "bctrl-demo-"); err != nil {
		return nil, err
	}
	if err := s.openCRM(); err != nil {
		return nil, err
	}
	if err := s.chooseModel(); err != nil {
		return nil, err
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
		ID: "openai-prod", Provider: bctrl.OpenAI, Label: "Production", APIKey: key,
		BaseURL: base + "/v1", DefaultModel: modeltest.DefaultModel,
	}
	return err
}

func (s *stage) openServer(ctx context.Context) (err error) {
	s.daemon, err = daemon.Open(ctx, daemon.Config{
		DataDir: filepath.Join(s.dir, "data"),
		KeyFile: filepath.Join(s.dir, "key"),
		// The CRM and the scripted model are on this machine, where pages and
		// providers may not be otherwise.
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	if err != nil {
		return err
	}
	s.key = s.daemon.FirstKey
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
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	s.servers = append(s.servers, server)
	s.running.Go(func() { _ = server.Serve(listener) }) // ends with Close
	return "http://" + listener.Addr().String(), nil
}

// describe says what runs where.
func (s *stage) describe() {
	step("The stage")
	note("server  %s, data in %s until the end", s.url, s.dir)
	note("site    %s, a CRM that asks for a password and a one-time code", s.crmURL)
	if s.model == nil {
		note("model   %s, with your key", s.credential.Provider)
		return
	}
	note("model   SCRIPTED: it speaks OpenAI's wire format and decides from what the page shows;")
	note("        set OPENAI_API_KEY or ANTHROPIC_API_KEY for a real one")
}

// conclude says what has happened, as the outside saw it.
func (s *stage) conclude(began time.Time) error {
	counts := s.crm.Counts()
	step(fmt.Sprintf("Done in %s", round(time.Since(began))))
	note("the CRM saw %d login with password and code, %d wrong ones and %d export", counts.Logins, counts.WrongLogins, counts.Exports)
	if s.model == nil {
		return nil
	}
	requests := s.model.Requests()
	for _, r := range requests {
		for _, secret := range []bctrl.Secret{s.password, s.seed, s.credential.APIKey} {
			if bytes.Contains(r.Body, []byte(secret.Expose())) {
				return errors.New("a secret was sent to the model")
			}
		}
	}
	note("the model saw %d requests: neither the password nor the seed nor its own key was in any of them", len(requests))
	return nil
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
