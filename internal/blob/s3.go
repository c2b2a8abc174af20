package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/uuid"

	"github.com/bctrl-go/bctrl/internal/names"
)

// S3 is a [Store] in a bucket of an S3 server, an object for each blob, under
// blobs/ and its id. Any number of processes may share it.
//
// A stream of at most [partSize] bytes is one PutObject, a longer one a multipart
// upload, of which nobody sees anything before it is complete. The server checks
// each request's bytes against the SHA-256 that its signature covers, over TLS too, and an object
// is only ever made where none is (If-None-Match).
type S3 struct {
	client *s3.Client
	http   *http.Transport
	cfg    S3Config
	limits s3Limits
	// writing has the ids that Put is at work on here.
	writing sync.Map
	// seen says since when a sweep knows an orphan that came in parts: see Sweep.
	seen    map[string]time.Time
	seenMu  sync.Mutex
	buffers sync.Pool
	// versions is set where the bucket keeps what is deleted.
	versions bool
}

var (
	_ Store  = (*S3)(nil)
	_ Linker = (*S3)(nil)
)

// s3Limits bounds what a server may take its time for.
type s3Limits struct {
	attempts int
	// pause is the longest between two attempts.
	pause time.Duration
	// answer is how long one attempt may take, of a download to the header of its answer, and
	// how long a read may stand still. An upload has a second more for each 256 KiB.
	answer time.Duration
	// complete is the same for putting parts together: minutes, as AWS says, for many.
	complete time.Duration
	// grace is how much longer a part that is on its way may take when its upload has failed.
	grace time.Duration
	// abandon is how long it may take to remove what a failed write left; a sweep does what
	// is not done by then.
	abandon time.Duration
	// start is how long all that is asked at the start may take.
	start time.Duration
}

func defaultS3Limits() s3Limits {
	return s3Limits{
		attempts: 3,
		pause:    2 * time.Second,
		answer:   15 * time.Second,
		complete: 5 * time.Minute,
		grace:    500 * time.Millisecond,
		abandon:  3 * time.Second,
		start:    30 * time.Second,
	}
}

// OpenS3 opens the store in a bucket. It puts a small object there, reads, lists and
// removes it, so that a bucket that is missing, forbidden or slow is found before the first
// file is. Close the store when done.
func OpenS3(ctx context.Context, cfg S3Config) (*S3, error) {
	return openS3(ctx, cfg, defaultS3Limits(), func(t http.RoundTripper) http.RoundTripper { return t })
}

// openS3 is [OpenS3] with limits and a transport of a test's.
func openS3(
	ctx context.Context, cfg S3Config, limits s3Limits, through func(http.RoundTripper) http.RoundTripper,
) (*S3, error) {
	s := &S3{
		cfg:     cfg,
		limits:  limits,
		seen:    map[string]time.Time{},
		buffers: sync.Pool{New: func() any { return new(buffer) }},
	}
	if err := s.connect(ctx, through); err != nil {
		return nil, fmt.Errorf("files in %s: %w", cfg, err)
	}
	checking, cancel := context.WithTimeoutCause(ctx, limits.start,
		fmt.Errorf("%w: it took more than %v to say whether it can be used", ErrUnavailable, limits.start))
	defer cancel()
	if err := s.check(checking); err != nil {
		return nil, errors.Join(fmt.Errorf("files in %s: %w%s", cfg, err, adviceFor(err)), s.Close())
	}
	return s, nil
}

// connect makes the client. Nothing is asked of the server.
func (s *S3) connect(ctx context.Context, through func(http.RoundTripper) http.RoundTripper) error {
	options := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})}
	if s.cfg.Region != "" {
		options = append(options, config.WithRegion(s.cfg.Region))
	}
	found, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return errors.New("the configuration of AWS in the environment or below ~/.aws cannot be read")
	}
	if found.Region == "" {
		return errors.New("no region is named: add region=… to the address, or set AWS_REGION")
	}
	s.http = s.transport(found)
	s.client = s3.NewFromConfig(found, func(o *s3.Options) {
		o.HTTPClient = &http.Client{
			Transport:     through(s.http),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		if s.cfg.Endpoint != "" {
			o.BaseEndpoint = &s.cfg.Endpoint
		}
		o.UsePathStyle = o.BaseEndpoint != nil && !s.cfg.VirtualHosts
		// Checksums that were invented after S3 are refused by many of its kind; the
		// signature's SHA-256 is what all of them check.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) {
			r.MaxAttempts, r.MaxBackoff = s.limits.attempts, s.limits.pause
		})
	})
	if at := s.client.Options().BaseEndpoint; at != nil {
		s.cfg.Endpoint = *at
		return checkEndpoint(*at) // that of the environment too
	}
	return nil
}

// transport is what the SDK would use, with the authorities of AWS_CA_BUNDLE, and limits.
func (s *S3) transport(found aws.Config) *http.Transport {
	t := &http.Transport{}
	if usual, ok := found.HTTPClient.(*awshttp.BuildableClient); ok {
		t = usual.GetTransport()
	}
	t.DialContext = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	t.TLSHandshakeTimeout = 5 * time.Second
	t.IdleConnTimeout = time.Minute
	t.MaxIdleConnsPerHost = 64
	t.DisableCompression = true // bytes are as they are
	return t
}

// Close ends idle connections. Blobs that are open stay readable.
func (s *S3) Close() error {
	s.http.CloseIdleConnections()
	return nil
}

// blobPrefix comes before the ids in keys, after the configured prefix.
const blobPrefix = "blobs/"

// key is the object of a blob; ok is false for a text that no id is.
func (s *S3) key(id string) (key string, ok bool) {
	if names.CanonicalUUID(id) != nil {
		return "", false
	}
	return s.cfg.Prefix + blobPrefix + id, true
}

// idOf is the blob that a key is of.
func (s *S3) idOf(key *string) (id string, ok bool) {
	id, ok = strings.CutPrefix(aws.ToString(key), s.cfg.Prefix+blobPrefix)
	return id, ok && names.CanonicalUUID(id) == nil
}

// sending is how long one attempt to send so many bytes may take.
func (l s3Limits) sending(size int64) time.Duration {
	return l.answer + time.Duration(size)*time.Second/bufferSize
}

// within bounds each attempt of one request. Where a body follows, which goes on as long as
// the request's context, it bounds the time to its header.
func within(limit time.Duration, bodyFollows ...bool) func(*s3.Options) {
	return s3.WithAPIOptions(func(stack *middleware.Stack) error {
		return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("AttemptLimit", func(
			ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
		) (middleware.FinalizeOutput, middleware.Metadata, error) {
			attempt, cancel := context.WithCancel(ctx)
			timer := time.AfterFunc(limit, cancel)
			out, about, err := next.HandleFinalize(attempt, in)
			late := !timer.Stop()
			if err != nil && late && ctx.Err() == nil {
				err = slowError{}
			}
			if err != nil || len(bodyFollows) == 0 {
				cancel()
			}
			return out, about, err
		}), "Retry", middleware.After)
	})
}

// Delete implements [Store].
func (s *S3) Delete(ctx context.Context, id string) error {
	key, ok := s.key(id)
	if !ok {
		return nil
	}
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.cfg.Bucket, Key: &key}, within(s.limits.answer))
	if err = s3Failure(ctx, "DeleteObject", err); errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// check does with a small object what is done with blobs.
func (s *S3) check(ctx context.Context) (err error) {
	if _, err := s.client.Options().Credentials.Retrieve(ctx); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w: no credentials were found", ErrForbidden)
	}
	content := []byte("Written when a server started, to see whether it may. It can be deleted.\n")
	key := s.cfg.Prefix + "check/" + uuid.NewString()
	put := func() (version string, err error) {
		sum := sha256.Sum256(content)
		return s.putObject(ctx, key, bytes.NewReader(content), int64(len(content)), sum)
	}
	version, err := put()
	if err != nil {
		return s3Failure(ctx, "PutObject", err)
	}
	s.versions = version != "" && version != "null"
	defer func() {
		_, gone := s.client.DeleteObject(context.WithoutCancel(ctx),
			&s3.DeleteObjectInput{Bucket: &s.cfg.Bucket, Key: &key}, within(s.limits.answer))
		if err == nil {
			err = s3Failure(ctx, "DeleteObject", gone)
		}
	}()
	if _, err := put(); err == nil {
		return errors.New("it makes an object where there is one already: its server does not know If-None-Match")
	} else if errorCode(err) != codePrecondition {
		return s3Failure(ctx, "PutObject", err)
	}
	if err := s.checkRead(ctx, key, content); err != nil {
		return err
	}
	listed, err := s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.cfg.Bucket, Prefix: &key},
		within(s.limits.answer))
	if err != nil {
		return s3Failure(ctx, "ListObjectsV2", err)
	}
	if len(listed.Contents) != 1 {
		return errors.New("an object that was put there is not listed")
	}
	_, err = s.client.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{
		Bucket: &s.cfg.Bucket, Prefix: aws.String(s.cfg.Prefix + blobPrefix), MaxUploads: aws.Int32(1),
	}, within(s.limits.answer))
	return s3Failure(ctx, "ListMultipartUploads", err)
}

// checkRead reads a range of the object of the check.
func (s *S3) checkRead(ctx context.Context, key string, content []byte) error {
	const skip = 8
	body, _, err := s.get(ctx, key, skip, "")
	if err != nil {
		return err
	}
	defer body.Close()
	got, err := io.ReadAll(io.LimitReader(body, int64(len(content))))
	if err != nil {
		return s3Failure(ctx, "GetObject", err)
	}
	if !bytes.Equal(got, content[skip:]) {
		return fmt.Errorf("%w: a range of an object came back otherwise", ErrDigest)
	}
	return nil
}

// KeepsVersions reports whether the bucket keeps the bytes of objects that are deleted.
func (s *S3) KeepsVersions() bool { return s.versions }

// adviceFor says what an operator can do about a bucket that cannot be used.
func adviceFor(err error) string {
	switch {
	case errors.Is(err, ErrNoBucket):
		return " (make it first, or name another)"
	case errors.Is(err, ErrForbidden):
		return " (credentials are looked for in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the profile AWS_PROFILE below " +
			"~/.aws and a role of the machine; they need to get, put, delete and list objects and multipart uploads, in the " +
			"bucket's region)"
	case errors.Is(err, ErrUnavailable):
		return " (is the endpoint right, and can it be reached from here?)"
	}
	return ""
}
