package registry

import (
	"bytes"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

func shipped(t testing.TB) *Registry {
	t.Helper()
	r, err := Builtin()
	require.NoError(t, err)
	return r
}

// TestTheBuiltInFilesKeepTheRules is what lets the server start without
// checking them.
func TestTheBuiltInFilesKeepTheRules(t *testing.T) {
	entries, err := fs.ReadDir(files, "providers")
	require.NoError(t, err)
	var others []Provider
	for _, e := range entries {
		text, err := fs.ReadFile(files, path.Join("providers", e.Name()))
		require.NoError(t, err)
		p, err := decode(text)
		require.NoError(t, err, e.Name())
		require.Equal(t, e.Name(), p.ID+".json")
		require.NoError(t, distinct(p, others), "%s: its id and the names of its secrets are its own", p.ID)
		others = append(others, p)
		require.True(t, bytes.HasSuffix(text, []byte("}\n")), e.Name())
	}
}

func TestEveryProviderOfTheIssueIsThere(t *testing.T) {
	r := shipped(t)
	var ids []string
	for _, p := range r.Providers() {
		ids = append(ids, p.ID)
	}
	require.True(t, slices.IsSorted(ids))
	for _, id := range strings.Fields(
		`openai anthropic gemini openrouter mistral groq github gitlab slack notion linear stripe twilio
		sendgrid resend airtable hubspot discord telegram trello spotify shopify google-calendar gmail aws-s3 bedrock
		elevenlabs deepgram replicate vercel`) {
		require.Contains(t, ids, id)
		p, ok := r.Provider(id)
		require.True(t, ok)
		require.NotEmpty(t, p.Capabilities)
		require.NotEmpty(t, p.Secrets)
	}
}

func TestEverySecretLeadsToItsProviderAndField(t *testing.T) {
	r := shipped(t)
	for _, p := range r.Providers() {
		for _, s := range p.Secrets {
			owner, secret, ok := r.Owner(s.Name)
			require.True(t, ok)
			require.Equal(t, p.ID, owner.ID)
			require.Equal(t, s, secret)
		}
		require.Equal(t, p.Secrets[0].Field, p.Field())
	}
	for _, c := range []struct{ name, provider, field string }{
		{"OPENAI_API_KEY", "openai", "apiKey"}, {"TRELLO_TOKEN", "trello", "token"},
		{"AWS_SECRET_ACCESS_KEY", "aws-s3", "secretAccessKey"},
	} {
		p, s, ok := r.Owner(c.name)
		require.True(t, ok)
		require.Equal(t, [2]string{c.provider, c.field}, [2]string{p.ID, s.Field})
	}
	for _, name := range []string{"", "openai_api_key", "OPENAI_API_KEY ", "MY_KEY"} {
		_, _, ok := r.Owner(name)
		require.False(t, ok, "%q belongs to nobody", name)
	}
	require.Equal(t, "secret", Provider{}.Field())
}

func TestEveryCapabilityIsFoundByItsID(t *testing.T) {
	r := shipped(t)
	for _, p := range r.Providers() {
		for _, c := range p.Capabilities {
			owner, found, ok := r.Capability(c.ID)
			require.True(t, ok)
			require.Equal(t, p.ID, owner.ID)
			require.Equal(t, c, found)
		}
	}
	for _, id := range []string{"", "openai", "openai/", "openai/none", "none/chat", "/", "OpenAI/chat-completions"} {
		_, _, ok := r.Capability(id)
		require.False(t, ok, id)
	}
}

// TestEveryLanguageModelNeedsItsMount: what talks to a language model that AI
// credentials are for is marked, or a runtime without AI would reach one.
func TestEveryLanguageModelNeedsItsMount(t *testing.T) {
	r := shipped(t)
	for _, p := range r.Providers() {
		for _, c := range p.Capabilities {
			for _, path := range c.Paths {
				for _, word := range []string{"completions", "/messages", "/responses", "/converse", "/invoke", "/conversations",
					"/agents", "/assistants", "/threads"} {
					isModel := strings.Contains(path, word) && slices.Contains([]string{"openai", "anthropic", "gemini"}, p.ID)
					require.False(t, isModel && !c.Model, "%s: %s", c.ID, path)
				}
			}
		}
	}
	for _, ai := range []bctrl.AIProvider{bctrl.OpenAI, bctrl.Anthropic, bctrl.Google} {
		serving := 0
		for _, p := range r.Providers() {
			if p.AI == ai {
				serving++
				require.True(t, slices.ContainsFunc(p.Capabilities, func(c Capability) bool { return c.Model }), p.ID)
			}
		}
		require.Equal(t, 1, serving, ai)
	}
}

// TestTokenEndpointsAreTheirProvidersOwn: the registry alone says where a
// refresh token goes.
func TestTokenEndpointsAreTheirProvidersOwn(t *testing.T) {
	want := map[string]string{
		"spotify":         "accounts.spotify.com",
		"google-calendar": "oauth2.googleapis.com",
		"gmail":           "oauth2.googleapis.com",
	}
	got := map[string]string{}
	for _, p := range shipped(t).Providers() {
		if p.Auth.OAuth2 != nil {
			u, err := url.Parse(p.Auth.OAuth2.TokenURL)
			require.NoError(t, err)
			got[p.ID] = u.Host
		}
	}
	require.Equal(t, want, got)
}

func TestHostsAndPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern string
		ok      bool
		why     string
	}{
		{"api.openai.com", true, "a host"},
		{"api.example.com:8443", true, "a port"},
		{"*.myshopify.com", true, "a label"},
		{"bedrock-runtime.*.amazonaws.com", true, "a label in the middle"},
		{"*.s3.*.amazonaws.com", true, "two labels"},
		{"xn--bcher-kva.example", true, "punycode"},
		{"", false, "nothing"},
		{"localhost", false, "one label"},
		{"*.com", false, "every company"},
		{"api.*", false, "every top-level domain"},
		{"*.*", false, "everything"},
		{"a*.example.com", false, "part of a label"},
		{"Api.example.com", false, "upper case"},
		{"api.example.com.", false, "a trailing dot"},
		{".example.com", false, "an empty label"},
		{"-a.example.com", false, "a hyphen in front"},
		{"a_b.example.com", false, "an underscore"},
		{"10.0.0.1", false, "an address"},
		{"[::1]", false, "an address"},
		{"api.example.com:443", false, "the port that goes without saying"},
		{"api.example.com:0", false, "no port"},
		{"api.example.com:08443", false, "a leading zero"},
		{"api.example.com:", false, "no port"},
		{"api.example.com/path", false, "a path"},
		{"user@api.example.com", false, "user info"},
		{"https://api.example.com", false, "a URL"},
		{"api.exam ple.com", false, "a space"},
		{"bücher.example", false, "not ASCII"},
		{strings.Repeat("a", 64) + ".example.com", false, "a long label"},
		{strings.Repeat("a.", 126) + "com", false, "a long host"},
	} {
		require.Equal(t, c.ok, HostPattern(c.pattern) == nil, "%s: %s", c.why, c.pattern)
		require.Equal(t, c.ok && !strings.Contains(c.pattern, "*"), Host(c.pattern) == nil, "%s: %s", c.why, c.pattern)
	}
}

func TestAPatternHoldsWholeLabelsAlone(t *testing.T) {
	for _, c := range []struct {
		pattern, host string
		want          bool
	}{
		{"api.openai.com", "api.openai.com", true},
		{"api.openai.com", "api.openai.com:8443", false},
		{"api.openai.com:8443", "api.openai.com:8443", true},
		{"api.openai.com", "evil.api.openai.com", false},
		{"*.myshopify.com", "shop.myshopify.com", true},
		{"*.myshopify.com", "a.b.myshopify.com", false},
		{"*.myshopify.com", "myshopify.com", false},
		{"*.myshopify.com", ".myshopify.com", false},
		{"*.myshopify.com", "shop.myshopify.com.evil.example", false},
		{"*.myshopify.com", "*.myshopify.com", true},
		{"s3.*.amazonaws.com", "s3.eu-west-1.amazonaws.com", true},
		{"s3.eu-west-1.amazonaws.com", "s3.*.amazonaws.com", false},
	} {
		require.Equal(t, c.want, MatchHost(c.pattern, c.host), "%s holds %s", c.pattern, c.host)
		require.Equal(t, c.want, Provider{Hosts: []string{"other.example.com", c.pattern}}.AllowsHost(c.host))
	}
}

func TestPathPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern string
		ok      bool
	}{
		{"/", true}, {"/v1/x", true}, {"/v1/{id}/x", true}, {"/2010-04-01/A.json", true}, {"/v1/a:b", true},
		{"", false}, {"v1", false}, {"/v1/", false}, {"//", false}, {"/v1//x", false}, {"/./x", false},
		{"/../x", false}, {"/v1/..", false},
		{"/a%2fb", false}, {`/a\b`, false}, {"/a?b", false}, {"/a#b", false}, {"/a;b", false}, {"/a b", false},
		{"/{a", false}, {"/a}", false},
		{"/{}", false}, {"/x{a}", false}, {"/{a}x", false}, {"/{a}{b}", false}, {"/é", false}, {"/a\n", false},
	} {
		require.Equal(t, c.ok, PathPattern(c.pattern) == nil, "%q", c.pattern)
	}
}

func FuzzHosts(f *testing.F) {
	for _, seed := range [][2]string{{"*.example.com", "a.example.com"},
		{"a.*.example.com:1", "a.b.example.com:1"}, {"a.b", "a.b"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, host string) {
		if HostPattern(pattern) != nil || Host(host) != nil {
			return
		}
		u, err := url.Parse("https://" + host + "/")
		if err != nil || u.Host != host || u.Path != "/" || u.User != nil {
			t.Fatalf("%q is a host and not one of a URL: %v", host, err)
		}
		if MatchHost(pattern, host) && !strings.Contains(pattern, "*") && pattern != host {
			t.Fatalf("%q holds %q", pattern, host)
		}
	})
}

func BenchmarkBuiltin(b *testing.B) {
	for b.Loop() {
		shipped(b).Providers()
	}
}

// TestServersOfOnesOwnAreWhereTheirCredentialsSay: they are called through AI
// credentials alone, for which ai.use is asked, and no file takes their place.
func TestServersOfOnesOwnAreWhereTheirCredentialsSay(t *testing.T) {
	r := shipped(t)
	p, ok := r.ForAI(bctrl.OpenAICompatible)
	require.True(t, ok)
	require.Equal(t, string(bctrl.OpenAICompatible), p.ID)
	require.Empty(t, p.Hosts)
	require.Empty(t, p.Secrets)
	require.False(t, slices.ContainsFunc(r.Providers(), func(o Provider) bool { return o.ID == p.ID }),
		"it has no place of its own")
	openAI, _ := r.ForAI(bctrl.OpenAI)
	for _, c := range p.Capabilities {
		_, found, ok := r.Capability(c.ID)
		require.True(t, ok)
		require.Equal(t, c, found)
		for _, path := range c.Paths {
			require.NoError(t, PathPattern(path))
			require.True(t, strings.HasPrefix(path, p.BasePath+"/"))
		}
		stored := strings.HasSuffix(c.ID, "/files")
		require.Equal(t, !stored, c.Model, "%s: a model is what ai.use is for; what is stored there is not", c.ID)
	}
	for _, kind := range []bctrl.AIProvider{bctrl.OpenAI, bctrl.Anthropic, bctrl.Google} {
		of, ok := r.ForAI(kind)
		require.True(t, ok)
		require.Equal(t, kind, of.AI)
	}
	require.Equal(t, "openai", openAI.ID)
	_, ok = r.ForAI("")
	require.False(t, ok)
	_, err := Load(folder(t, "openai-compatible.json",
		`{"id": "openai-compatible", "name": "x", "docs": "https://x.example", "hosts": ["x.example"],
		"auth": {"type": "none"}, "secrets": [], "capabilities":
			[{"id": "openai-compatible/x", "description": "x", "methods": ["GET"], "paths": ["/x"]}]}`))
	require.ErrorIs(t, err, ErrProvider)
}
