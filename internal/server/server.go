// Package server answers the HTTP contract of BCTRL. It makes the areas, packages
// below it, each with those that it uses, and puts their routes into one table:
// web is the kernel that serves a route, vault, models, files and profiles keep
// things, catalog keeps what calls to providers are made of, calls makes them, and
// runtimes lets agents and clients work in browsers. What belongs to the whole
// server is here: keys, subaccounts, the audit log, the master key and health.
//
// The tests of this package hold all areas to the contract, over HTTP.
package server

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/cluster/peer"
	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/egress"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/server/calls"
	"github.com/bctrl-go/bctrl/internal/server/catalog"
	"github.com/bctrl-go/bctrl/internal/server/events"
	"github.com/bctrl-go/bctrl/internal/server/files"
	"github.com/bctrl-go/bctrl/internal/server/models"
	"github.com/bctrl-go/bctrl/internal/server/profiles"
	"github.com/bctrl-go/bctrl/internal/server/runtimes"
	"github.com/bctrl-go/bctrl/internal/server/vault"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/server/webhooks"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/trace"
)

// Config says what a server works with. The server owns none of it: the caller
// closes the store after [Server.Close].
type Config struct {
	Store *store.DB
	// Custody keeps the key that seals the store.
	Custody *custody.Custodian
	// Cluster is this server's place among those that share the store; nil is alone.
	Cluster cluster.Member
	// Browsers starts the runtimes' browsers.
	Browsers browser.Driver
	// Warm says how many browsers are ready before anybody asks for them, and how many
	// are to be; nil is none.
	Warm func() (ready, want int)
	// Capacity bounds how many runtimes there are; the zero one does not.
	Capacity Capacity
	// ProfileDir holds the browser profiles, a folder each.
	ProfileDir string
	// Egress decides which addresses pages and providers may be at.
	Egress egress.Policy
	// ProviderRoots and ProviderInstead let tests stand in for providers: see
	// [broker.Config].
	ProviderRoots   *x509.CertPool
	ProviderInstead func(address string) (to string, ok bool)
	// PublicURL is where callers reach the server, for links; nil is wherever
	// each caller did.
	PublicURL *url.URL
	// Blobs keeps the bytes of files.
	Blobs blob.Store
	// DirectLinks, where it is set, is what the users of signed links are sent on to.
	DirectLinks blob.Linker
	// Registry knows the providers; nil is those that come with the server.
	Registry *registry.Registry
	// Prices say what models cost; nil knows no price.
	Prices *model.Prices
	// Strangers is how many requests without a good caller are refused and
	// recorded each for itself, at once; of one address a tenth. More are counted.
	// 0 is 1000.
	Strangers int
	// WebhookPause and WebhookTime are how long after its first attempt a delivery is tried
	// again, and how long a receiver may take; 0 is 5 and 15 seconds.
	WebhookPause, WebhookTime time.Duration
	// EventsKept is how many events of an organization are kept; 0 is 50,000.
	EventsKept int
	// ReadyAge is how long what readyz has found of the bucket is good for, 0 is 5 seconds; and for how
	// long a write that failed is told of before another is tried, 0 is one second.
	ReadyAge time.Duration
	// MaxFile is the limit of one file, in bytes; 0 is 5 GiB.
	MaxFile int64
	// CallGrace is as in [web.Config].
	CallGrace time.Duration
	// KeepRecordings is for how long the recordings of runtimes stay in storage; 0 is for ever.
	KeepRecordings time.Duration
	// Log receives what an operator needs to know; nil discards it.
	Log *slog.Logger
	// Meter is told what the server does; nil counts nothing.
	Meter web.Meter
	// Tracer is told of the parts of each request; nil is nobody.
	Tracer trace.Tracer
}

// Capacity says how many runtimes a server has at a time.
type Capacity = runtimes.Capacity

// Server is the BCTRL server, an [http.Handler].
type Server struct {
	*web.Kernel
	broker *broker.Broker

	vault    *vault.Service
	models   *models.Service
	files    *files.Service
	profiles *profiles.Service
	catalog  *catalog.Service
	calls    *calls.Service
	events   *events.Hub
	webhooks *webhooks.Service
	runtimes *runtimes.Service
	peers    *peer.Peers // nil outside of a cluster
	router   *web.Router
	warm     func() (ready, want int)
	// ready is what the server works with and can lose.
	ready []*part

	// tookOver is set once what the server before this one left has been ended.
	tookOver atomic.Bool
	// unlocks limits how often somebody may try to unlock the server.
	unlocks *rate.Limiter
	// verifying has room for the one request that verifies the audit log.
	verifying chan struct{}
}

// New makes a server over a store, and ends what a server before it left there:
// runtimes and operations that died with it, deletions that it had begun. It answers
// requests from then on. Its errors are of the store, and of the folder of profiles.
func New(ctx context.Context, cfg Config) (*Server, error) {
	s, err := newServer(cfg)
	if err != nil {
		return nil, err
	}
	s.Custody.OnLock(s.forgetKeys)
	s.DB.FollowRules(s.obey)
	if err := s.recordStart(ctx); err != nil {
		return nil, err
	}
	if !s.Custody.Locked() {
		if err := s.takeOver(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.profiles.Sweep(ctx); err != nil {
		return nil, fmt.Errorf("removing what deleted profiles left: %w", err)
	}
	if err := s.profiles.Join(ctx); err != nil {
		return nil, fmt.Errorf("telling the other nodes of the profiles here: %w", err)
	}
	s.webhooks.Start()
	return s, nil
}

// newServer makes the areas, those first that others use, and the router over their
// routes. It reads and writes nothing.
func newServer(cfg Config) (*Server, error) {
	providers := cfg.Registry
	if providers == nil {
		var err error
		if providers, err = registry.Builtin(); err != nil {
			return nil, err
		}
	}
	s := &Server{
		Kernel: web.NewKernel(web.Config{
			Store:     cfg.Store,
			Custody:   cfg.Custody,
			Cluster:   cfg.Cluster,
			Log:       cfg.Log,
			Meter:     cfg.Meter,
			Tracer:    cfg.Tracer,
			PublicURL: cfg.PublicURL,
			Strangers: cfg.Strangers,
			CallGrace: cfg.CallGrace,
		}),
		broker: broker.New(broker.Config{
			Egress:  cfg.Egress,
			RootCAs: cfg.ProviderRoots,
			Instead: cfg.ProviderInstead,
		}),
		warm:      cfg.Warm,
		unlocks:   rate.NewLimiter(rate.Every(unlockEvery), unlockBurst),
		verifying: make(chan struct{}, 1),
	}
	if !s.Cluster.Alone() {
		s.peers = peer.New(peer.Config{Member: s.Cluster, Seed: s.NodeKey.Get, Log: s.Log})
		s.Peers = s.peers
	}
	s.vault = vault.New(s.Kernel)
	s.models = models.New(s.Kernel, s.broker)
	s.files = files.New(s.Kernel, cfg.Blobs, cfg.MaxFile)
	s.files.KeepRecordings(cfg.KeepRecordings)
	if cfg.DirectLinks != nil {
		s.files.LinkPast(cfg.DirectLinks)
	}
	s.profiles = profiles.New(s.Kernel, cfg.ProfileDir)
	s.catalog = catalog.New(s.Kernel, providers, s.models)
	s.calls = calls.New(s.Kernel, s.broker, providers, s.catalog, s.models)
	s.events = events.New(s.Kernel, cfg.EventsKept)
	s.webhooks = webhooks.New(s.Kernel, s.events, webhooks.Config{
		Egress:      cfg.Egress,
		FirstPause:  cfg.WebhookPause,
		AttemptTime: cfg.WebhookTime,
	})
	s.runtimes = runtimes.New(s.Kernel, runtimes.Config{
		Browsers: cfg.Browsers,
		Egress:   cfg.Egress,
		Vault:    s.vault,
		Models:   s.models,
		Files:    s.files,
		Profiles: s.profiles,
		Catalog:  s.catalog,
		Calls:    s.calls,
		Events:   s.events,
		Prices:   cfg.Prices,
		Capacity: cfg.Capacity,
	})
	s.ready = s.parts(cfg)
	if s.peers != nil {
		s.peers.Answer(runtimes.KnownQuestion, web.Answers(s.runtimes.Known))
		s.peers.Answer(runtimes.OfferQuestion, s.runtimes.AnswerOffer)
		s.peers.Answer(profiles.SizesQuestion, web.Answers(s.profiles.Sizes))
	}
	s.router = web.NewRouter(s.Kernel, s.routes())
	return s, nil
}

// Load is what a server has to do at a moment.
type Load struct {
	// Runtimes start or run, and Queued launches wait for room.
	Runtimes, Queued int
	// Underway are the requests and operations of callers that have not ended.
	Underway int
	// Deliveries of webhooks have not ended, as it was some seconds ago at most; 0 on a node
	// of a cluster that does not lead.
	Deliveries int
}

// Load returns what the server has to do now.
func (s *Server) Load() Load {
	live, queued := s.runtimes.Load()
	return Load{Runtimes: live, Queued: queued, Underway: s.Underway(), Deliveries: s.webhooks.Waiting()}
}

// Idle reports whether nothing runs here that outlives its request.
func (s *Server) Idle() bool {
	live, queued := s.runtimes.Load()
	return live == 0 && queued == 0 && s.runtimes.Operations() == 0 && s.runtimes.TakenAway() == 0
}

// takeOver ends what the server before this one left: its runtimes and operations,
// and the subaccounts that it was deleting. It does so once, before the first
// request; a server that starts locked does so when it is unlocked, since it cannot
// check a row, nor write one, without the key.
func (s *Server) takeOver(ctx context.Context) error {
	if s.tookOver.Load() {
		return nil
	}
	if err := s.endAbandoned(ctx); err != nil {
		return fmt.Errorf("ending what the last server left: %w", err)
	}
	if s.Cluster.Alone() { // else the node that leads does
		if err := s.emptyClosedSubaccounts(ctx); err != nil {
			return fmt.Errorf("finishing the deletion of subaccounts: %w", err)
		}
	}
	s.tookOver.Store(true)
	return nil
}

// Close ends every runtime and operation, waits until their browsers are gone, and
// records what is still only counted. It takes some 15 seconds where a browser does
// not end by itself, also when ctx ends. No runtime can be launched from then on.
// The error joins those of the browsers. Close is called once.
func (s *Server) Close(ctx context.Context) error {
	s.EndStreams()
	err := s.runtimes.Close(ctx)
	s.webhooks.Close()
	s.events.Close()
	s.Strangers.Close(ctx)
	s.broker.Close()
	if s.peers != nil {
		s.peers.Close()
	}
	return err
}

// ForPeers are a listener and a handler for the requests that other nodes of the cluster
// pass on, who reach this one at l.
func (s *Server) ForPeers(l net.Listener) (net.Listener, http.Handler) {
	return s.peers.Listen(l), s.peers.Receive(s)
}

// routes are those of all areas, each with what the table of the locked server says
// of it.
func (s *Server) routes() []web.Route {
	routes := slices.Concat(
		s.healthRoutes(),
		openapiRoutes(),
		s.vault.Routes(),
		s.models.Routes(),
		s.files.Routes(),
		s.profiles.Routes(),
		s.catalog.Routes(),
		s.calls.Routes(),
		s.events.Routes(),
		s.webhooks.Routes(),
		s.runtimes.Routes(),
		s.keyRoutes(),
		s.subaccountRoutes(),
		s.auditRoutes(),
		s.sealRoutes(),
		s.nodeRoutes(),
	)
	open := whileLocked()
	for i := range routes {
		rt := &routes[i]
		var who lockedUse
		who, rt.WithoutKey = open[rt.Method+" "+rt.Path]
		rt.ToUnlock = who == unproven
	}
	return routes
}

// ServeHTTP answers a request. It may be called by many at once.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.router.ServeHTTP(w, r) }
