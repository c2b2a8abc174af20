package compat

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/internal/democrm"
)

const (
	crmUser     = "bot@company.com"
	crmPassword = "canary-Password-93"
	crmSeed     = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	crmLogin    = "prod/crm/salesforce"
)

// inRuntime is what an agent of somebody else's is given: a runtime's token and
// addresses, and no key.
type inRuntime struct {
	// Connect is where it finds the browser, Model what it has as its model's base URL,
	// and Execute where it has a login filled.
	Connect string `json:"connect"`
	Model   string `json:"model"`
	Execute string `json:"execute"`
	Token   string `json:"token"`
	Runtime string `json:"runtime"`
	// Site is where its task is.
	Site string `json:"site"`
}

// agentsPlace is a CRM, and a runtime in which an agent of somebody else's works on it.
type agentsPlace struct {
	*bctrltest.Server
	crm   *democrm.App
	rt    *bctrl.Runtime
	given inRuntime
}

func newAgentsPlace(t *testing.T, script modeltest.Script) *agentsPlace {
	t.Helper()
	crm, err := democrm.New(democrm.Config{Username: crmUser, Password: bctrl.NewSecret(crmPassword),
		TOTPSeed: bctrl.NewSecret(crmSeed)})
	require.NoError(t, err)
	site := httptest.NewServer(crm)
	t.Cleanup(site.Close)
	srv := bctrltest.New(t, bctrltest.WithBrowser(), bctrltest.WithModel(script))
	client, ctx := srv.Client(bctrl.WithTimeout(time.Minute)), t.Context()
	_, err = client.AICredentials.Create(ctx, srv.ModelCredential("model"))
	require.NoError(t, err)
	_, err = client.Vault.Set(ctx, crmLogin, bctrl.VaultCredential{Username: crmUser,
		Password: bctrl.NewSecret(crmPassword), TOTP: bctrl.NewSecret(crmSeed), Origins: []string{site.URL}})
	require.NoError(t, err)
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "sales", Mounts: bctrl.Mounts{
		AI:    &bctrl.AIMount{Allow: []string{"model"}},
		Vault: &bctrl.VaultMount{Allow: []string{"prod/crm/"}},
	}})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("crm").Playwright(ctx, bctrl.Launch{})
	require.NoError(t, err)
	token, err := rt.Token(ctx, bctrl.TokenRequest{})
	require.NoError(t, err)
	address, err := rt.ConnectURL(ctx)
	require.NoError(t, err)
	return &agentsPlace{srv, crm, rt, inRuntime{
		Connect: address,
		Model:   proxyURL(srv.URL, "model") + "/v1",
		Execute: srv.URL + "/v1/workspaces/" + ws.ID + "/execute",
		Token:   token.Expose(),
		Runtime: "crm",
		Site:    site.URL,
	}}
}

// run runs an agent, and holds that it says it is done, and that nothing of the login went
// through it or its model. It returns what it said.
func (p *agentsPlace) run(t *testing.T, command ...string) (said string) {
	t.Helper()
	in, err := json.Marshal(p.given)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1",
		"ANONYMIZED_TELEMETRY=false", "BROWSER_USE_CLOUD_SYNC=false", "BROWSER_USE_VERSION_CHECK=false",
		// What goes elsewhere than to this machine does not get there.
		"HTTPS_PROXY=http://127.0.0.1:9", "NO_PROXY=127.0.0.1",
	}
	cmd.WaitDelay = 5 * time.Second
	var out, log bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &log
	err = cmd.Run()
	said = log.String() + out.String()
	for _, value := range []string{crmPassword, crmSeed} {
		require.False(t, strings.Contains(said, value), "it saw a value")
		for _, r := range p.Model().Requests() {
			require.False(t, strings.Contains(string(r.Body), value), "its model was sent a value")
		}
	}
	said = strings.ReplaceAll(said, p.given.Token, "[secret]")
	require.NoError(t, err, said)
	var done struct{ Success bool }
	require.NoError(t, json.Unmarshal(out.Bytes(), &done), said)
	require.True(t, done.Success, said)
	require.NotEmpty(t, p.Model().Requests())
	return said
}

// works runs an agent that has to log in and to export once.
func (p *agentsPlace) works(t *testing.T, command ...string) {
	t.Helper()
	said := p.run(t, command...)
	counts := p.crm.Counts()
	require.Equal(t, 1, counts.Logins, said)
	require.Zero(t, counts.WrongLogins, said)
	require.Positive(t, counts.Exports, said) // browser-use fetches what it downloads once more
	var exported []string
	for o, err := range p.rt.Storage.Objects(t.Context(), bctrl.ObjectFilter{Source: bctrl.SourceDownload}) {
		require.NoError(t, err)
		exported = append(exported, o.Filename)
	}
	require.Len(t, exported, 1, "the file is in the runtime's storage: %s", said)
}

// browserUse is a model of browser-use's, as far as the CRM goes: it answers with the
// JSON that the library asks for, and decides from the page as the library shows it.
func browserUse(turn modeltest.Turn) modeltest.Call {
	// Elements are shown as [12]<button type=submit />, with what they say below.
	index := func(pattern string) int {
		m := regexp.MustCompile(`\[(\d+)\]<` + pattern).FindStringSubmatch(turn.Text)
		if m == nil {
			return 0
		}
		n, _ := strconv.Atoi(m[1]) // digits
		return n
	}
	did := func(what string) bool { return strings.Contains(turn.Text, what) }
	type object = map[string]any
	var action object
	export := index(`button[^>]*>\s+Export CSV`)
	switch {
	case export != 0 && !did("Q1 is chosen"):
		action = object{"select_dropdown": object{"index": index("select"), "text": "Q1"}}
	case export != 0 && !did("Exported"):
		action = object{"click": object{"index": export}}
	case export != 0:
		action = object{"done": object{"text": "Exported Q1.", "success": true, "files_to_display": []string{}}}
	case index(`button[^>]*>\s+Verify`) != 0 && !did("filled ['totp']"):
		action = object{"fill_login": object{"key": crmLogin, "code": "Verification code"}}
	case index(`button[^>]*>\s+Verify`) != 0:
		action = object{"click": object{"index": index(`button[^>]*>\s+Verify`)}}
	case !did("filled ['username', 'password']"):
		action = object{"fill_login": object{"key": crmLogin, "username": "Username", "password": "Password"}}
	default:
		action = object{"click": object{"index": index(`button[^>]*>\s+Log in`)}}
	}
	memory := map[bool]string{true: "Q1 is chosen."}[export != 0]
	if _, clicks := action["click"]; clicks && export != 0 {
		memory = "Q1 is chosen. Exported."
	}
	said, err := json.Marshal(object{"thinking": "", "evaluation_previous_goal": "", "memory": memory, "next_goal": "",
		"action": []object{action}})
	if err != nil {
		return modeltest.Say(err.Error())
	}
	return modeltest.Say(string(said))
}

// TestBrowserUseWorksInARuntime has the library log in with a password and a code, and
// export, with the runtime's browser, a model that is asked through the server, and no
// value and no key of its own.
func TestBrowserUseWorksInARuntime(t *testing.T) {
	p := newAgentsPlace(t, browserUse)
	installed(t)
	p.works(t, "agents/venv/bin/python", "agents/browser_use_agent.py")
}

// stagehand is a model of Stagehand's, as far as the CRM goes: it answers with the JSON
// that the library asks for, and finds elements in its accessibility tree by the end of
// the instruction.
func stagehand(turn modeltest.Turn) modeltest.Call {
	type object = map[string]any
	find := func(role, name string) any {
		// Elements are shown as [0-24] button: Log in.
		m := regexp.MustCompile(`\[([0-9-]+)\] ` + role + `: ` + name).FindStringSubmatch(turn.Text)
		if m == nil {
			return nil
		}
		return object{"elementId": m[1], "description": name, "method": "click", "arguments": []string{}}
	}
	instruction, _, _ := strings.Cut(strings.TrimPrefix(turn.Text, "instruction: "), "\n")
	instruction = strings.TrimRight(instruction, ". ")
	var said object
	switch {
	case strings.HasPrefix(instruction, "find the button "):
		said = object{"elements": []any{find("button", strings.TrimPrefix(instruction, "find the button "))}}
	case strings.Contains(instruction, "press "):
		_, name, _ := strings.Cut(instruction, "press ")
		said = object{"action": find("button", name), "twoStep": false}
	case strings.Contains(instruction, "choose Q1"):
		choice, ok := find("(?:combobox|select)", "Quarter").(object)
		if ok {
			choice["method"], choice["arguments"] = "selectOptionFromDropdown", []string{"Q1"}
			said = object{"action": choice, "twoStep": false}
		} else {
			said = object{"action": nil, "twoStep": false}
		}
	case strings.Contains(turn.Text, `"heading"`): // what was extracted: is it all?
		said = object{"progress": "", "completed": true}
	case strings.Contains(turn.Text, "heading: Pipeline 2026"):
		said = object{"heading": "Pipeline 2026"}
	}
	text, err := json.Marshal(said)
	if err != nil {
		return modeltest.Say(err.Error())
	}
	return modeltest.Say(string(text))
}

// TestStagehandWorksInARuntime has that library do the same, whose code in the browser
// runs beside its client instead: see js/stagehand_host.mjs.
func TestStagehandWorksInARuntime(t *testing.T) {
	p := newAgentsPlace(t, stagehand)
	installed(t)
	p.works(t, "js/node_modules/.bin/node", "js/stagehand_agent.mjs")
}
