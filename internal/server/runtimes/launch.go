package runtimes

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/server/profiles"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/trace"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// launchBound is how long a browser may take to start.
const launchBound = 60 * time.Second

func (s *Service) launchRuntime(
	ctx context.Context, rq *web.Request, in bctrl.RuntimeCreate,
) (out bctrl.RuntimeInfo, err error) {
	ws, err := s.workspaceInPath(ctx, rq)
	if err != nil {
		return out, err
	}
	alias := in.Alias
	if names.Name(alias) != nil { // which is refused with all else that is wrong
		alias = ""
	}
	if err := rq.Authorize(alias); err != nil {
		return out, err
	}
	rt, err := s.declareRuntime(ctx, rq, ws, in)
	if err != nil {
		return out, err
	}
	ev := rq.Event()
	ev.Workspace, ev.Group, ev.Runtime = ws.ID, rt.Group, rt.ID
	// A caller who leaves while the browser starts gets the runtime all the same: with
	// the idempotency key it finds it again. One who leaves the queue does not.
	patience := ctx
	ctx = context.WithoutCancel(ctx)
	rq.MarkRecorded()
	node := s.Cluster.Self().ID
	err = s.Use(ctx, ev, func() error {
		away, err := s.startRuntime(ctx, patience, node, rq, ws, &rt)
		if away != nil {
			err = away.await(ctx, &rt)
		}
		return err
	})
	if web.AsError(err).Code == codeAtCapacity {
		rq.RetryAfter(retryLater)
	}
	if err != nil {
		return out, err
	}
	return s.describeRuntime(rt, ws), nil
}

// declareRuntime makes the row of a runtime that is to be launched, checked by itself
// and against the mounts of the workspace as they are now. It makes the profile that
// the launch names, where there is none yet.
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
	drivers := []bctrl.Driver{
		bctrl.DriverStagehand, bctrl.DriverPlaywright, bctrl.DriverPuppeteer, bctrl.DriverSelenium,
	}
	if !slices.Contains(drivers, in.Driver) {
		p.Add("runtimes.unknown_driver", "driver", "driver must be stagehand, playwright, puppeteer or selenium")
	}
	if err := in.Launch.Validate(); err != nil {
		p.Join("launch", err)
	} else if in.Launch.Config != nil {
		checkLaunchHosts(&p, *in.Launch.Config)
	}
	if err := p.Err(); err != nil {
		return rt, err
	}
	if in.Driver == bctrl.DriverSelenium {
		if err := s.browsers.CheckWebDriver(); err != nil {
			return rt, cmp.Or(machineLacks(err), err)
		}
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
		if err := checkLevel(*in.Mounts, anyCredential(ctx, s.DB.Read(), rq.Caller.Org)); err != nil {
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
	if in.Launch.Record && !mountsStorage(rt.Launched) {
		return rt, errNoRecordingStorage
	}
	secrets := launchSecrets(in.Launch)
	for _, key := range slices.Sorted(maps.Keys(secrets)) {
		if !rt.Launched.AllowsVaultKey(key) {
			return rt, web.WithField(web.OutsideMount(bctrl.UseVault), secrets[key])
		}
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

// startRuntime records a runtime and starts its browser, whose end is recorded from
// then on. Where there is no room for it, it waits while patience lasts, or until another node
// takes it, which then starts it. Whatever the error, no browser is left. Node is the one that the
// server was when the launch was put on record: where it is another by now, others have ended that.
func (s *Service) startRuntime(
	ctx, patience context.Context, node string, rq *web.Request, ws store.Workspace, rt *store.Runtime,
) (away *awayLaunch, err error) {
	ctx, span := trace.Start(ctx, trace.Launch, trace.Internal)
	defer func() { span.End(err) }()
	if s.Cluster.Draining() {
		return nil, errDraining
	}
	org := rq.Caller.Org
	lr := newLiveRuntime(org, ws.ID, rt.ID)
	lr.node = node
	if err := s.fleet.add(lr); err != nil {
		return nil, err
	}
	defer func() { s.endLaunch(lr) }()
	if err := s.Cluster.Valid(); err != nil { // it may have been lost before this runtime was seen
		return nil, err
	}
	if lr.place, err = s.admission.enter(rt.ID, tenant{org, ws.ID}, isMovable(*rt)); err != nil {
		return nil, err
	}
	live, cancel := lr.whileLive(ctx)
	defer cancel()
	if err := s.putOnRecord(live, lr, *rt); err != nil {
		return nil, err
	}
	away, err = s.waitForRoom(ctx, patience, lr, rq)
	if err != nil {
		return nil, s.recordNoRoom(lr, err)
	}
	if away != nil {
		return away, nil
	}
	return nil, s.startAdmitted(live, lr, ws, rt)
}

// putOnRecord writes the row of a runtime that is to be launched here. Where another one is in its way it
// looks for that in a second transaction, which writes the row where it has ended meanwhile. It is
// [web.ErrNodeLost] where the other one's node has ended, of which the others put the end on record.
func (s *Service) putOnRecord(ctx context.Context, lr *liveRuntime, rt store.Runtime) error {
	write := func(tx *store.Tx) error {
		if tx.Node() != lr.node {
			return cluster.ErrLeaseLost
		}
		return insertRuntime(ctx, tx, lr.org, rt)
	}
	err := s.DB.Write(ctx, write)
	if !errors.Is(err, store.ErrExists) {
		return err
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := findInTheWay(ctx, tx, lr.org, rt); err != nil {
			return err
		}
		return write(tx)
	})
	other, ok := errors.AsType[*inTheWayError](err)
	if !ok {
		return err
	}
	_, err = s.Cluster.NodeOf(ctx, lr.org, other.runtime)
	if errors.Is(err, cluster.ErrNotFound) { // which this server itself may have been, and be another by now
		return web.ErrNodeLost
	}
	return cmp.Or(err, error(other.refusal))
}

// inTheWayError is of a launch that another live runtime is in the way of.
type inTheWayError struct {
	runtime string // its id
	refusal *bctrl.Error
}

func (e *inTheWayError) Error() string { return e.refusal.Error() }

// findInTheWay finds the live runtime that has the alias of one that is to be launched, or uses its
// profile. It returns an [inTheWayError], or nil where there is none.
func findInTheWay(ctx context.Context, tx *store.Tx, org string, rt store.Runtime) error {
	other, err := tx.RuntimeByAlias(ctx, org, rt.WorkspaceID, rt.Alias)
	if err == nil && other.Live {
		return &inTheWayError{
			other.ID, web.Conflict("runtimes.alias_in_use", "a live runtime of the workspace has this alias"),
		}
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	other, err = tx.RuntimeUsingProfile(ctx, org, rt.ProfileUID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return &inTheWayError{other.ID, profiles.ErrInUse(other)}
}

// startAdmitted starts the browser of a runtime that has room, and is on record, for as long as
// ctx lasts.
func (s *Service) startAdmitted(ctx context.Context, lr *liveRuntime, ws store.Workspace, rt *store.Runtime) error {
	ctx, cancel := context.WithTimeout(ctx, launchBound)
	defer cancel()
	if err := s.startBrowser(ctx, lr, ws, rt); err != nil {
		return s.recordNotStarted(lr, err)
	}
	lr.place.hasStarted()
	lr.watched = true
	go s.watchBrowser(lr)
	if c := rt.Launch.Config; c != nil && (c.IdleTimeout > 0 || c.MaxLife > 0) {
		if c.MaxLife > 0 {
			lr.endsAt = time.Now().Add(c.MaxLife)
		}
		go s.endInTime(lr, *c)
	}
	return nil
}

// endLaunch says that a launch is over here. A runtime whose browser nobody watches is no longer
// among those of this node.
func (s *Service) endLaunch(lr *liveRuntime) {
	if !lr.watched {
		s.fleet.remove(lr)
		s.dropRecording(lr)
	}
	close(lr.started)
}

// recordNotStarted records that a runtime did not start, because of err or because it
// was stopped meanwhile, and returns the refusal that says so.
func (s *Service) recordNotStarted(lr *liveRuntime, err error) error {
	if lr.isLost() || errors.Is(err, cluster.ErrLeaseLost) {
		return cluster.ErrLeaseLost // its end is put on record with that of the node
	}
	if lr.isStopping() {
		// Not a status that callers repeat the launch for.
		refusal := web.Unprocessable("runtimes.ended", "the runtime was stopped while it started")
		return errors.Join(refusal, s.recordUnstarted(lr, bctrl.RuntimeStopped, ""))
	}
	if e := web.AsError(err); e.Code == codeAtCapacity {
		return errors.Join(e, s.recordUnstarted(lr, bctrl.RuntimeFailed, e.Message))
	}
	s.Log.Error("a runtime did not start", "runtime", lr.id, "error", err)
	refusal := web.WithHint(
		web.Unavailable(wire.CodeLaunchFailed, "the browser did not start"),
		"the server's log says why",
	)
	if errors.Is(err, browser.ErrNoSandbox) {
		refusal.Hint = browser.ErrNoSandbox.Error() // err itself may tell more of the machine
	}
	if errors.Is(err, browser.ErrNoDisplay) {
		refusal = web.WithField(web.WithHint(
			web.Unprocessable("runtimes.headful_unavailable", "the server cannot show a browser's window"),
			browser.ErrNoDisplay.Error(),
		), "launch.config.headful")
	}
	if errors.Is(err, browser.ErrDiskFull) {
		refusal = web.WithHint(web.Unavailable("runtimes.disk_full", browser.ErrDiskFull.Error()),
			"the server's operator makes room there")
	}
	if errors.Is(err, browser.ErrNoOwner) {
		refusal = web.WithHint(
			web.Unprocessable("runtimes.secrets_unguarded", "the server cannot keep the secrets of this launch "+
				"from other programs of its machine"),
			browser.ErrNoOwner.Error()+"; or launch without vaultKey in headers and proxy",
		)
	}
	if e, ok := errors.AsType[*bctrl.Error](err); ok {
		refusal = e
	}
	return errors.Join(refusal, s.recordUnstarted(lr, bctrl.RuntimeFailed, refusal.Message))
}

// recordNoRoom records that a runtime did not start because there was no room for it, or
// because nobody waits for it any more, and returns the refusal that says so.
func (s *Service) recordNoRoom(lr *liveRuntime, err error) error {
	refusal := web.AsError(err)
	if lr.isStopping() || refusal.Code == codeAtCapacity || errors.Is(err, cluster.ErrLeaseLost) {
		return s.recordNotStarted(lr, err)
	}
	if errors.Is(err, context.Canceled) {
		refusal = web.ErrAbandoned
	}
	return errors.Join(refusal, s.recordUnstarted(lr, bctrl.RuntimeStopped,
		"its launch was given up while it waited for room"))
}

// errDraining is the refusal of a launch by a node that takes none any more.
var errDraining = web.WithHint(
	web.Unavailable("runtimes.node_draining", "this node of the cluster is being drained and takes no launches"),
	"launch again: another node takes it",
)

// insertRuntime writes the row of a runtime, where its workspace and its profile have
// not been deleted since it was declared.
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

// startBrowser starts the browser of a runtime, and records the runtime as active.
// Where that cannot be recorded, the browser is stopped.
func (s *Service) startBrowser(ctx context.Context, lr *liveRuntime, ws store.Workspace, rt *store.Runtime) error {
	spec := browser.Spec{
		ID: rt.ID, Egress: s.egress, Gate: s.gate(lr, *rt, ws),
		OnDownload: func(ctx context.Context, d browser.Download) (string, error) {
			return s.putDownload(ctx, lr, d)
		},
		OnEvent: func(e browser.Event) { s.tellBrowser(lr, e) },
	}
	if c := rt.Launch.Config; c != nil {
		var err error
		spec.Config = *c
		spec.Config.IdleTimeout, spec.Config.MaxLife = 0, 0 // endInTime sees to them, of a prepared browser too
		spec.Route, err = s.route(ctx, &execution{
			org:  lr.org,
			live: lr,
			ws:   ws,
			rt:   *rt,
		}, *c)
		if err != nil {
			return err
		}
	}
	if rt.ProfileUID != "" {
		kept, err := s.profiles.Open(ctx, lr.org, rt.ProfileUID)
		if err != nil {
			return err
		}
		spec.Profile = &browser.Profile{
			Dir:       kept.Dir,
			Key:       kept.Key,
			Cookies:   kept.Cookies,
			OnCookies: kept.KeepCookies,
		}
	}
	b, err := s.browsers.Launch(ctx, spec)
	if errors.Is(err, browser.ErrProfileDamaged) {
		return errors.Join(profiles.ErrTampered(), err)
	}
	if err != nil {
		return err
	}
	lr.browser = b
	if err := s.film(ctx, lr, *rt); err != nil {
		return errors.Join(err, stopLaunched(ctx, b))
	}
	rt.Status, rt.UpdatedAt = bctrl.RuntimeActive, store.Now()
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if tx.Node() != lr.node { // that has ended, and the runtime with it
			return cluster.ErrLeaseLost
		}
		was, err := tx.SetRuntimeStatus(ctx, lr.org, rt.ID, rt.Status, "", rt.UpdatedAt)
		if err != nil {
			return err
		}
		if err := s.appendLaunched(ctx, tx, lr.org, was); err != nil {
			return err
		}
		if lr.answer != nil {
			if err := s.KeepAnswerOf(ctx, tx, lr.org, *lr.answer, s.describeRuntime(*rt, ws)); err != nil {
				return err
			}
		}
		return appendRuntimeEvent(tx, lr.org, was, rt.Status)
	})
	if err != nil {
		return errors.Join(err, stopLaunched(ctx, b))
	}
	s.tellEarly(lr)
	return nil
}

// stopLaunched stops a browser whose launch did not succeed.
func stopLaunched(ctx context.Context, b browser.Browser) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopBound)
	defer cancel()
	return b.Stop(ctx)
}

// mountsStorage reports whether mounts give a namespace to put files into.
func mountsStorage(m bctrl.Mounts) bool {
	return m.Storage != nil && m.Storage.Access != bctrl.StorageNone && m.Storage.Workspace != ""
}
