package files

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// maxStandstill is how long an upload may stand still.
const maxStandstill = time.Minute

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
	_ = u.conn.SetReadDeadline(time.Now().Add(maxStandstill)) // a test's recorder has none
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

// storeUpload stores the file of a request and answers it. What is kept of the request's content for
// its idempotency key is made of the file's SHA-256.
func (s *Service) storeUpload(
	w http.ResponseWriter, rq *web.Request, f Incoming, content upload, kept func(sum []byte) []byte,
) error {
	_, err := s.writeFile(rq.Context(), rq.Caller.Org, f, content,
		func(sum []byte, fn fileChange) (bctrl.StorageObject, error) {
			rq.KeepContent(kept(sum))
			return web.Change(rq.Context(), rq, fn)
		})
	if err == nil {
		rq.WriteAnswer(w)
	}
	return err
}

// sumOf is the SHA-256 of an upload of which nothing is stored.
func (s *Service) sumOf(content upload) ([]byte, error) {
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(content, s.maxFile+1))
	if err == nil && n > s.maxFile {
		err = s.tooLarge()
	}
	return h.Sum(nil), err
}

// digestOf reads the SHA-256 that a client sends with a file (RFC 9530); nil
// when it sends none. Other algorithms are not checked.
func digestOf(h http.Header) (said []byte, err error) {
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
			if said != nil && !bytes.Equal(said, sum) {
				return nil, web.Invalid("storage.invalid_digest", name, "Repr-Digest and Content-Digest must name one SHA-256")
			}
			said = sum
		}
	}
	return said, nil
}

// checkDigest refuses content whose SHA-256 is not the one that was said of it, if any.
func checkDigest(said, sum []byte) error {
	if said != nil && !bytes.Equal(said, sum) {
		return web.Invalid("storage.digest_mismatch", "",
			"the content does not have the SHA-256 that was sent with it: nothing was stored")
	}
	return nil
}
