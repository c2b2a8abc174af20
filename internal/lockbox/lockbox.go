// Package lockbox encrypts streams for later: who holds a [Lock] closes a box and
// cannot open it again, nor any other; that takes the [Key].
//
// So a process can keep what it works with sealed while the key is away, and what a
// killed one left can be sealed by the next before that has any key.
//
// A box is HPKE (RFC 9180) in its base mode, with X25519, HKDF-SHA256 and AES-256-GCM:
// the encapsulated key, then the content in pieces of 64 KiB, each sealed under the next
// number, the last one marked. What is cut, reordered, changed, or of another purpose or
// lock, is [ErrDamaged]. A whole older box in the place of a newer one is not found, and
// whoever has the lock can make a box: keep it as closed as what the box holds.
package lockbox

import (
	"bufio"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/base64"
	"errors"
	"io"
)

// ErrDamaged: what was read is not a whole box of this key and purpose.
var ErrDamaged = errors.New("lockbox: not a box of this key and purpose, or it was changed or cut short")

const (
	// pieceSize is how much content one sealed piece holds.
	pieceSize = 64 << 10
	tagSize   = 16
	encSize   = 32 // of the encapsulated key
	// KeySize is the size of what [Key.Bytes] gives.
	KeySize = 32
	label   = "bctrl lockbox 1 "
)

// ProfileData is the purpose of the boxes that hold what browsers kept for a profile.
const ProfileData = "profile data"

// What each piece is bound to, beside its number.
const (
	inner = "more"
	last  = "last"
)

func kem() hpke.KEM { return hpke.DHKEM(ecdh.X25519()) }

// Lock closes boxes. The zero Lock closes none.
type Lock struct{ public hpke.PublicKey }

// Key opens the boxes of its lock. The bytes are behind an interface that no printer
// reaches into. The zero Key opens none.
type Key struct{ private func() hpke.PrivateKey }

// NewKey makes a random key.
func NewKey() (Key, error) { return keyOf(kem().GenerateKey()) }

// ParseKey reads what [Key.Bytes] gave.
func ParseKey(b []byte) (Key, error) { return keyOf(kem().NewPrivateKey(b)) }

func keyOf(k hpke.PrivateKey, err error) (Key, error) {
	if err != nil {
		return Key{}, ErrDamaged
	}
	return Key{func() hpke.PrivateKey { return k }}, nil
}

// Bytes is the key itself, to be kept sealed.
func (k Key) Bytes() ([]byte, error) { return k.private().Bytes() }

// Lock is the key's lock.
func (k Key) Lock() Lock { return Lock{k.private().PublicKey()} }

// IsZero reports whether there is no key.
func (k Key) IsZero() bool { return k.private == nil }

// MarshalText writes the lock.
func (l Lock) MarshalText() ([]byte, error) {
	if l.public == nil {
		return nil, errors.New("lockbox: no lock")
	}
	return base64.RawURLEncoding.AppendEncode(nil, l.public.Bytes()), nil
}

// UnmarshalText reads what MarshalText wrote.
func (l *Lock) UnmarshalText(text []byte) error {
	raw, err := base64.RawURLEncoding.AppendDecode(nil, text)
	if err != nil {
		return ErrDamaged
	}
	public, err := kem().NewPublicKey(raw)
	if err != nil {
		return ErrDamaged
	}
	l.public = public
	return nil
}

// Close returns a writer of a box's content, whose box goes to w. The box is whole
// once the writer has been closed. Purpose is what the box is for, and opens it again.
func (l Lock) Close(w io.Writer, purpose string) (io.WriteCloser, error) {
	if l.public == nil {
		return nil, errors.New("lockbox: no lock")
	}
	enc, sender, err := hpke.NewSender(l.public, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(label+purpose))
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(enc); err != nil {
		return nil, err
	}
	return &writer{to: w, sender: sender, piece: make([]byte, 0, pieceSize)}, nil
}

type writer struct {
	to     io.Writer
	sender *hpke.Sender
	piece  []byte // not yet sealed; a full one is kept until more comes, for it may be the last
	err    error
}

func (w *writer) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if len(w.piece) == pieceSize {
			if err := w.flush(inner); err != nil {
				return n, err
			}
		}
		took := min(pieceSize-len(w.piece), len(p))
		w.piece = append(w.piece, p[:took]...)
		p, n = p[took:], n+took
	}
	return n, w.err
}

func (w *writer) flush(kind string) error {
	if w.err != nil {
		return w.err
	}
	var sealed []byte
	if sealed, w.err = w.sender.Seal([]byte(kind), w.piece); w.err == nil {
		_, w.err = w.to.Write(sealed)
	}
	w.piece = w.piece[:0]
	return w.err
}

// Close ends the box. It does not close what the box was written to.
func (w *writer) Close() error {
	if err := w.flush(last); err != nil {
		return err
	}
	w.err = errors.New("lockbox: the box is closed")
	return nil
}

// Open returns a reader of the content of the box that r holds and nothing else. What
// it has returned is genuine; that it is all, only io.EOF says.
func (k Key) Open(r io.Reader, purpose string) (io.Reader, error) {
	in := bufio.NewReaderSize(r, pieceSize+tagSize)
	enc := make([]byte, encSize)
	if _, err := io.ReadFull(in, enc); err != nil {
		return nil, damaged(err)
	}
	recipient, err := hpke.NewRecipient(enc, k.private(), hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(label+purpose))
	if err != nil {
		return nil, ErrDamaged
	}
	return &reader{from: in, recipient: recipient, sealed: make([]byte, pieceSize+tagSize)}, nil
}

type reader struct {
	from      *bufio.Reader
	recipient *hpke.Recipient
	sealed    []byte // room for one piece
	open      []byte // what is left of the piece that was opened last
	err       error
}

func (r *reader) Read(p []byte) (int, error) {
	for len(r.open) == 0 && r.err == nil {
		r.open, r.err = r.next()
	}
	n := copy(p, r.open)
	r.open = r.open[n:]
	if n > 0 {
		return n, nil
	}
	return 0, r.err
}

// next opens the next piece. With the last one comes io.EOF.
func (r *reader) next() ([]byte, error) {
	n, err := io.ReadFull(r.from, r.sealed)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, damaged(err)
	}
	kind := inner
	_, end := r.from.Peek(1)
	if errors.Is(end, io.EOF) {
		kind = last
	} else if end != nil {
		return nil, end
	}
	content, err := r.recipient.Open([]byte(kind), r.sealed[:n])
	if err != nil {
		return nil, ErrDamaged
	}
	if kind == last {
		return content, io.EOF
	}
	return content, nil
}

// damaged is the error of a box that ends where more was to come.
func damaged(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrDamaged
	}
	return err
}
