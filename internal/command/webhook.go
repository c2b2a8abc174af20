package command

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func webhooks(c *cli) *cobra.Command {
	return c.reaching(group(&cobra.Command{
		Use:     "webhook",
		Aliases: []string{"webhooks"},
		Short:   "Have events sent to receivers of your own",
		Long: `Have events sent to receivers of your own.

Each event is sent in a POST request, signed as Standard Webhooks has it, and
tried again until the receiver answers 2xx.`,
	}, addWebhook(c), listWebhooks(c), getWebhook(c), switchWebhook(c, "enable", true), switchWebhook(c, "disable", false),
		testWebhook(c), rotateWebhook(c), webhookDeliveries(c), redeliverWebhook(c), deleteWebhook(c)))
}

// webhookRecord is a webhook with the secret that was made for it.
type webhookRecord struct {
	bctrl.Webhook
	Secret wire.Value `json:"secret"`
}

// showNewWebhook prints the secret alone to where a script reads it.
func (c *cli) showNewWebhook(cmd *cobra.Command, made *bctrl.NewWebhook) error {
	if c.json || len(c.fields) > 0 {
		return show(c, cmd, webhookRecord{made.Webhook, wire.NewValue(made.Secret.Expose())})
	}
	note(cmd, "Webhook %s. Its secret, shown this once:", made.ID)
	_, err := fmt.Fprintln(cmd.OutOrStdout(), made.Secret.Expose())
	return err
}

func typesText(types []bctrl.EventType) string {
	texts := make([]string, len(types))
	for i, t := range types {
		texts[i] = string(t)
	}
	return joined(texts)
}

func (c *cli) showWebhook(cmd *cobra.Command, w *bctrl.Webhook) error {
	return show(c, cmd, *w,
		pair{"ID", w.ID}, pair{"URL", w.URL}, pair{"Description", w.Description}, pair{"Events", typesText(w.Events)},
		pair{"Workspace", w.WorkspaceID}, pair{"Enabled", yesNo(w.Enabled)}, pair{"Disabled for", w.DisabledFor},
		pair{"Created", moment(w.CreatedAt)}, pair{"Updated", moment(w.UpdatedAt)})
}

func (c *cli) showDelivery(cmd *cobra.Command, d *bctrl.WebhookDelivery) error {
	return show(c, cmd, *d,
		pair{"ID", d.ID}, pair{"Event", string(d.EventType)}, pair{"Status", string(d.Status)},
		pair{"Attempts", strconv.Itoa(d.Attempts)}, pair{"Code", d.Code},
		pair{"Response", responseText(*d)}, pair{"Next attempt", nextAttemptText(*d)})
}

// responseText is the HTTP status that the receiver has answered last, or "" where it has not.
func responseText(d bctrl.WebhookDelivery) string {
	if d.ResponseStatus == 0 {
		return ""
	}
	return strconv.Itoa(d.ResponseStatus)
}

// nextAttemptText is when the delivery is tried again, or "" where it is not.
func nextAttemptText(d bctrl.WebhookDelivery) string {
	if d.NextAttemptAt == nil {
		return ""
	}
	return moment(*d.NextAttemptAt)
}

func addWebhook(c *cli) *cobra.Command {
	cmd := printing[webhookRecord](c, &cobra.Command{
		Use:   "add <url>",
		Short: "Add a receiver, and print its secret, this once",
		Long: `Add a receiver of events, and print the secret that its deliveries are signed
with. It is shown this once.`,
		Example: `  bctrl webhook add http://localhost:9/in --type runtime.failed --type operation.ended`,
		Args:    arguments(1, 1),
	})
	var types []string
	var in bctrl.WebhookCreate
	cmd.Flags().StringSliceVar(&types, "type", nil, "a `type` of events, such as runtime.failed; none is all")
	cmd.Flags().StringVar(&in.Description, "description", "", "what it is for, for people")
	mayBeEmpty(cmd, "description")
	workspace := cmd.Flags().String("workspace", "", "id or `name` of a workspace; none is all")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		in.URL = args[0]
		for _, t := range types {
			in.Events = append(in.Events, bctrl.EventType(t))
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			if *workspace != "" {
				ws, err := workspaceOf(ctx, client, *workspace)
				if err != nil {
					return err
				}
				in.WorkspaceID = ws.ID
			}
			made, err := client.Webhooks.Create(ctx, in)
			if err != nil {
				return err
			}
			return c.showNewWebhook(cmd, made)
		})
	}
	return cmd
}

func listWebhooks(c *cli) *cobra.Command {
	return printing[bctrl.Webhook](c, &cobra.Command{
		Use:     "list",
		Short:   "List webhooks",
		Long:    `List webhooks, the oldest first. Secrets are not shown.`,
		Example: `  bctrl webhook list`,
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				return list(c, cmd, client.Webhooks.List(ctx), []column[bctrl.Webhook]{
					{"ID", func(w bctrl.Webhook) string { return w.ID }},
					{"ENABLED", func(w bctrl.Webhook) string { return yesNo(w.Enabled) }},
					{"EVENTS", func(w bctrl.Webhook) string { return typesText(w.Events) }},
					{"URL", func(w bctrl.Webhook) string { return w.URL }},
				}...)
			})
		},
	})
}

// webhookCommand is a command about one webhook.
func webhookCommand(
	c *cli, cmd *cobra.Command,
	do func(ctx context.Context, cmd *cobra.Command, s *bctrl.WebhooksService, id string) error,
) *cobra.Command {
	cmd.Use += " <id>"
	cmd.Args = arguments(1, 1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			if err := do(ctx, cmd, client.Webhooks, args[0]); err != nil {
				return about("webhook "+printable(args[0]), err)
			}
			return nil
		})
	}
	return cmd
}

const webhookExample = " 01980a4e-6a3c-7f1e-8c1d-3b2a5d9e4f60"

func getWebhook(c *cli) *cobra.Command {
	return printing[bctrl.Webhook](c, webhookCommand(c, &cobra.Command{
		Use:     "get",
		Short:   "Show a webhook, without its secret",
		Long:    `Show a webhook. Its secret never comes back.`,
		Example: "  bctrl webhook get" + webhookExample,
	}, func(ctx context.Context, cmd *cobra.Command, s *bctrl.WebhooksService, id string) error {
		w, err := s.Get(ctx, id)
		if err != nil {
			return err
		}
		return c.showWebhook(cmd, w)
	}))
}

func switchWebhook(c *cli, name string, enabled bool) *cobra.Command {
	short := "Send nothing to a webhook"
	long := "Send nothing to a webhook from now on. What happens meanwhile it never gets."
	if enabled {
		short = "Send events to a webhook again"
		long = "Send events to a webhook again, also one that the server has disabled."
	}
	return printing[bctrl.Webhook](c, webhookCommand(c, &cobra.Command{
		Use:     name,
		Short:   short,
		Long:    long,
		Example: "  bctrl webhook " + name + webhookExample,
	}, func(ctx context.Context, cmd *cobra.Command, s *bctrl.WebhooksService, id string) error {
		w, err := s.Update(ctx, id, bctrl.WebhookUpdate{Enabled: &enabled})
		if err != nil {
			return err
		}
		return c.showWebhook(cmd, w)
	}))
}

func testWebhook(c *cli) *cobra.Command {
	return printing[bctrl.WebhookDelivery](c, webhookCommand(c, &cobra.Command{
		Use:     "test",
		Short:   "Send a webhook an event that says it is a test, once",
		Long:    `Send a webhook an event of the type webhook.test, once, and say how it went.`,
		Example: "  bctrl webhook test" + webhookExample,
	}, func(ctx context.Context, cmd *cobra.Command, s *bctrl.WebhooksService, id string) error {
		d, err := s.Test(ctx, id)
		if err != nil {
			return err
		}
		return c.showDelivery(cmd, d)
	}))
}

func rotateWebhook(c *cli) *cobra.Command {
	var overlap time.Duration
	cmd := printing[webhookRecord](c, webhookCommand(c, &cobra.Command{
		Use:   "rotate-secret",
		Short: "Make a new secret for a webhook and print it, this once",
		Long: `Make a new secret for a webhook and print it. Until the overlap ends, which is a
day, deliveries are signed with the secret before, too.`,
		Example: "  bctrl webhook rotate-secret" + webhookExample + " --overlap 1h",
	}, func(ctx context.Context, cmd *cobra.Command, s *bctrl.WebhooksService, id string) error {
		made, err := s.RotateSecret(ctx, id, bctrl.WebhookRotation{Overlap: overlap})
		if err != nil {
			return err
		}
		return c.showNewWebhook(cmd, made)
	}))
	cmd.Flags().DurationVar(&overlap, "overlap", 24*time.Hour, "how long the secret before signs too")
	return cmd
}

func webhookDeliveries(c *cli) *cobra.Command {
	return printing[bctrl.WebhookDelivery](c, webhookCommand(c, &cobra.Command{
		Use:     "deliveries",
		Short:   "List the deliveries of a webhook",
		Long:    `List the deliveries of a webhook, the newest first, and why some failed.`,
		Example: "  bctrl webhook deliveries" + webhookExample,
	}, func(ctx context.Context, cmd *cobra.Command, s *bctrl.WebhooksService, id string) error {
		return list(c, cmd, s.Deliveries(ctx, id), []column[bctrl.WebhookDelivery]{
			{"ID", func(d bctrl.WebhookDelivery) string { return d.ID }},
			{"EVENT", func(d bctrl.WebhookDelivery) string { return string(d.EventType) }},
			{"STATUS", func(d bctrl.WebhookDelivery) string { return string(d.Status) }},
			{"ATTEMPTS", func(d bctrl.WebhookDelivery) string { return strconv.Itoa(d.Attempts) }},
			{"CODE", func(d bctrl.WebhookDelivery) string { return d.Code }},
			{"RESPONSE", responseText},
			{"NEXT ATTEMPT", nextAttemptText},
		}...)
	}))
}

func redeliverWebhook(c *cli) *cobra.Command {
	return printing[bctrl.WebhookDelivery](c, &cobra.Command{
		Use:     "redeliver <id> <delivery>",
		Short:   "Send the event of a delivery once more",
		Long:    `Send the event of a delivery once more. The receiver knows it by the event's id.`,
		Example: "  bctrl webhook redeliver" + webhookExample + " $DELIVERY",
		Args:    arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				d, err := client.Webhooks.Redeliver(ctx, args[0], args[1])
				if err != nil {
					return about("delivery "+printable(args[1]), err)
				}
				return c.showDelivery(cmd, d)
			})
		},
	})
}

func deleteWebhook(c *cli) *cobra.Command {
	return webhookCommand(c, &cobra.Command{
		Use:     "delete",
		Short:   "Remove a webhook with its deliveries",
		Long:    `Remove a webhook with its deliveries. What waits is not sent any more.`,
		Example: "  bctrl webhook delete" + webhookExample,
	}, func(ctx context.Context, cmd *cobra.Command, s *bctrl.WebhooksService, id string) error {
		if err := s.Delete(ctx, id); err != nil {
			return err
		}
		note(cmd, "Deleted webhook %s.", printable(id))
		return nil
	})
}
