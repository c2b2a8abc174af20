package agent_test

import (
	"context"

	"github.com/bctrl-go/bctrl/internal/browser"
)

func (s *site) Tabs(context.Context) ([]browser.Tab, error) {
	return []browser.Tab{{ID: "t1", Active: true}}, nil
}

func (s *site) OpenTab(_ context.Context, url string) error { return s.do("open tab %s", url) }

func (s *site) ActivateTab(_ context.Context, id browser.TabID) error {
	return s.do("activate tab %s", id)
}

func (s *site) CloseTab(_ context.Context, id browser.TabID) error { return s.do("close tab %s", id) }
func (s *site) KeepTo(func(string) bool) browser.Bounds            { return browser.NoBounds{} }
func (s *site) Back(context.Context) error                         { return s.do("back") }
func (s *site) Reload(context.Context) error                       { return s.do("reload") }

func (s *site) WaitText(_ context.Context, text string) error { return s.do("wait for %s", text) }

func (s *site) AnswerDialog(_ context.Context, accept bool, text string) error {
	return s.do("answer %v %s", accept, text)
}

func (s *site) SetFiles(_ context.Context, ref browser.Ref, files []browser.File) error {
	names := ""
	for _, f := range files {
		names += " " + f.Name
	}
	return s.do("set files %s%s", ref, names)
}

func (s *site) LoginHTTP(context.Context, browser.HTTPLogin) error { return s.do("login by HTTP") }

// noFiles is a storage that is empty.
type noFiles struct{}

func (noFiles) Read(context.Context, string, int) (string, bool, error) {
	return "", false, browser.NotFound("storage.not_found", "there is no such file", "")
}

func (noFiles) Open(context.Context, string) (browser.File, error) {
	return browser.File{}, browser.NotFound("storage.not_found", "there is no such file", "")
}
