// Command browseruse runs an agent with the options that users of the library
// browser-use know: hosts where it may be, a login by vault key where that library
// takes sensitive_data, bounds, and a schema that its output keeps to.
//
//	go run ./examples/browseruse
//
// It needs no network and no key: see package stage and script.go. The function
// program is what a program of your own would look like.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/examples/internal/ending"
	"github.com/bctrl-go/bctrl/examples/internal/stage"
)

// schema is what the answer has to keep to: output_model_schema in the library.
const schema = `{
	"type": "object",
	"properties": {"quarter": {"enum": ["Q1", "Q2", "Q3", "Q4"]}, "deals": {"type": "integer", "minimum": 0}},
	"required": ["quarter", "deals"]
}`

func main() {
	ctx, stop := ending.Context()
	err := run(ctx, script, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "browseruse:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, script modeltest.Script, out io.Writer) error {
	return stage.Run(ctx, script, func(ctx context.Context, s *stage.Stage) error { return program(ctx, s, out) })
}

func program(ctx context.Context, s *stage.Stage, out io.Writer) (err error) {
	rt, err := launch(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Stop(context.WithoutCancel(ctx))) }()
	site, err := url.Parse(s.Site)
	if err != nil {
		return err
	}

	result, err := rt.BrowserUse.Agent(ctx, "How many deals are in Q2?", bctrl.BrowserUseOptions{
		AllowedHosts: []string{site.Hostname()},
		Logins:       []string{"prod/crm"}, // the mounts permit prod/mail, too; this task does not
		MaxSteps:     12,
		MaxFailures:  3,
		StepTimeout:  30 * time.Second,
		Vision:       bctrl.VisionOff,
		Output:       json.RawMessage(schema),
	})
	if err != nil {
		return err
	}
	for _, a := range result.Actions {
		fmt.Fprintf(out, "%-9s %s %s\n", a.Kind, a.Target, cmp.Or(a.Error, a.VaultKey))
	}
	for _, page := range result.Pages {
		fmt.Fprintf(out, "%-9s %s\n", "visited", page)
	}
	if !result.Success {
		return fmt.Errorf("the agent did not finish: %s", result.Message)
	}
	var answer struct {
		Quarter string
		Deals   int
	}
	if err := json.Unmarshal(result.Output, &answer); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d deals in %s, after %d steps of 12\n", answer.Deals, answer.Quarter, result.Steps)
	return err
}

// launch stores the model's key and two logins, and launches a browser in a workspace
// that may use them.
func launch(ctx context.Context, s *stage.Stage) (*bctrl.Runtime, error) {
	client, err := bctrl.New(bctrl.WithBaseURL(s.URL), bctrl.WithAPIKey(s.Key))
	if err != nil {
		return nil, err
	}
	if _, err := client.AICredentials.Create(ctx, s.Model); err != nil {
		return nil, err
	}
	for _, key := range []string{"prod/crm", "prod/mail"} {
		if _, err := client.Vault.Set(ctx, key, s.Login); err != nil {
			return nil, err
		}
	}
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "sales", Mounts: bctrl.Mounts{
		AI:    &bctrl.AIMount{Allow: []string{s.Model.ID}},
		Vault: &bctrl.VaultMount{Allow: []string{"prod/"}},
	}})
	if err != nil {
		return nil, err
	}
	return ws.Runtimes.Browser("crm").Stagehand(ctx, bctrl.Launch{})
}
