package agent_test

import (
	"context"
	"errors"
	"strings"

	"github.com/bctrl-go/bctrl/internal/browser"
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

func (s *site) DragAt(_ context.Context, from, to browser.Point) error {
	return s.do("drag at %v %v", from, to)
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
		return true, s.do("scroll %s %d", ref, pages)
	}
	return true, s.do("scroll %d", pages)
}
