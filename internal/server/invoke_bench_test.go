package server

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/standin"
)

// BenchmarkInvoke is a call to a provider, which answers within this process over HTTP/2. With TMPDIR in memory the
// disk has no part in it. There are as many callers as keep the processors busy: between calls one after the other
// these look for work, which hides what a call costs.
func BenchmarkInvoke(b *testing.B) {
	small := []byte(`{"object":"thing","text":"` + string(bytes.Repeat([]byte("lorem ipsum "), 80)) + `"}`)
	in, err := standin.New()
	require.NoError(b, err)
	defer in.Close()
	require.NoError(b, in.Serve(acmeHost, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(small)
	})))
	s, _, key := benchServer(b, func(cfg *Config) { cfg.ProviderRoots, cfg.ProviderInstead = in.Roots(), in.Instead })
	send := func(method string, path []string, body any) (answer *httptest.ResponseRecorder) {
		text, err := json.Marshal(body)
		require.NoError(b, err)
		req := httptest.NewRequestWithContext(b.Context(), method, target(path, nil), bytes.NewReader(text))
		req.Header.Set("Authorization", "Bearer "+key)
		req.Header.Set("Content-Type", "application/json")
		answer = httptest.NewRecorder()
		s.ServeHTTP(answer, req)
		require.Less(b, answer.Code, http.StatusBadRequest, answer.Body)
		return answer
	}
	var secret struct{ ID string }
	answer := send(http.MethodPost, []string{"secrets"}, object{"name": "ACME", "value": acmeKey, "scope": globally()})
	require.NoError(b, json.Unmarshal(answer.Body.Bytes(), &secret))
	send(http.MethodPost, []string{"credentials"}, object{
		"id": "acme", "provider": "acme", "secretRef": "vault:secret:" + secret.ID, "scope": globally(),
		"hosts": []string{acmeHost}, "auth": object{"type": "header", "headers": object{"X-Acme": "{secret}"}},
	})
	send(http.MethodPut, []string{"capabilities", "acme/things"},
		object{"methods": []string{http.MethodGet, http.MethodPost}, "paths": []string{"/v1/things"}})

	question := object{"method": http.MethodPost,
		"body": object{"model": "m", "messages": []any{object{"role": "user", "content": "Who pays?"}}}}
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			send(http.MethodPost, []string{"capabilities", "acme/things", "invoke"}, question)
		}
	})
}
