package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/blob/s3test"
)

// bucket is an empty one of a real server.
type bucket struct {
	*testing.T
	server *s3test.Server
	name   string
	dir    string
	plain  *S3 // without faults
}

// newBucket makes a bucket and has the process use its server.
func newBucket(t *testing.T, server *s3test.Server) *bucket {
	t.Helper()
	b := &bucket{T: t, server: server, name: "b-" + uuid.NewString()}
	b.dir = server.Bucket(t, b.name)
	b.plain = b.open(nil)
	return b
}

func (b *bucket) url() string { return b.server.URL(b.name) }

func (b *bucket) config() S3Config {
	cfg, err := ParseS3(b.url())
	require.NoError(b, err)
	return cfg
}

// roundTrip stands between a store and its server.
type roundTrip func(r *http.Request, next http.RoundTripper) (*http.Response, error)

type faulty struct {
	next  http.RoundTripper
	fault roundTrip
}

func (f faulty) RoundTrip(r *http.Request) (*http.Response, error) { return f.fault(r, f.next) }

// impatient are limits for tests: short pauses, and all the time that a busy machine needs to
// leave nothing behind.
func impatient() s3Limits {
	l := defaultS3Limits()
	l.pause, l.grace, l.abandon = 10*time.Millisecond, 30*time.Second, 30*time.Second
	return l
}

// tryOpen opens the bucket with something between it and its server.
func (b *bucket) tryOpen(limits s3Limits, fault roundTrip) (*S3, error) {
	return openS3(b.Context(), b.config(), limits, func(next http.RoundTripper) http.RoundTripper {
		if fault == nil {
			return next
		}
		return faulty{next, fault}
	})
}

func (b *bucket) open(fault roundTrip) *S3 {
	b.Helper()
	s, err := b.tryOpen(impatient(), fault)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	return s
}

// objects are the keys in the bucket.
func (b *bucket) objects() (keys []string) {
	b.Helper()
	pages := s3.NewListObjectsV2Paginator(b.plain.client, &s3.ListObjectsV2Input{Bucket: &b.name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(context.Background())
		require.NoError(b, err)
		for _, o := range page.Contents {
			keys = append(keys, aws.ToString(o.Key))
		}
	}
	return keys
}

// uploads are the keys of uploads that are not complete.
func (b *bucket) uploads() (keys []string) {
	b.Helper()
	pages := s3.NewListMultipartUploadsPaginator(b.plain.client, &s3.ListMultipartUploadsInput{Bucket: &b.name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(context.Background())
		require.NoError(b, err)
		for _, u := range page.Uploads {
			keys = append(keys, aws.ToString(u.Key))
		}
	}
	return keys
}

func (b *bucket) kept() []string { b.Helper(); return append(b.objects(), b.uploads()...) }

// age makes all that is in the bucket two hours old, or some blobs.
func (b *bucket) age(ids ...string) {
	b.Helper()
	at := time.Now().Add(-2 * time.Hour)
	for _, id := range ids {
		require.NoError(b, os.Chtimes(filepath.Join(b.dir, blobPrefix, id), at, at))
	}
	if len(ids) > 0 {
		return
	}
	require.NoError(b, filepath.WalkDir(b.dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			err = os.Chtimes(path, at, at)
		}
		return err
	}))
}

// TestABucket shares a server between all that is tested of buckets.
func TestABucket(t *testing.T) {
	server := s3test.Start(t)
	server.Setenv(t)
	for _, promise := range []struct {
		name string
		test func(*testing.T, *s3test.Server)
	}{
		{"keeps the promises of every store", bucketKeepsThePromises},
		{"sweeps", bucketSweeps},
		{"has one owner", bucketHasOneOwner},
		{"tells of versions", bucketTellsOfVersions},
		{"says at the start that it cannot be used", bucketSaysAtTheStart},
		{"keeps nothing of a write that fails on its way", bucketWritesWhole},
		{"sweeps what a failed write could not undo", bucketSweepsFailures},
		{"compares what comes back", bucketCompares},
		{"reads on from where an answer broke off", bucketReadsOn},
		{"ends with its caller", bucketEndsWithItsCaller},
		{"goes on once its server is back", bucketGoesOn}, // the last: it kills the server
	} {
		t.Run(promise.name, func(t *testing.T) { promise.test(t, server) })
	}
}

func bucketKeepsThePromises(t *testing.T, server *s3test.Server) {
	keepsThePromises(t, func(t *testing.T) *place {
		b := newBucket(t, server)
		return &place{
			Store:      b.plain,
			name:       b.url(),
			kept:       b.kept,
			unfinished: b.uploads,
			age:        b.age,
			plant: func(ids []string) {
				require.NoError(t, os.MkdirAll(filepath.Join(b.dir, blobPrefix), 0o700))
				for _, id := range ids {
					require.NoError(t, os.WriteFile(filepath.Join(b.dir, blobPrefix, id), nil, 0o600))
				}
			},
			edges:  []int{bufferSize, partSize},
			begun:  partSize,
			stream: 96 << 20,
			memory: 32 << 20,
		}
	})
}

func bucketSweeps(t *testing.T, server *s3test.Server) {
	long := random(partSize + 1)
	hourAgo := func() time.Time { return time.Now().Add(-time.Hour) }
	hourAhead := func() time.Time { return time.Now().Add(time.Hour) }

	t.Run("leaves what lies elsewhere", func(t *testing.T) {
		b := newBucket(t, server)
		cfg := b.config()
		cfg.Prefix = "second/"
		second, err := OpenS3(t.Context(), cfg)
		require.NoError(t, err)
		theirs := put(t, second, strings.NewReader("theirs"), []byte("theirs"))
		put(t, b.plain, strings.NewReader("ours"), []byte("ours"))
		require.NoError(t, os.WriteFile(filepath.Join(b.dir, blobPrefix, "README"), nil, 0o600))
		removed, err := b.plain.Sweep(t.Context(), hourAhead(), allOrphans)
		require.NoError(t, err)
		require.Equal(t, 1, removed)
		requireBytes(t, second, theirs, []byte("theirs"))
		require.Len(t, b.objects(), 2)
		require.NoError(t, second.Close())
	})

	t.Run("knows an orphan that came in parts only from when it was seen", func(t *testing.T) {
		b := newBucket(t, server)
		orphan := put(t, b.plain, strings.NewReader(string(long)), long)
		b.age() // as on AWS, where the time is that of the upload's beginning
		sweep := func(s *S3, before time.Time) int {
			removed, err := s.Sweep(t.Context(), before, allOrphans)
			require.NoError(t, err)
			return removed
		}
		require.Zero(t, sweep(b.plain, hourAgo()), "its row may be written at this moment")
		require.Zero(t, sweep(b.plain, hourAgo()), "nor has it been long since")
		requireBytes(t, b.plain, orphan, long)
		require.Zero(t, sweep(b.open(nil), hourAgo()), "another process has not seen it before")
		require.Equal(t, 1, sweep(b.plain, hourAhead()))
		require.Empty(t, b.kept())
	})

	t.Run("removes an upload that nobody goes on with", func(t *testing.T) {
		b := newBucket(t, server)
		made, err := b.plain.client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{
			Bucket: &b.name, Key: aws.String(blobPrefix + uuid.NewString()),
		})
		require.NoError(t, err)
		b.age()
		part := &part{bufs: []*buffer{new(buffer)}, size: 100}
		_, err = b.plain.sendPart(t.Context(), *made.Key, *made.UploadId, 1, part)
		require.NoError(t, err)
		sweep := func() int {
			removed, err := b.plain.Sweep(t.Context(), hourAgo(), allOrphans)
			require.NoError(t, err)
			return removed
		}
		require.Zero(t, sweep(), "another process has sent a part of it just now")
		require.Len(t, b.uploads(), 1)
		b.age()
		require.Equal(t, 1, sweep())
		require.Empty(t, b.kept())
	})

	t.Run("says what it could not do", func(t *testing.T) {
		b := newBucket(t, server)
		put(t, b.plain, strings.NewReader("x"), []byte("x"))
		for _, operation := range []string{"ListObjectsV2", "ListMultipartUploads", "DeleteObject"} {
			down := false
			s := b.open(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
				if down && operationOf(r) == operation {
					return answer(r, 403, "AccessDenied"), nil
				}
				return next.RoundTrip(r)
			})
			down = true
			_, err := s.Sweep(t.Context(), hourAhead(), allOrphans)
			require.ErrorIs(t, err, ErrForbidden)
			require.ErrorContains(t, err, operation+": 403 AccessDenied")
		}
		require.Len(t, b.kept(), 1)
	})
}

func bucketHasOneOwner(t *testing.T, server *s3test.Server) {
	b := newBucket(t, server)
	require.NoError(t, b.plain.Claim(t.Context(), "first"))
	require.NoError(t, b.plain.Claim(t.Context(), "first"), "once more, as on each start")
	require.ErrorIs(t, b.plain.Claim(t.Context(), "second"), ErrForeign)
	require.NoError(t, b.open(nil).Claim(t.Context(), "first"), "another node of the same")

	cfg := b.config()
	cfg.Prefix = "second/"
	second, err := OpenS3(t.Context(), cfg)
	require.NoError(t, err)
	require.NoError(t, second.Claim(t.Context(), "second"))
	require.NoError(t, second.Close())
}

func bucketSaysAtTheStart(t *testing.T, server *s3test.Server) {
	b := newBucket(t, server)
	instead := func(operation string, at int, fn func(*http.Request) *http.Response) roundTrip {
		return func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			if operationOf(r) == operation {
				if at--; at <= 0 {
					return fn(r), nil
				}
			}
			return next.RoundTrip(r)
		}
	}
	refuses := func(status int, code string) func(*http.Request) *http.Response {
		return func(r *http.Request) *http.Response { return answer(r, status, code) }
	}
	short := impatient()
	short.answer, short.start = 20*time.Millisecond, 100*time.Millisecond
	for _, c := range []struct {
		why    string
		change func(*S3Config)
		env    map[string]string
		limits s3Limits
		fault  roundTrip
		want   error
		says   string
	}{
		{why: "it is missing", change: func(c *S3Config) { c.Bucket = "nobodys" }, want: ErrNoBucket, says: "make it first"},
		{
			why: "nobody listens", change: func(c *S3Config) { c.Endpoint = "http://127.0.0.1:1" },
			want: ErrUnavailable, says: "refused",
		},
		{why: "the secret is wrong", env: map[string]string{"AWS_SECRET_ACCESS_KEY": "hunter2"}, want: ErrForbidden,
			says: "SignatureDoesNotMatch"},
		{why: "the account is unknown", env: map[string]string{"AWS_ACCESS_KEY_ID": "hunter2"}, want: ErrForbidden,
			says: "PutObject: 404 XAdminUserNotFound"},
		{why: "there are no credentials", env: map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
			want: ErrForbidden, says: "no credentials were found"},
		{why: "no region is named", change: func(c *S3Config) { c.Region = "" }, says: "AWS_REGION"},
		{why: "the region is another", change: func(c *S3Config) { c.Region = "us-east-9" }, want: ErrForbidden},
		{why: "an endpoint of the environment is in the clear", change: func(c *S3Config) { c.Endpoint = "" },
			env: map[string]string{"AWS_ENDPOINT_URL_S3": "http://s3.example.com"}, says: "https"},
		{why: "the profile is nobody's", env: map[string]string{"AWS_PROFILE": "hunter2"}, says: "~/.aws"},
		{why: "it does not answer", limits: short, want: ErrUnavailable,
			fault: func(r *http.Request, _ http.RoundTripper) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}},
		{why: "it may not be written", fault: instead("PutObject", 1, refuses(403, "AccessDenied")), want: ErrForbidden,
			says: "PutObject: 403 AccessDenied"},
		{why: "it may not be read", fault: instead("GetObject", 1, refuses(403, "AccessDenied")), want: ErrForbidden,
			says: "GetObject"},
		{why: "it may not be listed", fault: instead("ListObjectsV2", 1, refuses(403, "AccessDenied")), want: ErrForbidden,
			says: "ListObjectsV2"},
		{why: "its uploads may not be listed", fault: instead("ListMultipartUploads", 1, refuses(403, "AccessDenied")),
			want: ErrForbidden, says: "ListMultipartUploads"},
		{why: "nothing may be deleted", fault: instead("DeleteObject", 1, refuses(403, "AccessDenied")), want: ErrForbidden,
			says: "DeleteObject"},
		{why: "it is overloaded", fault: instead("PutObject", 1, refuses(503, "SlowDown")), want: ErrUnavailable,
			says: "503 SlowDown"},
		{why: "it is full", fault: instead("PutObject", 1, refuses(403, "QuotaExceeded")), want: ErrFull},
		{why: "it overwrites what is there", fault: instead("PutObject", 2, refuses(200, "")), says: "If-None-Match"},
		{why: "it gives other bytes", fault: instead("GetObject", 1, func(r *http.Request) *http.Response {
			return answer(r, 206, "")
		}), want: ErrDigest},
		{why: "a listing lacks what is there", fault: instead("ListObjectsV2", 1, func(r *http.Request) *http.Response {
			return answerText(r, 200, "<ListBucketResult></ListBucketResult>")
		}), says: "not listed"},
	} {
		t.Run(c.why, func(t *testing.T) {
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			cfg := b.config()
			if c.change != nil {
				c.change(&cfg)
			}
			limits := c.limits
			if limits.attempts == 0 {
				limits = impatient()
			}
			_, err := openS3(t.Context(), cfg, limits, func(next http.RoundTripper) http.RoundTripper {
				if c.fault == nil {
					return next
				}
				return faulty{next, c.fault}
			})
			require.Error(t, err)
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
			}
			require.ErrorContains(t, err, c.says)
			hidesCredentials(t, server, err)
			if c.env["AWS_ENDPOINT_URL_S3"] == "" && c.env["AWS_PROFILE"] == "" && cfg.Region != "" {
				require.ErrorContains(t, err, "bucket "+cfg.Bucket+" at 127.0.0.1:")
			}
		})
	}
	require.Subset(t, []string{"check/"}, dirsOf(b.objects()), "nothing but what could not be deleted is left")
}

func dirsOf(keys []string) (dirs []string) {
	for _, key := range keys {
		dirs = append(dirs, key[:strings.LastIndexByte(key, '/')+1])
	}
	return dirs
}

// hidesCredentials requires that an error has nothing of them, however it is printed.
func hidesCredentials(t *testing.T, server *s3test.Server, err error) {
	t.Helper()
	for text := fmt.Sprintf("%v %+v %#v", err, err, err); err != nil; err = errors.Unwrap(err) {
		text += err.Error()
		for _, secret := range []string{server.KeyID, server.Secret, "hunter2", "Signature=", "X-Amz-Signature"} {
			require.False(t, strings.Contains(text, secret), "an error repeats a credential")
		}
	}
}

func bucketTellsOfVersions(t *testing.T, server *s3test.Server) {
	b := newBucket(t, server)
	require.False(t, b.plain.KeepsVersions())
	for version, keeps := range map[string]bool{"null": false, "3sL4kqtJlcpXroDTDmJ": true} {
		s := b.open(receive(func(r *http.Response) { r.Header.Set("X-Amz-Version-Id", version) }))
		require.Equal(t, keeps, s.KeepsVersions())
	}
}

// bucketGoesOn kills the server while a part is on its way.
func bucketGoesOn(t *testing.T, server *s3test.Server) {
	b := newBucket(t, server)
	acknowledged := random(2*partSize + 1)
	kept := put(t, b.plain, bytes.NewReader(acknowledged), acknowledged)
	var killed atomic.Bool
	s := b.open(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		if operationOf(r) == "UploadPart" && r.URL.Query().Get("partNumber") == "2" && killed.CompareAndSwap(false, true) {
			r = r.Clone(r.Context())
			r.Body = body{io.MultiReader(io.LimitReader(r.Body, 3<<20), readFunc(func([]byte) (int, error) {
				server.Kill()
				return 0, io.EOF
			}), r.Body), r.Body}
		}
		return next.RoundTrip(r)
	})
	lost := random(3 * partSize)
	_, err := s.Put(t.Context(), bytes.NewReader(lost), 0)
	require.ErrorIs(t, err, ErrUnavailable)
	_, _, err = s.Open(t.Context(), kept)
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, s.Delete(t.Context(), kept.ID), ErrUnavailable)
	_, err = s.Sweep(t.Context(), time.Now(), allOrphans)
	require.ErrorIs(t, err, ErrUnavailable)

	server.Restart(t)
	requireBytes(t, s, kept, acknowledged)
	requireBytes(t, s, put(t, s, bytes.NewReader(lost), lost), lost)
	require.Len(t, b.objects(), 2, "of the write that failed there is nothing to be read")
	removed, err := s.Sweep(t.Context(), time.Now().Add(time.Hour), noOrphans)
	require.NoError(t, err)
	require.Equal(t, 1, removed, "what could not be undone")
	require.Len(t, b.kept(), 2)
}

func TestABucketsAddressIsRead(t *testing.T) {
	for _, c := range []struct {
		text string
		want S3Config
	}{
		{"s3://files", S3Config{Bucket: "files"}},
		{"s3://files/", S3Config{Bucket: "files"}},
		{"s3://files?region=eu-central-1", S3Config{Bucket: "files", Region: "eu-central-1"}},
		{
			"s3://my.files/a/b-1/?endpoint=https%3A%2F%2Fs3.example.com%3A9000&region=x&addressing=virtual",
			S3Config{Bucket: "my.files", Prefix: "a/b-1/", Endpoint: "https://s3.example.com:9000", Region: "x",
				VirtualHosts: true},
		},
		{
			"s3://files?endpoint=http://127.0.0.1:7070&addressing=path",
			S3Config{Bucket: "files", Endpoint: "http://127.0.0.1:7070"},
		},
		{"s3://files?endpoint=http://[::1]:7070", S3Config{Bucket: "files", Endpoint: "http://[::1]:7070"}},
	} {
		got, err := ParseS3(c.text)
		require.NoError(t, err, c.text)
		require.Equal(t, c.want, got)
	}
	for _, c := range []struct{ text, says, why string }{
		{"", "want s3://", "nothing"},
		{"hunter2", "want s3://", "no address"},
		{"https://files", "want s3://", "another scheme"},
		{"s3:files", "want s3://", "no authority"},
		{"s3://key:hunter2@files", "AWS_ACCESS_KEY_ID", "credentials"},
		{"s3://hunter2@files", "AWS_ACCESS_KEY_ID", "half of them"},
		{"s3://files?endpoint=https://key:hunter2@s3.example.com", "AWS_ACCESS_KEY_ID", "credentials in the endpoint"},
		{"s3://", "bucket", "no bucket"},
		{"s3://Hunter2Hunter2", "bucket", "upper case"},
		{"s3://a..b", "bucket", "two dots"},
		{"s3://files:9000", "bucket", "a port"},
		{"s3://files/a//b", "path", "an empty segment"},
		{"s3://files/../b", "path", "a way up"},
		{"s3://files/%68unter2%2f", "path", "an escape"},
		{"s3://files/" + strings.Repeat("a", 600), "500", "a long path"},
		{"s3://files#hunter2", "fragment", "a fragment"},
		{"s3://files?region=hunter2;x", "parameters", "a query that is none"},
		{"s3://files?region=", "once", "an empty value"},
		{"s3://files?region=a&region=hunter2", "once", "a parameter twice"},
		{"s3://files?region=Hunter2!", "region", "a region that is none"},
		{"s3://files?regoin=hunter2", "regoin", "a parameter that there is not"},
		{"s3://files?aws_secret_access_key=hunter2", "no parameter", "credentials as a parameter"},
		{"s3://files?addressing=hunter2", "path or virtual", "an addressing that there is not"},
		{"s3://files?endpoint=s3.example.com", "https", "an endpoint without a scheme"},
		{"s3://files?endpoint=http://s3.example.com", "clear text", "an endpoint in the clear"},
		{"s3://files?endpoint=ftp://hunter2", "https", "another scheme for the endpoint"},
		{"s3://files?endpoint=https://s3.example.com?hunter2", "https", "an endpoint with a query"},
		{"s3://files?endpoint=https://s3.example.com:", "port", "an endpoint without its port"},
	} {
		_, err := ParseS3(c.text)
		require.ErrorContains(t, err, c.says, c.why)
		require.False(t, strings.Contains(strings.ToLower(err.Error()), "hunter2"), c.why)
	}
}

// TestABucketIsNobodysWhileFilesAreMovedThere: no server takes it for its own before the end.
func TestABucketIsNobodysWhileFilesAreMovedThere(t *testing.T) {
	server := s3test.Start(t)
	server.Setenv(t)
	b, ctx := newBucket(t, server), t.Context()
	require.NoError(t, b.plain.CheckMove(ctx, "us"))
	owner, err := b.plain.Owner(ctx)
	require.NoError(t, err)
	require.Empty(t, owner, "looking makes nothing")
	for range 2 {
		require.NoError(t, b.plain.BeginMove(ctx, "us"))
	}
	require.ErrorIs(t, b.plain.Claim(ctx, "us"), ErrMoving)
	require.ErrorIs(t, b.plain.Claim(ctx, "others"), ErrForeign)
	require.ErrorIs(t, b.plain.BeginMove(ctx, "others"), ErrForeign)

	disk, err := OpenDisk(t.TempDir())
	require.NoError(t, err)
	defer disk.Close()
	for _, size := range []int{0, 5, partSize + 1} {
		was, err := disk.Put(ctx, bytes.NewReader(bytes.Repeat([]byte{7}, size)), 0)
		require.NoError(t, err)
		has := func() bool {
			there, err := b.plain.Has(ctx, was)
			require.NoError(t, err)
			return there
		}
		require.False(t, has())
		if size > 0 {
			other := bytes.NewReader(bytes.Repeat([]byte{8}, size))
			require.ErrorIs(t, b.plain.PutAs(ctx, was, other), ErrDigest, "it is not what was described")
		}
		longer := bytes.NewReader(make([]byte, size+1))
		require.ErrorIs(t, b.plain.PutAs(ctx, was, longer), ErrDigest)
		require.False(t, has(), "nothing of it is left")
		r, _, err := disk.Open(ctx, was)
		require.NoError(t, err)
		require.NoError(t, b.plain.PutAs(ctx, was, r))
		require.NoError(t, r.Close())
		require.True(t, has())
		got, _, err := b.plain.Open(ctx, was)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, got)
		require.NoError(t, err)
		require.NoError(t, got.Close())
	}
	require.NoError(t, b.plain.EndMove(ctx, "us"))
	require.NoError(t, b.plain.Claim(ctx, "us"))
	require.ErrorIs(t, b.plain.CheckMove(ctx, "others"), ErrForeign)
	require.NoError(t, b.plain.CheckMove(ctx, "us"), "what is there stays, and more may come")
}
