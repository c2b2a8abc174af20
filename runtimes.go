package bctrl

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// Driver names the library that steers a runtime's browser.
type Driver string

// The drivers of browser runtimes.
const (
	DriverStagehand  Driver = "stagehand"
	DriverPlaywright Driver = "playwright"
	DriverPuppeteer  Driver = "puppeteer"
	DriverSelenium   Driver = "selenium"
)

// RuntimeKind names what a runtime is.
type RuntimeKind string

// KindBrowser is a runtime that is a browser.
const KindBrowser RuntimeKind = "browser"

// RuntimeStatus is where a runtime is in its life.
type RuntimeStatus string

// The life of a runtime, in order; failed and stopped are final. One is queued where the
// server has no room for it yet, and [RuntimeSummary] says at which place.
const (
	RuntimeQueued   RuntimeStatus = "queued"
	RuntimeStarting RuntimeStatus = "starting"
	RuntimeActive   RuntimeStatus = "active"
	RuntimeStopped  RuntimeStatus = "stopped"
	RuntimeFailed   RuntimeStatus = "failed"
)

// LaunchMode says what a browser keeps.
type LaunchMode string

const (
	// ModeEphemeral starts with an empty profile and keeps nothing. The default.
	ModeEphemeral LaunchMode = "ephemeral"
	// ModeProfile keeps cookies and site data in a browser profile.
	ModeProfile LaunchMode = "profile"
)

// Launch says how a browser is started and which model its agent calls use
// unless they say otherwise.
type Launch struct {
	// Mode is [ModeEphemeral] when empty.
	Mode LaunchMode `json:"mode,omitempty"`
	// ProfileID names the browser profile of [ModeProfile].
	ProfileID string `json:"profileId,omitempty"`
	// Config is for [ModeEphemeral] and [ModeProfile] alike; nil is the
	// server's default.
	Config *LaunchConfig `json:"config,omitempty"`
	// Record has what the browser shows be recorded, into the mounted storage: see
	// [Runtime.Recording]. It is refused where no storage is mounted.
	Record bool `json:"record,omitempty"`
	// Provider, Model and Credential choose the model; a call's own
	// choice comes first, then the launch's.
	Provider   AIProvider `json:"provider,omitempty"`
	Model      string     `json:"model,omitempty"`
	Credential string     `json:"credential,omitempty"`
}

// RuntimeCreate is a new runtime, as [BrowserLauncher] sends it.
type RuntimeCreate struct {
	Alias  string      `json:"alias"`
	Kind   RuntimeKind `json:"kind"`
	Driver Driver      `json:"driver"`
	Launch Launch      `json:"launch"`
	// Mounts lower the workspace's; nil inherits them.
	Mounts *Mounts `json:"mounts,omitempty"`
	// Group is the group of the workspace that the runtime belongs to.
	Group string `json:"group,omitempty"`
}

// RuntimeInfo is what the server knows of a runtime.
type RuntimeInfo struct {
	ID          string        `json:"id"`
	WorkspaceID string        `json:"workspaceId"`
	Alias       string        `json:"alias"`
	Kind        RuntimeKind   `json:"kind"`
	Driver      Driver        `json:"driver"`
	Status      RuntimeStatus `json:"status"`
	Launch      Launch        `json:"launch"`
	// Mounts are the runtime's own declaration; nil declares nothing.
	Mounts *Mounts `json:"mounts,omitempty"`
	// EffectiveMounts are what workspace and runtime permit together.
	EffectiveMounts Mounts         `json:"effectiveMounts"`
	Group           string         `json:"group,omitempty"`
	Summary         RuntimeSummary `json:"summary"`
	CreatedAt       time.Time      `json:"createdAt"`
	UpdatedAt       time.Time      `json:"updatedAt"`
}

// RuntimeSummary is the state of a runtime at a glance.
type RuntimeSummary struct {
	BrowserRunning bool   `json:"browserRunning"`
	CurrentDriver  Driver `json:"currentDriver,omitempty"`
	// CurrentURL is without query and fragment.
	CurrentURL       string `json:"currentUrl,omitempty"`
	StorageWorkspace string `json:"storageWorkspace,omitempty"`
	// Message says why a runtime failed or stopped.
	Message string `json:"message,omitempty"`
	// Code is why a runtime failed whose browser had started: runtimes.browser_crashed,
	// browser_hung, browser_killed, out_of_memory, system_out_of_memory, disk_full,
	// server_ended or node_lost; or why its launch stopped it: runtimes.idle_timeout or max_life.
	Code string `json:"code,omitempty"`
	// QueuePlace is the place of a queued runtime, 1 of the next; 0 of any other.
	QueuePlace int `json:"queuePlace,omitempty"`
	// BlockedRequests counts what the browser of a live runtime was not let through to
	// hosts outside the web mount, and BlockedHosts has them, sorted, a thousand
	// at most.
	BlockedRequests int      `json:"blockedRequests,omitempty"`
	BlockedHosts    []string `json:"blockedHosts,omitempty"`
}

// RuntimesService launches and finds the runtimes of one workspace. See
// [Workspace.Runtimes].
type RuntimesService struct{ ws *Workspace }

const (
	pathRuntimes = "/v1/workspaces/{workspace}/runtimes"
	pathRuntime  = "/v1/workspaces/{workspace}/runtimes/{alias}"
)

// Browser begins the launch of a browser under an alias, which is unique among
// the workspace's live runtimes. It sends nothing.
func (s *RuntimesService) Browser(alias string) *BrowserLauncher {
	return &BrowserLauncher{ws: s.ws, alias: alias}
}

// Get returns the runtime that has an alias now: the live one, or else the one
// that had it last.
//
// Access: runtime.read
func (s *RuntimesService) Get(ctx context.Context, alias string, opts ...CallOption) (*Runtime, error) {
	var info RuntimeInfo
	err := s.ws.via().call(ctx, &request{
		method: http.MethodGet,
		path:   pathRuntime,
		params: []string{s.ws.id, alias},
		out:    &info,
		opts:   opts,
	})
	if err != nil {
		return nil, err
	}
	return s.handle(info)
}

// List ranges over the workspace's runtimes, live or not, the oldest first.
//
// Access: runtime.list
func (s *RuntimesService) List(ctx context.Context, opts ...CallOption) iter.Seq2[*Runtime, error] {
	return mapped(s.listing().all(ctx, opts), s.handle)
}

// Page fetches one page of [RuntimesService.List].
//
// Access: runtime.list
func (s *RuntimesService) Page(ctx context.Context, p PageOptions, opts ...CallOption) (*Page[*Runtime], error) {
	page, err := s.listing().page(ctx, p, opts)
	return mappedPage(page, err, s.handle)
}

func (s *RuntimesService) listing() listing[RuntimeInfo] {
	return listing[RuntimeInfo]{
		via:    s.ws.via,
		path:   pathRuntimes,
		params: []string{s.ws.id},
		plural: wire.Runtimes,
	}
}

func (s *RuntimesService) handle(info RuntimeInfo) (*Runtime, error) {
	return newRuntime(s.ws.via, info, info.EffectiveMounts), nil
}
