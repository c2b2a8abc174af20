// Package server answers the HTTP contract of BCTRL: workspaces, their mounts,
// and what may be done with them. Handlers are thin: decode, authorise, call,
// encode. A resource has a file of its own noun here, in the store and in the
// SDK.
package server

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/egress"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/store"
)

// Config says what a server works with. The server owns none of it: the caller
// closes the store after [Server.Close].
type Config struct {
	Store *store.DB
	// Custody keeps the key that seals the store.
	Custody *custody.Custodian
	// Browsers starts the runtimes' browsers.
	Browsers browser.Driver
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
	// Registry knows the providers; nil is those that come with the server.
	Registry *registry.Registry
	// Strangers is how many requests without a good caller are refused and
	// recorded each for itself, at once; of one address a tenth. More are counted.
	// 0 is 1000.
	Strangers int
	// MaxFile is the limit of one file, in bytes; 0 is 5 GiB.
	MaxFile int64
	// Log receives what an operator needs to know; nil discards it.
	Log *slog.Logger
}

// Server is the BCTRL server.
type Server struct {
	*Kernel

	broker   *broker.Broker
	browsers browser.Driver
	profiles string
	egress   egress.Policy
	blobs    blob.Store
	maxFile  int64
	registry *registry.Registry

	router     *Router
	fleet      fleet
	operations operations
	tickets    tickets
	linkKey    SealedKey
	// tookOver is set once what the server before left has its end.
	tookOver atomic.Bool
	// unlocks is how often the server may be unlocked.
	unlocks *rate.Limiter
	// verifying has room for who verifies the audit log.
	verifying chan struct{}
}

// New makes a server and brings its state in order after whatever ended the
// one before.
func New(ctx context.Context, cfg Config) (*Server, error) {
	s := &Server{
		Kernel:    NewKernel(cfg.Store, cfg.Custody, cfg.Log, cfg.PublicURL),
		unlocks:   newUnlocks(),
		verifying: make(chan struct{}, 1),

		broker: broker.New(broker.Config{
			Egress:  cfg.Egress,
			RootCAs: cfg.ProviderRoots,
			Instead: cfg.ProviderInstead,
		}),
		browsers: cfg.Browsers,
		profiles: cfg.ProfileDir,
		egress:   cfg.Egress,
		blobs:    cfg.Blobs,
		maxFile:  cmp.Or(cfg.MaxFile, defaultMaxFile),
		registry: cfg.Registry,
	}
	s.Strangers = NewStrangers(cmp.Or(cfg.Strangers, AllStrangersAtOnce), s.RecordStrangers, func(err error) {
		s.Log.Error("refusals were not recorded, and are counted on", "error", err)
	})
	if s.registry == nil {
		builtin, err := registry.Builtin()
		if err != nil {
			return nil, err
		}
		s.registry = builtin
	}
	s.Custody.OnLock(s.forgetKeys)
	if err := s.Audit.Start(ctx); err != nil {
		return nil, err
	}
	if !s.Custody.Locked() {
		if err := s.takeOver(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.SweepProfiles(ctx); err != nil {
		return nil, fmt.Errorf("removing what deleted profiles left: %w", err)
	}
	s.register()
	return s, nil
}

// takeOver goes on from where the server before this one ended, once. A server
// that starts locked does when it is unlocked: it can tell nothing of what it
// finds before.
func (s *Server) takeOver(ctx context.Context) error {
	if s.tookOver.Load() {
		return nil
	}
	if err := s.EndAbandoned(ctx); err != nil {
		return fmt.Errorf("ending what the last server left: %w", err)
	}
	if err := s.emptyClosedSubaccounts(ctx); err != nil {
		return fmt.Errorf("finishing the deletion of subaccounts: %w", err)
	}
	s.tookOver.Store(true)
	return nil
}

// Close ends what runs, runtimes and operations, and waits until nothing of
// them is left. Requests fail from then on.
func (s *Server) Close(ctx context.Context) error {
	s.EndStreams()
	err := s.CloseRuntimes(ctx)
	s.Strangers.Close(ctx)
	s.broker.Close()
	return err
}

// register builds the table of routes.
func (s *Server) register() {
	routes := slices.Concat(
		s.healthRoutes(),
		openapiRoutes(),
		s.VaultRoutes(),
		s.runtimeRoutes(),
		s.tokenRoutes(),
		s.executeRoutes(),
		s.operationRoutes(),
		s.AICredentialRoutes(),
		s.secretRoutes(),
		s.credentialRoutes(),
		s.capabilityRoutes(),
		s.bindingRoutes(),
		s.CallRoutes(),
		s.workspaceRoutes(),
		s.profileRoutes(),
		s.keyRoutes(),
		s.subaccountRoutes(),
		s.auditRoutes(),
		s.sealRoutes(),
		s.storageRoutes(),
		s.objectRoutes(),
		s.downloadRoutes(),
	)
	for i := range routes {
		rt := &routes[i]
		rt.WithoutKey = slices.Contains(withoutKey(), rt.Method+" "+rt.Path)
		rt.ToUnlock = slices.Contains(toUnlock(), rt.Method+" "+rt.Path)
	}
	s.router = NewRouter(s, routes)
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.router.ServeHTTP(w, r) }
