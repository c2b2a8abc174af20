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

func newKernel(cfg Config) *kernel {
	return &kernel{
		db:      cfg.Store,
		custody: cfg.Custody,
		keys:    cfg.Custody.Keys(),
		audit:   audit.New(cfg.Store),
		log:     cmp.Or(cfg.Log, slog.New(slog.DiscardHandler)),
		public:  cfg.PublicURL,
	}
}
