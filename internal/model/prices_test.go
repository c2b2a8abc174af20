package model

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

const priceTable = `{"prices":[
	{"provider":"openai","model":"gpt-5*","input":2,"cachedInput":0.5,"output":10},
	{"provider":"openai","model":"gpt-5-mini*","input":1,"output":4},
	{"provider":"openai","model":"gpt-5-mini-fast","input":3,"output":3},
	{"provider":"google","model":"gemini-flash","input":0,"output":0},
	{"provider":"openai-compatible","model":"*","input":0,"output":0}]}`

func TestPricesAreOfTheModelThatWasAsked(t *testing.T) {
	p, err := ParsePrices([]byte(priceTable))
	require.NoError(t, err)
	usage := Usage{InputTokens: 3_000_000, CachedInputTokens: 1_000_000, OutputTokens: 500_000}
	for _, c := range []struct {
		why      string
		provider bctrl.AIProvider
		model    string
		usd      float64
		known    bool
	}{
		{"cached tokens have their own price", bctrl.OpenAI, "gpt-5.6-terra", 2*2 + 0.5 + 5, true},
		{"the longest beginning counts, and cached tokens cost as others do", bctrl.OpenAI, "gpt-5-mini-2027", 3 + 2, true},
		{"a whole name comes first", bctrl.OpenAI, "gpt-5-mini-fast", 9 + 1.5, true},
		{"Google's prefix is no part of the name", bctrl.Google, "models/gemini-flash", 0, true},
		{"a name without * is that model alone", bctrl.Google, "gemini-flash-8b", 0, false},
		{"a model of one's own is free where the table says so", bctrl.OpenAICompatible, "llama", 0, true},
		{"another maker's model of the same name", bctrl.Anthropic, "gpt-5", 0, false},
	} {
		usd, known := p.Cost(c.provider, c.model, usage)
		require.Equal(t, c.known, known, c.why)
		require.InDelta(t, c.usd, usd, 1e-9, c.why)
	}
	_, known := (*Prices)(nil).Cost(bctrl.OpenAI, "gpt-5", usage)
	require.False(t, known, "no table has no price")
}

func TestAPriceTableThatBreaksARuleIsRefusedByItsEntry(t *testing.T) {
	entry := func(text string) string {
		return `{"prices":[{"provider":"openai","model":"a","input":1,"output":1},` + text + `]}`
	}
	for _, c := range []struct{ why, table, says string }{
		{"no JSON", `prices`, "not a usable price table"},
		{"nothing in it", `{}`, `it has no "prices"`},
		{"an empty list", `{"prices":[]}`, `it has no "prices"`},
		{"a mistyped field", entry(`{"provider":"openai","model":"b","input":1,"outptu":1}`), "outptu"},
		{"a price as text", entry(`{"provider":"openai","model":"b","input":"1","output":1}`), "prices"},
		{"an unknown provider", entry(`{"provider":"mistral","model":"b","input":1,"output":1}`),
			`prices[1] (mistral "b"): the provider is none of`},
		{"no model", entry(`{"provider":"openai","input":1,"output":1}`), `prices[1] (openai ""): the model is`},
		{"a * in the middle", entry(`{"provider":"openai","model":"b*c","input":1,"output":1}`), `prices[1] (openai "b*c")`},
		{"no price of answers", entry(`{"provider":"openai","model":"b","input":1}`),
			`prices[1] (openai "b"): output is missing`},
		{"no price of questions", entry(`{"provider":"openai","model":"b","output":1}`),
			`prices[1] (openai "b"): input is missing`},
		{"a negative price", entry(`{"provider":"openai","model":"b","input":-1,"output":1}`),
			`prices[1] (openai "b"): input is out of range`},
		{"a price for a token", entry(`{"provider":"openai","model":"b","input":1,"output":1e9}`),
			`prices[1] (openai "b"): output is out of range`},
		{"a negative price of what is cached",
			entry(`{"provider":"openai","model":"b","input":1,"cachedInput":-1,"output":1}`),
			`prices[1] (openai "b"): cachedInput is out of range`},
		{"a model twice", entry(`{"provider":"openai","model":"a","input":2,"output":2}`),
			`prices[1] (openai "a"): prices[0] has the same model`},
	} {
		_, err := ParsePrices([]byte(c.table))
		require.ErrorIs(t, err, ErrPrices, c.why)
		require.ErrorContains(t, err, c.says, c.why)
	}
}

// TestTheTableOfTheDocumentationIsOne reads the example of docs/agents.md.
func TestTheTableOfTheDocumentationIsOne(t *testing.T) {
	text, err := os.ReadFile("../../docs/agents.md")
	require.NoError(t, err)
	_, after, found := strings.Cut(string(text), "<!-- prices.json -->\n```json\n")
	require.True(t, found)
	block, _, _ := strings.Cut(after, "```")
	p, err := ParsePrices([]byte(block))
	require.NoError(t, err)
	_, known := p.Cost(bctrl.Anthropic, "claude-sonnet-5", Usage{})
	require.True(t, known)
}

func TestAPriceTableIsReadFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prices.json")
	_, err := LoadPrices(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(path, []byte(priceTable), 0o600))
	p, err := LoadPrices(path)
	require.NoError(t, err)
	_, known := p.Cost(bctrl.OpenAI, "gpt-5", Usage{})
	require.True(t, known)
	require.NoError(t, os.WriteFile(path, make([]byte, maxPriceFile+1), 0o600))
	_, err = LoadPrices(path)
	require.ErrorIs(t, err, ErrPrices)
}
