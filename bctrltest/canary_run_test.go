package bctrltest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/internal/democrm"
)

// syncBuffer is a buffer for many writers.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) Bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.b.Bytes())
}

// listening shows the scanner every answer that comes over the wire.
type listening struct {
	*scanner
	next http.RoundTripper
}

func (l listening) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	path := r.URL.EscapedPath()
	var meant []string
	switch {
	case r.Method == http.MethodGet && strings.HasSuffix(path, "/totp"):
		meant = []string{"code"}
	case r.Method == http.MethodGet && strings.HasSuffix(path, "/connect"):
		meant = []string{"connect token"}
	case r.Method == http.MethodGet && strings.HasPrefix(path, "/v1/vault/"):
		meant = []string{"password", "directly filled password"} // the seed is for the organization key alone
		if r.Header.Get("BCTRL-Runtime") == "" {
			meant = append(meant, "seed")
		}
	}
	l.text(fmt.Sprintf("the answer to %s %s (%d)", r.Method, path, resp.StatusCode), body, meant...)
	l.text("the headers of an answer", []byte(fmt.Sprint(resp.Header)))
	return resp, nil
}

// story is one run of everything with secrets that are known.
type story struct {
	*testing.T
	*scanner
	srv      *bctrltest.Server
	client   *bctrl.Client
	crm      *httptest.Server
	password bctrl.Secret
	direct   bctrl.Secret
	seed     string
	aiKey    bctrl.Secret
	log      syncBuffer // of the server
	sdk      syncBuffer // logs and hooks of the SDK
	echo     *httptest.Server

	mu       sync.Mutex
	tools    *devtools
	session  string
	problems []error
}

func newStory(t *testing.T) *story {
	t.Helper()
	st := &story{T: t, scanner: &scanner{}}
	hard := `q<"&\é%2B+/` // what encodings change
	core, direct := rand.Text(), rand.Text()
	st.password, st.direct = bctrl.NewSecret(hard+core+hard), bctrl.NewSecret("direct-"+direct)
	var seed canary
	st.seed, seed = newSeed("seed")
	st.canaries = append(st.canaries, newCanary("password", core), newCanary("directly filled password", direct), seed)

	crm, err := democrm.New(democrm.Config{Username: "bot@company.com", Password: st.password,
		TOTPSeed: bctrl.NewSecret(st.seed)})
	require.NoError(t, err)
	st.crm = httptest.NewServer(crm)
	t.Cleanup(st.crm.Close)
	// A provider that says in its errors what it was sent.
	st.echo = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		key := r.Header.Get("Authorization")
		_, _ = fmt.Fprintf(w, `{"error":{"message":"bad key %s, in base64 %s","type":"auth","code":%q}}`, key,
			base64.StdEncoding.EncodeToString([]byte(key)), key)
	}))
	t.Cleanup(st.echo.Close)

	debug := slog.NewJSONHandler(&st.log, &slog.HandlerOptions{Level: slog.Level(-100), AddSource: true})
	st.srv = bctrltest.New(t, bctrltest.WithBrowser(), bctrltest.WithModel(st.script), bctrltest.WithLog(slog.New(debug)))
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	st.client = st.srv.Client(bctrl.WithTimeout(2*time.Minute),
		bctrl.WithHTTPClient(&http.Client{Transport: listening{st.scanner, transport}}),
		bctrl.WithLogger(slog.New(slog.NewTextHandler(&st.sdk, &slog.HandlerOptions{Level: slog.Level(-100)}))),
		bctrl.WithHook(func(_ context.Context, a bctrl.Attempt) { _, _ = fmt.Fprintf(&st.sdk, "%+v %#v %v\n", a, a, a.Err) }))
	key, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(st.srv.APIKey().Expose(), "bctrl_"))
	require.NoError(t, err)
	st.canaries = append(st.canaries, newCanary("organization key", strings.TrimPrefix(st.srv.APIKey().Expose(), "bctrl_"),
		key...))
	st.aiKey = st.srv.ModelCredential("x").APIKey
	st.canaries = append(st.canaries, newCanary("AI key", strings.TrimPrefix(st.aiKey.Expose(), "sk-test-")))
	return st
}

// script is the model: it works as LogInAndExport does, and looks at the page
// with the eyes of a DevTools client after each fill.
func (st *story) script(turn modeltest.Turn) modeltest.Call {
	filled := len(turn.Calls) > 0 && (turn.Calls[len(turn.Calls)-1].Tool == "fill_login" ||
		turn.Calls[len(turn.Calls)-1].Tool == "enter_totp")
	if filled && strings.Contains(turn.Result, "filled") {
		st.look()
	}
	if _, key, ok := strings.Cut(turn.Task, "Only fill "); ok {
		if filled {
			return modeltest.Done(true, "Filled: "+turn.Result)
		}
		return modeltest.FillLogin(strings.TrimSpace(key), turn.Find("textbox", "user"), turn.Find("textbox", "password"))
	}
	return modeltest.LogInAndExport("quarter", "Q1")(turn)
}

// look reads what the page holds, while the agent works on it.
func (st *story) look() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.tools == nil {
		return
	}
	st.processes()
	var values []string
	err := st.tools.eval(st.Context(), st.session, `[...document.querySelectorAll("input")].map(e => e.value)`, &values)
	st.problems = append(st.problems, err)
	st.text("the inputs of the page", []byte(strings.Join(values, "\n")))
}

// connect opens a DevTools connection that asks for all that it may see.
func (st *story) connect(rt *bctrl.Runtime) {
	st.Helper()
	url, err := rt.ConnectURL(st.Context())
	require.NoError(st, err)
	token := url[strings.LastIndexByte(url, '/')+1:]
	raw, err := base64.RawURLEncoding.DecodeString(token)
	require.NoError(st, err)
	tools := dialDevTools(st.T, url)
	session, err := tools.page(st.Context())
	require.NoError(st, err)
	for method, params := range map[string]any{
		"Network.enable": map[string]any{"maxPostDataSize": 1 << 20, "maxTotalBufferSize": 10 << 20},
		"Page.enable":    nil, "Runtime.enable": nil, "Log.enable": nil, "DOM.enable": nil, "Debugger.enable": nil,
		"DOMStorage.enable": nil,
	} {
		_, err := tools.call(st.Context(), session, method, params)
		require.NoError(st, err, method)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.canaries = append(st.canaries, newCanary("connect token", token, raw...))
	st.tools, st.session = tools, session
}

// requireMasked requires that every filled input is one colour in a picture.
func (st *story) requireMasked(rt *bctrl.Runtime, why string) {
	st.Helper()
	object, err := rt.Page.Screenshot(st.Context(), bctrl.ScreenshotArgs{})
	require.NoError(st, err)
	raw, err := rt.Storage.Get(st.Context(), object.LogicalPath)
	require.NoError(st, err)
	shot, err := png.Decode(bytes.NewReader(raw))
	require.NoError(st, err)
	var boxes []struct {
		ID              string
		Left, Top, W, H float64
		Length          int
	}
	require.NoError(st, st.tools.eval(st.Context(), st.session, `["username", "password"].map(id => {
		const e = document.getElementById(id), b = e.getBoundingClientRect();
		return {ID: id, Left: b.left, Top: b.top, W: b.width, H: b.height, Length: e.value.length};
	})`, &boxes))
	require.Len(st, boxes, 2)
	for _, b := range boxes {
		require.Positive(st, b.Length, "%s: %s is filled", why, b.ID)
		require.Greater(st, b.W*b.H, 100.0)
		box := image.Rect(int(b.Left)+1, int(b.Top)+1, int(b.Left+b.W)-1, int(b.Top+b.H)-1)
		require.True(st, box.In(shot.Bounds()), "%s: %v is in the picture", why, box)
		first := shot.At(box.Min.X, box.Min.Y)
		for y := box.Min.Y; y < box.Max.Y; y++ {
			for x := box.Min.X; x < box.Max.X; x++ {
				if shot.At(x, y) != first {
					require.FailNow(st, "a filled input shows something", "%s: %s at %d,%d", why, b.ID, x, y)
				}
			}
		}
	}
}

// fail does what is refused, with secrets in every place that an error could
// quote.
func (st *story) fail(rt *bctrl.Runtime) {
	ctx, secret := st.Context(), st.password.Expose()
	var errs []error
	refuse := func(err error) {
		st.Helper()
		require.Error(st, err)
		errs = append(errs, err)
	}
	_, err := st.client.Vault.Set(ctx, "prod/bad", bctrl.VaultCredential{Password: st.password, TOTP: st.password})
	refuse(err)
	_, err = st.client.Vault.Set(ctx, "prod/bad", bctrl.VaultCredential{Password: st.password,
		TOTP: bctrl.NewSecret(st.seed + "!")})
	refuse(err)
	_, err = st.client.Vault.Set(ctx, "prod/bad", bctrl.VaultCredential{Password: st.password,
		Origins: []string{"no origin"}})
	refuse(err)
	for _, body := range []any{
		map[string]any{"password": secret, secret: 1}, map[string]any{"password": []string{secret}},
		map[string]any{"fill": secret},
		map[string]any{"password": secret, "totp": st.seed + "1"}, map[string]any{"origins": []string{secret}}, secret,
	} {
		refuse(st.client.Do(ctx, http.MethodPut, []string{"v1", "vault", "prod/bad"}, body, nil))
	}
	refuse(st.client.Do(ctx, http.MethodGet, []string{"v1", "vault", secret}, nil, nil))
	refuse(st.client.Do(ctx, http.MethodGet, []string{"v1", secret}, nil, nil))
	_, err = st.client.AICredentials.Create(ctx, bctrl.AICredentialCreate{ID: "bad", Provider: bctrl.OpenAI,
		APIKey: bctrl.NewSecret(st.aiKey.Expose() + "\n")})
	refuse(err)
	_, err = st.client.AICredentials.Create(ctx, bctrl.AICredentialCreate{
		ID:       "bad",
		Provider: bctrl.OpenAI,
		APIKey:   st.aiKey,
		BaseURL:  "https://user:" + st.aiKey.Expose() + "@h",
	})
	refuse(err)
	_, err = st.client.AICredentials.Create(ctx, bctrl.AICredentialCreate{
		ID:           "echo",
		Provider:     bctrl.OpenAI,
		APIKey:       st.aiKey,
		BaseURL:      st.echo.URL + "/v1",
		DefaultModel: "m",
	})
	require.NoError(st, err)
	test, err := st.client.AICredentials.Test(ctx, "echo")
	require.NoError(st, err)
	require.False(st, test.OK)
	st.text("a provider's refusal", []byte(fmt.Sprintf("%+v", test)))
	_, err = rt.Vault.Get(ctx, "prod/crm/salesforce")
	refuse(err)
	_, err = rt.Vault.TOTP(ctx, "other/key")
	refuse(err)
	_, err = rt.Stagehand.Act(ctx, "Fail", bctrl.ActOptions{Credential: "echo"})
	refuse(err)
	_, err = st.srv.Client(bctrl.WithAPIKey(bctrl.NewSecret(st.srv.APIKey().Expose()+"x"))).Vault.Get(ctx, "k")
	refuse(err)

	for _, err := range errs {
		st.text("an error", []byte(fmt.Sprintf("%v\n%+v\n%#v", err, err, err)))
		if e, ok := errors.AsType[*bctrl.Error](err); ok {
			raw, err := json.Marshal(e)
			require.NoError(st, err)
			st.text("an error as JSON", raw)
			st.text("an error in a log", []byte(fmt.Sprint(slog.AnyValue(e).Resolve())))
		}
	}
}

// TestNoSecretIsFoundWhereItIsNotMeantToBe runs the main job and everything
// around it, well and badly, and then looks for the secrets in all that came
// out: logs, files, prompts, answers, errors, pictures, processes.
func TestNoSecretIsFoundWhereItIsNotMeantToBe(t *testing.T) {
	st := newStory(t)
	ctx, start := t.Context(), time.Now()
	client := st.client

	_, err := client.AICredentials.Create(ctx, st.srv.ModelCredential("openai-prod"))
	require.NoError(t, err)
	login := bctrl.VaultCredential{
		Username: "bot@company.com",
		Password: st.password,
		TOTP:     bctrl.NewSecret(st.seed),
		Origins:  []string{st.crm.URL},
		Notes:    "n",
	}
	_, err = client.Vault.Set(ctx, "prod/crm/salesforce", login)
	require.NoError(t, err)
	typed := bctrl.VaultCredential{
		Username: "bot@company.com",
		Password: st.direct,
		Origins:  []string{st.crm.URL},
		Fill:     bctrl.FillDirect,
	}
	_, err = client.Vault.Set(ctx, "prod/direct", typed)
	require.NoError(t, err)
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "sales", Mounts: bctrl.Mounts{
		AI: &bctrl.AIMount{Allow: []string{"openai-prod"}}, Vault: &bctrl.VaultMount{Allow: []string{"prod/"}},
		Storage: &bctrl.StorageMount{Workspace: "exports"},
	}})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("crm").Stagehand(ctx, bctrl.Launch{Mode: bctrl.ModeProfile, ProfileID: "sf-bot"})
	require.NoError(t, err)

	// A fill that is typed into the page: not for the model and not in pictures.
	_, err = rt.Page.Goto(ctx, st.crm.URL)
	require.NoError(t, err)
	only := func(key string) {
		result, err := rt.Stagehand.Act(ctx, "Only fill "+key)
		require.NoError(t, err)
		require.True(t, result.Success && strings.Contains(result.Message, "filled"), "%+v", result)
	}
	only("prod/direct")
	st.connect(rt)
	st.requireMasked(rt, "direct")
	onward := st.tools.received()
	// A swapped one: the page itself never holds it.
	_, err = rt.Page.Goto(ctx, st.crm.URL+"/login?again")
	require.NoError(t, err)
	only("prod/crm/salesforce")
	st.requireMasked(rt, "swap")
	require.Positive(t, st.processes(), "the browser was looked at")

	result, err := rt.Stagehand.Act(ctx, "Log in to the CRM and export Q1 pipeline")
	require.NoError(t, err)
	require.True(t, result.Success, "%+v", result)
	require.Len(t, result.Downloads, 1)

	got, err := client.Vault.Get(ctx, "prod/crm/salesforce")
	require.NoError(t, err)
	require.True(t, got.Password.Equal(st.password))
	st.text("a credential printed", []byte(fmt.Sprintf("%v %+v %#v %s", got, got, *got, login)))
	_, err = client.Vault.TOTP(ctx, "prod/crm/salesforce")
	require.NoError(t, err)
	_, err = client.Storage("exports").DownloadURL(ctx, result.Downloads[0].LogicalPath, time.Minute)
	require.NoError(t, err)
	raw, err := ws.State(ctx)
	require.NoError(t, err)
	st.text("a workspace's state", []byte(fmt.Sprintf("%+v", raw)))
	st.fail(rt)
	require.NoError(t, rt.Stop(ctx))
	_, err = client.Vault.Set(ctx, "prod/crm/salesforce", login) // a second version, then none
	require.NoError(t, err)
	require.NoError(t, client.Vault.Delete(ctx, "prod/crm/salesforce"))

	require.NoError(t, errors.Join(st.problems...))
	require.NotEmpty(t, st.problems, "the page was looked at after a fill")
	require.True(t, st.tools.sawEvent("Network.requestWillBeSent"))
	received := st.tools.received()
	st.text("what a DevTools client was sent", received[len(onward):])
	for _, r := range st.srv.Model().Requests() {
		st.text("a prompt", r.Body)
		st.text("the headers of a prompt", []byte(fmt.Sprint(r.Header)))
	}
	require.NotEmpty(t, st.log.Bytes())
	st.text("the server's log", st.log.Bytes())
	require.NotEmpty(t, st.sdk.Bytes())
	st.text("the SDK's log and hooks", st.sdk.Bytes())
	require.Greater(t, st.files("the data directory", st.srv.DataDir()), 10)
	st.check(t, st.seed, start)
}
