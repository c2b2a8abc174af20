package agent_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
)

// bookPage is a page of many lines, the first of which holds a filled value.
type bookPage struct {
	*site
	lines int
}

func (b bookPage) Read(_ context.Context, o browser.ReadOptions) (*browser.Reading, error) {
	var text strings.Builder
	text.WriteString("the code is " + code + "\n")
	for i := range b.lines {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	cut := min(o.MaxBytes, text.Len())
	return &browser.Reading{Text: text.String()[:cut], Truncated: cut < text.Len()}, nil
}

// TestAModelReadsAWholePageInParts reads parts until there are no more.
func TestAModelReadsAWholePageInParts(t *testing.T) {
	const lines = 12_000
	var read strings.Builder
	chat := &asked{answer: func(n int, req model.Request) (*model.Response, error) {
		last := req.Messages[len(req.Messages)-1].Text
		if n > 0 {
			text, ok := agent.ParsePage(last)
			require.True(t, ok, "what was read is marked as the page's")
			read.WriteString(text)
			if !strings.Contains(last, "(the page goes on: read part ") {
				return calls("done", `{"success":true,"message":""}`), nil
			}
		}
		return calls("read_page", fmt.Sprintf(`{"part":%d}`, n+1)), nil
	}}
	d := onPage(chat, bookPage{newSite("home"), lines})
	d.Secrets = newSecrets(code)
	result, err := agent.Agent(t.Context(), d, task("x"), 0)
	require.NoError(t, err)
	require.True(t, result.Success)
	require.Len(t, result.Actions, 3)
	text := strings.ReplaceAll(read.String(), "\n\n", "\n")
	require.True(t, strings.HasPrefix(text, "the code is [secret]\nline 0\n"))
	require.Equal(t, lines+1, strings.Count(text, "\n"))
}

// TestAModelLooksWhereItMay asks for pictures under every kind of task.
func TestAModelLooksWhereItMay(t *testing.T) {
	for _, c := range []struct {
		why    string
		vision bctrl.VisionMode
		sees   bool
		told   string
	}{
		{"a model that sees", bctrl.VisionAuto, true, ""},
		{"one that does not", bctrl.VisionAuto, false, "this model is sent no pictures"},
		{"pictures are wanted", bctrl.VisionOn, false, ""},
		{"none is wanted", bctrl.VisionOff, true, "this task is done without pictures"},
	} {
		t.Run(c.why, func(t *testing.T) {
			chat := &asked{answer: func(n int, req model.Request) (*model.Response, error) {
				if n == 0 {
					return calls("look", `{}`), nil
				}
				images, texts := 0, ""
				for _, m := range req.Messages {
					images, texts = images+len(m.Images), texts+m.Text
				}
				require.Contains(t, texts, c.told)
				require.Equal(t, c.told == "", images == 1)
				return calls("done", `{"success":true,"message":""}`), nil
			}}
			args := task("x")
			args.Vision = c.vision
			_, err := agent.Agent(t.Context(), onPage(viewer{chat, c.sees}, &drawn{site: newSite("login")}), args, 0)
			require.NoError(t, err)
		})
	}
}
