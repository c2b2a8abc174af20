package blob

import (
	"context"
	"crypto/sha256"
	"io"
	"sync"
)

const (
	// bufferSize is one read, one write and one step of the hash.
	bufferSize = 256 << 10
	// bufferCount buffers are held by one Put: one being filled or written, the
	// others on their way to the hash.
	bufferCount = 4
	// flushEvery is how many bytes gather before the disk is asked to begin with
	// them, so that the sync at the end finds most of its work done.
	flushEvery = 8 << 20
	// maxEmptyReads is how often a reader may return nothing at all.
	maxEmptyReads = 100
)

type buffer [bufferSize]byte

// chunk is the filled part of a buffer.
type chunk struct {
	buf *buffer
	n   int
}

// copy writes r to f and returns its size and hash. Hashing takes about as long
// as writing, so it runs beside it.
func (d *Disk) copy(
	ctx context.Context, f file, r io.Reader, limit int64,
) (size int64, sum [sha256.Size]byte, err error) {
	free := make(chan *buffer, bufferCount)
	filled := make(chan chunk, bufferCount)
	hash := sha256.New()
	var hashing sync.WaitGroup
	hashing.Go(func() {
		for c := range filled {
			hash.Write(c.buf[:c.n])
			free <- c.buf
		}
	})
	held := 0
	next := func() *buffer {
		select {
		case buf := <-free:
			return buf
		default:
		}
		if held == bufferCount {
			return <-free
		}
		held++
		return d.buffers.Get().(*buffer)
	}
	finish := sync.OnceFunc(func() {
		close(filled)
		hashing.Wait()
		for len(free) > 0 {
			d.buffers.Put(<-free)
		}
	})
	defer finish() // also when r panics

	var flushed int64
	for end := false; !end; {
		if err := ctx.Err(); err != nil {
			return 0, sum, context.Cause(ctx)
		}
		buf := next()
		n, err := fill(r, buf[:])
		end = err == io.EOF
		if err != nil && !end {
			return 0, sum, err
		}
		size += int64(n)
		if limit > 0 && size > limit {
			return 0, sum, ErrTooLarge
		}
		// The hash and the disk read the buffer at the same time. It is filled
		// anew by a later turn of this loop alone, which is after the write.
		filled <- chunk{buf, n}
		if _, err := f.Write(buf[:n]); err != nil {
			return 0, sum, err
		}
		if size-flushed >= flushEvery {
			startWriteback(f, flushed, size-flushed)
			flushed = size
		}
	}
	finish()
	return size, [sha256.Size]byte(hash.Sum(nil)), nil
}

// fill reads until p is full or r ends, which is [io.EOF]. [io.ReadFull] would
// not do: it calls a short last read [io.ErrUnexpectedEOF], which is what an
// HTTP body says that the client never finished.
func fill(r io.Reader, p []byte) (n int, err error) {
	for empty := 0; n < len(p); {
		m, err := r.Read(p[n:])
		n += m
		if err != nil {
			return n, err
		}
		if m > 0 {
			empty = 0
		} else if empty++; empty == maxEmptyReads {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}
