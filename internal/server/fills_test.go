package server

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/browser"
)

// loginDriver starts browsers whose pages are a login form, and hands each login
// that is filled there to the test.
type loginDriver struct {
	browser.Driver
	fills chan browser.Fill
}

type loginBrowser struct {
	browser.Browser
	fills chan browser.Fill
}

type loginPage struct {
	browser.Page
	fills chan browser.Fill
}

func (d loginDriver) Launch(ctx context.Context, spec browser.Spec) (browser.Browser, error) {
	b, err := d.Driver.Launch(ctx, spec)
	return loginBrowser{b, d.fills}, err
}

func (b loginBrowser) Page(ctx context.Context) (browser.Page, error) {
	p, err := b.Browser.Page(ctx)
	return loginPage{p, b.fills}, err
}

func (loginPage) Observe(context.Context) (*browser.Observation, error) {
	return &browser.Observation{
		URL:      "https://crm.example.com/login",
		Outline:  `[e1] textbox "Password"`,
		Elements: []browser.Element{{Ref: "e1", Role: "textbox", Name: "Password"}},
	}, nil
}

func (p loginPage) Fill(_ context.Context, _ browser.Ref, fill browser.Fill) error {
	p.fills <- fill
	return nil
}

// agents is a server with a runtime whose agent fills in the password of
// prod/crm, whatever it is asked.
type agents struct {
	*lowering
	fills chan browser.Fill
	// told are the logins that its model was told of last.
	told []agent.LoginInfo
}

func newAgents(t *testing.T) *agents {
	t.Helper()
	a := &agents{fills: make(chan browser.Fill, 1)}
	model, err := modeltest.New(modeltest.Config{
		Key: bctrl.NewSecret(canaryAPIKey),
		Script: func(turn modeltest.Turn) modeltest.Call {
			a.told = turn.View.Logins
			if len(turn.Calls) > 0 {
				return modeltest.Done(true, "filled")
			}
			return modeltest.FillLogin("prod/crm", modeltest.Element{}, turn.Find("textbox", "password"))
		},
	})
	require.NoError(t, err)
	provider := httptest.NewServer(model)
	t.Cleanup(provider.Close)
	a.lowering = newLoweringWith(t, provider.URL+"/v1", func(h *harness) browser.Driver {
		return loginDriver{h.browsers, a.fills}
	})
	return a
}

// act has the agent do its one task.
func (a *agents) act() answer {
	a.Helper()
	return a.do("POST", []string{"workspaces", a.ws.ID, "execute"}, nil, object{
		"runtime": "r", "steps": []object{{"call": "stagehand.act", "args": object{
			"instruction": "log in", "provider": "openai", "model": modeltest.DefaultModel,
		}}},
	})
}

// filled has the agent fill the login in, and returns what the browser was given.
func (a *agents) filled() browser.Fill {
	a.Helper()
	got := a.act()
	select {
	case fill := <-a.fills:
		return fill
	case <-time.After(10 * time.Second):
		require.FailNow(a, "the agent filled nothing", "%s", got.Body)
		return browser.Fill{}
	}
}

func TestAnAgentIsToldWhatAnEntryHolds(t *testing.T) {
	a := newAgents(t)
	a.to(object{"vault": object{"allow": []string{"/"}}, "ai": object{"allow": []string{"mine"}}})
	want := map[string]agent.LoginInfo{
		"all": {
			Key:         "all",
			HasUsername: true,
			HasPassword: true,
			HasTOTP:     true,
			Origins:     []string{},
		},
		"code":     {Key: "code", HasTOTP: true, Origins: []string{}},
		"password": {Key: "password", HasPassword: true, Origins: []string{}},
		"username": {Key: "username", HasUsername: true, Origins: []string{}},
	}
	for key, has := range want {
		entry := object{}
		if has.HasUsername {
			entry["username"] = "bot"
		}
		if has.HasPassword {
			entry["password"] = "hunter2"
		}
		if has.HasTOTP {
			entry["totp"] = "JBSWY3DPEHPK3PXP"
		}
		a.ok("PUT", []string{"vault", key}, entry, nil)
	}
	a.filled()
	told := map[string]agent.LoginInfo{}
	for _, l := range a.told {
		told[l.Key] = l
	}
	delete(told, "prod/crm")
	require.Equal(t, want, told)
}
