package command

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
)

// exported is a transcript with all that a program has a form for.
func exported() (bctrl.OperationInfo, bctrl.RuntimeInfo, []bctrl.TranscriptStep) {
	form := []string{`form "Sign in"`, `main ""`}
	textbox := func(name string) *bctrl.ElementDescription {
		return &bctrl.ElementDescription{Role: "textbox", Name: name, Surroundings: form}
	}
	return bctrl.OperationInfo{ID: someKey, CreatedAt: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)},
		bctrl.RuntimeInfo{
			Alias: "crm",
			Launch: bctrl.Launch{Mode: bctrl.ModeProfile, ProfileID: "sf-bot", Model: "m",
				Config: &bctrl.LaunchConfig{Width: 1920}},
			Group: "emea",
			Mounts: &bctrl.Mounts{
				AI:    &bctrl.AIMount{Allow: []string{}, Defaults: map[bctrl.AIProvider]string{bctrl.OpenAI: "a", "b": "c"}},
				Vault: &bctrl.VaultMount{Allow: []string{"prod/crm/"}, AllowRawReads: new(false)},
			},
		},
		[]bctrl.TranscriptStep{
			{URL: "about:blank", Actions: []bctrl.ActAction{{Kind: "navigate", Target: "https://crm.example.com/in",
				Arguments: json.RawMessage(`{"url":"https://crm.example.com/in?lang=de\u0026page=2"}`)}}},
			{URL: "https://crm.example.com/in", Title: "Sign in", Thought: "I log in.", Actions: []bctrl.ActAction{
				{Kind: "look"},
				{Kind: "click", Element: textbox("Gone"), Error: "it is not there"},
				{Kind: "fill", Element: textbox("Email"), VaultKey: "prod/crm",
					Arguments: json.RawMessage(`{"field":"username","key":"prod/crm"}`)},
				{Kind: "type", Element: textbox("Note"),
					Arguments: json.RawMessage(`{"text":"[secret] and ` + "`" + `more` + "`" + `"}`)},
			}},
			{URL: "https://crm.example.com/in", Actions: []bctrl.ActAction{{Kind: "extract"}}},
			{URL: "https://crm.example.com/deals", Title: "Deals", Actions: []bctrl.ActAction{
				{Kind: "click", Element: &bctrl.ElementDescription{Role: "button", Name: "Pay", Index: 2,
					Frame: "https://pay.example.com"}},
				{Kind: "reload"},
			}},
		}
}

// TestAnExportedProgramReadsAsSomebodyWouldWriteIt compares one with the one that is kept,
// for people to look at (written anew with -update).
func TestAnExportedProgramReadsAsSomebodyWouldWriteIt(t *testing.T) {
	o, rt, steps := exported()
	p, err := newProgram(o, "sales", rt, steps)
	require.NoError(t, err)
	require.Equal(t, 1, p.masked)
	text, err := p.source()
	require.NoError(t, err)
	const kept = "testdata/replay.go.txt"
	if *update {
		require.NoError(t, os.WriteFile(kept, text, 0o644))
	}
	want, err := os.ReadFile(kept)
	require.NoError(t, err)
	require.Equal(t, string(want), string(text), "where it should, run the test with -update")
}

// TestNoPageWritesAProgram: what pages and models say is text in a program, never code,
// and nothing in it hides from whoever reads it.
func TestNoPageWritesAProgram(t *testing.T) {
	evil := []string{"\n}\nfunc init() { panic(1) }\n//", "`+os.Getenv(`BCTRL_API_KEY`)+`", "\u202e)\"drawkcab", "*/",
		"\"\\",
		"\r// x", "\x00", "\u2028panic(1)", "\ufeff", "{{.Alias}}", "//go:embed /etc/passwd", "\xff\xfe", "\u200bx"}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.SampledFrom(evil), rapid.String())
		hostile := func(label string) string { return text.Draw(t, label) + text.Draw(t, label) }
		o, rt, _ := exported()
		arguments, err := json.Marshal(map[string]string{"text": hostile("argument"), hostile("name"): "x"})
		require.NoError(t, err)
		name := hostile("element")
		p, err := newProgram(o, hostile("workspace"), rt, []bctrl.TranscriptStep{{
			URL: hostile("url"), Title: hostile("title"),
			Actions: []bctrl.ActAction{{Kind: hostile("kind"), Arguments: arguments, Element: &bctrl.ElementDescription{
				Role: hostile("role"), Name: name, Surroundings: []string{hostile("around")}, Frame: "x" + hostile("frame")}}}}})
		require.NoError(t, err)
		source, err := p.source()
		require.NoError(t, err)
		for _, r := range string(source) {
			require.True(t, r == '\n' || r == '\t' || strconv.IsPrint(r), "%q", r)
		}
		file, err := parser.ParseFile(token.NewFileSet(), "main.go", source, parser.ParseComments)
		require.NoError(t, err)
		var functions, literals []string
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				functions = append(functions, n.Name.Name)
			case *ast.BasicLit:
				if value, err := strconv.Unquote(n.Value); err == nil {
					literals = append(literals, value)
				}
			}
			return true
		})
		require.Equal(t, []string{"main", "run", "steps", "on", "do", "element", "inFrame"}, functions)
		require.Contains(t, literals, name, "what is said is there, whole")
	})
}

func TestAProgramOfNothingIsRefused(t *testing.T) {
	o, rt, _ := exported()
	for _, steps := range [][]bctrl.TranscriptStep{
		nil,
		{{URL: "https://crm.example.com/"}},
		{{URL: "https://crm.example.com/", Actions: []bctrl.ActAction{{Kind: "extract"}, {Kind: "click", Error: "no"}}}},
	} {
		_, err := newProgram(o, "sales", rt, steps)
		require.ErrorContains(t, err, "did nothing")
	}
}

func TestALiteralIsTheValue(t *testing.T) {
	require.Equal(t, `bctrl.Launch{}`, goLiteral(reflect.ValueOf(bctrl.Launch{})))
	require.Equal(t, `&bctrl.VaultMount{Allow: []string{}, AllowRawReads: new(true)}`,
		goLiteral(reflect.ValueOf(&bctrl.VaultMount{Allow: []string{}, AllowRawReads: new(true)})))
	require.True(t, strings.HasPrefix(goString(`form "Sign in"`), "`"))
	require.Equal(t, `"a\u202e\"b"`, goString("a\u202e\"b"))
}
