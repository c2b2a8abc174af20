package runtimes

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/doctext"
	"github.com/bctrl-go/bctrl/internal/server/files"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// putFile puts a file of an execution into the namespace that its mounts give now. It
// ends when they no longer do, and is recorded as refused then too.
func (s *Service) putFile(
	ctx context.Context, x *execution, f files.Incoming, r io.Reader,
) (out bctrl.StorageObject, err error) {
	f.RuntimeID, f.Driver = x.rt.ID, x.rt.Driver
	choose := func(ctx context.Context) (g *web.Grant, err error) {
		f.Namespace, g, err = s.grantStorage(ctx, x, bctrl.PutStorage)
		return g, err
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

// grantStorage decides about the namespace that the mounts of an execution give now.
func (s *Service) grantStorage(
	ctx context.Context, x *execution, verb bctrl.Verb,
) (namespace string, g *web.Grant, err error) {
	caller, err := s.currentCaller(ctx, x)
	if err != nil {
		return "", nil, err
	}
	storage := caller.Runtime.Chain.Effective().Storage
	if storage != nil && storage.Access != bctrl.StorageNone {
		namespace = storage.Workspace
	}
	a := access.Action{Verb: verb, Object: namespace}
	if namespace == "" || !access.Decide(caller, a) {
		return namespace, nil, web.OutsideMount(verb)
	}
	return namespace, &web.Grant{Caller: caller, Actions: []access.Action{a}}, nil
}

// storedFiles implements [agent.Files]: it gives an execution files of the namespace that
// its mounts give, decided by the mounts as they are then and recorded before anything is
// read.
type storedFiles struct {
	s *Service
	x *execution
}

// Open finds a file. Its bytes are read under a decision of their own, which ends the
// reading once it no longer holds.
func (f storedFiles) Open(ctx context.Context, key string) (out browser.File, err error) {
	namespace, _, err := f.s.grantStorage(ctx, f.x, bctrl.GetStorage)
	if err != nil {
		return out, f.refused(ctx, namespace, err)
	}
	o, content, err := f.s.files.Open(ctx, f.x.org, namespace, key)
	if err != nil {
		return out, err
	}
	if err := content.Close(); err != nil {
		return out, err
	}
	return browser.File{
		Name:        path.Base(o.LogicalPath),
		ContentType: o.ContentType,
		Size:        o.SizeBytes,
		WriteTo:     func(ctx context.Context, w io.Writer) error { return f.copy(ctx, o, w) },
	}, nil
}

// Read reads what a file says. It is decided and recorded as [storedFiles.Open] and the
// reading of what that returns.
func (f storedFiles) Read(ctx context.Context, key string, limit int) (text string, truncated bool, err error) {
	found, err := f.Open(ctx, key)
	if err != nil {
		return "", false, err
	}
	if found.Size > doctext.MaxBytes {
		return "", false, web.WithHint(web.Unprocessable("storage.too_large_to_read",
			"the file is larger than what is read as text, which is 32 MiB"), "download it")
	}
	var document bytes.Buffer
	if err := found.WriteTo(ctx, &document); err != nil {
		return "", false, err
	}
	read, err := f.s.documents.Read(ctx, document.Bytes(), limit)
	if errors.Is(err, doctext.ErrNotText) || errors.Is(err, doctext.ErrUnreadable) {
		err = web.Unprocessable("storage.not_readable", err.Error())
	}
	return read.Text, read.Truncated, err
}

// copy writes a file that was found, where it is still the same one.
func (f storedFiles) copy(ctx context.Context, found bctrl.StorageObject, w io.Writer) error {
	var namespace string
	choose := func(ctx context.Context) (g *web.Grant, err error) {
		namespace, g, err = f.s.grantStorage(ctx, f.x, bctrl.GetStorage)
		return g, err
	}
	err := f.s.WhileDecided(ctx, choose, func(ctx context.Context) error {
		return f.s.Use(ctx, f.x.event(bctrl.GetStorage, namespace+"/"+found.LogicalPath), func() error {
			o, content, err := f.s.files.Open(ctx, f.x.org, namespace, found.LogicalPath)
			if err != nil {
				return err
			}
			defer content.Close()
			if o.ID != found.ID {
				return web.Conflict("storage.changed", "the file was changed meanwhile")
			}
			_, err = io.Copy(w, readerOf(ctx, content))
			return err
		})
	})
	return f.refused(ctx, namespace, err)
}

// refused records that a file was refused because of the mounts; other errors stay.
func (f storedFiles) refused(ctx context.Context, namespace string, err error) error {
	if errors.Is(err, bctrl.ErrOutsideMount) {
		return f.s.recordOutsideMount(ctx, f.x, bctrl.GetStorage, namespace)
	}
	return err
}

// refusedObject is what the refusal of something that an agent tried is recorded of. A file
// is named with the namespace that the mounts give, as where files are read.
func (s *Service) refusedObject(ctx context.Context, x *execution, verb bctrl.Verb, object string) string {
	if verb != bctrl.GetStorage {
		return object
	}
	namespace, _, _ := s.grantStorage(context.WithoutCancel(ctx), x, verb) // without one the path is all there is
	if namespace == "" {
		return object
	}
	return namespace + "/" + object
}

// readerOf is a reader that ends with a context.
func readerOf(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if why := web.EndedBecause(ctx); why != nil {
			return 0, why
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// putDownload puts a download of a page into storage, and returns what clients call it. The
// browser drops one for which it returns an error, as where the mounts have no storage.
func (s *Service) putDownload(ctx context.Context, lr *liveRuntime, d browser.Download) (string, error) {
	rt, err := s.DB.Read().Runtime(ctx, lr.org, lr.id)
	if err != nil {
		return "", err
	}
	ws, err := s.DB.Read().Workspace(ctx, lr.org, rt.WorkspaceID)
	if err != nil {
		return "", err
	}
	r, err := d.Open()
	if err != nil {
		return "", err
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
	s.tellDownload(lr, d, object, err)
	if err != nil {
		s.Log.Error("a download was not kept", "runtime", lr.id, "error", err)
		return "", err
	}
	lr.rememberDownload(object)
	return bctrl.ClientPath(object.LogicalPath), nil
}
