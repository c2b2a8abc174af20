package runtimes

import (
	"context"
	"errors"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Service) runtimeRoutes() []web.Route {
	here := web.On(
		s.atRuntime(),
		web.Endpoint("POST /v1/workspaces/{id}/runtimes/{alias}/stop", access.RuntimeStop, s.stopRuntime),
		web.Endpoint("POST /v1/workspaces/{id}/runtimes/{alias}/save-profile", access.RuntimeSaveProfile, s.saveProfile),
		web.Endpoint("GET /v1/workspaces/{id}/runtimes/{alias}/connect", access.RuntimeConnect, s.connectRuntime),
		web.Endpoint("GET /v1/workspaces/{id}/runtimes/{alias}/connect-urls", access.RuntimeConnect, s.listConnectURLs),
		web.Endpoint("DELETE /v1/workspaces/{id}/runtimes/{alias}/connect-urls/{connectUrl}", access.RuntimeDisconnect,
			s.revokeConnectURL),
	)
	return append(
		here,
		web.Endpoint("POST /v1/workspaces/{id}/runtimes", access.RuntimeLaunch, s.launchRuntime).On(s.forLaunch()),
		// What a node alone knows of its runtimes, it is asked for.
		web.Endpoint("GET /v1/workspaces/{id}/runtimes", access.RuntimeList, s.listRuntimes, "limit", "cursor").
			On(web.AnyNode()),
		web.Endpoint("GET /v1/workspaces/{id}/runtimes/{alias}", access.RuntimeRead, s.getRuntime).
			On(s.atRuntime().OrHere()),
		web.Raw("GET /devtools/browser/{token}", access.Public, s.serveDevTools).On(s.atToken()),
		s.webDriverRoute().On(s.atToken()),
	)
}

func errNoRuntime() *bctrl.Error {
	return web.NotFound("runtimes.not_found", "there is no such runtime in the workspace")
}

func (s *Service) listRuntimes(
	ctx context.Context, rq *web.Request, _ web.None,
) (list wire.List[bctrl.RuntimeInfo], err error) {
	ws, err := s.authorizedWorkspace(ctx, rq)
	if err != nil {
		return list, err
	}
	limit, after, err := rq.Page()
	if err != nil {
		return list, err
	}
	rows, err := s.DB.Read().Runtimes(ctx, rq.Caller.Org, ws.ID, after, limit+1)
	if err != nil {
		return list, err
	}
	list.Plural = wire.Runtimes
	rows, list.NextCursor = web.PageOf(rows, limit, func(r store.Runtime) string { return r.ID })
	known, err := s.knownAnywhere(ctx, rq.Caller.Org, rows)
	if err != nil {
		return list, err
	}
	for _, rt := range rows {
		list.Items = append(list.Items, describeAs(rt, ws, known[rt.ID]))
	}
	return list, nil
}

func (s *Service) getRuntime(ctx context.Context, rq *web.Request, _ web.None) (bctrl.RuntimeInfo, error) {
	rt, ws, err := s.authorizedRuntime(ctx, rq)
	if err != nil {
		return bctrl.RuntimeInfo{}, err
	}
	return s.describeRuntimeTo(rq.Caller, rt, ws), nil
}

func (s *Service) stopRuntime(ctx context.Context, rq *web.Request, _ web.None) (out bctrl.RuntimeInfo, err error) {
	rt, ws, err := s.authorizedRuntime(ctx, rq)
	if err != nil {
		return out, err
	}
	ev := rq.Event()
	ev.Workspace, ev.Runtime = ws.ID, rt.ID
	rq.MarkRecorded()
	rq.LetFinish() // a runtime that stops itself hears that it has
	stop := func() error {
		if !rt.Live {
			return nil
		}
		// Another node may have taken its launch since this one was found to have it.
		return s.stopAnywhere(ctx, rq.Caller.Org, rt.ID, web.ErrNodeLost.Code)
	}
	if err := s.Use(ctx, ev, stop); err != nil {
		return out, err
	}
	if rt, err = s.DB.Read().Runtime(ctx, rq.Caller.Org, rt.ID); err != nil {
		return out, err
	}
	return s.describeRuntimeTo(rq.Caller, rt, ws), nil
}

// workspaceInPath reads the workspace that the path names, and authorises nothing.
func (s *Service) workspaceInPath(ctx context.Context, rq *web.Request) (store.Workspace, error) {
	id, err := rq.Path("id", web.ValidUUID)
	if err != nil {
		return store.Workspace{}, err
	}
	return s.workspaceWithID(ctx, rq, id)
}

// workspaceWithID reads a workspace, and authorises nothing.
func (s *Service) workspaceWithID(ctx context.Context, rq *web.Request, id string) (store.Workspace, error) {
	ws, err := s.DB.Read().Workspace(ctx, rq.Caller.Org, id)
	if errors.Is(err, store.ErrNotFound) {
		return ws, errNoWorkspace()
	}
	return ws, err
}

// authorizedRuntime reads the runtime that the path names by its alias, and authorises
// the request for it.
func (s *Service) authorizedRuntime(
	ctx context.Context, rq *web.Request,
) (rt store.Runtime, ws store.Workspace, err error) {
	alias, err := rq.Path("alias", func(v string) error {
		return web.InvalidName("runtimes.invalid_alias", "alias", names.Name(v))
	})
	if err != nil {
		return rt, ws, err
	}
	return s.authorizedRuntimeNamed(ctx, rq, alias)
}

// authorizedRuntimeNamed is [Service.authorizedRuntimeIn] for the workspace that the
// path names.
func (s *Service) authorizedRuntimeNamed(
	ctx context.Context, rq *web.Request, alias string,
) (store.Runtime, store.Workspace, error) {
	id, err := rq.Path("id", web.ValidUUID)
	if err != nil && rq.Caller.Runtime == nil {
		return store.Runtime{}, store.Workspace{}, err
	}
	return s.authorizedRuntimeIn(ctx, rq, id, alias)
}

// authorizedRuntimeIn reads the runtime with an alias in a workspace, and authorises the
// request for it. Where the caller acts as a runtime and they do not name that one,
// nothing is looked up: it learns of no other.
func (s *Service) authorizedRuntimeIn(
	ctx context.Context, rq *web.Request, workspace, alias string,
) (rt store.Runtime, ws store.Workspace, err error) {
	if own := rq.Caller.Runtime; own != nil {
		if rq.Object = alias; workspace != own.WorkspaceID || alias != own.Alias {
			return rt, ws, web.ErrContextMismatch
		}
		if err := rq.Authorize(own.ID); err != nil {
			return rt, ws, err
		}
	}
	if ws, err = s.workspaceWithID(ctx, rq, workspace); err != nil {
		return rt, ws, err
	}
	rt, err = s.DB.Read().RuntimeByAlias(ctx, rq.Caller.Org, ws.ID, alias)
	if errors.Is(err, store.ErrNotFound) {
		return rt, ws, errNoRuntime()
	}
	if err != nil {
		return rt, ws, err
	}
	return rt, ws, rq.Authorize(rt.ID)
}
