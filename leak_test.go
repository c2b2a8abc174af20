package bctrl

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/davecgh/go-spew/spew"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// filled returns a T whose every field that can be set is set, each Secret to
// the canary.
func filled[T any]() any {
	var v T
	fillIn(reflect.ValueOf(&v).Elem(), 0)
	return v
}

func fillIn(v reflect.Value, depth int) {
	if depth > 8 || !v.CanSet() {
		return
	}
	switch v.Interface().(type) {
	case Secret:
		v.Set(reflect.ValueOf(NewSecret(canary)))
		return
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
		return
	case json.RawMessage:
		v.SetBytes([]byte(`{}`))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillIn(v.Elem(), depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			fillIn(v.Field(i), depth+1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillIn(v.Index(0), depth+1)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		elem := reflect.New(v.Type().Elem()).Elem()
		fillIn(elem, depth+1)
		key := reflect.New(v.Type().Key()).Elem()
		fillIn(key, depth+1)
		v.SetMapIndex(key, elem)
	}
}

// samples holds a value of every exported type. Handles are live: their client
// has the canary as its key and has spoken over a real connection, so that
// whatever keeps headers in a buffer keeps them now.
func samples(t *testing.T) map[string]any {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		body := `{"id":"op-1"}`
		switch {
		case strings.HasSuffix(r.URL.Path, "/runtimes"):
			body = runtimeBody
		case strings.HasPrefix(r.URL.Path, "/v1/workspaces"):
			body = workspaceBody
		case r.URL.Path == pathSelf:
			body = `{"kind":"token","runtime":` + runtimeBody + `}`
		case strings.HasPrefix(r.URL.Path, "/v1/capabilities"):
			w.Header().Set(wire.HeaderUpstreamStatus, "200")
			body = strings.Repeat("content", 1<<16)
		case strings.HasPrefix(r.URL.Path, "/v1/storage"):
			body = strings.Repeat("content", 1<<16)
		}
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	c, err := New(WithAPIKey(NewSecret("key-"+canary)), WithBaseURL(srv.URL))
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	_, err = c.Vault.Set(t.Context(), "prod/crm/sf", VaultCredential{Password: NewSecret(canary)})
	require.NoError(t, err)
	ws, err := c.Workspaces.Get(t.Context(), "ws-1")
	require.NoError(t, err)
	launcher := ws.Runtimes.Browser("crm")
	rt, err := launcher.Stagehand(t.Context(), Launch{})
	require.NoError(t, err)
	rt, err = rt.Narrow(Mounts{Vault: &VaultMount{Allow: []string{"prod/crm/"}}})
	require.NoError(t, err)
	self, err := c.Self(t.Context())
	require.NoError(t, err)
	op, err := c.Operations.Get(t.Context(), "op-1")
	require.NoError(t, err)
	reader, err := c.Storage("ns").Open(t.Context(), "a.csv")
	require.NoError(t, err)
	_, err = reader.Read(make([]byte, 1))
	require.NoError(t, err)
	t.Cleanup(func() { reader.Close() })
	stream, err := c.Capabilities.Stream(t.Context(), Invocation{Capability: "openai/chat-completions"})
	require.NoError(t, err)
	t.Cleanup(func() { stream.Close() })
	failure := (&exchange{r: &request{method: "GET", path: "/v1/vault/{key}"}}).fail(&Error{Code: "x.y", Message: "no",
		cause: errors.New("cause")})

	m := map[string]any{
		"Client": c, "AICredentialsService": c.AICredentials, "VaultService": c.Vault, "SecretsService": c.Secrets,
		"WorkspacesService":      c.Workspaces,
		"BrowserProfilesService": c.Profiles, "OperationsService": c.Operations, "SubaccountsService": c.Subaccounts,
		"AuditService":       c.Audit,
		"CredentialsService": c.Credentials, "CapabilitiesService": c.Capabilities, "SealService": c.Seal,
		"NodesService":    c.Nodes,
		"WebhooksService": c.Webhooks,
		"Storage":         rt.Storage, "RuntimesService": ws.Runtimes,
		"Workspace": ws, "BrowserLauncher": launcher, "Runtime": rt, "RuntimeVault": rt.Vault, "RuntimeAI": rt.AI,
		"RuntimeCapabilities": rt.Capabilities,
		"Stagehand":           rt.Stagehand, "BrowserUse": rt.BrowserUse, "BrowserPage": rt.Page, "BrowserPages": rt.Pages,
		"RuntimeFiles": rt.Files,
		"Caller":       self, "Operation": op, "StorageReader": reader,
		"InvokeStream": stream, "Error": failure,
		"Option": WithAPIKey(NewSecret(canary)), "CallOption": WithIdempotencyKey("k"), "UploadOption": WithSize(1),
		"OpenOption": WithRange(0, 1), "DeleteOption": WithForce(), "Hook": Hook(nil),
		"ActCallOption": ActOptions{}, "GotoCallOption": GotoOptions{}, "ObserveCallOption": ObserveOptions{},
		"ExtractCallOption": ExtractOptions{},
		"AgentCallOption":   AgentOptions{}, "BrowserUseCallOption": BrowserUseOptions{},
		"Page":   filled[Page[VaultCredential]](),
		"Update": Update{}, "Provider": OpenAI, "ScopeFilter": filled[ScopeFilter](), "UpdatesCallOption": UpdatesOptions{},
		"EventData": EventData(StoppedEvent{}),
	}
	for _, v := range []any{
		filled[AICredential](), filled[AICredentialCreate](), filled[AICredentialUpdate](), filled[AICredentialTest](),
		filled[VaultCredential](), filled[VaultEntry](), filled[VaultFilter](), filled[VaultFill](),
		filled[StorageObject](), filled[StorageFolder](), filled[StorageItem](), filled[BrowseOptions](),
		filled[BrowsePage](),
		filled[ObjectFilter](), filled[StorageSource](), filled[StorageUsage](),
		filled[WorkspaceInfo](), filled[WorkspaceCreate](), filled[WorkspaceUpdate](), filled[WorkspaceState](),
		filled[RuntimeInfo](), filled[RuntimeCreate](), filled[RuntimeSummary](), filled[RuntimeKind](),
		filled[RuntimeStatus](),
		filled[Driver](), filled[Launch](), filled[LaunchMode](), filled[LaunchConfig](),
		filled[ClientHints](), filled[BrandVersion](), filled[Geolocation](), filled[ColorScheme](),
		filled[OriginPermissions](), filled[DownloadPolicy](), filled[LaunchDownloads](), filled[LaunchProxy](),
		filled[LaunchHeader](),
		filled[Call](), filled[Execution](), filled[ExecutionMode](), filled[ExecutionResult](), filled[Step](),
		filled[StepResult](),
		filled[ActArgs](), filled[ActOptions](), filled[ActResult](), filled[ActAction](), filled[GotoArgs](),
		filled[GotoResult](), filled[GotoOptions](), filled[WaitUntil](),
		filled[ScreenshotArgs](), filled[FillArgs](), filled[FillResult](), filled[Usage](),
		filled[PDFOptions](), filled[PDFMargins](), filled[PaperSize](), filled[PDFResult](),
		filled[PagesArgs](), filled[PagesResult](), filled[PageInfo](),
		filled[Connection](), filled[ConnectURLInfo](),
		filled[LiveOptions](), filled[LiveView](), filled[Recording](), filled[RecordingOptions](),
		filled[RecordingMark](), filled[RecordingStatus](),
		filled[ModelUsage](), filled[ModelChoice](), filled[Budget](),
		filled[VisionMode](), filled[CacheMode](), filled[Limit](), filled[ElementDescription](), filled[TranscriptStep](),
		filled[Observed](), filled[ObserveArgs](), filled[ObserveOptions](), filled[ObserveResult](),
		filled[ReplayArgs](), filled[TranscriptInfo](), filled[OperationFilter](),
		filled[ExtractArgs](), filled[ExtractOptions](), filled[ExtractResult](),
		filled[AgentArgs](), filled[AgentOptions](), filled[AgentResult](), filled[AgentAction](),
		filled[BrowserUseArgs](), filled[BrowserUseOptions](),
		filled[OperationInfo](), filled[OperationStatus](), filled[OperationProgress](),
		filled[AuditEvent](), filled[AuditSecret](), filled[AuditFilter](), filled[AuditDecision](), filled[AuditReport](),
		filled[AuditHead](),
		filled[AuditProblem](), filled[AuditProblemKind](),
		filled[BrowserProfile](), filled[BrowserProfileCreate](), filled[BrowserProfileUpdate](),
		filled[Cookie](), filled[CookieSameSite](), filled[CookiePartition](), filled[CookieImport](),
		filled[CookieExport](), filled[CookiesImported](), filled[ProfileSaved](),
		filled[Subaccount](), filled[SubaccountCreate](),
		filled[SecretInfo](), filled[SecretCreate](), filled[SecretUpdate](), filled[SecretImport](),
		filled[SecretsImported](),
		filled[Scope](), filled[ScopeType](), filled[SecretFilter](),
		filled[Credential](), filled[CredentialCreate](), filled[CredentialUpdate](),
		filled[Capability](), filled[CapabilityStatus](), filled[CapabilitySecret](), filled[CapabilityPolicy](),
		filled[CapabilityCreate](),
		filled[CapabilityFilter](), filled[Binding](), filled[BindingFilter](),
		filled[SealStatus](), filled[SealSource](), filled[SealKey](), filled[Node](), filled[NodeState](),
		filled[Invocation](), filled[FormPart](), filled[InvokeResponse](), filled[CallTarget](),
		filled[CredentialAuth](), filled[AuthType](), filled[OAuth2Auth](), filled[SigV4Auth](), filled[HMACAuth](),
		filled[EventType](), Event{Data: NavigatedEvent{URL: "x"}}, filled[LaunchedEvent](), filled[NavigatedEvent](),
		filled[TabOpenedEvent](), filled[TabClosedEvent](), filled[DownloadedEvent](), filled[DialogEvent](),
		filled[HostRefusedEvent](), filled[StepStartedEvent](), filled[StepEndedEvent](), filled[CrashedEvent](),
		filled[StoppedEvent](), filled[FailedEvent](), filled[OperationStartedEvent](), filled[OperationProgressEvent](),
		filled[OperationEndedEvent](), filled[WorkspaceCreatedEvent](), filled[WorkspaceChangedEvent](),
		filled[WorkspaceDeletedEvent](), filled[GapEvent](), filled[UnknownEvent](),
		filled[WebhookDisabledEvent](), filled[WebhookTestEvent](), filled[Webhook](), filled[NewWebhook](),
		filled[WebhookCreate](), filled[WebhookUpdate](), filled[WebhookStatus](), filled[WebhookDelivery](),
		filled[WebhookRotation](), filled[UpdatesOptions](), filled[EventsOptions](), filled[WaitEventOptions](),
		filled[Mounts](), filled[AIMount](), filled[VaultMount](), filled[StorageMount](), filled[StorageAccess](),
		filled[CapabilityMount](), filled[WebMount](),
		filled[AIProvider](), filled[Chain](), filled[Verb](), filled[Action](), filled[Decision](),
		filled[TokenRequest](), filled[TokenInfo](), filled[CallerKind](),
		filled[Secret](), filled[Problem](), filled[PageOptions](), filled[Cursor](), filled[ResponseInfo](),
		filled[Attempt](),
	} {
		m[reflect.TypeOf(v).Name()] = v
	}
	return m
}

func TestNoPrinterShowsASecretOfAnyExportedType(t *testing.T) {
	values := samples(t)
	for _, name := range exportedTypes(t) {
		_, sampled := values[name]
		require.True(t, sampled, "%s is a new type: add a value of it to samples", name)
	}
	for name, v := range values {
		for how, text := range printed(v) {
			require.NotContains(t, text, canary, "%s by %s", name, how)
		}
	}
}

func TestThePrintersOfThisTestDoFindWhatIsNotHidden(t *testing.T) {
	type open struct{ password string }
	found := printed(open{canary})
	for _, how := range []string{
		"%v of value", "%+v of pointer", "%#v of slice", "%s of map", "%q of hidden", "slog text of value",
		"slog text of hidden",
		"spew of pointer to hidden", "bare spew of hidden", "testify of value", "testify of hidden", "cmp of value",
		"cmp of hidden",
	} {
		require.Contains(t, found[how], canary, how)
	}
	tr := clientOn(t, always(200, ""), WithAPIKey(NewSecret(canary))).via()
	require.Contains(t, spew.Sdump(tr), canary, "a client hides its transport because this would show the key")
}

// printed prints v in every way that a program or a test might.
func printed(v any) map[string]string {
	out := map[string]string{}
	// Inside another struct's unexported field no method of v is reached.
	hidden := struct{ inner any }{v}
	pointer := reflect.New(reflect.TypeOf(v))
	pointer.Elem().Set(reflect.ValueOf(v))
	shapes := map[string]any{"value": v, "pointer": pointer.Interface(), "slice": []any{v}, "map": map[string]any{"k": v},
		"hidden": hidden, "pointer to hidden": &hidden}
	if rv := reflect.ValueOf(v); rv.Kind() == reflect.Pointer && !rv.IsNil() {
		shapes["pointee"] = rv.Elem().Interface()
	}
	for shape, s := range shapes {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
			out[verb+" of "+shape] = fmt.Sprintf(verb, s)
		}
		out["error of "+shape] = fmt.Errorf("wrapped: %v", s).Error()
		var buf bytes.Buffer
		for name, h := range map[string]slog.Handler{"slog text": slog.NewTextHandler(&buf, nil),
			"slog json": slog.NewJSONHandler(&buf, nil)} {
			buf.Reset()
			slog.New(h).Info("m", "v", s, slog.Group("g", "v", s))
			out[name+" of "+shape] = buf.String()
		}
		text, err := json.Marshal(s)
		out["json of "+shape] = string(text) + fmt.Sprint(err)
		out["spew of "+shape] = spew.Sdump(s) + spew.Sprintf("%#+v", s)
		bare := spew.ConfigState{
			DisableMethods:        true,
			DisablePointerMethods: true,
			Indent:                " ",
			MaxDepth:              12,
		}
		out["bare spew of "+shape] = bare.Sdump(s)
		out["testify of "+shape] = testifyDiff(s)
		out["cmp of "+shape] = cmpDiff(s)
	}
	return out
}

// testifyDiff is what a failed assertion prints.
func testifyDiff(v any) string {
	var out capture
	assert.Equal(&out, "something else", v)
	assert.Equal(&out, v, reflect.Zero(reflect.TypeOf(v)).Interface())
	assert.Nil(&out, v)
	assert.Contains(&out, []any{v}, "something else")
	return out.String()
}

type capture struct{ strings.Builder }

func (c *capture) Errorf(format string, args ...any) { fmt.Fprintf(c, format, args...) }

// cmpDiff is go-cmp's report with every unexported field in sight.
func cmpDiff(v any) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text += fmt.Sprint(r)
		}
	}()
	all := cmp.Exporter(func(reflect.Type) bool { return true })
	return cmp.Diff(v, reflect.Zero(reflect.TypeOf(v)).Interface(), all) + cmp.Diff(v, any("something else"), all)
}

// exportedTypes lists the package's exported types from its source.
func exportedTypes(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, f := range sources(t) {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, s := range g.Specs {
				if name := s.(*ast.TypeSpec).Name; name.IsExported() {
					names = append(names, name.Name)
				}
			}
		}
	}
	require.Greater(t, len(names), 60, "the source was found")
	return names
}

// sources parses the package, without its tests.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	return parsed(t, func(name string) bool { return !strings.HasSuffix(name, "_test.go") })
}

func parsed(t *testing.T, want func(name string) bool) map[string]*ast.File {
	t.Helper()
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	files := map[string]*ast.File{}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".go") && want(e.Name()) {
			f, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, parser.ParseComments|parser.SkipObjectResolution)
			require.NoError(t, err)
			files[e.Name()] = f
		}
	}
	return files
}

// TestAPanicShowsNoSecret lets another process die with a secret in its hands
// and reads its last words.
func TestAPanicShowsNoSecret(t *testing.T) {
	values := map[string]any{
		"secret": NewSecret(canary), "credential": VaultCredential{Password: NewSecret(canary)},
		"pointer": &VaultCredential{TOTP: NewSecret(canary)},
		"create":  AICredentialCreate{APIKey: NewSecret(canary)}, "text": canary,
	}
	const variable = "BCTRL_TEST_PANIC_WITH"
	if name := os.Getenv(variable); name != "" {
		panic(values[name])
	}
	for name := range values {
		cmd := exec.Command(os.Args[0], "-test.run=^TestAPanicShowsNoSecret$")
		cmd.Env = append(os.Environ(), variable+"="+name)
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), "panic:")
		require.Equal(t, name == "text", strings.Contains(string(out), canary), name)
	}
}

// lockedBuffer may be written while it is read.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements [io.Writer].
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// TestWhatAServerSendsUnaskedIsNotLogged has a server send a secret behind its
// answers, and before it is asked anything.
func TestWhatAServerSendsUnaskedIsNotLogged(t *testing.T) {
	var logged lockedBuffer
	before := log.Writer()
	log.SetOutput(&logged)
	defer log.SetOutput(before)
	for _, first := range []string{"", "220 sk-canary\r\n"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		ended := make(chan struct{}, 10)
		var serving sync.WaitGroup
		serving.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(conn, first)
				r := bufio.NewReader(conn)
				if _, err := http.ReadRequest(r); err == nil {
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "+
						"2\r\n\r\n{}sk-canary")
				}
				_, _ = io.Copy(io.Discard, r) // until the client ends it
				conn.Close()
				ended <- struct{}{}
			}
		})
		c, err := New(WithBaseURL("http://"+l.Addr().String()), WithAPIKey(NewSecret(testKey)), WithMaxRetries(0))
		require.NoError(t, err)
		_, err = c.Profiles.Get(t.Context(), "p")
		require.Equal(t, first == "", err == nil)
		<-ended
		c.CloseIdleConnections()
		l.Close()
		serving.Wait()
	}
	logged.mu.Lock()
	defer logged.mu.Unlock()
	require.True(t, logged.text.Len() == 0, "something was logged")
}
