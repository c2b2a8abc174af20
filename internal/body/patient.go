package body

import (
	"context"
	"io"
)

// patientBuffer is how much a [patient] asks for at a time, in bytes; as much
// as net/http does.
const patientBuffer = 32 << 10

// patient reads from what may wait for ever, such as a pipe, and ends when its
// context does: net/http does not return before a read that it has begun. Such
// a read goes on alone, into a buffer that is nobody else's, until its reader
// returns.
type patient struct {
	ctx  context.Context
	r    io.Reader
	done chan taken

	buf  []byte
	rest []byte // taken and not yet handed on
	err  error  // comes after the rest
}

// taken is what one read gave.
type taken struct {
	n   int
	err error
}

// Read implements [io.Reader].
func (p *patient) Read(b []byte) (int, error) {
	if len(p.rest) == 0 && p.err == nil {
		p.take()
	}
	n := copy(b, p.rest)
	if p.rest = p.rest[n:]; len(p.rest) > 0 {
		return n, nil
	}
	return n, p.err
}

func (p *patient) take() {
	if p.err = p.ctx.Err(); p.err != nil {
		return
	}
	if p.buf == nil {
		p.buf = make([]byte, patientBuffer)
	}
	buf := p.buf
	go func() {
		n, err := p.r.Read(buf)
		p.done <- taken{n, err}
	}()
	select {
	case t := <-p.done:
		p.rest, p.err = buf[:t.n], t.err
	case <-p.ctx.Done():
		p.err = p.ctx.Err()
	}
}
