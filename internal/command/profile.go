package command

import (
	"context"
	"fmt"
	"iter"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

func profiles(c *cli) *cobra.Command {
	return c.reaching(group(&cobra.Command{
		Use:     "profile",
		Aliases: []string{"profiles"},
		Short:   "Keep what browsers are logged in to",
		Long: `Keep what browsers are logged in to, from one runtime to the next: cookies, also
those of a session, and site data. One runtime at a time uses a profile:
'bctrl runtime launch sales/crm --profile sf-bot'.`,
	}, createProfile(c), listProfiles(c), getProfile(c), cloneProfile(c), saveProfile(c), exportProfile(c),
		importProfile(c), deleteProfile(c)))
}

// profileIDs are the ids of browser profiles.
func profileIDs(ctx context.Context, client *bctrl.Client, _ string) iter.Seq2[string, error] {
	return mapped(client.Profiles.List(ctx), func(p bctrl.BrowserProfile) string { return p.ID })
}

func (c *cli) showProfile(cmd *cobra.Command, p bctrl.BrowserProfile) error {
	return show(c, cmd, p, pair{"ID", p.ID}, pair{"Label", p.Label}, pair{"Size", size(p.SizeBytes)},
		pair{"Used by", p.RuntimeID}, pair{"Created", moment(p.CreatedAt)}, pair{"Updated", moment(p.UpdatedAt)})
}

func createProfile(c *cli) *cobra.Command {
	cmd := printing[bctrl.BrowserProfile](c, &cobra.Command{
		Use:     "create <id>",
		Short:   "Make an empty browser profile",
		Long:    `Make an empty browser profile. A launch makes the one that it names, too.`,
		Example: `  bctrl profile create hr-bot --label 'the bot of HR'`,
		Args:    arguments(1, 1),
	})
	var in bctrl.BrowserProfileCreate
	cmd.Flags().StringVar(&in.Label, "label", "", "what it is, for people")
	mayBeEmpty(cmd, "label")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		in.ID = args[0]
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			p, err := client.Profiles.Create(ctx, in)
			if err != nil {
				return err
			}
			return c.showProfile(cmd, *p)
		})
	}
	return cmd
}

func listProfiles(c *cli) *cobra.Command {
	return printing[bctrl.BrowserProfile](c, &cobra.Command{
		Use:   "list",
		Short: "List browser profiles",
		Long:  `List browser profiles by id, each with the live runtime that uses it.`,
		Example: `  bctrl profile list
  bctrl profile list --output id,label`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				return list(c, cmd, client.Profiles.List(ctx), []column[bctrl.BrowserProfile]{
					{"ID", func(p bctrl.BrowserProfile) string { return p.ID }},
					{"LABEL", func(p bctrl.BrowserProfile) string { return p.Label }},
					{"SIZE", func(p bctrl.BrowserProfile) string { return size(p.SizeBytes) }},
					{"USED BY", func(p bctrl.BrowserProfile) string { return p.RuntimeID }},
					{"UPDATED", func(p bctrl.BrowserProfile) string { return moment(p.UpdatedAt) }},
				}...)
			})
		},
	})
}

// profileCommand completes a command about one profile, which is its first argument.
func (c *cli) profileCommand(
	cmd *cobra.Command, do func(ctx context.Context, cmd *cobra.Command, s *bctrl.BrowserProfilesService, id string) error,
) *cobra.Command {
	cmd.Args, cmd.ValidArgsFunction = arguments(1, 1), c.completing(profileIDs)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			if err := do(ctx, cmd, client.Profiles, args[0]); err != nil {
				return about("profile "+printable(args[0]), err)
			}
			return nil
		})
	}
	return cmd
}

func getProfile(c *cli) *cobra.Command {
	return c.profileCommand(printing[bctrl.BrowserProfile](c, &cobra.Command{
		Use:     "get <id>",
		Short:   "Show a browser profile",
		Long:    `Show a browser profile: what it takes on disk, and which live runtime uses it.`,
		Example: `  bctrl profile get sf-bot`,
	}), func(ctx context.Context, cmd *cobra.Command, s *bctrl.BrowserProfilesService, id string) error {
		p, err := s.Get(ctx, id)
		if err != nil {
			return err
		}
		return c.showProfile(cmd, *p)
	})
}

func cloneProfile(c *cli) *cobra.Command {
	cmd := printing[bctrl.BrowserProfile](c, &cobra.Command{
		Use:   "clone <id> <new id>",
		Short: "Make a browser profile with what another has kept",
		Long: `Make a browser profile with what another has kept: its cookies as they are now,
and its site data as they were saved last, also where a live runtime uses it.
'bctrl profile save' saves before.`,
		Example:           `  bctrl profile clone sf-bot sf-bot-2`,
		Args:              arguments(2, 2),
		ValidArgsFunction: c.completing(profileIDs),
	})
	var in bctrl.BrowserProfileCreate
	cmd.Flags().StringVar(&in.Label, "label", "", "what the new one is, for people")
	mayBeEmpty(cmd, "label")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		in.ID = args[1]
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			p, err := client.Profiles.Clone(ctx, args[0], in)
			if err != nil {
				return about("profile "+printable(args[0]), err)
			}
			return c.showProfile(cmd, *p)
		})
	}
	return cmd
}

func saveProfile(c *cli) *cobra.Command {
	return printing[bctrl.ProfileSaved](c, &cobra.Command{
		Use:   "save <workspace/alias>",
		Short: "Save the browser profile of a live runtime",
		Long: `Save the browser profile of a live runtime now, as when it stops: what is cloned
from it, or launched after a crash of the server, has what the browser has. The
browser stands still for a moment and goes on.`,
		Example:           `  bctrl profile save sales/kept`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(runtimeNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withRuntime(cmd, args[0], func(ctx context.Context, rt *bctrl.Runtime) error {
				saved, err := rt.SaveProfile(ctx)
				if err != nil {
					return about("runtime "+printable(args[0]), err)
				}
				return show(c, cmd, *saved, pair{"Profile", saved.ProfileID}, pair{"Cookies", strconv.Itoa(saved.Cookies)},
					pair{"Size", size(saved.SizeBytes)}, pair{"Saved", moment(saved.SavedAt)})
			})
		},
	})
}

func deleteProfile(c *cli) *cobra.Command {
	return c.profileCommand(&cobra.Command{
		Use:   "delete <id>",
		Short: "Delete a browser profile and all that it kept",
		Long: `Delete a browser profile and all that it kept. One that a live runtime uses is
not deleted.`,
		Example: `  bctrl profile delete old-bot`,
	}, func(ctx context.Context, cmd *cobra.Command, s *bctrl.BrowserProfilesService, id string) error {
		if err := s.Delete(ctx, id); err != nil {
			return err
		}
		note(cmd, "Deleted profile %s.", id)
		return nil
	})
}

// counted is a number of cookies in words.
func counted(n int) string {
	if n == 1 {
		return "1 cookie"
	}
	return fmt.Sprint(n, " cookies")
}
