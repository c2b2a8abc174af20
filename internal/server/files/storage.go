package files

import (
	"context"
	"errors"
	"net/http"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Service) storageRoutes() []web.Route {
	const (
		namespace = "/v1/storage/namespaces/{ns}"
		file      = namespace + "/files/{path}"
	)
	return []web.Route{
		web.Streamed("PUT "+file, bctrl.PutStorage, s.putFile, s.putContent),
		web.Raw("GET "+file, bctrl.GetStorage, s.getFile),
		web.Raw("HEAD "+file, bctrl.GetStorage, s.getFile),
		web.Endpoint("DELETE "+file, bctrl.DeleteStorage, s.deleteFile),
		web.Endpoint("GET "+file+"/download-url", bctrl.SignStorage, s.signFile, "ttlMs"),
		web.Endpoint("GET "+namespace+"/browse", bctrl.ListStorage, s.browseFiles,
			"prefix", "delimiter", "limit", "cursor"),
	}
}

// fileOfPath authorises what the route does to the file that its path names.
func (s *Service) fileOfPath(rq *web.Request) (namespace, path string, err error) {
	if namespace, err = rq.Path("ns", validNamespace); err != nil {
		return "", "", err
	}
	if path, err = CanonicalPath(rq.PathValue("path")); err != nil {
		return "", "", err
	}
	if err := rq.Authorize(namespace); err != nil {
		return "", "", err
	}
	rq.Object = objectKey(namespace, path)
	return namespace, path, nil
}

func (s *Service) putFile(w http.ResponseWriter, rq *web.Request) error {
	namespace, path, err := s.fileOfPath(rq)
	if err != nil {
		return err
	}
	if rq.Header.Get("Content-Encoding") != "" || rq.Header.Get("Content-Range") != "" {
		return web.Invalid("storage.partial_upload", "",
			"a file is uploaded whole and as it is: without Content-Range and Content-Encoding")
	}
	conditions := preconditionsOf(rq.Header)
	f := Incoming{
		Namespace:   namespace,
		Path:        path,
		ContentType: rq.Header.Get("Content-Type"),
		Source:      bctrl.SourceUpload,
		IfMatch:     conditions.ifMatch,
		IfNoneMatch: conditions.ifNoneMatch,
	}
	if rq.Caller.Runtime != nil {
		f.RuntimeID = rq.Caller.Runtime.ID
	}
	if f.SHA256, err = digestOf(rq.Header); err != nil {
		return err
	}
	if rq.ContentLength > s.maxFile {
		return s.tooLarge()
	}
	content := newUpload(rq.Context(), w, rq.Body)
	return s.storeUpload(w, rq, f, content, func(sum []byte) []byte { return sum })
}

// putContent is the SHA-256 of the file that a PUT brings.
func (s *Service) putContent(w http.ResponseWriter, rq *web.Request) ([]byte, error) {
	said, err := digestOf(rq.Header)
	if err != nil {
		return nil, err
	}
	sum, err := s.sumOf(newUpload(rq.Context(), w, rq.Body))
	if err != nil {
		return nil, err
	}
	return sum, checkDigest(said, sum)
}

func (s *Service) getFile(w http.ResponseWriter, rq *web.Request) error {
	return s.serveObject(w, rq, func(ctx context.Context) (store.Object, error) {
		return web.ReadConsistently(ctx, rq, func(ctx context.Context) (store.Object, error) {
			namespace, path, err := s.fileOfPath(rq)
			if err != nil {
				return store.Object{}, err
			}
			return s.DB.Read().Object(ctx, rq.Caller.Org, namespace, path)
		})
	})
}

func (s *Service) signFile(ctx context.Context, rq *web.Request, _ web.None) (wire.SignedURL, error) {
	namespace, path, err := s.fileOfPath(rq)
	if err != nil {
		return wire.SignedURL{}, err
	}
	o, err := s.DB.Read().Object(ctx, rq.Caller.Org, namespace, path)
	if errors.Is(err, store.ErrNotFound) {
		return wire.SignedURL{}, errNoFile()
	} else if err != nil {
		return wire.SignedURL{}, err
	}
	return s.answerLink(ctx, rq, o)
}

func (s *Service) deleteFile(ctx context.Context, rq *web.Request, _ web.None) (web.None, error) {
	namespace, path, err := s.fileOfPath(rq)
	if err != nil {
		return web.None{}, err
	}
	conditions := preconditionsOf(rq.Header)
	return s.deleteObject(ctx, rq, func(tx *store.Tx) (store.Object, error) {
		o, err := tx.Object(ctx, rq.Caller.Org, namespace, path)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return o, err
		}
		if refused := conditions.check(o); refused != nil {
			return o, refused
		}
		return o, err
	})
}

// deleteObject removes the file that find returns: first its row, then, once
// that is durable, its bytes.
func (s *Service) deleteObject(
	ctx context.Context, rq *web.Request, find func(*store.Tx) (store.Object, error),
) (web.None, error) {
	var o store.Object
	_, err := web.Change(ctx, rq, func(tx *store.Tx, ev *audit.Event) (_ web.None, err error) {
		if o, err = find(tx); errors.Is(err, store.ErrNotFound) {
			return web.None{}, errNoFile()
		} else if err != nil {
			return web.None{}, err
		}
		ev.UID = o.ID
		return web.None{}, tx.DeleteObject(ctx, rq.Caller.Org, o)
	})
	if err == nil {
		s.DropUnusedBlob(ctx, o.BlobID)
	}
	return web.None{}, err
}
