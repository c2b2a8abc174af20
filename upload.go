package bctrl

import (
	"context"
	"io"
	"net/http"

	"github.com/bctrl-go/bctrl/internal/body"
)

// UploadOption changes one [Storage.Upload]. Every [CallOption] is one too.
type UploadOption interface{ applyUpload(*upload) }

type upload struct {
	contentType string
	ifMatch     string
	ifAbsent    bool
	size        int64
	hasSize     bool
	reopen      func() (io.ReadCloser, error)
	opts        []CallOption
}

type uploadOption func(*upload)

func (o uploadOption) applyUpload(u *upload) { o(u) }

// WithContentType sets the file's type; without it the server suggests one.
func WithContentType(mime string) UploadOption {
	return uploadOption(func(u *upload) { u.contentType = mime })
}

// WithIfMatch overwrites the file only if its ETag is still this one; else the
// upload is [ErrConflict].
func WithIfMatch(etag string) UploadOption { return uploadOption(func(u *upload) { u.ifMatch = etag }) }

// WithIfAbsent makes a new file and never overwrites one; an upload to a path
// that is taken is [ErrConflict].
func WithIfAbsent() UploadOption { return uploadOption(func(u *upload) { u.ifAbsent = true }) }

// WithSize says how many bytes the reader holds, where it cannot say itself.
// A reader that holds fewer fails the upload as [ErrInvalid]. Of one that holds more no
// more are stored, and the upload fails if that shows before the server has answered.
func WithSize(bytes int64) UploadOption {
	return uploadOption(func(u *upload) { u.size, u.hasSize = bytes, true })
}

// WithReopen lets the upload of a reader that cannot seek be sent again: open
// returns the same bytes from their start. Each is closed after use; the
// reader given to Upload serves the first attempt, unless it is nil.
func WithReopen(open func() (io.ReadCloser, error)) UploadOption {
	return uploadOption(func(u *upload) { u.reopen = open })
}

// Upload streams a file into the namespace, in place of the one that had the
// path. It never holds the file: the reader is read as the server takes it.
//
// A failed upload is sent again only if the reader can be read again from
// where it stood: an [io.Seeker] (files, bytes.Reader, strings.Reader), or
// with [WithReopen]. Any other is sent again only while nothing was asked of
// it. A reader that seeks must not be used by others during the call. The
// reader is not closed.
//
// When ctx ends, Upload returns at once, even where the reader waits for more: a
// Read that it is in ends by itself, and what it gives then is lost.
//
// Access: storage.put
func (s *Storage) Upload(ctx context.Context, path string, r io.Reader, opts ...UploadOption) (*StorageObject, error) {
	u := upload{}
	for _, o := range opts {
		o.applyUpload(&u)
	}
	source := u.body(r)
	req := &request{
		method: http.MethodPut,
		path:   pathFile,
		header: u.header(),
		body:   source,
		slow:   true,
		opts:   u.opts,
	}
	if err := s.about(req, PutStorage, path); err != nil {
		return nil, err
	}
	var out StorageObject
	req.out = &out
	if err := s.via().call(ctx, req); err != nil {
		return nil, err
	}
	if sent := source.Sent(); out.SizeBytes != sent {
		return nil, s.failed(http.MethodPut, &Error{Status: http.StatusBadGateway, Code: "storage.incomplete_upload",
			Message: "the server did not store as many bytes as were sent"})
	}
	return &out, nil
}

func (u *upload) body(r io.Reader) *body.Source {
	source := body.Of(r)
	if u.reopen != nil {
		first := r
		source = body.Reopened(source.Size, func() (io.Reader, error) {
			if first != nil {
				r := struct{ io.Reader }{first} // it is the caller's to close
				first = nil
				return r, nil
			}
			return u.reopen()
		})
	}
	if u.hasSize {
		source.Size = u.size
	} else if r == nil && u.reopen != nil {
		source.Size = -1
	}
	return source
}

func (u *upload) header() http.Header {
	h := http.Header{"Content-Type": {"application/octet-stream"}}
	if u.contentType != "" {
		h.Set("Content-Type", u.contentType)
	}
	if u.ifMatch != "" {
		h.Set("If-Match", u.ifMatch)
	}
	if u.ifAbsent {
		h.Set("If-None-Match", "*")
	}
	return h
}
