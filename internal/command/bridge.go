package command

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/bridge"
)

// abandoned is how long a runtime that a bridge has launched goes on when the bridge was
// killed and could not stop it.
const abandoned = 10 * time.Second

// stopTime bounds stopping a runtime when the bridge ends.
const stopTime = 15 * time.Second

// bridging is what a bridge is asked for.
type bridging struct {
	port            int
	anyUser, launch bool
	// standIn says that a client has started the command as its browser, pipe that it
	// speaks over file descriptors 3 and 4.
	standIn, pipe bool
}

func bridgeRuntime(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bridge <workspace/alias> [-- <flags of Chromium>]",
		Short: "Give a runtime an address on this machine, for clients that name local files",
		Long: `Give a runtime a DevTools address on this machine, for a client that was written
for a browser of its own machine, until it is interrupted or the runtime ends.
Files of this machine that the client gives to a page are sent to the mounted
storage while the browser takes them over, and removed again. Downloads for
which the client names a folder of this machine are brought there before it is
told that they are complete, and stay in storage too. Paths below /storage/ are
those of the storage, as with 'bctrl runtime connect'.

The address holds a part that nobody can guess: whoever sees it can steer the
browser, and have it given the files of whoever runs the command. For clients
that take http://127.0.0.1:PORT alone, /json/version tells it to processes of
the same user, on Linux, and with --discovery to every user of the machine.

What stands behind -- are the flags that a client starts its browser with: a
script with this command in it is an executable for go-rod's launcher,
chromedp's ExecPath, and the executablePath of Puppeteer and Playwright. The
command prints what Chromium prints then, takes --remote-debugging-port and
--remote-debugging-pipe, passes over the other flags, and ends when the client
closes the browser. With --launch it has a runtime of its own, which stops with
it; a workspace alone is enough then, and an alias is made up.`,
		Example: `  bctrl runtime bridge sales/crm
  bctrl runtime bridge sales/crm --port 9222
  bctrl runtime bridge sales --launch -- --headless --remote-debugging-port=0`,
		ValidArgsFunction: c.completing(runtimeNames),
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		return arguments(1, 1)(cmd, args[:beforeDash(cmd, args)])
	}
	var b bridging
	f := cmd.Flags()
	f.IntVar(&b.port, "port", 0, "`port` to listen on (default: a free one)")
	f.BoolVar(&b.anyUser, "discovery", false, "tell every user of this machine the address, at /json/version")
	f.BoolVar(&b.launch, "launch", false, "launch the runtime, and stop it at the end")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		n := beforeDash(cmd, args)
		b.standIn = n < len(args)
		if err := b.read(args[n:]); err != nil {
			return err
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			rt, stop, err := b.runtime(ctx, client, args[0])
			if err != nil {
				return err
			}
			defer stop()
			if err := c.bridge(ctx, cmd, rt, b); err != nil {
				return about("runtime "+printable(args[0]), err)
			}
			return nil
		})
	}
	return cmd
}

// beforeDash is how many arguments stand before --.
func beforeDash(cmd *cobra.Command, args []string) int {
	if n := cmd.ArgsLenAtDash(); n >= 0 {
		return n
	}
	return len(args)
}

// read reads the flags of Chromium that say how its debugger is reached.
func (b *bridging) read(flags []string) (err error) {
	for _, flag := range flags {
		name, value, _ := strings.Cut(flag, "=")
		switch name {
		case "--remote-debugging-pipe":
			b.pipe = true
		case "--remote-debugging-port":
			if b.port, err = strconv.Atoi(value); err != nil {
				return usagef("--remote-debugging-port %s: want a number", printable(value))
			}
		}
	}
	return nil
}

// runtime finds the runtime of a name, or launches it. stop ends what was launched.
func (b *bridging) runtime(
	ctx context.Context, client *bctrl.Client, name string,
) (_ *bctrl.Runtime, stop func(), err error) {
	if !b.launch {
		rt, err := runtimeOf(ctx, client, name)
		return rt, func() {}, err
	}
	if !strings.Contains(name, "/") {
		name += "/bridge-" + strings.ToLower(rand.Text())
	}
	ws, alias, err := runtimeName(ctx, client, name)
	if err != nil {
		return nil, nil, err
	}
	rt, err := ws.Runtimes.Browser(alias).Playwright(ctx, bctrl.Launch{
		Config: &bctrl.LaunchConfig{IdleTimeout: abandoned}, // a bridge that runs is a use
	})
	if err != nil {
		return nil, nil, err
	}
	return rt, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer cancel()
		_ = rt.Stop(ctx) // else it ends by itself
	}, nil
}

// bridge serves until it is over.
func (c *cli) bridge(ctx context.Context, cmd *cobra.Command, rt *bctrl.Runtime, b bridging) error {
	if b.standIn {
		// Clients read the address and close the pipe that it came by.
		signal.Ignore(syscall.SIGPIPE)
	}
	to := bridge.Config{
		Runtime:      rt,
		Server:       c.server(),
		AnyUser:      b.anyUser,
		EndWithClose: b.standIn,
		Report:       func(text string) { note(cmd, "bctrl: %s", oneLine(text)) },
	}
	if b.pipe {
		way, err := bridge.Open(ctx, to)
		if err != nil {
			return err
		}
		return way.ServePipe(ctx, bridge.NewPipe(os.NewFile(3, "in"), os.NewFile(4, "out")))
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(b.port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %d is taken: choose another --port", b.port)
	}
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	way, err := bridge.Open(ctx, to)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if b.standIn {
		fmt.Fprintf(cmd.ErrOrStderr(), "\nDevTools listening on %s\n", way.Address(l.Addr()))
	} else {
		fmt.Fprintln(cmd.OutOrStdout(), way.Address(l.Addr()))
	}
	return way.Serve(ctx, l)
}
