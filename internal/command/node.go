package command

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

func nodes(c *cli) *cobra.Command {
	return c.reaching(group(&cobra.Command{
		Use:     "node",
		Aliases: []string{"nodes"},
		Short:   "See the servers of a cluster, and take one out",
		Long: `See the servers that share one database as the nodes of a cluster, and take one
out. This takes a key of the organization that the first run made.`,
	}, listNodes(c), drainNode(c)))
}

func listNodes(c *cli) *cobra.Command {
	return printing[bctrl.Node](c, &cobra.Command{
		Use:   "list",
		Short: "List the nodes that live",
		Long: `List the nodes that live, the oldest first. That one leads: it does what one of
all has to do. An asterisk marks the one that answers. One that is locked has no
master key, and is unlocked by itself: bctrl unlock, with the URL of that one.
Where a server has its database to itself there is none.`,
		Example: `  bctrl node list`,
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				all, err := client.Nodes.List(ctx)
				if err != nil {
					return err
				}
				each := func(yield func(bctrl.Node, error) bool) {
					for _, n := range all {
						if !yield(n, nil) {
							return
						}
					}
				}
				return list(c, cmd, each, []column[bctrl.Node]{
					{"ID", func(n bctrl.Node) string { return n.ID + map[bool]string{true: " *"}[n.Self] }},
					{"NAME", func(n bctrl.Node) string { return n.Name }},
					{"ADDRESS", func(n bctrl.Node) string { return n.Address }},
					{"STATE", func(n bctrl.Node) string { return string(n.State) }},
					{"LOCKED", func(n bctrl.Node) string { return yesNo(n.Locked) }},
					{"LEADS", func(n bctrl.Node) string { return yesNo(n.Leads) }},
					{"RUNTIMES", func(n bctrl.Node) string { return strconv.Itoa(n.Runtimes) }},
					{"ROOM", roomText},
					{"LEASE", func(n bctrl.Node) string { return (time.Duration(n.LeaseMs) * time.Millisecond).String() }},
					{"STARTED", func(n bctrl.Node) string { return moment(n.StartedAt) }},
				}...)
			})
		},
	})
}

// roomText is how many more runtimes a node may have.
func roomText(n bctrl.Node) string {
	if n.Room < 0 {
		return "any"
	}
	return strconv.Itoa(n.Room)
}

func drainNode(c *cli) *cobra.Command {
	return printing[bctrl.Node](c, &cobra.Command{
		Use:   "drain [id]",
		Short: "Have a node take no launches, and stop once its runtimes have ended",
		Long: `Have a node take no launches any more. Its runtimes and operations go on; when
they have ended, its server stops by itself. Without an id it is the node that
answers. To have it stop at once, stop its server.`,
		Example: `  bctrl node drain`,
		Args:    arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				id, err := nodeToDrain(ctx, client, args)
				if err != nil {
					return err
				}
				n, err := client.Nodes.Drain(ctx, id)
				if err != nil {
					return about("node "+printable(id), err)
				}
				return show(c, cmd, *n, pair{"ID", n.ID}, pair{"Name", n.Name}, pair{"Address", n.Address},
					pair{"State", string(n.State)}, pair{"Runtimes", strconv.Itoa(n.Runtimes)})
			})
		},
	})
}

// nodeToDrain is the node that was named, or else the one that answers.
func nodeToDrain(ctx context.Context, client *bctrl.Client, args []string) (id string, err error) {
	if len(args) > 0 {
		return args[0], nil
	}
	all, err := client.Nodes.List(ctx)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(all, func(n bctrl.Node) bool { return n.Self })
	if i < 0 {
		return "", errors.New("this server is no node of a cluster: stop it instead")
	}
	return all[i].ID, nil
}
