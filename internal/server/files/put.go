package files

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gabriel-vasile/mimetype"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// defaultMaxFile is the limit of one file, in bytes, when the configuration
// names none.
const defaultMaxFile = 5 << 30

// Incoming is a file to be stored.
type Incoming struct {
	Namespace, Path string
	// Filename is what a download is called; empty for the end of Path.
	Filename string
	// ContentType is kept as it is. Empty, or application/octet-stream, which
	// says nothing, is replaced by what the first bytes look like.
	ContentType string
	Source      bctrl.StorageSource
	RuntimeID   string
	Driver      bctrl.Driver
	// Target says where in the runtime it came from.
	Target string
	// IfMatch and IfNoneMatch are as in HTTP.
	IfMatch, IfNoneMatch string
	// SHA256 is what the bytes must have, when not nil.
	SHA256 []byte
	// Unique never overwrites: "report.csv" becomes "report (2).csv".
	Unique bool
}

// fileChange is what a transaction does that stores a file.
type fileChange = func(*store.Tx, *audit.Event) (bctrl.StorageObject, error)

// Put stores a file that the server itself has made or fetched, recorded
// as e. The caller has decided that it may.
func (s *Service) Put(
	ctx context.Context, org string, f Incoming, r io.Reader, e audit.Event,
) (bctrl.StorageObject, error) {
	var err error
	if f.Path, err = storagePath(f.Path); err != nil {
		return bctrl.StorageObject{}, err
	}
	return s.writeFile(ctx, org, f, r, func(fn fileChange) (out bctrl.StorageObject, err error) {
		return out, s.DB.Write(ctx, func(tx *store.Tx) error {
			if out, err = fn(tx, &e); err != nil {
				return err
			}
			e.Outcome = audit.OK
			return audit.Append(tx, e)
		})
	})
}

// writeFile stores the bytes, then has record write their row, and last drops
// what nothing refers to any more: the version that was replaced, or the new
// bytes when there is no row. A crash in between leaves bytes without a row,
// never a row without bytes; [server.Server.Sweep] removes those.
func (s *Service) writeFile(
	ctx context.Context, org string, f Incoming, r io.Reader, record func(fileChange) (bctrl.StorageObject, error),
) (out bctrl.StorageObject, err error) {
	if err := f.check(); err != nil {
		return out, err
	}
	conditions := preconditions{f.IfMatch, f.IfNoneMatch}
	if !f.Unique { // refused before a byte is read where that can be told
		now, err := s.DB.Read().Object(ctx, org, f.Namespace, f.Path)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return out, err
		}
		if err := conditions.check(now); err != nil {
			return out, err
		}
	}
	start := &beginning{r: r}
	bytes, err := s.blobs.Put(ctx, start, s.maxFile)
	if err != nil {
		return out, s.notStored(err)
	}
	unused := bytes.ID
	defer func() { s.DropUnusedBlob(ctx, unused) }()
	if f.SHA256 != nil && string(f.SHA256) != string(bytes.SHA256[:]) {
		return out, web.Invalid("storage.digest_mismatch", "",
			"the content does not have the SHA-256 that was sent with it: nothing was stored")
	}
	o := store.Object{
		ID:          web.NewID(),
		Namespace:   f.Namespace,
		Path:        f.Path,
		BlobID:      bytes.ID,
		SHA256:      hex.EncodeToString(bytes.SHA256[:]),
		SizeBytes:   bytes.Size,
		ContentType: start.suggest(f.ContentType),
		Filename:    f.Filename,
		Source:      f.Source,
		RuntimeID:   f.RuntimeID,
		Driver:      f.Driver,
		Target:      f.Target,
		CreatedAt:   store.Now(),
	}
	var replaced string
	out, err = record(func(tx *store.Tx, ev *audit.Event) (bctrl.StorageObject, error) {
		now, err := tx.Object(ctx, org, o.Namespace, o.Path)
		switch {
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return bctrl.StorageObject{}, err
		case !f.Unique:
			if err := conditions.check(now); err != nil {
				return bctrl.StorageObject{}, err
			}
		case now.ID != "":
			if o.Path, err = freePath(ctx, tx, org, o.Namespace, o.Path); err != nil {
				return bctrl.StorageObject{}, err
			}
		}
		if o.Filename == "" {
			o.Filename = path.Base(o.Path)
		}
		ev.Object, ev.UID = objectKey(o.Namespace, o.Path), o.ID
		replaced, err = tx.PutObject(ctx, org, o, func(old store.Object) error {
			end := *ev
			end.Action, end.Outcome = objectReplaced, audit.OK
			return audit.Append(tx, end)
		})
		return describeObject(o), err
	})
	if err == nil {
		unused = replaced
	}
	return out, err
}

// objectReplaced is the action of the event that ends a version of a file.
const objectReplaced = "storage.replaced"

// DropUnusedBlob deletes a blob that no file has. What cannot be deleted now is
// left for a sweep.
func (s *Service) DropUnusedBlob(ctx context.Context, id string) {
	if id == "" {
		return
	}
	ctx = context.WithoutCancel(ctx) // nobody else would
	unknown, err := s.DB.Read().UnknownBlobs(ctx, []string{id})
	for _, id := range unknown {
		err = s.blobs.Delete(ctx, id)
	}
	if err != nil {
		s.Log.Error("bytes that no file has were not deleted", "error", err)
	}
}

// orphanAge is how old bytes without a file must be to be taken for a crash's:
// an upload has its row within moments of its last byte.
const orphanAge = time.Hour

// SweepBlobs removes the bytes that a crash left without a file.
func (s *Service) SweepBlobs(ctx context.Context) error {
	removed, err := s.blobs.Sweep(ctx, time.Now().Add(-orphanAge), s.DB.Read().UnknownBlobs)
	if removed > 0 {
		s.Log.Info("removed bytes that no file has", "blobs", removed)
	}
	return err
}

// notStored says why bytes could not be stored.
func (s *Service) notStored(err error) error {
	switch {
	case errors.Is(err, blob.ErrTooLarge):
		return s.tooLarge()
	case errors.Is(err, blob.ErrFull):
		return store.ErrFull
	}
	return err
}

func (s *Service) tooLarge() *bctrl.Error {
	return web.TooLarge("storage.too_large", "the file exceeds "+strconv.FormatInt(s.maxFile, 10)+" bytes")
}

// freePath returns the first "name (n).ext" beside a path that is taken. It
// asks about as few as it can: where the numbers have no gaps, it finds the
// end of them by halving.
func freePath(ctx context.Context, tx *store.Tx, org, namespace, taken string) (string, error) {
	var failed error
	free := func(n int) bool {
		_, err := tx.Object(ctx, org, namespace, numbered(taken, n))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			failed = err
		}
		return err != nil
	}
	low, high := 1, 2 // low is taken
	for !free(high) {
		low, high = high, high*2
	}
	for high-low > 1 && failed == nil {
		if mid := (low + high) / 2; free(mid) {
			high = mid
		} else {
			low = mid
		}
	}
	return numbered(taken, high), failed
}

// numbered puts a number into a path, before the extension, and shortens the
// name where there is no room for it.
func numbered(p string, n int) string {
	folder, name := path.Split(p)
	ext := path.Ext(name)
	if len(ext) == len(name) || len(ext) > 32 { // ".profile" is all name
		ext = ""
	}
	stem, suffix := strings.TrimSuffix(name, ext), " ("+strconv.Itoa(n)+")"+ext
	room := min(255-len(suffix), 1024-len(folder)-len(suffix))
	if len(stem) > room {
		stem = strings.ToValidUTF8(stem[:max(room, 0)], "")
	}
	return folder + stem + suffix
}

// beginning keeps the first bytes that are read through it, enough to tell a
// type by. Errors pass through it as they are.
type beginning struct {
	r    io.Reader
	head []byte
}

const headBytes = 3072 // what mimetype looks at

func (b *beginning) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if room := headBytes - len(b.head); room > 0 {
		b.head = append(b.head, p[:min(n, room)]...)
	}
	return n, err
}

// suggest returns the type that was given, or what the bytes look like.
func (b *beginning) suggest(given string) string {
	if given != "" && given != "application/octet-stream" {
		return given
	}
	return mimetype.Detect(b.head).String()
}

// stalled is how long an upload may stand still.
const stalled = time.Minute

// upload is the body of a request. Its errors are the client's, and an upload
// that stands still is one.
type upload struct {
	ctx  context.Context //nolint:containedctx // of the request, whose body has none
	r    io.Reader
	conn *http.ResponseController
}

func newUpload(ctx context.Context, w http.ResponseWriter, r io.Reader) upload {
	return upload{ctx, r, http.NewResponseController(w)}
}

// Read ends at once when the upload is no longer permitted.
func (u upload) Read(p []byte) (int, error) {
	_ = u.conn.SetReadDeadline(time.Now().Add(stalled)) // a test's recorder has none
	if why := web.EndedBecause(u.ctx); why != nil {
		_ = u.conn.SetReadDeadline(web.PastDeadline) // which ends it, as the kernel ends a body that waits
		return 0, why
	}
	n, err := u.r.Read(p)
	if err == nil {
		return n, nil
	}
	if why := web.EndedBecause(u.ctx); why != nil && err != io.EOF {
		return n, why
	}
	_ = u.conn.SetReadDeadline(time.Time{})
	if _, refused := errors.AsType[*bctrl.Error](err); err != io.EOF && !refused {
		err = web.TimedOut("storage.incomplete_upload", "the upload broke off: nothing was stored")
	}
	return n, err
}

// digestOf reads the SHA-256 that a client sends with a file (RFC 9530); nil
// when it sends none. Other algorithms are not checked.
func digestOf(h http.Header) ([]byte, error) {
	for _, name := range []string{"Repr-Digest", "Content-Digest"} {
		for part := range strings.SplitSeq(joinedHeader(h, name), ",") {
			value, ok := strings.CutPrefix(strings.TrimSpace(part), "sha-256=")
			if !ok {
				continue
			}
			sum, err := base64.StdEncoding.DecodeString(strings.Trim(value, ":"))
			if err != nil || len(sum) != sha256.Size ||
				len(value) < 2 || value[0] != ':' || value[len(value)-1] != ':' {
				return nil, web.Invalid("storage.invalid_digest", name, name+" must be sha-256=:<base64>:")
			}
			return sum, nil
		}
	}
	return nil, nil
}

// The limits of what is kept beside a file, in bytes.
const (
	maxContentType = 255
	maxTarget      = 1024
)

// check refuses what cannot be kept. The path is checked at the border.
func (f Incoming) check() error {
	if err := validNamespace(f.Namespace); err != nil {
		return err
	}
	var p web.Problems
	if f.Filename != "" && (strings.Contains(f.Filename, "/") || bctrl.ValidStoragePath(f.Filename) != nil) {
		p.Add("storage.invalid_filename", "filename", "the file name must be one segment of a storage path")
	}
	if f.ContentType != "" && !plainContentType(f.ContentType) {
		p.Add("storage.invalid_content_type", "Content-Type",
			"the content type must be type/subtype with parameters, in ASCII")
	}
	sources := []bctrl.StorageSource{
		bctrl.SourceUpload, bctrl.SourceDownload, bctrl.SourceScreenshot, bctrl.SourceRecording,
	}
	if !slices.Contains(sources, f.Source) {
		p.Add("storage.invalid_source", "source", "the source must be upload, download, screenshot or recording")
	}
	if f.RuntimeID != "" && names.CanonicalUUID(f.RuntimeID) != nil {
		p.Add("storage.invalid_runtime", "runtimeId", "runtimeId must be a runtime's id")
	}
	if f.Driver != "" && names.Name(string(f.Driver)) != nil {
		p.Add("storage.invalid_driver", "driver", "there can be no such driver")
	}
	p.Limit("target", len(f.Target), maxTarget)
	if strings.ToValidUTF8(f.Target, "") != f.Target {
		p.Add("storage.invalid_target", "target", "the target is not valid UTF-8")
	}
	return p.Err()
}

func plainContentType(text string) bool {
	if len(text) > maxContentType || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return false
	}
	mediaType, _, err := mime.ParseMediaType(text)
	return err == nil && strings.Contains(mediaType, "/")
}
