// Command demo does the main job from beginning to end: it stores a model's
// key and a login, makes a workspace that may use them, launches a real
// browser in it and lets an agent log in to a CRM and export a quarter's
// pipeline, which it then reads back from storage. On the way it tries two
// things that the workspace does not permit.
//
// Everything runs in this process but the browser: stage.go starts a server
// with a temporary data directory, the CRM, and a scripted model unless
// OPENAI_API_KEY or ANTHROPIC_API_KEY is set. This file is what a program of
// your own would look like.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	began := time.Now()
	stage, err := openStage(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stage.close()) }()
	stage.describe()

	client, err := bctrl.New(bctrl.WithBaseURL(stage.url), bctrl.WithAPIKey(stage.key))
	if err != nil {
		return err
	}

	step("Store the model's key")
	credential, err := client.AICredentials.Create(ctx, stage.credential)
	if err != nil {
		return err
	}
	test, err := client.AICredentials.Test(ctx, credential.ID)
	if err != nil {
		return err
	}
	if !test.OK {
		return fmt.Errorf("the model's provider does not accept the key: %s", test.Message)
	}
	note("%s is sealed; the provider accepts it (%s)", credential.ID, round(test.Latency))

	step("Store the login")
	entry, err := client.Vault.Set(ctx, "prod/crm/salesforce", bctrl.VaultCredential{
		Username: "bot@company.com",
		Password: stage.password,
		TOTP:     stage.seed,
		Origins:  []string{stage.crmURL},
	})
	if err != nil {
		return err
	}
	note("%s is sealed: %s, a password and a TOTP seed", entry.Key, entry.Username)
	note("it is filled at %s and nowhere else", strings.Join(entry.Origins, ", "))

	step("Make a workspace: the ceiling")
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{
		Name: "sales-pipeline",
		Mounts: bctrl.Mounts{
			AI: &bctrl.AIMount{
				Allow:    []string{credential.ID},
				Defaults: map[bctrl.Provider]string{credential.Provider: credential.ID},
			},
			Vault:   &bctrl.VaultMount{Allow: []string{"prod/crm/"}},
			Storage: &bctrl.StorageMount{Workspace: "sales-exports"},
		},
	})
	if err != nil {
		return err
	}
	note("%s may use %s, the vault below prod/crm/ and the files of sales-exports", ws.Name, credential.ID)

	step("Ask for more than the ceiling")
	_, err = ws.Runtimes.Browser("greedy").
		Narrow(bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/"}}}).
		Stagehand(ctx, bctrl.Launch{})
	if err := refused(err, bctrl.ErrWidening); err != nil {
		return err
	}

	step("Launch a browser")
	launched := time.Now()
	rt, err := ws.Runtimes.Browser("crm").Stagehand(ctx, bctrl.Launch{Mode: bctrl.ModeProfile, ProfileID: "sf-bot"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Stop(context.WithoutCancel(ctx))) }()
	note("%s is %s after %s, with the profile sf-bot", rt.Alias, rt.Status, round(time.Since(launched)))

	step("Reach for a login outside the ceiling")
	_, err = rt.Vault.TOTP(ctx, "prod/email/ceo")
	if err := refused(err, bctrl.ErrOutsideMount); err != nil {
		return err
	}

	step("Let the agent work")
	const task = "Log in to the CRM and export Q1 pipeline"
	note("%q", task)
	acted := time.Now()
	result, err := rt.Stagehand.Act(ctx, task)
	if err != nil {
		return err
	}
	for _, a := range result.Actions {
		note("  %-9s %s", a.Kind, describe(a))
	}
	note("%s (%d calls of the model, %s)", result.Message, result.Usage.Calls, round(time.Since(acted)))
	if !result.Success || len(result.Downloads) == 0 {
		return errors.New("the agent did not finish the task")
	}

	step("Read the export from storage")
	files := client.Storage("sales-exports")
	export := result.Downloads[0]
	text, err := files.Get(ctx, export.LogicalPath)
	if err != nil {
		return err
	}
	note("%s, %d bytes:", export.ObjectKey, export.SizeBytes)
	for line := range firstLines(string(text), 4) {
		note("  %s", line)
	}
	link, err := files.DownloadURL(ctx, export.LogicalPath, 15*time.Minute)
	if err != nil {
		return err
	}
	note("a link for 15 minutes (while this server runs):")
	note("  %s", link)

	return stage.conclude(began)
}

// describe says what an action was done to.
func describe(a bctrl.ActAction) string {
	text := a.Target
	if a.VaultKey != "" {
		text += " from " + a.VaultKey
	}
	if a.Error != "" {
		text += ": " + a.Error
	}
	return text
}

// refused prints a refusal; anything else than one of the wanted kind is an
// error of the demo.
func refused(err, want error) error {
	var refusal *bctrl.Error
	if !errors.Is(err, want) || !errors.As(err, &refusal) {
		return errors.Join(fmt.Errorf("this should have been refused: %w", want), err)
	}
	note("refused before any request: %s", refusal.Code)
	note("  %s", refusal.Message)
	for _, p := range refusal.Problems {
		note("  %s asks for %s, which would permit %s; the ceiling is %s", p.Field, p.Value, p.Witness, p.Ceiling)
	}
	return nil
}
