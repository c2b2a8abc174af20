package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"

	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/tuple"
)

// signers are the keys that may have signed the log: the present key anything,
// each one before it what lies before the point at which the next took over.
//
// That is believed from the present key backwards: it signed which key it took
// over from, and at which event with which hash, that key the same of the one
// before. So a key that was replaced signs nothing new, and nothing old anew:
// the hash at the takeover covers every event before.
type signers struct {
	present seal.Key
	former  []formerKey // newest first
}

// formerKey is a key that was replaced.
type formerKey struct {
	id     string
	public ed25519.PublicKey
	// seq and head are where the log stood when it was.
	seq  int64
	head []byte
}

// signersOf reads which keys the key took over from.
func signersOf(ctx context.Context, q store.Queries, key seal.Key) (signers, error) {
	s := signers{present: key}
	rows, err := q.SealKeys(ctx)
	if err != nil {
		return s, err
	}
	public := key.Public()
	for i, row := range rows {
		if !bytes.Equal(row.Public, public) || i+1 == len(rows) {
			break
		}
		before := rows[i+1]
		if !ed25519.Verify(public, takeover(row, before.Public), row.Signature) ||
			len(before.Public) != ed25519.PublicKeySize {
			break
		}
		s.former = append(s.former, formerKey{
			id:     before.ID,
			public: before.Public,
			seq:    row.Seq,
			head:   row.Head,
		})
		public = before.Public
	}
	return s, nil
}

// Endorse signs a key's row with the key itself; before is the public part of
// the key that it takes over from, nil for the first.
func Endorse(row *store.SealKey, before ed25519.PublicKey, key seal.Key) (err error) {
	row.ID, row.Public = key.ID(), key.Public()
	row.Signature, err = key.Sign(takeover(*row, before))
	return err
}

// takeover is what a key signs of its own row: all of it but the signature.
func takeover(k store.SealKey, before []byte) []byte {
	return tuple.Encoding("bctrl audit 1 takeover\x00").Fixed(k.N, k.CreatedAt.UnixMilli(), k.Seq).
		Text(k.ID).Bytes(k.Public).Text(k.Source).Bytes(k.Derivation, k.Head, before)
}

// haveSigned reports whether a checkpoint is signed by a key that could sign it: the
// present one, or one that was in use at that event.
func (s signers) haveSigned(c store.Checkpoint) bool {
	if signedBy(s.present.Public(), c) {
		return true
	}
	for _, f := range s.former {
		if c.Seq <= f.seq && signedBy(f.public, c) {
			return true
		}
	}
	return false
}

// HasSigned reports whether a checkpoint is signed with a key.
func HasSigned(key seal.Key, c store.Checkpoint) bool { return signedBy(key.Public(), c) }

// mayHaveSigned reports whether this is the id of one of the keys.
func (s signers) mayHaveSigned(id string) bool {
	if id == s.present.ID() {
		return true
	}
	for _, f := range s.former {
		if id == f.id {
			return true
		}
	}
	return false
}

// firstRewritten returns the first takeover whose event is not the one that was
// signed for, or 0.
func (s signers) firstRewritten(ctx context.Context, q store.Queries) (seq int64, err error) {
	for i := len(s.former) - 1; i >= 0; i-- {
		f := s.former[i]
		hash, err := q.HeadAt(ctx, f.seq)
		if errors.Is(err, store.ErrNotFound) || err == nil && !bytes.Equal(hash, f.head) {
			return f.seq, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, nil
}
