package agent_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func TestALoginWithACodeAndAnExport(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			m, err := modeltest.New(modeltest.Config{Key: bctrl.NewSecret(apiKey), Script: script(t)})
			require.NoError(t, err)
			chat := connect(t, kind, httptest.NewServer(m))
			s, v := newSite("blank"), &vault{}
			s.files = []bctrl.StorageObject{{ID: "o1", Filename: "from-before.csv"}}
			d := deps(chat, s, v)
			var progress []string
			d.Progress = func(step, total int, call, message string) {
				progress = append(progress, fmt.Sprintf("%d/%d %s: %s", step, total, call, message))
			}

			result, err := agent.Act(t.Context(), d, agent.Options{Instruction: "Log in to Salesforce and export Q1"})
			require.NoError(t, err)
			require.Equal(t, &bctrl.ActResult{
				Success: true,
				Message: "exported q1.csv",
				URL:     "https://login.example.com/home",
				Actions: []bctrl.ActAction{
					{
						Kind: "navigate", Target: "https://login.example.com/in",
						Arguments: json.RawMessage(`{"url":"https://login.example.com/in?next=%2F"}`),
					},
					on(`textbox "Username"`, "fill", `{"field":"username","key":"`+vaultKey+`"}`),
					on(`textbox "Password"`, "fill", `{"field":"password","key":"`+vaultKey+`"}`),
					on(`button "Sign in"`, "click", ``),
					on(`textbox "Code"`, "totp", `{"field":"totp","key":"`+vaultKey+`"}`),
					on(`button "Verify"`, "click", ``),
					on(`combobox "Quarter"`, "select", `{"option":"Q1"}`),
					on(`link "Export Q1"`, "click", ``),
				},
				Downloads: []bctrl.StorageObject{{
					ID:          "o2",
					Filename:    "q1.csv",
					LogicalPath: "exports/q1.csv",
					SizeBytes:   42,
				}},
				Usage:  result.Usage,
				Models: []bctrl.ModelUsage{{Provider: result.Models[0].Provider, Model: "scripted-1", Usage: result.Usage}},
			}, result)
			require.Equal(t, 8, result.Usage.Calls)
			require.Positive(t, result.Usage.InputTokens)
			require.Positive(t, result.Usage.OutputTokens)
			require.Equal(t, []string{vaultKey + " username", vaultKey + " password", vaultKey + " totp"}, v.used)
			require.Equal(t, "1/25 navigate: navigate https://login.example.com/in", progress[0])
			require.Len(t, progress, 8)
			for _, req := range m.Requests() {
				requireNoSecret(t, string(req.Body))
			}
		})
	}
}

// on is an action on an element as it is recorded: with all that is needed to do it again.
func on(target, kind, arguments string) bctrl.ActAction {
	role, name, _ := strings.Cut(target, " ")
	a := bctrl.ActAction{
		Kind:    kind,
		Target:  target,
		Element: &bctrl.ElementDescription{Role: role, Name: strings.Trim(name, `"`)},
	}
	if arguments != "" {
		a.Arguments = json.RawMessage(arguments)
	}
	if kind == "fill" || kind == "totp" {
		a.VaultKey = vaultKey
	}
	return a
}

// script logs in and exports; what it cannot see it does not do.
func script(t *testing.T) modeltest.Script {
	t.Helper()
	call := func(tool string, args map[string]any) modeltest.Call { return modeltest.Call{Tool: tool, Args: args} }
	return func(turn modeltest.Turn) modeltest.Call {
		v := turn.View
		secret := func(role, name string) bool { return turn.Find(role, name).Value == "[secret]" }
		switch {
		case len(v.Downloads) > 0:
			return call("done", map[string]any{"success": true, "message": "exported " + v.Downloads[0].Filename})
		case turn.Sees("combobox", "quarter") && turn.Find("combobox", "quarter").Value == "":
			return call("select", map[string]any{"ref": turn.Find("combobox", "quarter").Ref, "option": "Q1"})
		case turn.Sees("link", "export"):
			return call("click", map[string]any{"ref": turn.Find("link", "export").Ref})
		case turn.Sees("textbox", "code") && !secret("textbox", "code"):
			return call("enter_totp", map[string]any{"key": v.Logins[0].Key, "ref": turn.Find("textbox", "code").Ref})
		case turn.Sees("button", "verify"):
			return call("click", map[string]any{"ref": turn.Find("button", "verify").Ref})
		case turn.Sees("textbox", "username") && !secret("textbox", "username"):
			return call("fill_login", map[string]any{
				"key": v.Logins[0].Key, "username_ref": "[" + turn.Find("textbox", "username").Ref + "]",
				"password_ref": turn.Find("textbox", "password").Ref,
			})
		case turn.Sees("button", "sign in"):
			return call("click", map[string]any{"ref": turn.Find("button", "sign in").Ref})
		}
		return call("navigate", map[string]any{"url": v.Logins[1].Origins[0] + "/in?next=%2F"})
	}
}

// forms are the encodings in which a value must not be found.
func forms(value string) []string {
	quoted, _ := json.Marshal(value)
	return []string{
		value, string(quoted[1 : len(quoted)-1]), url.QueryEscape(value), url.PathEscape(value),
		base64.StdEncoding.EncodeToString([]byte(value)), base64.URLEncoding.EncodeToString([]byte(value)),
	}
}

func requireNoSecret(t *testing.T, text string) {
	t.Helper()
	for _, value := range []string{username, password, code, apiKey} {
		for i, form := range forms(value) {
			if strings.Contains(text, form) {
				t.Fatalf("a secret is in the text, in form %d", i)
			}
		}
	}
}

// TestNoRequestHoldsASecret lets the page show what it was given in its
// address, title, outline, element names and errors, in every encoding.
func TestNoRequestHoldsASecret(t *testing.T) {
	echoes := map[string]func(string) string{
		"raw":    func(v string) string { return v },
		"query":  url.QueryEscape,
		"path":   url.PathEscape,
		"json":   func(v string) string { return forms(v)[1] },
		"base64": func(v string) string { return base64.StdEncoding.EncodeToString([]byte("user:" + v)) },
		"bare64": func(v string) string { return base64.StdEncoding.EncodeToString([]byte(v)) },
	}
	for _, kind := range kinds {
		for name, echo := range echoes {
			t.Run(string(kind)+" "+name, func(t *testing.T) {
				steps := [][]called{
					does("fill_login", `{"key":"`+vaultKey+`","username_ref":"e1","password_ref":"e2"}`),
					does("click", `{"ref":"e1"}`), // the error quotes the page
					does("click", `{"ref":"e3"}`),
					does("enter_totp", `{"key":"`+vaultKey+`","ref":"e4"}`),
					does("click", `{"ref":"e5"}`),
					does("select", `{"ref":"e7","option":"Q9"}`), // an error of unknown text
					does("done", `{"success":true,"message":"done"}`),
				}
				chat, p := newModel(t, kind, func(n int, _ string) []called { return steps[min(n, len(steps)-1)] })
				s := newSite("login")
				s.echo = echo
				d := deps(chat, s, &vault{})
				var progress strings.Builder
				d.Progress = func(_, _ int, call, message string) { progress.WriteString(call + message) }
				result, err := agent.Act(t.Context(), d, agent.Options{Instruction: "log in"})
				require.NoError(t, err)
				require.True(t, result.Success)
				require.Len(t, p.sent(), len(steps))
				for _, body := range p.sent() {
					requireNoSecret(t, body)
				}
				require.Contains(t, p.sent()[1], "[secret]")
				requireNoSecret(t, encode(result)+progress.String())
			})
		}
	}
}

func TestSecretsOfAnEarlierTaskStaySecret(t *testing.T) {
	chat, p := newModel(t, bctrl.OpenAI,
		func(int, string) []called { return does("done", `{"success":true,"message":"`+code+`"}`) })
	s := newSite("home")
	s.echo = func(v string) string { return v }
	s.filled["e4"] = code
	d := deps(chat, s, &vault{})
	d.Secrets = newSecrets(code)
	result, err := agent.Act(t.Context(), d, agent.Options{Instruction: "look; the code was " + code})
	require.NoError(t, err)
	requireNoSecret(t, p.sent()[0]+encode(result))
}

func TestAPopupIsThePageOfTheNextView(t *testing.T) {
	chat, p := newModel(t, bctrl.OpenAI, func(n int, _ string) []called {
		if n == 0 {
			return does("press", `{"key":"Enter"}`)
		}
		return does("done", `{"success":true,"message":""}`)
	})
	first, popup := newSite("login"), newSite("home")
	d := deps(chat, first, &vault{})
	asked := 0
	d.Page = func(context.Context) (browser.Page, error) {
		if asked++; asked > 1 {
			return popup, nil
		}
		return first, nil
	}
	result, err := agent.Act(t.Context(), d, agent.Options{Instruction: "x"})
	require.NoError(t, err)
	require.Equal(t, "https://login.example.com/home", result.URL)
	view, ok := agent.ParseView(lastText(t, p.sent()[1]))
	require.True(t, ok)
	require.Equal(t, "home", view.Title)
}

// lastText returns the text of the last message of an OpenAI-shaped request.
func lastText(t *testing.T, body string) string {
	t.Helper()
	var req struct {
		Messages []struct{ Content string }
	}
	require.NoError(t, json.Unmarshal([]byte(body), &req))
	return req.Messages[len(req.Messages)-1].Content
}

func TestThePromptStaysBounded(t *testing.T) {
	long := strings.Repeat("x", 3900)
	const turns = 80
	chat, p := newModel(t, bctrl.OpenAI, func(n int, _ string) []called {
		if n == turns {
			return does("done", `{"success":true,"message":""}`)
		}
		return []called{{"", "type", fmt.Sprintf(`{"ref":"e1","text":"%d%s"}`, n, long)}}
	})
	_, err := agent.Act(t.Context(), deps(chat, newSite("login"), &vault{}), agent.Options{
		Instruction: "x",
		MaxSteps:    turns + 1,
	})
	require.NoError(t, err)
	bodies := p.sent()
	require.Len(t, bodies, turns+1)
	require.Less(t, len(bodies[turns]), 320<<10)
	require.Contains(t, bodies[turns], "earlier turns are left out")
	require.Contains(t, bodies[turns], "Task: x")
	const quoted = 1 // by the system prompt
	for _, n := range []int{2, turns} {
		require.Equal(t, quoted+2, strings.Count(bodies[n], "/view id="), "older views are left out")
	}
	require.Equal(t, 1, strings.Count(bodies[2], "an older view of https://login.example.com/login is left out"))
}

func TestProviderAndBrowserFailuresEndTheTask(t *testing.T) {
	gone := errors.New("the browser is gone")
	for _, c := range []struct {
		why  string
		edit func(*agent.Deps, *site, *vault)
		want error
		code string
	}{
		{"no page", func(d *agent.Deps, _ *site, _ *vault) {
			d.Page = func(context.Context) (browser.Page, error) { return nil, gone }
		}, gone, ""},
		{"a page that cannot be read", func(_ *agent.Deps, s *site, _ *vault) { s.broken = gone }, gone, ""},
		{"an audit log that cannot be written", func(_ *agent.Deps, _ *site, v *vault) {
			v.err = &bctrl.Error{
				Status: 503,
				Code:   "audit.unavailable",
			}
		}, bctrl.ErrUnavailable, "audit.unavailable"},
		{"a vault of unknown trouble", func(_ *agent.Deps, _ *site, v *vault) { v.err = gone }, gone, ""},
		{"a provider that refuses", func(d *agent.Deps, _ *site, _ *vault) {
			d.Model = failing{&bctrl.Error{Status: 502, Code: "model.unauthorized"}}
		}, bctrl.ErrUnavailable, "model.unauthorized"},
	} {
		chat, _ := newModel(t, bctrl.OpenAI, func(int, string) []called {
			return does("fill_login", `{"key":"`+vaultKey+`","password_ref":"e2"}`)
		})
		s, v := newSite("login"), &vault{}
		d := deps(chat, s, v)
		c.edit(&d, s, v)
		result, err := agent.Act(t.Context(), d, agent.Options{Instruction: "x"})
		require.ErrorIs(t, err, c.want, c.why)
		require.NotNil(t, result, c.why)
		require.False(t, result.Success)
		if known, ok := errors.AsType[*bctrl.Error](err); ok {
			require.Equal(t, c.code, known.Code)
		}
	}
}

type failing struct{ err error }

func (f failing) Complete(context.Context, model.Request) (*model.Response, error) { return nil, f.err }

func TestCancellingEndsTheTaskInItsCall(t *testing.T) {
	for _, where := range []string{"model", "page", "wait", "download"} {
		t.Run(where, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s := newSite("login")
			chat, p := newModel(t, bctrl.OpenAI, func(int, string) []called {
				switch where {
				case "model":
					cancel()
				case "wait":
					time.AfterFunc(10*time.Millisecond, cancel)
					return does("wait", `{"seconds":10}`)
				case "download":
					time.AfterFunc(10*time.Millisecond, cancel)
					return does("wait_download", `{}`)
				}
				return does("click", `{"ref":"e3"}`)
			})
			if where == "page" {
				s.hang = make(chan struct{})
				go func() { <-s.hang; cancel() }()
			}
			_, err := agent.Act(ctx, deps(chat, s, &vault{}), agent.Options{Instruction: "x"})
			require.ErrorIs(t, err, context.Canceled)
			require.Len(t, p.sent(), 1)
		})
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []agent.Options{
		{}, {Instruction: " \n"}, {Instruction: strings.Repeat("x", wire.MaxInstruction+1)},
		{Instruction: "x", MaxSteps: -1}, {Instruction: "x", MaxSteps: wire.MaxAgentSteps + 1},
		{Instruction: "x", Timeout: -1},
	} {
		_, err := agent.Act(t.Context(), agent.Deps{}, o)
		require.ErrorIs(t, err, bctrl.ErrInvalid)
	}
}
