package extract_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// page is a server whose one runtime extracts the same from every page.
type page struct {
	url, data string
	truncated bool
	// asked is the body of the newest execution; empty where there was none.
	asked string
}

// RoundTrip implements [http.RoundTripper].
func (p *page) RoundTrip(r *http.Request) (*http.Response, error) {
	const runtime = `{"id":"rt-1","workspaceId":"ws-1","alias":"crm","status":"active",` +
		`"effectiveMounts":{"ai":{"allow":["prod"]}}}`
	body := runtime
	switch {
	case strings.HasSuffix(r.URL.Path, "/execute"):
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		p.asked = string(sent)
		result, err := json.Marshal(bctrl.ExtractResult{Data: json.RawMessage(p.data), URL: p.url, Truncated: p.truncated})
		if err != nil {
			return nil, err
		}
		body = `{"mode":"fail-fast","steps":[{"call":"stagehand.extract","durationMs":1,"result":` + string(result) + `}]}`
	case r.URL.Path == "/v1/workspaces/ws-1":
		body = `{"id":"ws-1","name":"sales","version":1,"mounts":{"ai":{"allow":["prod"]}}}`
	}
	return &http.Response{
		StatusCode:    http.StatusOK,
		Header:        http.Header{"X-Request-Id": {"req-1"}},
		Request:       r,
		ContentLength: int64(len(body)),
		Body:          io.NopCloser(strings.NewReader(body)),
	}, nil
}

// runtime is the runtime of such a server.
func (p *page) runtime() (*bctrl.Runtime, error) {
	client, err := bctrl.New(bctrl.WithAPIKey(bctrl.NewSecret("example")),
		bctrl.WithHTTPClient(&http.Client{Transport: p}))
	if err != nil {
		return nil, err
	}
	ws, err := client.Workspaces.Get(context.Background(), "ws-1")
	if err != nil {
		return nil, err
	}
	return ws.Runtimes.Get(context.Background(), "crm")
}

// schemaOf is the schema that was sent.
func (p *page) schemaOf(t *testing.T) string {
	t.Helper()
	var sent struct {
		Steps []struct {
			Args struct {
				Schema json.RawMessage `json:"schema"`
			} `json:"args"`
		} `json:"steps"`
	}
	require.NoError(t, json.Unmarshal([]byte(p.asked), &sent))
	require.Len(t, sent.Steps, 1)
	return string(sent.Steps[0].Args.Schema)
}
