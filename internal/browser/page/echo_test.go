package page_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/sample"
)

// TestEchoesInPiecesAreHiddenFromTheModel shows a password and a code in pieces
// on a real page, and takes a picture of it.
func TestEchoesInPiecesAreHiddenFromTheModel(t *testing.T) {
	t.Parallel()
	const secret = "correct-Horse_7.battery"
	each := func(before, after string) string {
		var b strings.Builder
		for _, c := range secret {
			b.WriteString(before + string(c) + after)
		}
		return b.String()
	}
	reversed := func(s string) string {
		var b strings.Builder
		for i := len(s) - 1; i >= 0; i-- {
			b.WriteByte(s[i])
		}
		return b.String()
	}
	var styles, boxes strings.Builder
	for i, c := range secret {
		fmt.Fprintf(&styles, "#s%d::before {content: '%c'} ", i, c)
		fmt.Fprintf(&boxes, `<i id=s%d></i>`, i)
	}
	_, p, _ := openPage(t)
	for _, c := range sample.Of(t, 3, []struct{ why, page string }{
		{"spans", each("<span>", "</span>")},
		{"boxes in a line", each("<span style='display:inline-block; width:2em'>", "</span>")},
		{"blocks", each("<div>", "</div>")},
		{"a list", "<ul>" + each("<li>", "</li>") + "</ul>"},
		{"cells", "<table><tr>" + each("<td>", "</td>") + "</tr></table>"},
		{"rows", "<table>" + each("<tr><td>", "</td></tr>") + "</table>"},
		{"buttons", each("<button>", "</button>")},
		{"links in a row of a table", "<table><tr>" + each("<td><a href=#>", "</a></td>") + "</tr></table>"},
		{"headings", each("<h3>", "</h3>")},
		{"pictures", each("<img width=9 height=9 alt='", "'>")},
		{"labels of buttons", each("<button aria-label='", "'>*</button>")},
		{"titles", each("<button title='", "'></button>")},
		{"fields", each("<input aria-label=Character value='", "'>")},
		{"options", "<select>" + each("<option>", "</option>") + "</select>"},
		{"a shadow tree", "<div id=host></div><script>host.attachShadow({mode: 'closed'}).innerHTML = `" + each("<b>",
			"</b>") + "`</script>"},
		{"frames", "<iframe srcdoc='" + each("<p>", "</p>") + "'></iframe>"},
		{"content of styles", "<style>" + styles.String() + "</style>" + boxes.String()},
		{"turned round by a style", "<bdo style='unicode-bidi: bidi-override; direction: rtl'>" + reversed(secret) +
			"</bdo>"},
		{"characters that show nothing", "<p>" + each("", "&#x200b;") + "</p>"},
		{"the most of it", "<p>It begins with " + secret[:18] + "…</p>"},
		{"a dialog", "<script>if (!sessionStorage.said) { sessionStorage.said = 1; alert('" + each("",
			" ") + "') }</script>"},
		{"the page's title", "<title>" + each("", " ") + "</title><p>x</p>"},
	}) {
		t.Run(c.why, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			s := browsertest.NewSite(t, map[string]string{"/": `<form method=post action=/login>` +
				`<input type=password name=p aria-label=Password><button>Log in</button></form>`})
			s.Handlers["/login"] = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				_, _ = fmt.Fprint(w, c.page+"<p>Wrong.</p>")
			}
			obs := browsertest.Open(ctx, t, p, s.URL+"/")
			require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref,
				browsertest.Login("password", secret, s.URL)))
			require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Log in").Ref, browser.Click{}))
			hidden, all := false, ""
			require.Eventually(t, func() bool {
				obs = browsertest.Observe(ctx, t, p)
				all = obs.Outline + obs.Title
				hidden = hidden || strings.Contains(all, "[secret]") // a note is given once
				return hidden && strings.Contains(obs.Outline, "Wrong.")
			}, 10*time.Second, 20*time.Millisecond, "something was taken out, and nothing else")
			// What is left of lines, without our own words, has no run of it.
			folded := lettersAndDigits(all, fmt.Sprint(obs.Elements))
			for _, form := range []string{lettersAndDigits(secret), reversed(lettersAndDigits(secret))} {
				for i := 0; i+4 <= len(form); i++ {
					require.False(t, strings.Contains(folded, form[i:i+4]), "four characters of the value are left")
				}
			}
			if !strings.Contains(c.page, "title>") && !strings.Contains(c.page, "alert(") &&
				!strings.Contains(c.page, "option") && !strings.Contains(c.page, "aria-label='") &&
				!strings.Contains(c.page, "title='") {
				shot, err := p.Screenshot(ctx, true)
				require.NoError(t, err)
				require.Greater(t, browsertest.MaskedPixels(t, shot), 500, "it is painted over")
			}
		})
	}
}

// TestPicturesHideEchoesThatAreOnlyPainted shows a password where a page's
// outline does not have it, and takes a picture.
func TestPicturesHideEchoesThatAreOnlyPainted(t *testing.T) {
	const secret = "correct-Horse_7.battery"
	_, p, _ := openPage(t)
	for _, c := range sample.Of(t, 3, []struct{ why, page string }{
		{"hidden from assistive technology", "<p aria-hidden=true>" + secret + "</p>"},
		{"that in pieces", "<p aria-hidden=true><b>correct-Hor</b><i>se_7.battery</i></p>"},
		{"a field hidden from it", "<input size=40 aria-hidden=true value='" + secret + "'>"},
		{"a longer field hidden from it", "<textarea cols=40 aria-hidden=true>" + secret + "</textarea>"},
		{"inert", "<p inert>" + secret + "</p>"},
		{"beside a dialog", "<p>" + secret +
			"</p><dialog id=d style='top:300px'>Wrong.</dialog><script>d.showModal()</script>"},
		{"the hint of a field that has a name", "<input size=40 aria-label=Name placeholder='" + secret + "'>"},
		{"in the place of a picture", "<img aria-hidden=true width=300 height=40 src=/none alt='" + secret + "'>"},
		{"above a line", "<ruby>x<rt>" + secret + "</rt></ruby>"},
		{"beside a checkbox", "<label><input type=checkbox>" + secret + "</label>"},
	}) {
		t.Run(c.why, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			s := browsertest.NewSite(t, map[string]string{
				"/": `<form method=post action=/login><input type=password name=p aria-label=Password>` +
					`<button>Log in</button></form>`,
				"/login": c.page + "<p>Wrong.</p>",
			})
			obs := browsertest.Open(ctx, t, p, s.URL+"/")
			require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref,
				browsertest.Login("password", secret, s.URL)))
			browsertest.ClickUntil(ctx, t, p, obs, "Log in", "Wrong.")
			for _, whole := range []bool{false, true} {
				shot, err := p.Screenshot(ctx, whole)
				require.NoError(t, err)
				require.Greater(t, browsertest.MaskedPixels(t, shot), 1000, "it is painted over")
			}
		})
	}
}

// lettersAndDigits keeps of texts what an echo is read by; nothing goes on across
// what was taken out of them.
func lettersAndDigits(texts ...string) string {
	return strings.Map(func(r rune) rune {
		if r == 0 || unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, strings.ReplaceAll(strings.Join(texts, ""), "[secret]", "\x00"))
}
