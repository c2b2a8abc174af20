package bctrl

import (
	"context"
	"iter"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// WorkspaceInfo is what the server knows of a workspace.
type WorkspaceInfo struct {
	ID string `json:"id"`
	// Name is unique in the organization.
	Name string `json:"name"`
	// Mounts are the ceiling of everything inside.
	Mounts Mounts `json:"mounts"`
	// Version counts changes, from 1; an update names the version it changes.
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// WorkspaceCreate is a new workspace.
type WorkspaceCreate struct {
	// Name matches ^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$.
	Name   string `json:"name"`
	Mounts Mounts `json:"mounts,omitzero"`
}

// WorkspaceUpdate changes what is not nil. Mounts replace the old ones as a
// whole, and hold for live runtimes from their next call on.
type WorkspaceUpdate struct {
	Name   *string `json:"name,omitempty"`
	Mounts *Mounts `json:"mounts,omitempty"`
}

// WorkspaceState is what a workspace holds now.
type WorkspaceState struct {
	Workspace WorkspaceInfo `json:"workspace"`
	// Runtimes that are live: starting or active.
	Runtimes []RuntimeInfo `json:"runtimes"`
	// Operations that are queued or running.
	Operations []OperationInfo `json:"operations"`
	Storage    StorageUsage    `json:"storage"`
}

// StorageUsage sums up a namespace.
type StorageUsage struct {
	Namespace  string `json:"namespace"`
	FileCount  int64  `json:"fileCount"`
	TotalBytes int64  `json:"totalBytes"`
}

// WorkspacesService makes and finds workspaces. See [Client.Workspaces].
type WorkspacesService struct{ via via }

const (
	pathWorkspaces = "/v1/workspaces"
	pathWorkspace  = "/v1/workspaces/{workspace}"
)

// Create makes a workspace. Mounts that no workspace may have are refused
// before a request is sent; a name that is taken is [ErrConflict].
//
// Access: workspace.write
func (s *WorkspacesService) Create(ctx context.Context, c WorkspaceCreate, opts ...CallOption) (*Workspace, error) {
	r := &request{
		method: http.MethodPost,
		path:   pathWorkspaces,
		in:     c,
		opts:   opts,
	}
	if err := c.Mounts.Validate(); err != nil {
		return nil, (&exchange{r: r}).fail(err)
	}
	return s.one(ctx, r)
}

// Get returns the workspace with an id.
//
// Access: workspace.read
func (s *WorkspacesService) Get(ctx context.Context, id string, opts ...CallOption) (*Workspace, error) {
	return s.one(ctx, &request{
		method: http.MethodGet,
		path:   pathWorkspace,
		params: []string{id},
		opts:   opts,
	})
}

// GetByName returns the workspace with a name, or [ErrNotFound].
//
// Access: workspace.read
func (s *WorkspacesService) GetByName(ctx context.Context, name string, opts ...CallOption) (*Workspace, error) {
	if err := checkSegment("name", name); err != nil {
		return nil, err
	}
	page, err := s.listing("name", name).page(ctx, PageOptions{Limit: 1}, opts)
	if err != nil {
		return nil, err
	}
	if len(page.Items) == 0 || page.Items[0].Name != name {
		return nil, refusal(http.StatusNotFound, "workspaces.not_found", "", "no workspace has this name")
	}
	return newWorkspace(s.via, page.Items[0]), nil
}

// List ranges over the workspaces by name.
//
// Access: workspace.read
func (s *WorkspacesService) List(ctx context.Context, opts ...CallOption) iter.Seq2[*Workspace, error] {
	return mapped(s.listing().all(ctx, opts), s.handle)
}

// Page fetches one page of [WorkspacesService.List].
//
// Access: workspace.read
func (s *WorkspacesService) Page(ctx context.Context, p PageOptions, opts ...CallOption) (*Page[*Workspace], error) {
	page, err := s.listing().page(ctx, p, opts)
	return mappedPage(page, err, s.handle)
}

// Delete removes a workspace. One with live runtimes is [ErrConflict] without
// [WithForce], which stops them. The secrets that live in it are deleted, and its
// files stay in their namespace.
//
// Access: workspace.write
func (s *WorkspacesService) Delete(ctx context.Context, id string, opts ...DeleteOption) error {
	d := deletionOf(opts)
	return s.via().call(ctx, &request{
		method: http.MethodDelete,
		path:   pathWorkspace,
		params: []string{id},
		query:  d.query(),
		opts:   d.opts,
	})
}

func (s *WorkspacesService) listing(query ...string) listing[WorkspaceInfo] {
	return listing[WorkspaceInfo]{
		via:    s.via,
		path:   pathWorkspaces,
		query:  query,
		plural: wire.Workspaces,
	}
}

func (s *WorkspacesService) one(ctx context.Context, r *request) (*Workspace, error) {
	var info WorkspaceInfo
	r.out = &info
	if err := s.via().call(ctx, r); err != nil {
		return nil, err
	}
	return newWorkspace(s.via, info), nil
}

func (s *WorkspacesService) handle(info WorkspaceInfo) (*Workspace, error) {
	return newWorkspace(s.via, info), nil
}

// Workspace is a handle on one workspace. Its methods are safe for concurrent use. Its
// fields are as last read: Update and Refresh replace them, so who does not know that
// neither runs takes [Workspace.Latest].
type Workspace struct {
	WorkspaceInfo
	// Runtimes launches and finds browsers in the workspace.
	Runtimes *RuntimesService `json:"-"`

	id  string
	via via
	// mu guards WorkspaceInfo.
	mu sync.Mutex
}

func newWorkspace(via via, info WorkspaceInfo) *Workspace {
	w := &Workspace{WorkspaceInfo: info, id: info.ID, via: via}
	w.Runtimes = &RuntimesService{ws: w}
	return w
}

// Latest returns what was last read of the workspace, by whichever goroutine. It sends
// nothing.
func (w *Workspace) Latest() WorkspaceInfo {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.WorkspaceInfo
}

// ceiling is what the level below is measured by: a workspace that mounts no
// storage has its own namespace.
func (w *Workspace) ceiling() Mounts {
	info := w.Latest()
	if info.Mounts.Storage == nil {
		info.Mounts.Storage = &StorageMount{Workspace: info.Name}
	}
	return info.Mounts
}

// Update changes the workspace, if nobody else has since it was read: a stale
// Version is [ErrConflict], and [Workspace.Refresh] reads the new one. Lowered
// mounts hold for live runtimes from their next call on.
//
// Access: workspace.write
func (w *Workspace) Update(ctx context.Context, u WorkspaceUpdate, opts ...CallOption) error {
	r := &request{
		method: http.MethodPatch,
		path:   pathWorkspace,
		params: []string{w.id},
		in:     u,
		opts:   opts,
		header: http.Header{"If-Match": {`"` + strconv.FormatInt(w.Latest().Version, 10) + `"`}},
	}
	if u.Mounts != nil {
		if err := u.Mounts.Validate(); err != nil {
			return (&exchange{r: r}).fail(err)
		}
	}
	return w.fill(ctx, r)
}

// Refresh reads the workspace again.
//
// Access: workspace.read
func (w *Workspace) Refresh(ctx context.Context, opts ...CallOption) error {
	return w.fill(ctx, &request{
		method: http.MethodGet,
		path:   pathWorkspace,
		params: []string{w.id},
		opts:   opts,
	})
}

func (w *Workspace) fill(ctx context.Context, r *request) error {
	var info WorkspaceInfo
	r.out = &info
	if err := w.via().call(ctx, r); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.WorkspaceInfo = info
	return nil
}

// State says what the workspace holds now: runtimes, operations and files.
//
// Access: workspace.read
func (w *Workspace) State(ctx context.Context, opts ...CallOption) (*WorkspaceState, error) {
	var out WorkspaceState
	return ptr(&out, w.via().call(ctx, &request{
		method: http.MethodGet,
		path:   pathWorkspace + "/state",
		params: []string{w.id},
		out:    &out,
		opts:   opts,
	}))
}

// Execute runs steps on a runtime of the workspace and waits for them. A step
// that fails ends the execution and is part of the result, not an error: see
// [ExecutionResult.Err]. Mounts that widen the workspace's are [ErrWidening],
// refused before a request is sent.
//
// Access: runtime.execute
func (w *Workspace) Execute(ctx context.Context, e Execution, opts ...CallOption) (*ExecutionResult, error) {
	return w.executor().run(ctx, e, opts)
}

// ExecuteAsync starts what [Workspace.Execute] waits for.
//
// Access: runtime.execute
func (w *Workspace) ExecuteAsync(ctx context.Context, e Execution, opts ...CallOption) (*Operation, error) {
	return w.executor().start(ctx, e, opts)
}

func (w *Workspace) executor() *executor {
	return &executor{via: w.via, workspaceID: w.id, ceiling: w.ceiling()}
}
