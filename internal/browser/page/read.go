package page

import (
	"cmp"
	"context"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// Read reads the whole page as text. See [browser.Page].
func (s *Set) Read(ctx context.Context, options browser.ReadOptions) (*browser.Reading, error) {
	limit := cmp.Or(options.MaxBytes, browser.DefaultReadBytes)
	obs, err := s.Observe(ctx)
	if err != nil {
		return nil, err
	}
	text := obs.Outline
	cut := len(text) > limit
	if cut {
		text = text[:limit]
	}
	return &browser.Reading{URL: obs.URL, Title: obs.Title, Text: text, Truncated: cut || obs.Truncated}, nil
}
