// Package doctext reads documents that pages deliver as text: PDF, and everything that
// is text already.
//
// A document comes from a page, and a page may be hostile. PDFs are read by PDFium, the
// library that Chromium shows them with, compiled to WebAssembly and interpreted: it has
// no files, no network and bounded memory, whatever is in the document, and is stopped
// when its time is up.
package doctext

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// MaxBytes bounds a document.
const MaxBytes = 32 << 20

var (
	// ErrNotText is the error of a document that is neither a PDF nor text.
	ErrNotText = errors.New("the document is neither a PDF nor text")
	// ErrUnreadable is the error of a PDF that cannot be read: it is broken, asks for a
	// password, or takes too much time or memory.
	ErrUnreadable = errors.New("the PDF cannot be read")
)

// Text is what a document says.
type Text struct {
	Text string
	// Truncated reports that the document says more.
	Truncated bool
}

// Reader reads documents, PDFs one at a time: the library takes 200 MiB while it runs.
type Reader struct{ turn chan struct{} }

// NewReader makes a reader.
func NewReader() *Reader { return &Reader{make(chan struct{}, 1)} }

// Read reads a document of at most [MaxBytes], and returns at most limit bytes of what it
// says. Its kind is told from its bytes alone. A PDF without text, as one that is scanned,
// says nothing.
func (r *Reader) Read(ctx context.Context, document []byte, limit int) (Text, error) {
	if at := bytes.Index(document[:min(len(document), 1024)], []byte("%PDF-")); at >= 0 {
		return r.readPDF(ctx, document, limit)
	}
	text, ok := decode(document)
	if !ok {
		return Text{}, ErrNotText
	}
	return cut(text, limit), nil
}

// decode reads bytes as text: by its byte order mark, as UTF-8, else as Windows-1252,
// which every byte of a text of one byte a character has a meaning in.
func decode(document []byte) (string, bool) {
	if bytes.HasPrefix(document, []byte{0xff, 0xfe}) || bytes.HasPrefix(document, []byte{0xfe, 0xff}) {
		text, err := unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder().Bytes(document)
		return string(text), err == nil
	}
	if bytes.IndexByte(document, 0) >= 0 {
		return "", false
	}
	document = bytes.TrimPrefix(document, []byte("\ufeff"))
	if utf8.Valid(document) {
		return string(document), true
	}
	if controls := countControls(document); controls*100 > len(document) {
		return "", false
	}
	text, err := charmap.Windows1252.NewDecoder().Bytes(document)
	return string(text), err == nil
}

func countControls(document []byte) (n int) {
	for _, b := range document {
		if b < ' ' && b != '\n' && b != '\r' && b != '\t' && b != '\f' {
			n++
		}
	}
	return n
}

// cut cuts a text at a line, or where there is none, at a character.
func cut(text string, limit int) Text {
	if len(text) <= limit {
		return Text{Text: text}
	}
	text = text[:limit]
	if at := strings.LastIndexByte(text, '\n'); at > 0 {
		return Text{text[:at+1], true}
	}
	for len(text) > 0 && !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return Text{text, true}
}
