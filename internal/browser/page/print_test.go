package page_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/doctext"
)

// TestAPageThatShowsWhatWasFilledIsNotPrinted logs in to pages that show the password on a
// screen, on paper alone, or beside the pages, and prints them.
func TestAPageThatShowsWhatWasFilledIsNotPrinted(t *testing.T) {
	t.Parallel()
	const secret = "correct-Horse_7.battery"
	spelled := func(before, after string) string {
		var b strings.Builder
		for _, c := range secret {
			b.WriteString(before + string(c) + after)
		}
		return b.String()
	}
	reader := doctext.NewReader()
	reads := 0
	text := func(ctx context.Context, pdf []byte) (string, error) {
		reads++
		read, err := reader.Read(ctx, pdf, 1<<20)
		return read.Text, err
	}
	_, p, _ := openPage(t)
	ctx := t.Context()
	var said string
	inner := browsertest.NewSite(t, nil)
	inner.Handlers["/in"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, "<p>", said)
	}
	s := browsertest.NewSite(t, map[string]string{"/": `<form method=post action=/login>` +
		`<input type=password name=p aria-label=Password><button>Log in</button></form>`})
	after := ""
	s.Handlers["/login"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprint(w, after, "<p>Welcome.</p>")
	}
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref,
		browsertest.Login("password", secret, s.URL)))
	pdf, err := p.PDF(ctx, browser.Printing{Text: text})
	require.NoError(t, err, "the login page itself holds what stands for the value")
	requireNoSecret(t, pdf, secret)
	keepForEyes(t, "login.pdf", pdf)

	said = secret
	for _, c := range []struct {
		page, why string
		printed   bool
	}{
		{page: "<h1>Your account</h1><a href=/next>Next</a>", printed: true, why: "an ordinary page"},
		{page: "<p>It is " + secret, why: "it stands on the page"},
		{page: spelled("<b>", "</b>"), why: "in pieces"},
		{page: `<style>p::after { content: attr(data-p) }</style><p data-p="` + secret + `">`,
			why: "a style prints an attribute"},
		{page: `<iframe srcdoc="<p>` + secret + `"></iframe>`, why: "in a frame"},
		{page: `<iframe src="` + inner.LocalhostURL() + `/in"></iframe>`, why: "in another site's frame"},
		{page: `<input aria-label=Note value="` + secret + `">`, why: "in a field"},
		{page: `<style>i { display: none } @media print { i { display: block } i::after { content: attr(title) } }</style>` +
			`<i title="` + secret + `"></i>`, why: "on paper alone"},
		{page: `<script>addEventListener("beforeprint", () => document.body.insertAdjacentHTML("beforeend", ` +
			`"<p id=now>" + ` + "`" + spelled("<b>", "</b> ") + "`" + `));` +
			`addEventListener("afterprint", () => now.remove())</script>`, why: "while it is printed, in pieces"},
		{page: `<a href="/next?p=` + secret + `">Next</a>`, why: "in a link"},
		{page: `<title>` + secret + `</title>`, why: "in the title"},
	} {
		after = c.page
		require.NoError(t, p.Goto(ctx, s.URL+"/login", bctrl.WaitLoad))
		pdf, err := p.PDF(ctx, browser.Printing{Text: text, PDFOptions: bctrl.PDFOptions{Background: true}})
		if c.printed {
			require.NoError(t, err, c.why)
			requireNoSecret(t, pdf, secret)
			continue
		}
		require.ErrorContains(t, err, browser.CodePDFRefused, c.why)
		require.Nil(t, pdf)
	}
	require.LessOrEqual(t, reads, 6, "what is refused anyway is not read")

	after = "<h1>Your account</h1>"
	require.NoError(t, p.Goto(ctx, s.URL+"/login", bctrl.WaitLoad))
	_, err = p.PDF(ctx, browser.Printing{Text: func(context.Context, []byte) (string, error) {
		return "", errors.New("unreadable")
	}})
	require.ErrorContains(t, err, browser.CodePDFRefused, "what cannot be read cannot be looked at")
	obs = browsertest.Open(ctx, t, p, s.URL+"/")
	direct := browsertest.Login("password", secret, s.URL)
	direct.Direct = true
	require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref, direct))
	_, err = p.PDF(ctx, browser.Printing{Text: text})
	require.ErrorContains(t, err, browser.CodePDFRefused, "the page has the value itself, and its length")
}

func requireNoSecret(t *testing.T, pdf []byte, secret string) {
	t.Helper()
	require.True(t, bytes.HasPrefix(pdf, []byte("%PDF-")))
	require.False(t, bytes.Contains(pdf, []byte(secret)))
}

// keepForEyes keeps a picture or document where BCTRL_KEEP_PRINTS says, for who wants to look.
func keepForEyes(t *testing.T, name string, b []byte) {
	t.Helper()
	if dir := os.Getenv("BCTRL_KEEP_PRINTS"); dir != "" {
		require.NoError(t, os.WriteFile(dir+"/"+name, b, 0o600))
	}
}

// mediaBox returns the size of a PDF's pages, in whole points.
func mediaBox(t *testing.T, pdf []byte) string {
	t.Helper()
	_, rest, found := bytes.Cut(pdf, []byte("/MediaBox [0 0 "))
	require.True(t, found)
	var width, height float64
	_, err := fmt.Sscanf(string(rest[:40]), "%g %g]", &width, &height)
	require.NoError(t, err)
	return fmt.Sprintf("%.0fx%.0f", width, height)
}

// TestAPageIsPrintedAsItIsAskedFor reads sizes and texts back from the PDF.
func TestAPageIsPrintedAsItIsAskedFor(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<title>Report</title><style>
		body { background: #fe9 } h1 { break-before: page }</style><p>first page<h1>second page</h1><h1>third page</h1>`})
	browsertest.Open(ctx, t, p, s.URL+"/")
	reader := doctext.NewReader()
	for _, c := range []struct {
		options  bctrl.PDFOptions
		box      string
		has, not []string
		why      string
	}{
		{bctrl.PDFOptions{}, "612x792", []string{"first page", "third page"}, nil, "letter"},
		{bctrl.PDFOptions{
			Paper: bctrl.PaperA4, Landscape: true, Ranges: "2-3", Scale: 0.5, Background: true,
			Margins: &bctrl.PDFMargins{Top: 1, Bottom: 1, Left: 1, Right: 1},
			Header:  `<span style="font-size:12px">Confidential <span class=title></span></span>`,
			Footer:  `<span style="font-size:12px">Leaf <span class=pageNumber></span></span>`,
		}, "842x596", []string{"second page", "Confidential Report", "Leaf 2"}, []string{"first page"}, "all"},
		{bctrl.PDFOptions{Width: 4, Height: 3}, "288x216", []string{"first page"}, nil, "a size of its own"},
	} {
		pdf, err := p.PDF(ctx, browser.Printing{PDFOptions: c.options})
		require.NoError(t, err, c.why)
		keepForEyes(t, c.why+".pdf", pdf)
		require.Equal(t, c.box, mediaBox(t, pdf), c.why)
		read, err := reader.Read(ctx, pdf, 1<<20)
		require.NoError(t, err)
		for _, text := range c.has {
			require.Contains(t, read.Text, text, c.why)
		}
		for _, text := range c.not {
			require.NotContains(t, read.Text, text, c.why)
		}
	}
	_, err := p.PDF(ctx, browser.Printing{PDFOptions: bctrl.PDFOptions{Ranges: "7"}})
	var e *bctrl.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, []string{"page.no_such_pages", "ranges"}, []string{e.Code, e.Field})
}
