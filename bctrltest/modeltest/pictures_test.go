package modeltest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAScriptSeesThePictureAndMakesSeveralCalls sends a picture in both wire formats, and
// reads the calls of one answer.
func TestAScriptSeesThePictureAndMakesSeveralCalls(t *testing.T) {
	const png = "\x89PNG made up"
	encoded := base64.StdEncoding.EncodeToString([]byte(png))
	_, url := serve(t, func(turn Turn) Call {
		if string(turn.Picture) != png {
			return Done(false, "There is no picture.")
		}
		first := ClickAt(1, 2)
		first.Also = []Call{HoverAt(3, 4), Done(true, "")}
		return first
	})
	const openAITools = `"tools":[{"type":"function","function":{"name":"click_at","parameters":{}}},
		{"type":"function","function":{"name":"hover_at","parameters":{}}},
		{"type":"function","function":{"name":"done","parameters":{}}}]`
	const anthropicTools = `"max_tokens":9,"tools":[{"name":"click_at","input_schema":{}},
		{"name":"hover_at","input_schema":{}},{"name":"done","input_schema":{}}]`
	inSource := `{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + encoded + `"}}`
	for _, c := range []struct {
		why, path, tools, content string
		want                      []string
	}{
		{"OpenAI's data URL", "/v1/chat/completions", openAITools,
			`[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"data:image/png;base64,` + encoded + `"}}]`,
			[]string{"click_at", "hover_at", "done"}},
		{"OpenAI without a picture", "/v1/chat/completions", openAITools, `"x"`, []string{"done"}},
		{"a picture that lies elsewhere", "/v1/chat/completions", openAITools,
			`[{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]`, []string{"done"}},
		{"Anthropic's block", "/v1/messages", anthropicTools, `[` + inSource + `]`, []string{"click_at", "hover_at", "done"}},
	} {
		t.Run(c.why, func(t *testing.T) {
			header := openAIHeader
			if c.path == "/v1/messages" {
				header = anthropicHeader
			}
			status, text := ask(t, url+c.path, header,
				`{"model":"scripted-1",`+c.tools+`,"messages":[{"role":"user","content":`+c.content+`}]}`)
			require.Equal(t, http.StatusOK, status, text)
			var answer struct {
				Choices []chatChoice
				Content []block
			}
			require.NoError(t, json.Unmarshal([]byte(text), &answer))
			var called []string
			for _, choice := range answer.Choices {
				for _, call := range choice.Message.ToolCalls {
					called = append(called, call.Function.Name)
				}
			}
			for _, b := range answer.Content {
				called = append(called, b.Name)
			}
			require.Equal(t, c.want, called)
		})
	}
}
