package agent_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
)

// What hands do to a [site] is written down; what they do not do is said.

func (s *site) do(format string, args ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log(format, args...)
	return nil
}

func (s *site) Hover(_ context.Context, ref browser.Ref) error { return s.do("hover %s", ref) }

func (s *site) Drag(_ context.Context, from, to browser.Ref) error {
	return s.do("drag %s %s", from, to)
}

func (s *site) ClickAt(_ context.Context, at browser.Point, how browser.Click) error {
	return s.do("click at %v %v", at, how)
}

func (s *site) HoverAt(_ context.Context, at browser.Point) error { return s.do("hover at %v", at) }

func (s *site) DragAt(_ context.Context, path ...browser.Point) error {
	return s.do("drag at %v", path)
}

func (s *site) Select(_ context.Context, ref browser.Ref, options ...string) error {
	option := strings.Join(options, " ")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log("select %s %s", ref, option)
	if option != "Q1" {
		return errors.New("internal detail " + s.echoed())
	}
	s.typed[ref] = option
	return nil
}

func (s *site) Press(_ context.Context, keys string) error { return s.do("press %s", keys) }

func (s *site) Scroll(_ context.Context, ref browser.Ref, pages int) (bool, error) {
	if ref != "" {
		return !s.stands, s.do("scroll %s %d", ref, pages)
	}
	return !s.stands, s.do("scroll %d", pages)
}

// TestAScrollThatMovesNothingIsToldSo scrolls a page, and a list in it, that stand.
func TestAScrollThatMovesNothingIsToldSo(t *testing.T) {
	for _, args := range []string{`{"pages":1}`, `{"pages":-2,"ref":"e1"}`} {
		s := newSite("login")
		s.stands = true
		chat := &asked{answer: func(n int, _ model.Request) (*model.Response, error) {
			if n == 0 {
				return calls("scroll", args), nil
			}
			return calls("done", `{"success":false,"message":""}`), nil
		}}
		result, err := agent.Agent(t.Context(), onPage(chat, s), task("x"), 0)
		require.NoError(t, err)
		require.Len(t, result.Actions, 1)
		require.Contains(t, result.Actions[0].Error, "page.not_moved: nothing moved")
	}
}

// TestPlacesOfAPictureArePlacesOfTheViewport clicks and drags in a picture that is half as
// large as the viewport, and reads where the page was clicked and what is recorded.
func TestPlacesOfAPictureArePlacesOfTheViewport(t *testing.T) {
	page := &drawn{site: newSite("login"), scale: 2}
	chat := &asked{answer: func(n int, _ model.Request) (*model.Response, error) {
		switch n {
		case 0:
			return calls("click_at", `{"x":10,"y":20.5,"button":"right","count":2,"modifiers":["Alt"]}`), nil
		case 1:
			return calls("drag_at", `{"x":1,"y":2,"to_x":3,"to_y":4}`), nil
		case 2:
			return calls("drag_at", `{"x":1,"y":2,"through":[[5,6],[7,8]],"to_x":3,"to_y":4}`), nil
		case 3:
			return calls("press", `{"key":"ArrowDown","times":2}`), nil
		}
		return calls("done", `{"success":true,"message":""}`), nil
	}}
	args := task("x")
	args.Vision = bctrl.VisionOn
	result, err := agent.Agent(t.Context(), onPage(viewer{chat, true}, page), args, 0)
	require.NoError(t, err)
	require.Equal(t, []string{"click at {20 41} {right 2 [Alt]}", "drag at [{2 4} {6 8}]",
		"drag at [{2 4} {10 12} {14 16} {6 8}]", "press ArrowDown", "press ArrowDown"}, page.calls)
	require.Equal(t, "20,41", result.Actions[0].Target)
	for i, want := range []string{
		`{"x":20,"y":41,"button":"right","count":2,"modifiers":["Alt"]}`, `{"x":2,"y":4,"to_x":6,"to_y":8}`,
		`{"x":2,"y":4,"to_x":6,"to_y":8,"through":[[10,12],[14,16]]}`,
		`{"key":"ArrowDown","times":2}`,
	} {
		require.JSONEq(t, want, string(result.Actions[i].Arguments))
	}
}
