package files

import (
	"io"

	"github.com/gabriel-vasile/mimetype"
)

// beginning keeps the first bytes that are read through it, enough to tell a
// type by. Errors pass through it as they are.
type beginning struct {
	r    io.Reader
	head []byte
}

const headBytes = 3072 // what mimetype looks at

func (b *beginning) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if room := headBytes - len(b.head); room > 0 {
		b.head = append(b.head, p[:min(n, room)]...)
	}
	return n, err
}

// suggest returns the type that was given, or what the bytes look like.
func (b *beginning) suggest(given string) string {
	if given != "" && given != "application/octet-stream" {
		return given
	}
	return mimetype.Detect(b.head).String()
}
