package model

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/broker"
)

func TestEveryProviderIsAskedInItsShape(t *testing.T) {
	const system = `{"role":"system","content":"be brief"}`
	const tools = `"tools":[{"function":{"name":"click","description":"Click.",` +
		`"parameters":{"type":"object","properties":{"ref":{"type":"string"}}}},"type":"function"}]`
	const messages = `"messages":[` + system + `,
		{"role":"user","content":[{"type":"text","text":"` + canaryPrompt +
		`"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw=="}}]},
		{"role":"assistant","content":"I look","tool_calls":[
			{"id":"c1","type":"function","function":{"name":"click","arguments":"{\"ref\":\"e1\"}"}},
			{"id":"c2","type":"function","function":{"name":"wait","arguments":"not json"}}]},
		{"role":"tool","tool_call_id":"c1","content":"clicked"},
		{"role":"tool","tool_call_id":"c2","content":"Error: bad arguments"},
		{"role":"user","content":"go on"}]`
	compatible := `{"model":"m-1","max_tokens":8192,"stream":false,` + messages + `,` + tools + `}`
	want := map[bctrl.AIProvider]string{
		bctrl.OpenAI:           strings.Replace(compatible, "max_tokens", "max_completion_tokens", 1),
		bctrl.Google:           compatible,
		bctrl.OpenAICompatible: compatible,
		bctrl.Anthropic: `{"model":"m-1","max_tokens":8192,
			"system":[{"type":"text","text":"be brief","cache_control":{"type":"ephemeral"}}],"messages":[
			{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw=="}},
				{"type":"text","text":"` + canaryPrompt + `"}]},
			{"role":"assistant","content":[{"type":"text","text":"I look"},
				{"type":"tool_use","id":"c1","name":"click","input":{"ref":"e1"}},
				{"type":"tool_use","id":"c2","name":"wait","input":{}}]},
			{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"clicked"},
				{"type":"tool_result","tool_use_id":"c2","content":"bad arguments","is_error":true},
				{"type":"text","text":"go on"}]}],
			"tools":[{"name":"click","description":"Click.",
				"input_schema":{"type":"object","properties":{"ref":{"type":"string"}}}}]}`,
	}
	for _, p := range providers {
		f := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			switch p {
			case bctrl.Anthropic:
				assert.Equal(t, canaryKey, r.Header.Get("X-Api-Key"))
			default:
				assert.Equal(t, "Bearer "+canaryKey, r.Header.Get("Authorization"))
			}
			_, _ = io.WriteString(w, answerFor(p))
		})
		resp, err := f.chat(t, p, nil).Complete(t.Context(), conversation())
		require.NoError(t, err, p)
		require.JSONEq(t, want[p], f.bodies[0], p)
		require.Equal(t, &Response{
			Text:     "now",
			Stop:     StopTools,
			Usage:    Usage{InputTokens: 11, CachedInputTokens: 6, OutputTokens: 7},
			Calls:    []ToolCall{{ID: "c3", Name: "click", Arguments: `{"ref":"e2"}`}},
			Provider: p,
			Model:    "m-1",
		}, resp, p)
	}
}

func TestTheCallsModelAndLimitComeBeforeTheCredentials(t *testing.T) {
	for _, p := range providers {
		f := serve(t, says(200, answerFor(p)))
		_, err := f.chat(t, p, nil).Complete(t.Context(), Request{
			Model:     "m-2",
			MaxTokens: 5,
			Messages:  []Message{{Role: User, Text: "x"}},
		})
		require.NoError(t, err)
		require.Contains(t, f.bodies[0], `"model":"m-2"`)
		require.Regexp(t, `"max_(completion_)?tokens":5\b`, f.bodies[0])
	}
}

func TestWhatAProviderWantsBackComesBack(t *testing.T) {
	for _, c := range []struct {
		provider     bctrl.AIProvider
		answer, want string
	}{
		{
			bctrl.Google,
			strings.Replace(openAIAnswer, `"id":"c3",`, `"id":"c3","extra_content":{"google":{"thought_signature":"SIG+/="}},`,
				1),
			`"extra_content":{"google":{"thought_signature":"SIG+/="}}`,
		},
		{
			bctrl.Anthropic,
			strings.Replace(anthropicAnswer, `"content":[`,
				`"content":[{"type":"thinking","thinking":"hm","signature":"SIG+/="},`, 1),
			`{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"SIG+/="},{"type":"text"`,
		},
	} {
		f := serve(t, says(200, c.answer))
		chat := f.chat(t, c.provider, nil)
		req := Request{Messages: []Message{{Role: User, Text: "x"}}}
		resp, err := chat.Complete(t.Context(), req)
		require.NoError(t, err)
		req.Messages = append(req.Messages,
			Message{
				Role:   Assistant,
				Text:   resp.Text,
				Calls:  resp.Calls,
				Opaque: resp.Opaque,
			}, Message{
				Role:   ToolResult,
				CallID: "c3",
				Text:   "ok",
			})
		_, err = chat.Complete(t.Context(), req)
		require.NoError(t, err)
		require.Contains(t, f.bodies[1], c.want)
		require.Contains(t, f.bodies[1], `"c3"`)

		// Another provider gets nothing of it and is not confused by it.
		for _, p := range providers {
			if p != c.provider {
				other := serve(t, says(200, answerFor(p)))
				_, err = other.chat(t, p, nil).Complete(t.Context(), req)
				require.NoError(t, err)
			}
		}
	}
}

func TestEveryReasonToStopIsTold(t *testing.T) {
	for _, c := range []struct {
		provider bctrl.AIProvider
		body     string
		want     StopReason
	}{
		{bctrl.OpenAI, `{"choices":[{"finish_reason":"stop","message":{"content":"x"}}]}`, StopEnd},
		{bctrl.OpenAI, `{"choices":[{"finish_reason":"length","message":{"content":"x"}}]}`, StopLength},
		{bctrl.OpenAI, `{"choices":[{"finish_reason":"content_filter","message":{"content":""}}]}`, StopRefusal},
		{bctrl.OpenAI, `{"choices":[{"finish_reason":"stop","message":{"refusal":"no"}}]}`, StopRefusal},
		{bctrl.OpenAI, `{"choices":[{"finish_reason":"stop","message":{"content":null}}]}`, StopEmpty},
		{bctrl.Anthropic, `{"type":"message","stop_reason":"end_turn","content":[{"type":"text","text":"x"}]}`, StopEnd},
		{bctrl.Anthropic, `{"type":"message","stop_reason":"end_turn","content":[]}`, StopEmpty}, // told apart from an end
		{bctrl.Anthropic, `{"type":"message","stop_reason":"max_tokens","content":[]}`, StopLength},
		{bctrl.Anthropic, `{"type":"message","stop_reason":"refusal","content":[]}`, StopRefusal},
	} {
		resp, err := serve(t, says(200, c.body)).chat(t, c.provider, nil).Complete(t.Context(), conversation())
		require.NoError(t, err)
		require.Equal(t, c.want, resp.Stop, c.body)
	}
}

// TestFailuresAreNamedWithoutKeyOrPrompt lets the provider echo both in every
// place where an error text might be taken from.
func TestFailuresAreNamedWithoutKeyOrPrompt(t *testing.T) {
	echo := canaryKey + " " + canaryPrompt
	quote := func(code string) string {
		return fmt.Sprintf(`{"type":"error","error":{"message":%q,"type":%q,"code":%q,"param":%q}}`, echo, code, code, echo)
	}
	for _, c := range []struct {
		status   int
		body     string
		code     string
		want     int
		sentinel error
	}{
		{401, quote("invalid_api_key"), "model.unauthorized", 502, bctrl.ErrUnavailable},
		{403, quote(echo), "model.unauthorized", 502, bctrl.ErrUnavailable},
		{402, quote(echo), "model.quota", 502, bctrl.ErrUnavailable},
		{429, quote("insufficient_quota"), "model.quota", 502, bctrl.ErrUnavailable},
		{429, quote("rate_limit_exceeded"), "model.rate_limited", 502, bctrl.ErrUnavailable},
		{404, quote("model_not_found"), "model.not_found", 502, bctrl.ErrUnavailable},
		{400, quote("context_length_exceeded"), "model.prompt_too_long", 502, bctrl.ErrUnavailable},
		{413, quote("request_too_large"), "model.prompt_too_long", 502, bctrl.ErrUnavailable},
		{400, quote(echo), "model.refused", 502, bctrl.ErrUnavailable},
		{400, `[{"error":{"code":400,"message":"` + echo + `","status":"INVALID_ARGUMENT"}}]`, "model.refused", 502,
			bctrl.ErrUnavailable},
		{500, echo, "model.unavailable", 502, bctrl.ErrUnavailable},
		{529, quote("overloaded_error"), "model.unavailable", 502, bctrl.ErrUnavailable},
		{200, echo, "model.bad_answer", 502, bctrl.ErrUnavailable},
		{200, `{"choices":"` + echo + `","type":"` + echo + `"}`, "model.bad_answer", 502, bctrl.ErrUnavailable},
		{200, ``, "model.bad_answer", 502, bctrl.ErrUnavailable},
		{200, `[1`, "model.bad_answer", 502, bctrl.ErrUnavailable},
		{307, ``, "model.redirected", 502, bctrl.ErrUnavailable},
	} {
		for _, p := range providers {
			f := serve(t, says(c.status, c.body))
			_, err := f.chat(t, p, nil).Complete(t.Context(), conversation())
			var e *bctrl.Error
			require.ErrorAs(t, err, &e, "%s %d %s", p, c.status, c.body)
			require.Equal(t, c.code, e.Code, "%s %d %s", p, c.status, c.body)
			require.Equal(t, c.want, e.Status)
			require.ErrorIs(t, err, c.sentinel)
			text := fmt.Sprintf("%v %+v %#v", err, err, *e)
			require.NotContains(t, text, canaryKey)
			require.NotContains(t, text, canaryPrompt)
		}
	}
}

// TestAnAnswerOverItsBoundIsRefused has a code of its own: a model that talks without
// end is no wrong base URL.
func TestAnAnswerOverItsBoundIsRefused(t *testing.T) {
	for _, p := range []bctrl.AIProvider{bctrl.OpenAI, bctrl.Anthropic} {
		for _, c := range []struct {
			mediaType string
			size      int
		}{{"application/json", maxAnswer + 1}, {"text/event-stream", maxEventAnswer + 1},
			{"application/json", broker.DefaultMaxAnswer + 1}} {
			f := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.mediaType)
				_, _ = io.WriteString(w, strings.Repeat(" ", c.size))
			})
			_, err := f.chat(t, p, nil).Complete(t.Context(), conversation())
			var e *bctrl.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, "model.answer_too_long", e.Code)
		}
	}
}

func TestNobodyListening(t *testing.T) {
	f := serve(t, says(200, ""))
	for _, p := range providers {
		chat := f.chat(t, p, func(c *Config) { c.BaseURL = "http://127.0.0.1:1/v1" })
		_, err := chat.Complete(t.Context(), conversation())
		var e *bctrl.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "model.unreachable", e.Code)
		require.Contains(t, e.Message, "connection refused")
	}
}

func TestParametersFollowWhatAModelAccepts(t *testing.T) {
	refuse := func(w http.ResponseWriter, param string) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":{"message":"no","type":"invalid_request_error","param":%q,"code":null}}`, param)
	}
	f := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 0 {
			refuse(w, "max_tokens")
			return
		}
		if n == 1 {
			refuse(w, "reasoning_effort")
			return
		}
		_, _ = io.WriteString(w, openAIAnswer)
	})
	chat := f.chat(t, bctrl.OpenAICompatible, nil)
	for range 2 {
		_, err := chat.Complete(t.Context(), conversation())
		require.NoError(t, err)
	}
	require.Len(t, f.bodies, 4, "what was learnt is kept")
	for _, body := range f.bodies[2:] {
		require.Contains(t, body, `"max_completion_tokens":8192`)
		require.Contains(t, body, `"reasoning_effort":"none"`)
	}

	stubborn := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) { refuse(w, "reasoning_effort") })
	_, err := stubborn.chat(t, bctrl.OpenAI, nil).Complete(t.Context(), conversation())
	var e *bctrl.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "model.unsupported", e.Code)
	require.Len(t, stubborn.bodies, 3, "without reasoning, then with calls in text: then there is nothing left to try")
}

func TestModelsThatTheLibraryKnowsAreStillAsked(t *testing.T) {
	for _, c := range []struct{ model, want string }{
		{"gpt-6-sol", `"reasoning_effort":"none"`},
		{"gpt-5-mini", `"max_completion_tokens":8192`},
		{"o3", `"max_completion_tokens":8192`},
	} {
		f := serve(t, says(200, openAIAnswer))
		_, err := f.chat(t, bctrl.OpenAICompatible, func(cfg *Config) { cfg.Model = c.model }).Complete(t.Context(),
			conversation())
		require.NoError(t, err, c.model)
		require.Contains(t, f.bodies[0], c.want, c.model)
	}
	// It calls no tools in chat completions, so it is told of them in text.
	f := serve(t, says(200, `{"choices":[{"message":{"content":"{\"tool\":\"click\",\"arguments\":{\"ref\":\"e2\"}}"}}]}`))
	resp, err := f.chat(t, bctrl.OpenAI, func(cfg *Config) { cfg.Model = "gpt-6-astra" }).Complete(t.Context(),
		conversation())
	require.NoError(t, err)
	require.Equal(t, StopTools, resp.Stop)
	require.NotContains(t, f.bodies[0], `"tools"`)
	require.NotContains(t, f.bodies[0], `"reasoning_effort"`)
}

// scripted is a doer without a network, for virtual time.
type scripted struct {
	at      []time.Duration
	begun   time.Time
	answers []func(*http.Request) (*http.Response, error)
}

func (s *scripted) Do(req *http.Request) (*http.Response, error) {
	n := len(s.at)
	s.at = append(s.at, time.Since(s.begun))
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return nil, err
	}
	return s.answers[min(n, len(s.answers)-1)](req)
}

func status(code int, header ...string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		h := make(http.Header)
		for i := 0; i+1 < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: code, Header: h, Body: io.NopCloser(strings.NewReader("{}"))}, nil
	}
}

func fails(err error) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

func hangs(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, req.Context().Err()
}

func TestRetries(t *testing.T) {
	for _, c := range []struct {
		why      string
		answers  []func(*http.Request) (*http.Response, error)
		attempts int
		min, max time.Duration // of all waits together
		code     string
	}{
		{"rate limited once", []func(*http.Request) (*http.Response, error){status(429), status(200)}, 2,
			250 * time.Millisecond, 500 * time.Millisecond, ""},
		{"overloaded twice", []func(*http.Request) (*http.Response, error){status(529), status(503), status(200)}, 3,
			750 * time.Millisecond, 1500 * time.Millisecond, ""},
		{"a broken connection", []func(*http.Request) (*http.Response, error){fails(broker.ErrUnreachable), status(200)}, 2,
			250 * time.Millisecond, 500 * time.Millisecond, ""},
		{"Retry-After is honoured", []func(*http.Request) (*http.Response, error){status(429, "Retry-After", "7"),
			status(200)}, 2, 7 * time.Second, 7 * time.Second, ""},
		{"milliseconds too", []func(*http.Request) (*http.Response, error){status(429, "Retry-After-Ms", "40", "Retry-After",
			"7"), status(200)}, 2, 40 * time.Millisecond, 40 * time.Millisecond, ""},
		{"years are capped", []func(*http.Request) (*http.Response, error){status(429, "Retry-After", "1e300"), status(200)},
			2, maxWait, maxWait, ""},
		{"a date in the past", []func(*http.Request) (*http.Response, error){status(429, "Retry-After",
			"Fri, 31 Dec 1999 23:59:59 GMT"), status(200)}, 2, 250 * time.Millisecond, 500 * time.Millisecond, ""},
		{"never better", []func(*http.Request) (*http.Response, error){status(500)}, 4, 1750 * time.Millisecond,
			3500 * time.Millisecond, "model.unavailable"},
		{"a wrong key", []func(*http.Request) (*http.Response, error){status(401)}, 1, 0, 0, "model.unauthorized"},
		{"a refused address", []func(*http.Request) (*http.Response, error){fails(broker.ErrAddress)}, 1, 0, 0,
			"model.unreachable"},
		{"an unknown error", []func(*http.Request) (*http.Response, error){fails(errors.New(canaryKey))}, 1, 0, 0,
			"model.unreachable"},
		{"no answer in time", []func(*http.Request) (*http.Response, error){hangs}, 1, time.Minute, time.Minute,
			"model.timeout"},
	} {
		t.Run(c.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &scripted{begun: time.Now(), answers: c.answers}
				w := &wire{client: s, timeout: time.Minute, retries: 3}
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x/", strings.NewReader("body"))
				require.NoError(t, err)
				_, err = w.Do(req)
				if c.code == "" {
					require.NoError(t, err)
				} else {
					var e *bctrl.Error
					require.ErrorAs(t, forCaller(err), &e)
					require.Equal(t, c.code, e.Code)
					require.NotContains(t, err.Error(), canaryKey)
				}
				require.Len(t, s.at, c.attempts)
				require.GreaterOrEqual(t, time.Since(s.begun), c.min)
				require.LessOrEqual(t, time.Since(s.begun), c.max)
			})
		})
	}
}

func TestACancelledContextEndsAWaitAtOnce(t *testing.T) {
	for _, answer := range []func(*http.Request) (*http.Response, error){status(503), hangs} {
		synctest.Test(t, func(t *testing.T) {
			s := &scripted{begun: time.Now(), answers: []func(*http.Request) (*http.Response, error){answer}}
			w := &wire{client: s, timeout: time.Hour, retries: 100}
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(100*time.Millisecond, cancel)
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://x/", strings.NewReader("body"))
			require.NoError(t, err)
			_, err = w.Do(req)
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, 100*time.Millisecond, time.Since(s.begun))
		})
	}
}

func TestARepeatedRequestIsWhole(t *testing.T) {
	for _, p := range providers {
		f := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 0 {
				w.Header().Set("Retry-After-Ms", "1")
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			_, _ = io.WriteString(w, answerFor(p))
		})
		one := 1
		_, err := f.chat(t, p, func(c *Config) { c.MaxRetries = &one }).Complete(t.Context(), conversation())
		require.NoError(t, err)
		require.Len(t, f.bodies, 2)
		require.Equal(t, f.bodies[0], f.bodies[1])
		require.True(t, json.Valid([]byte(f.bodies[0])))
	}
}

func TestAConfigThatCannotWorkIsRefused(t *testing.T) {
	b := broker.New(broker.Config{})
	for _, cfg := range []Config{
		{Provider: "mistral"}, {Provider: bctrl.OpenAICompatible}, {Provider: bctrl.OpenAI, BaseURL: "ftp://x"},
		{Provider: bctrl.Anthropic, BaseURL: "%zz"},
	} {
		_, err := New(b, cfg)
		var e *bctrl.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "model.config", e.Code)
		require.ErrorIs(t, err, bctrl.ErrInvalid)
	}
	chat, err := New(b, Config{Provider: bctrl.OpenAICompatible, BaseURL: "https://llm.example.com/v1"})
	require.NoError(t, err)
	_, err = chat.Complete(t.Context(), conversation())
	require.ErrorIs(t, err, bctrl.ErrInvalid, "no model is named anywhere")
}

func TestAnthropicsBaseURLMayLackItsVersion(t *testing.T) {
	for _, suffix := range []string{"", "/", "/v1", "/v1/"} {
		f := serve(t, says(200, anthropicAnswer))
		_, err := f.chat(t, bctrl.Anthropic, func(c *Config) { c.BaseURL = f.url + suffix }).Complete(t.Context(),
			conversation())
		require.NoError(t, err)
		require.Equal(t, []string{"POST /v1/messages"}, f.paths, suffix)
	}
}
