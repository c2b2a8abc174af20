package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// TestAPathGoesOutAsItCame sends paths that mean one thing to some servers and
// another to others, in every way in which a provider is called.
func TestAPathGoesOutAsItCame(t *testing.T) {
	seen := make(chan passed, 1)
	c := newCallers(t, echoing(seen))
	client := c.client.Capabilities.HTTPClient(bctrl.CallTarget{Capability: "acme/things"})
	for _, path := range []string{
		"/v1/things/docs%2Fa.md", "/v1/things/docs%2fa.md", "/v1/things/100%25.txt", "/v1/things/100%25",
		"/v1/things/50%25off", "/v1/things/a%2Eb",
		"/v1/things/%61", "/v1/things/a+b%20c", "/v1/things/a%3Fb%23c", "/v1/things/arn%3Aaws%3Ax%3A%3A1%3Amodel%2Fm",
		"/v1/things/a:b@c!$&'()*,;=~",
		"/v1/things/%C3%A9", "/v1/things/folder/", "/v1/things/folder%2F", "/v1/things/%7Bx%7D",
		"/v1/repos/group%2Fteam/site/x",
	} {
		status := c.plainly("GET", "/v1/proxy/acme%2Fthings"+path, "Authorization", "Bearer "+c.key)
		require.Equal(t, http.StatusAccepted, status, path)
		require.Equal(t, path, (<-seen).URI, "by base URL")

		resp, err := client.Get("https://" + acmeHost + path)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusAccepted, resp.StatusCode, path)
		require.Equal(t, path, (<-seen).URI, "by HTTPClient")

		got, err := c.client.Capabilities.Invoke(t.Context(), bctrl.Invocation{Capability: "acme/things", Path: path})
		require.NoError(t, err, path)
		require.Equal(t, http.StatusAccepted, got.Status)
		require.Equal(t, path, (<-seen).URI, "by Invoke")
	}
	for sent, want := range map[string]string{
		"/v1/things/caf\xc3\xa9":      "/v1/things/caf%C3%A9",
		"/v1/things/a%2Fb{c}":         "/v1/things/a%2Fb%7Bc%7D",
		"/v1/things/a[0]|b^c`d\"e<f>": "/v1/things/a%5B0%5D%7Cb%5Ec%60d%22e%3Cf%3E",
	} {
		require.Equal(t, http.StatusAccepted, c.plainly("GET", "/v1/proxy/acme%2Fthings"+sent, "Authorization",
			"Bearer "+c.key), sent)
		require.Equal(t, want, (<-seen).URI, "what no path holds is escaped, and what is escaped stays so")
	}
	for _, path := range []string{`/v1/things/..\admin`, "/v1/things/..%2Fadmin", "/v1/things/%252e%252e/x",
		"/v1/things/a%252Fb", "/v1/things/a%5Cb", "/v1/things/%2F"} {
		require.Equal(t, http.StatusBadRequest, c.plainly("GET", "/v1/proxy/acme%2Fthings"+path, "Authorization",
			"Bearer "+c.key), path)
	}
	for _, path := range []string{"/v1%2Fthings", "/v1/repos/o%2Fr", "/v1%2fthings%2fa"} {
		require.Equal(t, http.StatusForbidden, c.plainly("GET", "/v1/proxy/acme%2Fthings"+path, "Authorization",
			"Bearer "+c.key), path)
	}
	require.Empty(t, seen)
}

// TestPathsOfProvidersWithEscapedNamesPass calls the registry's own
// capabilities with the paths that python-gitlab, gitbeaker, client-go, Octokit
// and the SDKs of AWS make.
func TestPathsOfProvidersWithEscapedNamesPass(t *testing.T) {
	arn := "arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Ainference-profile%2Feu.anthropic.claude-v1%3A0"
	for _, test := range []struct{ why, provider, capability, method, path string }{
		{"a project by its path", "gitlab", "gitlab/projects", "GET", "/api/v4/projects/group%2Fproject"},
		{"an issue of it", "gitlab", "gitlab/issues", "GET", "/api/v4/projects/group%2Fsub%2Fproject/issues/7"},
		{"a file of it", "gitlab", "gitlab/repository", "GET",
			"/api/v4/projects/group%2Fproject/repository/files/app%2Fmodels%2Fkey%2Erb"},
		{"a group by its path", "gitlab", "gitlab/search", "GET", "/api/v4/groups/a%2Fb/search"},
		{"a file of GitHub", "github", "github/contents", "GET", "/repos/acme/site/contents/docs%2Fa.md"},
		{"a branch of GitHub", "github", "github/repos", "GET", "/repos/acme/site/branches/feature%2Fx"},
		{"a percent sign in a key", "aws-s3", "aws-s3/read", "GET", "/bucket/100%25.txt"},
		{"an encoded slash in a key", "aws-s3", "aws-s3/read", "GET", "/bucket/a%2Fb"},
		{"a profile", "bedrock", "bedrock/converse", "POST", "/model/" + arn + "/converse"},
		{"a guardrail", "bedrock", "bedrock/apply-guardrail", "POST", "/guardrail/" + arn + "/version/1/apply"},
	} {
		t.Run(test.why, func(t *testing.T) {
			p, ok := builtinProviders(t).Provider(test.provider)
			require.True(t, ok)
			k := newKeyed(t, p)
			ws := k.made("narrow", object{"capabilities": object{"allow": []string{test.capability}}})
			k.launch(ws, "n", nil)
			token := k.mint(ws.ID, "n", object{}).Expose()
			resp, body := k.through(test.method, k.target+test.path, "", "Authorization", "Bearer "+token)
			require.Equal(t, http.StatusAccepted, resp.StatusCode, body)
			require.Equal(t, test.path, (<-k.seen).URI)
			require.NotEmpty(t, k.log(bctrl.AuditFilter{Capability: test.capability}), "the log says as what")
			if test.provider == "gitlab" && strings.HasSuffix(test.path, "/7") {
				_, code := k.through("GET", k.target+"/api/v4/projects/group%2Fproject", "", "Authorization", "Bearer "+token)
				require.Equal(t, "capability.outside_mount", code)
				_, code = k.through("GET", k.target+"/api/v4/projects/7%2Fissues", "", "Authorization", "Bearer "+token)
				require.Equal(t, "capability.outside_mount", code, "GitLab takes that for a project")
			}
		})
	}
}

func TestAnOwnCapabilityOfNamesNeverMeetsAModel(t *testing.T) {
	c := newCallers(t, nil)
	for _, path := range []string{"/{+x}/completions", "/v1/{+x}", "/v1/chat/{+x}"} {
		got := c.do("PUT", []string{"capabilities", "openai/mine"}, nil, object{"methods": []string{"POST"},
			"paths": []string{path}})
		require.Equal(t, "capabilities.model_path", got.code(), path)
	}
	c.ok("PUT", []string{"capabilities", "openai/mine"}, object{"methods": []string{"POST"},
		"paths": []string{"/v1/things/{+x}/notes"}}, nil)
}
