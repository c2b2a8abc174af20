// Package body holds the bodies of requests that are streamed: how each can be
// read again for another attempt, and how reading ends when its call does.
package body

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
)

// ErrUnreadable marks an error of the reader that is uploaded: sending again would
// not mend it.
var ErrUnreadable = errors.New("the source cannot be read")

// Source is a body that is streamed. It is sent again only if it can be read
// again from where it stood.
type Source struct {
	// open starts a reading; nil for a reader that can be read once.
	open func() (io.Reader, error)
	once io.Reader
	// Size is -1 when it is not known.
	Size int64
	// shared says that readings are not independent of each other, so that
	// net/http must not start one on its own.
	shared bool
	// prompt says that no read waits for anybody: memory, or a file on a disk.
	prompt bool
	// begun is set when a source of one reading was first asked for bytes.
	begun  atomic.Bool
	newest atomic.Pointer[counted]
}

// Of returns the body that r is, once it is known how r can be read again.
func Of(r io.Reader) *Source {
	if r == nil {
		return &Source{prompt: true, open: func() (io.Reader, error) { return http.NoBody, nil }}
	}
	if f, ok := r.(*os.File); ok {
		// A pipe or a device says it can seek and cannot; what looks empty (in
		// /proc) may not be.
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
			return &Source{once: r, Size: -1}
		}
	}
	seeker, ok := r.(io.Seeker)
	if !ok {
		if sized, ok := r.(interface{ Len() int }); ok { // *bytes.Buffer
			return &Source{once: r, Size: int64(sized.Len())}
		}
		return &Source{once: r, Size: -1}
	}
	start, size, err := extent(seeker)
	if err != nil {
		return &Source{once: r, Size: -1}
	}
	if at, ok := r.(io.ReaderAt); ok {
		return &Source{Size: size, prompt: prompt(r), open: func() (io.Reader, error) {
			return io.NewSectionReader(at, start, size), nil
		}}
	}
	turns := &turns{r: r, seeker: seeker, start: start}
	return &Source{Size: size, shared: true, open: turns.next}
}

// Reopened returns a body that open opens for each reading.
func Reopened(size int64, open func() (io.Reader, error)) *Source {
	return &Source{Size: size, open: open, shared: true}
}

// Sent is how many bytes the newest reading has given.
func (s *Source) Sent() int64 {
	if c := s.newest.Load(); c != nil {
		return c.sent.Load()
	}
	return 0
}

// prompt reports whether no read of r, which can seek, waits for anybody.
func prompt(r io.Reader) bool {
	switch r.(type) {
	case *bytes.Reader, *strings.Reader, *os.File:
		return true
	}
	return false
}

// extent says where a seeker stands and how much follows.
func extent(s io.Seeker) (start, size int64, err error) {
	if start, err = s.Seek(0, io.SeekCurrent); err != nil {
		return 0, 0, err
	}
	end, err := s.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, 0, err
	}
	if _, err = s.Seek(start, io.SeekStart); err != nil {
		return 0, 0, err
	}
	return start, max(end-start, 0), nil
}

// Replayable reports whether the body can be sent (again) now.
func (s *Source) Replayable() bool {
	return s == nil || s.open != nil || !s.begun.Load()
}

// Rereadable reports whether readings are independent of each other.
func (s *Source) Rereadable() bool { return s.open != nil && !s.shared }

// Reading starts one reading, which ends when ctx does.
func (s *Source) Reading(ctx context.Context) (io.Reader, error) {
	c := &counted{s: s}
	s.newest.Store(c)
	r, err := s.next(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	c.r = r
	if closer, ok := r.(io.Closer); ok && s.open != nil {
		c.closer = closer
	}
	if !s.prompt && ctx.Done() != nil {
		c.r = &patient{ctx: ctx, r: r, done: make(chan taken, 1)}
	}
	return c, nil
}

// next returns what one reading reads.
func (s *Source) next(ctx context.Context) (io.Reader, error) {
	switch {
	case s.open == nil:
		return s.once, nil
	case s.prompt || ctx.Done() == nil:
		return s.open()
	}
	type opened struct {
		r   io.Reader
		err error
	}
	done := make(chan opened)
	go func() {
		r, err := s.open()
		select {
		case done <- opened{r, err}:
		case <-ctx.Done():
			if closer, ok := r.(io.Closer); ok && err == nil {
				closer.Close()
			}
		}
	}()
	select {
	case o := <-done:
		return o.r, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// errSize is the error of a reader that holds another number of bytes than its size.
var errSize = errors.New("it holds more or fewer bytes than was said")

// counted is one reading. It notes what was read, marks the reader's own errors, and
// fails a source that is longer or shorter than it said. Net/http may still read for
// an attempt that has failed when the next one reads, so each counts for itself.
type counted struct {
	r      io.Reader
	s      *Source
	sent   atomic.Int64
	closer io.Closer // of what was opened for a reading; the caller's own stays open
}

func (c *counted) Read(p []byte) (int, error) {
	c.s.begun.Store(true)
	n, err := c.r.Read(p)
	switch sent := c.sent.Add(int64(n)); {
	case c.s.Size < 0:
	case sent > c.s.Size:
		n, err = 0, errSize
	case sent < c.s.Size && err == io.EOF:
		err = errSize
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return n, err
}

// Close implements [io.Closer].
func (c *counted) Close() error {
	if c.closer != nil {
		return c.closer.Close()
	}
	return nil
}

// turns shares one seeker among readings that follow each other. net/http may
// still be reading for an attempt that has failed when the next one begins:
// only the newest reading gets bytes.
type turns struct {
	mu     sync.Mutex
	r      io.Reader
	seeker io.Seeker
	start  int64
	now    int
}

func (t *turns) next() (io.Reader, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now++
	if _, err := t.seeker.Seek(t.start, io.SeekStart); err != nil {
		return nil, err
	}
	return &turn{t: t, mine: t.now}, nil
}

type turn struct {
	t    *turns
	mine int
}

func (r *turn) Read(p []byte) (int, error) {
	r.t.mu.Lock()
	defer r.t.mu.Unlock()
	if r.mine != r.t.now {
		return 0, io.ErrClosedPipe
	}
	return r.t.r.Read(p)
}
