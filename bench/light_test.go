package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTheLightClientReadsToTheEndOfEachAnswer(t *testing.T) {
	var asked []string
	keys := map[string]bool{}
	answers := []http.HandlerFunc{
		func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "short") },
		func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("in chunks ", 2000))
		},
		func(http.ResponseWriter, *http.Request) {},
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		asked = append(asked, strings.Join(
			[]string{r.Method, r.URL.EscapedPath(), r.Header.Get("Authorization"), string(body)}, " "))
		keys[r.Header.Get("Idempotency-Key")] = true
		answers[len(asked)-1](w, r)
	}))
	conns, err := dialLight(t.Context(), s.URL, 1)
	if err != nil {
		s.Close()
		t.Fatal(err)
	}
	get := newLightRequest(http.MethodGet, "/v1/vault/{key}/totp", "k", nil, false)
	put := newLightRequest(http.MethodPut, "/v1/vault/{key}", "k", []byte("{}"), true)
	for _, r := range []lightRequest{get, put, put} {
		if err := conns[0].call(r, "a%2Fb"); err != nil {
			t.Error(err)
		}
	}
	if err := conns[0].call(get, "a%2Fb"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("an answer of 404 is %v", err)
	}
	if err := closeLight(conns); err != nil {
		t.Error(err)
	}
	s.Close()
	if len(keys) != 3 {
		t.Errorf("two calls with an idempotency key and two without have the idempotency keys %v", keys)
	}
	for i, want := range []string{
		"GET /v1/vault/a%2Fb/totp Bearer k ",
		"PUT /v1/vault/a%2Fb Bearer k {}",
		"PUT /v1/vault/a%2Fb Bearer k {}",
		"GET /v1/vault/a%2Fb/totp Bearer k ",
	} {
		if asked[i] != want {
			t.Errorf("the server was asked %q, want %q", asked[i], want)
		}
	}
}
