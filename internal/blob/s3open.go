package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// readAgain is how often reading goes on with another request where an answer breaks
// off, without 256 KiB between two breaks.
const readAgain = 4

// Open implements [Store]. A blob of at most 256 KiB is read and compared at once. Of a
// longer one that is deleted meanwhile, what the running answer
// has is read to its end; a read elsewhere in it, or a connection that breaks, finds nothing.
func (s *S3) Open(ctx context.Context, b Blob) (io.ReadSeekCloser, int64, error) {
	key, ok := s.key(b.ID)
	if !ok {
		return nil, 0, ErrNotFound
	}
	r := &s3Reader{s: s, ctx: ctx, key: key, blob: b, hash: sha256.New()}
	if err := r.ask(0); err != nil {
		return nil, 0, err
	}
	if b.Size > bufferSize {
		return r, b.Size, nil
	}
	defer r.Close()
	content := make([]byte, b.Size)
	if _, err := io.ReadFull(r, content); err != nil {
		return nil, 0, err
	}
	if b.Size == 0 && b.SHA256 != sha256.Sum256(nil) {
		return nil, 0, ErrDigest
	}
	return &memory{Reader: bytes.NewReader(content)}, b.Size, nil
}

// memory is a blob that was read already.
type memory struct {
	*bytes.Reader
	closed bool
}

// Read implements [io.Reader].
func (m *memory) Read(p []byte) (int, error) {
	if m.closed {
		return 0, os.ErrClosed
	}
	return m.Reader.Read(p)
}

// Close implements [io.Closer].
func (m *memory) Close() error {
	m.closed = true
	m.Reset(nil)
	return nil
}

// s3Reader reads an object, from where it stands, by one request; after a seek or a
// break by another.
type s3Reader struct {
	s    *S3
	ctx  context.Context //nolint:containedctx // of Open, which is the request's that reads
	key  string
	etag string
	blob Blob

	pos    int64 // where the next read begins
	body   io.ReadCloser
	at     int64 // where body stands
	breaks int
	since  int64 // bytes since the last break
	closed bool

	hash   hash.Hash
	hashed int64 // how many bytes from the first on are in hash
}

// ask requests the object from an offset on.
func (r *s3Reader) ask(offset int64) error {
	body, about, err := r.s.get(r.ctx, r.key, offset, r.etag)
	if err != nil {
		return err
	}
	if size := offset + about.size; size != r.blob.Size {
		body.Close()
		return fmt.Errorf("%w: they are %d, not %d", ErrDigest, size, r.blob.Size)
	}
	r.body, r.at, r.etag = body, offset, about.etag
	return nil
}

// Read implements [io.Reader].
func (r *s3Reader) Read(p []byte) (int, error) {
	if r.closed {
		return 0, os.ErrClosed
	}
	if len(p) == 0 {
		return 0, nil
	}
	for r.pos < r.blob.Size {
		if r.body != nil && r.at != r.pos {
			r.body.Close()
			r.body = nil
		}
		if r.body == nil {
			if err := r.ask(r.pos); err != nil {
				return 0, err
			}
		}
		n, err := r.body.Read(p[:min(int64(len(p)), r.blob.Size-r.pos)])
		if n > 0 {
			return r.took(p[:n])
		}
		if err == nil {
			continue
		}
		if err := r.broke(err); err != nil {
			return 0, err
		}
	}
	return 0, io.EOF
}

// took accounts for bytes that were read, and refuses the last of a blob that is not as it
// was stored.
func (r *s3Reader) took(p []byte) (int, error) {
	n := int64(len(p))
	if r.pos == 0 && r.hashed != 0 {
		r.hash.Reset()
		r.hashed = 0
	}
	if r.hashed == r.pos {
		r.hash.Write(p)
		r.hashed += n
	}
	r.pos, r.at = r.pos+n, r.at+n
	if r.since += n; r.since >= bufferSize {
		r.breaks = 0
	}
	if r.hashed == r.blob.Size && [sha256.Size]byte(r.hash.Sum(nil)) != r.blob.SHA256 {
		clear(p)
		return 0, ErrDigest
	}
	return len(p), nil
}

// broke lets go of an answer that ended too early, and says so once that was too often.
func (r *s3Reader) broke(err error) error {
	r.body.Close()
	r.body = nil
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	if r.breaks++; r.breaks > readAgain {
		return s3Failure(r.ctx, "GetObject", errors.Join(errShort, err))
	}
	r.since = 0
	return nil
}

// Seek implements [io.Seeker] and asks the server nothing.
func (r *s3Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.blob.Size
	case io.SeekStart:
	default:
		return 0, errors.New("seek from nowhere")
	}
	if offset < 0 {
		return 0, errors.New("seek to before the first byte")
	}
	r.pos = offset
	return offset, nil
}

// Close implements [io.Closer].
func (r *s3Reader) Close() error {
	if r.body != nil {
		r.body.Close()
	}
	r.closed, r.body = true, nil
	return nil
}

// Link implements [Linker]. It asks the server nothing.
func (s *S3) Link(ctx context.Context, id string, as Described, ttl time.Duration) (string, error) {
	key, ok := s.key(id)
	if !ok {
		return "", ErrNotFound
	}
	signed, err := s3.NewPresignClient(s.client).PresignGetObject(ctx, &s3.GetObjectInput{
		Bucket:                     &s.cfg.Bucket,
		Key:                        &key,
		ResponseContentType:        &as.ContentType,
		ResponseContentDisposition: &as.ContentDisposition,
		ResponseCacheControl:       &as.CacheControl,
	}, s3.WithPresignExpires(ttl))
	if err != nil {
		return "", s3Failure(ctx, "signing a link", err)
	}
	return signed.URL, nil
}

// received is what the header of an answer says.
type received struct {
	size int64 // of what follows
	etag string
}

// get requests an object from an offset on; with an etag, only that version of it. A read that
// stands still for as long as an answer may take ends with [slowError].
func (s *S3) get(ctx context.Context, key string, offset int64, etag string) (io.ReadCloser, received, error) {
	in := &s3.GetObjectInput{Bucket: &s.cfg.Bucket, Key: &key}
	if offset > 0 {
		in.Range = aws.String("bytes=" + strconv.FormatInt(offset, 10) + "-")
	}
	if etag != "" {
		in.IfMatch = &etag
	}
	reading, cancel := context.WithCancelCause(ctx)
	got, err := s.client.GetObject(reading, in, within(s.limits.answer, true))
	if err != nil {
		cancel(nil)
		return nil, received{}, s3Failure(ctx, "GetObject", err)
	}
	body := &watchedBody{ReadCloser: got.Body, ctx: reading, cancel: cancel, limit: s.limits.answer}
	return body, received{aws.ToInt64(got.ContentLength), aws.ToString(got.ETag)}, nil
}

// watchedBody ends a body that stands still. A reader that takes its time does not
// count.
type watchedBody struct {
	io.ReadCloser
	ctx    context.Context //nolint:containedctx // of the request whose body this is
	cancel context.CancelCauseFunc
	limit  time.Duration
}

// Read implements [io.Reader].
func (b *watchedBody) Read(p []byte) (int, error) {
	timer := time.AfterFunc(b.limit, func() { b.cancel(slowError{}) })
	n, err := b.ReadCloser.Read(p)
	timer.Stop()
	if err != nil && err != io.EOF && b.ctx.Err() != nil {
		err = context.Cause(b.ctx)
	}
	return n, err
}

// Close implements [io.Closer].
func (b *watchedBody) Close() error {
	b.cancel(nil)
	return b.ReadCloser.Close()
}
