package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"
	"sync/atomic"
)

// Rows proves rows of the database that are not sealed: with HMAC-SHA256, under
// keys made from a data key, so that a rotation of the [Key] leaves proofs as
// they are. Who has the database and not the [Key] can make none.
//
// A row that has ended, such as a revoked key, is proven with a key of its own,
// which stays in memory while Rows is locked: so a key can be revoked then, and no
// row be made that is good. A locked Rows also knows the rows that it noted before
// the lock. It is safe for concurrent use; the zero Rows is locked and knows none.
type Rows struct {
	mu    sync.RWMutex
	live  *rowKey // nil while locked
	ended *rowKey // nil until the first unlock

	noting atomic.Bool
	noteMu sync.Mutex // guards noted
	noted  map[[sha256.Size]byte]struct{}
}

// Labels of the two keys.
const (
	labelLiveRows  = "bctrl rows 1 live"
	labelEndedRows = "bctrl rows 1 ended"
)

// Unlock makes the keys from a data key that key wrapped. Its error is
// [ErrWrongKey] or [ErrTampered]; it stays locked then.
func (r *Rows) Unlock(key Key, dek WrappedDEK) error {
	data, err := key.unwrapFor(dek.Scope, dek)
	if err != nil {
		return err
	}
	defer clear(data.prk())
	live, err := hkdf.Expand(sha256.New, data.prk(), labelLiveRows, keySize)
	if err != nil {
		return err
	}
	ended, err := hkdf.Expand(sha256.New, data.prk(), labelEndedRows, keySize)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.live, r.ended = newRowKey(live), newRowKey(ended)
	r.mu.Unlock()
	r.noting.Store(false) // the notes stay for Relock
	return nil
}

// Note begins to remember the rows that are proven or found genuine from now on, so
// that they can be checked after a lock.
func (r *Rows) Note() {
	r.noteMu.Lock()
	defer r.noteMu.Unlock()
	r.noted = map[[sha256.Size]byte]struct{}{}
	r.noting.Store(true)
}

// Lock overwrites and forgets the key that proves what is good. Where [Rows.Note] was not
// called since the unlock, no row is known any more: what was noted before an earlier lock may
// have ended since.
func (r *Rows) Lock() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	r.noteMu.Lock()
	defer r.noteMu.Unlock()
	if !r.noting.Swap(false) {
		r.noted = nil
	}
}

// Relock takes back an unlock that came to nothing: what was known while locked is known again.
func (r *Rows) Relock() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
}

// forget is called with mu held.
func (r *Rows) forget() {
	if r.live != nil {
		clear(r.live.key())
		r.live = nil
	}
}

// Prove makes the proof of a row, whose encoding holds the name of its table and
// every column after its length. While locked it is [ErrLocked] for one that has not ended.
func (r *Rows) Prove(row []byte, ended bool) ([]byte, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	key := r.key(ended)
	if key == nil {
		return nil, ErrLocked
	}
	if !ended {
		r.note(row)
	}
	return key.sum(row), nil
}

// Check reports whether proof is of this row. It is [ErrLocked] where nobody can
// tell, because the key is away.
func (r *Rows) Check(row, proof []byte, ended bool) (genuine bool, err error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	key := r.key(ended)
	switch {
	case key == nil && r.knows(row):
		return true, nil
	case key == nil:
		return false, ErrLocked
	case !key.proves(row, proof):
		return false, nil
	}
	if !ended {
		r.note(row)
	}
	return true, nil
}

// key returns what proves a row; mu is held while it is used.
func (r *Rows) key(ended bool) *rowKey {
	if ended {
		return r.ended
	}
	return r.live
}

func (r *Rows) note(row []byte) {
	if !r.noting.Load() {
		return
	}
	digest := sha256.Sum256(row)
	r.noteMu.Lock()
	defer r.noteMu.Unlock()
	r.noted[digest] = struct{}{}
}

func (r *Rows) knows(row []byte) bool {
	digest := sha256.Sum256(row)
	r.noteMu.Lock()
	defer r.noteMu.Unlock()
	_, known := r.noted[digest]
	return known
}

// rowKey is a key with the MACs that were made of it. A MAC that is used again has
// not to hash the key again, which takes as long as a short row does.
type rowKey struct {
	key  func() []byte // behind a func, so that no printer reaches it
	macs sync.Pool     // of *rowMAC
}

// rowMAC makes MACs, and has room for one.
type rowMAC struct {
	hash.Hash
	room []byte
}

func newRowKey(key []byte) *rowKey {
	return &rowKey{
		key:  func() []byte { return key },
		macs: sync.Pool{New: func() any { return &rowMAC{hmac.New(sha256.New, key), make([]byte, 0, sha256.Size)} }},
	}
}

// sum makes the MAC of a row.
func (k *rowKey) sum(row []byte) []byte {
	mac := k.macs.Get().(*rowMAC)
	defer k.macs.Put(mac)
	return bytes.Clone(mac.of(row))
}

// proves reports whether a proof is the MAC of a row.
func (k *rowKey) proves(row, proof []byte) bool {
	mac := k.macs.Get().(*rowMAC)
	defer k.macs.Put(mac)
	return hmac.Equal(mac.of(row), proof)
}

// of is the MAC of a row, until the next.
func (m *rowMAC) of(row []byte) []byte {
	m.Reset()
	m.Write(row)
	return m.Sum(m.room)
}
