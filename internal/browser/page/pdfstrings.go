package page

import (
	"bytes"
	"encoding/hex"
	"strings"
	"unicode/utf16"
)

// stringsOf returns the strings of a PDF that stand outside its streams: its title, the
// addresses of its links, what stands for pictures (ISO 32000-1 §7.3.4). Whatever is not
// understood is passed over; what the pages show is in streams, and read by others.
func stringsOf(pdf []byte) (all []string) {
	for len(pdf) > 0 {
		at := bytes.IndexAny(pdf, "(<s")
		if at < 0 {
			return all
		}
		pdf = pdf[at:]
		switch {
		case pdf[0] == '(':
			text, rest := literalString(pdf[1:])
			all, pdf = append(all, decodeString(text)), rest
		case bytes.HasPrefix(pdf, []byte("stream\n")) || bytes.HasPrefix(pdf, []byte("stream\r")):
			end := bytes.Index(pdf, []byte("endstream"))
			if end < 0 {
				return all
			}
			pdf = pdf[end+len("endstream"):]
		case bytes.HasPrefix(pdf, []byte("<<")):
			pdf = pdf[2:]
		case pdf[0] == '<':
			end := bytes.IndexByte(pdf, '>')
			if end < 0 {
				return all
			}
			if text, err := hex.DecodeString(string(bytes.Join(bytes.Fields(pdf[1:end]), nil))); err == nil {
				all = append(all, decodeString(text))
			}
			pdf = pdf[end+1:]
		default:
			pdf = pdf[1:]
		}
	}
	return all
}

// literalString reads a string up to the parenthesis that ends it.
func literalString(pdf []byte) (text, rest []byte) {
	depth := 1
	for i := 0; i < len(pdf); i++ {
		switch c := pdf[i]; c {
		case '(':
			depth++
			text = append(text, c)
		case ')':
			if depth--; depth == 0 {
				return text, pdf[i+1:]
			}
			text = append(text, c)
		case '\\':
			if i+1 == len(pdf) {
				return text, nil
			}
			i++
			var used int
			text, used = escaped(text, pdf[i:])
			i += used - 1
		default:
			text = append(text, c)
		}
	}
	return text, nil
}

// escaped adds the character that an escape stands for, and returns how long that is.
func escaped(text, pdf []byte) ([]byte, int) {
	if at := strings.IndexByte("nrtbf", pdf[0]); at >= 0 {
		return append(text, "\n\r\t\b\f"[at]), 1
	}
	n, used := 0, 0
	for used < min(3, len(pdf)) && pdf[used] >= '0' && pdf[used] <= '7' {
		n = n*8 + int(pdf[used]-'0')
		used++
	}
	switch {
	case used > 0:
		return append(text, byte(n)), used
	case pdf[0] == '\n':
		return text, 1
	}
	return append(text, pdf[0]), 1
}

// decodeString returns the text of a string: UTF-16 where it begins with its mark, else as
// it is.
func decodeString(b []byte) string {
	if len(b) < 2 || b[0] != 0xfe || b[1] != 0xff {
		return string(b)
	}
	units := make([]uint16, 0, len(b)/2)
	for i := 2; i+1 < len(b); i += 2 {
		units = append(units, uint16(b[i])<<8|uint16(b[i+1]))
	}
	return string(utf16.Decode(units))
}
