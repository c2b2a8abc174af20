package main

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/daemon"
	"github.com/bctrl-go/bctrl/internal/standin"
)

// stage is the world around the program: a server, and stand-ins for OpenAI and
// GitHub that know their customers by their keys. A program of your own has
// none of this; it is given a URL and a key.
type stage struct {
	url string       // of the server
	key bctrl.Secret // of the organization

	out   io.Writer
	steps int
	// printed is all that was written, to look for secrets in.
	printed bytes.Buffer

	dir       string
	providers *standin.Providers
	daemon    *daemon.Daemon
	cancel    context.CancelFunc
	running   sync.WaitGroup
	ended     error // of the daemon

	mu   sync.Mutex
	keys map[string]bctrl.Secret // by account
}

// openStage starts everything with an empty, temporary data directory. What it
// returns must be closed, also beside an error.
func openStage(ctx context.Context, out io.Writer) (s *stage, err error) {
	s = &stage{cancel: func() {}, keys: map[string]bctrl.Secret{}}
	s.out = io.MultiWriter(out, &s.printed)
	if s.dir, err = os.MkdirTemp("", "bctrl-broker-"); err != nil {
		return s, err
	}
	if s.providers, err = standin.New(); err != nil {
		return s, err
	}
	for host, handler := range map[string]http.HandlerFunc{"api.openai.com": s.openAI, "api.github.com": s.gitHub} {
		if err := s.providers.Serve(host, handler); err != nil {
			return s, err
		}
	}
	s.daemon, err = daemon.Open(ctx, daemon.Config{
		DataDir: filepath.Join(s.dir, "data"), KeyFile: filepath.Join(s.dir, "key"),
		ProviderRoots: s.providers.Roots(), ProviderInstead: s.providers.Instead,
		Browsers: &browser.Fake{}, // no page is visited here
	})
	if err != nil {
		return s, err
	}
	s.key = s.daemon.FirstKey
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return s, err
	}
	s.url = "http://" + listener.Addr().String()
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx)) // outlives the program, which stops its runtime
	s.cancel = cancel
	s.running.Go(func() { s.ended = s.daemon.Serve(serving, listener) })
	s.note("A server runs in this process, and what stands in for api.openai.com and")
	s.note("api.github.com: it answers like them, and knows its customers by their keys.")
	return s, nil
}

// keyOf is the key of an account, made up when it is first asked for.
func (s *stage) keyOf(account string) bctrl.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys[account].IsZero() {
		s.keys[account] = bctrl.NewSecret("sk-" + account + "-" + rand.Text())
	}
	return s.keys[account]
}

// customer is the account whose key a request has.
func (s *stage) customer(r *http.Request) (account string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for account, key := range s.keys {
		if r.Header.Get("Authorization") == "Bearer "+key.Expose() {
			return account, true
		}
	}
	return "", false
}

// openAI answers who pays.
func (s *stage) openAI(w http.ResponseWriter, r *http.Request) {
	account, ok := s.customer(r)
	if !ok || r.URL.Path != "/v1/chat/completions" {
		answer(w, http.StatusUnauthorized, map[string]any{"error": map[string]any{"message": "Incorrect API key provided",
			"code": "invalid_api_key"}})
		return
	}
	answer(w, http.StatusOK, map[string]any{
		"object": "chat.completion", "model": "gpt-5.2",
		"choices": []any{map[string]any{"index": 0, "message": map[string]any{"role": "assistant",
			"content": "The account " + account + " pays."}}},
	})
}

// gitHub has one issue.
func (s *stage) gitHub(w http.ResponseWriter, r *http.Request) {
	if _, ok := s.customer(r); !ok || r.Method != http.MethodGet {
		answer(w, http.StatusUnauthorized, map[string]any{"message": "Bad credentials"})
		return
	}
	answer(w, http.StatusOK, []any{map[string]any{"number": 1, "title": "The door squeaks"}})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller has gone: there is nobody to tell
}

// heading prints what comes next, note a line below.
func (s *stage) heading(text string) {
	s.steps++
	fmt.Fprintf(s.out, "\n%d  %s\n", s.steps, text)
}

func (s *stage) note(format string, args ...any) {
	fmt.Fprintln(s.out, strings.TrimRight(fmt.Sprintf("   "+format, args...), " "))
}

// refused tells of a refusal that is wanted. Anything else is an error.
func (s *stage) refused(err error, attempt string) error {
	e, ok := errors.AsType[*bctrl.Error](err)
	if !errors.Is(err, bctrl.ErrForbidden) && !errors.Is(err, bctrl.ErrWidening) || !ok {
		return errors.Join(errors.New("this should have been refused"), err)
	}
	s.note("%s: refused, %s.", attempt, e.Code)
	for _, problem := range e.Problems {
		if problem.Witness != "" {
			s.note("  It could then invoke %s, which its workspace may not.", problem.Witness)
		}
	}
	return nil
}

// brokerScript is broker.sh, so that it is found from any directory.
//
//go:embed broker.sh
var brokerScript []byte

// runScript runs broker.sh with a bctrl that is built for it.
func runScript(ctx context.Context, s *stage) error {
	program := filepath.Join(s.dir, "bctrl")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/bctrl-go/bctrl/cmd/bctrl")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return err
	}
	path := filepath.Join(s.dir, "broker.sh")
	if err := os.WriteFile(path, brokerScript, 0o600); err != nil {
		return err
	}
	script := exec.CommandContext(ctx, "bash", path)
	script.Stdout, script.Stderr = s.out, s.out
	script.Env = append(os.Environ(),
		"PATH="+s.dir+string(os.PathListSeparator)+os.Getenv("PATH"), "BCTRL_BASE_URL="+s.url,
		"BCTRL_API_KEY="+s.key.Expose())
	for variable, account := range map[string]string{
		"COMPANY_KEY": "company", "WORKSPACE_KEY": "workspace", "GROUP_KEY": "group", "PARTNER_KEY": "partner",
		"RESEARCH_KEY": "research",
	} {
		script.Env = append(script.Env, variable+"="+s.keyOf(account).Expose())
	}
	return script.Run()
}

// conclude proves that no key was shown or lies open.
func (s *stage) conclude() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	secrets := []bctrl.Secret{s.key}
	for _, key := range s.keys {
		secrets = append(secrets, key)
	}
	open := func(text []byte) bool {
		for _, secret := range secrets {
			if bytes.Contains(text, []byte(secret.Expose())) {
				return true
			}
		}
		return false
	}
	if open(s.printed.Bytes()) {
		return errors.New("a key was printed")
	}
	data := os.DirFS(filepath.Join(s.dir, "data"))
	err := fs.WalkDir(data, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := fs.ReadFile(data, path)
		if err == nil && open(text) {
			err = fmt.Errorf("a key lies open in %s", path)
		}
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "\nDone. None of the %d keys was printed, or lies in the server's data but sealed.\n", len(secrets))
	return nil
}

// close ends everything and removes what is on disk.
func (s *stage) close() error {
	s.cancel()
	s.running.Wait()
	err := s.ended
	if s.daemon != nil {
		err = errors.Join(err, s.daemon.Close())
	}
	if s.providers != nil {
		s.providers.Close()
	}
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}
