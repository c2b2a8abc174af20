package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/blob/s3test"
)

// operationOf is the operation of S3 that a request is.
func operationOf(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case q.Get("x-id") != "":
		return q.Get("x-id")
	case q.Has("list-type"):
		return "ListObjectsV2"
	case q.Has("uploads") && r.Method == http.MethodGet:
		return "ListMultipartUploads"
	case q.Has("uploads"):
		return "CreateMultipartUpload"
	case q.Has("uploadId") && r.Method == http.MethodPost:
		return "CompleteMultipartUpload"
	}
	return r.Method
}

// answer is an S3 server's, an error where it has a code. Its message repeats what was sent,
// as real ones do.
func answer(r *http.Request, status int, code string) *http.Response {
	text := "somebody's"
	if code != "" {
		text = fmt.Sprintf("<Error><Code>%s</Code><Message>%s</Message></Error>", code, r.Header.Get("Authorization"))
	}
	return answerText(r, status, text)
}

func answerText(r *http.Request, status int, text string) *http.Response {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	return &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Request: r, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)),
	}
}

// body exchanges a stream's.
type body struct {
	io.Reader
	io.Closer
}

// cut ends a stream after n bytes as a connection that breaks.
func cut(of io.ReadCloser, n int64) io.ReadCloser {
	return body{io.MultiReader(io.LimitReader(of, n), iotest.ErrReader(io.ErrUnexpectedEOF)), of}
}

// flipped changes the byte at an offset.
func flipped(of io.ReadCloser, at int) io.ReadCloser {
	return body{readFunc(func(p []byte) (int, error) {
		n, err := of.Read(p)
		if at >= 0 && at < n {
			p[at] ^= 1
		}
		at -= n
		return n, err
	}), of}
}

// stalled gives n bytes and then nothing until it is closed or the request ends.
func stalled(of io.ReadCloser, n int64, r *http.Request) io.ReadCloser {
	return body{io.MultiReader(io.LimitReader(of, n), readFunc(func([]byte) (int, error) {
		<-r.Context().Done()
		return 0, r.Context().Err()
	})), of}
}

// fault is what becomes of the requests of one operation.
type fault struct {
	operation string
	do        roundTrip
}

func send(change func(*http.Request)) roundTrip {
	return func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		r = r.Clone(r.Context())
		change(r)
		return next.RoundTrip(r)
	}
}

func receive(change func(*http.Response)) roundTrip {
	return func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err == nil {
			change(resp)
		}
		return resp, err
	}
}

func says(status int, code string) roundTrip {
	return func(r *http.Request, _ http.RoundTripper) (*http.Response, error) {
		return answer(r, status, code), nil
	}
}

// lost lets the server do it and loses its answer.
func lost(r *http.Request, next http.RoundTripper) (*http.Response, error) {
	resp, err := next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return nil, io.ErrUnexpectedEOF
}

// silent never answers.
func silent(r *http.Request, _ http.RoundTripper) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// in puts a fault between a store, once it is open, and its server, for the first times
// requests, and reports how many met it.
func (f fault) in(b *bucket, limits s3Limits, times int32) (*S3, *atomic.Int32) {
	var on atomic.Bool
	var met atomic.Int32
	s, err := b.tryOpen(impatient(), func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		if on.Load() && operationOf(r) == f.operation && met.Add(1) <= times {
			return f.do(r, next)
		}
		return next.RoundTrip(r)
	})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	s.limits = limits // from here on: how fast it opens on a busy machine does not matter
	on.Store(true)
	return s, &met
}

const always = 1 << 30

func bucketWritesWhole(t *testing.T, server *s3test.Server) {
	short, long := random(1000), random(partSize+5)
	tired := impatient()
	tired.answer = 50 * time.Millisecond
	for _, c := range []struct {
		why  string
		data []byte
		fault
		limits s3Limits
		// once is set where a second attempt has to do it.
		once bool
		// late is set where the server learns last of the end of a part, which can keep an upload.
		late bool
		// want is what it is when it happens always.
		want error
		says string
	}{
		{why: "cut in the middle of a small file", data: short, once: true, want: ErrUnavailable, says: "broke off",
			fault: fault{"PutObject", send(func(r *http.Request) { r.Body = cut(r.Body, 500) })}},
		{why: "cut in the middle of a part", data: long, once: true, late: true, want: ErrUnavailable, says: "UploadPart",
			fault: fault{"UploadPart", send(func(r *http.Request) { r.Body = cut(r.Body, 3<<20) })}},
		{why: "changed on the way", data: short, want: ErrUnavailable, says: "Mismatch",
			fault: fault{"PutObject", send(func(r *http.Request) { r.Body = flipped(r.Body, 500) })}},
		{why: "a part changed on the way", data: long, want: ErrUnavailable, says: "Mismatch",
			fault: fault{"UploadPart", send(func(r *http.Request) { r.Body = flipped(r.Body, 3<<20) })}},
		{why: "asked to slow down", data: short, once: true, want: ErrUnavailable, says: "503 SlowDown",
			fault: fault{"PutObject", says(503, "SlowDown")}},
		{why: "a part asked to slow down", data: long, once: true, want: ErrUnavailable, says: "503 SlowDown",
			fault: fault{"UploadPart", says(503, "SlowDown")}},
		{why: "a fault of the server", data: long, once: true, want: ErrUnavailable, says: "500 InternalError",
			fault: fault{"CreateMultipartUpload", says(500, "InternalError")}},
		{why: "a fault while parts are put together", data: long, once: true, want: ErrUnavailable, says: "Complete",
			fault: fault{"CompleteMultipartUpload", says(500, "InternalError")}},
		{why: "forbidden since", data: short, want: ErrForbidden, says: "403 AccessDenied",
			fault: fault{"PutObject", says(403, "AccessDenied")}},
		{why: "forbidden half-way", data: long, want: ErrForbidden, says: "403 ExpiredToken",
			fault: fault{"CompleteMultipartUpload", says(403, "ExpiredToken")}},
		{why: "the bucket is gone", data: long, want: ErrNoBucket, fault: fault{"UploadPart", says(404, "NoSuchBucket")}},
		{why: "full", data: short, want: ErrFull, fault: fault{"PutObject", says(507, "XMinioStorageFull")}},
		{why: "full half-way", data: long, want: ErrFull, fault: fault{"UploadPart", says(403, "QuotaExceeded")}},
		{why: "no answer", data: short, limits: tired, want: ErrUnavailable, says: "in time",
			fault: fault{"PutObject", silent}},
		{why: "the answer is lost", data: short, once: true, want: ErrUnavailable, fault: fault{"PutObject", lost}},
		{why: "the answer to the end is lost", data: long, once: true, want: ErrUnavailable,
			fault: fault{"CompleteMultipartUpload", lost}},
		{why: "a code that is none", data: short, want: ErrUnavailable, says: "418 without a code",
			fault: fault{"PutObject", says(418, "hunter2 hunter2")}},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			b := newBucket(t, server)
			if c.limits.attempts == 0 {
				c.limits = impatient()
			}
			if c.once {
				s, met := c.in(b, c.limits, 1)
				requireBytes(t, b.plain, put(t, s, bytes.NewReader(c.data), c.data), c.data)
				require.Greater(t, met.Load(), int32(1))
				require.Len(t, b.kept(), 1)
			}
			before := b.kept()
			s, met := c.in(b, c.limits, always)
			stored, err := s.Put(t.Context(), bytes.NewReader(c.data), 0)
			require.Positive(t, met.Load())
			require.LessOrEqual(t, met.Load(), int32(c.limits.attempts*partsInFlight), "attempts are bounded")
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, c.says)
			hidesCredentials(t, server, err)
			require.Zero(t, stored)
			require.Subset(t, before, b.objects(), "nothing is half written")
			if c.late {
				require.Eventually(t, func() bool {
					_, err := b.plain.Sweep(t.Context(), time.Now().Add(time.Hour), noOrphans)
					return err == nil && len(b.uploads()) == 0
				}, 10*time.Second, 10*time.Millisecond)
			}
			require.Equal(t, before, b.kept(), "nothing is left over")
		})
	}
}

// bucketSweepsFailures has the server go away in the middle.
func bucketSweepsFailures(t *testing.T, server *s3test.Server) {
	b := newBucket(t, server)
	var down atomic.Bool
	s := b.open(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		if down.Load() {
			return nil, errors.New("hunter2 is the text of a proxy")
		}
		return next.RoundTrip(r)
	})
	data := io.MultiReader(io.LimitReader(zeros{}, partSize+1), readFunc(func([]byte) (int, error) {
		down.Store(true)
		return 0, io.EOF
	}))
	_, err := s.Put(t.Context(), data, 0)
	require.ErrorIs(t, err, ErrUnavailable)
	hidesCredentials(t, server, err)
	require.Len(t, b.uploads(), 1)
	removed, err := b.plain.Sweep(t.Context(), time.Now().Add(time.Hour), allOrphans)
	require.NoError(t, err)
	require.Equal(t, 1, removed)
	require.Empty(t, b.kept())
}

func bucketCompares(t *testing.T, server *s3test.Server) {
	b := newBucket(t, server)
	tired := impatient()
	tired.answer = 150 * time.Millisecond
	short, long := random(1000), random(3*bufferSize)
	smallBlob := put(t, b.plain, bytes.NewReader(short), short)
	longBlob := put(t, b.plain, bytes.NewReader(long), long)
	get := func(change func(*http.Response)) fault { return fault{"GetObject", receive(change)} }
	for _, c := range []struct {
		why    string
		fault  fault
		limits s3Limits
		once   bool  // whether a second request does it
		want   error // when it happens always
		opens  bool  // whether a longer blob opens all the same
	}{
		{why: "other bytes", want: ErrDigest, opens: true,
			fault: get(func(r *http.Response) { r.Body = flipped(r.Body, 999) })},
		{why: "fewer bytes", want: ErrDigest, fault: get(func(r *http.Response) {
			r.ContentLength--
			r.Header.Set("Content-Length", fmt.Sprint(r.ContentLength))
		})},
		{why: "cut", once: true, want: ErrUnavailable, opens: true,
			fault: get(func(r *http.Response) { r.Body = cut(r.Body, 100) })},
		{why: "ended early", once: true, want: ErrUnavailable, opens: true,
			fault: get(func(r *http.Response) { r.Body = body{io.LimitReader(r.Body, 100), r.Body} })},
		{why: "nothing comes", once: true, limits: tired, want: ErrUnavailable, opens: true,
			fault: get(func(r *http.Response) { r.Body = stalled(r.Body, 100, r.Request) })},
		{why: "no answer", fault: fault{"GetObject", says(503, "SlowDown")}, once: true, want: ErrUnavailable},
		{why: "forbidden", fault: fault{"GetObject", says(403, "AccessDenied")}, want: ErrForbidden},
		{why: "no bucket", fault: fault{"GetObject", says(404, "NoSuchBucket")}, want: ErrNoBucket},
		{why: "no object", fault: fault{"GetObject", says(404, "NoSuchKey")}, want: ErrNotFound},
		{why: "a redirect", fault: fault{"GetObject", says(307, "TemporaryRedirect")}, want: ErrUnavailable},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			b := &bucket{t, b.server, b.name, b.dir, b.plain}
			if c.limits.attempts == 0 {
				c.limits = impatient()
			}
			if c.once {
				for blob, want := range map[Blob][]byte{smallBlob: short, longBlob: long} {
					s, met := c.fault.in(b, c.limits, 1)
					requireBytes(t, s, blob, want)
					require.GreaterOrEqual(t, met.Load(), int32(2))
				}
			}
			s, met := c.fault.in(b, c.limits, always)
			_, _, err := s.Open(t.Context(), smallBlob)
			require.ErrorIs(t, err, c.want, "a small one is compared before anybody has a byte of it")
			hidesCredentials(t, server, err)
			require.LessOrEqual(t, met.Load(), int32(2*readAgain), "attempts are bounded")

			f, _, err := s.Open(t.Context(), longBlob)
			if c.opens {
				require.NoError(t, err)
				var n int64
				n, err = io.Copy(io.Discard, f)
				require.Less(t, n, longBlob.Size, "whoever counts knows that it is not whole")
				require.NoError(t, f.Close())
			}
			require.ErrorIs(t, err, c.want)
			hidesCredentials(t, server, err)
		})
	}
}

func bucketReadsOn(t *testing.T, server *s3test.Server) {
	b := newBucket(t, server)
	want := random(9 * bufferSize)
	blob := put(t, b.plain, bytes.NewReader(want), want)
	cuts := fault{"GetObject", receive(func(r *http.Response) { r.Body = cut(r.Body, bufferSize+1) })}
	s, met := cuts.in(b, impatient(), always)
	requireBytes(t, s, blob, want)
	require.Greater(t, met.Load(), int32(readAgain), "each break came after more was read: that is no loop")
}

func bucketEndsWithItsCaller(t *testing.T, server *s3test.Server) {
	b := newBucket(t, server)
	want := random(2 * bufferSize)
	blob := put(t, b.plain, bytes.NewReader(want), want)
	stalls := fault{"GetObject", receive(func(r *http.Response) { r.Body = stalled(r.Body, 500, r.Request) })}
	s, _ := stalls.in(b, impatient(), always)
	left := errors.New("the caller has left")
	ctx, leave := context.WithCancelCause(t.Context())
	f, _, err := s.Open(ctx, blob)
	require.NoError(t, err)
	_, err = io.ReadFull(f, make([]byte, 500))
	require.NoError(t, err)
	leave(left)
	_, err = f.Read(make([]byte, 1))
	require.ErrorIs(t, err, left)
	require.NoError(t, f.Close())

	_, _, err = s.Open(ctx, blob)
	require.ErrorIs(t, err, left)
	require.ErrorIs(t, s.Delete(ctx, blob.ID), left)
	_, err = s.Put(ctx, strings.NewReader("x"), 0)
	require.ErrorIs(t, err, left)
}

func TestAPartOnItsWayOutlivesItsUploadForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := errors.New("the caller has left")
		ctx, leave := context.WithCancelCause(t.Context())
		late, cut := outliving(ctx, time.Second)
		defer cut()
		leave(left)
		synctest.Wait()
		require.NoError(t, late.Err())
		begun := time.Now()
		<-late.Done()
		require.Equal(t, time.Second, time.Since(begun))
		require.ErrorIs(t, context.Cause(late), left)

		late, cut = outliving(ctx, time.Second)
		cut()
		<-late.Done() // and nothing waits for the second
	})
}
