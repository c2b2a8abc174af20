package server

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// surface is a client of a server that has one of everything, and notes the
// rights of the routes that it uses.
type surface struct {
	*harness
	client    *bctrl.Client
	create    bctrl.AICredentialCreate
	login     bctrl.VaultCredential
	ws        *bctrl.Workspace
	rt        *bctrl.Runtime
	execution bctrl.Execution
	op        *bctrl.Operation
	secret    *bctrl.SecretInfo

	mu   sync.Mutex
	used []string
}

// methodCall calls a method of the SDK.
type methodCall struct {
	method string
	call   func() error
}

func newSurface(t *testing.T) *surface {
	t.Helper()
	s := &surface{
		harness: newHarness(t, standingIn(t, acmeHost, func(http.ResponseWriter, *http.Request) {})),
		create: bctrl.AICredentialCreate{
			ID:       "mine",
			Provider: bctrl.OpenAI,
			APIKey:   bctrl.NewSecret("k"),
			BaseURL:  "http://127.0.0.1:9/v1",
		},
		login: bctrl.VaultCredential{
			Password: bctrl.NewSecret("p"),
			TOTP:     bctrl.NewSecret("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"),
		},
	}
	s.client = s.sdk(s.noted)
	ctx := t.Context()
	require.NoError(t, failing(s.client.Vault.Set(ctx, "prod/k", s.login)))
	require.NoError(t, failing(s.client.AICredentials.Create(ctx, s.create)))
	var err error
	s.ws, err = s.client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "w", Mounts: bctrl.Mounts{
		AI:           &bctrl.AIMount{Allow: []string{"mine"}},
		Vault:        &bctrl.VaultMount{Allow: []string{"prod/"}, AllowRawReads: new(true)},
		Capabilities: &bctrl.CapabilityMount{Allow: []string{"acme/"}},
	}})
	require.NoError(t, err)
	s.rt, err = s.ws.Runtimes.Browser("r").Stagehand(ctx, bctrl.Launch{
		Mode: bctrl.ModeProfile, ProfileID: "of-r", Record: true,
	})
	require.NoError(t, err)
	step, err := bctrl.GotoStep(bctrl.GotoArgs{URL: "http://127.0.0.1:9"})
	require.NoError(t, err)
	s.execution = bctrl.Execution{Runtime: "r", Steps: []bctrl.Step{step}}
	s.op, err = s.ws.ExecuteAsync(ctx, s.execution)
	require.NoError(t, err)
	require.NoError(t, s.upload(ctx))
	return s
}

// noted notes the right of the route that a request takes.
func (s *surface) noted(next http.Handler) http.Handler {
	rights := map[string]string{} // by pattern
	patterns := http.NewServeMux()
	for _, rt := range s.server.routes() {
		pattern := strings.TrimPrefix(rt.Method+" "+rt.Path, "ANY ")
		rights[pattern] = string(rt.Verb)
		patterns.Handle(pattern, http.NotFoundHandler())
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, pattern := patterns.Handler(r)
		right, known := rights[pattern]
		s.mu.Lock()
		if !known {
			s.used = append(s.used, "no route: "+pattern)
		} else if !slices.Contains(s.used, right) {
			s.used = append(s.used, right)
		}
		s.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

// rights are those of the routes that a call uses.
func (s *surface) rights(call func() error) ([]string, error) {
	s.mu.Lock()
	s.used = nil
	s.mu.Unlock()
	err := call()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.used), err
}

func (s *surface) upload(ctx context.Context) error {
	return failing(s.client.Storage("w").Upload(ctx, "f", strings.NewReader("x")))
}

// closed ends a stream that began.
func (s *surface) closed(stream *bctrl.InvokeStream, err error) error {
	require.NoError(s, err)
	return stream.Close()
}

// asked sends a request through a client of a provider.
func (s *surface) asked(client *http.Client) error {
	resp, err := client.Get("https://" + acmeHost + "/v1/users")
	require.NoError(s, err)
	require.Equal(s, http.StatusOK, resp.StatusCode)
	return resp.Body.Close()
}
