package model

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
)

// said is a completion whose message has the given fields.
func said(finish, fields string) string {
	return `{"choices":[{"finish_reason":` + finish + `,"message":{"role":"assistant",` + fields + `}}]}`
}

// text is a completion that says text.
func text(finish, content string) string {
	quoted, _ := json.Marshal(content)
	return said(finish, `"content":`+string(quoted))
}

// TestAnswersAreReadAsServersWriteThem has a click on e2 in every form, and what is to
// be told apart from one.
func TestAnswersAreReadAsServersWriteThem(t *testing.T) {
	const call = `{"tool":"click","arguments":{"ref":"e2"}}`
	for _, c := range []struct {
		why, body string
		text      string
		clicks    int
		stop      StopReason
	}{
		{"arguments as an object", said(`"tool_calls"`, `"content":null,"tool_calls":[{"id":"a","type":"function",
			"function":{"name":"click","arguments":{"ref":"e2"}}}]`), "", 1, StopTools},
		{"arguments encoded twice", said(`"tool_calls"`, `"content":null,"tool_calls":[{"id":"a","function":
			{"name":"click","arguments":"\"{\\\"ref\\\":\\\"e2\\\"}\""}}]`), "", 1, StopTools},
		{"a reason to stop that is wrong", said(`"stop"`, `"content":"","tool_calls":[{"id":"a","function":
			{"name":"click","arguments":"{\"ref\":\"e2\"}"}}]`), "", 1, StopTools},
		{"no reason to stop", said(`null`, `"tool_calls":[{"id":"a","function":
			{"name":"click","arguments":"{\"ref\":\"e2\"}"}}]`), "", 1, StopTools},
		{"no ids", said(`"tool_calls"`, `"tool_calls":[{"function":{"name":"click","arguments":"{\"ref\":\"e2\"}"}},
			{"function":{"name":"click","arguments":"{\"ref\":\"e2\"}"}}]`), "", 2, StopTools},
		{"ids that repeat", said(`"tool_calls"`, `"tool_calls":[{"id":"0","function":{"name":"click","arguments":
			"{\"ref\":\"e2\"}"}},{"id":"0","function":{"name":"click","arguments":"{\"ref\":\"e2\"}"}}]`), "", 2, StopTools},
		{"a call of the older form", said(`"function_call"`, `"content":null,"function_call":
			{"name":"click","arguments":"{\"ref\":\"e2\"}"}`), "", 1, StopTools},
		{"content in parts", said(`"tool_calls"`, `"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},
			{"type":"text","text":"now"}],"tool_calls":[{"id":"a","function":{"name":"click","arguments":{"ref":"e2"}}}]`),
			"now", 1, StopTools},
		{"reasoning beside it", said(`"stop"`, `"reasoning_content":"{\"tool\":\"wait\"}","content":"now"`), "now", 0,
			StopEnd},
		{"reasoning and nothing else", said(`"stop"`, `"reasoning_content":"hm","content":null`), "", 0, StopEmpty},
		{"an empty list of calls", said(`"tool_calls"`, `"content":"now","tool_calls":[]`), "now", 0, StopEnd},
		{"null for the calls", said(`"stop"`, `"content":"now","tool_calls":null,"refusal":null`), "now", 0, StopEnd},
		{"counts that are none", `{"choices":[{"message":{"content":"now"}}],"usage":{"prompt_tokens":"many",
			"completion_tokens":-4,"prompt_tokens_details":null}}`, "now", 0, StopEnd},
		{"null for the counts", `{"choices":[{"message":{"content":"now"}}],"usage":null}`, "now", 0, StopEnd},

		{"a call in text", text(`"stop"`, call), "", 1, StopTools},
		{"in fences", text(`"stop"`, "I click.\n```json\n"+call+"\n```\nThat opens it."), "I click.", 1, StopTools},
		{"in fences without a language", text(`"stop"`, "```\n"+call+"\n```"), "", 1, StopTools},
		{"in tags", text(`"stop"`, "<tool_call>\n"+`{"name": "click", "arguments": {"ref": "e2"}}`+"\n</tool_call>"), "", 1,
			StopTools},
		{"two in tags", text(`"stop"`, strings.Repeat("<tool_call>"+call+"</tool_call>\n", 2)), "", 2, StopTools},
		{"two in a row", text(`"stop"`, call+"\n"+call), "", 2, StopTools},
		{"in a list", text(`"stop"`, "["+call+", "+call+"]"), "", 2, StopTools},
		{"under a word", text(`"stop"`, `{"thought":"hm","calls":[`+call+`]}`), "", 1, StopTools},
		{"OpenAI's form in text", text(`"stop"`, `{"tool_calls":[{"id":"a","type":"function","function":{"name":"click",
			"arguments":"{\"ref\":\"e2\"}"}}]}`), "", 1, StopTools},
		{"another word for the arguments", text(`"stop"`, `{"name":"click","parameters":{"ref":"e2"}}`), "", 1, StopTools},
		{"no word for the arguments", text(`"stop"`, `{"tool":"click","thought":"hm","ref":"e2"}`), "", 1, StopTools},
		{"the tool as the word", text(`"stop"`, `{"click":{"ref":"e2"}}`), "", 1, StopTools},
		{"an action that is an object", text(`"stop"`, `{"action":{"name":"click","args":{"ref":"e2"}}}`), "", 1, StopTools},
		{"thoughts before it", text(`"stop"`, "<think>\nI may {\"tool\":\"wait\"} or not\n</think>\n\n"+call), "", 1,
			StopTools},
		{"thoughts that the server began", text(`"stop"`, "I may "+`{"tool":"click","arguments":{"ref":"e9"}}`+
			"\n</think>\n"+call), "", 1, StopTools},
		{"a draft before it", text(`"stop"`, `First I would {"tool":"click","arguments":{"ref":"e9"}}, but better: `+call),
			`First I would {"tool":"click","arguments":{"ref":"e9"}}, but better:`, 1, StopTools},
		{"thoughts without an end", text(`"length"`, "<think>I click "+call), "", 0, StopLength},
		{"JSON that calls nothing", text(`"stop"`, `{"name":"Ada","arguments":{}}`), `{"name":"Ada","arguments":{}}`, 0,
			StopEnd},
		{"braces", text(`"stop"`, strings.Repeat("{[", 5000)), strings.Repeat("{[", 5000), 0, StopEnd},

		{"cut off in its arguments", said(`"length"`, `"content":"I cl","tool_calls":[{"id":"a","function":
			{"name":"click","arguments":"{\"ref\":\"e"}}]`), "I cl", 0, StopLength},
		{"cut off in the second call", said(`"length"`, `"tool_calls":[{"id":"a","function":{"name":"click","arguments":
			"{\"ref\":\"e2\"}"}},{"id":"b","function":{"name":"click","arguments":"{\"re"}}]`), "", 1, StopTools},
		{"cut off in text", text(`"length"`, `I click. {"tool":"click","argum`), `I click. {"tool":"click","argum`, 0,
			StopLength},
		{"cut off before anything", said(`"length"`, `"content":""`), "", 0, StopLength},

		{"events", "data: " + `{"choices":[{"index":0,"delta":{"role":"assistant","content":null}}]}` + "\n\n" +
			": keep-alive\n\ndata: " + `{"choices":[{"delta":{"content":"no"}}]}` + "\n\ndata: " +
			`{"choices":[{"delta":{"content":"w","tool_calls":[{"index":0,"id":"a","function":{"name":"click",
				"arguments":""}}]}}]}` + "\n\n", "", 0, ""}, // an event over several lines is none of theirs
		{"events on their lines", "event: x\ndata: " + `{"choices":[{"delta":{"content":"now"}}]}` + "\n\ndata: " +
			`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"click","arguments":"{\"re"}}]}}]}` +
			"\n\ndata: " + `{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"f\":\"e2\"}"}}]},` +
			`"finish_reason":"tool_calls"}]}` + "\n\ndata: " +
			`{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}` + "\n\ndata: [DONE]\n\n", "now", 1, StopTools},
		{"events with whole calls", "data:" + `{"choices":[{"delta":{"tool_calls":[{"function":{"name":"click",` +
			`"arguments":{"ref":"e2"}}},{"function":{"name":"click","arguments":{"ref":"e2"}}}]}}]}` + "\n\n", "", 2, StopTools},
	} {
		f := serve(t, says(200, c.body))
		resp, err := f.chat(t, bctrl.OpenAICompatible, nil).Complete(t.Context(), conversation())
		if c.stop == "" {
			var e *bctrl.Error
			require.ErrorAs(t, err, &e, c.why)
			require.Equal(t, "model.bad_answer", e.Code, c.why)
			continue
		}
		require.NoError(t, err, c.why)
		require.Equal(t, c.text, resp.Text, c.why)
		require.Equal(t, c.stop, resp.Stop, c.why)
		require.Len(t, resp.Calls, c.clicks, c.why)
		ids := map[string]bool{"": true}
		for _, call := range resp.Calls {
			require.Equal(t, "click", call.Name, c.why)
			require.JSONEq(t, `{"ref":"e2"}`, call.Arguments, c.why)
			require.False(t, ids[call.ID], c.why)
			ids[call.ID] = true
		}
		require.GreaterOrEqual(t, resp.Usage.OutputTokens, int64(0), c.why)
	}
}

func TestAMessageOfAnthropicsThatWasCutOffCallsNothing(t *testing.T) {
	body := `{"type":"message","stop_reason":"max_tokens","content":[{"type":"text","text":"I click"},
		{"type":"tool_use","id":"a","name":"click","input":{"ref":"e"}}]}`
	resp, err := serve(t, says(200, body)).chat(t, bctrl.Anthropic, nil).Complete(t.Context(), conversation())
	require.NoError(t, err)
	require.Equal(t, StopLength, resp.Stop)
	require.Empty(t, resp.Calls)
	require.Equal(t, "I click", resp.Text)
}

func TestNoInputOfACallInTextFails(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		parts := rapid.SliceOf(rapid.SampledFrom([]string{`{`, `}`, `[`, `]`, `"`, `:`, `,`, `tool`, `click`, `<think>`,
			`</think>`, "```json", "```", `\`, ` `, `{"tool":"click"}`, `null`, "\x00", "\xff"})).Draw(rt, "parts")
		text := withoutThoughts(strings.Join(parts, ""))
		before, calls := callsInText(text, conversation().Tools)
		for _, c := range calls {
			require.Equal(t, "click", c.Name)
			require.True(t, json.Valid([]byte(c.Arguments)))
		}
		require.True(t, strings.HasPrefix(strings.TrimSpace(text), before))
	})
}

// TestAServerWithoutToolsIsToldOfThemInText has the words of servers that refuse the
// field. What one answer taught is kept for the chat.
func TestAServerWithoutToolsIsToldOfThemInText(t *testing.T) {
	for _, c := range []struct {
		who    string
		status int
		body   string
	}{
		{"Ollama", 400, `{"error":{"message":"registry.ollama.ai/library/x:latest does not support tools",
			"type":"api_error","param":null,"code":null}}`},
		{"vLLM", 400, `{"object":"error","message":"\"auto\" tool choice requires --enable-auto-tool-choice and ` +
			`--tool-call-parser to be set","type":"BadRequestError","param":null,"code":400}`},
		{"LiteLLM", 400, `{"error":{"message":"litellm.UnsupportedParamsError: x does not support parameters: ['tools'], ` +
			`for model=x.","type":"None","param":null,"code":"400"}}`},
		{"llama.cpp", 500, `{"error":{"code":500,"message":"tools param requires --jinja flag","type":"server_error"}}`},
		{"OpenRouter", 404, `{"error":{"message":"No endpoints found that support tool use.","code":404}}`},
		{"OpenRouter, as a success", 200, `{"error":{"message":"No endpoints found that support tool use.","code":404}}`},
		{"one that names the parameter", 400, `{"error":{"message":"no","param":"tools"}}`},
		{"a function caller", 400, `{"error":{"message":"This model does not support Function Calling"}}`},
	} {
		for _, p := range []bctrl.AIProvider{bctrl.OpenAICompatible, bctrl.Anthropic} {
			f := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) {
				if n == 0 {
					w.WriteHeader(c.status)
					_, _ = io.WriteString(w, c.body)
					return
				}
				const content = `{"calls":[{"tool":"click","arguments":{"ref":"e2"}}]}`
				quoted, _ := json.Marshal(content)
				if p == bctrl.Anthropic {
					fmt.Fprintf(w, `{"type":"message","content":[{"type":"text","text":%s}]}`, quoted)
					return
				}
				_, _ = io.WriteString(w, text(`"stop"`, content))
			})
			three := 3
			chat := f.chat(t, p, func(c *Config) { c.MaxRetries = &three })
			for range 2 {
				resp, err := chat.Complete(t.Context(), conversation())
				require.NoError(t, err, c.who)
				require.Equal(t, StopTools, resp.Stop, c.who)
				require.JSONEq(t, `{"ref":"e2"}`, resp.Calls[0].Arguments, c.who)
			}
			require.Len(t, f.bodies, 3, "%s: the refusal is remembered", c.who)
			for _, body := range f.bodies[1:] {
				require.NotContains(t, body, `"tools"`, c.who)
				require.NotContains(t, body, `"tool_call`, c.who)
				require.Contains(t, body, "- click: Click. {", "%s: the tools are described", c.who)
				require.Contains(t, body, `The call of click was answered:\nclicked`, "%s: what came of a call is told", c.who)
				require.Contains(t, body, `The call of wait failed:\nbad arguments`, c.who)
				require.Contains(t, body, `{\"tool\":\"click\",\"arguments\":{\"ref\":\"e1\"}}`, "%s: so are the calls", c.who)
			}
		}
	}
}

// TestRolesAlternateForAModelThatIsToldOfItsToolsInText, because the templates of many
// open models refuse others.
func TestRolesAlternateForAModelThatIsToldOfItsToolsInText(t *testing.T) {
	f := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		switch n {
		case 0:
			says(400, `{"error":{"message":"x does not support tools"}}`)(n, w, nil)
		case 1:
			says(500, `{"error":{"message":"System role not supported"}}`)(n, w, nil)
		default:
			says(200, text(`"stop"`, "now"))(n, w, nil)
		}
	})
	_, err := f.chat(t, bctrl.OpenAICompatible, nil).Complete(t.Context(), conversation())
	require.NoError(t, err)
	var sent struct {
		Messages []struct{ Role string }
	}
	require.NoError(t, json.Unmarshal([]byte(f.bodies[2]), &sent))
	var roles []string
	for _, m := range sent.Messages {
		roles = append(roles, m.Role)
	}
	require.Equal(t, []string{"user", "assistant", "user"}, roles)
	require.Contains(t, f.bodies[2], "be brief", "what the system says is not lost")
}

func TestAPictureThatAModelRefusesIsLeftOutAndNotSentAgain(t *testing.T) {
	for _, c := range []struct {
		who    string
		status int
		body   string
		again  bool
	}{
		{"vLLM", 400, `{"object":"error","message":"x is not a multimodal model","code":400}`, false},
		{"Ollama", 500, `{"error":{"message":"this model is missing data required for image input","type":"api_error"}}`,
			false},
		{"OpenRouter", 404, `{"error":{"message":"No endpoints found that support image input","code":404}}`, false},
		{"OpenAI", 400, `{"error":{"message":"Invalid content type. image_url is only supported by certain models: x is ` +
			`not supported.","type":"invalid_request_error","param":"messages"}}`, false},
		{"DeepSeek", 422, `{"error":{"message":"unknown variant image_url, expected text"}}`, false},
		{"one picture too many bytes", 400, `{"type":"error","error":{"message":"image exceeds 5 MB maximum"}}`, true},
	} {
		for _, p := range []bctrl.AIProvider{bctrl.OpenAICompatible, bctrl.Anthropic} {
			f := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
				if n == 0 {
					says(c.status, c.body)(n, w, r)
					return
				}
				says(200, answerFor(p))(n, w, r)
			})
			chat := f.chat(t, p, func(c *Config) { c.Model = "claude-of-ours" })
			require.True(t, Sees(t.Context(), chat, ""), "by its name")
			for range 2 {
				resp, err := chat.Complete(t.Context(), conversation())
				require.NoError(t, err, c.who)
				require.Equal(t, StopTools, resp.Stop)
			}
			require.Contains(t, f.bodies[0], "iVBORw==")
			require.NotContains(t, f.bodies[1], "iVBORw==", c.who)
			require.Contains(t, f.bodies[1], "a picture is left out")
			require.Equal(t, c.again, strings.Contains(f.bodies[2], "iVBORw=="), c.who)
			require.Equal(t, c.again, Sees(t.Context(), chat, ""), c.who)
		}
	}
}

func TestAPictureForAModelThatTakesNoneIsNotSent(t *testing.T) {
	f := serve(t, says(200, openAIAnswer))
	chat := f.chat(t, bctrl.OpenAI, func(c *Config) { c.Model = "o3-mini" })
	resp, err := chat.Complete(t.Context(), conversation())
	require.NoError(t, err)
	require.True(t, resp.Unseen)
	require.NotContains(t, f.bodies[0], "iVBORw==")
	resp, err = chat.Complete(t.Context(), Request{Messages: []Message{{Role: User, Text: "x"}}})
	require.NoError(t, err)
	require.False(t, resp.Unseen, "there was no picture")
}

func TestWhichModelsTakePictures(t *testing.T) {
	for _, c := range []struct {
		provider bctrl.AIProvider
		models   []string
		sees     bool
	}{
		{bctrl.OpenAI, []string{"gpt-5.6-terra", "gpt-4o-mini", "o3", "o4-mini", "gpt-6-sol", "scripted-1"}, true},
		{bctrl.OpenAI, []string{"gpt-3.5-turbo", "o1-mini", "o3-mini", "gpt-4"}, false},
		{bctrl.Anthropic, []string{"claude-sonnet-5", "claude-3-haiku-20240307", "claude-opus-4"}, true},
		{bctrl.Anthropic, []string{"claude-2.1", "claude-instant-1.2"}, false},
		{bctrl.Google, []string{"gemini-flash-latest", "models/gemini-2.5-pro", "gemma-3-27b-it"}, true},
		{bctrl.OpenAICompatible, []string{"llava:13b", "qwen2.5vl:7b", "Qwen/Qwen2.5-VL-7B-Instruct", "gemma3:12b",
			"llama3.2-vision", "mistralai/Pixtral-12B-2409", "anthropic/claude-sonnet-5", "openai/gpt-4o", "minicpm-v",
			"meta-llama/Llama-4-Scout", "moondream"}, true},
		{bctrl.OpenAICompatible, []string{"llama3.1:8b", "qwen3:8b", "deepseek-r1", "mistral", "gpt-oss:20b", "phi3:mini",
			"m-1", "qwen2.5-coder"}, false},
	} {
		for _, name := range c.models {
			chat := serve(t, says(200, "")).chat(t, c.provider, nil)
			require.Equal(t, c.sees, Sees(t.Context(), chat, name), "%s %s", c.provider, name)
		}
	}
	require.False(t, Sees(t.Context(), nil, "gpt-4o"), "a chat that does not know")
}

// TestWhoIsAskedIsKnownBeforeAQuestion is what a budget in dollars goes by.
func TestWhoIsAskedIsKnownBeforeAQuestion(t *testing.T) {
	f := serve(t, says(200, ""))
	chat := f.chat(t, bctrl.OpenAICompatible, func(c *Config) { c.Model = "llama3.1:8b" })
	for asked, want := range map[string]string{"": "llama3.1:8b", "qwen3:8b": "qwen3:8b"} {
		provider, name, known := NameOf(t.Context(), chat, asked)
		require.True(t, known)
		require.Equal(t, bctrl.OpenAICompatible, provider)
		require.Equal(t, want, name)
	}
	_, _, known := NameOf(t.Context(), f.chat(t, bctrl.OpenAICompatible, func(c *Config) { c.Model = "" }), "")
	require.False(t, known, "a compatible provider has no default")
	_, _, known = NameOf(t.Context(), nil, "gpt-4o")
	require.False(t, known, "a chat that does not know")
	require.Empty(t, f.bodies, "nothing is sent")
}

func TestThePrefixThatStaysIsMarkedForTheCache(t *testing.T) {
	f := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 2 {
			says(400, `{"error":{"message":"messages.0.content.0.cache_control: Extra inputs are not permitted"}}`)(n, w, r)
			return
		}
		says(200, anthropicAnswer)(n, w, r)
	})
	chat := f.chat(t, bctrl.Anthropic, nil)
	req := conversation()
	req.Stable = 4
	const mark = `"cache_control":{"type":"ephemeral"}`
	_, err := chat.Complete(t.Context(), req)
	require.NoError(t, err)
	require.Contains(t, f.bodies[0], `"text":"be brief",`+mark)
	require.Contains(t, f.bodies[0], `"content":"bad arguments","is_error":true,`+mark)
	require.Equal(t, 2, strings.Count(f.bodies[0], mark))

	req.System, req.Stable = "", 0
	_, err = chat.Complete(t.Context(), req)
	require.NoError(t, err)
	require.Regexp(t, `"input_schema":\{[^\]]*,`+mark+`\}\]`, f.bodies[1], "the tools, where there is no system text")
	require.Equal(t, 1, strings.Count(f.bodies[1], mark))

	_, err = chat.Complete(t.Context(), req)
	require.NoError(t, err, "a server that knows nothing of it")
	require.NotContains(t, f.bodies[3], "cache_control")
}

func TestABoundThatAModelDoesNotReachIsLowered(t *testing.T) {
	for _, c := range []struct {
		provider bctrl.AIProvider
		says     string
	}{
		{bctrl.Anthropic, "max_tokens: 8192 > 4096, which is the maximum allowed number of output tokens for x"},
		{bctrl.OpenAICompatible, "max_tokens is too large: 8192. This model supports at most 4096 completion tokens"},
		{bctrl.OpenAICompatible, "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens " +
			"(808 in the messages, 8192 in the completion). Please reduce the length."},
	} {
		f := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
			if n == 0 {
				says(400, fmt.Sprintf(`{"error":{"message":%q,"type":"invalid_request_error"}}`, c.says))(n, w, r)
				return
			}
			says(200, answerFor(c.provider))(n, w, r)
		})
		_, err := f.chat(t, c.provider, nil).Complete(t.Context(), conversation())
		require.NoError(t, err, c.says)
		require.Contains(t, f.bodies[1], `"max_tokens":4096`)
	}
	never := serve(t, says(400, `{"error":{"message":"max_tokens is too large","type":"invalid_request_error"}}`))
	_, err := never.chat(t, bctrl.OpenAICompatible, nil).Complete(t.Context(), conversation())
	require.Error(t, err)
	require.Len(t, never.bodies, 6, "8192 to 256")
}

func TestAFieldThatOlderServersDoNotKnowIsReplaced(t *testing.T) {
	f := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 0 {
			says(400, `{"error":{"message":"unknown","param":"max_completion_tokens"}}`)(n, w, r)
			return
		}
		says(200, openAIAnswer)(n, w, r)
	})
	_, err := f.chat(t, bctrl.OpenAI, nil).Complete(t.Context(), conversation())
	require.NoError(t, err)
	require.Contains(t, f.bodies[1], `"max_tokens":8192`)
	require.NotContains(t, f.bodies[1], `max_completion_tokens`)
}

// TestAnEmptyAnswerIsAskedForOnceMore repeats the question, and says so with a code of
// its own when it does not help.
func TestAnEmptyAnswerIsAskedForOnceMore(t *testing.T) {
	three := 3
	for _, c := range []struct {
		why     string
		answers []string
		code    string
	}{
		{"once", []string{`{"choices":[]}`, openAIAnswer}, ""},
		{"events without one", []string{"data: {\"choices\":[]}\n\ndata: [DONE]\n", openAIAnswer}, ""},
		{"always", []string{`{"choices":[]}`, `{"choices":[]}`}, "model.empty_answer"},
	} {
		f := serve(t, func(n int, w http.ResponseWriter, r *http.Request) { says(200, c.answers[n])(n, w, r) })
		_, err := f.chat(t, bctrl.OpenAI, func(c *Config) { c.MaxRetries = &three }).Complete(t.Context(), conversation())
		require.Len(t, f.bodies, 2, c.why)
		require.Equal(t, f.bodies[0], f.bodies[1], "the same question")
		if c.code == "" {
			require.NoError(t, err, c.why)
			continue
		}
		var e *bctrl.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, c.code, e.Code)
	}
}

func TestARefusalThatComesAsASuccessIsOne(t *testing.T) {
	for _, c := range []struct {
		body, code string
		asked      int
	}{
		{`{"error":{"message":"` + canaryPrompt + `","code":429}}`, "model.rate_limited", 2},
		{`{"error":{"message":"` + canaryPrompt + `","code":"x"}}`, "model.unavailable", 2},
		{`{"error":{"message":"no","code":401},"user_id":"u"}`, "model.unauthorized", 1},
		{`{"error":{"message":"no","code":402}}`, "model.quota", 1},
		{`{"error":"no"}`, "model.bad_answer", 1},
		{`{"type":"error","error":{"type":"overloaded_error","message":"no"}}`, "model.unavailable", 2},
	} {
		for _, p := range providers {
			f := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After-Ms", "1")
				says(200, c.body)(n, w, r)
			})
			one := 1
			_, err := f.chat(t, p, func(c *Config) { c.MaxRetries = &one }).Complete(t.Context(), conversation())
			var e *bctrl.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.code, e.Code, c.body)
			require.NotContains(t, fmt.Sprintf("%+v", *e), canaryPrompt)
			require.Len(t, f.bodies, c.asked)
		}
	}
}

func TestAnAnswerOfManyBracesIsReadAtOnce(t *testing.T) {
	begun := time.Now()
	for _, unit := range []string{"[", "{", `{"a":`, `{"tool":"click"`} {
		_, calls := callsInText(strings.Repeat(unit, maxAnswer/len(unit)), conversation().Tools)
		require.Empty(t, calls)
	}
	t.Log("read in", time.Since(begun))
}
