// Command selenium has an agent log in to a CRM, and a program of WebDriver go on
// in the same browser: it reads a page that needs the login, and never has the
// password.
//
//	go run ./examples/selenium
//	go run ./examples/selenium -run 'python3 examples/selenium/client.py'
//
// The first speaks WebDriver by itself, in driver.go, to show all that there is to
// it. The second runs a program of yours, which finds the address in
// SELENIUM_REMOTE_URL and the page in SITE: client.py is one for Selenium's client of
// Python.
//
// It needs Debian's chromium-driver, and neither a network nor a key: see package
// stage. The function program is what a program of your own would look like.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/examples/internal/ending"
	"github.com/bctrl-go/bctrl/examples/internal/stage"
)

func main() {
	command := flag.String("run", "", "program to run with SELENIUM_REMOTE_URL and SITE, in place of the built-in one")
	flag.Parse()
	ctx, stop := ending.Context()
	err := run(ctx, strings.Fields(*command), os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "selenium:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, command []string, out io.Writer) error {
	return stage.Run(ctx, script, func(ctx context.Context, s *stage.Stage) error { return program(ctx, s, command, out) })
}

// script stands in for a model: it logs in and is done.
func script(turn modeltest.Turn) modeltest.Call {
	if turn.Find("combobox", "quarter").Ref != "" {
		return modeltest.Done(true, "Logged in.")
	}
	return modeltest.LogInAndExport("", "")(turn)
}

func program(ctx context.Context, s *stage.Stage, command []string, out io.Writer) (err error) {
	rt, err := launch(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Stop(context.WithoutCancel(ctx))) }()

	done, err := rt.Stagehand.Act(ctx, "Log in to the CRM")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "agent:    ", done.Message)

	address, err := rt.ConnectURL(ctx) // whoever has it can steer the browser
	if err != nil {
		return err
	}
	page := s.Site + "/pipeline"
	if len(command) > 0 {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Env = append(os.Environ(), "SELENIUM_REMOTE_URL="+address, "SITE="+page)
		cmd.Stdout, cmd.Stderr = out, os.Stderr
		return cmd.Run()
	}
	return read(ctx, address, page, out)
}

// read opens a page, chooses a quarter and prints what the page then says.
func read(ctx context.Context, address, page string, out io.Writer) (err error) {
	d, err := newSession(ctx, address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.quit(context.WithoutCancel(ctx))) }()
	if err := d.open(ctx, page); err != nil {
		return err
	}
	title, err := d.title(ctx)
	if err != nil {
		return err
	}
	heading, err := d.text(ctx, "h1")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "webdriver: %s: %s\n", title, heading)
	return err
}

// launch stores the model's key and the login, and launches a browser for Selenium in a
// workspace that may use them.
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
		AI:    &bctrl.AIMount{Allow: []string{s.Model.ID}},
		Vault: &bctrl.VaultMount{Allow: []string{"prod/crm"}},
	}})
	if err != nil {
		return nil, err
	}
	return ws.Runtimes.Browser("crm").Selenium(ctx, bctrl.Launch{})
}
