package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
)

// MaxHead bounds what is read of a head outside; a real one has about 300 bytes.
const MaxHead = 4 << 10

// HeadStore keeps the newest head outside the database.
type HeadStore interface {
	// ReadHead returns the text that is kept, and what stands for this state of it. Where
	// there is none the error is [fs.ErrNotExist].
	ReadHead(ctx context.Context) (text []byte, state string, err error)
	// WriteHead replaces the text, whole or not at all, where its state is still the given
	// one, and returns the new state. The state of none is empty. The error is
	// [ErrHeadMoved] where somebody else has replaced it.
	WriteHead(ctx context.Context, text []byte, state string) (newState string, err error)
	// String says where it is.
	String() string
}

// ErrHeadMoved is returned where another server has written the head outside meanwhile.
var ErrHeadMoved = errors.New("another server has written the head of the audit log")

// outsideHead is the newest checkpoint as it is kept outside the database.
type outsideHead struct {
	Key       string    `json:"key"` // the id of the key it is signed with
	Seq       int64     `json:"seq"`
	Previous  int64     `json:"previous"`
	At        time.Time `json:"at"`
	Head      []byte    `json:"head"`
	Signature []byte    `json:"signature"`
}

// readHead reads the head outside. A missing one is [fs.ErrNotExist], one of
// another key [seal.ErrWrongKey], every other that no key signed which may
// [ErrHeadForged].
func readHead(ctx context.Context, from HeadStore, by signers) (c store.Checkpoint, state string, err error) {
	text, state, err := from.ReadHead(ctx)
	if err != nil {
		return c, "", fmt.Errorf("head of the audit log: %w", err)
	}
	var h outsideHead
	if json.Unmarshal(text, &h) != nil || h.Seq < 0 {
		return c, "", fmt.Errorf("%s: %w", from, ErrHeadForged)
	}
	if !by.mayHaveSigned(h.Key) {
		return c, "", fmt.Errorf("head of the audit log: %w (signed with %.40q, given %q)", seal.ErrWrongKey,
			h.Key, by.present.ID())
	}
	c = store.Checkpoint{
		Seq:       h.Seq,
		Previous:  h.Previous,
		At:        h.At,
		Head:      h.Head,
		Signature: h.Signature,
	}
	if !by.haveSigned(c) {
		return c, "", fmt.Errorf("%s: %w", from, ErrHeadForged)
	}
	return c, state, nil
}

// writeHead replaces the head outside that has a state, and returns its new one.
func writeHead(
	ctx context.Context, to HeadStore, key seal.Key, c store.Checkpoint, state string,
) (newState string, err error) {
	text, err := json.Marshal(outsideHead{
		Key:       key.ID(),
		Seq:       c.Seq,
		Previous:  c.Previous,
		At:        c.At,
		Head:      c.Head,
		Signature: c.Signature,
	})
	if err == nil {
		newState, err = to.WriteHead(ctx, append(text, '\n'), state)
	}
	if err != nil {
		return "", fmt.Errorf("keeping the head of the audit log: %w", err)
	}
	return newState, nil
}
