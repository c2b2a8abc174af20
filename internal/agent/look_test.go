package agent_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
)

// drawn is a page of which pictures can be taken.
type drawn struct {
	*site
	poor   bool
	broken error
	taken  int
	// scale is how many pixels of the viewport one of a picture is; zero is one.
	scale float64
}

func (d *drawn) Observe(ctx context.Context) (*browser.Observation, error) {
	seen, err := d.site.Observe(ctx)
	if err == nil {
		seen.Poor = d.poor
	}
	return seen, err
}

func (d *drawn) Picture(_ context.Context, o browser.PictureOptions) (*browser.Picture, error) {
	d.taken++
	if d.broken != nil || !o.Marks {
		return nil, errors.Join(d.broken, errors.New("without marks"))
	}
	return &browser.Picture{PNG: browser.MaskedByPage([]byte{'P', byte(d.taken)}), Scale: max(1, d.scale)}, nil
}

// viewer is a model that says whether it takes pictures.
type viewer struct {
	*asked
	sees bool
}

func (v viewer) Sees(context.Context, string) bool { return v.sees }

func TestAModelIsShownAPictureWhereItHelps(t *testing.T) {
	gone := errors.New("gone")
	for _, c := range []struct {
		why        string
		vision     bctrl.VisionMode
		poor, sees bool
		broken     error
		shown      bool
	}{
		{"the text says too little", "", true, true, nil, true},
		{"the same, and auto is said", bctrl.VisionAuto, true, true, nil, true},
		{"the text says enough", bctrl.VisionAuto, false, true, nil, false},
		{"the model is blind", bctrl.VisionAuto, true, false, nil, false},
		{"pictures are wanted", bctrl.VisionOn, false, false, nil, true},
		{"none is wanted", bctrl.VisionOff, true, true, nil, false},
		{"none can be taken", bctrl.VisionOn, true, true, gone, false},
	} {
		t.Run(c.why, func(t *testing.T) {
			page := &drawn{site: newSite("login"), poor: c.poor, broken: c.broken}
			chat := &asked{answer: func(n int, _ model.Request) (*model.Response, error) {
				if n < 2 {
					return calls("press", `{"key":"a"}`), nil
				}
				return calls("done", `{"success":true,"message":""}`), nil
			}}
			d := onPage(viewer{chat, c.sees}, page)
			var pngs [][]byte
			d.Record = func(_ context.Context, r agent.Record) error { pngs = append(pngs, r.PNG); return nil }
			args := task("x")
			args.Vision = c.vision
			_, err := agent.Agent(t.Context(), d, args, 0)
			require.NoError(t, err)
			for n, question := range chat.questions {
				var images [][]byte
				for _, m := range question.Messages {
					images = append(images, m.Images...)
				}
				if !c.shown {
					require.Empty(t, images)
					require.Nil(t, pngs[n])
					continue
				}
				require.Equal(t, [][]byte{{'P', byte(n + 1)}}, images, "the newest alone")
				require.Equal(t, images[0], pngs[n], "the record has what the model saw")
			}
		})
	}
}

func TestQuestionsAboutAPageComeWithAPicture(t *testing.T) {
	page := &drawn{site: newSite("login"), poor: true}
	chat := &asked{answer: func(_ int, req model.Request) (*model.Response, error) {
		require.Len(t, req.Messages[0].Images, 1)
		if req.Tools[0].Name == "candidates" {
			return candidates(), nil
		}
		return calls("extracted", `{"data":{"extraction":"x"}}`), nil
	}}
	d := onPage(viewer{chat, true}, page)
	_, err := agent.Observe(t.Context(), d, bctrl.ObserveArgs{Instruction: "x"})
	require.NoError(t, err)
	_, err = agent.Extract(t.Context(), d, bctrl.ExtractArgs{Instruction: "x"})
	require.NoError(t, err)
}

func TestTheAgentHasTheModelThatLooksReadAPage(t *testing.T) {
	looks := &asked{answer: func(_ int, req model.Request) (*model.Response, error) {
		require.Contains(t, req.Messages[0].Text, "row 0: Customer 0")
		r := calls("extracted", `{"data":{"extraction":"done with success"}}`)
		r.Model, r.Usage = "cheap", model.Usage{InputTokens: 7, OutputTokens: 3}
		return r, nil
	}}
	plans := &asked{answer: func(n int, req model.Request) (*model.Response, error) {
		r := calls("done", `{"success":true,"message":""}`)
		if n == 0 {
			r = calls("extract", `{"instruction":"all rows"}`)
		} else {
			text, ok := agent.ParsePage(req.Messages[len(req.Messages)-1].Text)
			require.True(t, ok, "what was read is marked as the page's")
			require.Equal(t, "done with success\n", text)
		}
		r.Model, r.Usage = "strong", model.Usage{InputTokens: 70, OutputTokens: 30}
		return r, nil
	}}
	d := onPage(plans, listPage{newSite("home"), 3})
	d.Look = looks
	result, err := agent.Agent(t.Context(), d, task("x"), 0)
	require.NoError(t, err)
	require.Equal(t, bctrl.Usage{Calls: 3, InputTokens: 147, OutputTokens: 63}, result.Usage)
	require.Equal(t, []bctrl.ModelUsage{
		{Model: "cheap", Usage: bctrl.Usage{Calls: 1, InputTokens: 7, OutputTokens: 3}},
		{Model: "strong", Usage: bctrl.Usage{Calls: 2, InputTokens: 140, OutputTokens: 60}},
	}, result.Models)
	require.Equal(t, "extract", result.Actions[0].Kind)
}

func TestAModelThatCannotReadAPageIsNoEndOfATask(t *testing.T) {
	looks := always(&model.Response{Text: "no"})
	plans := &asked{answer: func(n int, req model.Request) (*model.Response, error) {
		if n == 0 {
			return calls("extract", `{"instruction":"all rows"}`), nil
		}
		require.Contains(t, req.Messages[len(req.Messages)-1].Text, "extract.invalid_answer")
		return calls("done", `{"success":false,"message":""}`), nil
	}}
	d := onPage(plans, listPage{newSite("home"), 3})
	d.Look = looks
	result, err := agent.Agent(t.Context(), d, task("x"), 0)
	require.NoError(t, err)
	require.Len(t, looks.questions, 3)
	require.Equal(t, 5, result.Usage.Calls)
}
