package command

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

func accessCommands(c *cli) *cobra.Command {
	return c.reaching(group(&cobra.Command{
		Use:   "access",
		Short: "Ask why something is allowed or denied",
		Long: `Ask why something is allowed or denied.

An action is allowed when every level allows it: the workspace, the runtime in
it and the execution in that.`,
	}, explainAccess(c)))
}

// verbs are what an action can do, and with what.
var verbs = []struct {
	verb   bctrl.Verb
	object string
}{
	{bctrl.UseAI, "id of an AI credential"},
	{bctrl.UseVault, "vault key: fill it in, make its one-time code"},
	{bctrl.ListVault, "vault key"},
	{bctrl.ReadVault, "vault key: see its value"},
	{bctrl.GetStorage, "namespace"},
	{bctrl.PutStorage, "namespace"},
	{bctrl.DeleteStorage, "namespace"},
	{bctrl.ListStorage, "namespace"},
	{bctrl.SignStorage, "namespace"},
	{bctrl.InvokeCapability, "capability, such as github/repos"},
	{bctrl.VisitHost, "host, such as www.example.com"},
}

func verbNames() (names []string) {
	for _, v := range verbs {
		names = append(names, string(v.verb))
	}
	return names
}

func verbsHelp() string {
	var b strings.Builder
	for _, v := range verbs {
		b.WriteString("\n  " + string(v.verb) + strings.Repeat(" ", 19-len(v.verb)) + v.object)
	}
	return b.String()
}

// level names a place in a chain.
func level(n int) string {
	switch n {
	case 0:
		return "workspace"
	case 1:
		return "runtime"
	}
	return "below the runtime"
}

// decision is a decision with the action it is about.
type decision struct {
	bctrl.Action
	bctrl.Decision
}

func explainAccess(c *cli) *cobra.Command {
	cmd := printing[decision](c, &cobra.Command{
		Use:   "explain <verb> <object>",
		Short: "Say which entry of which mount allows or denies an action",
		Long: `Say whether an action is allowed, and which entry of which level decided it. The
exit code is 0 when it is allowed and 3 when it is denied.

--workspace and --runtime ask about what is there now. --mounts reads a file
instead, and needs neither a server nor a key: the first one is a workspace's,
a second one a runtime's and a third one an execution's. After --workspace or
--runtime it is the level below.

A verb and its object are one of` + verbsHelp(),
		Example: `  bctrl access explain vault.use prod/crm/salesforce --runtime sales/crm
  bctrl access explain vault.readRaw prod/crm/salesforce --workspace sales
  bctrl access explain storage.get sales --mounts mounts.json`,
		Args: arguments(2, 2),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			switch {
			case len(args) == 0:
				return starting(verbNames(), typed), cobra.ShellCompDirectiveNoFileComp
			case len(args) == 1 && strings.HasPrefix(args[0], "vault."):
				return c.complete(cmd, vaultKeys, typed)
			case len(args) == 1 && args[0] == string(bctrl.UseAI):
				return c.complete(cmd, aiIDs, typed)
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
	})
	f := cmd.Flags()
	workspace := f.String("workspace", "", "`name` or id of a workspace")
	runtime := f.String("runtime", "", "a runtime as `workspace/alias`")
	files := f.StringArray("mounts", nil,
		"`file` with the mounts of a level as JSON; may be repeated, - is standard input")
	for flag, from := range map[string]source{"workspace": workspaceNames, "runtime": runtimeNames} {
		completeFlag(cmd, flag, func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
			return c.complete(cmd, from, typed)
		})
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		action := bctrl.Action{Verb: bctrl.Verb(args[0]), Object: args[1]}
		if !slices.Contains(verbNames(), args[0]) {
			return usagef("%s is no verb: want %s", printable(args[0]), strings.Join(verbNames(), ", "))
		}
		if *workspace != "" && *runtime != "" {
			return usageError{errors.New("want --workspace or --runtime: a runtime has its workspace above it")}
		}
		if *runtime != "" {
			return c.explainRuntime(cmd, *runtime, *files, action)
		}
		chain, err := c.chain(cmd, *workspace, *files)
		if err != nil {
			return err
		}
		return c.showDecision(cmd, decision{action, chain.Explain(action)})
	}
	return cmd
}

// explainRuntime asks the server, which knows all levels as they are now.
func (c *cli) explainRuntime(cmd *cobra.Command, name string, files []string, action bctrl.Action) error {
	return c.withRuntime(cmd, name, func(ctx context.Context, rt *bctrl.Runtime) error {
		for _, file := range files {
			m, err := readMounts(cmd, file)
			if err != nil {
				return err
			}
			if rt, err = rt.Narrow(*m); err != nil {
				return err
			}
		}
		d, err := rt.Explain(ctx, action)
		if err != nil {
			return err
		}
		return c.showDecision(cmd, decision{action, *d})
	})
}

// chain is that of a workspace, if any, and of files, each of which must fit
// below those before.
func (c *cli) chain(cmd *cobra.Command, workspace string, files []string) (chain bctrl.Chain, err error) {
	if workspace != "" {
		err = c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			ws, err := workspaceOf(ctx, client, workspace)
			if err == nil {
				chain = bctrl.Chain{ws.Mounts}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for _, file := range files {
		m, err := readMounts(cmd, file)
		if err != nil {
			return nil, err
		}
		if len(chain) == 0 {
			err = m.Validate()
		} else {
			_, err = chain.Effective().Narrow(*m)
		}
		if err != nil {
			return nil, err
		}
		chain = append(chain, *m)
	}
	if len(chain) == 0 {
		return nil, usageError{errors.New("whose mounts? want --workspace, --runtime or --mounts")}
	}
	return chain, nil
}

func (c *cli) showDecision(cmd *cobra.Command, d decision) error {
	answer := "allowed"
	if !d.Allowed {
		answer = "denied"
	}
	by := level(d.Level)
	if d.Field != "" {
		by += ", " + d.Field
	}
	err := show(c, cmd, d, pair{"Action", string(d.Verb) + " " + d.Object}, pair{"Answer", answer}, pair{"Decided by", by},
		pair{"Entry", d.Entry}, pair{"Reason", d.Reason})
	if err == nil && !d.Allowed {
		return errDenied
	}
	return err
}
