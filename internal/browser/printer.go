package browser

import (
	"context"

	"github.com/bctrl-go/bctrl"
)

// MaxPDF bounds a PDF of a page, in bytes.
const MaxPDF = 64 << 20

// CodePDFRefused is the code of a page that is not printed because it shows what was
// filled.
const CodePDFRefused = "page.pdf_refused"

// Printing is how a page is printed.
type Printing struct {
	bctrl.PDFOptions
	// Text reads what a PDF says, whole. It is asked where something was filled in the
	// browser, and an error refuses the PDF: what cannot be read cannot be looked at.
	Text func(ctx context.Context, pdf []byte) (string, error)
}

// Printer prints pages.
type Printer interface {
	// PDF prints the page. One that shows what was filled is [CodePDFRefused], pages that it
	// does not have are "page.no_such_pages", and what is over [MaxPDF] is
	// "page.pdf_too_large".
	PDF(ctx context.Context, how Printing) ([]byte, error)
}
