package bctrl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// latin1 is "latin-é" in ISO 8859-1: bytes that are no UTF-8.
const latin1 = "latin-\xe9"

// arguments makes the arguments of a method. Its strings are text, but for one
// that is latin1; they are counted from 1, and at 0 all are text.
type arguments struct {
	ctx       context.Context //nolint:containedctx // the first argument of every method
	bad, seen int
	where     string
}

// str is the next string.
func (a *arguments) str(where, text string) string {
	a.seen++
	if a.seen != a.bad {
		return text
	}
	a.where = where
	return latin1
}

// textOf is what a field takes: not every one takes "a".
func textOf(where string) string {
	for _, special := range [][2]string{
		{".Path", "/a"}, {".Capability", "a/a"}, {".SecretRef", "vault:secret:a"}, {".Access", ""},
		{".Capabilities.Allow[0]", "/"}, {".Provider", "openai"}, {".Vision", ""}, {".Cache", ""},
		{".WaitUntil", ""}, {".Paper", ""}, {".Ranges", "1"},
		{".Vault.Deny[0]", "z"},
		{".Locale", "de"}, {".Timezone", "UTC"}, {".ColorScheme", "dark"},
		{".Permissions[0].Origin", "https://a.example"}, {".Grant[0]", "midi"}, {".Permissions[0].Deny[0]", "sensors"},
		{".SameSite", "None"}, {".SourceScheme", "Secure"}, {".TopLevelSite", "https://a.example"},
		{".Downloads.Policy", "allow"}, {".Proxy.Server", "http://a"}, {".Headers[0].Value", ""},
	} {
		if strings.HasSuffix(where, special[0]) {
			return special[1]
		}
	}
	return "a"
}

// of makes a value of a type.
func (a *arguments) of(t reflect.Type, where string) reflect.Value {
	v := reflect.New(t).Elem()
	switch v.Addr().Interface().(type) {
	case *Secret:
		return reflect.ValueOf(NewSecret(a.str(where, "a")))
	case *Scope:
		return reflect.ValueOf(InGroup(a.str(where+".workspaceId", "a"), a.str(where+".groupId", "a")))
	case *json.RawMessage:
		return reflect.ValueOf(json.RawMessage(`{"a":"` + a.str(where, "a") + `"}`))
	case *http.Header:
		return reflect.ValueOf(http.Header{a.str(where+".name", "X-A"): {a.str(where, "a")}})
	case *CookieImport: // cookies, or a bundle
		cookies := a.of(reflect.TypeFor[[]Cookie](), where+".Cookies")
		return reflect.ValueOf(CookieImport{Cookies: cookies.Interface().([]Cookie)})
	case *Invocation, *CredentialAuth: // tables of their own
		return v
	}
	switch t.Kind() {
	case reflect.String:
		text := textOf(where)
		if t == reflect.TypeFor[LaunchMode]() {
			text = string(ModeProfile)
		}
		v.SetString(a.str(where, text))
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && f.Type.PkgPath() != "time" {
				v.Field(i).Set(a.of(f.Type, where+"."+f.Name))
			}
		}
		if c, ok := v.Addr().Interface().(*Cookie); ok {
			c.Secure = true // as one that is partitioned has to be
		}
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		v.Elem().Set(a.of(t.Elem(), where))
	case reflect.Slice:
		v.Set(reflect.Append(v, a.of(t.Elem(), where+"[0]")))
	case reflect.Map:
		v.Set(reflect.MakeMap(t))
		v.SetMapIndex(a.of(t.Key(), where+".name"), a.of(t.Elem(), where+".value"))
	case reflect.Interface:
		switch v.Addr().Interface().(type) {
		case *context.Context:
			v.Set(reflect.ValueOf(a.ctx))
		case *io.Reader:
			v.Set(reflect.ValueOf(strings.NewReader("a")))
		case *io.Writer:
			v.Set(reflect.ValueOf(io.Discard))
		case *ActCallOption:
			v.Set(a.of(reflect.TypeFor[ActOptions](), where))
		case *GotoCallOption:
			v.Set(a.of(reflect.TypeFor[GotoOptions](), where))
		case *ObserveCallOption:
			v.Set(a.of(reflect.TypeFor[ObserveOptions](), where))
		case *ExtractCallOption:
			v.Set(a.of(reflect.TypeFor[ExtractOptions](), where))
		case *AgentCallOption:
			v.Set(a.of(reflect.TypeFor[AgentOptions](), where))
		case *BrowserUseCallOption:
			v.Set(a.of(reflect.TypeFor[BrowserUseOptions](), where))
		case *UpdatesCallOption:
			v.Set(a.of(reflect.TypeFor[UpdatesOptions](), where))
		case *any:
			if where == "" { // an instruction, which is words or what was observed
				v.Set(reflect.ValueOf(a.str(where, "a")))
				break
			}
			v.Set(reflect.ValueOf(map[string]any{a.str(where+".name", "a"): []any{a.str(where, "a")}}))
		}
	}
	return v
}

// calledWith calls a method, ranges over what it returns and returns its error.
func calledWith(m reflect.Value, a *arguments) error {
	t := m.Type()
	var in []reflect.Value
	for i := range t.NumIn() {
		of := t.In(i)
		if t.IsVariadic() && i == t.NumIn()-1 {
			if of = of.Elem(); !strings.HasSuffix(of.Name(), "CallOption") || of == reflect.TypeFor[CallOption]() {
				break // see TestOptionsKeepTextOrRefuseIt
			}
		}
		in = append(in, a.of(of, ""))
	}
	for _, out := range m.Call(in) {
		if err, ok := out.Interface().(error); ok {
			return err
		}
		if out.Kind() == reflect.Func && out.Type().CanSeq2() {
			for _, err := range out.Seq2() {
				if err, ok := err.Interface().(error); ok {
					return err
				}
				break
			}
		}
	}
	return nil
}

// everything is an answer that fits most routes: what a handle of it may do is
// not limited.
const everything = `{"id":"a","name":"a","alias":"a","workspaceId":"a","version":1,"status":"succeeded",
 "operation":{"id":"a","status":"succeeded"},"waitStatus":"completed",
 "mounts":` + allMounts + `,"effectiveMounts":` + allMounts + `,"steps":[{"call":"a","result":{}}]}`

const allMounts = `{"ai":{"allow":["a"]},"vault":{"allow":["/"],"allowRawReads":true},"storage":{"workspace":"a"},` +
	`"capabilities":{"allow":["/"]}}`

// TestNoCallSendsWhatIsNotTextAsSomethingElse makes every string of every
// argument of every method bytes that are no text. JSON would carry U+FFFD in
// their place: the call is refused before anything is sent, and names no value.
func TestNoCallSendsWhatIsNotTextAsSomethingElse(t *testing.T) {
	var stop context.CancelFunc
	f := &fake{answer: func(_ int, r *http.Request) (*http.Response, error) {
		last := path.Base(r.URL.Path)
		if last == "stream" || last == "events" || last == "updates" { // which would be asked for again without end
			stop()
		}
		return answered(http.StatusOK, everything), nil
	}}
	c := clientOn(t, f)
	ws, err := c.Workspaces.Get(t.Context(), "a")
	require.NoError(t, err)
	rt, err := ws.Runtimes.Get(t.Context(), "a")
	require.NoError(t, err)
	op, err := c.Operations.Get(t.Context(), "a")
	require.NoError(t, err)
	texts := 0
	with := func(bad int) *arguments {
		a := &arguments{bad: bad}
		a.ctx, stop = context.WithCancel(t.Context())
		t.Cleanup(stop)
		return a
	}
	for _, handle := range []any{
		c, c.AICredentials, c.Vault, c.Secrets, c.Workspaces, c.Profiles, c.Operations, c.Subaccounts, c.Credentials,
		c.Capabilities, c.Audit, c.Seal, c.Webhooks,
		c.Storage("a"), ws, ws.Runtimes, ws.Runtimes.Browser("a"), rt, rt.Vault, rt.Storage, rt.AI, rt.Capabilities,
		rt.Stagehand, rt.BrowserUse, rt.Page, op,
	} {
		of := reflect.TypeOf(handle)
		for i := range of.NumMethod() {
			m, name := reflect.ValueOf(handle).Method(i), of.Elem().Name()+"."+of.Method(i).Name
			if m.Type().NumIn() == 0 || m.Type().In(0) != reflect.TypeFor[context.Context]() || takesInvocation(m.Type()) ||
				name == "Client.Do" {
				continue
			}
			before, all := len(f.requests()), with(0)
			err := calledWith(m, all)
			require.Greater(t, len(f.requests()), before, "%s sends nothing: %v", name, err)
			for bad := 1; bad <= all.seen; bad++ {
				texts++
				before, a := len(f.requests()), with(bad)
				err := calledWith(m, a)
				if err == nil { // what a call leaves out cannot be sent as something else
					require.NotContains(t, fmt.Sprint(f.requests()[before:]), "latin-", name+a.where)
					continue
				}
				requireRefusedAsText(t, err, name+a.where)
				require.Len(t, f.requests(), before, "%s%s: something was sent", name, a.where)
			}
		}
	}
	require.Greater(t, texts, 150, "the walk has lost its way")
}

func takesInvocation(t reflect.Type) bool {
	return t.NumIn() > 1 && t.In(1) == reflect.TypeFor[Invocation]()
}

func requireRefusedAsText(t *testing.T, err error, where string) {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e, where)
	require.Contains(t, []int{http.StatusBadRequest, http.StatusForbidden}, e.Status, where) // 403: outside the mounts
	// which are policy, and quoted
	if !strings.Contains(where, "ounts") {
		require.NotContains(t, err.Error(), "latin-", where)
	}
}

func TestARefusalOfWhatIsNotTextNamesTheField(t *testing.T) {
	c := clientOn(t, always(http.StatusOK, everything))
	ws, err := c.Workspaces.Get(t.Context(), "a")
	require.NoError(t, err)
	rt, err := ws.Runtimes.Get(t.Context(), "a")
	require.NoError(t, err)
	for field, err := range map[string]error{
		"password":   second(c.Vault.Set(t.Context(), "a", VaultCredential{Password: NewSecret(latin1)})),
		"notes":      second(c.Vault.Set(t.Context(), "a", VaultCredential{Notes: latin1})),
		"origins[1]": second(c.Vault.Set(t.Context(), "a", VaultCredential{Origins: []string{"https://a.b", latin1}})),
		"value":      second(c.Secrets.Rotate(t.Context(), "a", NewSecret(latin1))),
		"text": second(c.Secrets.Import(t.Context(),
			SecretImport{Scope: Global(), Text: NewSecret("A=" + latin1)})),
		"apiKey":           second(c.AICredentials.Create(t.Context(), AICredentialCreate{APIKey: NewSecret(latin1)})),
		"args.instruction": second(rt.Stagehand.Act(t.Context(), latin1)),
		"steps[0].args.a": second(ws.Execute(t.Context(),
			Execution{Runtime: "a", Steps: []Step{{Call: "a", Args: []byte(`{"a":"` + latin1 + `"}`)}}})),
		"a[0]":    c.Do(t.Context(), "POST", []string{"v1", "a"}, map[string][]string{"a": {latin1}}, nil),
		"segment": c.Do(t.Context(), "GET", []string{"v1", "a", latin1}, nil, nil),
		"path":    second(c.Storage("a").Stat(t.Context(), latin1)),
		"body.a": second(c.Capabilities.Invoke(t.Context(),
			Invocation{Capability: "a/a", Body: map[string]string{"a": latin1}})),
		"headers.X-A": second(c.Capabilities.Invoke(t.Context(),
			Invocation{Capability: "a/a", Header: http.Header{"X-A": {latin1}}})),
		"query.a[0]": second(c.Capabilities.Invoke(t.Context(),
			Invocation{Capability: "a/a", Query: url.Values{"a": {latin1}}, RawBody: strings.NewReader("a")})),
		"multipart[0].name": second(c.Capabilities.Invoke(t.Context(),
			Invocation{Capability: "a/a", Multipart: []FormPart{{Name: latin1}}})),
		"search":     c.Do(t.Context(), "GET", []string{"v1", "a"}, nil, nil, WithQuery(url.Values{"search": {latin1}})),
		"credential": second(c.Capabilities.Stream(t.Context(), Invocation{Capability: "a/a", Credential: latin1})),
		"context.groupId": second(c.Capabilities.Invoke(t.Context(),
			Invocation{Capability: "a/a", Context: InGroup("a", latin1)})),
	} {
		var e *Error
		require.ErrorAs(t, err, &e, field)
		if field == "context.groupId" { // a scope writes itself
			field = "context.group"
		}
		if code, own := map[string]string{"path": "storage.invalid_path",
			"multipart[0].name": "invoke.invalid_parts"}[field]; own {
			require.Equal(t, code, e.Code)
			continue
		}
		require.Equal(t, "request.invalid_utf8", e.Code, field)
		require.Equal(t, field, e.Field)
		require.NotEmpty(t, e.Hint, field)
	}
}

func second[T any](_ T, err error) error { return err }

func TestAnInvocationKeepsTextOrRefusesIt(t *testing.T) {
	f := always(http.StatusOK, `{"status":200}`)
	c := clientOn(t, f)
	for _, body := range []func(a *arguments, inv *Invocation){
		func(*arguments, *Invocation) {},
		func(a *arguments, inv *Invocation) { inv.Body = a.of(reflect.TypeFor[any](), "body").Interface() },
		func(a *arguments, inv *Invocation) {
			inv.Body = a.of(reflect.TypeFor[json.RawMessage](), "body").Interface()
		},
		func(_ *arguments, inv *Invocation) { inv.RawBody = strings.NewReader(latin1) },
		func(a *arguments, inv *Invocation) {
			inv.Multipart = []FormPart{{
				Name:        a.str("name", "a"),
				Filename:    a.str("filename", "a"),
				ContentType: a.str("contentType", "a/a"),
				Value:       latin1,
			}}
		},
	} {
		invoke := func(a *arguments) error {
			inv := Invocation{
				Capability: a.str("capability", "a/a"),
				Credential: a.str("credential", "a"),
				Context:    a.of(reflect.TypeFor[Scope](), "context").Interface().(Scope),
				Consumer:   a.str("consumer", "a"),
				Method:     a.str("method", "GET"),
				Path:       a.str("path", "/a"),
				Host:       a.str("host", "a"),
				Query:      url.Values{a.str("query.name", "a"): {"b", a.str("query", "a")}},
				Header:     a.of(reflect.TypeFor[http.Header](), "header").Interface().(http.Header),
			}
			body(a, &inv)
			_, err := c.Capabilities.Invoke(t.Context(), inv)
			return err
		}
		all, before := &arguments{}, len(f.requests())
		require.NoError(t, invoke(all))
		sent := f.requests()[before:]
		require.Len(t, sent, 1)
		require.Equal(t, strings.Contains(sent[0].header.Get("Content-Type"), "multipart"),
			strings.Contains(sent[0].body, latin1), "bytes go as bytes")
		for bad := 1; bad <= all.seen; bad++ {
			a := &arguments{bad: bad}
			requireRefusedAsText(t, invoke(a), a.where)
		}
		require.Len(t, f.requests(), before+1)
	}
}

func TestOptionsKeepTextOrRefuseIt(t *testing.T) {
	f := always(http.StatusOK, everything)
	c := clientOn(t, f)
	for why, err := range map[string]error{
		"an idempotency key": c.Vault.Delete(t.Context(), "a", WithIdempotencyKey(latin1)),
		"a query":            c.Vault.Delete(t.Context(), "a", WithQuery(url.Values{"a": {latin1}})),
		"a query's name":     c.Vault.Delete(t.Context(), "a", WithQuery(url.Values{latin1: {"a"}})),
		"a subaccount":       c.ForSubaccount(latin1).Vault.Delete(t.Context(), "a"),
		"a type": second(c.Storage("a").Upload(t.Context(), "a", strings.NewReader("a"),
			WithContentType(latin1))),
		"a type with blanks": second(c.Storage("a").Upload(t.Context(), "a", strings.NewReader("a"),
			WithContentType(" a/a"))),
		"a tag": second(c.Storage("a").Upload(t.Context(), "a", strings.NewReader("a"), WithIfMatch(latin1))),
		"a tag with a line": second(c.Storage("a").Upload(t.Context(), "a", strings.NewReader("a"),
			WithIfMatch("\"a\"\r\nX: y"))),
		"a namespace": second(c.Storage(latin1).Stat(t.Context(), "a")),
		"a part's line end": second(c.Capabilities.Invoke(t.Context(),
			Invocation{Capability: "a/a", Multipart: []FormPart{{Name: "a\nb"}}})),
		"a part's file name": second(c.Capabilities.Invoke(t.Context(),
			Invocation{Capability: "a/a", Multipart: []FormPart{{Name: "a", Filename: "a\r"}}})),
		"a part's second head": second(c.Capabilities.Invoke(t.Context(),
			Invocation{Capability: "a/a", Multipart: []FormPart{{Name: "a", ContentType: "a/a\r\nX: y"}}})),
	} {
		requireRefusedAsText(t, err, why)
	}
	require.Empty(t, f.requests())
	_, err := New(WithAPIKey(NewSecret("a\xe9")), WithBaseURL("https://api.example.test"), WithApplication(latin1, "1"))
	require.ErrorIs(t, err, ErrInvalid)
	target := CallTarget{Capability: "a/a", Consumer: " a"}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example.test/a", nil)
	require.NoError(t, err)
	for _, target := range []CallTarget{target, {Capability: "a/a", Context: InWorkspace("a ")},
		{Capability: "a/a", Context: InGroup("a", latin1)}} {
		resp, err := c.Capabilities.HTTPClient(target).Do(req)
		if err == nil {
			resp.Body.Close()
		}
		var e *Error
		require.True(t, errors.As(err, &e) && e.Status == http.StatusBadRequest, "a header would lose the blanks around %v",
			target)
	}
	for range 10 {
		two := CallTarget{Capability: "a/a", Context: InWorkspace("a "), Consumer: " a"}
		resp, err := c.Capabilities.HTTPClient(two).Do(req)
		if err == nil {
			resp.Body.Close()
		}
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "Bctrl-Workspace-Id", e.Field, "of two always the same is named")
	}
	require.Empty(t, f.requests())
}

// TestWhatIsTextArrivesToTheByte sends what could be mended on its way.
func TestWhatIsTextArrivesToTheByte(t *testing.T) {
	f := always(http.StatusOK, everything)
	c := clientOn(t, f)
	for _, text := range []string{
		"a\ufffd", `\ufffd`, "<a>&amp;'\"", "\u2028\u2029", " a \t", "a\r\n\r\n", "\ufeffa", "a\x00b", "e\u0301", "\u00e9",
		"🔑", "\\ud800", "%e9+%2B&=", "\x7f",
	} {
		_, err := c.Vault.Set(t.Context(), "a", VaultCredential{Username: text, Password: NewSecret(text), Notes: text})
		require.NoError(t, err)
		require.NoError(t, c.Do(t.Context(), "GET", []string{"v1", "a"}, nil, nil, WithQuery(url.Values{text: {text}})))
		all := f.requests()
		var in struct{ Username, Password, Notes string }
		require.NoError(t, json.Unmarshal([]byte(all[len(all)-2].body), &in))
		require.True(t, slices.Equal([]string{text, text, text}, []string{in.Username, in.Password, in.Notes}),
			"%q came as something else", text)
		query, err := url.ParseQuery(all[len(all)-1].query)
		require.NoError(t, err)
		require.Equal(t, url.Values{text: {text}}, query)
	}
}

func TestDurationsSurviveJSON(t *testing.T) {
	for _, v := range []any{
		AICredentialTest{Latency: 3 * time.Second}, StepResult{Duration: 3 * time.Second},
		Recording{Duration: 3 * time.Second, Marks: []RecordingMark{{At: time.Second}}},
		LaunchConfig{IdleTimeout: 3 * time.Second, MaxLife: time.Minute},
	} {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		back := reflect.New(reflect.TypeOf(v))
		require.NoError(t, json.Unmarshal(text, back.Interface()))
		require.Equal(t, v, back.Elem().Interface())
	}
}

func TestASecretInARequestIsNamedAsTheReason(t *testing.T) {
	f := always(200, `{}`)
	c := clientOn(t, f)
	body := map[string]any{"login": struct{ Password Secret }{NewSecret(canary)}}
	for _, err := range []error{
		c.Do(t.Context(), http.MethodPost, []string{"v1", "vault"}, body, nil),
		func() error {
			_, err := c.Capabilities.Invoke(t.Context(), Invocation{Capability: "openai/chat-completions", Body: body})
			return err
		}(),
	} {
		requireRoute(t, err, "request.not_json", "")
		require.ErrorContains(t, err, "call Expose")
		require.NotContains(t, err.Error(), canary)
	}
	require.Empty(t, f.requests())
}
