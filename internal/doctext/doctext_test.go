package doctext_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl/internal/doctext"
	"github.com/bctrl-go/bctrl/internal/sample"
)

// pdfOf writes a PDF of pages with a line of text each.
func pdfOf(pages ...string) []byte {
	var out bytes.Buffer
	var offsets []int
	object := func(text string) {
		offsets = append(offsets, out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n%s\nendobj\n", len(offsets), text)
	}
	out.WriteString("%PDF-1.4\n")
	object("<< /Type /Catalog /Pages 2 0 R >>")
	var kids []string
	for i := range pages {
		kids = append(kids, fmt.Sprintf("%d 0 R", 4+2*i))
	}
	object(fmt.Sprintf("<< /Type /Pages /Kids [%s] /Count %d >>", strings.Join(kids, " "), len(pages)))
	object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
	for i, text := range pages {
		content := "BT /F1 24 Tf 72 700 Td (" + text + ") Tj ET"
		object(fmt.Sprintf("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "+
			"/Resources << /Font << /F1 3 0 R >> >> >>", 5+2*i))
		object(fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(content), content))
	}
	at := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, offset := range offsets {
		fmt.Fprintf(&out, "%010d 00000 n \n", offset)
	}
	fmt.Fprintf(&out, "trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF", len(offsets)+1, at)
	return out.Bytes()
}

func TestAPDFIsReadPageByPage(t *testing.T) {
	got, err := doctext.NewReader().Read(t.Context(), pdfOf("Invoice 4711", "Total 120.50 EUR"), 1<<20)
	require.NoError(t, err)
	require.Equal(t, doctext.Text{Text: "Page 1 of 2\nInvoice 4711\n\nPage 2 of 2\nTotal 120.50 EUR\n"}, got)
	got, err = doctext.NewReader().Read(t.Context(), pdfOf("Invoice 4711", "Total 120.50 EUR"), 30)
	require.NoError(t, err)
	require.Equal(t, doctext.Text{Text: "Page 1 of 2\nInvoice 4711\n\n", Truncated: true}, got)
}

func TestABrokenOrHostilePDFEndsWithAnError(t *testing.T) {
	whole := string(pdfOf("Invoice"))
	documents := map[string]string{
		"a beginning and no more":      "%PDF-1.7\n",
		"cut in the middle":            whole[:60],
		"pages that hold themselves":   strings.Replace(whole, "/Kids [4 0 R]", "/Kids [2 0 R]", 1),
		"a count without end":          strings.Replace(whole, "/Count 1", "/Count 999999999", 1),
		"a content of its own page":    strings.Replace(whole, "/Contents 5 0 R", "/Contents 4 0 R", 1),
		"an xref that leads to itself": strings.Replace(whole, "trailer <<", "trailer << /Prev 9", 1),
		"a length beyond any":          strings.Replace(whole, "/Length ", "/Length 99999999999", 1),
		"a filter of a filter": strings.Replace(whole, "<< /Length",
			"<< /Filter [/FlateDecode /FlateDecode] /Length", 1),
		"nothing but noise after magic": "%PDF-1.4\n" + strings.Repeat("<<[(", 10_000),
	}
	for _, why := range sample.Of(t, 3, slices.Sorted(maps.Keys(documents))) {
		document := documents[why]
		begun := time.Now()
		got, err := doctext.NewReader().Read(t.Context(), []byte(document), 1<<16)
		if err != nil {
			require.ErrorIs(t, err, doctext.ErrUnreadable, why)
		}
		require.LessOrEqual(t, len(got.Text), 1<<16, why)
		t.Log(why, time.Since(begun).Round(time.Millisecond), err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := doctext.NewReader().Read(cancelled, []byte(whole), 100)
	require.ErrorIs(t, err, context.Canceled)
	ending, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = doctext.NewReader().Read(ending, pdfOf(slices.Repeat([]string{"page"}, 3000)...), 1<<20)
	require.ErrorIs(t, err, context.DeadlineExceeded, "also in the middle of it")
}

func TestWhatIsTextIsReadAsItIs(t *testing.T) {
	for _, c := range []struct{ why, document, want string }{
		{"CSV", "a,b\n1,2\n", "a,b\n1,2\n"},
		{"JSON", `{"a": "ä"}`, `{"a": "ä"}`},
		{"a mark of UTF-8", "\ufeffa", "a"},
		{"UTF-16", "\xff\xfea\x00\xe4\x00", "aä"},
		{"Windows-1252", "Stra\xdfe: 5 \x80", "Straße: 5 €"},
		{"nothing", "", ""},
	} {
		got, err := doctext.NewReader().Read(t.Context(), []byte(c.document), 100)
		require.NoError(t, err, c.why)
		require.Equal(t, doctext.Text{Text: c.want}, got, c.why)
	}
	for why, document := range map[string]string{
		"a picture": "\x89PNG\r\n\x1a\n\x00\x00", "a zip": "PK\x03\x04\x14\x00", "noise": "\x01\x02\xfe\xff\x03",
	} {
		_, err := doctext.NewReader().Read(t.Context(), []byte(document), 100)
		require.ErrorIs(t, err, doctext.ErrNotText, why)
	}
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(0, 50).Draw(t, "limit")
		text := rapid.String().Draw(t, "text")
		got, err := doctext.NewReader().Read(context.Background(), []byte(text), limit)
		if err == nil {
			require.LessOrEqual(t, len(got.Text), limit)
			require.Equal(t, got.Truncated, len(strings.TrimPrefix(text, "\ufeff")) > limit)
		}
	})
}
