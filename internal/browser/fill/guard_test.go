package fill

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
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

// TestJudgeLetsAValueGoWhereItBelongsAlone is the table of what happens to
// requests while a field is filled.
func TestJudgeLetsAValueGoWhereItBelongsAlone(t *testing.T) {
	const bad = "https://evil.example"
	for _, c := range []struct {
		why     string
		direct  bool
		request Request
		want    string // swapped, carried, passed or blocked
	}{
		{why: "a login", request: Request{
			method: "POST",
			url:    goodSite + "/in",
			body:   []byte("p=" + heldBack),
		}, want: "swapped"},
		{why: "in small letters", request: Request{
			method: "patch",
			url:    goodSite + "/in",
			body:   []byte("p=" + heldBack),
		}, want: "swapped"},
		{why: "nothing of it", request: Request{method: "POST", url: bad + "/in", body: []byte("p=other")}, want: "passed"},
		{why: "another site", request: Request{
			method: "POST",
			url:    bad + "/in",
			body:   []byte("p=" + heldBack),
		}, want: "blocked"},
		{why: "another site, encoded", request: Request{
			method: "POST",
			url:    bad + "/in",
			body:   []byte("p=pLac3%2Dh0lder.~x"),
		}, want: "blocked"},
		{why: "a name below", request: Request{
			method: "POST",
			url:    "https://x.login.example.com/",
			body:   []byte("p=" + heldBack),
		}, want: "blocked"},
		{why: "a name that begins alike", request: Request{
			method: "POST",
			url:    goodSite + ".evil.example/",
			body:   []byte("p=" + heldBack),
		}, want: "blocked"},
		{why: "another port", request: Request{
			method: "POST",
			url:    goodSite + ":8443/",
			body:   []byte("p=" + heldBack),
		}, want: "blocked"},
		{why: "no encryption", request: Request{
			method: "POST",
			url:    "http://login.example.com/",
			body:   []byte("p=" + heldBack),
		}, want: "blocked"},
		{why: "the standard port", request: Request{
			method: "POST",
			url:    goodSite + ":443/",
			body:   []byte("p=" + heldBack),
		}, want: "swapped"},
		{why: "in the address", request: Request{method: "GET", url: goodSite + "/in?p=" + heldBack}, want: "blocked"},
		{why: "the value itself in the address", request: Request{
			method: "GET",
			url:    goodSite + "/in?p=" + realOne,
		}, want: "blocked"},
		{why: "a method without effect", request: Request{
			method: "DELETE",
			url:    goodSite + "/in",
			body:   []byte("p=" + heldBack),
		}, want: "blocked"},
		{why: "inside another value", request: Request{
			method: "POST",
			url:    goodSite + "/in",
			body:   []byte("p=x" + heldBack),
		}, want: "blocked"},
		{why: "after a redirect", request: Request{
			method: "POST",
			url:    goodSite + "/2",
			body:   []byte("p=" + realOne),
		}, want: "carried"},
		{why: "after a redirect elsewhere", request: Request{
			method: "POST",
			url:    bad + "/2",
			body:   []byte("p=" + realOne),
		}, want: "blocked"},
		{why: "a header elsewhere", request: Request{method: "GET", url: bad, headers: []string{heldBack}}, want: "blocked"},
		{why: "a header", request: Request{
			method:  "POST",
			url:     goodSite,
			headers: []string{"Bearer " + heldBack},
		}, want: "blocked"},
		{why: "filled directly", direct: true, request: Request{
			method: "POST",
			url:    goodSite + "/in",
			body:   []byte("<p>" + realOne),
		}, want: "carried"},
		{why: "filled directly, elsewhere", direct: true, request: Request{
			method: "POST",
			url:    bad + "/in",
			body:   []byte("<p>" + realOne),
		}, want: "blocked"},
		{why: "filled directly, in the address", direct: true, request: Request{
			method: "GET",
			url:    goodSite + "/?" + realOne,
		}, want: "blocked"},
		{why: "filled directly, in a header", direct: true, request: Request{
			method:  "GET",
			url:     goodSite,
			headers: []string{realOne},
		}, want: "passed"},
		{why: "filled directly, in a header elsewhere", direct: true, request: Request{
			method:  "GET",
			url:     bad,
			headers: []string{realOne},
		}, want: "blocked"},
	} {
		var switched []bool
		gs := guards(&switched)
		placeholder := heldBack
		if c.direct {
			placeholder = ""
		}
		gs.Arm(guardOf(placeholder))
		c.request.bodyComplete, c.request.contentType, c.request.flight.Request = true, formType, "r1"
		v := gs.Complete(t.Context(), c.request, gs.Judge(c.request))
		got := "passed"
		switch {
		case v.Reason != "":
			got = "blocked"
			browsertest.RequireUnseen(t, realOne, v.Reason)
			browsertest.RequireUnseen(t, heldBack, v.Reason)
		case v.Swapped:
			got = "swapped"
			require.True(t, string(v.Body) == "p="+realOne, c.why)
			require.True(t, v.WatchAnswer, c.why)
		case v.WatchAnswer:
			got = "carried"
		}
		require.Equal(t, c.want, got, c.why)
		require.Equal(t, got == "swapped" || got == "carried", gs.CarriesValue("r1"), c.why)
		gs.Close()
	}
}

// TestAPasswordThatIsAWordOfTheRequestIsSent logs in with passwords that stand
// in other places of the request as well, as the first ones of devices do.
func TestAPasswordThatIsAWordOfTheRequestIsSent(t *testing.T) {
	for _, c := range []struct{ why, value, path, contentType, body string }{
		{"the user's name", "admin", "/in", formType, "u=admin&p=%s"},
		{"in JSON", "admin", "/in", "application/json", `{"u": "admin", "p": "%s"}`},
		{"a part of another name", "secret", "/in", "application/json", `{"client_secret": "x", "p": "%s"}`},
		{"digits of a number", "1234", "/in", formType, "csrf=9912349&p=%s"},
		{"a step of the path", "admin", "/admin/login", formType, "u=robot&p=%s"},
		{"and a query that says nothing of it", "admin", "/admin/?next=%2F#top", formType, "u=robot&p=%s"},
	} {
		var switched []bool
		gs := guards(&switched)
		g := NewGuard(Field{
			Placeholder: heldBack,
			Value:       bctrl.NewSecret(c.value),
			Element:     protocol.Element{Document: protocol.Document{Frame: "f"}},
			MayGoTo:     toGoodSite,
		})
		gs.Arm(g)
		r := Request{
			method:       "POST",
			url:          goodSite + c.path,
			contentType:  c.contentType,
			body:         fmt.Appendf(nil, c.body, heldBack),
			bodyComplete: true,
		}
		v := gs.Complete(t.Context(), r, gs.Judge(r))
		require.Empty(t, v.Reason, c.why)
		require.Equal(t, fmt.Sprintf(c.body, c.value), string(v.Body), c.why)

		r.url, r.body = goodSite+"/?q="+c.value, nil
		require.NotEmpty(t, gs.Judge(r).Reason, "%s: in the query it is stopped", c.why)
		gs.Close()
	}
}

// TestUnreadBodiesAreNotSwapped holds files and streams back when what is
// known of them has the placeholder.
func TestUnreadBodiesAreNotSwapped(t *testing.T) {
	var switched []bool
	gs := guards(&switched)
	gs.Arm(guardOf(heldBack))
	defer gs.Close()
	r := RequestOf(Flight{}, &network.Request{
		URL: goodSite + "/up", Method: "POST", Headers: network.Headers{"Content-Type": formType, "Referer": heldBack},
		PostDataEntries: []*network.PostDataEntry{{Bytes: []byte("p=" + heldBack)}, {}},
	})
	require.NotEmpty(t, gs.Judge(r).Reason)
	r.body = []byte("p=other")
	require.Empty(t, gs.Judge(r).Reason)
}

// TestRedirectsTakeAValueOnlyWhereItMayGo reads answers.
func TestRedirectsTakeAValueOnlyWhereItMayGo(t *testing.T) {
	answer := func(status int64, location string) fetch.EventRequestPaused {
		return fetch.EventRequestPaused{
			ResponseStatusCode: status, Request: &network.Request{URL: goodSite + "/a/b"},
			ResponseHeaders: []*fetch.HeaderEntry{nil, {Name: "X", Value: "y"}, {Name: "location", Value: location}},
		}
	}
	for _, c := range []struct {
		status   int64
		location string
		stays    bool
		why      string
	}{
		{307, "/next", true, "a path"},
		{307, "next", true, "a relative path"},
		{308, goodSite + ":443/next", true, "the same origin"},
		{307, "https://evil.example/", false, "another site"},
		{307, "//evil.example/", false, "another host"},
		{308, "http://login.example.com/", false, "without encryption"},
		{307, "https://[", false, "no address"},
		{303, "https://evil.example/", true, "no body goes along"},
		{200, "https://evil.example/", true, "no redirect"},
	} {
		var switched []bool
		gs := guards(&switched)
		gs.Arm(guardOf(heldBack))
		id := Flight{"s", "r"}
		require.True(t, gs.Judge(Request{
			flight:       id,
			method:       "POST",
			url:          goodSite,
			contentType:  formType,
			body:         []byte("p=" + heldBack),
			bodyComplete: true,
		}).WatchAnswer)
		require.Equal(t, c.stays, gs.Answered(id, RedirectOf(answer(c.status, c.location))) == nil, c.why)
		require.Nil(t, gs.Answered(id, "https://evil.example/"), "asked once: it is on its way no more")
		gs.Close()
	}
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

// TestALoginBelongsToItsOriginsAndPatterns matches as the vault does.
func TestALoginBelongsToItsOriginsAndPatterns(t *testing.T) {
	f := browser.Fill{Origins: []string{goodSite, "http://localhost:8080"}, Patterns: []string{"https://*.corp.example"}}
	for _, at := range []string{goodSite, "http://localhost:8080", "https://a.corp.example"} {
		require.True(t, MayGoTo(f, at), at)
	}
	for _, at := range []string{"", "null", "https://example.com", "https://corp.example", "https://a.b.corp.example",
		"http://a.corp.example", "https://a.corp.example:444", "http://localhost", goodSite + "/"} {
		require.False(t, MayGoTo(f, at), at)
	}
}

// TestScrubbingKeepsPasswordsBesideManyCodes fills codes for hours.
func TestScrubbingKeepsPasswordsBesideManyCodes(t *testing.T) {
	s := NewScrubber()
	s.Add(bctrl.NewSecret("the  Password"))
	for i := range 3 * maxScrubbed {
		s.Add(bctrl.NewSecret(fmt.Sprintf("%06d", 100_000+i)))
	}
	last := 100_000 + 3*maxScrubbed - 1
	for _, shown := range []string{"the  Password", "the Password", "THE  PASSWORD", fmt.Sprint(last),
		fmt.Sprintf("%d %03d", last/1000, last%1000), "dGhlICBQYXNzd29yZA"} {
		require.Contains(t, s.Text("x"+shown+"y"), Hidden, shown)
	}
	require.Equal(t, "100000", s.Text("100000"), "an old code is a number again")
}

func TestAValueThatMayNoLongerBeUsedIsNotSent(t *testing.T) {
	for _, c := range []struct {
		why     string
		direct  bool
		request Request
	}{
		{why: "swapped", request: Request{method: "POST", url: goodSite + "/in", body: []byte("p=" + heldBack)}},
		{why: "after a redirect", request: Request{method: "POST", url: goodSite + "/2", body: []byte("p=" + realOne)}},
		{why: "filled directly", direct: true, request: Request{
			method: "POST",
			url:    goodSite + "/in",
			body:   []byte("p=" + realOne),
		}},
		{why: "filled directly, in a header", direct: true, request: Request{
			method:  "GET",
			url:     goodSite,
			headers: []string{realOne},
		}},
	} {
		var switched []bool
		gs := guards(&switched)
		placeholder := heldBack
		if c.direct {
			placeholder = ""
		}
		g := guardOf(placeholder)
		var refusal error
		asked := 0
		g.StillPermitted = func(context.Context) error { asked++; return refusal }
		gs.Arm(g)
		c.request.bodyComplete, c.request.contentType, c.request.flight.Request = true, formType, "r1"

		v := gs.Complete(t.Context(), c.request, gs.Judge(c.request))
		require.Empty(t, v.Reason, c.why)
		require.Equal(t, 1, asked, c.why)
		refusal = fmt.Errorf("the workspace was lowered")
		v = gs.Complete(t.Context(), c.request, gs.Judge(c.request))
		require.NotEmpty(t, v.Reason, c.why)
		require.Empty(t, v.Body, c.why)
		require.Empty(t, g.flights, "%s: what never left has no answer", c.why)

		other := Request{
			method:       "POST",
			url:          goodSite + "/in",
			body:         []byte("p=other"),
			bodyComplete: true,
			contentType:  formType,
		}
		require.Empty(t, gs.Complete(t.Context(), other, gs.Judge(other)).Reason, "%s: nothing of it is in there", c.why)
		require.Equal(t, 2, asked, c.why)
		gs.Close()
	}
}
