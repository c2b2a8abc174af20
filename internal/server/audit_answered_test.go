package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// Whoever has the end of an answer finds how it ended in the log, whatever kind
// of request it was and however the log is read.
func TestWhoHasBeenAnsweredFindsTheOutcomeInTheLog(t *testing.T) {
	c := newCallers(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Has("empty"):
			w.WriteHeader(http.StatusNoContent)
		case r.Method == http.MethodHead:
			w.Header().Set("Content-Length", "12345")
		default:
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, strings.Repeat("some of it\n", 10))
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "the rest")
		}
	})
	c.ok("PUT", []string{"vault", "prod/crm"}, object{"username": "u", "password": "a-password-0123"}, nil)
	ws := c.workspace("w", bctrl.Mounts{})
	rt := c.launchIn(ws, "r", "")
	get := func(method, path string) func(context.Context) {
		return func(ctx context.Context) {
			req, err := http.NewRequestWithContext(ctx, method, c.srv.URL+path, nil)
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer "+c.key)
			resp, err := c.srv.Client().Do(req)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Less(t, resp.StatusCode, 300)
		}
	}
	kinds := []struct {
		why, action string
		do          func(context.Context)
	}{
		{"an invocation", "capability.invoke", func(ctx context.Context) {
			_, err := c.client.Capabilities.Invoke(ctx, things())
			require.NoError(t, err)
		}},
		{"a streamed one", "capability.invoke", func(ctx context.Context) {
			s, err := c.client.Capabilities.Stream(ctx, things())
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, s)
			require.NoError(t, err)
			require.NoError(t, s.Close())
		}},
		{"a request that is passed through", "capability.invoke", get("GET", "/v1/proxy/acme%2Fthings/v1/things")},
		{"one for a header alone", "capability.invoke", get("HEAD", "/v1/proxy/acme%2Fthings/v1/things")},
		{"one without an answer's body", "capability.invoke", get("GET", "/v1/proxy/acme%2Fthings/v1/things?empty=1")},
		{"a login", "vault.readRaw", get("GET", "/v1/vault/prod%2Fcrm")},
		{"an execution", "runtime.execute", func(context.Context) {
			c.ok("POST", []string{"workspaces", ws.ID, "execute"},
				object{"runtime": rt.Alias, "steps": []object{{"call": "page.goto",
					"args": object{"url": "https://example.com/"}}}}, nil)
		}},
		{"an operation", "runtime.execute", func(context.Context) {
			var op bctrl.OperationInfo
			c.ok("POST", []string{"workspaces", ws.ID, "execute"}, object{
				"runtime": rt.Alias, "async": true, "steps": []object{{"call": "page.goto",
					"args": object{"url": "https://example.com/"}}},
			}, &op)
			c.settled(func() bool {
				c.ok("GET", []string{"operations", op.ID}, nil, &op)
				return op.Status == bctrl.OperationSucceeded
			}, "it ends")
		}},
		{"a connect URL", "runtime.connect", get("GET", "/v1/workspaces/"+ws.ID+"/runtimes/"+rt.Alias+"/connect")},
	}
	for _, kind := range kinds {
		for n := range 12 {
			kind.do(t.Context())
			var last bctrl.AuditEvent
			switch n % 2 {
			case 0:
				last = c.log(bctrl.AuditFilter{Action: kind.action})[0]
			case 1:
				var text bytes.Buffer
				require.NoError(t, c.client.Audit.Export(t.Context(), &text, bctrl.AuditFilter{Action: kind.action}))
				lines := slices.Collect(strings.Lines(text.String()))
				require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
			}
			require.Equal(t, bctrl.AuditOK, last.Outcome, "%s, read in way %d", kind.why, n%2)
		}
	}
}
