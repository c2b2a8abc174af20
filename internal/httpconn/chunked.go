package httpconn

import "math"

// chunked follows a chunked body (RFC 9112 §7.1) as far as is needed to know
// where it ends. What is no chunked body is for net/http to refuse; a body that
// it refuses ends the connection.
type chunked struct {
	at stage
	// size is that of the chunk whose line is read, then what is left of it and
	// the line end behind it.
	size int64
	// extended is set behind the digits.
	extended bool
	line     lineState
	over     bool
}

type stage uint8

const (
	inSize stage = iota
	inData
	inTrailer
)

// data is how many bytes follow that are the chunk's for sure.
func (c *chunked) data() int64 {
	if c.at != inData {
		return 0
	}
	return c.size
}

// skip passes over n bytes of data.
func (c *chunked) skip(n int64) {
	if c.size -= n; c.size == 0 {
		*c = chunked{}
	}
}

// upTo returns how much of text is the body's.
func (c *chunked) upTo(text []byte) (n int) {
	for n < len(text) && !c.over {
		switch c.at {
		case inSize:
			c.sizeByte(text[n])
			n++
		case inData:
			take := min(int64(len(text)-n), c.size)
			n += int(take)
			c.skip(take)
		case inTrailer:
			var took int
			took, c.over = c.line.upTo(text[n:])
			n += took
		}
	}
	return n
}

// sizeByte takes a byte of the line that holds a chunk's size.
func (c *chunked) sizeByte(b byte) {
	const lineEnd = 2
	digit := int64(-1)
	switch {
	case '0' <= b && b <= '9':
		digit = int64(b - '0')
	case 'a' <= b && b <= 'f':
		digit = int64(b-'a') + 10
	case 'A' <= b && b <= 'F':
		digit = int64(b-'A') + 10
	}
	switch {
	case b == '\n' && c.size == 0:
		*c = chunked{at: inTrailer}
	case b == '\n':
		*c = chunked{at: inData, size: c.size + lineEnd}
	case digit < 0:
		c.extended = true
	case !c.extended && c.size < math.MaxInt64>>5: // net/http refuses a larger one
		c.size = c.size<<4 | digit
	}
}
