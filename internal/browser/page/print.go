package page

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdpio "github.com/chromedp/cdproto/io"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

const (
	// printTime bounds the printing of a page whose context has no deadline.
	printTime = 2 * time.Minute
	// defaultMargin is that of a PDF which does not say, in inches: 1 cm.
	defaultMargin = 1 / 2.54
	// noTemplate stands for a header or footer that is not given: without one the browser
	// prints its own.
	noTemplate = "<span></span>"
)

// PDF prints the page. See [browser.Printer].
//
// Boxes move as a page is laid out for paper, so nothing is painted over: the page is
// refused where it shows something filled. It is looked at before and after, and so is
// what the PDF says, since a page may show on paper what it does not show on a screen.
func (s *Set) PDF(ctx context.Context, how browser.Printing) ([]byte, error) {
	limit := printTime
	if deadline, ok := ctx.Deadline(); ok {
		limit = time.Until(deadline)
	}
	var pdf []byte
	err := s.run(ctx, limit, false, func(ctx context.Context, t *tab) error {
		if err := t.checkPrintable(ctx); err != nil {
			return err
		}
		printed, err := t.print(ctx, how)
		if err != nil {
			return err
		}
		if s.hasFilled() {
			if err := errors.Join(t.checkPrintable(ctx), s.CheckPrinted(ctx, printed, how.Text)); err != nil {
				return err
			}
		}
		pdf = printed
		return nil
	})
	return pdf, err
}

func errPrintRefused() error {
	return browser.Forbidden(browser.CodePDFRefused,
		"the page shows what was filled from the vault, or may show it on paper",
		"print another page, or take a picture, in which it is painted over")
}

// checkPrintable refuses a page that shows something filled, or one of whose documents holds
// a value itself.
func (t *tab) checkPrintable(ctx context.Context) error {
	if !t.set.hasFilled() {
		return nil
	}
	tree, err := t.frameTree(ctx)
	if err != nil {
		return err
	}
	painted := map[*session]map[cdp.FrameID]paintedTexts{}
	for _, f := range tree.order {
		if t.holdsValue(f) {
			return errPrintRefused()
		}
		if painted[f.session] != nil {
			continue
		}
		if painted[f.session], err = paintedBy(ctx, f.session); err != nil {
			return err
		}
		for _, texts := range painted[f.session] {
			// A password field shows dots, as many as what stands for the value is long.
			fields := slices.DeleteFunc(t.nodesEchoing(texts.fields), func(id cdp.BackendNodeID) bool {
				return slices.Contains(texts.passwords, id)
			})
			if len(fields)+len(t.nodesEchoing(texts.laidOut)) > 0 {
				return errPrintRefused()
			}
		}
	}
	return nil
}

// CheckPrintable refuses to have a tab printed for a client where [Set.PDF] would refuse it
// before it is printed, and after.
func (s *Set) CheckPrintable(ctx context.Context, id target.ID) error {
	if !s.hasFilled() {
		return nil
	}
	s.mu.Lock()
	t := s.tabOf(id)
	s.mu.Unlock()
	if t == nil {
		return errPrintRefused()
	}
	return t.checkPrintable(ctx)
}

// holdsValue reports whether a frame's document holds a value itself.
func (t *tab) holdsValue(f *frame) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.direct[f.document()]
}

// CheckPrinted refuses a PDF that says something filled: on its pages, whose text is read by
// read, or in its title, links and other texts beside them.
func (s *Set) CheckPrinted(
	ctx context.Context, pdf []byte, read func(context.Context, []byte) (string, error),
) error {
	for _, text := range stringsOf(pdf) {
		plain, err := url.QueryUnescape(text)
		if s.scrub.Text(text) != text || err == nil && s.scrub.Text(plain) != plain {
			return errPrintRefused()
		}
	}
	if read == nil {
		return errPrintRefused()
	}
	said, err := read(ctx, pdf)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil || s.scrub.Text(said) != said {
		return errPrintRefused()
	}
	return nil
}

// print prints the page as it is.
func (t *tab) print(ctx context.Context, how browser.Printing) ([]byte, error) {
	got, err := protocol.Call(ctx, t.session, page.PrintToPDF, printParams(how))
	if err != nil {
		if strings.Contains(err.Error(), "Page range") {
			e := browser.BadRequest("page.no_such_pages", "the page has no such pages on paper",
				"leave ranges out to see how many it has")
			e.Field = "ranges"
			return nil, e
		}
		return nil, fmt.Errorf("printing the page: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), frameTimeout)
		defer cancel()
		// It fails when the tab is gone, and the stream with it.
		_ = protocol.Tell(ctx, t.session, cdpio.Close, cdpio.CloseParams{Handle: got.Stream})
	}()
	var pdf bytes.Buffer
	for {
		part, err := protocol.Call(ctx, t.session, cdpio.Read, cdpio.ReadParams{Handle: got.Stream, Size: 1 << 20})
		if err != nil {
			return nil, fmt.Errorf("reading the printed page: %w", err)
		}
		if pdf.Write(part.Data); pdf.Len() > browser.MaxPDF {
			return nil, browser.TooLarge("page.pdf_too_large", "the page is over 64 MiB on paper",
				"print some of its pages: ranges")
		}
		if part.EOF {
			return pdf.Bytes(), nil
		}
	}
}

func printParams(how browser.Printing) page.PrintToPDFParams {
	no := false
	margins := [4]float64{defaultMargin, defaultMargin, defaultMargin, defaultMargin}
	if m := how.Margins; m != nil {
		margins = [4]float64{m.Top, m.Right, m.Bottom, m.Left}
	}
	upright := how.PDFOptions
	upright.Landscape = false // the browser turns the paper
	width, height := upright.Size()
	headed := how.Header != "" || how.Footer != ""
	params := page.PrintToPDFParams{
		Landscape:           &how.Landscape,
		DisplayHeaderFooter: &headed,
		PrintBackground:     &how.Background,
		Scale:               how.Scale,
		PaperWidth:          width,
		PaperHeight:         height,
		MarginTop:           &margins[0],
		MarginRight:         &margins[1],
		MarginBottom:        &margins[2],
		MarginLeft:          &margins[3],
		PageRanges:          how.Ranges,
		HeaderTemplate:      how.Header,
		FooterTemplate:      how.Footer,
		PreferCSSPageSize:   &how.PageSize,
		TransferMode:        page.PrintToPDFTransferModeReturnAsStream,
		// What only programs see of a PDF could repeat what was filled.
		GenerateTaggedPDF:       &no,
		GenerateDocumentOutline: &no,
	}
	if params.HeaderTemplate == "" {
		params.HeaderTemplate = noTemplate
	}
	if params.FooterTemplate == "" {
		params.FooterTemplate = noTemplate
	}
	return params
}
