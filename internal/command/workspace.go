package command

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/names"
)

func workspaces(c *cli) *cobra.Command {
	return c.reaching(group(&cobra.Command{
		Use:     "workspace",
		Aliases: []string{"workspaces", "ws"},
		Short:   "Make, change and look at workspaces",
		Long: `Make, change and look at workspaces.

A workspace is the ceiling of what everything inside it may use: its mounts say
which AI credentials, vault keys, files, capabilities and hosts. Without a mount
there is no access; but without one for storage the files are the workspace's
own, and without one for hosts browsers may speak to every host that the server
lets them.

Commands take a workspace by its name or its id.`,
	}, listWorkspaces(c), getWorkspace(c), createWorkspace(c), updateWorkspace(c), deleteWorkspace(c), workspaceState(c)))
}

// workspaceOf finds a workspace by name or id.
func workspaceOf(ctx context.Context, client *bctrl.Client, nameOrID string) (*bctrl.Workspace, error) {
	if names.UUID(nameOrID) == nil {
		ws, err := client.Workspaces.Get(ctx, nameOrID)
		if !errors.Is(err, bctrl.ErrNotFound) {
			return ws, err
		}
	}
	ws, err := client.Workspaces.GetByName(ctx, nameOrID)
	if err != nil {
		return nil, about("workspace "+printable(nameOrID), err)
	}
	return ws, nil
}

func (c *cli) showWorkspace(cmd *cobra.Command, ws bctrl.WorkspaceInfo) error {
	lines := append([]pair{{"Name", ws.Name}, {"ID", ws.ID}}, mountLines(ws.Mounts)...)
	lines = append(lines, pair{"Version", strconv.FormatInt(ws.Version, 10)}, pair{"Created", moment(ws.CreatedAt)},
		pair{"Updated", moment(ws.UpdatedAt)})
	return show(c, cmd, ws, lines...)
}

func listWorkspaces(c *cli) *cobra.Command {
	return printing[bctrl.WorkspaceInfo](c, &cobra.Command{
		Use:   "list",
		Short: "List workspaces by name",
		Long: `List the organization's workspaces by name.

'bctrl workspace get' shows what one may use.`,
		Example: `  bctrl workspace list
  bctrl workspace list --output name,id
  bctrl workspace list --json`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				return list(c, cmd, infos(client.Workspaces.List(ctx)),
					[]column[bctrl.WorkspaceInfo]{
						{"NAME", func(ws bctrl.WorkspaceInfo) string { return ws.Name }},
						{"ID", func(ws bctrl.WorkspaceInfo) string { return ws.ID }},
						{"VERSION", func(ws bctrl.WorkspaceInfo) string { return strconv.FormatInt(ws.Version, 10) }},
						{"UPDATED", func(ws bctrl.WorkspaceInfo) string { return moment(ws.UpdatedAt) }},
					}...,
				)
			})
		},
	})
}

func infos(all iter.Seq2[*bctrl.Workspace, error]) iter.Seq2[bctrl.WorkspaceInfo, error] {
	return mapped(all, func(ws *bctrl.Workspace) bctrl.WorkspaceInfo { return ws.WorkspaceInfo })
}

func getWorkspace(c *cli) *cobra.Command {
	return printing[bctrl.WorkspaceInfo](c, &cobra.Command{
		Use:   "get <workspace>",
		Short: "Show a workspace and its mounts",
		Long: `Show a workspace and its mounts.

With --output mounts it prints them as JSON, in the form that --mounts reads.`,
		Example: `  bctrl workspace get sales
  bctrl workspace get sales --output id
  bctrl workspace get sales --output mounts`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(workspaceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				ws, err := workspaceOf(ctx, client, args[0])
				if err != nil {
					return err
				}
				return c.showWorkspace(cmd, ws.WorkspaceInfo)
			})
		},
	})
}

func createWorkspace(c *cli) *cobra.Command {
	cmd := printing[bctrl.WorkspaceInfo](c, &cobra.Command{
		Use:   "create <name>",
		Short: "Make a workspace",
		Long: `Make a workspace with mounts from flags or from a file.

What no flag grants, nothing inside the workspace gets, but for two things that
need no flag. Files are in a namespace that has the workspace's name, which
--storage replaces with another one to share its files, and --no-storage with
none. Browsers may speak to every host that the server lets them, unless
--allow-host names those that they may, or --no-web says that there are none.` + mountsHelp,
		Example: `  bctrl workspace create exports
  bctrl workspace create pipeline --allow-vault prod/crm/ --deny-vault prod/crm/admin/
  bctrl workspace create assistant --ai openai-prod --ai-default openai=openai-prod --storage sales
  bctrl workspace create clone --mounts mounts.json`,
		Args: arguments(1, 1),
	})
	flags := newMountFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		in := bctrl.WorkspaceCreate{Name: args[0]}
		mounts, err := flags.mounts(cmd)
		if err != nil {
			return err
		}
		if mounts != nil {
			in.Mounts = *mounts
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			ws, err := client.Workspaces.Create(ctx, in)
			if err != nil {
				return err
			}
			return c.showWorkspace(cmd, ws.WorkspaceInfo)
		})
	}
	return cmd
}

func updateWorkspace(c *cli) *cobra.Command {
	cmd := printing[bctrl.WorkspaceInfo](c, &cobra.Command{
		Use:   "update <workspace>",
		Short: "Rename a workspace or change its mounts",
		Long: `Rename a workspace, or give it other mounts.

A kind of mount that a flag speaks of (AI, vault, storage, capabilities, hosts)
is replaced as a whole, the others stay; --mounts replaces all. Lowered mounts
hold for live runtimes from their next call on.

When somebody else changes the workspace at the same time, one of the two is
refused, and nothing is lost.` + mountsHelp,
		Example: `  bctrl workspace update sales --allow-vault prod/crm/ --deny-vault prod/crm/admin/
  bctrl workspace update sales --mounts mounts.json
  bctrl workspace update sales --rename sales-emea`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(workspaceNames),
	})
	rename := cmd.Flags().String("rename", "", "new `name`")
	flags := newMountFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		mounts, err := flags.mounts(cmd)
		if err != nil {
			return err
		}
		if mounts == nil && *rename == "" {
			return usageError{errors.New("nothing to change: want --rename or mounts")}
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			ws, err := workspaceOf(ctx, client, args[0])
			if err != nil {
				return err
			}
			update := bctrl.WorkspaceUpdate{Mounts: mounts}
			if *rename != "" {
				update.Name = rename
			}
			if mounts != nil && flags.file == "" {
				update.Mounts = over(ws.Mounts, *mounts)
			}
			if err := ws.Update(ctx, update); err != nil {
				return err
			}
			return c.showWorkspace(cmd, ws.WorkspaceInfo)
		})
	}
	return cmd
}

// over puts the mounts that are said in place of those that are.
func over(are, said bctrl.Mounts) *bctrl.Mounts {
	if said.AI != nil {
		are.AI = said.AI
	}
	if said.Vault != nil {
		are.Vault = said.Vault
	}
	if said.Storage != nil {
		are.Storage = said.Storage
	}
	if said.Capabilities != nil {
		are.Capabilities = said.Capabilities
	}
	if said.Web != nil {
		are.Web = said.Web
	}
	return &are
}

func deleteWorkspace(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete <workspace>",
		Short: "Delete a workspace; its files stay",
		Long: `Delete a workspace. Its files stay in their namespace.

One with live runtimes is refused without --force, which stops them.`,
		Example: `  bctrl workspace delete old
  bctrl workspace delete sales --force`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(workspaceNames),
	}
	force := cmd.Flags().Bool("force", false, "stop its live runtimes")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			ws, err := workspaceOf(ctx, client, args[0])
			if err != nil {
				return err
			}
			if err := client.Workspaces.Delete(ctx, ws.ID, forced(*force)...); err != nil {
				return err
			}
			note(cmd, "Deleted workspace %s.", ws.Name)
			return nil
		})
	}
	return cmd
}

func forced(force bool) []bctrl.DeleteOption {
	if force {
		return []bctrl.DeleteOption{bctrl.WithForce()}
	}
	return nil
}

func workspaceState(c *cli) *cobra.Command {
	return printing[bctrl.WorkspaceState](c, &cobra.Command{
		Use:   "state <workspace>",
		Short: "Show what a workspace holds now",
		Long:  `Show what a workspace holds now: live runtimes, operations that run, and files.`,
		Example: `  bctrl workspace state sales
  bctrl workspace state sales --output storage.fileCount,storage.totalBytes`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(workspaceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				ws, err := workspaceOf(ctx, client, args[0])
				if err != nil {
					return err
				}
				state, err := ws.State(ctx)
				if err != nil {
					return err
				}
				lines := []pair{{"Workspace", state.Workspace.Name}}
				for _, rt := range state.Runtimes {
					lines = append(lines, pair{"Runtime", rt.Alias + ", " + string(rt.Driver) + ", " + string(rt.Status)})
				}
				for _, op := range state.Operations {
					lines = append(lines, pair{"Operation", op.ID + ", " + string(op.Status) + progressText(op.Progress)})
				}
				if state.Storage.Namespace != "" {
					lines = append(lines, pair{"Files", fmt.Sprintf("%d in %s, %s", state.Storage.FileCount, state.Storage.Namespace,
						size(state.Storage.TotalBytes))})
				}
				return show(c, cmd, *state, lines...)
			})
		},
	})
}

func progressText(p bctrl.OperationProgress) string {
	if p.TotalSteps == 0 {
		return ""
	}
	return fmt.Sprintf(", step %d of %d", p.Step, p.TotalSteps)
}
