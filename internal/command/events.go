package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

// eventFlags gives a command the flags that choose events, and how many.
func eventFlags(cmd *cobra.Command) (types func() []bctrl.EventType, after *int64, lines *int) {
	var texts []string
	cmd.Flags().StringSliceVar(&texts, "type", nil, "a `type`, such as runtime.navigated; may be repeated")
	after = cmd.Flags().Int64("after", 0, "go on after the event with this `number`")
	lines = cmd.Flags().IntP("lines", "n", 0, "end after so many events; 0 is never")
	var all []string
	for _, t := range bctrl.EventTypes() {
		all = append(all, string(t))
	}
	completeWords(cmd, "type", all...)
	return func() (types []bctrl.EventType) {
		for _, text := range texts {
			types = append(types, bctrl.EventType(text))
		}
		return types
	}, after, lines
}

// follow prints events as they come, at most so many.
func (c *cli) follow(cmd *cobra.Command, events iter.Seq2[bctrl.Event, error], lines int) error {
	if lines < 0 {
		return usagef("--lines %d: want 0 or more", lines)
	}
	for e, err := range events {
		if err == nil {
			err = c.writeHappened(cmd.OutOrStdout(), e)
		}
		if err != nil {
			return err
		}
		if lines--; lines == 0 {
			break
		}
	}
	return nil
}

// writeHappened prints an event as soon as it is there.
func (c *cli) writeHappened(out io.Writer, e bctrl.Event) error {
	if len(c.fields) > 0 {
		return c.writeFields(out, e)
	}
	if c.json {
		return json.NewEncoder(out).Encode(e)
	}
	data, err := json.Marshal(e.Data)
	if err != nil {
		return err
	}
	where := c.known.workspace(e.WorkspaceID)
	if e.RuntimeID != "" {
		where += "/" + c.known.alias(e.WorkspaceID, e.RuntimeID)
	}
	_, err = fmt.Fprintf(out, "%s  %-22s  %s  %s\n", moment(e.Time), cell(string(e.Type)), cell(where),
		printable(strings.TrimSpace(string(data))))
	return err
}

func runtimeEvents(c *cli) *cobra.Command {
	cmd := printing[bctrl.Event](c, &cobra.Command{
		Use:   "events <workspace/alias>",
		Short: "Follow what happens in a runtime, from its launch to its end",
		Long: `Follow what happens in a runtime: navigations, tabs, downloads, dialogs, steps
of agents. It begins with the launch, goes on with what comes, and ends with the
runtime. --json prints a line for each event.`,
		Example: `  bctrl runtime events sales/crm -n 1
  bctrl runtime events sales/crm -n 1 --type runtime.launched --output type,data.alias`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(runtimeNames),
	})
	types, after, lines := eventFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withRuntime(cmd, args[0], func(ctx context.Context, rt *bctrl.Runtime) error {
			return c.follow(cmd, rt.Events(ctx, bctrl.EventsOptions{Types: types(), After: *after}), *lines)
		})
	}
	return cmd
}

func updates(c *cli) *cobra.Command {
	cmd := printing[bctrl.Event](c, &cobra.Command{
		Use:   "updates",
		Short: "Follow what happens in all workspaces and runtimes",
		Long: `Follow what happens in all workspaces and runtimes that the key may see, from
now on, until it is interrupted. --all begins with the oldest event that is
kept. --json prints a line for each event.`,
		Example: `  bctrl updates --all -n 1
  bctrl updates --all -n 1 --workspace sales --type runtime.launched --output type,data.alias`,
		Args: arguments(0, 0),
	})
	types, after, lines := eventFlags(cmd)
	workspace := cmd.Flags().String("workspace", "", "id or `name` of a workspace")
	all := cmd.Flags().Bool("all", false, "begin with the oldest event that is kept")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o := bctrl.UpdatesOptions{Types: types(), After: *after}
		if *all && o.After == 0 {
			o.After = bctrl.FirstKept
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			if *workspace != "" {
				ws, err := workspaceOf(ctx, client, *workspace)
				if err != nil {
					return err
				}
				o.WorkspaceID = ws.ID
			}
			return c.follow(cmd, client.Updates(ctx, o), *lines)
		})
	}
	return c.reaching(cmd)
}
