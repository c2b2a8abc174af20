package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestOpenBaoIsMadeReadyAndAskedByItsAPI(t *testing.T) {
	// What a server says that is not ready yet: it does not lead, its mount is being made.
	notYet := map[string]int{
		"GET /v1/sys/health root":                 http.StatusTooManyRequests,
		"POST /v1/secret/data/work-c00-k00 token": http.StatusBadRequest,
	}
	answers := map[string]string{
		"PUT /v1/sys/init":                `{"keys_base64": ["share"], "root_token": "root"}`,
		"POST /v1/auth/token/create root": `{"auth": {"client_token": "token"}}`,
	}
	var asked, bodies []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		what := strings.TrimSpace(r.Method + " " + r.URL.Path + " " + token)
		asked, bodies = append(asked, what), append(bodies, string(body))
		if status, ok := notYet[what]; ok {
			delete(notYet, what)
			w.WriteHeader(status)
			return
		}
		if answer, ok := answers[what]; ok {
			_, _ = io.WriteString(w, answer)
			return
		}
		if r.Method != http.MethodGet {
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	defer s.Close()
	b := newOpenBao(s.URL)
	defer b.http.CloseIdleConnections()
	if err := b.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"PUT /v1/sys/init", "PUT /v1/sys/unseal",
		"GET /v1/sys/health root", "GET /v1/sys/health root",
		"POST /v1/sys/mounts/secret root", "POST /v1/sys/mounts/totp root",
		"POST /v1/sys/policies/acl/bench root", "POST /v1/auth/token/create root",
		"POST /v1/secret/data/work-c00-k00 token", "POST /v1/secret/data/work-c00-k00 token",
		"POST /v1/totp/keys/work-c00-k00 token",
	}
	if !slices.Equal(asked, want) {
		t.Errorf("OpenBao was asked\n%s\nwant\n%s", strings.Join(asked, "\n"), strings.Join(want, "\n"))
	}
	if b.token != "token" {
		t.Errorf("it is measured with %q", b.token)
	}

	asked, bodies = nil, nil
	server := peerServer{process: &process{url: s.URL}, key: "token", openBao: true}
	conns, err := dialLight(t.Context(), s.URL, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, cost := range peerCosts() {
		request, err := server.request(cost)
		if err != nil {
			t.Fatal(err)
		}
		answers["PUT /v1/secret/data/work-c00-k01 token"] = "{}"
		if err := conns[0].call(request, server.entry(1)); err != nil {
			t.Errorf("%s: %v", cost.name, err)
		}
	}
	if err := closeLight(conns); err != nil {
		t.Error(err)
	}
	set := "PUT /v1/secret/data/work-c00-k01 token"
	want = []string{"GET /v1/secret/data/work-c00-k01 token", "GET /v1/totp/code/work-c00-k01 token", set, set, set}
	if !slices.Equal(asked, want) {
		t.Fatalf("OpenBao was asked %q, want %q", asked, want)
	}
	for _, body := range bodies[2:] {
		var in openBaoSecret
		if err := json.Unmarshal([]byte(body), &in); err != nil || in.Data.Password != sampleLogin().Password {
			t.Errorf("a set sends %s, %v", body, err)
		}
	}
}

func TestOpenBaoKeepsEverythingInItsFolderAndListensOnLoopback(t *testing.T) {
	addresses, err := freeAddresses(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if addresses[0] == addresses[1] {
		t.Errorf("it has one address, %s, for both of its listeners", addresses[0])
	}
	dir := t.TempDir()
	text, err := openBaoSettings(dir, addresses[0], addresses[1])
	if err != nil {
		t.Fatal(err)
	}
	var settings struct {
		Listener struct {
			TCP struct {
				Address        string
				ClusterAddress string `json:"cluster_address"`
			}
		}
		Storage struct{ Raft struct{ Path string } }
		Audit   []struct {
			File struct {
				Uses struct {
					Options struct {
						Path string `json:"file_path"`
					}
				}
			}
		}
	}
	if err := json.Unmarshal(text, &settings); err != nil {
		t.Fatal(err)
	}
	if len(settings.Audit) != 1 {
		t.Fatalf("it has %d records of uses", len(settings.Audit))
	}
	for _, address := range []string{settings.Listener.TCP.Address, settings.Listener.TCP.ClusterAddress} {
		if !strings.HasPrefix(address, "127.0.0.1:") {
			t.Errorf("it listens on %s", address)
		}
	}
	for _, path := range []string{settings.Storage.Raft.Path, settings.Audit[0].File.Uses.Options.Path} {
		if filepath.Dir(path) != dir {
			t.Errorf("it writes to %s, which is not in %s", path, dir)
		}
	}
	for _, one := range openBaoCommand(t.Context(), openBaoProgram, dir).Env {
		if !strings.HasSuffix(one, "="+dir) {
			t.Errorf("its environment has %s", one)
		}
	}
}
