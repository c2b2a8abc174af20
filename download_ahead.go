package bctrl

import "hash"

// aheadBytes is how much of a long file is taken from the connection at a time,
// whatever the caller's buffer is: io.Copy's would cost several times as much.
const aheadBytes = 256 << 10

// besideBytes is how long a piece has to be so that hashing it beside the caller is
// worth a goroutine.
const besideBytes = 16 << 10

// readAhead has two buffers: one is read into while the other is hashed.
type readAhead struct {
	buffers [2][]byte
	// hashed are closed once what is in the buffer of the same number is hashed; nil
	// is at once.
	hashed [2]<-chan struct{}
	turn   int
}

// buffer returns the one to read into, once nobody needs what is in it.
func (a *readAhead) buffer() []byte {
	if hashed := a.hashed[a.turn]; hashed != nil {
		<-hashed
	}
	if a.buffers[a.turn] == nil {
		a.buffers[a.turn] = make([]byte, aheadBytes)
	}
	return a.buffers[a.turn]
}

// filled ends the turn of the buffer that was read into.
func (a *readAhead) filled(hashed <-chan struct{}) {
	a.hashed[a.turn] = hashed
	a.turn = 1 - a.turn
}

// digester hashes the pieces of a file in their order, and can do that beside whoever
// reads them. It is used by one goroutine.
type digester struct {
	hash hash.Hash
	// last is closed once all pieces are hashed; nil is at once.
	last <-chan struct{}
}

// add hashes a piece. Beside the caller it has done so once the channel is closed that
// it returns, and the piece must not change before.
func (d *digester) add(piece []byte, beside bool) (hashed <-chan struct{}) {
	if !beside || len(piece) < besideBytes {
		d.wait()
		d.hash.Write(piece)
		return nil
	}
	before, done := d.last, make(chan struct{})
	d.last = done
	go func() {
		defer close(done)
		if before != nil {
			<-before
		}
		d.hash.Write(piece)
	}()
	return done
}

func (d *digester) wait() {
	if d.last != nil {
		<-d.last
		d.last = nil
	}
}

// finish returns the hash of all pieces.
func (d *digester) finish() []byte {
	d.wait()
	return d.hash.Sum(nil)
}
