package runtimes

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/server/profiles"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Service) runtimeRoutes() []web.Route {
	return []web.Route{
		web.Endpoint("POST /v1/workspaces/{id}/runtimes", access.RuntimeLaunch, s.launchRuntime),
		web.Endpoint("GET /v1/workspaces/{id}/runtimes", access.RuntimeList, s.listRuntimes, "limit", "cursor"),
		web.Endpoint("GET /v1/workspaces/{id}/runtimes/{alias}", access.RuntimeRead, s.getRuntime),
		web.Endpoint("POST /v1/workspaces/{id}/runtimes/{alias}/stop", access.RuntimeStop, s.stopRuntime),
		web.Endpoint("GET /v1/workspaces/{id}/runtimes/{alias}/connect", access.RuntimeConnect, s.connectRuntime),
		web.Raw("GET /devtools/browser/{token}", access.Public, s.serveDevTools),
	}
}

func errNoRuntime() *bctrl.Error {
	return web.NotFound("runtimes.not_found", "there is no such runtime in the workspace")
}

// launchBound is how long a browser may take to start.
const launchBound = 60 * time.Second

func (s *Service) launchRuntime(
	ctx context.Context, rq *web.Request, in bctrl.RuntimeCreate,
) (out bctrl.RuntimeInfo, err error) {
	ws, err := s.workspaceInPath(ctx, rq)
	if err != nil {
		return out, err
	}
	if err := rq.Authorize(in.Alias); err != nil {
		return out, err
	}
	rt, err := s.declareRuntime(ctx, rq, ws, in)
	if err != nil {
		return out, err
	}
	ev := rq.Event()
	ev.Workspace, ev.Group, ev.Runtime = ws.ID, rt.Group, rt.ID
	// A caller who leaves gets the runtime all the same: with the idempotency
	// key it finds it again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), launchBound)
	defer cancel()
	rq.MarkRecorded()
	if err := s.Use(ctx, ev, func() error { return s.startRuntime(ctx, rq.Caller.Org, &rt) }); err != nil {
		return out, err
	}
	return s.describeRuntime(rt, ws), nil
}

// declareRuntime checks a launch against the workspace as it is now.
func (s *Service) declareRuntime(
	ctx context.Context, rq *web.Request, ws store.Workspace, in bctrl.RuntimeCreate,
) (rt store.Runtime, err error) {
	var p web.Problems
	p.Name("runtimes.invalid_alias", "alias", names.Name(in.Alias))
	if in.Group != "" {
		p.Name("runtimes.invalid_group", "group", names.Name(in.Group))
	}
	if in.Kind != bctrl.KindBrowser {
		p.Add("runtimes.unknown_kind", "kind", "kind must be browser")
	}
	drivers := []bctrl.Driver{bctrl.DriverStagehand, bctrl.DriverPlaywright, bctrl.DriverPuppeteer}
	if !slices.Contains(drivers, in.Driver) {
		p.Add("runtimes.unknown_driver", "driver", "driver must be stagehand, playwright or puppeteer")
	}
	checkLaunch(&p, in.Launch)
	if err := p.Err(); err != nil {
		return rt, err
	}
	if in.Launch.Mode == "" {
		in.Launch.Mode = bctrl.ModeEphemeral
	}
	now := store.Now()
	rt = store.Runtime{
		ID:          web.NewID(),
		WorkspaceID: ws.ID,
		Alias:       in.Alias,
		Driver:      in.Driver,
		Status:      bctrl.RuntimeStarting,
		Live:        true,
		Launch:      in.Launch,
		Group:       in.Group,
		CreatedAt:   now,
		UpdatedAt:   now,
	}
	if in.Mounts != nil {
		if err := checkAIDefaults(ctx, s.DB.Read(), rq.Caller.Org, in.Mounts.AI); err != nil {
			return rt, err
		}
		rt.Mounts = *in.Mounts
	}
	if rt.Launched, err = ws.Mounts.Narrow(rt.Mounts); err != nil {
		return rt, err
	}
	if id := in.Launch.Credential; id != "" && !rt.Launched.AllowsCredential(id) {
		return rt, web.OutsideMount(bctrl.UseAI)
	}
	if in.Launch.Mode == bctrl.ModeProfile {
		profile, err := s.profiles.Ensure(ctx, rq, in.Launch.ProfileID)
		if err != nil {
			return rt, err
		}
		rt.ProfileUID = profile.UID
	}
	return rt, nil
}

func checkLaunch(p *web.Problems, l bctrl.Launch) {
	switch l.Mode {
	case "", bctrl.ModeEphemeral:
		if l.ProfileID != "" {
			p.Add("runtimes.invalid_launch", "launch.profileId", "profileId goes with mode profile alone")
		}
	case bctrl.ModeProfile:
		p.Name("profiles.invalid_id", "launch.profileId", names.Name(l.ProfileID))
	default:
		p.Add("runtimes.invalid_launch", "launch.mode", "mode must be ephemeral or profile")
	}
	if c := l.Config; c != nil {
		for _, side := range []struct {
			field string
			px    int
		}{{"launch.config.width", c.Width}, {"launch.config.height", c.Height}} {
			if side.px != 0 && (side.px < 320 || side.px > 3840) {
				p.Add("runtimes.invalid_launch", side.field, "must be 320 to 3840 pixels")
			}
		}
	}
}

// startRuntime records a runtime, starts its browser and watches it.
func (s *Service) startRuntime(ctx context.Context, org string, rt *store.Runtime) (err error) {
	lr := newLiveRuntime(org, rt.ID)
	if err := s.fleet.add(lr); err != nil {
		return err
	}
	watched := false
	defer func() {
		if !watched {
			s.fleet.remove(lr)
		}
		close(lr.started)
	}()
	ctx, cancel := lr.whileLive(ctx)
	defer cancel()
	err = s.DB.Write(ctx, func(tx *store.Tx) error { return insertRuntime(ctx, tx, org, *rt) })
	if errors.Is(err, store.ErrExists) {
		return s.errTaken(ctx, org, *rt)
	}
	if err != nil {
		return err
	}
	if err := s.startBrowser(ctx, lr, rt); err != nil {
		return s.recordNotStarted(lr, err)
	}
	watched = true
	go s.watchBrowser(lr)
	return nil
}

// recordNotStarted records that a runtime did not start, and says why.
func (s *Service) recordNotStarted(lr *liveRuntime, err error) error {
	if lr.ended() {
		// Not of the moment, for which it would be launched again.
		refusal := web.Unprocessable("runtimes.ended", "the runtime was stopped while it started")
		return errors.Join(refusal, s.recordRuntimeEnd(lr.org, lr.id, bctrl.RuntimeStopped, ""))
	}
	s.Log.Error("a runtime did not start", "runtime", lr.id, "error", err)
	refusal := web.WithHint(web.Unavailable(wire.CodeLaunchFailed, "the browser did not start"), "the server's log says why")
	if errors.Is(err, browser.ErrNoSandbox) {
		refusal.Hint = browser.ErrNoSandbox.Error() // of the machine in general, not of this one
	}
	if e, ok := errors.AsType[*bctrl.Error](err); ok {
		refusal = e
	}
	return errors.Join(refusal, s.recordRuntimeEnd(lr.org, lr.id, bctrl.RuntimeFailed, refusal.Message))
}

// insertRuntime adds a runtime to a workspace, with a profile, that nobody has
// deleted since the launch was declared.
func insertRuntime(ctx context.Context, tx *store.Tx, org string, rt store.Runtime) error {
	if _, err := currentWorkspace(ctx, tx, org, rt.WorkspaceID, 0); err != nil {
		return err
	}
	if rt.ProfileUID != "" {
		_, err := tx.ProfileByUID(ctx, org, rt.ProfileUID)
		if errors.Is(err, store.ErrNotFound) {
			return profiles.ErrNotFound()
		}
		if err != nil {
			return err
		}
	}
	if err := tx.InsertRuntime(ctx, org, rt); err != nil {
		return err
	}
	return appendRuntimeEvent(tx, org, rt, rt.Status)
}

func (s *Service) startBrowser(ctx context.Context, lr *liveRuntime, rt *store.Runtime) error {
	spec := browser.Spec{
		ID: rt.ID, Egress: s.egress,
		OnDownload: func(ctx context.Context, d browser.Download) error { return s.putDownload(ctx, lr, d) },
	}
	if c := rt.Launch.Config; c != nil {
		spec.Width, spec.Height = c.Width, c.Height
	}
	if rt.ProfileUID != "" {
		spec.ProfileDir = s.profiles.Folder(rt.ProfileUID)
	}
	b, err := s.browsers.Launch(ctx, spec)
	if err != nil {
		return err
	}
	lr.browser = b
	rt.Status, rt.UpdatedAt = bctrl.RuntimeActive, store.Now()
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		was, err := tx.SetRuntimeStatus(ctx, lr.org, rt.ID, rt.Status, "", rt.UpdatedAt)
		if err != nil {
			return err
		}
		return appendRuntimeEvent(tx, lr.org, was, rt.Status)
	})
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopBound)
		defer cancel()
		return errors.Join(err, b.Stop(ctx))
	}
	return nil
}

// errTaken tells which of the two things that one runtime may hold is taken.
func (s *Service) errTaken(ctx context.Context, org string, rt store.Runtime) error {
	other, err := s.DB.Read().RuntimeByAlias(ctx, org, rt.WorkspaceID, rt.Alias)
	if err == nil && other.Live {
		return web.Conflict("runtimes.alias_in_use", "a live runtime of the workspace has this alias")
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return profiles.ErrInUse()
}

func (s *Service) listRuntimes(ctx context.Context, rq *web.Request, _ web.None) (list wire.List[bctrl.RuntimeInfo], err error) {
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
	for _, rt := range rows {
		list.Items = append(list.Items, s.describeRuntime(rt, ws))
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
	if err := s.Use(ctx, ev, func() error { return s.stopBrowser(ctx, rt.ID) }); err != nil {
		return out, err
	}
	if rt, err = s.DB.Read().Runtime(ctx, rq.Caller.Org, rt.ID); err != nil {
		return out, err
	}
	return s.describeRuntimeTo(rq.Caller, rt, ws), nil
}

// workspaceInPath reads the workspace that the path names.
func (s *Service) workspaceInPath(ctx context.Context, rq *web.Request) (store.Workspace, error) {
	id, err := rq.Path("id", web.ValidUUID)
	if err != nil {
		return store.Workspace{}, err
	}
	ws, err := s.DB.Read().Workspace(ctx, rq.Caller.Org, id)
	if errors.Is(err, store.ErrNotFound) {
		return ws, errNoWorkspace()
	}
	return ws, err
}

// authorizedRuntime authorises and reads the runtime that the path names.
func (s *Service) authorizedRuntime(ctx context.Context, rq *web.Request) (rt store.Runtime, ws store.Workspace, err error) {
	alias, err := rq.Path("alias", func(v string) error {
		return web.InvalidName("runtimes.invalid_alias", "alias", names.Name(v))
	})
	if err != nil {
		return rt, ws, err
	}
	return s.authorizedRuntimeNamed(ctx, rq, alias)
}

// authorizedRuntimeNamed authorises and reads the runtime with an alias in the workspace
// that the path names. A runtime caller learns nothing of any other: for it
// they must name its own.
func (s *Service) authorizedRuntimeNamed(
	ctx context.Context, rq *web.Request, alias string,
) (rt store.Runtime, ws store.Workspace, err error) {
	if own := rq.Caller.Runtime; own != nil {
		if rq.Object = alias; rq.PathValue("id") != own.WorkspaceID || alias != own.Alias {
			return rt, ws, web.ErrContextMismatch
		}
		if err := rq.Authorize(own.ID); err != nil {
			return rt, ws, err
		}
	}
	if ws, err = s.workspaceInPath(ctx, rq); err != nil {
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

// describeRuntimeTo describes a runtime to a caller. One that acts as the
// runtime learns what it may itself use, and nothing of what lies beyond that.
func (s *Service) describeRuntimeTo(c access.Caller, rt store.Runtime, ws store.Workspace) bctrl.RuntimeInfo {
	own := c.Runtime
	if own == nil {
		return s.describeRuntime(rt, ws)
	}
	effective := own.Chain.Effective()
	if len(own.Chain) > 2 {
		rt.Mounts = effective
	}
	if id := rt.Launch.Credential; id != "" && !access.Decide(c, access.Action{Verb: bctrl.UseAI, Object: id}) {
		rt.Launch.Credential = ""
	}
	return s.describeEffective(rt, effective)
}

func (s *Service) describeRuntime(rt store.Runtime, ws store.Workspace) bctrl.RuntimeInfo {
	return s.describeEffective(rt, bctrl.Chain{ws.Mounts, rt.Mounts}.Effective())
}

func (s *Service) describeEffective(rt store.Runtime, effective bctrl.Mounts) bctrl.RuntimeInfo {
	info := bctrl.RuntimeInfo{
		ID:              rt.ID,
		WorkspaceID:     rt.WorkspaceID,
		Alias:           rt.Alias,
		Kind:            bctrl.KindBrowser,
		Driver:          rt.Driver,
		Status:          rt.Status,
		Launch:          rt.Launch,
		EffectiveMounts: effective,
		Group:           rt.Group,
		CreatedAt:       rt.CreatedAt,
		UpdatedAt:       rt.UpdatedAt,
		Summary:         bctrl.RuntimeSummary{BrowserRunning: rt.Status == bctrl.RuntimeActive, Message: rt.Reason},
	}
	if rt.Status == bctrl.RuntimeActive {
		info.Summary.CurrentDriver = rt.Driver
	}
	if effective.Storage != nil {
		info.Summary.StorageWorkspace = effective.Storage.Workspace
	}
	if m := rt.Mounts; m.AI != nil || m.Vault != nil || m.Storage != nil || m.Capabilities != nil {
		info.Mounts = &m
	}
	return info
}
