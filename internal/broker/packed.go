package broker

import (
	"bytes"
	"context"
	"io"

	"github.com/bctrl-go/bctrl/internal/scrub"
)

const (
	// firstLook is how much of a packed body is looked through, in bytes, before
	// any of it is passed on.
	firstLook = 64 << 10
	// maxHeld is how much of one is kept in memory, in bytes.
	maxHeld = 64 << 20
	// maxUnpacked bounds what a body may unpack to.
	maxUnpacked = 1 << 30
)

// errHeld is for who reads a packed body: it holds a secret, which cannot be
// taken out of it.
var errHeld = fail(ErrAnswer, "it is packed and holds the key")

// packed passes a packed body on to the byte, behind a reader that unpacks it
// and looks for secrets: what was packed leaves once all that it can say is
// known to hold none.
type packed struct {
	ctx context.Context //nolint:containedctx // it bounds the unpacking
	src io.Reader
	// finder looks through what was unpacked, plain through what it came from:
	// something may stand beside what is packed.
	finder, plain *scrub.Finder
	// window is how many bytes a decoder may have unpacked and not returned.
	window int64
	// strict refuses what cannot be unpacked. Otherwise it is passed on unseen:
	// nothing that was sent to the provider is worth anything.
	strict bool

	text     io.Reader     // src, unpacked
	unpacked int64         // how much of it was read
	pieces   []packedPiece // what was read of src and not passed on, the oldest first
	held     int           // their bytes
	scratch  [16 << 10]byte
	// unseen is set once the rest is passed on as it comes.
	unseen bool
	ended  bool
	err    error
	ready  []byte
}

// packedPiece is a part of a packed body.
type packedPiece struct {
	raw []byte
	// known is how much had been unpacked when the decoder asked for more than
	// this piece, -1 before.
	known int64
}

// newPacked looks at the beginning. Where that holds a secret it returns
// [errHeld], and what it has read of src in first.
func newPacked(
	ctx context.Context, src io.Reader, list []coding, set *scrub.Set, strict bool,
) (p *packed, first []byte, err error) {
	p = &packed{
		ctx:    ctx,
		src:    src,
		finder: set.Finder(),
		plain:  set.Finder(),
		window: windowOf(list),
		strict: strict,
	}
	p.text, err = unpack(packedSource{p}, list)
	if err != nil {
		p.giveUp()
	}
	for p.err == nil && !p.unseen && p.held < firstLook && !p.ended {
		p.unpackMore()
	}
	if p.err == nil {
		return p, nil, nil
	}
	for _, piece := range p.pieces {
		first = append(first, piece.raw...)
	}
	return nil, first, p.err
}

// packedSource is src as the decoder reads it.
type packedSource struct{ *packed }

// Read implements [io.Reader].
func (s packedSource) Read(b []byte) (int, error) {
	p := s.packed
	if n := len(p.pieces); n > 0 && p.pieces[n-1].known < 0 {
		p.pieces[n-1].known = p.unpacked
	}
	n, err := p.src.Read(b)
	if n > 0 {
		p.pieces, p.held = append(p.pieces, packedPiece{bytes.Clone(b[:n]), -1}), p.held+n
		_, _ = p.plain.Write(b[:n]) // cannot fail
	}
	if err != nil && err != io.EOF {
		p.err = err // of the connection, not of the coding
	}
	return n, err
}

// unpackMore unpacks a little more, and looks through it.
func (p *packed) unpackMore() {
	n, err := p.text.Read(p.scratch[:])
	p.unpacked += int64(n)
	_, _ = p.finder.Write(p.scratch[:n]) // cannot fail
	switch {
	case p.err != nil:
	case p.ctx.Err() != nil: // a small body can unpack to a very large one
		p.err = p.ctx.Err()
	case p.finder.Found() || p.plain.Found():
		p.err = errHeld
	case p.unpacked > maxUnpacked || p.held > maxHeld:
		p.giveUp()
	case err == io.EOF:
		p.endText()
	case err != nil:
		p.giveUp()
	}
}

// endText refuses bytes that follow the packed text: a decoder may have read some
// of them, and nobody looks through what it did not unpack.
func (p *packed) endText() {
	p.ended = true
	rest, err := io.ReadAll(io.LimitReader(packedSource{p}, 1))
	switch {
	case p.err != nil:
	case err != nil:
		p.err = err
	case len(rest) > 0:
		p.ended = false
		p.giveUp()
	case p.finder.End() || p.plain.End():
		p.err = errHeld
	}
}

// giveUp ends the unpacking of a body that is not packed as its header says: it is
// refused, or passed on unseen.
func (p *packed) giveUp() {
	switch {
	case p.err != nil: // the connection broke
	case p.strict || p.plain.Found():
		p.err = fail(ErrAnswer, "it is not packed as it says, so nobody can see what it holds")
	default:
		p.unseen = true
	}
}

// release moves to ready the pieces that are known to hold no secret.
func (p *packed) release() {
	seen := p.unpacked - int64(p.finder.Open())
	hold := p.plain.Open()
	for len(p.pieces) > 0 {
		first := p.pieces[0]
		if !p.unseen && !p.ended && (first.known < 0 || first.known+p.window > seen || p.held-len(first.raw) < hold) {
			return
		}
		p.ready, p.pieces, p.held = append(p.ready, first.raw...), p.pieces[1:], p.held-len(first.raw)
	}
}

// Read implements [io.Reader].
func (p *packed) Read(b []byte) (int, error) {
	for len(p.ready) == 0 {
		p.ready = p.ready[:0:0]
		if p.err != nil {
			return 0, p.err
		}
		p.release()
		switch {
		case len(p.ready) > 0:
		case p.ended:
			return 0, io.EOF
		case p.unseen:
			return p.readUnseen(b)
		default:
			p.unpackMore()
		}
	}
	n := copy(b, p.ready)
	p.ready = p.ready[n:]
	return n, nil
}

// readUnseen reads a body that cannot be unpacked, and looks through its bytes as
// they are.
func (p *packed) readUnseen(b []byte) (int, error) {
	n, err := p.src.Read(b)
	if _, _ = p.plain.Write(b[:n]); p.plain.Found() { // cannot fail
		return 0, errHeld
	}
	return n, err
}
