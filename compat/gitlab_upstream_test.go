package compat

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
)

const gitlabToken = "glpat-upstream0123456789abcd"

// newGitLab is the API of GitLab, as far as its SDKs ask it here. Projects and
// files are named with escaped slashes.
func newGitLab(t testing.TB) *upstream {
	u := newUpstream(t, "gitlab.com")
	project := map[string]any{"id": 7, "name": "project", "path_with_namespace": "group/project"}
	u.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Private-Token") != gitlabToken {
			answerJSON(w, http.StatusUnauthorized, map[string]any{"message": "401 Unauthorized"})
			return
		}
		switch r.Method + " " + r.URL.EscapedPath() {
		case "GET /api/v4/projects/group%2Fproject":
			answerJSON(w, http.StatusOK, project)
		case "GET /api/v4/projects/7/issues", "GET /api/v4/projects/group%2Fproject/issues":
			page := "1"
			if r.URL.Query().Get("page") == "2" {
				page = "2"
			} else {
				w.Header().Set("Link", fmt.Sprintf(`<%s%s?id=7&page=2&per_page=1>; rel="next"`, itself(r), r.URL.EscapedPath()))
				w.Header().Set("X-Next-Page", "2")
			}
			w.Header().Set("X-Page", page)
			w.Header().Set("X-Per-Page", "1")
			answerJSON(w, http.StatusOK, []any{map[string]any{"id": 10, "iid": 1, "project_id": 7, "title": "issue " + page}})
		case "GET /api/v4/projects/7/repository/files/docs%2Fa.md",
			"GET /api/v4/projects/group%2Fproject/repository/files/docs%2Fa.md",
			"GET /api/v4/projects/7/repository/files/docs%2Fa%2Emd",
			"GET /api/v4/projects/group%2Fproject/repository/files/docs%2Fa%2Emd":
			answerJSON(w, http.StatusOK, map[string]any{
				"file_name": "a.md",
				"file_path": "docs/a.md",
				"encoding":  "base64",
				"content":   base64.StdEncoding.EncodeToString([]byte("# A\n")),
			})
		case "POST /api/v4/projects/7/issues", "POST /api/v4/projects/group%2Fproject/issues":
			answerJSON(w, http.StatusCreated, map[string]any{"id": 11, "iid": 2, "project_id": 7, "title": "made"})
		default:
			answerJSON(w, http.StatusNotFound, map[string]any{"message": "404 Not Found"})
		}
	})
	return u
}

// itself is the address that a request was sent to, as the provider knows it.
func itself(r *http.Request) string {
	if r.TLS == nil {
		return "http://" + r.Host
	}
	return "https://" + r.Host
}
