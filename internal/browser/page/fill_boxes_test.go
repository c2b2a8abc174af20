package page_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// TestCodesAreFilledHoweverAPageTakesThem enters a code into boxes and into fields that
// are not what they look like. The page holds a placeholder, its server gets the code.
func TestCodesAreFilledHoweverAPageTakesThem(t *testing.T) {
	ctx, p, b := openPage(t)
	const code = "048151"
	boxes := func(each string) string {
		var out strings.Builder
		for _, n := range "123456" {
			out.WriteString(strings.ReplaceAll(each, "N", string(n)))
		}
		return out.String()
	}
	const small = ` aria-label=Digit style="width:30px;height:40px"`
	form := func(fields string) string {
		return `<form method=post action=/code>` + fields + `<button>Verify</button></form>`
	}
	one := `<script>document.querySelectorAll('form input').forEach((d, i, all) => d.oninput = () => {
		d.value = d.value.slice(-1); d.value && all[i + 1] && all[i + 1].focus() })</script>`
	grouped := `<script>document.querySelector('input').oninput = e => { const d = e.target.value.replace(/\D/g, '');
		e.target.value = d.length > 3 ? d.slice(0, 3) + ' ' + d.slice(3) : d }</script>`
	for _, c := range []struct{ path, why, page, want string }{
		{"/named", "each box has a name of its own", form(boxes(`<input name=dN maxlength=1` + small + `>`)),
			"d1=0&d2=4&d3=8&d4=1&d5=5&d6=1"},
		{"/between", "other fields are sent between them",
			form(boxes(`<input name=dN maxlength=1` + small + `><input type=hidden name=hN value=9>`)),
			"d1=0&h1=9&d2=4&h2=9&d3=8&h3=9&d4=1&h4=9&d5=5&h5=9&d6=1&h6=9"},
		{"/script", "a script keeps one digit in each", form(boxes(`<input name=dN`+small+`>`)) + one,
			"d1=0&d2=4&d3=8&d4=1&d5=5&d6=1"},
		{"/joined", "a script joins them in a hidden field beside them",
			form(boxes(`<input name=dN maxlength=1`+small+`>`)+`<input type=hidden name=code>`) +
				`<script>document.forms[0].onsubmit = e => { const f = e.target;
			f.code.value = [...f.querySelectorAll('[maxlength]')].map(d => d.value).join('') }</script>`,
			"d1=0&d2=4&d3=8&d4=1&d5=5&d6=1&code=" + code},
		{"/grouped", "the page writes it in groups", form(`<input name=code aria-label=Code>`) + grouped, "code=048+151"},
		{"/clear", "it is transparent, over drawn boxes", form(`<input name=code aria-label=Code style="opacity:0">`),
			"code=" + code},
		{"/readonly", "it can be changed once it has the focus",
			form(`<input name=code aria-label=Code readonly onfocus="this.readOnly=false">`), "code=" + code},
		{"/json", "a script sends JSON, a key a box", form(boxes(`<input name=dN maxlength=1`+small+`>`)) +
			`<script>document.forms[0].onsubmit = e => { e.preventDefault(); fetch('/code', {method: 'POST',
			body: JSON.stringify(Object.fromEntries(new FormData(e.target)))}) }</script>`,
			`{"d1":"0","d2":"4","d3":"8","d4":"1","d5":"5","d6":"1"}`},
		{"/waits", "a box can be changed once the one before is full", form(boxes(`<input name=dN maxlength=1`+small+`>`)) +
			`<script>{ const all = [...document.querySelectorAll('form input')]; all.forEach((d, i) => { d.disabled = i > 0;
			d.oninput = () => { if (all[i + 1]) all[i + 1].disabled = !d.value } }) }</script>`,
			"d1=0&d2=4&d3=8&d4=1&d5=5&d6=1"},
		{"/keys", "a script writes each digit by itself", form(boxes(`<input name=dN maxlength=1`+small+`>`)) +
			`<script>document.querySelectorAll('form input').forEach((d, i, all) => d.onkeydown = e => {
			if (/^\d$/.test(e.key)) { e.preventDefault(); d.value = e.key; all[i + 1] && all[i + 1].focus() } })</script>`,
			"d1=0&d2=4&d3=8&d4=1&d5=5&d6=1"},
		{"/shadow", "the boxes are a component's, which joins them", form(`<div></div><input type=hidden name=code>`) +
			`<script>{ const root = document.querySelector('div').attachShadow({mode: 'closed'});
			root.innerHTML = '` + boxes(`<input maxlength=1 aria-label=Digit>`) + `'; const all = [...root.children];
			all.forEach(d => d.oninput = () => { document.forms[0].code.value = all.map(d => d.value).join('') }) }</script>`,
			"code=" + code},
		{"/click", "it can be changed once it was clicked",
			form(`<input name=code aria-label=Code readonly onclick="this.readOnly=false">`), "code=" + code},
		{"/later", "it can be changed a while after it has the focus",
			form(`<input name=code aria-label=Code readonly onfocus="setTimeout(() => this.readOnly=false, 150)">`),
			"code=" + code},
	} {
		s := browsertest.NewSite(t, map[string]string{c.path: c.page})
		obs := browsertest.Open(ctx, t, p, s.URL+c.path)
		require.NoError(t, p.Fill(ctx, obs.Elements[0].Ref, browsertest.Login("totp", code, s.URL)), c.why)
		filled := browsertest.Observe(ctx, t, p)
		browsertest.RequireUnseen(t, code, browsertest.InputValues(ctx, t, b), filled.Outline)
		require.NoError(t, p.Click(ctx, browsertest.Find(t, filled, "button", "Verify").Ref, browser.Click{}), c.why)
		require.Eventually(t, func() bool { return len(s.RequestsTo("/code")) > 0 }, 10*time.Second, 10*time.Millisecond,
			c.why)
		require.True(t, s.RequestsTo("/code")[0].Body == c.want, c.why)
	}
}

// TestAUsernameMayBeWrittenInAnotherWay fills a username that the page makes upper case.
func TestAUsernameMayBeWrittenInAnotherWay(t *testing.T) {
	ctx, p, b := openPage(t)
	s := browsertest.NewSite(t, map[string]string{
		"/": `<input aria-label=User oninput="this.value = this.value.toUpperCase()">`,
	})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	require.NoError(t, p.Fill(ctx, obs.Elements[0].Ref, browsertest.Login("username", "ada", s.URL)))
	require.Contains(t, browsertest.InputValues(ctx, t, b), "ADA")
}
