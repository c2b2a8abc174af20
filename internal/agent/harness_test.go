package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/egress"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/scrub"
)

const (
	apiKey   = "sk-agent-test-0123456789"
	username = "bot@canary.example"
	password = `cAn"ary/pa\ss+wörd`
	code     = "918273"
	loginURL = "https://login.example.com/in"
	vaultKey = "prod/crm/salesforce"
)

// site is a page of a small application: a login form, a code, an export. It
// shows what was filled only when it echoes.
type site struct {
	mu     sync.Mutex
	screen string // "blank", "login", "code", "home"
	filled map[browser.Ref]string
	typed  map[browser.Ref]string
	calls  []string
	// echo makes the page show the values it got, in every place it has.
	echo func(value string) string
	// hang makes Click wait for the end of its context.
	hang chan struct{}
	// stands makes every scroll move nothing.
	stands bool
	// broken is returned by Observe.
	broken error
	files  []bctrl.StorageObject
}

func newSite(screen string) *site {
	return &site{screen: screen, filled: map[browser.Ref]string{}, typed: map[browser.Ref]string{}}
}

func (s *site) log(format string, args ...any) {
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
}

func (s *site) Goto(ctx context.Context, address string, _ bctrl.WaitUntil) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log("goto %s", address)
	if !strings.HasPrefix(address, "https://login.example.com/") {
		return &bctrl.Error{Status: 502, Code: "page.navigation_failed", Message: "the page could not be opened"}
	}
	s.screen = "login"
	return ctx.Err()
}

func (s *site) echoed() string {
	if s.echo == nil {
		return ""
	}
	var all []string
	for _, v := range s.filled {
		all = append(all, s.echo(v))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func (s *site) elements() []browser.Element {
	switch s.screen {
	case "login":
		return []browser.Element{{Ref: "e1", Role: "textbox", Name: "Username"},
			{Ref: "e2", Role: "textbox", Name: "Password " + s.echoed()}, {Ref: "e3", Role: "button", Name: "Sign in"}}
	case "code":
		return []browser.Element{{Ref: "e4", Role: "textbox", Name: "Code"},
			{Ref: "e5", Role: "button", Name: "Verify " + s.echoed()}}
	case "home":
		return []browser.Element{{Ref: "e6", Role: "link", Name: "Export Q1 " + s.echoed()},
			{Ref: "e7", Role: "combobox", Name: "Quarter"}}
	}
	return nil
}

func (s *site) Observe(ctx context.Context) (*browser.Observation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return nil, s.broken
	}
	o := &browser.Observation{
		URL:      "https://login.example.com/" + s.screen + "?q=" + s.echoed(),
		Title:    s.screen + " " + s.echoed(),
		Elements: s.elements(),
		Tabs:     []browser.Tab{{ID: "t1", Active: true}},
	}
	switch {
	case s.screen == "blank":
		o.URL = "about:blank"
	case s.echo != nil:
		o.URL = "https://login.example.com/" + url.PathEscape(s.echoed())
	}
	for _, e := range o.Elements {
		o.Outline += fmt.Sprintf("[%s] %s %q", e.Ref, e.Role, e.Name)
		if _, ok := s.filled[e.Ref]; ok {
			o.Outline += ` value="[secret]"`
		} else if v := s.typed[e.Ref]; v != "" {
			o.Outline += fmt.Sprintf(" value=%q", v)
		}
		o.Outline += "\n"
	}
	return o, ctx.Err()
}

func (s *site) Click(ctx context.Context, ref browser.Ref, _ browser.Click) error {
	if s.hang != nil {
		close(s.hang)
		<-ctx.Done()
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log("click %s", ref)
	switch {
	case ref == "e3" && s.filled["e1"] == username && s.filled["e2"] == password:
		s.screen = "code"
	case ref == "e5" && s.filled["e4"] == code:
		s.screen = "home"
	case ref == "e6":
		s.files = append(s.files, bctrl.StorageObject{
			ID:          "o2",
			Filename:    "q1.csv",
			LogicalPath: "exports/q1.csv",
			SizeBytes:   42,
		})
	case s.echo != nil:
		return &bctrl.Error{Status: 409, Code: "page.covered", Message: "covered by " + s.echoed()}
	}
	return nil
}

func (s *site) Type(_ context.Context, ref browser.Ref, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log("type %s", ref)
	s.typed[ref] = text
	return nil
}

func (s *site) Settle(ctx context.Context, _ time.Duration) error { return ctx.Err() }

func (s *site) Fill(_ context.Context, ref browser.Ref, f browser.Fill) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(f.Origins, "https://login.example.com") {
		return &bctrl.Error{Status: 403, Code: "fill.wrong_origin", Message: "the login may not be filled on this page"}
	}
	s.log("fill %s %s", ref, f.Field)
	s.filled[ref] = f.Value.Expose()
	return nil
}

func (s *site) PDF(context.Context, browser.Printing) ([]byte, error) {
	return nil, errors.New("not here")
}

func (s *site) Screenshot(context.Context, bool) ([]byte, error) { return nil, errors.New("not here") }

func (s *site) Picture(context.Context, browser.PictureOptions) (*browser.Picture, error) {
	return nil, errors.New("not here")
}

func (s *site) Read(ctx context.Context, _ browser.ReadOptions) (*browser.Reading, error) {
	seen, err := s.Observe(ctx)
	if err != nil {
		return nil, err
	}
	return &browser.Reading{URL: seen.URL, Title: seen.Title, Text: seen.Outline}, nil
}

// vault holds one login for the site and one for elsewhere.
type vault struct {
	mu   sync.Mutex
	used []string
	// err is returned by every Use.
	err error
}

func (v *vault) List(context.Context) ([]agent.LoginInfo, error) {
	return []agent.LoginInfo{
		{
			Key:         "prod/crm/elsewhere",
			HasUsername: true,
			HasPassword: true,
			Origins:     []string{"https://elsewhere.example.com"},
		},
		{
			Key:         vaultKey,
			HasUsername: true,
			HasPassword: true,
			HasTOTP:     true,
			Origins:     []string{"https://login.example.com"},
		},
	}, nil
}

func (v *vault) Use(_ context.Context, key, field string) (browser.Fill, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.used = append(v.used, key+" "+field)
	if v.err != nil {
		return browser.Fill{}, v.err
	}
	f := browser.Fill{
		Field: field,
		Value: bctrl.NewSecret(map[string]string{"username": username, "password": password, "totp": code}[field]),
	}
	switch key {
	case vaultKey:
		f.Origins = []string{"https://login.example.com"}
	case "prod/crm/elsewhere":
		f.Origins = []string{"https://elsewhere.example.com"}
	default:
		return browser.Fill{}, &bctrl.Error{
			Status:  403,
			Code:    "vault.outside_mount",
			Message: "the mounts do not permit this key",
		}
	}
	return f, nil
}

// called is a tool call as a raw provider writes it.
type called struct{ id, name, args string }

func does(name, args string) []called { return []called{{"", name, args}} }

// raw is a provider that answers whatever a script says, well formed or not,
// in the shape that it is asked in. It keeps every body it is sent.
type raw struct {
	mu     sync.Mutex
	bodies []string
}

func (p *raw) sent() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.bodies)
}

// newModel starts a provider and returns a model of it in the shape of kind.
func newModel(t *testing.T, kind bctrl.AIProvider, script func(n int, body string) []called) (model.Chat, *raw) {
	t.Helper()
	p := &raw{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client left
		}
		p.mu.Lock()
		n := len(p.bodies)
		p.bodies = append(p.bodies, string(body))
		p.mu.Unlock()
		calls := script(n, string(body))
		for i := range calls {
			if calls[i].id == "" {
				calls[i].id = fmt.Sprintf("call-%d-%d", n, i)
			}
		}
		_, _ = io.WriteString(w, answer(kind, calls))
	}))
	return connect(t, kind, srv), p
}

func connect(t *testing.T, kind bctrl.AIProvider, srv *httptest.Server) model.Chat {
	t.Helper()
	b := broker.New(broker.Config{Egress: egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	t.Cleanup(func() { b.Close(); srv.Close() })
	never := 0
	chat, err := model.New(b, model.Config{
		Provider:   kind,
		BaseURL:    srv.URL + "/v1",
		Model:      "scripted-1",
		Key:        bctrl.NewSecret(apiKey),
		MaxRetries: &never,
	})
	require.NoError(t, err)
	return chat
}

// answer writes calls in the shape of a provider. Anthropic's input is JSON by
// construction: what is not becomes a string.
func answer(kind bctrl.AIProvider, calls []called) string {
	if kind == bctrl.Anthropic {
		blocks := []any{}
		for _, c := range calls {
			input := json.RawMessage(c.args)
			if !json.Valid(input) {
				input, _ = json.Marshal(c.args)
			}
			blocks = append(blocks, map[string]any{"type": "tool_use", "id": c.id, "name": c.name, "input": input})
		}
		if len(calls) == 0 {
			blocks = append(blocks, map[string]any{"type": "text", "text": "I think about it"})
		}
		return encode(map[string]any{"type": "message", "content": blocks,
			"usage": map[string]int{"input_tokens": 3, "output_tokens": 2}})
	}
	toolCalls := []any{}
	for _, c := range calls {
		toolCalls = append(toolCalls,
			map[string]any{"id": c.id, "type": "function", "function": map[string]string{"name": c.name, "arguments": c.args}})
	}
	return encode(map[string]any{
		"choices": []any{map[string]any{"message": map[string]any{"role": "assistant", "content": "I think about it",
			"tool_calls": toolCalls}}},
		"usage": map[string]int{"prompt_tokens": 3, "completion_tokens": 2},
	})
}

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "{}"
	}
	return string(text)
}

// deps connects a model with a site and a vault.
func deps(chat model.Chat, s *site, v *vault) agent.Deps {
	return agent.Deps{
		Model:  chat,
		Page:   func(context.Context) (browser.Page, error) { return s, nil },
		Logins: v,
		Files:  noFiles{},
		Downloads: func() []bctrl.StorageObject {
			s.mu.Lock()
			defer s.mu.Unlock()
			return slices.Clone(s.files)
		},
	}
}

var kinds = []bctrl.AIProvider{bctrl.OpenAI, bctrl.Anthropic}

func newSecrets(values ...string) *scrub.Set {
	set := scrub.New()
	for _, v := range values {
		set.Add(bctrl.NewSecret(v))
	}
	return set
}
