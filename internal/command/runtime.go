package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

func runtimes(c *cli) *cobra.Command {
	return c.reaching(group(&cobra.Command{
		Use:     "runtime",
		Aliases: []string{"runtimes", "rt"},
		Short:   "Launch browsers in workspaces and work with them",
		Long: `Launch browsers in workspaces and work with them.

A runtime is a browser in a workspace, found by its alias and written
workspace/alias, such as sales/crm. It may use what its workspace may, or less:
what is lowered at its launch or for one act stays lowered. With a runtime token
in BCTRL_API_KEY a dot stands for the token's runtime.`,
	}, listRuntimes(c), launchRuntime(c), getRuntime(c), stopRuntime(c),
		runtimeEvents(c), connectRuntime(c), connectionsRuntime(c), disconnectRuntime(c), bridgeRuntime(c),
		actRuntime(c), observeRuntime(c), extractRuntime(c), agentRuntime(c),
		gotoRuntime(c), pagesRuntime(c), liveRuntime(c), recordingRuntime(c),
		screenshotRuntime(c), pdfRuntime(c), stageRuntime(c), shellRuntime(c)))
}

// ownRuntime stands for the runtime of the token that is the key.
const ownRuntime = "."

// runtimeOf finds a runtime by workspace/alias.
func runtimeOf(ctx context.Context, client *bctrl.Client, name string) (*bctrl.Runtime, error) {
	if name == ownRuntime {
		self, err := client.Self(ctx)
		if err == nil && self.Runtime == nil {
			return nil, usageError{
				errors.New("a dot is the runtime of a token, and BCTRL_API_KEY is none: want workspace/alias"),
			}
		}
		if err != nil {
			return nil, err
		}
		return self.Runtime, nil
	}
	ws, alias, err := runtimeName(ctx, client, name)
	if err != nil {
		return nil, err
	}
	rt, err := ws.Runtimes.Get(ctx, alias)
	if err != nil {
		return nil, about("runtime "+printable(name), err)
	}
	return rt, nil
}

// runtimeName reads workspace/alias, of which the workspace must exist.
func runtimeName(ctx context.Context, client *bctrl.Client, name string) (_ *bctrl.Workspace, alias string, _ error) {
	workspace, alias, ok := strings.Cut(name, "/")
	if !ok || workspace == "" || alias == "" {
		return nil, "", usagef("%s: want a runtime as workspace/alias, such as sales/crm", printable(name))
	}
	ws, err := workspaceOf(ctx, client, workspace)
	return ws, alias, err
}

// withRuntime runs fn with a runtime.
func (c *cli) withRuntime(
	cmd *cobra.Command, name string, fn func(ctx context.Context, rt *bctrl.Runtime) error,
) error {
	return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
		rt, err := runtimeOf(ctx, client, name)
		if err != nil {
			return err
		}
		return fn(ctx, rt)
	})
}

func (c *cli) showRuntime(cmd *cobra.Command, rt bctrl.RuntimeInfo) error {
	launch := string(rt.Launch.Mode)
	if rt.Launch.ProfileID != "" {
		launch += " " + rt.Launch.ProfileID
	}
	lines := []pair{
		{"Alias", rt.Alias}, {"ID", rt.ID}, {"Status", string(rt.Status)}, {"Message", rt.Summary.Message},
		{"Driver", string(rt.Driver)},
		{"Launch", launch}, {"Group", rt.Group}, {"Page", rt.Summary.CurrentURL},
	}
	lines = append(lines, launchLines(rt.Launch.Config)...)
	lines = append(lines, mountLines(rt.EffectiveMounts)...)
	return show(c, cmd, rt, append(lines, pair{"Created", moment(rt.CreatedAt)}, pair{"Updated", moment(rt.UpdatedAt)})...)
}

func listRuntimes(c *cli) *cobra.Command {
	return printing[bctrl.RuntimeInfo](c, &cobra.Command{
		Use:   "list <workspace>",
		Short: "List the runtimes of a workspace",
		Long:  `List the runtimes of a workspace, the newest first, those that have ended too.`,
		Example: `  bctrl runtime list sales
  bctrl runtime list sales --output alias,status`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(workspaceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				ws, err := workspaceOf(ctx, client, args[0])
				if err != nil {
					return err
				}
				return list(c, cmd, mapped(ws.Runtimes.List(ctx), func(rt *bctrl.Runtime) bctrl.RuntimeInfo { return rt.Info }),
					[]column[bctrl.RuntimeInfo]{
						{"ALIAS", func(rt bctrl.RuntimeInfo) string { return rt.Alias }},
						{"STATUS", func(rt bctrl.RuntimeInfo) string { return string(rt.Status) }},
						{"DRIVER", func(rt bctrl.RuntimeInfo) string { return string(rt.Driver) }},
						{"LAUNCH", func(rt bctrl.RuntimeInfo) string { return string(rt.Launch.Mode) }},
						{"CREATED", func(rt bctrl.RuntimeInfo) string { return moment(rt.CreatedAt) }},
						{"PAGE", func(rt bctrl.RuntimeInfo) string { return rt.Summary.CurrentURL }},
					}...,
				)
			})
		},
	})
}

// drivers are the values of --driver.
var drivers = []string{
	string(bctrl.DriverStagehand), string(bctrl.DriverPlaywright), string(bctrl.DriverPuppeteer),
	string(bctrl.DriverSelenium),
}

func launchRuntime(c *cli) *cobra.Command {
	cmd := printing[bctrl.RuntimeInfo](c, &cobra.Command{
		Use:   "launch <workspace/alias>",
		Short: "Launch a browser",
		Long: `Launch a browser in a workspace and wait until it is active. It runs until it is
stopped; Ctrl-C before it is active stops it.

The driver is stagehand for an agent ('bctrl runtime act'), or playwright,
puppeteer or selenium for a program that connects ('bctrl runtime connect').
The browser starts empty and keeps nothing, unless --profile names a browser
profile in which it keeps cookies and site data.

The mount flags lower it below its workspace. What would be more than the
workspace may is refused, with an action that shows it.` + mountsHelp + launchHelp,
		Example: `  bctrl runtime launch sales/export
  bctrl runtime launch sales/bot --profile sf-bot --allow-vault prod/crm/salesforce
  bctrl runtime launch sales/scraper --driver puppeteer --no-vault --width 1920 --height 1080
  bctrl runtime launch sales/phone --mobile --touch --width 412 --height 915 --locale de-DE --idle-timeout 10m`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(runtimeNames),
	})
	var launch bctrl.Launch
	f := cmd.Flags()
	driver := f.String("driver", drivers[0], "stagehand, playwright, puppeteer or selenium")
	f.StringVar((*string)(&launch.Mode), "mode", "", "ephemeral or profile (default ephemeral, with --profile profile)")
	f.StringVar(&launch.ProfileID, "profile", "", "browser profile to keep cookies in")
	group := f.String("group", "", "group of the workspace that it belongs to")
	config := newLaunchFlags(cmd)
	newModelFlags(cmd, &launch.Provider, &launch.Model, &launch.Credential)
	f.BoolVar(&launch.Record, "record", false, "record what the browser shows, into the mounted storage")
	flags := newMountFlags(cmd)
	completeWords(cmd, "driver", drivers...)
	completeWords(cmd, "mode", string(bctrl.ModeEphemeral), string(bctrl.ModeProfile))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		mounts, err := flags.mounts(cmd)
		if err != nil {
			return err
		}
		if launch.Mode == "" && launch.ProfileID != "" {
			launch.Mode = bctrl.ModeProfile
		}
		if launch.Config, err = config.configuration(cmd); err != nil {
			return err
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			ws, alias, err := runtimeName(ctx, client, args[0])
			if err != nil {
				return err
			}
			l := ws.Runtimes.Browser(alias)
			if *group != "" {
				l = l.Group(*group)
			}
			if mounts != nil {
				l = l.Narrow(*mounts)
			}
			same := bctrl.WithIdempotencyKey(uuid.Must(uuid.NewV7()).String())
			rt, err := launchedOrStopped(ctx, ws, alias, func(ctx context.Context) (*bctrl.Runtime, error) {
				return launched(ctx, l, bctrl.Driver(*driver), launch, same)
			})
			if err != nil {
				return err
			}
			return c.showRuntime(cmd, rt.Info)
		})
	}
	return cmd
}

// launchedOrStopped launches a runtime, and stops it where it is interrupted meanwhile: the server goes on with a
// launch that has begun, whose caller may only have lost the connection.
func launchedOrStopped(
	ctx context.Context, ws *bctrl.Workspace, alias string, launch func(context.Context) (*bctrl.Runtime, error),
) (*bctrl.Runtime, error) {
	rt, err := launch(ctx)
	if ctx.Err() == nil {
		return rt, err
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if err := stopLaunch(end, ws, alias, launch); err != nil {
		name := printable(ws.Latest().Name + "/" + alias)
		text := fmt.Sprintf("interrupted: %s may still start (%s): see 'bctrl runtime get %[1]s'", name, err)
		return nil, &advice{text, ctx.Err()}
	}
	return nil, ctx.Err()
}

// stopLaunch stops the runtime of a launch that nobody waits for any more. One that is still queued the server
// ends itself: launched anew, it would be queued once more.
func stopLaunch(
	ctx context.Context, ws *bctrl.Workspace, alias string, launchAgain func(context.Context) (*bctrl.Runtime, error),
) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for asked := 0; ; asked++ {
		rt, err := ws.Runtimes.Get(ctx, alias)
		unknown := errors.Is(err, bctrl.ErrNotFound)
		if unknown && asked >= 5 { // what was just sent may not be on record yet
			return nil
		}
		if err != nil && !unknown {
			return err
		}
		switch {
		case unknown, rt.Status == bctrl.RuntimeQueued:
		case rt.Status != bctrl.RuntimeStarting && rt.Status != bctrl.RuntimeActive:
			return nil
		default: // of this launch, or of another that has the alias
			rt, err = launchAgain(ctx)
			if err == nil {
				return rt.Stop(ctx)
			}
			e, ok := errors.AsType[*bctrl.Error](err)
			switch {
			case ok && e.Code == "request.in_progress":
			case ok && strings.HasPrefix(e.Code, "runtimes."): // it was refused, or it failed: there is no browser
				return nil
			default:
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func launched(
	ctx context.Context, l *bctrl.BrowserLauncher, driver bctrl.Driver, launch bctrl.Launch, opts ...bctrl.CallOption,
) (*bctrl.Runtime, error) {
	switch driver {
	case bctrl.DriverStagehand:
		return l.Stagehand(ctx, launch, opts...)
	case bctrl.DriverPlaywright:
		return l.Playwright(ctx, launch, opts...)
	case bctrl.DriverPuppeteer:
		return l.Puppeteer(ctx, launch, opts...)
	case bctrl.DriverSelenium:
		return l.Selenium(ctx, launch, opts...)
	}
	return nil, usagef("--driver %s: want %s", printable(string(driver)), strings.Join(drivers, ", "))
}

// newModelFlags adds the flags that choose a model.
func newModelFlags(cmd *cobra.Command, provider *bctrl.AIProvider, model, credential *string) {
	f := cmd.Flags()
	f.StringVar((*string)(provider), "provider", "", "`provider` of the model (default: the only one that the mounts "+
		"can serve)")
	f.StringVar(model, "model", "", "`model` to ask (default: the credential's)")
	f.StringVar(credential, "credential", "", "`id` of the AI credential to use (default: as the mounts say)")
	completeWords(cmd, "provider", providers...)
}

func getRuntime(c *cli) *cobra.Command {
	return printing[bctrl.RuntimeInfo](c, &cobra.Command{
		Use:   "get <workspace/alias>",
		Short: "Show a runtime and what it may use",
		Long: `Show a runtime: the live one that has the alias, or else the last that had it.

The mounts are the effective ones, of the workspace and the runtime together;
with --output mounts it prints what was declared at its launch.`,
		Example: `  bctrl runtime get sales/crm
  bctrl runtime get sales/crm --output status
  bctrl runtime get sales/crm --output effectiveMounts`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(runtimeNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withRuntime(cmd, args[0], func(_ context.Context, rt *bctrl.Runtime) error {
				return c.showRuntime(cmd, rt.Info)
			})
		},
	})
}

func stopRuntime(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:               "stop <workspace/alias>",
		Short:             "Stop a runtime",
		Long:              `End a runtime's browser and wait until it is gone. What runs on it ends, too.`,
		Example:           `  bctrl runtime stop sales/crm`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(runtimeNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withRuntime(cmd, args[0], func(ctx context.Context, rt *bctrl.Runtime) error {
				if err := rt.Stop(ctx); err != nil {
					return about("runtime "+printable(args[0]), err)
				}
				note(cmd, "Stopped %s.", args[0])
				return nil
			})
		},
	}
}

func gotoRuntime(c *cli) *cobra.Command {
	return printing[bctrl.GotoResult](c, &cobra.Command{
		Use:   "goto <workspace/alias> <url>",
		Short: "Open a page",
		Long: `Open a page in a runtime's browser and wait until it has loaded. Addresses are
http or https, and such as the server lets pages reach.`,
		Example:           `  bctrl runtime goto sales/crm https://www.example.com/`,
		Args:              arguments(2, 2),
		ValidArgsFunction: c.completing(runtimeNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withRuntime(cmd, args[0], func(ctx context.Context, rt *bctrl.Runtime) error {
				return c.open(ctx, cmd, rt, args[1])
			})
		},
	})
}

func (c *cli) open(ctx context.Context, cmd *cobra.Command, rt *bctrl.Runtime, url string) error {
	r, err := rt.Page.Goto(ctx, url)
	if err != nil {
		return err
	}
	return show(c, cmd, *r, pair{"Page", r.URL}, pair{"Title", r.Title})
}

func screenshotRuntime(c *cli) *cobra.Command {
	cmd := printing[bctrl.StorageObject](c, &cobra.Command{
		Use:   "screenshot <workspace/alias> [path]",
		Short: "Take a picture of the page into storage",
		Long: `Take a picture of the page into the storage that the runtime mounts, as PNG,
under a path or else a name of the server's choice. Fields that were filled from
the vault are masked.

'bctrl storage cp' brings it here.`,
		Example: `  bctrl runtime screenshot sales/crm
  bctrl runtime screenshot sales/crm pictures/dashboard.png --full-page`,
		Args:              arguments(1, 2),
		ValidArgsFunction: c.completing(runtimeNames),
	})
	full := cmd.Flags().Bool("full-page", false, "take the whole page, not the visible part alone")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		in := bctrl.ScreenshotArgs{FullPage: *full, Path: strings.Join(args[1:], "")}
		return c.withRuntime(cmd, args[0], func(ctx context.Context, rt *bctrl.Runtime) error {
			return c.picture(ctx, cmd, rt, in)
		})
	}
	return cmd
}

func (c *cli) picture(ctx context.Context, cmd *cobra.Command, rt *bctrl.Runtime, in bctrl.ScreenshotArgs) error {
	object, err := rt.Page.Screenshot(ctx, in)
	if err != nil {
		return err
	}
	return c.showObject(cmd, *object)
}
