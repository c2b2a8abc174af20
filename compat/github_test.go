package compat

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-github/v84/github"
	"github.com/stretchr/testify/require"
)

var gitHub = provider{
	id:      "github",
	key:     githubToken,
	secrets: map[string]string{"GITHUB_TOKEN": githubToken},
	allow:   []string{"github/repos", "github/issues", "github/pulls", "github/release-assets"},
}

func TestGitHub(t *testing.T) {
	everywhere(t, newGitHub, gitHub, []program{
		{"answers", true, githubAnswers},
		{"uploads", true, githubUploads},
		{"never shows the key", false, githubNeverShowsTheKey},
		{"refuses what is not mounted", false, githubRefusesWhatIsNotMounted},
	})
}

func githubClient(t testing.TB, p place) *github.Client {
	t.Helper()
	client := github.NewClient(p.http).WithAuthToken(p.key)
	if p.base != "" {
		base, err := url.Parse(p.base + "/")
		require.NoError(t, err)
		client.BaseURL, client.UploadURL = base, base
	}
	return client
}

func githubAnswers(t *testing.T, p place) {
	ctx, client := soon(t), githubClient(t, p)

	repo, resp, err := client.Repositories.Get(ctx, "acme", "site")
	require.NoError(t, err)
	require.Equal(t, "acme/site", repo.GetFullName())
	require.Equal(t, 4999, resp.Rate.Remaining, "the provider's headers arrive")

	issue, _, err := client.Issues.Create(ctx, "acme", "site",
		&github.IssueRequest{Title: new("Broken"), Body: new("so & so")})
	require.NoError(t, err)
	require.Equal(t, "so & so", issue.GetBody())

	var titles []string
	for issue, err := range client.Issues.ListByRepoIter(ctx, "acme", "site", nil) {
		require.NoError(t, err)
		titles = append(titles, issue.GetTitle())
	}
	require.Equal(t, []string{"issue 1", "issue 2"}, titles, "pages by Link")

	_, err = client.Actions.DeleteCachesByKey(ctx, "acme", "site", "linux", nil)
	require.NoError(t, err, "a parameter is what the program says, whatever keys are called elsewhere")

	diff, _, err := client.PullRequests.GetRaw(ctx, "acme", "site", 5, github.RawOptions{Type: github.Diff})
	require.NoError(t, err)
	require.Equal(t, "--- a/x\n+++ b/x\n", diff)

	var e *github.ErrorResponse
	_, _, err = client.Repositories.Get(ctx, "acme", unknown)
	require.ErrorAs(t, err, &e)
	require.Equal(t, http.StatusUnauthorized, e.Response.StatusCode, "the provider's own refusal")
	require.Equal(t, "Bad credentials", e.Message)
	_, _, err = client.Repositories.Get(ctx, "acme", limited)
	require.ErrorAs(t, err, new(*github.RateLimitError), "%v", err)
}

func githubUploads(t *testing.T, p place) {
	if p.base != "" {
		p = p.with("Bctrl-Host", "uploads.github.com") // GitHub has another host for these
	}
	path := filepath.Join(t.TempDir(), "site.zip")
	require.NoError(t, os.WriteFile(path, make([]byte, 300<<10), 0o600))
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	asset, _, err := githubClient(t, p).Repositories.UploadReleaseAsset(soon(t), "acme", "site", 9,
		&github.UploadOptions{Name: "site.zip"}, file)
	require.NoError(t, err)
	require.Equal(t, 300<<10, asset.GetSize())
	require.Equal(t, "application/zip", asset.GetContentType())
}

func githubNeverShowsTheKey(t *testing.T, p place) {
	repo, resp, err := githubClient(t, p).Repositories.Get(soon(t), "acme", echo)
	require.NoError(t, err)
	require.Equal(t, "Bearer [secret]", repo.GetDescription())
	require.Equal(t, "Bearer [secret]", resp.Header.Get("X-Echo"))
}

func githubRefusesWhatIsNotMounted(t *testing.T, p place) {
	_, _, err := githubClient(t, p).Users.Get(soon(t), "")
	var e *github.ErrorResponse
	require.ErrorAs(t, err, &e)
	require.Equal(t, http.StatusForbidden, e.Response.StatusCode)
	require.Contains(t, e.Message, "the missing right is capability.invoke", "the refusal says why")
}

func TestGitHubInOtherLanguages(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"python/github_sdk.py", "js/github.mjs"} {
		scripted(t, program, newGitHub, gitHub, "", map[string]any{
			"repo":       "acme/site",
			"issues":     list("issue 1", "issue 2"),
			"made":       "so & so",
			"file":       "# A\n",
			"deleted":    "linux",
			"refused":    float64(401),
			"redirected": true,
		})
	}
}
