package page_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// TestAPageThatKeepsItselfBusyIsFreed has a page whose script never ends once it is
// clicked: what meets it says so, and the next one sees the page.
func TestAPageThatKeepsItselfBusyIsFreed(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<h1>Home</h1><button onclick="for (;;);">Busy</button>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	setBack := p.SetActionTimeout(time.Second)
	err := p.Click(ctx, browsertest.Find(t, obs, "button", "Busy").Ref, browser.Click{})
	setBack()
	require.ErrorContains(t, err, "page.not_answering")
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Home")
}

// TestAPageThatIsBusyBeingLeftIsLeft has a page that goes on without end once it is left.
func TestAPageThatIsBusyBeingLeftIsLeft(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/other": `<h1>Other</h1>`,
		"/": `<h1>Home</h1><button>Here</button><script>onbeforeunload = () => { for (;;) alert('stay') }</script>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Here").Ref, browser.Click{}))
	require.Contains(t, browsertest.Open(ctx, t, p, s.URL+"/other").Outline, "Other")
}
