// Command demo does the main job from beginning to end: it stores a model's
// key and a login, makes a workspace that may use them, launches a real
// browser in it and lets an agent log in to a CRM and export a quarter's
// pipeline, which it then reads back from storage. On the way it tries two
// things that the workspace does not permit.
//
// Everything runs in this process but the browser: stage.go starts a server
// with a temporary data directory, the CRM, and a scripted model unless
// OPENAI_API_KEY or ANTHROPIC_API_KEY is set. The function program is what a
// program of your own would look like.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/examples/internal/ending"
)

// errInterrupted stands for every failure that an interrupt has caused.
var errInterrupted = errors.New("interrupted")

func main() {
	ctx, stop := ending.Context()
	context.AfterFunc(ctx, stop) // whoever asks twice does not want to wait
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

// run sets the stage, runs the program on it and clears it away, whatever has
// happened.
func run(ctx context.Context) error {
	began := time.Now()
	stage, err := openStage(ctx)
	if err == nil {
		stage.describe()
		err = program(ctx, stage)
	}
	if err == nil {
		err = stage.conclude(began)
	}
	if ctx.Err() != nil {
		err = errInterrupted
	}
	if err = errors.Join(err, stage.close()); err != nil && !errors.Is(err, errInterrupted) {
		_, _ = stage.log.WriteTo(os.Stderr) // it may say why
	}
	return err
}

func program(ctx context.Context, stage *stage) (err error) {
	client, err := bctrl.New(bctrl.WithBaseURL(stage.url), bctrl.WithAPIKey(stage.key))
	if err != nil {
		return err
	}

	stage.step("Store the model's key")
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
	stage.note("%s is sealed. Its provider accepts it.", credential.ID)

	stage.step("Store the login")
	entry, err := client.Vault.Set(ctx, "prod/crm/salesforce", bctrl.VaultCredential{
		Username: "bot@company.com",
		Password: stage.password,
		TOTP:     stage.seed,
		Origins:  []string{stage.crmURL},
	})
	if err != nil {
		return err
	}
	stage.note("%s is sealed: %s, a password and the seed of one-time codes.", entry.Key, entry.Username)
	stage.note("It may be filled in at %s and nowhere else.", strings.Join(entry.Origins, ", "))

	stage.step("Make a workspace, the ceiling")
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{
		Name: "sales-pipeline",
		Mounts: bctrl.Mounts{
			AI: &bctrl.AIMount{
				Allow:    []string{credential.ID},
				Defaults: map[bctrl.AIProvider]string{credential.Provider: credential.ID},
			},
			Vault:   &bctrl.VaultMount{Allow: []string{"prod/crm/"}},
			Storage: &bctrl.StorageMount{Workspace: "sales-exports"},
		},
	})
	if err != nil {
		return err
	}
	stage.note("%s may use %s, logins below prod/crm/ and the files of sales-exports.", ws.Name, credential.ID)

	stage.step("Try to launch with more than the ceiling")
	_, err = ws.Runtimes.Browser("greedy").
		Narrow(bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/"}}}).
		Stagehand(ctx, bctrl.Launch{})
	if err := stage.refused(err, bctrl.ErrWidening); err != nil {
		return err
	}

	stage.step("Launch a browser")
	launched := time.Now()
	rt, err := ws.Runtimes.Browser("crm").Stagehand(ctx, bctrl.Launch{Mode: bctrl.ModeProfile, ProfileID: "sf-bot"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Stop(context.WithoutCancel(ctx))) }()
	stage.note("%s is %s after %s, with the profile sf-bot, made on this first use.", rt.Alias, rt.Status,
		round(time.Since(launched)))

	stage.step("Try a login outside the ceiling")
	_, err = rt.Vault.TOTP(ctx, "prod/email/ceo")
	if err := stage.refused(err, bctrl.ErrOutsideMount); err != nil {
		return err
	}

	const task = "Log in to the CRM and export Q1 pipeline"
	stage.step("Let the agent work: %q", task)
	acted := time.Now()
	result, err := rt.Stagehand.Act(ctx, task)
	if err != nil {
		return err
	}
	for _, a := range result.Actions {
		stage.act(a)
	}
	stage.note("It says: %s (%d questions to the model, %s)", result.Message, result.Usage.Calls, round(time.Since(acted)))
	if !result.Success || len(result.Downloads) == 0 {
		return errors.New("the agent did not finish the task")
	}

	stage.step("Read the export from storage")
	files := client.Storage("sales-exports")
	export := result.Downloads[0]
	text, err := files.Get(ctx, export.LogicalPath)
	if err != nil {
		return err
	}
	stage.note("%s, %d bytes, begins:", export.ObjectKey, export.SizeBytes)
	for line := range firstLines(string(text), 4) {
		stage.detail("%s", line)
	}
	link, err := files.DownloadURL(ctx, export.LogicalPath, 15*time.Minute)
	if err != nil {
		return err
	}
	stage.note("A link to it, good for 15 minutes while its server runs:")
	stage.detail("%s", link)
	return nil
}
