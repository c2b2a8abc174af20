package devtools

import (
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"time"

	"github.com/chromedp/cdproto/cdp/jsonv2"
	cdpio "github.com/chromedp/cdproto/io"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// Where anything was filled in the browser, a page is printed in its client's place: it is
// looked at before and after, and the PDF is read, as the server's own are.

// printTime bounds that.
const printTime = 2 * time.Minute

// printPage permits the printing of a page while nothing was filled, and does it in the
// client's place else.
func printPage(ctx context.Context, f *filter, in target.SessionID, p params) error {
	if count, _ := f.client.Fills(); count == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, printTime)
	defer cancel()
	printed, err := f.client.printUnfilled(ctx, in, p)
	if err != nil {
		return err
	}
	if s := f.rememberStream(printed); s != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		s.rewind = true
	}
	return answer(printed)
}

func (c servedClient) printUnfilled(
	ctx context.Context, in target.SessionID, p params,
) (printed jsonv2.Value, err error) {
	c.m.mu.Lock()
	s := c.m.sessions[in]
	own := in != "" && s != nil && s.client == c.Client
	c.m.mu.Unlock()
	if !own {
		return nil, errors.New(notOwn + "the session is not one of this client")
	}
	if err := c.CheckPrintable(ctx, s.target); err != nil {
		return nil, err
	}
	p = maps.Clone(p)
	// What only programs see of a PDF could repeat what was filled.
	p["generateTaggedPDF"], p["generateDocumentOutline"] = jsonv2.Value("false"), jsonv2.Value("false")
	if err := c.m.callIn(ctx, in, page.CommandPrintToPDF, p, &printed); err != nil {
		return nil, err
	}
	if err := c.CheckPrintable(ctx, s.target); err != nil {
		return nil, err
	}
	pdf, err := c.readPrinted(ctx, in, printed)
	if err != nil {
		return nil, err
	}
	var read func(context.Context, []byte) (string, error)
	if c.rights != nil {
		read = c.rights.PrintedText
	}
	return printed, c.CheckPrinted(ctx, pdf, read)
}

// errPDFTooLarge refuses a PDF that is not read whole.
var errPDFTooLarge = browser.TooLarge("page.pdf_too_large", "the page is over 64 MiB on paper",
	"print some of its pages")

// readPrinted reads the PDF that the browser has answered with, from a stream where the client
// wants one.
func (c servedClient) readPrinted(
	ctx context.Context, in target.SessionID, printed jsonv2.Value,
) (pdf []byte, err error) {
	var result page.PrintToPDFResult
	if err := jsonv2.Unmarshal(printed, &result); err != nil {
		return nil, err
	}
	if result.Stream == "" {
		if len(result.Data) > browser.MaxPDF {
			return nil, errPDFTooLarge
		}
		return result.Data, nil
	}
	for {
		var part struct {
			Data          string `json:"data"`
			Base64Encoded bool   `json:"base64Encoded"`
			EOF           bool   `json:"eof"`
		}
		err := c.m.callIn(ctx, in, cdpio.CommandRead, cdpio.ReadParams{Handle: result.Stream, Size: 1 << 20}, &part)
		if err != nil {
			return nil, err
		}
		text := []byte(part.Data)
		if part.Base64Encoded {
			if text, err = base64.StdEncoding.DecodeString(part.Data); err != nil {
				return nil, err
			}
		}
		if pdf = append(pdf, text...); len(pdf) > browser.MaxPDF {
			return nil, errPDFTooLarge
		}
		if part.EOF {
			return pdf, nil
		}
	}
}
