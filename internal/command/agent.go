package command

import (
	"context"
	"encoding/json"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

func observeRuntime(c *cli) *cobra.Command {
	cmd := printing[bctrl.ObserveResult](c, &cobra.Command{
		Use:   "observe <workspace/alias> <instruction>",
		Short: "Say what can be done on the page, in words",
		Long: `Ask a runtime's agent what on its page an instruction may mean, and do nothing.
The likeliest is the first. With --json each has all that it takes to do it
without asking a model: 'bctrl runtime act --observed', and Stagehand.Act of the
SDK.` + mountsHelp,
		Example: `  bctrl runtime observe sales/crm "the button that exports the pipeline"
  bctrl runtime observe sales/crm "the fields of the login" --max-candidates 3 --output observed`,
		Args:              arguments(2, 2),
		ValidArgsFunction: c.completing(runtimeNames),
	})
	var o bctrl.ObserveOptions
	f := cmd.Flags()
	f.IntVar(&o.MaxCandidates, "max-candidates", 0, "how many to find at most (default: 10)")
	f.DurationVar(&o.Timeout, "timeout", 0, "when to give up, such as 1m (default: the server's)")
	newModelFlags(cmd, &o.Provider, &o.Model, &o.Credential)
	newVisionFlag(cmd, &o.Vision)
	flags := newMountFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.Mounts, err = flags.mounts(cmd); err != nil {
			return err
		}
		return c.withRuntime(cmd, args[0], func(ctx context.Context, rt *bctrl.Runtime) error {
			return performed(ctx, c, cmd, func(ctx context.Context) (*bctrl.Operation, error) {
				return rt.Stagehand.ObserveAsync(ctx, args[1], o)
			}, (*bctrl.OperationInfo).Observe)
		})
	}
	return cmd
}

func extractRuntime(c *cli) *cobra.Command {
	cmd := printing[bctrl.ExtractResult](c, &cobra.Command{
		Use:   "extract <workspace/alias> <instruction>",
		Short: "Read data from the page as JSON",
		Long: `Have a runtime's agent read data from its page, the whole of it, and print the
data as JSON. It validates against the schema in --schema, or fails. That the
page holds more than was read is said on standard error; --json prints that and
what the model was asked, too.` + mountsHelp,
		Example: `  bctrl runtime extract sales/crm "what the page is about"
  bctrl runtime extract sales/crm "the open deals" --schema deals.json`,
		Args:              arguments(2, 2),
		ValidArgsFunction: c.completing(runtimeNames),
	})
	var o bctrl.ExtractOptions
	var schema string
	f := cmd.Flags()
	f.StringVar(&schema, "schema", "", "`file` with a JSON Schema for the data, - for standard input (default: a text)")
	f.IntVar(&o.MaxPageTokens, "max-page-tokens", 0, "how much of the page is read, about (default: 60000)")
	f.DurationVar(&o.Timeout, "timeout", 0, "when to give up, such as 1m (default: the server's)")
	newModelFlags(cmd, &o.Provider, &o.Model, &o.Credential)
	newVisionFlag(cmd, &o.Vision)
	flags := newMountFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.Mounts, err = flags.mounts(cmd); err != nil {
			return err
		}
		if o.Schema, err = readSchema(cmd, schema); err != nil {
			return err
		}
		return c.withRuntime(cmd, args[0], func(ctx context.Context, rt *bctrl.Runtime) error {
			op, err := rt.Stagehand.ExtractAsync(ctx, args[1], o)
			if err != nil {
				return err
			}
			r, err := concluded(ctx, cmd, op, (*bctrl.OperationInfo).Extract)
			if err != nil {
				return err
			}
			if r.Truncated {
				note(cmd, "The page holds more than was read: see --max-page-tokens.")
			}
			if c.json || len(c.fields) > 0 {
				return show(c, cmd, *r)
			}
			return c.writeData(cmd.OutOrStdout(), r.Data)
		})
	}
	return cmd
}

// writeData prints JSON for people and programs alike: its numbers keep their digits,
// and nothing in it steers a terminal.
func (c *cli) writeData(out io.Writer, data json.RawMessage) error {
	if err := c.writeJSON(out, data, ""); err != nil {
		return err
	}
	_, err := io.WriteString(out, "\n")
	return err
}

func agentRuntime(c *cli) *cobra.Command {
	cmd := printing[bctrl.AgentResult](c, &cobra.Command{
		Use:   "agent <workspace/alias> <task>",
		Short: "Give the agent a task of many steps",
		Long: `Have a runtime's agent work on a task: it plans, acts, looks again and recovers,
until it is done or its budget is. At a terminal what it does is shown as it
happens; Ctrl-C ends it. What it may use is as with 'bctrl runtime act'.

The exit code is 1 when the agent says that it did not succeed, and when its
budget ended it: what was done until then is printed all the same.` + mountsHelp,
		Example: `  bctrl runtime agent sales/crm "Remind every customer whose invoice is overdue" --max-steps 40
  bctrl runtime agent sales/crm "List the open deals" --schema deals.json --max-tokens 200000`,
		Args:              arguments(2, 2),
		ValidArgsFunction: c.completing(runtimeNames),
	})
	var o bctrl.AgentOptions
	var look bctrl.ModelChoice
	var schema string
	f := cmd.Flags()
	f.IntVar(&o.MaxSteps, "max-steps", 0, "how often the model is asked at most (default: the server's)")
	f.Int64Var(&o.MaxTokens, "max-tokens", 0, "how many tokens all questions and answers may have (default: no bound)")
	f.Float64Var(&o.MaxCost, "max-cost", 0, "how many US dollars it may cost, by the server's prices (default: no bound)")
	f.DurationVar(&o.Timeout, "timeout", 0, "when to give up, such as 10m (default: the server's)")
	f.StringVar(&schema, "schema", "", "`file` with a JSON Schema for the output, - for standard input (default: none)")
	f.StringVar(&o.System, "system", "", "`text` that the agent is told beside the task")
	f.StringVar(&look.Model, "look-model", "", "cheaper `model` for looking at pages (default: the one that plans)")
	f.StringVar(&look.Credential, "look-credential", "", "`id` of the AI credential to use it with (default: the call's)")
	newModelFlags(cmd, &o.Provider, &o.Model, &o.Credential)
	newVisionFlag(cmd, &o.Vision)
	newCacheFlag(cmd, &o.Cache)
	flags := newMountFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.Mounts, err = flags.mounts(cmd); err != nil {
			return err
		}
		if o.Output, err = readSchema(cmd, schema); err != nil {
			return err
		}
		if look != (bctrl.ModelChoice{}) {
			o.Look = &look
		}
		return c.withRuntime(cmd, args[0], func(ctx context.Context, rt *bctrl.Runtime) error {
			return performed(ctx, c, cmd, func(ctx context.Context) (*bctrl.Operation, error) {
				return rt.Stagehand.AgentAsync(ctx, args[1], o)
			}, (*bctrl.OperationInfo).Agent)
		})
	}
	return cmd
}

// maxSchemaFile is more than any schema that the server takes.
const maxSchemaFile = 1 << 20

// readSchema reads a file with a JSON Schema; no file is none.
func readSchema(cmd *cobra.Command, file string) (json.RawMessage, error) {
	if file == "" {
		return nil, nil
	}
	text, name, err := readFileOrInput(cmd, file, maxSchemaFile)
	if err != nil {
		return nil, err
	}
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "{") || !json.Valid([]byte(text)) {
		return nil, usagef("%s holds no JSON Schema: it is not a JSON object", name)
	}
	return json.RawMessage(text), nil
}
