package bctrl

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// OpenOption changes one [Storage.Open]. Every [CallOption] is one too.
type OpenOption interface{ applyOpen(*opening) }

type opening struct {
	offset, length int64
	ranged         bool
	opts           []CallOption
}

type openOption func(*opening)

func (o openOption) applyOpen(s *opening) { o(s) }

// WithRange reads length bytes from offset on, or to the end of the file when
// length is negative. It reads less where the file ends before. An offset at or
// past the end is refused as storage.invalid_range, but for 0 in an empty file.
func WithRange(offset, length int64) OpenOption {
	return openOption(func(o *opening) { o.offset, o.length, o.ranged = offset, length, true })
}

// StorageReader streams a file or a part of one. Close it. It is checked
// against its length and, read as a whole, against its SHA-256; what does not
// match ends in an error instead of [io.EOF]. A connection that breaks is
// taken up again where it broke, as long as the file is still the same.
type StorageReader struct {
	// Object describes the whole file.
	Object StorageObject
	// Offset is where the reading starts, Length how many bytes it holds; -1
	// when the server does not say.
	Offset, Length int64

	// The connection is behind funcs, so that no printer walks into it.
	read  func([]byte) (int, error)
	copy  func(io.Writer) (int64, error)
	close func() error
}

// Read implements [io.Reader].
func (r *StorageReader) Read(p []byte) (int, error) { return r.read(p) }

// WriteTo implements [io.WriterTo], by which [io.Copy] writes what was read without
// copying it once more. What it has written before an error is not checked.
func (r *StorageReader) WriteTo(w io.Writer) (int64, error) { return r.copy(w) }

// Close ends the download. It may be called before everything was read.
func (r *StorageReader) Close() error { return r.close() }

// Open streams a file, or with [WithRange] a part of it. The context ends the
// reading, too. A missing file is [ErrNotFound].
//
// Access: storage.get
func (s *Storage) Open(ctx context.Context, path string, opts ...OpenOption) (*StorageReader, error) {
	o := opening{}
	for _, opt := range opts {
		opt.applyOpen(&o)
	}
	return s.download(ctx, path, &o)
}

func (s *Storage) download(ctx context.Context, path string, o *opening) (*StorageReader, error) {
	if o.ranged && (o.offset < 0 || o.length == 0) {
		return nil, s.failed(http.MethodGet, refusal(http.StatusBadRequest, "storage.invalid_range", "range",
			"want an offset of 0 or more, and a length that is not 0"))
	}
	d := &download{
		s:    s,
		path: path,
		opts: o.opts,
		at:   o.offset,
		end:  -1,
	}
	if o.ranged && o.length > 0 {
		d.end = o.offset + o.length
	}
	d.ctx, d.cancel = bounded(ctx, o.opts)
	resp, err := d.request(o.ranged)
	if err != nil {
		d.cancel()
		return nil, err
	}
	r := &StorageReader{
		Object: s.described(resp.Header, path),
		Offset: o.offset,
		Length: resp.ContentLength,
		read:   d.Read,
		copy:   d.WriteTo,
		close:  d.Close,
	}
	if err := d.begin(resp, o.ranged); err != nil {
		d.Close()
		return nil, s.failed(http.MethodGet, err)
	}
	return r, nil
}

// download is the state of one reading over the connections it takes.
type download struct {
	s      *Storage
	path   string
	opts   []CallOption
	ctx    context.Context
	cancel context.CancelFunc

	body    io.ReadCloser
	at, end int64 // position in the file, and where to stop; -1 for its end
	etag    string
	resumed int
	sum     *digester // nil when the whole is not read, or has no digest
	digest  string
	done    error // what every further Read returns
	// ahead has what is read of a long file before the caller asks for it; ready of
	// it is what the caller has not got yet. It is nil for a short file.
	ahead *readAhead
	ready []byte
}

// request asks for what is left.
func (d *download) request(ranged bool) (*http.Response, error) {
	h := http.Header{"Accept-Encoding": {"identity"}}
	if ranged {
		last := ""
		if d.end >= 0 {
			last = strconv.FormatInt(d.end-1, 10)
		}
		h.Set("Range", "bytes="+strconv.FormatInt(d.at, 10)+"-"+last)
	}
	if d.etag != "" {
		h.Set("If-Match", d.etag)
	}
	r := &request{
		method: http.MethodGet,
		path:   pathFile,
		header: h,
		slow:   true,
		opts:   d.opts,
	}
	if err := d.s.about(r, GetStorage, d.path); err != nil {
		return nil, err
	}
	return d.s.via().open(d.ctx, r)
}

// begin takes up the first answer.
func (d *download) begin(resp *http.Response, ranged bool) error {
	d.body = resp.Body
	if resp.ContentLength < 0 || resp.ContentLength > aheadBytes {
		d.ahead = &readAhead{}
	}
	if etag := resp.Header.Get("Etag"); strings.HasPrefix(etag, `"`) { // a weak one does not promise the same bytes
		d.etag = etag
	}
	if ranged {
		if err := d.partial(resp); err != nil {
			return err
		}
	} else if d.digest = digestOf(resp.Header); d.digest != "" {
		d.sum = &digester{hash: sha256.New()}
	}
	if d.end = -1; resp.ContentLength >= 0 {
		d.end = d.at + resp.ContentLength
	}
	return nil
}

// partial checks that an answer is the part that was asked for. An empty file
// has no parts: it is sent whole, which is what there is from its beginning on.
func (d *download) partial(resp *http.Response) error {
	if resp.StatusCode == http.StatusOK && resp.ContentLength == 0 {
		if d.at > 0 {
			return refusal(http.StatusRequestedRangeNotSatisfiable, "storage.invalid_range", "range",
				"the file has no such range")
		}
		return nil
	}
	if resp.StatusCode != http.StatusPartialContent || !strings.HasPrefix(resp.Header.Get("Content-Range"),
		"bytes "+strconv.FormatInt(d.at, 10)+"-") {
		return &Error{Status: http.StatusBadGateway, Code: "storage.range_ignored",
			Message: "the server sent another part of the file than was asked for"}
	}
	return nil
}

// Read reads on, over a new connection if the one it has breaks.
func (d *download) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(d.ready) == 0 && d.done == nil {
		if d.ahead != nil {
			d.receiveAhead()
			continue
		}
		if n, _ := d.receive(p, false); n > 0 {
			return n, nil
		}
	}
	if len(d.ready) == 0 {
		return 0, d.done
	}
	n := copy(p, d.ready)
	d.ready = d.ready[n:]
	return n, nil
}

// WriteTo writes what is left of the file.
func (d *download) WriteTo(w io.Writer) (written int64, err error) {
	if d.ahead == nil {
		return io.Copy(w, struct{ io.Reader }{d})
	}
	for {
		if len(d.ready) > 0 {
			n, err := w.Write(d.ready)
			written, d.ready = written+int64(n), d.ready[n:]
			switch {
			case err != nil:
				return written, err
			case len(d.ready) > 0:
				return written, io.ErrShortWrite
			}
		}
		switch d.done {
		case nil:
			d.receiveAhead()
		case io.EOF:
			return written, nil
		default:
			return written, d.done
		}
	}
}

// receiveAhead has ready what comes next.
func (d *download) receiveAhead() {
	p := d.ahead.buffer()
	n, hashed := d.receive(p, true)
	d.ready = p[:n]
	d.ahead.filled(hashed)
}

// receive reads from the connection into p, and has it hashed: beside the caller,
// until when p must stay as it is, or before it returns.
func (d *download) receive(p []byte, beside bool) (n int, hashed <-chan struct{}) {
	n, err := d.body.Read(p)
	d.at += int64(n)
	if d.sum != nil {
		hashed = d.sum.add(p[:n], beside)
	}
	if err != nil {
		d.done = d.ended(err)
	}
	return n, hashed
}

// ended says what follows the end of a body: nil when it goes on.
func (d *download) ended(err error) error {
	whole := d.end < 0 && err == io.EOF || d.end >= 0 && d.at == d.end && (err == io.EOF || err == io.ErrUnexpectedEOF)
	switch {
	case whole && d.sum != nil && base64.StdEncoding.EncodeToString(d.sum.finish()) != d.digest:
		return d.s.failed(http.MethodGet, &Error{
			Status:    http.StatusBadGateway,
			Code:      "storage.corrupt_download",
			Message:   "the file does not have the SHA-256 that the server says",
			Retryable: true,
		})
	case whole:
		return io.EOF
	}
	if next := d.resume(); next != nil {
		return d.broken(err, next)
	}
	return nil
}

var errNoResume = errors.New("the rest cannot be asked for")

// resume asks for the rest of the same file.
func (d *download) resume() error {
	t := d.s.via()
	if d.etag == "" || d.end < 0 || d.resumed >= t.retries || d.ctx.Err() != nil {
		return errNoResume
	}
	timer := time.NewTimer(t.pause(d.resumed, nil))
	defer timer.Stop()
	select {
	case <-d.ctx.Done():
		return errNoResume
	case <-timer.C:
	}
	d.resumed++
	d.body.Close()
	resp, err := d.request(true)
	if err != nil {
		return err
	}
	d.body = resp.Body
	if err := d.partial(resp); err != nil {
		return err
	}
	if resp.ContentLength >= 0 && d.at+resp.ContentLength != d.end {
		return errNoResume
	}
	return nil
}

// broken makes the error of a download that ended early.
func (d *download) broken(err, next error) error {
	if refused, ok := errors.AsType[*Error](next); ok {
		return refused
	}
	e := &Error{Code: "storage.broken_download", Retryable: true, cause: withoutURL(err)}
	e.Message = fmt.Sprintf("the download broke off at byte %d", d.at)
	switch {
	case d.ctx.Err() != nil:
		over := endedBy(d.ctx)
		e.Code, e.cause, e.Retryable = over.Code, over.cause, over.Retryable
	case err == io.EOF:
		e.cause = io.ErrUnexpectedEOF
	}
	return d.s.failed(http.MethodGet, e)
}

// Close ends the download.
func (d *download) Close() error {
	d.cancel()
	if d.done == nil || len(d.ready) > 0 { // what was received ahead was not read
		d.done = d.s.failed(http.MethodGet, refusal(http.StatusBadRequest, "storage.reader_closed", "",
			"the reader is closed"))
	}
	d.ready = nil
	return d.body.Close()
}

// digestOf returns the SHA-256 of an answer's content in base64 (RFC 9530).
func digestOf(h http.Header) string {
	for part := range strings.SplitSeq(h.Get("Repr-Digest"), ",") {
		if value, ok := strings.CutPrefix(strings.TrimSpace(part), "sha-256=:"); ok {
			return strings.TrimSuffix(value, ":")
		}
	}
	return ""
}

func lengthOf(h http.Header) int64 {
	n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if err != nil {
		return -1
	}
	return n
}
