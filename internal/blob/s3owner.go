package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

var (
	// ErrForeign is returned by [S3.Claim] for the bucket of others.
	ErrForeign = errors.New("another installation keeps its files there: name another bucket, or a path in it, " +
		"such as s3://bucket/second")
	// ErrMoving is returned by [S3.Claim] for a bucket that files were not wholly moved to.
	ErrMoving = errors.New("a move of files to there is not finished: run the same 'bctrl move' again")
	// ErrNotEmpty is returned by [S3.BeginMove] for a bucket with files of which nobody says whose
	// they are.
	ErrNotEmpty = errors.New("there are files of somebody already: name an empty bucket, or an empty path in one")
)

// movingTo comes before the owner of a bucket while files are moved there. No server of any version
// takes it for its own then.
const movingTo = "moving "

// Claim makes the bucket, or the path in it, the store of one installation, which owner
// names. [S3.Sweep] of another would remove all its blobs as orphans.
func (s *S3) Claim(ctx context.Context, owner string) error {
	found, err := s.claim(ctx, owner)
	switch {
	case err != nil:
		return err
	case found == movingTo+owner:
		return fmt.Errorf("files in %s: %w", s.cfg, ErrMoving)
	case found != owner:
		return fmt.Errorf("files in %s: %w", s.cfg, ErrForeign)
	}
	return nil
}

// claim marks the bucket where nobody has, and returns whose it is then.
func (s *S3) claim(ctx context.Context, owner string) (whose string, err error) {
	content := []byte(owner + "\n")
	_, err = s.putObject(ctx, s.ownerKey(), bytes.NewReader(content), int64(len(content)), sha256.Sum256(content))
	if err == nil {
		return owner, nil
	}
	if errorCode(err) != codePrecondition {
		return "", fmt.Errorf("claiming the %s: %w", s.cfg, s3Failure(ctx, "PutObject", err))
	}
	return s.Owner(ctx)
}

func (s *S3) ownerKey() string { return s.cfg.Prefix + "owner" }

// maxOwner bounds what is read of the mark, in bytes: more than any is.
const maxOwner = 256

// Owner says whose the bucket is; empty is nobody's.
func (s *S3) Owner(ctx context.Context) (string, error) {
	body, _, err := s.get(ctx, s.ownerKey(), 0, "")
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("asking whose the %s is: %w", s.cfg, err)
	}
	defer body.Close()
	found, err := io.ReadAll(io.LimitReader(body, maxOwner))
	if err != nil {
		return "", fmt.Errorf("asking whose the %s is: %w", s.cfg, s3Failure(ctx, "GetObject", err))
	}
	return string(bytes.TrimSuffix(found, []byte("\n"))), nil
}

// Reach asks the server for something small, once, and says why it does not give it.
func (s *S3) Reach(ctx context.Context) error {
	key := s.ownerKey()
	once := func(o *s3.Options) { o.RetryMaxAttempts = 1 }
	got, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.cfg.Bucket, Key: &key},
		within(s.limits.answer, true), once)
	if err == nil {
		return got.Body.Close()
	}
	if err = s3Failure(ctx, "GetObject", err); errors.Is(err, ErrNotFound) {
		return nil // it says so of itself
	}
	return err
}

// CheckMove says whether files of owner can be moved there, and makes nothing. Its error is
// [ErrForeign] or [ErrNotEmpty].
func (s *S3) CheckMove(ctx context.Context, owner string) error {
	found, err := s.Owner(ctx)
	switch {
	case err != nil:
		return err
	case found == owner, found == movingTo+owner:
		return nil
	case found != "":
		return fmt.Errorf("files in %s: %w", s.cfg, ErrForeign)
	}
	listed, err := s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket: &s.cfg.Bucket, Prefix: aws.String(s.cfg.Prefix + blobPrefix), MaxKeys: aws.Int32(1),
	}, within(s.limits.answer))
	if err != nil {
		return s3Failure(ctx, "ListObjectsV2", err)
	}
	if len(listed.Contents) > 0 {
		return fmt.Errorf("files in %s: %w", s.cfg, ErrNotEmpty)
	}
	return nil
}

// BeginMove marks the bucket as one that files of owner are moved to. No server uses it until
// [S3.EndMove].
func (s *S3) BeginMove(ctx context.Context, owner string) error {
	if err := s.CheckMove(ctx, owner); err != nil {
		return err
	}
	found, err := s.claim(ctx, movingTo+owner)
	if err == nil && found != movingTo+owner && found != owner {
		err = fmt.Errorf("files in %s: %w", s.cfg, ErrForeign)
	}
	return err
}

// EndMove gives the bucket to owner, whose files are all there.
func (s *S3) EndMove(ctx context.Context, owner string) error {
	content := []byte(owner + "\n")
	size, key := int64(len(content)), s.ownerKey()
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket:        &s.cfg.Bucket,
		Key:           &key,
		Body:          bytes.NewReader(content),
		ContentLength: &size,
		ContentType:   aws.String("application/octet-stream"),
	}, within(s.limits.sending(size)), signing(sha256.Sum256(content)))
	return s3Failure(ctx, "PutObject", err)
}

// Has reports whether there is a blob, by its id and its size. Its bytes are compared when they are
// read.
func (s *S3) Has(ctx context.Context, b Blob) (bool, error) {
	key, ok := s.key(b.ID)
	if !ok {
		return false, nil
	}
	about, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.cfg.Bucket, Key: &key}, within(s.limits.answer))
	if err != nil {
		if err = s3Failure(ctx, "HeadObject", err); errors.Is(err, ErrNotFound) {
			return false, nil
		}
		return false, err
	}
	return aws.ToInt64(about.ContentLength) == b.Size, nil
}

// PutAs stores a blob that another store has described, under the id that it has there. Bytes
// that are not those are [ErrDigest], and nothing of them is left. More than [MaxObject] are [ErrTooLarge].
func (s *S3) PutAs(ctx context.Context, b Blob, r io.Reader) error {
	if _, ok := s.key(b.ID); !ok {
		return ErrNotFound
	}
	if b.Size > MaxObject {
		return ErrTooLarge
	}
	put, err := s.put(ctx, b.ID, r, max(b.Size, 1))
	if errors.Is(err, ErrTooLarge) {
		return ErrDigest
	}
	if err == nil && (put.Size != b.Size || put.SHA256 != b.SHA256) {
		err = errors.Join(ErrDigest, s.Delete(context.WithoutCancel(ctx), b.ID))
	}
	return err
}
