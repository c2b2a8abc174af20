package page_test

import (
	"context"
	"fmt"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// TestCodesAreFilled enters a code in one field with the usual checks, and
// digit by digit.
func TestCodesAreFilled(t *testing.T) {
	ctx, p, b := openPage(t)
	const code = "048151"
	s := browsertest.NewSite(t, map[string]string{
		"/one": `<form id=f method=post action=/code>` +
			`<input name=code aria-label=Code inputmode=numeric pattern="[0-9]{6}" maxlength=6 minlength=6 required ` +
			`autocomplete=one-time-code><button>Verify</button></form>`,
		"/row": `<form id=f>` + strings.Repeat(`<input class=d aria-label=Digit maxlength=1 inputmode=numeric>`,
			6) + `<button>Verify</button></form><script>
const all = [...document.querySelectorAll('.d')]; all.forEach((d, ` +
			`i) => d.oninput = () => d.value && all[i + 1] && all[i + 1].focus());
f.onsubmit = e => { e.preventDefault(); fetch('/code', {method: 'POST', ` +
			`headers: {'Content-Type': 'application/json'}, body: JSON.stringify({code: all.map(d => d.value).join('')})}) ` +
			`}</script>`,
		"/digits": `<form method=post action=/code>` +
			strings.Repeat(`<input name=d[] aria-label=Digit maxlength=1 inputmode=numeric>`,
				6) + `<button>Verify</button></form>`,
		"/parts": `<form method=post action=/code enctype=multipart/form-data>` +
			strings.Repeat(`<input name=d aria-label=Digit maxlength=1 inputmode=numeric>`,
				6) + `<button>Verify</button></form>`,
		"/list": `<form id=f>` + strings.Repeat(`<input class=d aria-label=Digit maxlength=1 inputmode=numeric>`,
			6) + `<button>Verify</button></form><script>
f.onsubmit = e => { e.preventDefault(); fetch('/code', {method: 'POST', ` +
			`body: JSON.stringify({code: [...document.querySelectorAll('.d')].map(d => Number(d.value)), step: 2})}) }</script>`,
		"/number": `<form id=f><input type=number id=c aria-label=Code><button>Verify</button></form><script>
f.onsubmit = e => { e.preventDefault(); fetch('/code', {method: 'POST', ` +
			`body: JSON.stringify({code: Number(c.value)})}) }</script>`,
	})
	for path, want := range map[string]string{
		"/one": "code=" + code, "/row": `{"code":"` + code + `"}`, "/number": `{"code":48151}`,
		"/digits": "d%5B%5D=0&d%5B%5D=4&d%5B%5D=8&d%5B%5D=1&d%5B%5D=5&d%5B%5D=1", "/list": `{"code":[0,4,8,1,5,1],"step":2}`,
		"/parts": "",
	} {
		obs := browsertest.Open(ctx, t, p, s.URL+path)
		require.NoError(t, p.Fill(ctx, obs.Elements[0].Ref, browsertest.Login("totp", code, s.URL)), path)
		filled := browsertest.Observe(ctx, t, p)
		browsertest.RequireUnseen(t, code, browsertest.InputValues(ctx, t, b), filled.Outline)
		require.Equal(t, "[secret]", filled.Elements[0].Value)
		count := len(s.RequestsTo("/code"))
		require.NoError(t, p.Click(ctx, browsertest.Find(t, filled, "button", "Verify").Ref, browser.Click{}))
		require.Eventually(t, func() bool { return len(s.RequestsTo("/code")) > count }, 10*time.Second, 10*time.Millisecond,
			path)
		if got := s.RequestsTo("/code")[count]; path == "/parts" {
			_, params, err := mime.ParseMediaType(got.ContentType)
			require.NoError(t, err)
			form, err := multipart.NewReader(strings.NewReader(got.Body), params["boundary"]).ReadForm(1 << 20)
			require.NoError(t, err)
			require.True(t, strings.Join(form.Value["d"], "") == code, path)
		} else {
			require.True(t, got.Body == want, path)
		}
	}
}

// TestACodeIsMadeWhenItIsSent fills a code in one period and sends it in the
// next.
func TestACodeIsMadeWhenItIsSent(t *testing.T) {
	ctx, p, _ := openPage(t)
	var now string
	s := browsertest.NewSite(t, map[string]string{"/": `<form id=f onsubmit="event.preventDefault(); fetch('/code', ` +
		`{method: 'POST', body: new URLSearchParams(new FormData(f))}).then(r => r.text()).then(x => out.textContent = ` +
		`x)"><input name=code aria-label=Code maxlength=6><button>Verify</button></form><p id=out></p>`})
	s.Handlers["/code"] = func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		_, _ = fmt.Fprintf(w, "accepted=%v, not %s", r.PostForm.Get("code") == now, r.PostForm.Get("code"))
	}
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	fill := browsertest.Login("totp", "111222", s.URL)
	made := 0
	fill.Fresh = func(context.Context) (bctrl.Secret, error) { made++; return bctrl.NewSecret(now), nil }
	require.NoError(t, p.Fill(ctx, obs.Elements[0].Ref, fill))
	require.Zero(t, made)
	for i, code := range []string{"333444", "048151"} {
		now = code
		require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Verify").Ref, browser.Click{}))
		require.Eventually(t, func() bool { return len(s.RequestsTo("/code")) == i+1 }, 10*time.Second, 10*time.Millisecond)
		require.True(t, s.RequestsTo("/code")[i].Body == "code="+code, "the code of the time when it left")
		after := browsertest.Settle(ctx, t, p)
		require.Contains(t, after.Outline, "accepted=true, not [secret]")
		browsertest.RequireUnseen(t, code, after.Outline)
	}
	require.Equal(t, 2, made)

	fill.Fresh = func(context.Context) (bctrl.Secret, error) { return bctrl.Secret{}, fmt.Errorf("the seed is gone") }
	require.NoError(t, p.Fill(ctx, obs.Elements[0].Ref, fill))
	browsertest.ClickUntil(ctx, t, p, obs, "Verify", "note: blocked: a request with a login's code")
	require.Len(t, s.RequestsTo("/code"), 2)
}
