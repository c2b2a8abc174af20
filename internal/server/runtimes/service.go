// Package runtimes keeps workspaces and what runs in them: runtimes with their
// browsers, executions and their steps, operations, agents, DevTools connections
// and runtime tokens. It is the only area that knows of
// browsers, and knows them by [browser.Driver] alone.
package runtimes

import (
	"slices"
	"sync/atomic"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/doctext"
	"github.com/bctrl-go/bctrl/internal/egress"
	"github.com/bctrl-go/bctrl/internal/live"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/server/calls"
	"github.com/bctrl-go/bctrl/internal/server/catalog"
	"github.com/bctrl-go/bctrl/internal/server/events"
	"github.com/bctrl-go/bctrl/internal/server/files"
	"github.com/bctrl-go/bctrl/internal/server/models"
	"github.com/bctrl-go/bctrl/internal/server/profiles"
	"github.com/bctrl-go/bctrl/internal/server/vault"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// Config says what runtimes are started with, and which areas they use. All of it is
// needed.
type Config struct {
	// Browsers starts the runtimes' browsers.
	Browsers browser.Driver
	// Egress decides which addresses pages may be at.
	Egress egress.Policy

	// Vault has the logins that agents fill in.
	Vault *vault.Service
	// Models has the AI credentials that mounts name.
	Models *models.Service
	// Files takes what runtimes make: screenshots and downloads.
	Files *files.Service
	// Profiles keeps the browser profiles that runtimes are launched with.
	Profiles *profiles.Service
	// Catalog has the secrets that are deleted with their workspace.
	Catalog *catalog.Service
	// Calls asks the models that agents think with.
	Calls *calls.Service
	// Events tells those who follow a runtime what happens in it.
	Events *events.Hub
	// Prices say what models cost; nil knows no price.
	Prices *model.Prices
	// Capacity bounds how many runtimes there are; the zero one does not.
	Capacity Capacity
}

// Service answers the routes of workspaces and runtimes.
type Service struct {
	*web.Kernel
	browsers browser.Driver
	egress   egress.Policy

	vault    *vault.Service
	models   *models.Service
	files    *files.Service
	profiles *profiles.Service
	catalog  *catalog.Service
	calls    *calls.Service
	events   *events.Hub
	prices   *model.Prices
	// documents read what pages deliver, for agents.
	documents *doctext.Reader

	fleet       fleet
	admission   *admission
	placements  placements
	takenAway   atomic.Int64 // launches that other nodes have taken, of which callers of this one wait for the end
	operations  operations
	connectURLs connectURLs
	views       views
	keepings    keepings
	films       films
	pages       *live.Pages
}

// New makes the service. [Service.Close] ends what it starts.
func New(k *web.Kernel, cfg Config) *Service {
	s := &Service{
		Kernel:    k,
		browsers:  cfg.Browsers,
		egress:    cfg.Egress,
		vault:     cfg.Vault,
		models:    cfg.Models,
		files:     cfg.Files,
		profiles:  cfg.Profiles,
		catalog:   cfg.Catalog,
		calls:     cfg.Calls,
		events:    cfg.Events,
		prices:    cfg.Prices,
		documents: doctext.NewReader(),
		fleet:     newFleet(),
		admission: newAdmission(cfg.Capacity),
		pages:     live.NewPages(),
	}
	s.admission.ends = s.StreamsEnd()
	s.connectURLs.mark, s.views.mark = s.tokenMark, s.tokenMark
	return s
}

// Load is how many runtimes start or run, and how many launches wait for room.
func (s *Service) Load() (live, queued int) { return s.admission.counts() }

// Room is how many more runtimes may start here now; below 0 is no bound.
func (s *Service) Room() int {
	if s.Cluster.Draining() {
		return 0
	}
	return s.admission.room()
}

// Routes are all of the area.
func (s *Service) Routes() []web.Route {
	return slices.Concat(
		s.workspaceRoutes(),
		s.runtimeRoutes(),
		s.eventRoutes(),
		s.executeRoutes(),
		s.operationRoutes(),
		s.tokenRoutes(),
		s.viewRoutes(),
	)
}
