// Command live lets you watch an agent log in to a CRM and export a report, take its
// browser over when you like, and keeps a recording of it as a movie.
//
//	go run ./examples/live
//
// It prints an address: open it in your own browser. The agent begins once you have,
// or after 30 seconds (-wait). When it is done, the movie is written to recording.mov
// (-movie), which common players open; with -keep the page that plays it, with the
// agent's steps on its time line, stays until you press Ctrl-C. You never see the
// password: what is filled in from the vault is masked, on both pages and in the movie.
//
// It needs neither a network nor a key: see package stage. The function program is
// what a program of your own would look like.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/examples/internal/ending"
	"github.com/bctrl-go/bctrl/examples/internal/stage"
)

// options are what the command line says.
type options struct {
	wait  time.Duration // for somebody to open the view
	movie string        // the file to write
	keep  bool          // the page of the recording, until the program is interrupted
}

func main() {
	var o options
	flag.DurationVar(&o.wait, "wait", 30*time.Second, "how long the agent waits for you to open the view")
	flag.StringVar(&o.movie, "movie", "recording.mov", "file to write the recording to")
	flag.BoolVar(&o.keep, "keep", false, "keep the page that plays the recording until Ctrl-C")
	flag.Parse()
	ctx, stop := ending.Context()
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "live:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	return stage.Run(ctx, modeltest.LogInAndExport("quarter", "Q1"), func(ctx context.Context, s *stage.Stage) error {
		return program(ctx, s, o, out)
	})
}

func program(ctx context.Context, s *stage.Stage, o options, out io.Writer) error {
	client, err := bctrl.New(bctrl.WithBaseURL(s.URL), bctrl.WithAPIKey(s.Key))
	if err != nil {
		return err
	}
	rt, err := launch(ctx, client, s)
	if err != nil {
		return err
	}
	err = work(ctx, rt, o, out)
	if err = errors.Join(err, rt.Stop(context.WithoutCancel(ctx))); err != nil {
		return err
	}
	recording, err := rt.Recording(ctx) // waits until it is written
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "recording: %v, %d marks\n", recording.Duration.Round(100*time.Millisecond), len(recording.Marks))
	if err := download(ctx, client, recording.Object, o.movie); err != nil {
		return err
	}
	fmt.Fprintln(out, "movie:    ", o.movie)
	if o.keep {
		fmt.Fprintln(out, "page:     ", recording.URL, "(Ctrl-C ends)")
		<-ctx.Done()
	}
	return nil
}

// work shows the browser to whoever opens the address, and lets the agent work in it.
func work(ctx context.Context, rt *bctrl.Runtime, o options, out io.Writer) error {
	view, err := rt.Live(ctx, bctrl.LiveOptions{Interactive: true, TTL: 10 * time.Minute})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "watch:    ", view.URL) // whoever has it first can take the browser over
	seen, err := waitForWatcher(ctx, rt, o.wait)
	if err != nil {
		return err
	}
	if !seen {
		fmt.Fprintln(out, "           nobody does, so the agent begins")
	}
	done, err := rt.Stagehand.Act(ctx, "Log in to the CRM and export the pipeline of Q1")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "agent:    ", done.Message)
	return nil
}

// waitForWatcher reports whether somebody has opened a live view in time.
func waitForWatcher(ctx context.Context, rt *bctrl.Runtime, wait time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return false, nil
			}
			return false, ctx.Err()
		}
		views, err := rt.LiveViews(ctx)
		if err != nil && ctx.Err() == nil {
			return false, err
		}
		for _, v := range views {
			if v.OpenedAt != nil {
				return true, nil
			}
		}
	}
}

// download writes a stored file to this machine.
func download(ctx context.Context, client *bctrl.Client, object *bctrl.StorageObject, to string) (err error) {
	r, err := client.Storage(object.Workspace).Open(ctx, object.LogicalPath)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// launch stores the model's key and the login, and launches a recorded browser in a
// workspace that may use them, and may speak to the CRM's host alone.
func launch(ctx context.Context, client *bctrl.Client, s *stage.Stage) (*bctrl.Runtime, error) {
	if _, err := client.AICredentials.Create(ctx, s.Model); err != nil {
		return nil, err
	}
	if _, err := client.Vault.Set(ctx, "prod/crm", s.Login); err != nil {
		return nil, err
	}
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "sales", Mounts: bctrl.Mounts{
		AI:      &bctrl.AIMount{Allow: []string{s.Model.ID}},
		Vault:   &bctrl.VaultMount{Allow: []string{"prod/crm"}},
		Storage: &bctrl.StorageMount{Workspace: "sales"}, // where exports and recordings go
		Web:     &bctrl.WebMount{Allow: []string{"localhost"}},
	}})
	if err != nil {
		return nil, err
	}
	return ws.Runtimes.Browser("crm").Stagehand(ctx, bctrl.Launch{Record: true})
}
