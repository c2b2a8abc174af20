package agent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// asked is a model without a network that sees each question.
type asked struct {
	questions []model.Request
	answer    func(n int, req model.Request) (*model.Response, error)
}

func (a *asked) Complete(ctx context.Context, req model.Request) (*model.Response, error) {
	a.questions = append(a.questions, req)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return a.answer(len(a.questions)-1, req)
}

// calls answers with one call of a tool.
func calls(tool, args string) *model.Response {
	return &model.Response{Calls: []model.ToolCall{{ID: "c", Name: tool, Arguments: args}}, Stop: model.StopTools}
}

// always answers every question in the same way.
func always(r *model.Response) *asked {
	return &asked{answer: func(int, model.Request) (*model.Response, error) { return r, nil }}
}

// listPage is a page of many rows.
type listPage struct {
	*site
	rows int
}

func (p listPage) Observe(context.Context) (*browser.Observation, error) {
	var b strings.Builder
	for i := range p.rows {
		fmt.Fprintf(&b, "row %d: Customer %d, %d.00\n", i, i, i*10)
	}
	return &browser.Observation{URL: "https://login.example.com/list?token=x", Title: "List", Outline: b.String()}, nil
}

func (p listPage) Read(ctx context.Context, o browser.ReadOptions) (*browser.Reading, error) {
	seen, err := p.Observe(ctx)
	text := seen.Outline[:min(len(seen.Outline), o.MaxBytes)]
	return &browser.Reading{URL: seen.URL, Text: text, Truncated: len(text) < len(seen.Outline)}, err
}

func onPage(chat model.Chat, page browser.Page) agent.Deps {
	return agent.Deps{Model: chat, Page: func(context.Context) (browser.Page, error) { return page, nil }}
}

const rowsSchema = `{"type":"object","required":["rows","title"],"properties":{"title":{"type":"string"},` +
	`"rows":{"type":"array","minItems":1,"items":{"type":"object","required":["name","price"],"properties":{` +
	`"name":{"type":"string"},"price":{"type":"number","minimum":0}}}}}}`

// rowsOf answers with the rows that are in the question.
func rowsOf(req model.Request) *model.Response {
	text := req.Messages[0].Text
	page, _ := agent.ParsePage(text)
	var rows []map[string]any
	for _, m := range regexp.MustCompile(`row \d+: (\w+ \d+), (\d+)`).FindAllStringSubmatch(page, -1) {
		rows = append(rows, map[string]any{"name": m[1], "price": json.Number(m[2])})
	}
	return calls("extracted", encode(map[string]any{"data": map[string]any{"rows": rows, "title": "List"}}))
}

func TestALongPageIsReadWholeInParts(t *testing.T) {
	for _, c := range []struct {
		why                 string
		rows, tokens, parts int
		truncated           bool
	}{
		{"a short page in one", 100, 0, 1, false},
		{"a long one in parts", 6000, 0, 4, false},
		{"not more than the budget", 6000, 20_000, 2, true},
	} {
		t.Run(c.why, func(t *testing.T) {
			chat := &asked{answer: func(_ int, req model.Request) (*model.Response, error) { return rowsOf(req), nil }}
			result, err := agent.Extract(t.Context(), onPage(chat, listPage{newSite("home"), c.rows}), bctrl.ExtractArgs{
				Instruction:   "all rows",
				Schema:        json.RawMessage(rowsSchema),
				MaxPageTokens: c.tokens,
			})
			require.NoError(t, err)
			require.Len(t, chat.questions, c.parts)
			require.Equal(t, c.truncated, result.Truncated)
			var data struct {
				Rows []struct{ Name string }
			}
			require.NoError(t, json.Unmarshal(result.Data, &data))
			for i, row := range data.Rows {
				require.Equal(t, fmt.Sprintf("Customer %d", i), row.Name, "in order, none twice, none left out")
			}
			if !c.truncated {
				require.Len(t, data.Rows, c.rows)
			}
			require.Equal(t, "https://login.example.com/list", result.URL)
			require.Equal(t, c.parts, result.Usage.Calls)
			require.Positive(t, result.Usage.InputTokens, "counted here where the provider does not")
		})
	}
}

func TestAModelOfAShortContextReadsSmallerParts(t *testing.T) {
	chat := &asked{answer: func(_ int, req model.Request) (*model.Response, error) {
		if page, _ := agent.ParsePage(req.Messages[0].Text); len(page) > 9000 {
			return nil, &bctrl.Error{Status: 502, Code: "model.prompt_too_long"}
		}
		return rowsOf(req), nil
	}}
	result, err := agent.Extract(t.Context(), onPage(chat, listPage{newSite("home"), 1000}), bctrl.ExtractArgs{
		Instruction: "all rows",
		Schema:      json.RawMessage(rowsSchema),
	})
	require.NoError(t, err)
	require.Equal(t, 1000, strings.Count(string(result.Data), "Customer"))
}

func TestAWrongAnswerIsCorrectedTwiceAtMost(t *testing.T) {
	const good = `{"data":{"rows":[{"name":"CANARY","price":3}],"title":"x"}}`
	wrong := []struct {
		why, told string
		answer    *model.Response
	}{
		{"a property is missing", "/: required (title)",
			calls("extracted", `{"data":{"rows":[{"name":"CANARY","price":3}]}}`)},
		{"a wrong type, far in", "/rows/0/price: type (number)",
			calls("extracted", `{"data":{"rows":[{"name":"CANARY","price":"CANARY"}],"title":"x"}}`)},
		{"a wrong value", "/rows/0/price: minimum (0)",
			calls("extracted", `{"data":{"rows":[{"name":"CANARY","price":-3}],"title":"x"}}`)},
		{"nothing", "JSON (it is missing)", calls("extracted", `{}`)},
		{"a gap", "/: type (object)", calls("extracted", `{"data":null}`)},
		{"a field of its own", "a field that the tool does not have", calls("extracted", `{"data":{},"CANARY":1}`)},
		{"no JSON", "not a JSON object", calls("extracted", `{"data":`)},
		{"a list", "not a JSON object", calls("extracted", `["CANARY"]`)},
		{"a megabyte", "longer than", calls("extracted", `{"data":"`+strings.Repeat("x", 2<<20)+`"}`)},
		{"another tool", "another tool", calls("done", `{"success":true}`)},
		{"words", "was not called", &model.Response{Text: "CANARY is the answer", Stop: model.StopEnd}},
		{"no words", "was not called", &model.Response{Stop: model.StopEnd}},
		{"a cut answer", "too long", &model.Response{Text: `{"data":`, Stop: model.StopLength}},
	}
	for _, c := range wrong {
		for times := 1; times <= 3; times++ {
			t.Run(fmt.Sprintf("%s %d times", c.why, times), func(t *testing.T) {
				chat := &asked{answer: func(n int, _ model.Request) (*model.Response, error) {
					if n < times {
						return c.answer, nil
					}
					return calls("extracted", good), nil
				}}
				result, err := agent.Extract(t.Context(), onPage(chat, listPage{newSite("home"), 3}), bctrl.ExtractArgs{
					Instruction: "x",
					Schema:      json.RawMessage(rowsSchema),
				})
				require.Len(t, chat.questions, min(times+1, 3))
				last := chat.questions[1].Messages
				require.Contains(t, last[len(last)-1].Text, c.told)
				if times < 3 {
					require.NoError(t, err)
					require.JSONEq(t, `{"rows":[{"name":"CANARY","price":3}],"title":"x"}`, string(result.Data))
					return
				}
				var refusal *bctrl.Error
				require.ErrorAs(t, err, &refusal)
				require.Equal(t, "extract.invalid_answer", refusal.Code)
				require.Contains(t, refusal.Message, c.told)
				require.NotContains(t, refusal.Error(), "CANARY", "reasons quote no value")
				require.Empty(t, result.Data)
				require.Equal(t, 3, result.Usage.Calls, "what it took is told beside the error")
			})
		}
	}
}

func TestWithoutASchemaATextIsExtracted(t *testing.T) {
	chat := always(calls("extracted", `{"data":"{\"extraction\":\"as text that holds JSON\"}"}`))
	d := onPage(chat, listPage{newSite("home"), 3})
	result, err := agent.Extract(t.Context(), d, bctrl.ExtractArgs{Instruction: "x"})
	require.NoError(t, err)
	require.JSONEq(t, `{"extraction":"as text that holds JSON"}`, string(result.Data))
}

func TestTheModelThatLooksIsAskedToExtract(t *testing.T) {
	plans, looks := always(nil), always(calls("extracted", `{"data":{"extraction":"x"}}`))
	d := onPage(plans, listPage{newSite("home"), 3})
	d.Look = looks
	_, err := agent.Extract(t.Context(), d, bctrl.ExtractArgs{Instruction: "x"})
	require.NoError(t, err)
	require.Empty(t, plans.questions)
	require.Len(t, looks.questions, 1)
}

func TestWhatIsExtractedHoldsNoSecret(t *testing.T) {
	chat := always(calls("extracted", `{"data":{"extraction":"the code is `+code+`"}}`))
	s := newSite("home")
	s.echo = func(v string) string { return v }
	s.filled["e4"] = code
	d := onPage(chat, s)
	d.Secrets = newSecrets(code)
	result, err := agent.Extract(t.Context(), d, bctrl.ExtractArgs{Instruction: "the code"})
	require.NoError(t, err)
	requireNoSecret(t, encode(chat.questions)+encode(result))
}

func TestArgumentsOfQuestionsAreChecked(t *testing.T) {
	huge := strings.Repeat("x", wire.MaxInstruction+1)
	for _, c := range []struct {
		why, code, field string
		err              error
	}{
		{"no text", "executions.invalid_instruction", "instruction", agent.CheckExtract(bctrl.ExtractArgs{})},
		{"too much", "executions.invalid_instruction", "instruction",
			agent.CheckExtract(bctrl.ExtractArgs{Instruction: huge})},
		{"no schema", "agent.invalid_schema", "schema",
			agent.CheckExtract(bctrl.ExtractArgs{Instruction: "x", Schema: json.RawMessage(`{"type":"strnig"}`)})},
		{"a fetched schema", "agent.invalid_schema", "schema",
			agent.CheckExtract(bctrl.ExtractArgs{Instruction: "x", Schema: json.RawMessage(`{"$ref":"http://127.0.0.1/"}`)})},
		{"a page below nothing", "agent.invalid_max_page_tokens", "maxPageTokens",
			agent.CheckExtract(bctrl.ExtractArgs{Instruction: "x", MaxPageTokens: -1})},
		{"half blind", "agent.invalid_vision", "vision",
			agent.CheckExtract(bctrl.ExtractArgs{Instruction: "x", Vision: "half"})},
		{"no text to observe", "executions.invalid_instruction", "instruction",
			agent.CheckObserve(bctrl.ObserveArgs{Instruction: "\n"})},
		{"many candidates", "agent.invalid_max_candidates", "maxCandidates",
			agent.CheckObserve(bctrl.ObserveArgs{Instruction: "x", MaxCandidates: 51})},
	} {
		var refusal *bctrl.Error
		require.ErrorAs(t, c.err, &refusal, c.why)
		require.Equal(t, c.code, refusal.Code, c.why)
		require.Equal(t, c.field, refusal.Field, c.why)
		require.ErrorIs(t, c.err, bctrl.ErrInvalid)
	}
}
