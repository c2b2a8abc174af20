package doctext

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/klippa-app/go-pdfium"
	"github.com/klippa-app/go-pdfium/requests"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

const (
	// pdfTime bounds the reading of one PDF, of which a page takes a fifth of a
	// second.
	pdfTime = 30 * time.Second
	// startTime is how long the library may take to start, which it does anew for
	// each document.
	startTime = 20 * time.Second
	// pdfMemory is what it may have, in pages of 64 KiB: 256 MiB.
	pdfMemory = 4096
)

func (r *Reader) readPDF(ctx context.Context, document []byte, limit int) (out Text, err error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return Text{}, ctx.Err()
	}
	defer func() {
		if recover() != nil { // of the library around the sandbox
			err = ErrUnreadable
		}
		if err != nil && ctx.Err() != nil {
			err = ctx.Err()
		}
	}()
	within, cancel := context.WithTimeout(ctx, startTime+pdfTime)
	defer cancel()
	pool, err := webassembly.Init(webassembly.Config{
		Context:  within,
		MaxIdle:  1,
		MaxTotal: 1,
		Stdout:   io.Discard,
		Stderr:   io.Discard,
		FSConfig: wazero.NewFSConfig(), // without it the library sees every file of the machine
		RuntimeConfig: wazero.NewRuntimeConfigInterpreter().
			WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesExceptionHandling).
			WithMemoryLimitPages(pdfMemory).
			WithCloseOnContextDone(true),
	})
	if err != nil {
		return Text{}, fmt.Errorf("start the library that reads PDFs: %w", err)
	}
	defer func() { _ = pool.Close() }() // whatever it says, the sandbox is gone
	library, err := pool.GetInstance(startTime)
	if err != nil {
		return Text{}, fmt.Errorf("start the library that reads PDFs: %w", err)
	}
	return pagesOf(library, document, limit)
}

// pagesOf reads the pages of a PDF until there is enough. What was read before one that
// cannot be read is what there is.
func pagesOf(library pdfium.Pdfium, document []byte, limit int) (Text, error) {
	opened, err := library.OpenDocument(&requests.OpenDocument{File: &document})
	if err != nil {
		return Text{}, ErrUnreadable
	}
	count, err := library.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: opened.Document})
	if err != nil {
		return Text{}, ErrUnreadable
	}
	var b strings.Builder
	until := time.Now().Add(pdfTime)
	for i := range count.PageCount {
		if b.Len() > limit || time.Now().After(until) {
			return Text{cut(b.String(), limit).Text, true}, nil
		}
		page, err := library.GetPageText(&requests.GetPageText{
			Page: requests.Page{ByIndex: &requests.PageByIndex{Document: opened.Document, Index: i}},
		})
		if err != nil {
			if i == 0 {
				return Text{}, ErrUnreadable
			}
			b.WriteString("\nThe pages from here on cannot be read.\n")
			return Text{cut(b.String(), limit).Text, true}, nil
		}
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "Page %d of %d\n%s\n", i+1, count.PageCount, strings.ReplaceAll(page.Text, "\r\n", "\n"))
	}
	return cut(b.String(), limit), nil
}
