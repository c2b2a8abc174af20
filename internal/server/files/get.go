package files

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// serveObject answers with the bytes of the file that find returns, described
// in a header.
func (s *Service) serveObject(
	w http.ResponseWriter, rq *web.Request, find func(context.Context) (store.Object, error),
) error {
	o, content, err := s.openObject(rq.Context(), find)
	if err != nil {
		return err
	}
	defer content.Close()
	if err := wire.EncodeObject(w.Header(), describeObject(o)); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "private, no-cache")
	return s.serveContent(w, rq.Request, o, content)
}

// Read returns the bytes of a file for the server's own use. The caller has decided that
// it may. A file of more than limit bytes is storage.too_large.
func (s *Service) Read(ctx context.Context, org, namespace, path string, limit int64) (text []byte, err error) {
	o, content, err := s.openObject(ctx, func(ctx context.Context) (store.Object, error) {
		return s.DB.Read().Object(ctx, org, namespace, path)
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	if o.SizeBytes > limit {
		return nil, s.tooLarge()
	}
	return io.ReadAll(io.LimitReader(content, limit))
}

// openObject opens the bytes of the file that find returns. A file that is
// overwritten or deleted between the two steps is looked for again.
func (s *Service) openObject(
	ctx context.Context, find func(context.Context) (store.Object, error),
) (o store.Object, content io.ReadSeekCloser, err error) {
	for tried := ""; ; tried = o.ID {
		if o, err = find(ctx); errors.Is(err, store.ErrNotFound) {
			return o, nil, errNoFile()
		} else if err != nil {
			return o, nil, err
		}
		bytes, err := bytesOf(o)
		if err != nil {
			return o, nil, err
		}
		content, size, err := s.blobs.Open(ctx, bytes)
		switch {
		case err == nil && size != o.SizeBytes: // nobody takes a part for the whole
			return o, nil, errors.Join(errLost(), content.Close())
		case !errors.Is(err, blob.ErrNotFound):
			return o, content, s.storeFault(err)
		case o.ID == tried:
			return o, nil, errLost()
		}
	}
}

// errLost refuses a file whose bytes are not there, or not all of them.
func errLost() error {
	return web.WithHint(
		web.Fault("storage.lost", "the bytes of the file are missing, or not as many as were stored"),
		"they were removed or changed outside the server: restore them from a backup",
	)
}

// Open opens the file at a path of a namespace. The caller has decided that it may.
func (s *Service) Open(
	ctx context.Context, org, namespace, path string,
) (bctrl.StorageObject, io.ReadCloser, error) {
	path, err := CanonicalPath(path)
	if err != nil {
		return bctrl.StorageObject{}, nil, err
	}
	o, content, err := s.openObject(ctx, func(ctx context.Context) (store.Object, error) {
		return s.DB.Read().Object(ctx, org, namespace, path)
	})
	if err != nil {
		return bctrl.StorageObject{}, nil, err
	}
	return describeObject(o), content, nil
}

// serveContent answers a request for a file as HTTP has it: ranges,
// conditions, HEAD. Whatever the file holds, a browser saves it and never
// shows or runs it.
func (s *Service) serveContent(
	w http.ResponseWriter, r *http.Request, o store.Object, content io.ReadSeeker,
) error {
	h := w.Header()
	h.Set("Content-Type", o.ContentType)
	h.Set("Content-Disposition", attachment(o.Filename))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin") // no page of others can run it as a script
	h.Set("ETag", etag(o))
	if sum, err := hex.DecodeString(o.SHA256); err == nil {
		h.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum)+":") // RFC 9530
	}
	servable := web.SettleRange(r.Header, etag(o), o.SizeBytes)
	if !servable {
		r.Header.Set("Range", "none") // which http.ServeContent refuses, after the conditions
	}
	// http.ServeContent looks at the first line of each, and takes an empty one for none.
	for name, tags := range map[string]string{
		"If-Match": preconditionsOf(r.Header).ifMatch, "If-None-Match": joinedHeader(r.Header, "If-None-Match"),
	} {
		if tags != "" {
			r.Header.Set(name, tags)
		}
	}
	// A download that is no longer permitted breaks off.
	conn := http.NewResponseController(w)
	ended := context.AfterFunc(r.Context(), func() { _ = conn.SetWriteDeadline(web.PastDeadline) })
	defer ended()
	cw := &contentWriter{ResponseWriter: w}
	// Without a date: within one second two versions share theirs, and a
	// download resumed by date could join them.
	http.ServeContent(cw, r, "", time.Time{}, content)
	if cw.refused == 0 {
		if why := web.EndedBecause(r.Context()); cw.broken && why != nil {
			return why
		}
		if refused, ok := errors.AsType[*bctrl.Error](s.storeFault(cw.failed)); ok {
			return refused // which breaks the answer off: a client could take it for whole
		}
		return nil
	}
	for _, name := range []string{
		"Content-Disposition", "ETag", "Repr-Digest", wire.HeaderObject, "Accept-Ranges", "Content-Length",
	} {
		h.Del(name)
	}
	switch {
	case cw.refused == http.StatusPreconditionFailed:
		return web.ErrStale
	case servable:
		return s.storeFault(errors.New("the content of the file cannot be sought"))
	}
	h.Set("Content-Range", web.NoneOf(o.SizeBytes))
	return web.Refusal(cw.refused, "storage.invalid_range", "the file has no such range")
}

// contentWriter lets [http.ServeContent] answer, but for its refusals, which
// it only notes.
type contentWriter struct {
	http.ResponseWriter
	refused int
	// broken is set when not all of the content went out, and failed is why it could not be
	// copied.
	broken bool
	failed error
}

func (w *contentWriter) WriteHeader(status int) {
	if status >= 400 {
		w.refused = status
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *contentWriter) Write(p []byte) (int, error) {
	if w.refused != 0 {
		return len(p), nil
	}
	n, err := w.ResponseWriter.Write(p)
	w.broken = w.broken || err != nil
	return n, err
}

// ReadFrom lets the kernel send a file without it passing through here.
func (w *contentWriter) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(w.ResponseWriter, r)
	w.broken, w.failed = w.broken || err != nil, err
	return n, err
}

// attachment is the Content-Disposition of a file to be saved under a name
// (RFC 6266), with a plain spelling for clients that know no other.
func attachment(name string) string {
	plain := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`"\%`, r) {
			return '_'
		}
		return r
	}, name)
	value := `attachment; filename="` + plain + `"`
	if plain != name {
		// RFC 5987 has no space for '+' and wants what PathEscape leaves bare
		// of its own reserved characters escaped too.
		value += "; filename*=UTF-8''" + strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
	}
	return value
}

// OpenVersion opens the version of a file that has an id. The caller has decided that it
// may.
func (s *Service) OpenVersion(ctx context.Context, org, id string) (bctrl.StorageObject, io.ReadSeekCloser, error) {
	o, content, err := s.openObject(ctx, func(ctx context.Context) (store.Object, error) {
		return s.DB.Read().ObjectByID(ctx, org, id)
	})
	if err != nil {
		return bctrl.StorageObject{}, nil, err
	}
	return describeObject(o), content, nil
}
