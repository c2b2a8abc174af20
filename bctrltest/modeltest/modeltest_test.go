package modeltest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sashabaranov/go-openai"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
)

const key = "sk-canary-5d41402abc4b2a76"

// clickThenSay is a script of two steps.
func clickThenSay(t Turn) Call {
	if e := t.Find("button", "sign in"); e.Ref != "" {
		return Call{Tool: "click", Args: map[string]any{"ref": e.Ref}}
	}
	return Call{Text: "After " + t.Result + " nothing is left of: " + t.Task}
}

func serve(t *testing.T, script Script) (*Model, string) {
	t.Helper()
	m, err := New(Config{Key: bctrl.NewSecret(key), Script: script})
	require.NoError(t, err)
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	return m, server.URL
}

// first and second are the views of two pages.
var (
	first = agent.View{URL: "https://crm.example.com/",
		Outline: "[e1] textbox \"Name\"\n[e2] button \"Sign in\"\n"}.String()
	second = agent.View{URL: "https://crm.example.com/home"}.String()
)

func TestAnOpenAIClientIsAnswered(t *testing.T) {
	m, url := serve(t, clickThenSay)
	config := openai.DefaultConfig(key)
	config.BaseURL = url + "/v1"
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	config.HTTPClient = &http.Client{Transport: transport}
	client := openai.NewClientWithConfig(config)

	models, err := client.ListModels(t.Context())
	require.NoError(t, err)
	require.Equal(t, DefaultModel, models.Models[0].ID)

	request := openai.ChatCompletionRequest{
		Model: DefaultModel,
		Messages: []openai.ChatCompletionMessage{
			{Role: "system", Content: "You work on web pages."},
			{Role: "user", Content: "Sign in.\n\n" + first},
		},
		Tools: []openai.Tool{{Type: "function", Function: &openai.FunctionDefinition{
			Name: "click", Parameters: map[string]any{"type": "object"},
		}}},
	}
	response, err := client.CreateChatCompletion(t.Context(), request)
	require.NoError(t, err)
	require.Equal(t, openai.FinishReasonToolCalls, response.Choices[0].FinishReason)
	said := response.Choices[0].Message
	require.Equal(t, "click", said.ToolCalls[0].Function.Name)
	require.JSONEq(t, `{"ref":"e2"}`, said.ToolCalls[0].Function.Arguments)

	request.Messages = append(request.Messages, said, openai.ChatCompletionMessage{
		Role: "tool", ToolCallID: said.ToolCalls[0].ID, Content: "clicked\n" + second,
	})
	response, err = client.CreateChatCompletion(t.Context(), request)
	require.NoError(t, err)
	require.Equal(t, openai.FinishReasonStop, response.Choices[0].FinishReason)
	require.Equal(t, "After clicked nothing is left of: Sign in.", response.Choices[0].Message.Content)
	require.Len(t, m.Requests(), 3)
}

// ask sends a JSON body and returns the answer.
func ask(t *testing.T, url string, header map[string]string, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	return resp.StatusCode, string(text)
}

var (
	anthropicHeader = map[string]string{"X-Api-Key": key, "Anthropic-Version": "2023-06-01"}
	openAIHeader    = map[string]string{"Authorization": "Bearer " + key}
)

func quote(text string) string {
	quoted, _ := json.Marshal(text)
	return string(quoted)
}

func TestAnAnthropicClientIsAnswered(t *testing.T) {
	_, url := serve(t, clickThenSay)
	head := `{"model":"scripted-1","max_tokens":100,"system":"You work on web pages.",
		"tools":[{"name":"click","input_schema":{"type":"object"}}],"messages":[
		{"role":"user","content":` + quote("Sign in.\n\n"+first) + `}`
	status, text := ask(t, url+"/v1/messages", anthropicHeader, head+`]}`)
	require.Equal(t, http.StatusOK, status, text)
	var answer messagesResponse
	require.NoError(t, json.Unmarshal([]byte(text), &answer))
	require.Equal(t, "tool_use", answer.StopReason)
	require.Equal(t, "click", answer.Content[0].Name)
	require.JSONEq(t, `{"ref":"e2"}`, string(answer.Content[0].Input))

	said, err := json.Marshal(answer.Content)
	require.NoError(t, err)
	toolUse := answer.Content[0].ID
	status, text = ask(t, url+"/v1/messages", anthropicHeader, head+`,
		{"role":"assistant","content":`+string(said)+`},
		{"role":"user","content":[{"type":"tool_result","tool_use_id":"`+toolUse+`",
			"content":[{"type":"text","text":`+quote("clicked\n"+second)+`}]}]}]}`)
	require.Equal(t, http.StatusOK, status, text)
	require.NoError(t, json.Unmarshal([]byte(text), &answer))
	require.Equal(t, "end_turn", answer.StopReason)
	require.Equal(t, "After clicked nothing is left of: Sign in.", answer.Content[0].Text)

	for _, nothing := range []string{``, `,"content":null`, `,"content":[]`} {
		status, text = ask(t, url+"/v1/messages", anthropicHeader, head+`,
			{"role":"assistant","content":`+string(said)+`},
			{"role":"user","content":[{"type":"tool_result","tool_use_id":"`+toolUse+`"`+nothing+`}]}]}`)
		require.Equal(t, http.StatusOK, status, "a tool may say nothing: %s", text)
	}
}

func TestOnlyTheKeyOpens(t *testing.T) {
	m, url := serve(t, clickThenSay)
	for _, tt := range []struct {
		why, path string
		header    map[string]string
		want      string
	}{
		{"no key", "/v1/chat/completions", nil, `{"error":{"type":"authentication_error","message":"The API key is not ` +
			`valid.","param":null,"code":null}}`},
		{"another key", "/v1/chat/completions", map[string]string{"Authorization": "Bearer sk-other"}, ""},
		{"the key where the other wire format has it", "/v1/chat/completions", map[string]string{"X-Api-Key": key}, ""},
		{"no key for Anthropic", "/v1/messages", nil,
			`{"type":"error","error":{"type":"authentication_error","message":"The API key is not valid."}}`},
		{"the key as OpenAI has it", "/v1/messages", openAIHeader, ""},
	} {
		t.Run(tt.why, func(t *testing.T) {
			status, text := ask(t, url+tt.path, tt.header, `{}`)
			require.Equal(t, http.StatusUnauthorized, status)
			if tt.want != "" {
				require.JSONEq(t, tt.want, text)
			}
		})
	}
	require.Len(t, m.Requests(), 5)
}

func TestAMalformedConversationIsRefused(t *testing.T) {
	const tool = `"tools":[{"type":"function","function":{"name":"click","parameters":{"type":"object"}}}]`
	const called = `{"role":"assistant","tool_calls":[` +
		`{"id":"c1","type":"function","function":{"name":"click","arguments":"{}"}}]}`
	_, url := serve(t, clickThenSay)
	for _, tt := range []struct{ why, body, message string }{
		{"no JSON", `hello`, "not a chat completion request"},
		{"an unknown model", `{"model":"gpt-0","messages":[{"role":"user","content":"x"}]}`, "no such model"},
		{"no message", `{"model":"scripted-1"}`, "starts and ends"},
		{"a call without its result", `{"model":"scripted-1",` + tool + `,"messages":[{"role":"user","content":"x"},` +
			called + `,{"role":"user","content":"y"}]}`, "has no result"},
		{"a result without its call", `{"model":"scripted-1",` + tool +
			`,"messages":[{"role":"user","content":"x"},{"role":"tool","tool_call_id":"c1","content":"y"}]}`,
			"belongs to no tool call"},
		{"a result that comes twice", `{"model":"scripted-1",` + tool + `,"messages":[{"role":"user","content":"x"},` +
			called + `,{"role":"tool","tool_call_id":"c1","content":"y"},{"role":"tool","tool_call_id":"c1","content":"y"}]}`,
			"belongs to no tool call"},
		{"a tool without parameters", `{"model":"scripted-1","tools":[{"type":"function","function":{"name":"click"}}],` +
			`"messages":[{"role":"user","content":"x"}]}`, "parameters"},
		{"a stream", `{"model":"scripted-1","stream":true,"messages":[{"role":"user","content":"x"}]}`, "Streams"},
		{"a script that calls what is not offered", `{"model":"scripted-1","messages":[{"role":"user","content":` +
			quote(first) + `}]}`, "not among the tools"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			status, text := ask(t, url+"/v1/chat/completions", openAIHeader, tt.body)
			require.GreaterOrEqual(t, status, 400)
			require.Contains(t, text, tt.message)
		})
	}
}

func TestAnthropicsOwnRulesAreKept(t *testing.T) {
	_, url := serve(t, clickThenSay)
	for _, tt := range []struct{ why, body, message string }{
		{"max_tokens is required", `{"model":"scripted-1","messages":[{"role":"user","content":"x"}]}`, "max_tokens"},
		{"roles alternate", `{"model":"scripted-1","max_tokens":9,"messages":[` +
			`{"role":"user","content":"x"},{"role":"user","content":"y"}]}`, "alternate"},
		{"there is no system role", `{"model":"scripted-1","max_tokens":9,"messages":[` +
			`{"role":"system","content":"x"},{"role":"user","content":"y"}]}`, "unknown role"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			status, text := ask(t, url+"/v1/messages", anthropicHeader, tt.body)
			require.Equal(t, http.StatusBadRequest, status)
			require.Contains(t, text, tt.message)
		})
	}
}

func TestRecordsHideTheKeyAndNothingElse(t *testing.T) {
	m, url := serve(t, clickThenSay)
	leak := `{"model":"scripted-1","messages":[{"role":"user","content":"the password is hunter2, the key ` + key + `"}]}`
	_, _ = ask(t, url+"/v1/chat/completions", openAIHeader, leak)

	got := m.Requests()[0]
	require.Equal(t, "Bearer [secret]", got.Header.Get("Authorization"))
	require.Equal(t, leak, string(got.Body), "whoever scans for a leak must find it")
	require.True(t, bytes.Contains(got.Body, []byte(key)))
	require.Equal(t, http.StatusOK, got.Status)
}

func TestFailuresComeAsOftenAsAsked(t *testing.T) {
	m, url := serve(t, clickThenSay)
	m.Fail(2, http.StatusTooManyRequests)
	const body = `{"model":"scripted-1","messages":[{"role":"user","content":"x"}]}`
	var got []int
	for range 3 {
		status, _ := ask(t, url+"/v1/chat/completions", openAIHeader, body)
		got = append(got, status)
	}
	require.Equal(t, []int{429, 429, 200}, got)
}
