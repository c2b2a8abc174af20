package files

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Service) objectRoutes() []web.Route {
	const (
		objects = "/v1/storage/objects"
		object  = objects + "/{id}"
	)
	return []web.Route{
		web.Streamed("POST "+objects, bctrl.PutStorage, s.postObject, s.formContent),
		web.Endpoint("GET "+objects, bctrl.ListStorage, s.listObjects,
			"workspace", "runtimeId", "source", "driver", "target", "pathPrefix", "limit", "offset", "cursor"),
		web.Endpoint("GET "+object, bctrl.GetStorage, s.getObject),
		web.Endpoint("DELETE "+object, bctrl.DeleteStorage, s.deleteObjectByID),
		web.Endpoint("GET "+object+"/presign-download", bctrl.SignStorage, s.presignObject, "ttlMs"),
	}
}

// objectOfPath finds the file that the path names by its id, and authorises what the
// route does to it. For a runtime an id that is not there and one of another
// namespace are the same refusal.
func (s *Service) objectOfPath(ctx context.Context, rq *web.Request) (store.Object, error) {
	id, err := rq.Path("id", func(id string) error {
		if names.CanonicalUUID(id) != nil {
			return web.Invalid("storage.invalid_id", "id", "the id of an object is a uuid")
		}
		return nil
	})
	if err != nil {
		return store.Object{}, err
	}
	defer func() { rq.Object = id }()
	o, err := s.DB.Read().ObjectByID(ctx, rq.Caller.Org, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return o, err
	}
	if err := rq.Authorize(o.Namespace); err != nil { // the empty namespace is in no mount
		return o, err
	}
	if o.ID == "" {
		return o, errNoFile()
	}
	return o, nil
}

func (s *Service) getObject(ctx context.Context, rq *web.Request, _ web.None) (bctrl.StorageObject, error) {
	o, err := s.objectOfPath(ctx, rq)
	return describeObject(o), err
}

func (s *Service) presignObject(ctx context.Context, rq *web.Request, _ web.None) (wire.SignedURL, error) {
	o, err := s.objectOfPath(ctx, rq)
	if err != nil {
		return wire.SignedURL{}, err
	}
	return s.answerLink(ctx, rq, o)
}

func (s *Service) deleteObjectByID(ctx context.Context, rq *web.Request, _ web.None) (web.None, error) {
	o, err := s.objectOfPath(ctx, rq)
	if err != nil {
		return web.None{}, err
	}
	return s.deleteObject(ctx, rq, func(tx *store.Tx) (store.Object, error) {
		return tx.ObjectByID(ctx, rq.Caller.Org, o.ID)
	})
}

// listObjects lists the catalog. A runtime sees its own namespace.
func (s *Service) listObjects(
	ctx context.Context, rq *web.Request, _ web.None,
) (out wire.List[bctrl.StorageObject], err error) {
	limit, after, err := rq.Page()
	if err != nil {
		return out, err
	}
	offset, err := rq.Integer("offset", 0, 0, math.MaxInt32)
	if err != nil {
		return out, err
	}
	f := store.ObjectFilter{Offset: int(offset), Limit: limit + 1}
	f.AfterNamespace, f.AfterPath, _ = strings.Cut(after, "/") // as objectKey has it
	var source, driver string
	for _, filter := range []struct {
		name string
		into *string
	}{
		{"workspace", &f.Namespace}, {"runtimeId", &f.RuntimeID}, {"source", &source}, {"driver", &driver},
		{"target", &f.Target}, {"pathPrefix", &f.PathPrefix},
	} {
		*filter.into = rq.Query.Get(filter.name)
	}
	f.Source, f.Driver = bctrl.StorageSource(source), bctrl.Driver(driver)
	if f.PathPrefix, err = canonicalPrefix("pathPrefix", f.PathPrefix); err != nil {
		return out, err
	}
	if f.Namespace == "" {
		f.Namespace = mountedNamespace(rq)
	} else if err := validNamespace(f.Namespace); err != nil {
		return out, err
	}
	if err := rq.Authorize(f.Namespace); err != nil {
		return out, err
	}
	rows, err := s.DB.Read().Objects(ctx, rq.Caller.Org, f)
	if err != nil {
		return out, err
	}
	rows, out.NextCursor = web.PageOf(rows, limit, func(o store.Object) string { return objectKey(o.Namespace, o.Path) })
	out.Plural = wire.StorageObjects
	for _, o := range rows {
		out.Items = append(out.Items, describeObject(o))
	}
	return out, nil
}

// mountedNamespace is the namespace of a runtime caller; empty for one without
// storage, and for an organization key.
func mountedNamespace(rq *web.Request) string {
	if rq.Caller.Runtime == nil {
		return ""
	}
	if storage := rq.Caller.Runtime.Chain.Effective().Storage; storage != nil {
		return storage.Workspace
	}
	return ""
}

func (s *Service) postObject(w http.ResponseWriter, rq *web.Request) error {
	form, err := readForm(rq)
	if err != nil {
		return err
	}
	f := form.file
	if f.Namespace == "" {
		f.Namespace = mountedNamespace(rq)
	} else if err := validNamespace(f.Namespace); err != nil {
		return err
	}
	if err := rq.Authorize(f.Namespace); err != nil {
		return err
	}
	if f.Namespace == "" { // an organization key has none of its own
		return errFieldMissing("workspace")
	}
	if rt := rq.Caller.Runtime; rt != nil {
		if f.RuntimeID != "" && f.RuntimeID != rt.ID {
			return web.WithHint(
				web.Forbidden("storage.context_mismatch", "a runtime stores files as itself alone"),
				"leave runtimeId out",
			)
		}
		f.RuntimeID = rt.ID
	}
	rq.Object = objectKey(f.Namespace, f.Path)
	content := newUpload(rq.Context(), w, form)
	return s.storeUpload(w, rq, f, content, form.sum)
}

// formContent is the [form.sum] of the form that a POST brings.
func (s *Service) formContent(w http.ResponseWriter, rq *web.Request) ([]byte, error) {
	form, err := readForm(rq)
	if err != nil {
		return nil, err
	}
	sum, err := s.sumOf(newUpload(rq.Context(), w, form))
	return form.sum(sum), err
}

func describeObject(o store.Object) bctrl.StorageObject {
	return bctrl.StorageObject{
		ID:          o.ID,
		Workspace:   o.Namespace,
		LogicalPath: o.Path,
		ObjectKey:   objectKey(o.Namespace, o.Path),
		Filename:    o.Filename,
		SizeBytes:   o.SizeBytes,
		ContentType: o.ContentType,
		SHA256:      o.SHA256,
		Source:      o.Source,
		RuntimeID:   o.RuntimeID,
		Driver:      o.Driver,
		Target:      o.Target,
		ETag:        etag(o),
		CreatedAt:   o.CreatedAt,
	}
}

func errNoFile() *bctrl.Error {
	return web.NotFound("storage.file_not_found", "there is no such file")
}
