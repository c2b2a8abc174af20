package compat

import (
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	gitlab "gitlab.com/gitlab-org/api/client-go"
)

var gitLab = provider{
	id:      "gitlab",
	key:     gitlabToken,
	secrets: map[string]string{"GITLAB_TOKEN": gitlabToken},
	allow:   []string{"gitlab/projects", "gitlab/issues", "gitlab/repository"},
}

func TestGitLab(t *testing.T) {
	everywhere(t, newGitLab, gitLab, []program{
		{"answers", true, gitlabAnswers},
		{"refuses what is not mounted", false, gitlabRefusesWhatIsNotMounted},
	})
}

func gitlabClient(t testing.TB, p place) *gitlab.Client {
	t.Helper()
	opts := []gitlab.ClientOptionFunc{gitlab.WithHTTPClient(p.http), gitlab.WithoutRetries()}
	if p.base != "" {
		opts = append(opts, gitlab.WithBaseURL(p.base))
	}
	client, err := gitlab.NewClient(p.key, opts...)
	require.NoError(t, err)
	return client
}

func gitlabAnswers(t *testing.T, p place) {
	client, ctx := gitlabClient(t, p), gitlab.WithContext(soon(t))
	project, _, err := client.Projects.GetProject("group/project", nil, ctx)
	require.NoError(t, err)
	require.Equal(t, "group/project", project.PathWithNamespace)

	var titles []string
	for issue, err := range gitlab.Scan2(func(page gitlab.PaginationOptionFunc) ([]*gitlab.Issue,
		*gitlab.Response, error) {
		return client.Issues.ListProjectIssues("group/project", nil, page, ctx)
	}) {
		require.NoError(t, err)
		titles = append(titles, issue.Title)
	}
	require.Equal(t, []string{"issue 1", "issue 2"}, titles)

	file, _, err := client.RepositoryFiles.GetFile("group/project", "docs/a.md",
		&gitlab.GetFileOptions{Ref: new("main")}, ctx)
	require.NoError(t, err)
	text, err := base64.StdEncoding.DecodeString(file.Content)
	require.NoError(t, err)
	require.Equal(t, "# A\n", string(text))

	_, resp, err := client.Projects.GetProject("group/missing", nil, ctx)
	require.Error(t, err)
	require.Equal(t, http.StatusNotFound, resp.StatusCode, "the provider's own refusal")
}

func gitlabRefusesWhatIsNotMounted(t *testing.T, p place) {
	_, _, err := gitlabClient(t, p).Users.CurrentUser(gitlab.WithContext(soon(t)))
	require.Error(t, err)
	require.Contains(t, err.Error(), "the missing right is capability.invoke", "the refusal says why")
}

func TestGitLabInOtherLanguages(t *testing.T) {
	t.Parallel()
	prints := map[string]any{
		"project": "group/project",
		"issues":  list("issue 1", "issue 2"),
		"file":    "# A\n",
		"made":    "made",
		"missing": float64(404),
	}
	scripted(t, "python/gitlab_sdk.py", newGitLab, gitLab, "", prints)
	scripted(t, "js/gitlab.mjs", newGitLab, gitLab, "", prints)
}
