package page

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/chromedp/cdproto/target"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser/fill"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
	"github.com/bctrl-go/bctrl/internal/egress"
)

// TestAKeyThatWaitedIsHeldToWhatWasFilledMeanwhile fills a login while a key
// waits for its tab, as two executions at once may.
func TestAKeyThatWaitedIsHeldToWhatWasFilledMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Set{
			proxy:        new(egress.Proxy),
			ctx:          t.Context(),
			conn:         &protocol.Conn{},
			guards:       fill.NewGuards(nil, nil),
			scrub:        fill.NewScrubber(),
			tabsChange:   make(chan struct{}),
			agentTargets: map[target.ID]bool{"tab": true},

			actionTimeout: time.Minute,
		}
		session := &session{
			Session:  protocol.Session{Conn: s.conn},
			targetID: "tab",
			ready:    make(chan struct{}),
			gone:     make(chan struct{}),
		}
		s.tabs = []*tab{newTab(s, session)}
		pressed := make(chan error, 1)
		go func() { pressed <- s.Press(t.Context(), "Control+c") }()
		synctest.Wait()
		s.secretFilled.Store(true)
		close(session.ready)
		require.ErrorContains(t, <-pressed, "page.key_refused")
	})
}
