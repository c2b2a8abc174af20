package tasks

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

var viewsFlag = flag.Bool("views", false, "print what the model sees, and what it calls")

// The logins of the vault. Their values are looked for in all that the model was sent.
const (
	portalKey, portalUser, portalPassword    = "tasks/portal", "clerk-31", "canary-Portal-7"
	codesKey, codesUser, codesPassword       = "tasks/codes", "clerk-32", "canary-Codes-8"
	codesSeed                                = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	archiveKey, archiveUser, archivePassword = "tasks/archive", "clerk-33", "canary-Archive-9"
	cardKey, cardNumber, cardCode            = "tasks/card", "4000056655665556", "7391"
	officeKey, officeUser, officePassword    = "tasks/office/clerk", "clerk-34", "canary-Office-1"
	ownerKey, ownerUser, ownerPassword       = "tasks/office/owner", "owner-35", "canary-Owner-2"
)

// namespace is where files lie.
const namespace = "desk"

// desk is where tasks are done: the site, a server and a runtime with a browser.
type desk struct {
	site   *site
	srv    *bctrltest.Server
	client *bctrl.Client
	rt     *bctrl.Runtime
	// returned is the data that the task's call returned.
	returned any

	mu     sync.Mutex
	policy modeltest.Script
	gaveUp string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{site: newSite(t)}
	d.srv = bctrltest.New(t, bctrltest.WithBrowser(), bctrltest.WithModel(d.script))
	d.client = d.srv.Client(bctrl.WithTimeout(time.Minute))
	ctx := t.Context()
	credential := d.srv.ModelCredential("scripted")
	_, err := d.client.AICredentials.Create(ctx, credential)
	require.NoError(t, err)
	for key, login := range map[string]bctrl.VaultCredential{
		portalKey: {Username: portalUser, Password: bctrl.NewSecret(portalPassword)},
		codesKey: {Username: codesUser, Password: bctrl.NewSecret(codesPassword),
			TOTP: bctrl.NewSecret(codesSeed)},
		archiveKey: {Username: archiveUser, Password: bctrl.NewSecret(archivePassword)},
		cardKey: {Username: cardNumber, Password: bctrl.NewSecret(cardCode),
			Origins: []string{d.site.elsewhere}, Label: "The company's card"},
		officeKey: {Username: officeUser, Password: bctrl.NewSecret(officePassword)},
		ownerKey:  {Username: ownerUser, Password: bctrl.NewSecret(ownerPassword)},
	} {
		login.Origins = append(login.Origins, d.site.url)
		_, err := d.client.Vault.Set(ctx, key, login)
		require.NoError(t, err)
	}
	ws, err := d.client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "desk", Mounts: bctrl.Mounts{
		AI:      &bctrl.AIMount{Allow: []string{"scripted"}},
		Vault:   &bctrl.VaultMount{Allow: []string{"tasks/"}},
		Storage: &bctrl.StorageMount{Workspace: namespace},
	}})
	require.NoError(t, err)
	_, err = d.client.Storage(namespace).Upload(ctx, "in/logo.svg", strings.NewReader(logo))
	require.NoError(t, err)
	d.rt, err = ws.Runtimes.Browser("desk").Stagehand(ctx, bctrl.Launch{Mode: bctrl.ModeEphemeral})
	require.NoError(t, err)
	return d
}

// begin makes the desk ready for a task.
func (d *desk) begin(task task) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.policy, d.gaveUp, d.returned = task.policy, "", nil
}

// script is what the model answers: what the policy of the task does next.
func (d *desk) script(turn modeltest.Turn) modeltest.Call {
	d.mu.Lock()
	defer d.mu.Unlock()
	call := d.policy(turn)
	if call.Tool == "done" && call.Args["success"] == false {
		d.gaveUp = fmt.Sprint(call.Args["message"], "\n", turn.Result, "\n", turn.View.Outline)
	}
	if *viewsFlag {
		fmt.Printf("%s\n%s\n%s-> %s %v\n", turn.Result, turn.View.URL, turn.View.Outline, call.Tool, call.Args)
	}
	return call
}

// trouble is why the policy gave up, with what it saw, to find what is wrong by.
func (d *desk) trouble() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gaveUp == "" {
		return nil
	}
	return errors.New("the policy gave up: " + d.gaveUp)
}

// nothingLeaked looks for the vault's values in what the model was sent.
func (d *desk) nothingLeaked(t *testing.T) {
	t.Helper()
	for _, r := range d.srv.Model().Requests() {
		for _, value := range []string{portalPassword, codesPassword, codesSeed, archivePassword, cardNumber,
			officePassword, ownerPassword} {
			require.False(t, strings.Contains(string(r.Body), value), "the model was sent a value of the vault")
		}
	}
}
