package command

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

func operations(c *cli) *cobra.Command {
	return c.reaching(group(&cobra.Command{
		Use:     "operation",
		Aliases: []string{"operations", "op"},
		Short:   "See, end and do again what agents do",
		Long: `See, end and do again what agents do.

Each call of an agent from this command line, and each that a program starts
without waiting for it, is an operation. It goes on without its caller, keeps
what was done at each step, and stays after its end. Where its runtime mounts
storage it has a transcript: what the agent saw, chose and did, secrets masked.`,
	}, listOperations(c), showOperation(c), waitOperation(c), cancelOperation(c), replayOperation(c), exportOperation(c)))
}

func operationIDs(ctx context.Context, client *bctrl.Client, _ string) iter.Seq2[string, error] {
	return mapped(client.Operations.List(ctx, bctrl.OperationFilter{}), func(op *bctrl.Operation) string { return op.ID })
}

// withOperation runs fn with an operation.
func (c *cli) withOperation(
	cmd *cobra.Command, id string, fn func(ctx context.Context, client *bctrl.Client, op *bctrl.Operation) error,
) error {
	return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
		op, err := client.Operations.Get(ctx, id)
		if err != nil {
			return about("operation "+printable(id), err)
		}
		return fn(ctx, client, op)
	})
}

// runtimeOfOperation is workspace/alias of the runtime that an operation is of.
func (c *cli) runtimeOfOperation(o bctrl.OperationInfo) string {
	return c.known.workspace(o.WorkspaceID) + "/" + c.known.alias(o.WorkspaceID, o.RuntimeID)
}

func callsText(calls []bctrl.Call) string {
	all := make([]string, len(calls))
	for i, call := range calls {
		all[i] = string(call)
	}
	return joined(all)
}

func howFar(p bctrl.OperationProgress) string {
	return strings.Join(words(fmt.Sprintf("step %d of %d", p.Step, p.TotalSteps), prefixed(": ", p.Message)), "")
}

func listOperations(c *cli) *cobra.Command {
	cmd := printing[bctrl.OperationInfo](c, &cobra.Command{
		Use:   "list",
		Short: "List operations",
		Long:  `List operations, the newest first; with a runtime token those of its runtime.`,
		Example: `  bctrl operation list
  bctrl operation list --runtime sales/crm --status succeeded
  bctrl operation list --workspace sales --call stagehand.agent --output id,status`,
		Args: arguments(0, 0),
	})
	var f bctrl.OperationFilter
	var workspace, runtime string
	flags := cmd.Flags()
	flags.StringVar(&workspace, "workspace", "", "id or `name` of a workspace")
	flags.StringVar(&runtime, "runtime", "", "a runtime, as `workspace/alias`")
	flags.StringVar((*string)(&f.Status), "status", "", "a `status`: "+joined(statuses()))
	flags.StringVar((*string)(&f.Call), "call", "", "a `call` that it has made: "+joined(calls()))
	completeWords(cmd, "status", statuses()...)
	completeWords(cmd, "call", calls()...)
	for flag, from := range map[string]source{"workspace": workspaceNames, "runtime": runtimeNames} {
		completeFlag(cmd, flag, func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
			return c.complete(cmd, from, typed)
		})
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			if workspace != "" {
				ws, err := workspaceOf(ctx, client, workspace)
				if err != nil {
					return err
				}
				f.WorkspaceID = ws.ID
			}
			if runtime != "" {
				rt, err := runtimeOf(ctx, client, runtime)
				if err != nil {
					return err
				}
				f.RuntimeID = rt.ID
			}
			found := mapped(client.Operations.List(ctx, f), func(op *bctrl.Operation) bctrl.OperationInfo { return op.Info })
			return list(c, cmd, found, []column[bctrl.OperationInfo]{
				{"ID", func(o bctrl.OperationInfo) string { return o.ID }},
				{"STATUS", func(o bctrl.OperationInfo) string { return string(o.Status) }},
				{"RUNTIME", c.runtimeOfOperation},
				{"CALLS", func(o bctrl.OperationInfo) string { return callsText(o.Calls) }},
				{"CREATED", func(o bctrl.OperationInfo) string { return moment(o.CreatedAt) }},
				{"PROGRESS", func(o bctrl.OperationInfo) string { return howFar(o.Progress) }},
			}...)
		})
	}
	return cmd
}

func statuses() []string {
	return []string{
		string(bctrl.OperationQueued), string(bctrl.OperationRunning), string(bctrl.OperationCancelling),
		string(bctrl.OperationSucceeded), string(bctrl.OperationFailed), string(bctrl.OperationCancelled),
		string(bctrl.OperationTimedOut), string(bctrl.OperationLimited), string(bctrl.OperationInterrupted),
	}
}

func calls() []string {
	return []string{
		string(bctrl.CallAct), string(bctrl.CallObserve), string(bctrl.CallExtract), string(bctrl.CallAgent),
		string(bctrl.CallBrowserUse), string(bctrl.CallReplay), string(bctrl.CallGoto), string(bctrl.CallScreenshot),
		string(bctrl.CallPDF), string(bctrl.CallFill),
	}
}

// shownOperation is an operation with the steps of its transcript.
type shownOperation struct {
	bctrl.OperationInfo
	Steps []bctrl.TranscriptStep `json:"steps"`
}

func showOperation(c *cli) *cobra.Command {
	return printing[shownOperation](c, &cobra.Command{
		Use:   "show <operation>",
		Short: "Show an operation and the steps of its transcript",
		Long: `Show an operation, what it came to, and the steps of its transcript: what the
agent saw, chose and did. While it runs, that is how far it has come.

Reading the transcript takes the right to its files; with --output and without
steps among the fields it is not read. 'bctrl storage cp' brings its pictures.`,
		Example: `  bctrl operation show ` + exampleOperation + `
  bctrl operation show ` + exampleOperation + ` --output status,error.code`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(operationIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withOperation(cmd, args[0], func(ctx context.Context, _ *bctrl.Client, op *bctrl.Operation) error {
				out := shownOperation{OperationInfo: op.Info, Steps: []bctrl.TranscriptStep{}}
				wanted := len(c.fields) == 0 || slices.Contains(c.fields, "steps")
				if wanted && op.Info.Transcript != nil {
					for s, err := range op.Transcript(ctx) {
						if err != nil {
							return err
						}
						out.Steps = append(out.Steps, s)
					}
				}
				lines, _ := c.operationLines(op.Info)
				if err := show(c, cmd, out, lines...); err != nil {
					return err
				}
				if c.json || len(c.fields) > 0 {
					return nil
				}
				return writeSteps(cmd.OutOrStdout(), op.Info.Transcript, out.Steps)
			})
		},
	})
}

// exampleOperation stands in the manual for an operation.
const exampleOperation = "01980a4e-6a3c-7f1e-8c1d-3b2a5d9e4f60"

// operationLines are the lines about an operation and what it came to. Success is false
// where an agent of it says that it did not succeed.
func (c *cli) operationLines(o bctrl.OperationInfo) (lines []pair, success bool) {
	success = true
	lines = []pair{
		{"ID", o.ID}, {"Status", string(o.Status)}, {"Runtime", c.runtimeOfOperation(o)},
		{"Progress", howFar(o.Progress)},
	}
	if o.Error != nil {
		lines = append(lines, pair{"Error", o.Error.Message + " (" + o.Error.Code + ")"})
	}
	lines = append(lines, pair{"Created", moment(o.CreatedAt)}, pair{"Updated", moment(o.UpdatedAt)})
	if o.Result != nil {
		for _, s := range o.Result.Steps {
			more, ok := stepLines(s)
			lines, success = append(lines, more...), success && ok
		}
	}
	if t := o.Transcript; t != nil {
		text := fmt.Sprintf("%d steps in %s:operations/%s", t.Steps, t.Namespace, o.ID)
		if t.Cut {
			text += ", cut when the mounts no longer permitted it"
		}
		lines = append(lines, pair{"Transcript", text})
	}
	return lines, success
}

// writeSteps prints the steps of a transcript for people.
func writeSteps(out io.Writer, where *bctrl.TranscriptInfo, steps []bctrl.TranscriptStep) error {
	var b strings.Builder
	for _, s := range steps {
		took := (time.Duration(s.DurationMs) * time.Millisecond).String()
		fmt.Fprintf(&b, "\n%d. %s\n", s.Number, strings.Join(words(string(s.Call), took, printable(s.URL),
			printable(quoted(s.Title))), "  "))
		for _, line := range strings.Split(s.Thought, "\n") {
			if line = strings.TrimSpace(line); line != "" {
				fmt.Fprintf(&b, "   %s\n", printable(line))
			}
		}
		for _, a := range s.Actions {
			fmt.Fprintf(&b, "   - %s\n", printable(actionText(a)))
		}
		if s.Usage.Calls > 0 {
			fmt.Fprintf(&b, "   %s\n", strings.Join(words(printable(s.Model), usageText(s.Usage)), ": "))
		}
		if s.Picture != "" {
			fmt.Fprintf(&b, "   %s\n", printable(where.Namespace+":"+s.Picture))
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func waitOperation(c *cli) *cobra.Command {
	cmd := printing[bctrl.OperationInfo](c, &cobra.Command{
		Use:   "wait <operation>",
		Short: "Wait for an operation's end and print its result",
		Long: `Wait until an operation has ended, and print what it came to. At a terminal what
it does is shown as it happens; Ctrl-C ends the waiting, not the operation.

The exit code is 1 when it did not succeed, or its agent says so.`,
		Example:           `  bctrl operation wait ` + exampleOperation + ` --timeout 10m`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(operationIDs),
	})
	timeout := cmd.Flags().Duration("timeout", 0, "how long to wait, such as 10m (default: as long as it takes)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *timeout < 0 {
			return usagef("--timeout %s: want more than 0", *timeout)
		}
		return c.withOperation(cmd, args[0], func(ctx context.Context, _ *bctrl.Client, op *bctrl.Operation) error {
			if *timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, *timeout)
				defer cancel()
			}
			info, err := followed(ctx, cmd, op)
			if info == nil {
				return err
			}
			lines, success := c.operationLines(*info)
			if errShow := show(c, cmd, *info, lines...); errShow != nil {
				return errShow
			}
			if err != nil {
				return err
			}
			return verdict(success)
		})
	}
	return cmd
}

func cancelOperation(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "cancel <operation>",
		Short: "End an operation",
		Long: `End an operation and wait until it has ended, which is within a second. What it
has done until then stays done, and is in its result. One that has ended before
is left as it is.`,
		Example:           `  bctrl operation cancel ` + exampleOperation,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(operationIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withOperation(cmd, args[0], func(ctx context.Context, _ *bctrl.Client, op *bctrl.Operation) error {
				if _, err := op.Cancel(ctx); err != nil {
					return err
				}
				info, err := op.Wait(ctx)
				if info == nil {
					return err
				}
				note(cmd, "It has ended: %s.", info.Status)
				return nil
			})
		},
	}
}

func replayOperation(c *cli) *cobra.Command {
	return printing[bctrl.AgentResult](c, &cobra.Command{
		Use:   "replay <operation> <workspace/alias>",
		Short: "Do an operation's transcript again, without a model",
		Long: `Do all that an operation's transcript says again in a live runtime, as an
operation of its own, without asking a model. Each element is found by its role,
name and surroundings; the first that is not there ends it. Logins are filled by
vault key, as the mounts of now permit.`,
		Example:           `  bctrl operation replay ` + exampleOperation + ` sales/crm`,
		Args:              arguments(2, 2),
		ValidArgsFunction: c.completing(operationIDs, runtimeNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withOperation(cmd, args[0], func(ctx context.Context, client *bctrl.Client, op *bctrl.Operation) error {
				rt, err := runtimeOf(ctx, client, args[1])
				if err != nil {
					return err
				}
				return performed(ctx, c, cmd, func(ctx context.Context) (*bctrl.Operation, error) {
					return op.Replay(ctx, rt)
				}, (*bctrl.OperationInfo).Agent)
			})
		},
	})
}
