package runtimes

import (
	"context"
	"errors"
	"io"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/server/files"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// putFile puts a file of an execution into the namespace that its mounts give now. It
// ends when they no longer do, and is recorded as refused then too.
func (s *Service) putFile(
	ctx context.Context, x *execution, f files.Incoming, r io.Reader,
) (out bctrl.StorageObject, err error) {
	f.RuntimeID, f.Driver = x.rt.ID, x.rt.Driver
	choose := func(ctx context.Context) (*web.Grant, error) {
		caller, err := s.currentCaller(ctx, x)
		if err != nil {
			return nil, err
		}
		f.Namespace = ""
		storage := caller.Runtime.Chain.Effective().Storage
		if storage != nil && storage.Access != bctrl.StorageNone {
			f.Namespace = storage.Workspace
		}
		putting := access.Action{Verb: bctrl.PutStorage, Object: f.Namespace}
		if f.Namespace == "" || !access.Decide(caller, putting) {
			return nil, web.OutsideMount(bctrl.PutStorage)
		}
		return &web.Grant{Caller: caller, Actions: []access.Action{putting}}, nil
	}
	err = s.WhileDecided(ctx, choose, func(ctx context.Context) (err error) {
		out, err = s.files.Put(ctx, x.org, f, r, x.event(bctrl.PutStorage, f.Namespace))
		return err
	})
	if errors.Is(err, bctrl.ErrOutsideMount) { // before it began, or while it was put
		err = s.recordOutsideMount(ctx, x, bctrl.PutStorage, f.Namespace)
	}
	return out, err
}

// putDownload puts a download of a page into storage. The browser drops one for which
// it returns an error, as where the mounts have no storage.
func (s *Service) putDownload(ctx context.Context, lr *liveRuntime, d browser.Download) error {
	rt, err := s.DB.Read().Runtime(ctx, lr.org, lr.id)
	if err != nil {
		return err
	}
	ws, err := s.DB.Read().Workspace(ctx, lr.org, rt.WorkspaceID)
	if err != nil {
		return err
	}
	r, err := d.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	x := &execution{
		org:  lr.org,
		live: lr,
		ws:   ws,
		rt:   rt,
	}
	object, err := s.putFile(ctx, x, files.Incoming{
		Path:     "downloads/" + d.Filename,
		Filename: d.Filename,
		Source:   bctrl.SourceDownload,
		Unique:   true,
	}, r)
	if err != nil {
		s.Log.Error("a download was not kept", "runtime", lr.id, "error", err)
		return err
	}
	lr.rememberDownload(object)
	return nil
}
