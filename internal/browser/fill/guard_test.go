package fill

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

const (
	heldBack = "pLac3-h0lder.~x"
	realOne  = "s3cret-value"
	goodSite = "https://login.example.com"
)

// guards returns guards that count how often interception was switched.
func guards(switched *[]bool) *Guards {
	return NewGuards(func(fn func(context.Context)) { fn(context.Background()) },
		func(on bool) { *switched = append(*switched, on) })
}

// toGoodSite reports whether a login of the good site may go to an origin.
func toGoodSite(at string) bool { return MayGoTo(browser.Fill{Origins: []string{goodSite}}, at) }

func guardOf(placeholder string) *Guard {
	return NewGuard(Field{
		Placeholder: placeholder,
		Value:       bctrl.NewSecret(realOne),
		Element:     protocol.Element{Document: protocol.Document{Frame: "f", Loader: "one"}, Backend: 7},
		MayGoTo:     toGoodSite,
	})
}

// TestGuardsLastAsLongAsTheirDocument lets time pass: a login that is sent once
// more minutes later, with a code, is still one.
func TestGuardsLastAsLongAsTheirDocument(t *testing.T) {
	send := Request{
		flight:       Flight{"s", "r"},
		method:       "POST",
		url:          goodSite,
		contentType:  formType,
		body:         []byte("p=" + heldBack),
		bodyComplete: true,
	}
	gone := func(gs *Guards, _ *Guard) { gs.DocumentGone("f", "two") }
	for _, c := range []struct {
		why  string
		do   func(gs *Guards, g *Guard)
		life time.Duration // how long it swaps; zero is for ever
	}{
		{"nothing happens", func(*Guards, *Guard) {}, 0},
		{"the value was sent", func(gs *Guards, _ *Guard) { gs.Judge(send); gs.Answered(send.flight, "") }, 0},
		{"another frame is gone", func(gs *Guards, _ *Guard) { gs.DocumentGone("g", "two") }, 0},
		{"the document is gone", gone, afterDocument},
		{"the frame is gone", func(gs *Guards, _ *Guard) { gs.DocumentGone("f", "") }, afterDocument},
		{"the document is gone after another", func(gs *Guards, g *Guard) { gone(gs, g); gone(gs, g) }, afterDocument},
		{"the answer is still to come", func(gs *Guards, g *Guard) { gs.Judge(send); gone(gs, g) }, maxFlight},
		{"the tab is gone", func(gs *Guards, _ *Guard) { gs.SessionGone("tab") }, afterDocument},
		{"the tab is gone before the answer",
			func(gs *Guards, _ *Guard) { gs.Judge(send); gs.SessionGone("s"); gs.SessionGone("tab") }, afterDocument},
	} {
		t.Run(c.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var switched []bool
				gs := guards(&switched)
				g := guardOf(heldBack)
				g.Process, g.Tab = "tab", "tab"
				gs.Arm(g)
				require.Equal(t, []bool{true}, switched)
				c.do(gs, g)
				swaps := func() bool { return gs.Judge(send).WatchAnswer }
				if c.life == 0 {
					time.Sleep(24 * time.Hour) //nolint:forbidigo // the clock is synctest's
					synctest.Wait()
					require.True(t, swaps())
					gs.Close()
					return
				}
				time.Sleep(c.life - time.Millisecond) //nolint:forbidigo // the clock is synctest's
				synctest.Wait()
				require.True(t, gs.Armed())
				time.Sleep(2 * afterDocument) //nolint:forbidigo // the clock is synctest's
				synctest.Wait()
				require.False(t, gs.Armed())
				require.False(t, swaps())
				require.NotEmpty(t, gs.Judge(send).Reason, "what the page has kept is not sent as it is")
				require.True(t, gs.Watching())
				time.Sleep(retiredLife) //nolint:forbidigo // the clock is synctest's
				synctest.Wait()
				require.Empty(t, gs.Judge(send).Reason)
				require.Equal(t, []bool{true, false}, switched, "requests are not held up for ever")
			})
		})
	}
}

// TestOneElementHasOneGuard fills a field again.
// TestRequestsWithALoginOfHTTPHaveNoFilledOneForgotten has a page make many of the first.
func TestRequestsWithALoginOfHTTPHaveNoFilledOneForgotten(t *testing.T) {
	gs := guards(&[]bool{})
	gs.mu.Lock()
	gs.carriers.remember("filled")
	gs.mu.Unlock()
	require.False(t, gs.SentHTTPLogin())
	for i := range 3 * maxCarriers {
		gs.SentWithHTTPLogin(network.RequestID(fmt.Sprint(i)))
	}
	require.True(t, gs.SentHTTPLogin())
	require.True(t, gs.CarriesValue("filled"))
	require.LessOrEqual(t, len(gs.httpCarriers.ids), maxCarriers)
}

func TestOneElementHasOneGuard(t *testing.T) {
	var switched []bool
	gs := guards(&switched)
	first, second := guardOf(heldBack), guardOf("an0ther-One.~")
	gs.Arm(first)
	gs.Arm(second)
	require.Len(t, gs.live, 1)
	gs.Drop(second)
	require.False(t, gs.Armed())
	for _, placeholder := range []string{heldBack, "an0ther-One.~"} {
		r := Request{
			method:       "POST",
			url:          goodSite,
			contentType:  formType,
			body:         []byte("p=" + placeholder),
			bodyComplete: true,
		}
		require.NotEmpty(t, gs.Judge(r).Reason, "a page that kept it does not send it")
	}
	require.Equal(t, []bool{true}, switched)
	gs.Close()
}

// TestNoGuardOutlivesItsBrowser ends a browser while a fill fails, and while a
// guard's time runs out with an answer still to come.
func TestNoGuardOutlivesItsBrowser(t *testing.T) {
	for why, end := range map[string]func(gs *Guards, g *Guard){
		"a fill fails":         func(gs *Guards, g *Guard) { gs.Drop(g) },
		"its time is over":     func(gs *Guards, g *Guard) { gs.endExpired(g) },
		"an answer is to come": func(gs *Guards, g *Guard) { g.flights[Flight{"s", "r"}] = true; gs.endExpired(g) },
	} {
		var switched []bool
		gs := guards(&switched)
		g := guardOf(heldBack)
		gs.Arm(g)
		gs.DocumentGone("f", "two")
		gs.Close()
		end(gs, g)
		require.False(t, gs.Watching(), why)
		require.False(t, g.endTimer.Stop(), "%s: no timer runs on", why)
	}
}

// TestAReaderLearnsNothingFromHowMuchIsHeldBack reads texts of its own, which end as the value
// begins, letter by letter.
func TestAReaderLearnsNothingFromHowMuchIsHeldBack(t *testing.T) {
	gs := guards(new([]bool))
	found, open := gs.FindFilled([]byte("s3cret"), false)
	require.False(t, found)
	require.Zero(t, open, "nothing was filled")
	gs.Arm(guardOf(heldBack))
	for _, before := range []string{"", strings.Repeat(".", 100), strings.Repeat(".", 1<<20)} {
		for n := range len(realOne) {
			right, wrong := before+realOne[:n], before+strings.Repeat("~", n)
			found, open := gs.FindFilled([]byte(right), false)
			require.False(t, found)
			_, other := gs.FindFilled([]byte(wrong), false)
			require.Equal(t, other, open)
		}
	}
	found, _ = gs.FindFilled([]byte(realOne), true)
	require.True(t, found)
}
