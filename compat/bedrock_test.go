package compat

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/stretchr/testify/require"
)

var bedrock = provider{
	id:    "bedrock",
	key:   awsKey,
	hosts: []string{bedrockHost},
	allow: []string{"bedrock/"},
	secrets: map[string]string{
		"AWS_BEDROCK_ACCESS_KEY_ID":     awsID,
		"AWS_BEDROCK_SECRET_ACCESS_KEY": awsKey,
		"AWS_BEDROCK_SESSION_TOKEN":     awsSession,
	},
}

func TestBedrock(t *testing.T) {
	everywhere(t, newBedrock, bedrock, []program{
		{"answers", true, bedrockAnswers},
		{"streams", true, bedrockStreams},
		{"never shows the key", false, bedrockNeverShowsTheKey},
	})
}

func bedrockClient(p place) *bedrockruntime.Client {
	return bedrockruntime.NewFromConfig(awsConfig(p), func(o *bedrockruntime.Options) { o.RetryMaxAttempts = 1 })
}

func hi() []types.Message {
	return []types.Message{{
		Role:    types.ConversationRoleUser,
		Content: []types.ContentBlock{&types.ContentBlockMemberText{Value: "Hi"}},
	}}
}

func bedrockAnswers(t *testing.T, p place) {
	ctx, client := soon(t), bedrockClient(p)
	got, err := client.Converse(ctx, &bedrockruntime.ConverseInput{ModelId: aws.String(modelID), Messages: hi()})
	require.NoError(t, err)
	message, ok := got.Output.(*types.ConverseOutputMemberMessage)
	require.True(t, ok)
	require.Equal(t, &types.ContentBlockMemberText{Value: "Hello there"}, message.Value.Content[0])

	_, err = client.Converse(ctx, &bedrockruntime.ConverseInput{ModelId: aws.String(limited), Messages: hi()})
	require.ErrorAs(t, err, new(*types.ThrottlingException), "the provider's own error")
}

func bedrockStreams(t *testing.T, p place) {
	got, err := bedrockClient(p).
		ConverseStream(soon(t), &bedrockruntime.ConverseStreamInput{ModelId: aws.String(modelID), Messages: hi()})
	require.NoError(t, err)
	stream := got.GetStream()
	defer stream.Close()
	text := ""
	for event := range stream.Events() {
		delta, ok := event.(*types.ConverseStreamOutputMemberContentBlockDelta)
		if !ok {
			continue
		}
		if text == "" {
			p.upstream.more <- struct{}{} // it is there while the provider still waits
		}
		word, ok := delta.Value.Delta.(*types.ContentBlockDeltaMemberText)
		require.True(t, ok)
		text += word.Value
	}
	require.NoError(t, stream.Err())
	require.Equal(t, "Hello there!", text)
}

func bedrockNeverShowsTheKey(t *testing.T, p place) {
	_, err := bedrockClient(p).Converse(soon(t), &bedrockruntime.ConverseInput{ModelId: aws.String(echo), Messages: hi()})
	require.Equal(t, "ValidationException", codeOf(t, err))
	require.Contains(t, err.Error(), "the token [secret]")
}
