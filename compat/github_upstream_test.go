package compat

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"testing"
)

const githubToken = "github_pat_upstream0123456789abcdefghijklmnop"

// newGitHub is the API of GitHub, as far as go-github asks it here.
func newGitHub(t testing.TB) *upstream {
	u := newUpstream(t, "api.github.com", "uploads.github.com")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /repos/{owner}/{repo}", func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, http.StatusOK, map[string]any{"id": 1, "name": r.PathValue("repo"), "full_name": r.PathValue("owner") +
			"/" + r.PathValue("repo")})
	})
	mux.HandleFunc("POST /repos/{owner}/{repo}/issues", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Title, Body string }
		if decodeJSON(w, r, &in) {
			answerJSON(w, http.StatusCreated, map[string]any{"id": 7, "number": 7, "title": in.Title, "body": in.Body})
		}
	})
	mux.HandleFunc("GET /repos/{owner}/{repo}/issues", func(w http.ResponseWriter, r *http.Request) {
		page, _ := strconv.Atoi(r.URL.Query().Get("page")) // none is the first
		if page < 2 {
			// GitHub links to the repository by its number.
			w.Header().Set("Link", fmt.Sprintf(
				`<%[1]s/repositories/1/issues?page=2>; rel="next", <%[1]s/repositories/1/issues?page=2>; rel="last"`, itself(r)))
			page = 1
		}
		answerJSON(w, http.StatusOK, []any{issueNumber(page)})
	})
	mux.HandleFunc("GET /repositories/1/issues", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, http.StatusOK, []any{issueNumber(2)})
	})
	mux.HandleFunc("GET /repos/acme/site/contents/{path...}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("path") != "docs/a.md" {
			answerJSON(w, http.StatusNotFound, map[string]any{"message": "Not Found"})
			return
		}
		answerJSON(w, http.StatusOK, map[string]any{
			"type":     "file",
			"name":     "a.md",
			"path":     "docs/a.md",
			"sha":      "0",
			"size":     4,
			"encoding": "base64",
			"content":  base64.StdEncoding.EncodeToString([]byte("# A\n")),
			"url":      itself(r) + r.URL.EscapedPath(),
		})
	})
	mux.HandleFunc("DELETE /repos/acme/site/actions/caches", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("key") == "" { // which is what to delete
			answerJSON(w, http.StatusUnprocessableEntity, map[string]any{"message": "key is required"})
			return
		}
		answerJSON(w, http.StatusOK,
			map[string]any{"total_count": 1, "actions_caches": []any{map[string]any{"id": 5, "key": r.URL.Query().Get("key")}}})
	})
	mux.HandleFunc("GET /repos/{owner}/{repo}/pulls/{number}", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") != "application/vnd.github.v3.diff" {
			answerJSON(w, http.StatusNotAcceptable, map[string]any{"message": "want a diff"})
			return
		}
		w.Header().Set("Content-Type", "application/vnd.github.v3.diff; charset=utf-8")
		fmt.Fprint(w, "--- a/x\n+++ b/x\n")
	})
	mux.HandleFunc("POST /repos/{owner}/{repo}/releases/{id}/assets", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // the caller has gone: there is nobody to tell
		if r.Host != "uploads.github.com" || r.ContentLength != int64(len(body)) {
			answerJSON(w, http.StatusNotFound, map[string]any{"message": "not here, or not whole"})
			return
		}
		answerJSON(w, http.StatusCreated, map[string]any{
			"id":           3,
			"name":         r.URL.Query().Get("name"),
			"size":         len(body),
			"content_type": r.Header.Get("Content-Type"),
		})
	})
	mux.HandleFunc("GET /user", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, http.StatusOK, map[string]any{"login": "bot"})
	})
	u.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Ratelimit-Limit", "5000")
		w.Header().Set("X-Ratelimit-Remaining", "4999")
		w.Header().Set("X-Ratelimit-Reset", "4102444800")
		repo := path.Base(r.URL.Path)
		switch {
		case !slices.Contains([]string{"Bearer " + githubToken, "token " + githubToken},
			r.Header.Get("Authorization")) || repo == unknown:
			answerJSON(w, http.StatusUnauthorized,
				map[string]any{"message": "Bad credentials", "documentation_url": "https://docs.github.com/rest"})
		case repo == elsewhere:
			u.note(elsewhere)
			w.Header().Set("Location", itself(r)+"/repositories/2")
			answerJSON(w, http.StatusMovedPermanently, map[string]any{"message": "Moved Permanently"})
		case repo == limited:
			w.Header().Set("X-Ratelimit-Remaining", "0")
			answerJSON(w, http.StatusForbidden, map[string]any{"message": "API rate limit exceeded"})
		case repo == echo:
			w.Header().Set("X-Echo", "Bearer "+githubToken)
			answerJSON(w, http.StatusOK, map[string]any{"id": 1, "name": echo, "description": r.Header.Get("Authorization")})
		default:
			mux.ServeHTTP(w, r)
		}
	})
	return u
}

func issueNumber(n int) map[string]any {
	return map[string]any{"id": n, "number": n, "title": fmt.Sprint("issue ", n)}
}
