package runtimes

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/doctext"
	"github.com/bctrl-go/bctrl/internal/server/files"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

const (
	// maxInlinePDF bounds a PDF that is returned in the result of its step, in bytes.
	maxInlinePDF = 8 << 20
	// maxPrintedText bounds what a PDF may say that is looked at, in bytes.
	maxPrintedText = 16 << 20
)

var errTooLongToRead = errors.New("the PDF says more than can be looked at")

func checkPDF(field string, o bctrl.PDFOptions) error {
	if err := o.Validate(); err != nil {
		return under(field, err)
	}
	return checkPath(field, o.Path)
}

// printPDF prints a page into storage, or for the caller.
func (s *Service) printPDF(
	ctx context.Context, x *execution, o bctrl.PDFOptions, _ func(string),
) (*bctrl.PDFResult, error) {
	page, err := s.page(ctx, x)
	if err != nil {
		return nil, err
	}
	pdf, err := page.PDF(ctx, browser.Printing{PDFOptions: o, Text: s.printedText})
	if err != nil {
		return nil, err
	}
	if o.Inline {
		if len(pdf) > maxInlinePDF {
			return nil, web.WithHint(web.TooLarge("page.pdf_too_large", "the PDF is over 8 MiB"),
				"keep it in storage, or print some of its pages: ranges")
		}
		return &bctrl.PDFResult{Data: pdf}, nil
	}
	f := files.Incoming{Path: o.Path, ContentType: "application/pdf", Source: bctrl.SourcePDF}
	if f.Path == "" {
		f.Path, f.Unique = "pdfs/"+x.rt.Alias+"-"+time.Now().UTC().Format("20060102T150405.000Z")+".pdf", true
	}
	object, err := s.putFile(ctx, x, f, bytes.NewReader(pdf))
	if err != nil {
		return nil, err
	}
	return &bctrl.PDFResult{Object: &object}, nil
}

// printedText reads all that a PDF says.
func (s *Service) printedText(ctx context.Context, pdf []byte) (string, error) {
	if len(pdf) > doctext.MaxBytes {
		return "", errTooLongToRead
	}
	read, err := s.documents.Read(ctx, pdf, maxPrintedText)
	if err == nil && read.Truncated {
		err = errTooLongToRead
	}
	return read.Text, err
}

// PDF implements [browser.Page].
func (p recordedPage) PDF(ctx context.Context, how browser.Printing) ([]byte, error) {
	if err := p.leaveOutside(ctx); err != nil {
		return nil, err
	}
	pdf, err := p.Page.PDF(ctx, how)
	return pdf, p.recordForbidden(ctx, access.RuntimeExecute, p.x.rt.ID, err)
}
