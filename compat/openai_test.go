package compat

import (
	"net/http"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

var openAI = provider{
	id:      "openai",
	key:     openAIKey,
	secrets: map[string]string{"OPENAI_API_KEY": openAIKey},
	ai:      bctrl.OpenAI,
}

func TestOpenAI(t *testing.T) {
	everywhere(t, newOpenAI, openAI, []program{
		{"answers", true, openAIAnswers},
		{"streams", true, openAIStreams},
		{"never shows the key", false, openAINeverShowsTheKey},
		{"refuses what is not mounted", false, openAIRefusesWhatIsNotMounted},
	})
}

func openAIClient(p place) openai.Client {
	opts := []option.RequestOption{option.WithAPIKey(p.key), option.WithHTTPClient(p.http)}
	if p.base != "" {
		opts = append(opts, option.WithBaseURL(p.base+"/v1/"))
	}
	return openai.NewClient(opts...)
}

func chat(model string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:    model,
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hi")},
	}
}

func openAIAnswers(t *testing.T, p place) {
	ctx, client := soon(t), openAIClient(p)

	got, err := client.Chat.Completions.New(ctx, chat(plain))
	require.NoError(t, err)
	require.Equal(t, "Hello there", got.Choices[0].Message.Content)
	require.EqualValues(t, 11, got.Usage.TotalTokens)

	got, err = client.Chat.Completions.New(ctx, chat(limited))
	require.NoError(t, err, "the SDK waits as long as the provider says, and asks again")
	require.Equal(t, "the second time", got.Choices[0].Message.Content)

	var e *openai.Error
	_, err = client.Chat.Completions.New(ctx, chat(unknown))
	require.ErrorAs(t, err, &e)
	require.Equal(t, http.StatusUnauthorized, e.StatusCode, "the provider's own refusal")
	require.Equal(t, "invalid_api_key", e.Code)
	_, err = client.Chat.Completions.New(ctx, chat(limited), option.WithMaxRetries(0))
	require.ErrorAs(t, err, &e)
	require.Equal(t, http.StatusTooManyRequests, e.StatusCode)
	require.Equal(t, "rate_limit_exceeded", e.Code)
}

func openAIStreams(t *testing.T, p place) {
	client := openAIClient(p)
	stream := client.Chat.Completions.NewStreaming(soon(t), chat(plain))
	defer stream.Close()
	require.True(t, stream.Next(), "a chunk is there while the provider still waits: %v", stream.Err())
	require.Equal(t, "Hello", stream.Current().Choices[0].Delta.Content)
	p.upstream.more <- struct{}{}
	text := "Hello"
	for stream.Next() {
		text += stream.Current().Choices[0].Delta.Content
	}
	require.NoError(t, stream.Err())
	require.Equal(t, "Hello there!", text)
}

func openAINeverShowsTheKey(t *testing.T, p place) {
	client := openAIClient(p)
	var resp *http.Response
	got, err := client.Chat.Completions.New(soon(t), chat(echo), option.WithResponseInto(&resp))
	require.NoError(t, err)
	require.Equal(t, "your key is [secret]", got.Choices[0].Message.Content)
	require.Equal(t, "[secret]", resp.Header.Get("X-Echo"))

	p.upstream.more <- struct{}{}
	stream := client.Chat.Completions.NewStreaming(soon(t), chat(echo))
	defer stream.Close()
	var words []string
	for stream.Next() {
		words = append(words, stream.Current().Choices[0].Delta.Content)
	}
	require.NoError(t, stream.Err())
	require.Equal(t, []string{"key:", "[secret]"}, words)
}

func openAIRefusesWhatIsNotMounted(t *testing.T, p place) {
	client, before := openAIClient(p), p.upstream.seen()
	_, err := client.Embeddings.New(soon(t), openai.EmbeddingNewParams{
		Model: openai.EmbeddingModelTextEmbedding3Small,
		Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String("x")},
	})
	var e *openai.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, http.StatusForbidden, e.StatusCode)
	require.Equal(t, "capability.outside_mount", e.Code)
	require.Contains(t, e.Message, "the missing right is capability.invoke")
	require.Equal(t, before, p.upstream.seen(), "nothing was sent")
}
