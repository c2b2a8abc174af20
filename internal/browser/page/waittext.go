package page

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl/internal/browser"
)

const (
	// textStep is the time between two readings of a page that is waited for.
	textStep = 200 * time.Millisecond
	// maxSearched bounds what is read of it, in bytes.
	maxSearched = 1 << 20
)

// WaitText waits until the page shows a text. See [browser.Page].
//
// It is looked for in what a reading shows, without what was filled: else a model could
// guess a value piece by piece.
func (s *Set) WaitText(ctx context.Context, text string) error {
	wanted := strings.Join(strings.Fields(text), " ")
	if wanted == "" {
		return browser.BadRequest("page.no_text", "there is no text to wait for", "")
	}
	ctx, cancel := context.WithTimeout(ctx, s.actionTimeout)
	defer cancel()
	step := time.NewTicker(textStep)
	defer step.Stop()
	for {
		found := false
		err := s.readTab(ctx, func(ctx context.Context, t *tab) error {
			return s.withTab(ctx, t, func(ctx context.Context, t *tab) error {
				shown, err := t.readText(ctx, maxSearched)
				if err == nil {
					found = strings.Contains(shown.plainText(s), wanted)
				}
				return err
			})
		})
		switch {
		case found:
			return nil
		case hasCode(err, browser.CodeDialogOpen, "page.closed"):
			return err
		}
		select {
		case <-step.C:
		case <-s.conn.Done():
			return err
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return s.cleanError(ctx, ctx.Err())
			}
			return browser.GatewayTimeout("page.text_not_shown", "the page has not shown the text in time",
				"observe the page: it may say it in other words")
		}
	}
}

// plainText is the page's own text of a reading on one line, without what was filled.
func (p *pageReading) plainText(s *Set) string {
	p.hideEchoes(s.scrub)
	var b strings.Builder
	for _, l := range p.lines {
		for _, piece := range l {
			if piece.kind != ours {
				b.WriteString(piece.text)
			} else {
				b.WriteByte(' ')
			}
		}
		b.WriteByte(' ')
	}
	return strings.Join(strings.Fields(s.scrub.Text(b.String())), " ")
}
