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

// Note is a small object of the bucket beside the blobs, which several servers replace by
// turns: each replaces what it has seen, and nothing newer.
type Note struct {
	s     *S3
	name  string
	limit int64
}

// ErrMoved is returned for a note that somebody else has written meanwhile.
var ErrMoved = errors.New("somebody else has written it")

// Note returns the note of a name, of at most limit bytes.
func (s *S3) Note(name string, limit int64) Note { return Note{s, name, limit} }

// String says where the note is.
func (n Note) String() string { return fmt.Sprintf("%s in the %s", n.name, n.s.cfg) }

// Read returns what the note says, and the state that it is in. One that was never written
// is [ErrNotFound].
func (n Note) Read(ctx context.Context) (text []byte, state string, err error) {
	body, about, err := n.s.get(ctx, n.s.cfg.Prefix+n.name, 0, "")
	if err != nil {
		return nil, "", err
	}
	defer body.Close()
	text, err = io.ReadAll(io.LimitReader(body, n.limit))
	return text, about.etag, s3Failure(ctx, "GetObject", err)
}

// Write replaces the note where it is still in a state, and returns its new one; that of a
// note that was never written is empty. The error is [ErrMoved] where it is in another.
func (n Note) Write(ctx context.Context, text []byte, state string) (newState string, err error) {
	key, size := n.s.cfg.Prefix+n.name, int64(len(text))
	in := &s3.PutObjectInput{
		Bucket:        &n.s.cfg.Bucket,
		Key:           &key,
		Body:          bytes.NewReader(text),
		ContentLength: &size,
		ContentType:   aws.String("application/octet-stream"),
		IfMatch:       &state,
	}
	if state == "" {
		in.IfMatch, in.IfNoneMatch = nil, aws.String("*")
	}
	made, err := n.s.client.PutObject(ctx, in, within(n.s.limits.sending(size)), signing(sha256.Sum256(text)))
	switch {
	case err == nil:
		return aws.ToString(made.ETag), nil
	case errorCode(err) != codePrecondition:
		return "", s3Failure(ctx, "PutObject", err)
	}
	// It may be this very request's, whose first answer was lost.
	is, now, err := n.Read(ctx)
	if err != nil {
		return "", err
	}
	if !bytes.Equal(is, text) {
		return "", ErrMoved
	}
	return now, nil
}
