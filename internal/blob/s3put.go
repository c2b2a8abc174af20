package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

const (
	// partSize is one part of a longer stream, in bytes. S3 takes at least 5 MiB.
	partSize = 8 << 20
	// partsInFlight are sent at once, while a third is being read: 24 MiB in all.
	partsInFlight = 2
	// maxParts is S3's.
	maxParts = 10_000
	// MaxObject is how long a blob in a bucket may be, in bytes: 78 GiB.
	MaxObject = maxParts * partSize
	// codePrecondition is the answer to If-None-Match where there is an object.
	codePrecondition = "PreconditionFailed"
)

// part is a piece of a stream in memory. It holds as many buffers as it has bytes for.
type part struct {
	bufs []*buffer
	size int64
}

// ReadAt implements [io.ReaderAt].
func (p *part) ReadAt(out []byte, at int64) (n int, err error) {
	for n < len(out) && at < p.size {
		within := at % bufferSize
		chunk := p.bufs[at/bufferSize][within:min(bufferSize, within+p.size-at)]
		moved := copy(out[n:], chunk)
		n, at = n+moved, at+int64(moved)
	}
	if n < len(out) {
		return n, io.EOF
	}
	return n, nil
}

func (p *part) reader() io.ReadSeeker { return io.NewSectionReader(p, 0, p.size) }

func (p *part) sum() [sha256.Size]byte {
	h := sha256.New()
	for left, i := p.size, 0; left > 0; i++ {
		n := min(left, bufferSize)
		h.Write(p.bufs[i][:n])
		left -= n
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// stream is what Put reads, and the memory that it goes through.
type stream struct {
	r     io.Reader
	limit int64
	size  int64
	hash  hash.Hash
	end   bool
	// free has the buffers of this stream that hold nothing; pool has those of none.
	free chan *buffer
	pool *sync.Pool
}

func (s *S3) newStream(r io.Reader, limit int64) *stream {
	return &stream{
		r:     r,
		limit: limit,
		hash:  sha256.New(),
		free:  make(chan *buffer, (partsInFlight+1)*partSize/bufferSize),
		pool:  &s.buffers,
	}
}

func (st *stream) buffer() *buffer {
	select {
	case buf := <-st.free:
		return buf
	default:
		return st.pool.Get().(*buffer)
	}
}

// release takes a part's memory back.
func (st *stream) release(p *part) {
	for _, buf := range p.bufs {
		st.free <- buf
	}
	p.bufs, p.size = nil, 0
}

// close gives the memory to other streams, once nothing of this one is on its way.
func (st *stream) close() {
	for len(st.free) > 0 {
		st.pool.Put(<-st.free)
	}
}

// next reads another part into p.
func (st *stream) next(ctx context.Context, p *part) error {
	for !st.end && p.size < partSize {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		buf := st.buffer()
		p.bufs = append(p.bufs, buf)
		n, err := fill(st.r, buf[:])
		if st.end = err == io.EOF; err != nil && !st.end {
			return err
		}
		st.size += int64(n)
		p.size += int64(n)
		if st.limit > 0 && st.size > st.limit {
			return ErrTooLarge
		}
		st.hash.Write(buf[:n])
	}
	return nil
}

// Put implements [Store].
func (s *S3) Put(ctx context.Context, r io.Reader, limit int64) (Blob, error) {
	random, err := uuid.NewRandom()
	if err != nil {
		return Blob{}, err
	}
	return s.put(ctx, random.String(), r, limit)
}

// put is [S3.Put] under an id.
func (s *S3) put(ctx context.Context, id string, r io.Reader, limit int64) (_ Blob, err error) {
	blob := Blob{ID: id}
	key, _ := s.key(id)
	s.writing.Store(blob.ID, nil)
	defer s.writing.Delete(blob.ID)

	st := s.newStream(r, limit)
	defer st.close()
	first := &part{}
	defer st.release(first)
	if err := st.next(ctx, first); err != nil {
		return Blob{}, err
	}
	if st.end {
		err = s.putWhole(ctx, key, st, first)
	} else {
		err = s.putParts(ctx, key, st, first)
	}
	if err != nil {
		return Blob{}, err
	}
	blob.Size, blob.SHA256 = st.size, [sha256.Size]byte(st.hash.Sum(nil))
	return blob, nil
}

// putWhole stores what fits into one request.
func (s *S3) putWhole(ctx context.Context, key string, st *stream, only *part) error {
	_, err := s.putObject(ctx, key, only.reader(), only.size, [sha256.Size]byte(st.hash.Sum(nil)))
	if err == nil || s.isOurs(ctx, key, only.size, err) {
		return nil
	}
	s.abandon(ctx, key, "")
	return s3Failure(ctx, "PutObject", err)
}

// putObject makes an object where there is none, and returns its version where the
// bucket keeps those.
func (s *S3) putObject(
	ctx context.Context, key string, body io.ReadSeeker, size int64, sum [sha256.Size]byte,
) (version string, err error) {
	made, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket:        &s.cfg.Bucket,
		Key:           &key,
		Body:          body,
		ContentLength: &size,
		ContentType:   aws.String("application/octet-stream"), // what it is, is the database's to say
		IfNoneMatch:   aws.String("*"),
	}, within(s.limits.sending(size)), signing(sum))
	if err != nil {
		return "", err
	}
	return aws.ToString(made.VersionId), nil
}

// signing has the signature of a request cover the SHA-256 of its body, over TLS
// too, so that the server compares it. It is computed once, and not for each attempt.
func signing(sum [sha256.Size]byte) func(*s3.Options) {
	return s3.WithAPIOptions(func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("PayloadHash", func(
			ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
		) (middleware.InitializeOutput, middleware.Metadata, error) {
			return next.HandleInitialize(v4.SetPayloadHash(ctx, hex.EncodeToString(sum[:])), in)
		}), middleware.Before)
	})
}

// isOurs reports whether an object that stands in the way of a request is what an
// earlier attempt of the same made, whose answer was lost. Nobody else has its id, which
// is random, and the server has compared each body with the SHA-256 in its signature: the
// size tells only a fault of the server, and no object of the same size from another.
func (s *S3) isOurs(ctx context.Context, key string, size int64, err error) bool {
	if code := errorCode(err); code != codePrecondition && code != "NoSuchUpload" {
		return false
	}
	about, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.cfg.Bucket, Key: &key}, within(s.limits.answer))
	return err == nil && aws.ToInt64(about.ContentLength) == size
}

// putParts stores a longer stream, whose first part has been read.
func (s *S3) putParts(ctx context.Context, key string, st *stream, first *part) (err error) {
	made, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket:      &s.cfg.Bucket,
		Key:         &key,
		ContentType: aws.String("application/octet-stream"),
	}, within(s.limits.answer))
	if err != nil {
		return s3Failure(ctx, "CreateMultipartUpload", err)
	}
	upload := aws.ToString(made.UploadId)
	complete := false
	defer func() {
		if !complete { // also when r panics
			s.abandon(ctx, key, upload)
		}
	}()
	parts, err := s.sendParts(ctx, key, upload, st, first)
	if err != nil {
		return err
	}
	_, err = s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket:          &s.cfg.Bucket,
		Key:             &key,
		UploadId:        &upload,
		IfNoneMatch:     aws.String("*"),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	}, within(s.limits.complete))
	if complete = err == nil || s.isOurs(ctx, key, st.size, err); complete {
		return nil
	}
	return s3Failure(ctx, "CompleteMultipartUpload", err)
}

// sendParts sends parts while it reads the next.
func (s *S3) sendParts(
	ctx context.Context, key, upload string, st *stream, first *part,
) ([]types.CompletedPart, error) {
	ctx, stop := context.WithCancel(ctx)
	sending, ctx := errgroup.WithContext(ctx)
	late, cut := outliving(ctx, s.limits.grace)
	defer cut()
	sending.SetLimit(partsInFlight)
	var mu sync.Mutex
	var parts []types.CompletedPart
	defer func() { stop(); _ = sending.Wait() }() // also when r panics
	current := &part{}
	current.bufs, current.size, first.bufs, first.size = first.bufs, first.size, nil, 0
	for number := int32(1); ; number++ {
		if number > maxParts {
			st.release(current)
			return nil, ErrTooLarge
		}
		mu.Lock()
		parts = append(parts, types.CompletedPart{PartNumber: aws.Int32(number)})
		mu.Unlock()
		whole := current
		sending.Go(func() error {
			defer st.release(whole)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			etag, err := s.sendPart(late, key, upload, number, whole)
			mu.Lock()
			defer mu.Unlock()
			parts[number-1].ETag = etag
			return err
		})
		if st.end {
			break
		}
		current = &part{}
		if err := st.next(ctx, current); err != nil {
			st.release(current)
			return nil, err // a failed part's, where that has ended ctx
		}
		if current.size == 0 { // the stream ended with the last part
			st.release(current)
			break
		}
	}
	if err := sending.Wait(); err != nil {
		return nil, err
	}
	return parts, nil
}

// outliving is a context that ends so long after another. A part that its server
// has whole when the upload is given up might otherwise be stored after that.
func outliving(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	late, end := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			end(context.Cause(ctx))
		case <-late.Done():
		}
	})
	return late, func() { stop(); end(nil) }
}

func (s *S3) sendPart(ctx context.Context, key, upload string, number int32, p *part) (etag *string, err error) {
	sent, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket:        &s.cfg.Bucket,
		Key:           &key,
		UploadId:      &upload,
		PartNumber:    &number,
		Body:          p.reader(),
		ContentLength: &p.size,
	}, within(s.limits.sending(p.size)), signing(p.sum()))
	if err != nil {
		return nil, s3Failure(ctx, fmt.Sprintf("UploadPart %d", number), err)
	}
	return sent.ETag, nil
}

// abandon removes what a write that failed may have left: its parts, and the object
// where nobody knows whether it was made. What cannot be removed now, a sweep removes.
func (s *S3) abandon(ctx context.Context, key, upload string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.limits.abandon)
	defer cancel()
	// A part that the server is still busy with can keep an upload, so it is asked to forget
	// it until it says that it has.
	for pause := 5 * time.Millisecond; upload != "" && pause < 200*time.Millisecond; pause *= 3 {
		_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
			Bucket: &s.cfg.Bucket, Key: &key, UploadId: &upload,
		}, within(s.limits.answer))
		if err != nil {
			break // NoSuchUpload, most of all
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	_, _ = s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.cfg.Bucket, Key: &key}, within(s.limits.answer))
}
