package compat

import "testing"

func TestStripeInOtherLanguages(t *testing.T) {
	t.Parallel()
	stripe := provider{
		id:      "stripe",
		key:     stripeKey,
		secrets: map[string]string{"STRIPE_API_KEY": stripeKey},
		allow:   []string{"stripe/customers"},
	}
	scripted(t, "python/stripe_sdk.py", newStripe, stripe, "", map[string]any{
		"made":      list("Ada", "so & so"),
		"customers": list("cus_1", "cus_2"),
		"missing":   "resource_missing",
	})
}

func TestSlackInOtherLanguages(t *testing.T) {
	t.Parallel()
	slack := provider{
		id:      "slack",
		key:     slackToken,
		secrets: map[string]string{"SLACK_BOT_TOKEN": slackToken},
		allow:   []string{"slack/"},
	}
	for _, program := range []string{"python/slack_api.py", "js/slack.mjs"} {
		scripted(t, program, newSlack, slack, "", map[string]any{
			"posted":   "so & so",
			"channels": list("general", "random"),
			"missing":  "channel_not_found",
		})
	}
}

func TestDiscordInOtherLanguages(t *testing.T) {
	t.Parallel()
	discord := provider{
		id:      "discord",
		key:     discordToken,
		secrets: map[string]string{"DISCORD_BOT_TOKEN": discordToken},
		allow:   []string{"discord/"},
	}
	scripted(t, "js/discord.mjs", newDiscord, discord, "", map[string]any{
		"me":      "bot",
		"posted":  "so & so",
		"file":    float64(6),
		"missing": float64(404),
	})
}

func TestTelegramInOtherLanguages(t *testing.T) {
	t.Parallel()
	telegram := provider{
		id:      "telegram",
		key:     telegramToken,
		secrets: map[string]string{"TELEGRAM_BOT_TOKEN": telegramToken},
		allow:   []string{"telegram/"},
	}
	scripted(t, "python/telegram_bot.py", newTelegram, telegram, "", map[string]any{
		"me":      "site_bot",
		"sent":    "so & so",
		"missing": "Chat not found",
	})
}
