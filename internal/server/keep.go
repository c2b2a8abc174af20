package server

import (
	"context"
	"io"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/browser"
)

// keepFile puts what an execution made into the namespace that its mounts
// give, for as long as they do.
func (s *Server) keepFile(ctx context.Context, x *execution, f newFile, r io.Reader) (out bctrl.StorageObject, err error) {
	f.RuntimeID, f.Driver = x.rt.ID, x.rt.Driver
	still := func(ctx context.Context) error {
		caller, err := s.callerOf(ctx, x)
		if err == nil && !access.Decide(caller, access.Action{Verb: bctrl.PutStorage, Object: f.Namespace}) {
			err = s.refuse(ctx, x, bctrl.PutStorage, f.Namespace)
		}
		return err
	}
	begin := func(ctx context.Context) error {
		caller, err := s.callerOf(ctx, x)
		if err != nil {
			return err
		}
		storage := caller.Runtime.Chain.Effective().Storage
		if storage == nil || storage.Workspace == "" || storage.Access == bctrl.StorageNone {
			return s.refuse(ctx, x, bctrl.PutStorage, "")
		}
		f.Namespace = storage.Workspace
		return still(ctx)
	}
	e := &effect{org: x.org, workspace: x.ws.ID, still: still}
	err = s.during(ctx, e, begin, func(ctx context.Context) (err error) {
		out, err = s.putFile(ctx, x.org, f, r, x.event(bctrl.PutStorage, f.Namespace))
		return err
	})
	return out, err
}

// keepDownload stores what a page delivered. Without storage in the mounts it
// is refused, and the browser drops it.
func (s *Server) keepDownload(ctx context.Context, m *member, d browser.Download) error {
	rt, err := s.db.Read().Runtime(ctx, m.org, m.id)
	if err != nil {
		return err
	}
	ws, err := s.db.Read().Workspace(ctx, m.org, rt.WorkspaceID)
	if err != nil {
		return err
	}
	r, err := d.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	x := &execution{org: m.org, member: m, ws: ws, rt: rt}
	object, err := s.keepFile(ctx, x, newFile{Path: "downloads/" + d.Filename, Filename: d.Filename, Source: bctrl.SourceDownload, Unique: true}, r)
	if err != nil {
		s.log.Error("a download was not kept", "runtime", m.id, "error", err)
		return err
	}
	m.land(object)
	return nil
}
