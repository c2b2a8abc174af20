package bctrltest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// The programs of docs/events.md and docs/runtimes.md, as they stand there, which compile here and
// are run.

func docEvents(ctx context.Context, rt *bctrl.Runtime) error {
	// docs/events.md
	for event, err := range rt.Events(ctx) { // from the launch on; ends with the runtime
		if err != nil {
			return err
		}
		switch d := event.Data.(type) {
		case bctrl.NavigatedEvent:
			fmt.Println(d.URL)
		case bctrl.DownloadedEvent:
			fmt.Println(d.Path, d.SizeBytes)
		case bctrl.GapEvent:
			fmt.Println("some are missing")
		}
	}
	// end
	return nil
}

func docWebhook(ctx context.Context, client *bctrl.Client, keep func(bctrl.Secret)) error {
	// docs/events.md
	hook, err := client.Webhooks.Create(ctx, bctrl.WebhookCreate{
		URL:    "https://ops.example.com/bctrl",
		Events: []bctrl.EventType{bctrl.EventFailed, bctrl.EventOperationEnded}, // none is all
	})
	if err != nil {
		return err
	}
	keep(hook.Secret) // "whsec_…": it is shown once
	// end
	return nil
}

func docReceiver(r *http.Request, body []byte, secret bctrl.Secret) (bctrl.Event, error) {
	// docs/events.md
	event, err := bctrl.VerifyWebhook(r.Header, body, secret)
	// end
	return event, err
}

func docConnect(ctx context.Context, rt *bctrl.Runtime) (string, error) {
	// docs/runtimes.md
	address, err := rt.ConnectURL(ctx) // wss://…/devtools/browser/…
	// end
	return address, err
}

func docProfile(
	ctx context.Context, client *bctrl.Client, ws *bctrl.Workspace, personIsDone func(), work func(*bctrl.Runtime) error,
) error {
	// docs/runtimes.md
	rt, err := ws.Runtimes.Browser("login").Stagehand(ctx, bctrl.Launch{Mode: bctrl.ModeProfile, ProfileID: "sf"})
	if err != nil {
		return err
	}
	if _, err := rt.Page.Goto(ctx, "https://login.salesforce.com/"); err != nil {
		return err
	}
	view, err := rt.Live(ctx, bctrl.LiveOptions{Interactive: true, TTL: 15 * time.Minute})
	if err != nil {
		return err
	}
	fmt.Println("log in here:", view.URL) // and press Take over
	personIsDone()                        // returns once it is
	if _, err := rt.SaveProfile(ctx); err != nil {
		return err
	}
	for i := range 3 { // each agent has a copy of its own, while the first browser goes on
		id := fmt.Sprint("sf-", i)
		if _, err := client.Profiles.Clone(ctx, "sf", bctrl.BrowserProfileCreate{ID: id}); err != nil {
			return err
		}
		agent, err := ws.Runtimes.Browser(id).Stagehand(ctx, bctrl.Launch{Mode: bctrl.ModeProfile, ProfileID: id})
		if err != nil {
			return err
		}
		if err := work(agent); err != nil {
			return err
		}
	}
	// end
	return nil
}

// TestTheProgramsOfTheDocumentsAreThese compares the functions above with the documents, in which
// only what a client of another module says is not here.
func TestTheProgramsOfTheDocumentsAreThese(t *testing.T) {
	source, err := os.ReadFile("docs_test.go")
	require.NoError(t, err)
	here := map[string][]string{}
	indented := regexp.MustCompile(`(?m)^\t`)
	for _, m := range regexp.MustCompile(`(?s)\t// (docs/[a-z]+\.md)\n(.*?)\n\t// end\n`).FindAllSubmatch(source, -1) {
		here[string(m[1])] = append(here[string(m[1])], indented.ReplaceAllString(string(m[2]), ""))
	}
	require.Len(t, here, 2)
	for name, programs := range here {
		document, err := os.ReadFile("../" + name)
		require.NoError(t, err)
		var shown []string
		for _, m := range regexp.MustCompile("(?s)```go\n(.*?)\n```").FindAllSubmatch(document, -1) {
			if !strings.Contains(string(m[1]), "selenium.NewRemote(") { // compat/selenium_test.go has that
				shown = append(shown, string(m[1]))
			}
		}
		require.Equal(t, programs, shown, name)
	}
}

// TestTheProgramsOfTheDocumentsRun runs them one after the other, as a newcomer would.
func TestTheProgramsOfTheDocumentsRun(t *testing.T) {
	ctx := t.Context()
	client := bctrltest.New(t).Client()
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "sales"})
	require.NoError(t, err)
	_, err = client.Profiles.Create(ctx, bctrl.BrowserProfileCreate{ID: "sf"})
	require.NoError(t, err)

	var agents []*bctrl.Runtime
	done := false
	require.NoError(t, docProfile(ctx, client, ws, func() { done = true }, func(rt *bctrl.Runtime) error {
		agents = append(agents, rt)
		return nil
	}))
	require.True(t, done)
	require.Len(t, agents, 3)

	address, err := docConnect(ctx, agents[0])
	require.NoError(t, err)
	require.Contains(t, address, "/devtools/browser/")

	require.NoError(t, agents[0].Stop(ctx))
	require.NoError(t, docEvents(ctx, agents[0]))

	var secret bctrl.Secret
	require.NoError(t, docWebhook(ctx, client, func(s bctrl.Secret) { secret = s }))
	body, err := json.Marshal(bctrl.NewEvent(time.Now(), bctrl.WorkspaceCreatedEvent{Name: "sales"}))
	require.NoError(t, err)
	rq, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://ops.example.com/bctrl", nil)
	require.NoError(t, err)
	now := time.Now().Unix()
	signature, ok := wire.WebhookSignature(secret.Expose(), "one", now, body)
	require.True(t, ok)
	rq.Header.Set(wire.HeaderWebhookID, "one")
	rq.Header.Set(wire.HeaderWebhookTimestamp, strconv.FormatInt(now, 10))
	rq.Header.Set(wire.HeaderWebhookSignature, signature)
	event, err := docReceiver(rq, body, secret)
	require.NoError(t, err)
	require.Equal(t, bctrl.EventWorkspaceCreated, event.Type)
}
