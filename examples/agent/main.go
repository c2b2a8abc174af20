// Command agent shows the verbs of an agent on a CRM: a task within a budget, what
// can be done on a page, data read into a struct, an instruction that is done again
// from the cache, and the task replayed without a model.
//
//	go run ./examples/agent
//
// It needs no network and no key: see package stage and script.go. The function
// program is what a program of your own would look like.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/examples/internal/ending"
	"github.com/bctrl-go/bctrl/examples/internal/stage"
	"github.com/bctrl-go/bctrl/extract"
)

// Deal is a row of the CRM's table.
type Deal struct {
	ID      string `json:"id"`
	Account string `json:"account"`
	Amount  int    `json:"amount" jsonschema:"in US dollars"`
}

func main() {
	ctx, stop := ending.Context()
	err := run(ctx, script, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, script modeltest.Script, out io.Writer) error {
	return stage.Run(ctx, script, func(ctx context.Context, s *stage.Stage) error { return program(ctx, s, out) })
}

// program is the story: one function for each verb.
func program(ctx context.Context, s *stage.Stage, out io.Writer) (err error) {
	rt, err := launch(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Stop(context.WithoutCancel(ctx))) }()

	task, err := exportQ1(ctx, rt, out)
	if err != nil {
		return err
	}
	if err := showQ2(ctx, rt, out); err != nil {
		return err
	}
	if err := readDeals(ctx, rt, out); err != nil {
		return err
	}
	if err := showQ3Twice(ctx, rt, s.Site+"/pipeline", out); err != nil {
		return err
	}
	return replay(ctx, rt, task, out)
}

// exportQ1 has an agent log in and export, with ten questions, 50,000 tokens and two
// minutes at most. The task runs on the server, so a program could leave and wait for it
// later, by the operation's ID.
func exportQ1(ctx context.Context, rt *bctrl.Runtime, out io.Writer) (*bctrl.Operation, error) {
	op, err := rt.Stagehand.AgentAsync(ctx, "Log in to the CRM and export Q1 pipeline",
		bctrl.AgentOptions{MaxSteps: 10, MaxTokens: 50_000, Timeout: 2 * time.Minute})
	if err != nil {
		return nil, err
	}
	done, err := finished(ctx, op)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "AGENT    %s %d steps of 10\n", done.Message, done.Steps)
	for _, a := range done.Actions {
		fmt.Fprintln(out, "        ", a.Kind, a.VaultKey)
	}
	return op, nil
}

// showQ2 does what was observed, which asks no model while the page is the same.
func showQ2(ctx context.Context, rt *bctrl.Runtime, out io.Writer) error {
	found, err := rt.Stagehand.Observe(ctx, "show the deals of Q2")
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return errors.New("nothing on the page shows the deals of Q2")
	}
	acted, err := rt.Stagehand.Act(ctx, found[0])
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "OBSERVE  %s: %s %v, asking %d times\n", found[0].Description, found[0].Method,
		found[0].Arguments, acted.Usage.Calls)
	return err
}

// readDeals reads the table into structs. The schema comes from the type; an answer that
// breaks it is an error.
func readDeals(ctx context.Context, rt *bctrl.Runtime, out io.Writer) error {
	deals, err := extract.Into[[]Deal](ctx, rt, "the deals in the table")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "EXTRACT  %d deals, the first %+v\n", len(deals), deals[:min(1, len(deals))])
	return err
}

// showQ3Twice gives one instruction two times. The second time the page has the same
// shape, and the cache knows what to do.
func showQ3Twice(ctx context.Context, rt *bctrl.Runtime, page string, out io.Writer) error {
	for range 2 {
		if _, err := rt.Page.Goto(ctx, page); err != nil {
			return err
		}
		acted, err := rt.Stagehand.Act(ctx, "Show the deals of Q3", bctrl.ActOptions{Cache: bctrl.CacheAuto})
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "ACT      from the cache: %t, asking %d times\n", acted.FromCache, acted.Usage.Calls)
	}
	return nil
}

// replay does the task again after a logout, without a model: the login is filled by
// its vault key, as the mounts of now permit.
func replay(ctx context.Context, rt *bctrl.Runtime, op *bctrl.Operation, out io.Writer) error {
	if _, err := rt.Stagehand.Act(ctx, "Log out"); err != nil {
		return err
	}
	again, err := op.Replay(ctx, rt)
	if err != nil {
		return err
	}
	done, err := finished(ctx, again)
	if err != nil {
		return err
	}
	if len(done.Files) == 0 {
		return errors.New("the replay brought no file")
	}
	_, err = fmt.Fprintf(out, "REPLAY   %d actions, %s, asking %d times\n", len(done.Actions), done.Files[0].LogicalPath,
		done.Usage.Calls)
	return err
}

// finished waits for an agent and tells its failures and limits as errors.
func finished(ctx context.Context, op *bctrl.Operation) (*bctrl.AgentResult, error) {
	info, err := op.Wait(ctx)
	if err != nil {
		return nil, err
	}
	if err := info.Err(); err != nil {
		return nil, err
	}
	done, err := info.Agent()
	if err == nil && !done.Success {
		err = fmt.Errorf("the agent did not finish: %s", done.Message)
	}
	return done, err
}

// launch stores the model's key and the login, and launches a browser in a workspace
// that may use them. Transcripts, which replays need, are kept in its storage.
func launch(ctx context.Context, s *stage.Stage) (*bctrl.Runtime, error) {
	client, err := bctrl.New(bctrl.WithBaseURL(s.URL), bctrl.WithAPIKey(s.Key))
	if err != nil {
		return nil, err
	}
	if _, err := client.AICredentials.Create(ctx, s.Model); err != nil {
		return nil, err
	}
	if _, err := client.Vault.Set(ctx, "prod/crm", s.Login); err != nil {
		return nil, err
	}
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "sales", Mounts: bctrl.Mounts{
		AI:      &bctrl.AIMount{Allow: []string{s.Model.ID}},
		Vault:   &bctrl.VaultMount{Allow: []string{"prod/crm"}},
		Storage: &bctrl.StorageMount{Workspace: "sales"},
	}})
	if err != nil {
		return nil, err
	}
	return ws.Runtimes.Browser("crm").Stagehand(ctx, bctrl.Launch{})
}
