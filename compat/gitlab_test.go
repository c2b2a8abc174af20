package compat

import "testing"

var gitLab = provider{
	id: "gitlab", key: gitlabToken, secrets: map[string]string{"GITLAB_TOKEN": gitlabToken},
	allow: []string{"gitlab/projects", "gitlab/issues", "gitlab/repository"},
}

var gitlabPrints = map[string]any{
	"project": "group/project", "issues": list("issue 1"), "file": "# A\n", "made": "made", "missing": float64(404),
}

func TestGitLabInOtherLanguages(t *testing.T) {
	t.Parallel()
	scripted(t, "python/gitlab_sdk.py", newGitLab, gitLab, "", gitlabPrints)
	scripted(t, "js/gitlab.mjs", newGitLab, gitLab, "", gitlabPrints)
}
