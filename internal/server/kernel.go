package server

import (
	"cmp"
	"log/slog"
	"net/url"

	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
)

// kernel is what the routes of every area stand on: the store, its keys and its
// log, who calls, and what callers have underway.
type kernel struct {
	db      *store.DB
	custody *custody.Custodian
	keys    *seal.Keyring
	audit   *audit.Log
	log     *slog.Logger
	// public is where callers reach the server; nil is wherever each caller did.
	public *url.URL

	streams  streams
	inFlight inFlight
	underway underway
	tokenKey sealedKey
	// strangers bounds what requests without a good caller cost.
	strangers *strangers
}

// newKernel makes a kernel over a store, whose keys a custodian has. A nil log
// discards what it is told.
func newKernel(db *store.DB, keys *custody.Custodian, log *slog.Logger, public *url.URL) *kernel {
	return &kernel{
		db:      db,
		custody: keys,
		keys:    keys.Keys(),
		audit:   audit.New(db),
		log:     cmp.Or(log, slog.New(slog.DiscardHandler)),
		public:  public,
	}
}
