package runtimes

import (
	"context"
	"errors"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Service) workspaceRoutes() []web.Route {
	return web.On(
		web.AnyNode(),
		web.Endpoint("POST /v1/workspaces", access.WorkspaceWrite, s.createWorkspace),
		web.Endpoint("GET /v1/workspaces", access.WorkspaceRead, s.listWorkspaces, "name", "limit", "cursor"),
		web.Endpoint("GET /v1/workspaces/{id}", access.WorkspaceRead, s.getWorkspace),
		web.Endpoint("PATCH /v1/workspaces/{id}", access.WorkspaceWrite, s.updateWorkspace),
		web.Endpoint("DELETE /v1/workspaces/{id}", access.WorkspaceWrite, s.deleteWorkspace, "force"),
		web.Endpoint("GET /v1/workspaces/{id}/state", access.WorkspaceRead, s.workspaceState),
	)
}

func errNoWorkspace() *bctrl.Error {
	return web.NotFound("workspaces.not_found", "there is no such workspace")
}

func errWorkspaceExists() *bctrl.Error {
	return web.Conflict("workspaces.exists", "there is a workspace with this name")
}

func validWorkspaceName(name string) error {
	if err := names.Name(name); err != nil {
		return web.Invalid("workspaces.invalid_name", "name", "not a workspace name: "+err.Error())
	}
	return nil
}

func (s *Service) createWorkspace(
	ctx context.Context, rq *web.Request, in bctrl.WorkspaceCreate,
) (bctrl.WorkspaceInfo, error) {
	if err := validWorkspaceName(in.Name); err != nil {
		return bctrl.WorkspaceInfo{}, err
	}
	if err := rq.Authorize(in.Name); err != nil {
		return bctrl.WorkspaceInfo{}, err
	}
	return web.Change(ctx, rq, func(tx *store.Tx, ev *audit.Event) (bctrl.WorkspaceInfo, error) {
		now := store.Now()
		ws := store.Workspace{
			ID:        web.NewID(),
			Name:      in.Name,
			Version:   1,
			CreatedAt: now,
			UpdatedAt: now,
		}
		ev.Workspace, ev.UID, ev.Version = ws.ID, ws.ID, ws.Version
		switch _, err := tx.WorkspaceByName(ctx, rq.Caller.Org, in.Name); {
		case err == nil:
			return bctrl.WorkspaceInfo{}, errWorkspaceExists()
		case !errors.Is(err, store.ErrNotFound):
			return bctrl.WorkspaceInfo{}, err
		}
		pins, err := setMounts(ctx, tx, rq.Caller.Org, &ws, in.Mounts)
		if err != nil {
			return bctrl.WorkspaceInfo{}, err
		}
		if err := tx.InsertWorkspace(ctx, rq.Caller.Org, ws); err != nil {
			return bctrl.WorkspaceInfo{}, err
		}
		if err := tx.SetMountPins(ctx, rq.Caller.Org, ws.ID, pins); err != nil {
			return bctrl.WorkspaceInfo{}, err
		}
		happened := bctrl.WorkspaceCreatedEvent{Name: ws.Name, Version: ws.Version}
		return describeWorkspace(ws), s.appendWorkspace(ctx, tx, rq.Caller.Org, ws.ID, happened)
	})
}

func describeWorkspace(ws store.Workspace) bctrl.WorkspaceInfo {
	return bctrl.WorkspaceInfo{
		ID:        ws.ID,
		Name:      ws.Name,
		Mounts:    ws.Mounts,
		Version:   ws.Version,
		CreatedAt: ws.CreatedAt,
		UpdatedAt: ws.UpdatedAt,
	}
}

// listWorkspaces lists by name, or with name the one that has it.
func (s *Service) listWorkspaces(
	ctx context.Context, rq *web.Request, _ web.None,
) (wire.List[bctrl.WorkspaceInfo], error) {
	return web.Listing[store.Workspace, bctrl.WorkspaceInfo]{
		Plural: wire.Workspaces,
		Rows: func(after string, limit int) ([]store.Workspace, error) {
			if rq.Query.Has("name") {
				return s.workspaceNamed(ctx, rq)
			}
			return s.DB.Read().Workspaces(ctx, rq.Caller.Org, after, limit)
		},
		Cursor:   func(ws store.Workspace) string { return ws.Name },
		Describe: web.WithoutError(describeWorkspace),
	}.Page(rq)
}

// workspaceNamed is the workspace with the name in the query, or none.
func (s *Service) workspaceNamed(ctx context.Context, rq *web.Request) ([]store.Workspace, error) {
	name := rq.Query.Get("name")
	if err := validWorkspaceName(name); err != nil {
		return nil, err
	}
	ws, err := s.DB.Read().WorkspaceByName(ctx, rq.Caller.Org, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return []store.Workspace{ws}, err
}

func (s *Service) getWorkspace(ctx context.Context, rq *web.Request, _ web.None) (bctrl.WorkspaceInfo, error) {
	ws, err := s.authorizedWorkspace(ctx, rq)
	return describeWorkspace(ws), err
}

// authorizedWorkspace reads the workspace that the path names, once the request is
// authorised for it.
func (s *Service) authorizedWorkspace(ctx context.Context, rq *web.Request) (store.Workspace, error) {
	id, err := rq.Path("id", web.ValidUUID)
	if err != nil {
		return store.Workspace{}, err
	}
	if err := rq.Authorize(id); err != nil {
		return store.Workspace{}, err
	}
	return s.workspaceWithID(ctx, rq, id)
}

// updateWorkspace changes name and mounts. Every later call of its runtimes is
// decided by the mounts as they then are, and what they no longer permit ends.
func (s *Service) updateWorkspace(
	ctx context.Context, rq *web.Request, in bctrl.WorkspaceUpdate,
) (bctrl.WorkspaceInfo, error) {
	ws, err := s.authorizedWorkspace(ctx, rq)
	if err != nil {
		return bctrl.WorkspaceInfo{}, err
	}
	version, err := rq.IfMatch()
	if err != nil {
		return bctrl.WorkspaceInfo{}, err
	}
	if in.Name != nil {
		if err := validWorkspaceName(*in.Name); err != nil {
			return bctrl.WorkspaceInfo{}, err
		}
	}
	of := store.RuleChange{Org: rq.Caller.Org, Workspace: ws.ID}
	return web.ChangeRulesOf(ctx, rq, of, func(tx *store.Tx, ev *audit.Event) (out bctrl.WorkspaceInfo, err error) {
		ws, err := currentWorkspace(ctx, tx, rq.Caller.Org, ws.ID, version)
		if err != nil {
			return out, err
		}
		web.SetIfGiven(&ws.Name, in.Name)
		if in.Mounts != nil {
			pins, err := setMounts(ctx, tx, rq.Caller.Org, &ws, *in.Mounts)
			if err != nil {
				return out, err
			}
			if err := tx.SetMountPins(ctx, rq.Caller.Org, ws.ID, pins); err != nil {
				return out, err
			}
		}
		ws.Version++
		ws.UpdatedAt = store.Now()
		ev.Workspace, ev.UID, ev.Version = ws.ID, ws.ID, ws.Version
		err = tx.UpdateWorkspace(ctx, rq.Caller.Org, ws)
		if errors.Is(err, store.ErrExists) {
			err = errWorkspaceExists()
		}
		if err != nil {
			return out, err
		}
		happened := bctrl.WorkspaceChangedEvent{Name: ws.Name, Version: ws.Version}
		return describeWorkspace(ws), s.appendWorkspace(ctx, tx, rq.Caller.Org, ws.ID, happened)
	})
}

// currentWorkspace reads a workspace in a transaction, and refuses it where it is not
// of the version given; 0 is any.
func currentWorkspace(ctx context.Context, tx *store.Tx, org, id string, version int64) (store.Workspace, error) {
	ws, err := tx.Workspace(ctx, org, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return ws, errNoWorkspace()
	case err == nil && version != 0 && version != ws.Version:
		return ws, web.ErrStale
	}
	return ws, err
}

// deleteWorkspace removes a workspace with the secrets that live in it; its
// files stay in their namespace. With force what runs in it is stopped first.
func (s *Service) deleteWorkspace(ctx context.Context, rq *web.Request, _ web.None) (web.None, error) {
	ws, err := s.authorizedWorkspace(ctx, rq)
	if err != nil {
		return web.None{}, err
	}
	version, err := rq.IfMatch()
	if err != nil {
		return web.None{}, err
	}
	force, err := rq.Flag("force")
	if err != nil {
		return web.None{}, err
	}
	if version != 0 && version != ws.Version {
		return web.None{}, web.ErrStale // asked once more below; here, before anything is stopped
	}
	if force {
		live, err := s.DB.Read().LiveRuntimes(ctx, rq.Caller.Org, ws.ID)
		if err != nil {
			return web.None{}, err
		}
		for _, rt := range live {
			ev := rq.Event()
			ev.Action, ev.Object = string(access.RuntimeStop), rt.ID
			ev.Workspace, ev.Group, ev.Runtime = ws.ID, rt.Group, rt.ID
			stop := func() error { return s.stopAnywhere(ctx, rq.Caller.Org, rt.ID, "workspaces.still_ending") }
			if err := s.Use(ctx, ev, stop); err != nil {
				return web.None{}, err
			}
		}
	}
	// What is underway anywhere in the organization is asked about: secrets that live in
	// the workspace may have been attached elsewhere.
	return web.ChangeRules(ctx, rq, func(tx *store.Tx, ev *audit.Event) (web.None, error) {
		ws, err := currentWorkspace(ctx, tx, rq.Caller.Org, ws.ID, version)
		if err != nil {
			return web.None{}, err
		}
		ev.Workspace, ev.UID, ev.Version = ws.ID, ws.ID, ws.Version
		if err := requireIdle(ctx, tx, rq.Caller.Org, ws.ID, force); err != nil {
			return web.None{}, err
		}
		if err := s.catalog.DeleteInWorkspace(ctx, tx, rq.Caller.Org, ws.ID, rq.Event()); err != nil {
			return web.None{}, err
		}
		if err := tx.DeleteWorkspace(ctx, rq.Caller.Org, ws.ID); err != nil {
			return web.None{}, err
		}
		return web.None{}, s.appendWorkspace(ctx, tx, rq.Caller.Org, ws.ID, bctrl.WorkspaceDeletedEvent{Name: ws.Name})
	})
}

// requireIdle refuses a workspace with live runtimes, or unfinished operations. With
// force, operations do not count: their runtimes have been stopped, and they end with
// these, if a moment later.
func requireIdle(ctx context.Context, tx *store.Tx, org, id string, force bool) error {
	live, err := tx.LiveRuntimes(ctx, org, id)
	if err != nil {
		return err
	}
	running, err := tx.UnfinishedOperations(ctx, org, id)
	if err != nil {
		return err
	}
	if len(live) == 0 && (len(running) == 0 || force) {
		return nil
	}
	return web.WithHint(
		web.Conflict("workspaces.in_use", "runtimes or operations live in the workspace"),
		"stop them first, or delete it with force=true",
	)
}

func (s *Service) workspaceState(
	ctx context.Context, rq *web.Request, _ web.None,
) (out bctrl.WorkspaceState, err error) {
	ws, err := s.authorizedWorkspace(ctx, rq)
	if err != nil {
		return out, err
	}
	out = bctrl.WorkspaceState{Workspace: describeWorkspace(ws), Runtimes: []bctrl.RuntimeInfo{}}
	live, err := s.DB.Read().LiveRuntimes(ctx, rq.Caller.Org, ws.ID)
	if err != nil {
		return out, err
	}
	known, err := s.knownAnywhere(ctx, rq.Caller.Org, live)
	if err != nil {
		return out, err
	}
	for _, rt := range live {
		out.Runtimes = append(out.Runtimes, describeAs(rt, ws, known[rt.ID]))
	}
	if out.Operations, err = s.DB.Read().UnfinishedOperations(ctx, rq.Caller.Org, ws.ID); err != nil {
		return out, err
	}
	if storage := ws.Mounts.Storage; storage != nil && storage.Access != bctrl.StorageNone {
		if out.Storage, err = s.DB.Read().StorageUsage(ctx, rq.Caller.Org, storage.Workspace); err != nil {
			return out, err
		}
	}
	return out, nil
}
