package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

func actRuntime(c *cli) *cobra.Command {
	cmd := printing[bctrl.ActResult](c, &cobra.Command{
		Use:   "act <workspace/alias> <instruction>",
		Short: "Have the agent do something, in words",
		Long: `Have a runtime's agent do what an instruction says, in words. It works on the
page until it is done; Ctrl-C ends it. At a terminal what it does is shown as it
happens. The model never sees a secret: it names a vault key, and the server
fills it in where the key's origins allow.

The exit code is 1 when the agent says that it did not succeed. The mount flags
lower what this one act may use.` + mountsHelp,
		Example: `  bctrl runtime act sales/crm "Log in to Salesforce and export the pipeline of Q1"
  bctrl runtime act sales/crm "Download the newest invoice" --allow-vault prod/crm/salesforce --timeout 10m`,
		Args:              arguments(2, 2),
		ValidArgsFunction: c.completing(runtimeNames),
	})
	var o bctrl.ActOptions
	f := cmd.Flags()
	f.IntVar(&o.MaxSteps, "max-steps", 0, "how often the model is asked at most (default: the server's)")
	f.DurationVar(&o.Timeout, "timeout", 0, "when to give up, such as 10m (default: the server's)")
	newModelFlags(cmd, &o.Provider, &o.Model, &o.Credential)
	newVisionFlag(cmd, &o.Vision)
	newCacheFlag(cmd, &o.Cache)
	flags := newMountFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.Mounts, err = flags.mounts(cmd); err != nil {
			return err
		}
		return c.withRuntime(cmd, args[0], func(ctx context.Context, rt *bctrl.Runtime) error {
			return c.act(ctx, cmd, rt, args[1], o)
		})
	}
	return cmd
}

func newVisionFlag(cmd *cobra.Command, mode *bctrl.VisionMode) {
	cmd.Flags().StringVar((*string)(mode), "vision", "", "whether the model is shown pictures of the page: auto, on or "+
		"off (default: auto)")
	wantFilled(cmd, "vision")
	completeWords(cmd, "vision", "auto", "on", "off")
}

func newCacheFlag(cmd *cobra.Command, mode *bctrl.CacheMode) {
	cmd.Flags().StringVar((*string)(mode), "cache", "", "whether to do again what went well before: auto or off "+
		"(default: off)")
	wantFilled(cmd, "cache")
	completeWords(cmd, "cache", "auto", "off")
}

var errNoSuccess = errors.New("the agent says that it did not succeed")

func (c *cli) act(
	ctx context.Context, cmd *cobra.Command, rt *bctrl.Runtime, instruction string, o bctrl.ActOptions,
) error {
	r, err := watched(ctx, cmd, agentCall[bctrl.ActResult]{
		now:   func(ctx context.Context) (*bctrl.ActResult, error) { return rt.Stagehand.Act(ctx, instruction, o) },
		start: func(ctx context.Context) (*bctrl.Operation, error) { return rt.Stagehand.ActAsync(ctx, instruction, o) },
		read:  (*bctrl.OperationInfo).Act,
	})
	if err != nil {
		return err
	}
	lines := append(actionLines(r.Actions), pair{"Page", r.URL})
	lines = append(lines, fileLines(r.Downloads)...)
	lines = append(lines, usageLine(r.Usage), pair{"Success", yesNo(r.Success)}, pair{"Message", r.Message})
	if err := show(c, cmd, *r, lines...); err != nil {
		return err
	}
	if !r.Success {
		return errNoSuccess
	}
	return nil
}

// actionLines are what an agent did.
func actionLines(actions []bctrl.ActAction) (lines []pair) {
	for _, a := range actions {
		lines = append(lines, pair{"Did", strings.Join(words(a.Kind, a.Target, a.VaultKey, a.Error), " ")})
	}
	return lines
}

// fileLines are the files that landed in storage.
func fileLines(files []bctrl.StorageObject) (lines []pair) {
	for _, f := range files {
		lines = append(lines, pair{"File", f.Workspace + ":" + f.LogicalPath + ", " + size(f.SizeBytes)})
	}
	return lines
}

// usageLine is what models were asked.
func usageLine(u bctrl.Usage) pair {
	return pair{"Model", fmt.Sprintf("%d calls, %d tokens in, %d out", u.Calls, u.InputTokens, u.OutputTokens)}
}

// agentCall is a call of an agent, to be waited for or followed.
type agentCall[T any] struct {
	// now waits for the result; nil where it can only be followed.
	now   func(context.Context) (*T, error)
	start func(context.Context) (*bctrl.Operation, error)
	read  func(*bctrl.OperationInfo) (*T, error)
}

// cancelBound is how long telling the server of an interrupt may take.
const cancelBound = 5 * time.Second

// watched does a call of an agent. Where standard error is a terminal, each step is
// noted there when it begins.
func watched[T any](ctx context.Context, cmd *cobra.Command, call agentCall[T]) (*T, error) {
	_, seen := terminal(cmd.ErrOrStderr())
	if !seen && call.now != nil {
		return call.now(ctx)
	}
	op, err := call.start(ctx)
	if err != nil {
		return nil, err
	}
	for p, err := range op.Progress(ctx) {
		if err != nil {
			break // Wait says so
		}
		if seen && p.Message != "" {
			note(cmd, "%s", printable(p.Message))
		}
	}
	info, err := op.Wait(ctx)
	if ctx.Err() != nil { // nobody would see its end
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelBound)
		defer cancel()
		_, cancelErr := op.Cancel(end)
		return nil, errors.Join(ctx.Err(), cancelErr)
	}
	if err != nil {
		return nil, err
	}
	return call.read(info)
}
