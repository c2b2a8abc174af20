package compat

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
)

// place is where an SDK is put to work: its key, its HTTP client and, unless it
// is the provider's own, its base URL without a slash at the end.
type place struct {
	upstream *upstream
	key      string
	http     *http.Client
	base     string
	direct   bool
}

// provider is what an administrator sets up for an SDK.
type provider struct {
	// id is the registry's, key what authenticates with it.
	id, key string
	// secrets are the provider's, by name.
	secrets map[string]string
	// ai is the kind of AI credential that its models are called with, or empty.
	ai bctrl.AIProvider
	// allow are the capabilities that the workspace mounts.
	allow []string
	// own is set where the AI credential is for a server of one's own.
	own bool
	// hosts are those that are picked of a provider with many, which is then
	// called with a credential of its own.
	hosts []string
}

// program uses an SDK. One that is not for the provider itself is about what
// the server does.
type program struct {
	name   string
	direct bool
	run    func(*testing.T, place)
}

// everywhere runs programs at the provider itself, then through the server: as
// ones that were given a runtime token in place of the key and another base
// URL, and as ones that were given an HTTP client.
func everywhere(t *testing.T, of func(testing.TB) *upstream, with provider, programs []program) {
	u := of(t)
	srv, token := with.server(t, u)
	run := func(where string, p place) {
		for _, program := range programs {
			if program.direct || !p.direct {
				t.Run(program.name+" "+where, func(t *testing.T) { program.run(t, p) })
			}
		}
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	base, err := url.JoinPath(srv.URL, "v1/proxy", strings.Replace(with.target(), "/", "~", 1))
	require.NoError(t, err)
	run("with another base URL", place{
		upstream: u,
		key:      token.Expose(),
		http:     &http.Client{Transport: transport},
		base:     base,
	})

	client := srv.Client(bctrl.WithAPIKey(token))
	target := bctrl.CallTarget{Capability: with.id + "/"}
	run("with our HTTP client", place{upstream: u, key: "none", http: client.Capabilities.HTTPClient(target)})

	itself := of(t) // which has nothing against its own key
	run("directly", place{
		upstream: itself,
		key:      with.key,
		http:     itself.direct(t),
		direct:   true,
	})
}

// server is a server with the provider's secrets, and the token of a runtime
// that may use what the provider's mounts say.
func (with provider) server(t *testing.T, u *upstream) (*bctrltest.Server, bctrl.Secret) {
	t.Helper()
	var opts []bctrltest.Option
	for _, host := range u.hosts {
		opts = append(opts, bctrltest.WithProvider(host, u))
	}
	srv := bctrltest.New(t, opts...)
	client, ctx := srv.Client(), t.Context()
	mounts := bctrl.Mounts{Capabilities: &bctrl.CapabilityMount{Allow: append([]string{}, with.allow...)}}
	refs := map[string]string{}
	for name, value := range with.secrets {
		secret, err := client.Secrets.Create(ctx, bctrl.SecretCreate{
			Name:  name,
			Value: bctrl.NewSecret(value),
			Scope: bctrl.Global(),
		})
		require.NoError(t, err)
		refs[secret.Field] = "vault:secret:" + secret.ID
	}
	if len(with.hosts) > 0 { // the administrator picks it, so that the program need not
		_, err := client.Credentials.Create(ctx, bctrl.CredentialCreate{
			ID:         with.target(),
			Provider:   with.id,
			SecretRefs: refs,
			Scope:      bctrl.Global(),
			Hosts:      with.hosts,
			Priority:   1,
		})
		require.NoError(t, err)
	}
	if with.ai != "" {
		made := bctrl.AICredentialCreate{ID: with.id + "-prod", Provider: with.ai, APIKey: bctrl.NewSecret(with.key)}
		if with.own {
			own := httptest.NewServer(u)
			t.Cleanup(own.Close)
			made.BaseURL = own.URL + "/v1"
		}
		ai, err := client.AICredentials.Create(ctx, made)
		require.NoError(t, err)
		mounts.AI = &bctrl.AIMount{Allow: []string{ai.ID}}
	}
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "site", Mounts: mounts})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("agent").Stagehand(ctx, bctrl.Launch{})
	require.NoError(t, err)
	token, err := rt.Token(ctx, bctrl.TokenRequest{})
	require.NoError(t, err)
	u.forbid(token.Expose(), srv.APIKey().Expose(), "AKIDNONE")
	return srv, token
}

// target is what is called as, where the base URL says it.
func (with provider) target() string {
	if len(with.hosts) > 0 {
		return with.id + "-" + awsRegion
	}
	return with.id + "/"
}

// targets are all that the provider is called as: an AI credential by its id too.
func (with provider) targets() []string {
	if with.ai != "" {
		return []string{with.target(), with.id + "-prod"}
	}
	return []string{with.target()}
}

// with returns the place with a header on every request.
func (p place) with(name, value string) place {
	next := p.http.Transport
	p.http = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.Header.Set(name, value)
		return next.RoundTrip(r)
	})}
	return p
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
