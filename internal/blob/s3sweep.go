package blob

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Sweep implements [Store]. Objects under other keys are left alone.
//
// An object that came in parts has the time at which its upload began, on AWS at least, which
// may be hours before its end. So an orphan like that is removed when an earlier
// sweep of this process has seen it before the given time. An upload that nobody
// finishes is removed when neither it nor the newest of its parts is younger: another process
// that sends one has to send a part in that time.
func (s *S3) Sweep(
	ctx context.Context, before time.Time, orphans func(ctx context.Context, ids []string) ([]string, error),
) (int, error) {
	removed, err := s.sweepUploads(ctx, before)
	if err != nil {
		return removed, err
	}
	seen := map[string]time.Time{}
	inParts := map[string]bool{} // among those that are asked about
	asked := inquiry{orphans: orphans, remove: func(ctx context.Context, id string) (bool, error) {
		if inParts[id] {
			if seen[id] = s.firstSeen(id); !seen[id].Before(before) {
				return false, nil
			}
			delete(seen, id)
		}
		return true, s.Delete(ctx, id)
	}}
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{
		Bucket: &s.cfg.Bucket, Prefix: aws.String(s.cfg.Prefix + blobPrefix),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, within(s.limits.answer))
		if err != nil {
			return removed + asked.removed, s3Failure(ctx, "ListObjectsV2", err)
		}
		for _, object := range page.Contents {
			id, ok := s.idOf(object.Key)
			if _, busy := s.writing.Load(id); !ok || busy || !aws.ToTime(object.LastModified).Before(before) {
				continue
			}
			if aws.ToInt64(object.Size) >= partSize {
				inParts[id] = true
			}
			if err := asked.about(ctx, id); err != nil {
				return removed + asked.removed, err
			}
			if len(asked.batch) == 0 {
				clear(inParts)
			}
		}
	}
	if err := asked.rest(ctx); err != nil {
		return removed + asked.removed, err
	}
	s.seenMu.Lock()
	s.seen = seen
	s.seenMu.Unlock()
	return removed + asked.removed, nil
}

// firstSeen is when a sweep first found an orphan.
func (s *S3) firstSeen(id string) time.Time {
	s.seenMu.Lock()
	defer s.seenMu.Unlock()
	if at, known := s.seen[id]; known {
		return at
	}
	return time.Now()
}

// sweepUploads removes the parts of uploads that are no longer under way, for instance
// those of a process that was killed.
func (s *S3) sweepUploads(ctx context.Context, before time.Time) (removed int, err error) {
	pages := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{
		Bucket: &s.cfg.Bucket, Prefix: aws.String(s.cfg.Prefix + blobPrefix),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, within(s.limits.answer))
		if err != nil {
			return removed, s3Failure(ctx, "ListMultipartUploads", err)
		}
		for _, upload := range page.Uploads {
			id, ok := s.idOf(upload.Key)
			if _, busy := s.writing.Load(id); !ok || busy || !aws.ToTime(upload.Initiated).Before(before) {
				continue
			}
			gone, err := s.sweepUpload(ctx, before, upload)
			if err != nil {
				return removed, err
			}
			if gone {
				removed++
			}
		}
	}
	return removed, nil
}

// sweepUpload removes an upload unless a part of it is young.
func (s *S3) sweepUpload(ctx context.Context, before time.Time, upload types.MultipartUpload) (bool, error) {
	parts := s3.NewListPartsPaginator(s.client, &s3.ListPartsInput{
		Bucket: &s.cfg.Bucket, Key: upload.Key, UploadId: upload.UploadId,
	})
	for parts.HasMorePages() {
		page, err := parts.NextPage(ctx, within(s.limits.answer))
		if err != nil {
			return false, uploadFailure(ctx, "ListParts", err)
		}
		for _, p := range page.Parts {
			if !aws.ToTime(p.LastModified).Before(before) {
				return false, nil
			}
		}
	}
	_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &s.cfg.Bucket, Key: upload.Key, UploadId: upload.UploadId,
	}, within(s.limits.answer))
	err = uploadFailure(ctx, "AbortMultipartUpload", err)
	return err == nil, err
}

// uploadFailure is [s3Failure] for an upload that may have ended meanwhile.
func uploadFailure(ctx context.Context, operation string, err error) error {
	if err != nil && errorCode(err) == "NoSuchUpload" {
		return nil
	}
	return s3Failure(ctx, operation, err)
}
