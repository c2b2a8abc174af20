package names

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The limits of storage paths, in bytes.
const (
	MaxPathBytes        = 1024
	MaxPathSegmentBytes = 255
)

var (
	errPathTooLong        = errors.New("it is longer than 1024 bytes")
	errPathSegmentTooLong = errors.New("a segment is longer than 255 bytes")
	errPathUTF8           = errors.New("it is not valid UTF-8")
	errBackslash          = errors.New(`it holds a \`)
	errControl            = errors.New("it holds a control character or a line separator")
	errInvisible          = errors.New("it holds a bidi or zero-width character")
)

// StoragePath checks the path of a file in a namespace: at most 1024 bytes of
// UTF-8 in segments of 1 to 255 bytes, none . or .., without backslash,
// control, bidi or zero-width characters. It does not normalise: the server
// brings a path to NFC first, and checks what came out.
func StoragePath(path string) error {
	if path == "" {
		return errEmpty
	}
	if len(path) > MaxPathBytes {
		return errPathTooLong
	}
	if !utf8.ValidString(path) {
		return errPathUTF8
	}
	for segment := range strings.SplitSeq(path, "/") {
		switch {
		case segment == "":
			return errEmptySegment
		case segment == "." || segment == "..":
			return errDotSegment
		case len(segment) > MaxPathSegmentBytes:
			return errPathSegmentTooLong
		}
	}
	for _, r := range path {
		if err := pathRune(r); err != nil {
			return err
		}
	}
	return nil
}

// StoragePathBeforeNFC is [StoragePath] for who cannot normalise. A path that is too
// long and not ASCII may be short enough once it is in NFC, where one character can
// have a third of the bytes, so that its length is left to the server.
func StoragePathBeforeNFC(path string) error {
	err := StoragePath(path)
	ascii := !strings.ContainsFunc(path, func(r rune) bool { return r > unicode.MaxASCII })
	if !ascii && (err == errPathTooLong || err == errPathSegmentTooLong) {
		return nil
	}
	return err
}

// StorageRune reports whether a storage path can hold a character.
func StorageRune(r rune) bool { return pathRune(r) == nil }

func pathRune(r rune) error {
	switch {
	case r == '\\':
		return errBackslash
	case r >= ' ' && r <= '~': // what nearly every path is made of
		return nil
	case unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp):
		return errControl
	case invisible(r):
		return errInvisible
	}
	return nil
}

// invisible reports whether r has no width or turns the text around it: what
// makes "invoice" + U+202E + "fdp.exe" look like another file. These are the format
// characters (category Cf, which holds all of Bidi_Control, UAX #9 and
// "zero width" ones) and the other code points that Unicode tells renderers to
// ignore (Other_Default_Ignorable_Code_Point, PropList.txt). Signs such as
// U+0600 are in Cf but have a glyph (Prepended_Concatenation_Mark). Variation
// selectors pass: they choose the glyph of the character before them, as in U+2764 U+FE0F.
func invisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point) &&
		!unicode.Is(unicode.Prepended_Concatenation_Mark, r)
}
