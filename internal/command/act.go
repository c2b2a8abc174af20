package command

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

func actRuntime(c *cli) *cobra.Command {
	cmd := printing[bctrl.ActResult](c, &cobra.Command{
		Use:   "act <workspace/alias> [instruction]",
		Short: "Have the agent do something, in words",
		Long: `Have a runtime's agent do what an instruction says, in words. It works on the
page until it is done; Ctrl-C ends it. At a terminal what it does is shown as it
happens. The model never sees a secret: it names a vault key, and the server
fills it in where the key's origins allow.

With --observed it does what 'bctrl runtime observe --json' has found, and asks
no model: the likeliest of its answer, or the one that a program took out of it.
It is refused where the page is another by now.

It runs as an operation: 'bctrl operation show' has its steps, 'replay' does
them again. The exit code is 1 when the agent says that it did not succeed. The
mount flags lower what this one act may use.` + mountsHelp,
		Example: `  bctrl runtime act sales/crm "Log in to Salesforce and export the pipeline of Q1"
  bctrl runtime act sales/crm "Download the newest invoice" --allow-vault prod/crm/salesforce --timeout 10m`,
		Args:              arguments(1, 2),
		ValidArgsFunction: c.completing(runtimeNames),
	})
	var o bctrl.ActOptions
	f := cmd.Flags()
	observed := f.String("observed", "", "`file` with what observe found, - for standard input")
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
		instruction, err := instructionOf(cmd, args[1:], *observed)
		if err != nil {
			return err
		}
		return c.withRuntime(cmd, args[0], func(ctx context.Context, rt *bctrl.Runtime) error {
			return c.act(ctx, cmd, rt, instruction, o)
		})
	}
	return cmd
}

func newVisionFlag(cmd *cobra.Command, mode *bctrl.VisionMode) {
	cmd.Flags().StringVar((*string)(mode), "vision", "", "whether the model is shown pictures of the page: auto, on or "+
		"off (default: auto)")
	completeWords(cmd, "vision", "auto", "on", "off")
}

func newCacheFlag(cmd *cobra.Command, mode *bctrl.CacheMode) {
	cmd.Flags().StringVar((*string)(mode), "cache", "", "whether to do again what went well before: auto or off "+
		"(default: off)")
	completeWords(cmd, "cache", "auto", "off")
}

// act has the agent do what an instruction says, which is a string or an
// [bctrl.Observed].
func (c *cli) act(
	ctx context.Context, cmd *cobra.Command, rt *bctrl.Runtime, instruction any, o bctrl.ActOptions,
) error {
	return performed(ctx, c, cmd, func(ctx context.Context) (*bctrl.Operation, error) {
		return rt.Stagehand.ActAsync(ctx, instruction, o)
	}, (*bctrl.OperationInfo).Act)
}

// maxObserved is more than any answer of observe.
const maxObserved = 1 << 20

// instructionOf is what to act on: the words of the command line, or what a file says was
// observed.
func instructionOf(cmd *cobra.Command, said []string, file string) (any, error) {
	switch {
	case len(said) == 1 && file == "":
		return said[0], nil
	case len(said) == 1:
		return nil, usagef("want an instruction or --observed, not both")
	case file == "":
		return nil, usagef("want an instruction, or --observed with what observe found")
	}
	text, name, err := readFileOrInput(cmd, file, maxObserved)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Observed []bctrl.Observed `json:"observed"`
	}
	var one bctrl.Observed
	if json.Unmarshal([]byte(text), &answer) == nil && len(answer.Observed) > 0 {
		return answer.Observed[0], nil
	}
	if json.Unmarshal([]byte(text), &one) == nil && one.Method != "" {
		return one, nil
	}
	return nil, usagef("%s holds nothing that 'bctrl runtime observe --json' has found", name)
}
