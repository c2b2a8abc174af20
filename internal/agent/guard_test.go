package agent

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/scrub"
)

type sink struct{ got model.Request }

func (s *sink) Complete(_ context.Context, req model.Request) (*model.Response, error) {
	s.got = req
	return &model.Response{}, nil
}

func TestTheGuardCoversEveryPartOfAMessage(t *testing.T) {
	const value = `hunter2"secret`
	_, toolList := usualTools()
	quoted := `hunter2\"secret`
	req := model.Request{System: "s", Tools: toolList, Messages: []model.Message{
		{Role: model.User, Text: "a " + value, Images: [][]byte{[]byte("PNG " + value), []byte("a masked picture")}},
		{
			Role:   model.Assistant,
			Text:   quoted,
			Opaque: json.RawMessage(`{"x":"` + quoted + `"}`),
			Calls:  []model.ToolCall{{ID: "id-" + value, Name: "type", Arguments: `{"text":"` + quoted + `"}`}},
		},
		{Role: model.ToolResult, CallID: "id-" + value, Text: "aHVudGVyMiJzZWNyZXQ="},
		{Role: model.Assistant, Opaque: json.RawMessage(`{"kept":1}`)},
	}}
	before, err := json.Marshal(req)
	require.NoError(t, err)
	var s sink
	masked := pictures{sha256.Sum256([]byte("a masked picture")): true}
	_, err = guard{&s, scrub.New(bctrl.NewSecret(value)), masked}.Complete(t.Context(), req)
	require.NoError(t, err)

	sent, err := json.Marshal(s.got)
	require.NoError(t, err)
	require.NotContains(t, string(sent), "hunter2")
	require.NotContains(t, string(sent), "aHVudGVyMi")
	require.Equal(t, [][]byte{[]byte("a masked picture")}, s.got.Messages[0].Images)
	require.Equal(t, model.Message{
		Role:  model.Assistant,
		Text:  "[secret]",
		Calls: []model.ToolCall{{ID: "id-[secret]", Name: "type", Arguments: `{"text":"[secret]"}`}},
	}, s.got.Messages[1])
	require.Equal(t, "id-[secret]", s.got.Messages[2].CallID, "a call and its result still match")
	require.JSONEq(t, `{"kept":1}`, string(s.got.Messages[3].Opaque))

	after, err := json.Marshal(req)
	require.NoError(t, err)
	require.Equal(t, string(before), string(after), "the caller's request is not written to")
}

func TestEveryToolIsDescribedByAValidSchema(t *testing.T) {
	tools, toolList := usualTools()
	require.Len(t, toolList, len(tools))
	for _, tool := range toolList {
		var schema struct {
			Type       string
			Properties map[string]struct{ Type, Description string }
			Required   []string
		}
		require.NoError(t, json.Unmarshal(tool.Parameters, &schema), tool.Name)
		require.Equal(t, "object", schema.Type)
		for _, name := range schema.Required {
			require.Contains(t, schema.Properties, name, tool.Name)
		}
		args := map[string]any{}
		for name, p := range schema.Properties {
			args[name] = map[string]any{"string": "x", "number": 1, "integer": 1, "boolean": true, "array": []any{}}[p.Type]
		}
		text, err := json.Marshal(args)
		require.NoError(t, err)
		_, err = tools[tool.Name].decode(string(text))
		require.NoError(t, err, "the schema of %s and its fields agree", tool.Name)
	}
}
