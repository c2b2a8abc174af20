package bctrl_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/bctrl-go/bctrl"
)

// canned is a BCTRL server that fits into a map: it answers a request by its
// method and path, so that the examples run without a network. In your own
// tests use package bctrltest, which starts the real server.
type canned map[string]string

// RoundTrip implements [http.RoundTripper].
func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := 0
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		sent = len(body)
	}
	route := r.Method + " " + r.URL.EscapedPath()
	status, header := http.StatusOK, http.Header{"X-Request-Id": {"req-1"}, "Etag": {`"v1"`}}
	body, ok := c[route]
	if first, _, found := strings.Cut(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-"); found {
		from, err := strconv.Atoi(first)
		if err != nil {
			return nil, err
		}
		status, body = http.StatusPartialContent, body[from:]
		header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, from+len(body)-1, from+len(body)))
	}
	switch {
	case !ok:
		status, body = http.StatusNotFound,
			`{"error":"there is no such thing","code":"example.not_found","reasonClass":"not_found"}`
	case r.Method == http.MethodPut && strings.Contains(route, "/files/"):
		body = fmt.Sprintf(`{"logicalPath":"exports/q1.csv","sizeBytes":%d,"etag":"\"v1\""}`, sent)
	case strings.HasPrefix(route, "POST /v1/proxy/") || r.URL.Query().Has("stream"):
		header.Set("Content-Type", "text/event-stream")
		header.Set("Bctrl-Upstream-Status", "200")
	case r.Method == http.MethodHead:
		header.Set("Content-Length", strconv.Itoa(len(body)))
		body = ""
	}
	return &http.Response{
		StatusCode:    status,
		Header:        header,
		Request:       r,
		ContentLength: int64(len(body)),
		Body:          io.NopCloser(strings.NewReader(body)),
	}, nil
}

// acme is the id of the subaccount in the examples.
const acme = "0197a4f2-5c1e-7b3a-9d10-3f6a2b8c4d5e"

// cannedServer answers everything that the examples ask.
func cannedServer() canned {
	const (
		event = `{"seq":4211,"id":"01980a4e-0000-7000-8000-000000000000","time":"2026-01-02T03:04:05Z",` +
			`"caller":"runtime:rt-1","action":"vault.use","object":"prod/crm/salesforce","decision":"allow","outcome":"ok"}`
		credential = `{"id":"openai-prod","provider":"openai","label":"Production","enabled":true}`
		profile    = `{"id":"sf-bot","label":"Salesforce bot"}`
		mounts     = `{"ai":{"allow":["openai-prod"]},"vault":{"allow":["prod/crm/"],"allowRawReads":true},` +
			`"storage":{"workspace":"sales-exports"}}`
		workspace = `{"id":"ws-1","name":"sales-pipeline","version":1,"mounts":` + mounts + `}`
		runtime   = `{"id":"rt-1","workspaceId":"ws-1","alias":"crm","driver":"stagehand","status":"active",` +
			`"effectiveMounts":` + mounts + `}`
		stopped = `{"id":"rt-1","workspaceId":"ws-1","alias":"crm","driver":"stagehand","status":"stopped"}`
		entry   = `{"key":"prod/crm/salesforce","username":"bot@company.com","hasTotp":true,"version":1}`
		act     = `{"mode":"fail-fast","steps":[{"call":"stagehand.act","durationMs":8100,"result":{"success":true,` +
			`"message":"Exported Q1.","downloads":[{"logicalPath":"downloads/q1.csv"}]}}]}`
		subaccount = `{"id":"` + acme + `","name":"acme"}`
		object     = `{"logicalPath":"exports/q1.csv","sizeBytes":24,"source":"upload"}`
		brokered   = `{"id":"openai-eu","provider":"openai","scope":{"type":"global"},` +
			`"secretRefs":{"apiKey":"vault:secret:s-1"},"priority":0,"enabled":true,"provisioned":false}`
		capability = `{"id":"openai/chat-completions","provider":"openai","methods":["POST"],` +
			`"paths":["/v1/chat/completions"],"hosts":["api.openai.com"],"model":true,"builtin":true,"status":"ready"}`
		ownOne = `{"id":"acme/users","provider":"acme","methods":["GET"],"paths":["/v1/users"],"builtin":false,` +
			`"status":"available"}`
		binding = `{"capability":"openai/chat-completions","secretRef":"vault:secret:s-1","field":"apiKey",` +
			`"scope":{"type":"group","workspaceId":"ws-1","groupId":"emea"}}`
		ended = `{"id":"op-1","status":"succeeded","progress":{"step":1,"totalSteps":1,"currentCall":"stagehand.act"},` +
			`"result":` + act + `}`
	)
	s := canned{
		"GET /v1/audit": `{"events":[` + event + `],"nextCursor":null}`,
		"GET /v1/audit/verify": `{"ok":true,"events":4211,"records":38,"checkpoints":17,"signed":4211,` +
			`"head":{"seq":4211,"hash":""},"publicKey":"","problems":[]}`,
		"GET /v1/audit/export":                     event + "\n",
		"GET /v1/audit/stream":                     "id: 4211\nevent: audit\ndata: " + event + "\n\n",
		"POST /v1/ai-credentials":                  credential,
		"GET /v1/ai-credentials":                   `{"aiCredentials":[` + credential + `],"nextCursor":null}`,
		"GET /v1/ai-credentials/openai-prod":       credential,
		"PATCH /v1/ai-credentials/openai-prod":     strings.Replace(credential, "true", "false", 1),
		"DELETE /v1/ai-credentials/openai-prod":    `{}`,
		"POST /v1/ai-credentials/openai-prod/test": `{"ok":true,"provider":"openai","latencyMs":212}`,
		"GET /v1/vault": `{"keys":["prod/crm/salesforce"],"entries":[` + entry +
			`],"nextCursor":null}`,
		"PUT /v1/vault/prod%2Fcrm%2Fsalesforce":      entry,
		"GET /v1/vault/prod%2Fcrm%2Fsalesforce":      `{"username":"bot@company.com","password":"correct horse"}`,
		"DELETE /v1/vault/prod%2Fcrm%2Fsalesforce":   `{}`,
		"GET /v1/vault/prod%2Fcrm%2Fsalesforce/totp": `{"code":"287082","expiresAt":"2026-01-02T03:04:05Z"}`,
		"POST /v1/browser-profiles":                  profile,
		"GET /v1/browser-profiles":                   `{"browserProfiles":[` + profile + `],"nextCursor":null}`,
		"GET /v1/browser-profiles/sf-bot":            profile,
		"PATCH /v1/browser-profiles/sf-bot":          strings.Replace(profile, "Salesforce bot", "CRM", 1),
		"DELETE /v1/browser-profiles/sf-bot":         `{}`,
		"POST /v1/browser-profiles/sf-bot/clone":     strings.Replace(profile, "sf-bot", "sf-copy", 1),
		"POST /v1/workspaces":                        workspace,
		"GET /v1/workspaces":                         `{"workspaces":[` + workspace + `],"nextCursor":null}`,
		"GET /v1/workspaces/ws-1":                    workspace,
		"PATCH /v1/workspaces/ws-1":                  strings.Replace(workspace, `"version":1`, `"version":2`, 1),
		"DELETE /v1/workspaces/ws-1":                 `{}`,
		"GET /v1/workspaces/ws-1/state": `{"workspace":` + workspace + `,"runtimes":[` + runtime +
			`],"storage":{"namespace":"sales-exports","fileCount":3}}`,
		"POST /v1/workspaces/ws-1/execute":           act,
		"POST /v1/workspaces/ws-1/runtimes":          runtime,
		"GET /v1/workspaces/ws-1/runtimes":           `{"runtimes":[` + runtime + `],"nextCursor":null}`,
		"GET /v1/workspaces/ws-1/runtimes/crm":       runtime,
		"POST /v1/workspaces/ws-1/runtimes/crm/stop": stopped,
		"GET /v1/workspaces/ws-1/runtimes/crm/connect": `{"id":"cn-1",` +
			`"url":"wss://api.bctrl.ai/v1/cdp/devtools/browser/token","expiresAt":"2026-12-01T00:00:00Z"}`,
		"GET /v1/workspaces/ws-1/runtimes/crm/connect-urls": `{"connectUrls":[{"id":"cn-1","runtimeId":"rt-1",` +
			`"keyId":"key-1","createdAt":"2026-11-01T00:00:00Z","expiresAt":"2026-12-01T00:00:00Z",` +
			`"connections":2}],"nextCursor":null}`,
		"DELETE /v1/workspaces/ws-1/runtimes/crm/connect-urls/cn-1": `{"id":"cn-1","runtimeId":"rt-1",` +
			`"createdAt":"2026-11-01T00:00:00Z","expiresAt":"2026-12-01T00:00:00Z","connections":2}`,
		"GET /v1/operations": `{"operations":[{"id":"op-1","status":"running"}],"nextCursor":null}`,
		"GET /v1/operations/op-1/transcript": `{"steps":[{"number":1,"url":"https://crm.example.com/"}],` +
			`"nextCursor":null}`,
		"POST /v1/operations/op-1/replay":  `{"id":"op-2","status":"running"}`,
		"GET /v1/operations/op-1":          `{"id":"op-1","status":"running"}`,
		"POST /v1/operations/op-1/wait":    `{"operation":` + ended + `,"waitStatus":"completed"}`,
		"POST /v1/operations/op-1/cancel":  `{"id":"op-1","status":"cancelling"}`,
		"POST /v1/subaccounts":             subaccount,
		"GET /v1/subaccounts":              `{"subaccounts":[` + subaccount + `],"nextCursor":null}`,
		"POST /v1/credentials":             brokered,
		"GET /v1/credentials":              `{"credentials":[` + brokered + `],"nextCursor":null}`,
		"GET /v1/credentials/openai-eu":    brokered,
		"PATCH /v1/credentials/openai-eu":  strings.Replace(brokered, `"enabled":true`, `"enabled":false`, 1),
		"DELETE /v1/credentials/openai-eu": `{}`,
		"GET /v1/capabilities": `{"capabilities":[` + ownOne + `,` + capability +
			`],"nextCursor":null}`,
		"PUT /v1/capabilities/acme%2Fusers":    ownOne,
		"DELETE /v1/capabilities/acme%2Fusers": `{}`,
		"GET /v1/bindings":                     `{"bindings":[` + binding + `],"nextCursor":null}`,
		"PUT /v1/bindings":                     binding,
		"DELETE /v1/bindings":                  `{}`,
		"GET /v1/storage/objects":              `{"objects":[` + object + `],"nextCursor":null}`,
	}
	s["POST /v1/workspaces/ws-1/runtimes/crm/tokens"] = `{"token":"` + exampleToken +
		`","id":"01980000-0000-7000-8000-000000000001","expiresAt":"2026-01-02T03:04:05Z"}`
	s["POST /v1/workspaces/ws-1/runtimes/crm/save-profile"] = `{"profileId":"sf-bot","cookies":12,"sizeBytes":51200,` +
		`"savedAt":"2026-01-02T03:04:05Z"}`
	s["POST /v1/browser-profiles/sf-bot/cookies/export"] = `{"profileId":"sf-bot","cookies":12,` +
		`"exportedAt":"2026-01-02T03:04:05Z","bundle":"YmN0cmwgY29va2llcyAxCg=="}`
	s["POST /v1/browser-profiles/sf-bot/cookies/import"] = `{"imported":1,"expired":0,"cookies":13}`
	s["DELETE /v1/tokens/01980000-0000-7000-8000-000000000001"] = `{"id":"01980000-0000-7000-8000-000000000001"}`
	s["POST /v1/workspaces/ws-1/runtimes/crm/embed/live"] = `{"id":"view-1",` +
		`"url":"https://api.bctrl.ai/embed/live/token","interactive":true,"embedOrigins":["https://app.example.com"],` +
		`"createdAt":"2026-01-02T03:04:05Z",` +
		`"expiresAt":"2026-01-02T03:19:05Z"}`
	s["GET /v1/workspaces/ws-1/runtimes/crm/embed/live"] = `{"liveViews":[{"id":"view-1","interactive":true,` +
		`"embedOrigins":[],"createdAt":"2026-01-02T03:04:05Z","expiresAt":"2026-01-02T03:19:05Z",` +
		`"openedAt":"2026-01-02T03:05:05Z"}]}`
	s["DELETE /v1/workspaces/ws-1/runtimes/crm/embed/live/view-1"] = `{}`
	s["POST /v1/workspaces/ws-1/runtimes/crm/embed/recording"] = `{"status":"recording",` +
		`"url":"https://api.bctrl.ai/embed/recording/token","expiresAt":"2026-01-02T04:04:05Z",` +
		`"startedAt":"2026-01-02T03:04:05Z","durationMs":65000,"bytes":1000,"truncated":false,"marks":[` +
		`{"atMs":0,"kind":"page","text":"https://login.salesforce.com/"},{"atMs":2000,"kind":"step","text":"stagehand.act"}]}`
	s["POST /v1/workspaces/ws-1/runtimes/crm/explain"] = `{"allowed":false,"level":0,"field":"mounts.vault.allow",` +
		`"reason":"no entry allows it"}`
	s["GET /v1/self"] = `{"kind":"token","organization":"org-1","tokenId":"01980000-0000-7000-8000-000000000001",` +
		`"expiresAt":"2026-01-02T03:04:05Z","runtime":` + runtime + `}`
	s["GET /v1/capabilities/openai%2Fchat-completions"] = capability
	s["PUT /v1/capabilities/openai%2Fchat-completions/policy"] = `{"callsPerMinute":60,"redact":["api_key"]}`
	const chat = `{"choices":[{"message":{"content":"Hello."}}]}`
	s["POST /v1/capabilities/openai%2Fchat-completions/invoke"] = `{"status":200,"headers":{},"credential":"openai-eu",` +
		`"tier":"group","durationMs":812,"body":` + chat + `}`
	s["POST /v1/proxy/openai%2Fchat-completions/v1/chat/completions"] = chat
	s["DELETE /v1/subaccounts/"+acme] = `{}`
	seal := `{"locked":false,"source":"file","keyId":"3f1c9a7be2d05486","createdAt":"2026-01-02T03:04:05Z","dataKeys":2}`
	node := `{"id":"01980a4e-6a3c-7f1e-8c1d-3b2a5d9e4f60","number":7,"name":"alpha",` +
		`"address":"10.1.2.3:7443","version":"v1.0.0",` +
		`"state":"serving","locked":false,"runtimes":3,"room":17,"leads":true,"self":true,` +
		`"leaseMs":5200,"startedAt":"2026-01-02T03:04:05Z"}`
	s["GET /v1/nodes"] = `{"nodes":[` + node + `]}`
	s["POST /v1/nodes/01980a4e-6a3c-7f1e-8c1d-3b2a5d9e4f60/drain"] = strings.Replace(node, "serving", "draining", 1)
	s["GET /v1/seal"], s["POST /v1/seal/unlock"] = seal, seal
	s["POST /v1/seal/lock"] = strings.Replace(seal, "false", "true", 1)
	s["POST /v1/seal/rotate"] = strings.Replace(seal, `"dataKeys"`, `"lastRotatedAt":"2026-02-03T04:05:06Z","dataKeys"`, 1)
	const files = "/v1/storage/namespaces/sales-exports/"
	s["GET "+files+"browse"] = `{"files":[{"logicalPath":"readme.txt"}],"folders":[{"path":"exports/","fileCount":2}],` +
		`"nextCursor":null}`
	const file = files + "files/exports%2Fq1.csv"
	s["GET "+file] = "account,amount\nAcme,120\n"
	s["HEAD "+file], s["PUT "+file], s["DELETE "+file] = s["GET "+file], "", "{}"
	s["GET "+file+"/download-url"] = `{"url":"https://api.bctrl.ai/v1/downloads/signature/q1.csv","expiresIn":600}`
	maps.Copy(s, cannedSecrets())
	maps.Copy(s, cannedEvents())
	maps.Copy(s, cannedWebhooks())
	return s
}

// cannedCalls answers with the event of a call that a binding gave its secret.
func cannedCalls() canned {
	return canned{"GET /v1/audit": `{"events":[{"seq":4212,"action":"capability.invoke",` +
		`"capability":"openai/chat-completions","credential":"openai-eu",` +
		`"tier":"global","secrets":[{"field":"apiKey","uid":"s-1","version":3,"tier":"group","binding":"b-1"}]}],` +
		`"nextCursor":null}`}
}

// exampleClient speaks to the server in memory.
func exampleClient(opts ...bctrl.Option) *bctrl.Client {
	return clientOf(cannedServer(), opts...)
}

func clientOf(server http.RoundTripper, opts ...bctrl.Option) *bctrl.Client {
	opts = append([]bctrl.Option{
		bctrl.WithAPIKey(bctrl.NewSecret("example")), bctrl.WithHTTPClient(&http.Client{Transport: server}),
	}, opts...)
	client, err := bctrl.New(opts...)
	if err != nil {
		panic(err)
	}
	return client
}

func exampleWorkspace() *bctrl.Workspace {
	ws, err := exampleClient().Workspaces.Get(context.Background(), "ws-1")
	if err != nil {
		panic(err)
	}
	return ws
}

func exampleRuntime() *bctrl.Runtime {
	rt, err := exampleWorkspace().Runtimes.Get(context.Background(), "crm")
	if err != nil {
		panic(err)
	}
	return rt
}

// stepping answers executions with the result of one step.
func stepping(call, result string) *bctrl.Runtime {
	s := cannedServer()
	s["POST /v1/workspaces/ws-1/execute"] = `{"mode":"fail-fast","steps":[{"call":"` + call +
		`","durationMs":5,"result":` + result + `}]}`
	return runtimeOf(s)
}

// asyncRuntime answers executions with an operation.
func asyncRuntime() *bctrl.Runtime {
	s := cannedServer()
	s["POST /v1/workspaces/ws-1/execute"] = `{"id":"op-1","status":"queued"}`
	return runtimeOf(s)
}

func runtimeOf(s canned) *bctrl.Runtime {
	ws, err := clientOf(s).Workspaces.Get(context.Background(), "ws-1")
	if err != nil {
		panic(err)
	}
	rt, err := ws.Runtimes.Get(context.Background(), "crm")
	if err != nil {
		panic(err)
	}
	return rt
}
