package bctrl

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// PDFOptions are how a page is printed, and the arguments of [CallPDF]. The zero value is
// letter paper with margins of a centimetre, kept in the mounted storage under a name that
// the server chooses.
type PDFOptions struct {
	// Path is where the PDF goes in the mounted namespace; empty lets the server choose a
	// name below "pdfs/".
	Path string `json:"path,omitempty"`
	// Inline returns the bytes, at most 8 MiB, and keeps nothing.
	Inline bool `json:"inline,omitempty"`
	// Paper is the size of the pages; empty is [PaperLetter], or what Width and Height say.
	Paper PaperSize `json:"paper,omitempty"`
	// Width and Height of the pages in inches, at most 200; both or neither are given.
	Width  float64 `json:"width,omitempty"`
	Height float64 `json:"height,omitempty"`
	// PageSize prints on the size of paper that the page's own style names, where it does.
	PageSize bool `json:"preferPageSize,omitempty"`
	// Margins around each page; nil is 1 cm on each side.
	Margins   *PDFMargins `json:"margins,omitempty"`
	Landscape bool        `json:"landscape,omitempty"`
	// Background prints the colours and pictures behind the text too.
	Background bool `json:"background,omitempty"`
	// Scale is 0.1 to 2; zero is 1.
	Scale float64 `json:"scale,omitempty"`
	// Ranges are the pages to print, "1-3, 5"; empty is all.
	Ranges string `json:"ranges,omitempty"`
	// Header and Footer are HTML for the top and bottom margin of each page, at most
	// 16 KiB each. In it, elements with the classes date, title, url, pageNumber and
	// totalPages are filled. They are as small as the margin leaves them room, and have
	// styles of their own: begin with a font size.
	Header string `json:"header,omitempty"`
	Footer string `json:"footer,omitempty"`
}

// PDFMargins are margins in inches.
type PDFMargins struct {
	Top    float64 `json:"top"`
	Right  float64 `json:"right"`
	Bottom float64 `json:"bottom"`
	Left   float64 `json:"left"`
}

// PaperSize names a size of paper.
type PaperSize string

// The sizes of paper.
const (
	PaperLetter  PaperSize = "letter"
	PaperLegal   PaperSize = "legal"
	PaperTabloid PaperSize = "tabloid"
	PaperLedger  PaperSize = "ledger"
	PaperA0      PaperSize = "a0"
	PaperA1      PaperSize = "a1"
	PaperA2      PaperSize = "a2"
	PaperA3      PaperSize = "a3"
	PaperA4      PaperSize = "a4"
	PaperA5      PaperSize = "a5"
	PaperA6      PaperSize = "a6"
)

// Inches returns the width and height of upright paper; zero where there is no such size.
func (p PaperSize) Inches() (width, height float64) {
	const mm = 1 / 25.4
	switch p {
	case "", PaperLetter:
		return 8.5, 11
	case PaperLegal:
		return 8.5, 14
	case PaperTabloid:
		return 11, 17
	case PaperLedger:
		return 17, 11
	case PaperA0:
		return 841 * mm, 1189 * mm
	case PaperA1:
		return 594 * mm, 841 * mm
	case PaperA2:
		return 420 * mm, 594 * mm
	case PaperA3:
		return 297 * mm, 420 * mm
	case PaperA4:
		return 210 * mm, 297 * mm
	case PaperA5:
		return 148 * mm, 210 * mm
	case PaperA6:
		return 105 * mm, 148 * mm
	}
	return 0, 0
}

// PDFResult is a page as a PDF: an object of storage, or with [PDFOptions.Inline] its bytes.
type PDFResult struct {
	Object *StorageObject `json:"object,omitempty"`
	Data   []byte         `json:"data,omitempty"`
}

// The limits of [PDFOptions].
const (
	maxPaperInches = 200
	maxPDFTemplate = 16 << 10
	maxPDFRanges   = 100
	maxPDFPage     = 100_000
)

// Validate refuses what cannot be printed, each with a code that names its field:
// executions.invalid_paper, .invalid_margins, .invalid_scale, .invalid_ranges,
// .invalid_template and .two_at_once. The server checks the path.
func (o PDFOptions) Validate() error {
	invalid := func(code, field, message string) error {
		return refusal(http.StatusBadRequest, code, field, message)
	}
	if o.Path != "" && o.Inline {
		return invalid("executions.two_at_once", "inline", "a PDF is kept under a path, or returned")
	}
	if err := o.checkPaper(); err != nil {
		return err
	}
	if o.Scale != 0 && !(o.Scale >= 0.1 && o.Scale <= 2) { // so that NaN is refused too
		return invalid("executions.invalid_scale", "scale", "the scale must be 0.1 to 2")
	}
	if !validPageRanges(o.Ranges) {
		return invalid("executions.invalid_ranges", "ranges",
			fmt.Sprintf("ranges must be pages from 1 on, as 1-3, 5: at most %d of them", maxPDFRanges))
	}
	for _, t := range []struct{ field, html string }{{"header", o.Header}, {"footer", o.Footer}} {
		if len(t.html) > maxPDFTemplate {
			return invalid("executions.invalid_template", t.field,
				fmt.Sprintf("the %s must be HTML of at most %d bytes", t.field, maxPDFTemplate))
		}
	}
	return nil
}

// Size returns the width and height of the pages in inches, as they are printed.
func (o PDFOptions) Size() (width, height float64) {
	width, height = o.Paper.Inches()
	if o.Width != 0 || o.Height != 0 {
		width, height = o.Width, o.Height
	}
	if o.Landscape {
		width, height = height, width
	}
	return width, height
}

func (o PDFOptions) checkPaper() error {
	invalid := func(field, message string) error {
		return refusal(http.StatusBadRequest, "executions.invalid_paper", field, message)
	}
	if w, _ := o.Paper.Inches(); w == 0 {
		return invalid("paper", "the paper must be letter, legal, tabloid, ledger, or a0 to a6")
	}
	if own := o.Width != 0 || o.Height != 0; own {
		if o.Paper != "" {
			return invalid("width", "the paper has a width and a height already")
		}
		for _, side := range []struct {
			field  string
			inches float64
		}{{"width", o.Width}, {"height", o.Height}} {
			if !(side.inches > 0 && side.inches <= maxPaperInches) { // so that NaN is refused too
				return invalid(side.field,
					fmt.Sprintf("the %s must be more than 0 and at most %d inches", side.field, maxPaperInches))
			}
		}
	}
	if o.Margins == nil {
		return nil
	}
	width, height := o.Size()
	m := *o.Margins
	for _, side := range []struct {
		field        string
		inches, room float64
	}{
		{"margins.top", m.Top, height},
		{"margins.right", m.Right, width},
		{"margins.bottom", m.Bottom, height - m.Top},
		{"margins.left", m.Left, width - m.Right},
	} {
		if !(side.inches >= 0 && side.inches < side.room) { // so that NaN is refused too
			return refusal(http.StatusBadRequest, "executions.invalid_margins", side.field,
				"margins must not be negative, and leave some of the page")
		}
	}
	return nil
}

// validPageRanges reports whether text is "1-3, 5" or the like, or empty.
func validPageRanges(text string) bool {
	if text == "" {
		return true
	}
	parts := strings.Split(text, ",")
	if len(parts) > maxPDFRanges {
		return false
	}
	for _, part := range parts {
		first, last, isRange := strings.Cut(part, "-")
		from, ok := pageNumber(first)
		to := from
		if isRange && ok {
			to, ok = pageNumber(last)
		}
		if !ok || to < from {
			return false
		}
	}
	return true
}

func pageNumber(text string) (int, bool) {
	text = strings.Trim(text, " ")
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 1 && n <= maxPDFPage && strings.Trim(text, "0123456789") == ""
}

// PDF prints the page, with what its style says about paper, and keeps the PDF in the
// mounted storage namespace or returns it.
//
// A page that shows what was filled from the vault is not printed: on paper there is no
// box to paint over. It is refused with "page.pdf_refused", which is recorded, also where
// the value stands in a frame, in a link or in the title.
//
// Access: runtime.execute
func (p *BrowserPage) PDF(ctx context.Context, options PDFOptions, opts ...CallOption) (*PDFResult, error) {
	step, err := PDFStep(options)
	if err != nil {
		return nil, err
	}
	if !options.Inline && p.rt.Storage.Namespace() == "" {
		return nil, outside(PutStorage, "the mounts permit no storage to put the PDF in",
			"mount storage at the workspace, and do not drop it at the runtime; or ask for the bytes with Inline")
	}
	return step1[PDFResult](ctx, p.rt, step, opts)
}
