package bctrl

import (
	"context"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// SealService keeps what seals the server's data: one master key, which wraps a
// data key for each organization. It belongs to the operator: the keys of the
// organization that the server's first run made are the only ones it takes.
// See [Client.Seal].
type SealService struct{ via via }

const (
	pathSeal       = "/v1/seal"
	pathSealLock   = pathSeal + "/lock"
	pathSealUnlock = pathSeal + "/unlock"
	pathSealRotate = pathSeal + "/rotate"
)

// SealStatus is how it stands with the master key.
type SealStatus struct {
	// Locked is set while the server has no key: everything that needs a secret
	// is then refused with the code seal.locked.
	Locked bool `json:"locked"`
	// Source is where the key comes from.
	Source SealSource `json:"source"`
	// KeyID is a fingerprint of the key, which tells nothing about it.
	KeyID string `json:"keyId"`
	// CreatedAt is when the first key was made, LastRotatedAt when it was last
	// exchanged; zero is never.
	CreatedAt     time.Time `json:"createdAt"`
	LastRotatedAt time.Time `json:"lastRotatedAt,omitzero"`
	// DataKeys counts the data keys that the master key wraps.
	DataKeys int64 `json:"dataKeys"`
}

// SealSource is where a master key comes from.
type SealSource string

// The sources.
const (
	SealFile        SealSource = "file"
	SealEnvironment SealSource = "env"
	SealPassphrase  SealSource = "passphrase"
)

// SealKey is a master key, or what one is made of. At most one field is set.
type SealKey struct {
	// Passphrase has at least 12 characters when it is a new one.
	Passphrase Secret
	// Key is the text of a key, as a key file holds it.
	Key Secret
}

func (k SealKey) wire() wire.SealKey {
	return wire.SealKey{Passphrase: wire.NewValue(k.Passphrase.Expose()), Key: wire.NewValue(k.Key.Expose())}
}

// Status says whether the server is locked, and what it is sealed with. It
// answers while the server is locked, too.
//
// Access: seal.read
func (s *SealService) Status(ctx context.Context, opts ...CallOption) (*SealStatus, error) {
	var out SealStatus
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodGet,
		path:   pathSeal,
		out:    &out,
		opts:   opts,
	}))
}

// Lock makes the server forget the master key, and everything that was opened
// with it, until it is unlocked or started with the key again. What is underway
// finishes or is refused with the code seal.locked, agents end, logins that
// were filled and not sent stay unsent, and no runtime token is taken. Reading
// what is no secret, stopping and revoking go on with an organization key.
// Locking twice is once.
//
// What a page, a program or a provider was given before is theirs. Go cannot
// promise that no copy of a forgotten key is left in the server's memory.
//
// Access: seal.write
func (s *SealService) Lock(ctx context.Context, opts ...CallOption) (*SealStatus, error) {
	var out SealStatus
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodPost,
		path:   pathSealLock,
		out:    &out,
		opts:   opts,
	}))
}

// Unlock gives a locked server its key again. The zero SealKey lets it read the
// key file, or its environment as it was when the server started; a server with
// a passphrase needs that. A wrong one is [ErrForbidden] with the code
// seal.wrong_key; after five in a row, one more is taken every two seconds.
// Unlocking what is not locked changes nothing, whatever is given.
//
// Access: seal.write
func (s *SealService) Unlock(ctx context.Context, key SealKey, opts ...CallOption) (*SealStatus, error) {
	var out SealStatus
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodPost,
		path:   pathSealUnlock,
		in:     key.wire(),
		out:    &out,
		opts:   opts,
	}))
}

// Rotate exchanges the master key, while everything else goes on: every data
// key is wrapped anew in one transaction, and a crash leaves the data readable
// with the old key or with the new one. A key file gets a new random key, for
// the zero SealKey; a server with a passphrase takes a new one, and one with
// the key in its environment the text of the new key, which is to be in the
// environment at the next start.
//
// Data keys and sealed records stay as they are, and a backup from before needs
// the key from before.
//
// Access: seal.write
func (s *SealService) Rotate(ctx context.Context, key SealKey, opts ...CallOption) (*SealStatus, error) {
	var out SealStatus
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodPost,
		path:   pathSealRotate,
		in:     key.wire(),
		out:    &out,
		opts:   opts,
	}))
}
