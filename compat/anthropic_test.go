package compat

import (
	"net/http"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

var anthropicAI = provider{
	id:      "anthropic",
	key:     anthropicKey,
	secrets: map[string]string{"ANTHROPIC_API_KEY": anthropicKey},
	ai:      bctrl.Anthropic,
}

func TestAnthropic(t *testing.T) {
	everywhere(t, newAnthropic, anthropicAI, []program{
		{"answers", true, anthropicAnswers},
		{"streams", true, anthropicStreams},
		{"never shows the key", false, anthropicNeverShowsTheKey},
		{"refuses what is not mounted", false, anthropicRefusesWhatIsNotMounted},
	})
}

func anthropicClient(p place) anthropic.Client {
	opts := []option.RequestOption{option.WithAPIKey(p.key), option.WithHTTPClient(p.http)}
	if p.base != "" {
		opts = append(opts, option.WithBaseURL(p.base+"/"))
	}
	return anthropic.NewClient(opts...)
}

func ask(model string) anthropic.MessageNewParams {
	return anthropic.MessageNewParams{
		Model:     model,
		MaxTokens: 64,
		Messages:  []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Hi"))},
	}
}

func anthropicAnswers(t *testing.T, p place) {
	ctx, client := soon(t), anthropicClient(p)

	got, err := client.Messages.New(ctx, ask(plain))
	require.NoError(t, err)
	require.Equal(t, "Hello there", got.Content[0].Text)
	_, err = client.Messages.New(ctx, ask(limited))
	require.NoError(t, err, "the SDK waits as long as the provider says, and asks again")

	var e *anthropic.Error
	_, err = client.Messages.New(ctx, ask(unknown))
	require.ErrorAs(t, err, &e)
	require.Equal(t, http.StatusUnauthorized, e.StatusCode, "the provider's own refusal")
	require.Contains(t, e.RawJSON(), "authentication_error")
	_, err = client.Messages.New(ctx, ask(limited), option.WithMaxRetries(0))
	require.ErrorAs(t, err, &e)
	require.Equal(t, http.StatusTooManyRequests, e.StatusCode)
}

func anthropicStreams(t *testing.T, p place) {
	client := anthropicClient(p)
	stream := client.Messages.NewStreaming(soon(t), ask(plain))
	defer stream.Close()
	whole, text := anthropic.Message{}, ""
	for stream.Next() {
		require.NoError(t, whole.Accumulate(stream.Current()))
		if delta, ok := stream.Current().AsAny().(anthropic.ContentBlockDeltaEvent); ok {
			if text == "" {
				p.upstream.more <- struct{}{} // it is there while the provider still waits
			}
			text += delta.Delta.Text
		}
	}
	require.NoError(t, stream.Err())
	require.Equal(t, "Hello there!", text)
	require.Equal(t, "Hello there!", whole.Content[0].Text)
	require.Equal(t, anthropic.StopReasonEndTurn, whole.StopReason)
}

func anthropicNeverShowsTheKey(t *testing.T, p place) {
	client := anthropicClient(p)
	got, err := client.Messages.New(soon(t), ask(echo))
	require.NoError(t, err)
	require.Equal(t, "your key is [secret]", got.Content[0].Text)
}

func anthropicRefusesWhatIsNotMounted(t *testing.T, p place) {
	client := anthropicClient(p)
	_, err := client.Models.List(soon(t), anthropic.ModelListParams{})
	var e *anthropic.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, http.StatusForbidden, e.StatusCode)
	require.Contains(t, e.RawJSON(), "the missing right is capability.invoke")
}
