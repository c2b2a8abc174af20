package web

import (
	"cmp"
	"context"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/trace"
)

// Kernel is what the routes of every area stand on: the store, its keys and its
// log, who calls, and what callers have underway. Each area's service embeds it.
// All methods may be called at the same time.
type Kernel struct {
	// DB is the store. A handler writes to it by [Change] or [Kernel.Use] alone,
	// so that nothing is done that is not on record.
	DB *store.DB
	// Custody has the key that seals the store, and knows whether the server is
	// locked.
	Custody *custody.Custodian
	// Cluster is this server's place among those that share the store.
	Cluster cluster.Member
	// Peers are the other nodes of the cluster; nil where there are none.
	Peers Peers
	// Keys seals and opens records with that key.
	Keys *seal.Keyring
	// Audit is the log of what was done and refused.
	Audit *audit.Log
	// Log receives what an operator needs to know; never a value.
	Log *slog.Logger
	// Meter counts what the server does.
	Meter Meter
	// Tracer is told of the parts of each request; nil is nobody.
	Tracer trace.Tracer
	// PublicURL is where callers reach the server; nil is wherever each caller did.
	PublicURL *url.URL
	// TokenKey is the root key of all runtime tokens.
	TokenKey *SealedKey
	// NodeKey is the secret by which the nodes of a cluster know each other.
	NodeKey *SealedKey
	// Strangers bounds what requests without a good caller cost.
	Strangers *Strangers

	inFlight inFlight
	// keptOtherwise has, by organization, until when what [store.Queries.HasAnswersOtherwise] said holds, where
	// it has some; the zero time is for ever, since none is added.
	keptOtherwise sync.Map
	underway      underway
	unheard       unheard
	endStreams    sync.Once
	streamsEnd    chan struct{}
	callGrace     time.Duration
	callsEnd      context.Context //nolint:containedctx // those of calls end with it
	endCalls      context.CancelFunc
}

// Config says what a kernel works with. It owns none of it.
type Config struct {
	// Store is open for as long as the kernel is used.
	Store *store.DB
	// Custody has the key that seals the store.
	Custody *custody.Custodian
	// Cluster may be nil, which is [cluster.Alone].
	Cluster cluster.Member
	// Log may be nil, which discards what it is told.
	Log *slog.Logger
	// Meter may be nil, which counts nothing.
	Meter Meter
	// Tracer is as in [Kernel].
	Tracer trace.Tracer
	// PublicURL is as in [Kernel].
	PublicURL *url.URL
	// Strangers is how many requests without a good caller are refused and
	// recorded each for itself, at once; of one address a tenth. 0 is 1000.
	Strangers int
	// CallGrace is how long calls to providers may take to their end once the streams have ended; 0 is
	// 6 seconds.
	CallGrace time.Duration
}

// NewKernel makes a kernel. Its [Strangers] are closed before the store is.
func NewKernel(cfg Config) *Kernel {
	k := &Kernel{
		DB:         cfg.Store,
		Custody:    cfg.Custody,
		Cluster:    cmp.Or(cfg.Cluster, cluster.Member(cluster.Alone{})),
		Keys:       cfg.Custody.Keys(),
		Audit:      audit.New(cfg.Store),
		Log:        cmp.Or(cfg.Log, slog.New(slog.DiscardHandler)),
		Meter:      cmp.Or(cfg.Meter, Meter(noMeter{})),
		Tracer:     cfg.Tracer,
		PublicURL:  cfg.PublicURL,
		streamsEnd: make(chan struct{}),
		callGrace:  cmp.Or(cfg.CallGrace, callGrace),
	}
	k.callsEnd, k.endCalls = context.WithCancel(context.Background())
	k.underway.valid = k.Cluster.Valid
	k.TokenKey = k.NewSealedKey(tokenKeyName)
	k.NodeKey = k.NewSealedKey(nodeKeyName)
	k.Strangers = newStrangers(cmp.Or(cfg.Strangers, allStrangersAtOnce), k.recordStrangers, func(err error) {
		k.Log.Error("refusals were not recorded, and are counted on", "error", err)
	})
	return k
}
