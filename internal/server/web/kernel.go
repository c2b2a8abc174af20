package web

import (
	"cmp"
	"log/slog"
	"net/url"

	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
)

// Kernel is what the routes of every area stand on: the store, its keys and its
// log, who calls, and what callers have underway.
type Kernel struct {
	DB      *store.DB
	Custody *custody.Custodian
	Keys    *seal.Keyring
	Audit   *audit.Log
	Log     *slog.Logger
	// Public is where callers reach the server; nil is wherever each caller did.
	Public *url.URL

	Streams  streams
	inFlight inFlight
	Underway underway
	TokenKey SealedKey
	// Strangers bounds what requests without a good caller cost.
	Strangers *strangers
}

// NewKernel makes a kernel over a store, whose keys a custodian has. A nil log
// discards what it is told.
func NewKernel(db *store.DB, keys *custody.Custodian, log *slog.Logger, public *url.URL) *Kernel {
	return &Kernel{
		DB:      db,
		Custody: keys,
		Keys:    keys.Keys(),
		Audit:   audit.New(db),
		Log:     cmp.Or(log, slog.New(slog.DiscardHandler)),
		Public:  public,
	}
}
