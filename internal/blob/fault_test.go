package blob

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"runtime/metrics"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
)

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// badFile fails where it is told to.
type badFile struct {
	file
	room             int64 // bytes until write fails
	write, sync, end error
}

func (b *badFile) Write(p []byte) (int, error) {
	if b.write != nil && int64(len(p)) > b.room {
		n, _ := b.file.Write(p[:b.room])
		return n, b.write
	}
	b.room -= int64(len(p))
	return b.file.Write(p)
}

func (b *badFile) Sync() error { return errors.Join(b.file.Sync(), b.sync) }

func (b *badFile) Close() error { return errors.Join(b.file.Close(), b.end) }

func TestAFailedWriteLeavesNothing(t *testing.T) {
	broken := errors.New("the client is gone")
	const long = 5*bufferSize + 7
	for _, c := range []struct {
		why  string
		r    func() io.Reader
		disk badFile
		ctx  func(context.Context) context.Context
		want error
	}{
		{why: "the reader fails at once", r: func() io.Reader { return iotest.ErrReader(broken) }, want: broken},
		{
			why: "the reader fails half-way",
			r: func() io.Reader {
				return io.MultiReader(io.LimitReader(zeros{}, long), iotest.ErrReader(broken))
			},
			want: broken,
		},
		{
			why: "the client sends less than it announced",
			r: func() io.Reader {
				return io.MultiReader(io.LimitReader(zeros{}, 10), iotest.ErrReader(io.ErrUnexpectedEOF))
			},
			want: io.ErrUnexpectedEOF,
		},
		{why: "the reader never gives anything", r: func() io.Reader { return emptyReader{} }, want: io.ErrNoProgress},
		{why: "the disk is full at once", disk: badFile{write: syscall.ENOSPC}, want: ErrFull},
		{why: "the disk is full half-way", disk: badFile{room: 2*bufferSize + 5, write: syscall.ENOSPC}, want: ErrFull},
		{why: "the quota is used up", disk: badFile{room: 9, write: syscall.EDQUOT}, want: ErrFull},
		{why: "the disk finds out at the sync", disk: badFile{room: 1 << 40, sync: syscall.ENOSPC}, want: ErrFull},
		{why: "the disk finds out at the close", disk: badFile{room: 1 << 40, end: syscall.EIO}, want: syscall.EIO},
		{
			why: "the caller gave up",
			ctx: func(ctx context.Context) context.Context {
				ctx, cancel := context.WithCancelCause(ctx)
				cancel(broken)
				return ctx
			},
			want: broken,
		},
	} {
		d := openDisk(t)
		create := d.create
		d.create = func(name string) (file, error) {
			f, err := create(name)
			bad := c.disk
			bad.file = f
			return &bad, err
		}
		r := io.LimitReader(zeros{}, long)
		if c.r != nil {
			r = c.r()
		}
		ctx := t.Context()
		if c.ctx != nil {
			ctx = c.ctx(ctx)
		}
		_, err := d.Put(ctx, r, 0)
		require.ErrorIs(t, err, c.want, c.why)
		require.Empty(t, files(t, d), c.why)
	}
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, nil }

// TestARealFullDiskIsNamed writes to the one device that is always full.
func TestARealFullDiskIsNamed(t *testing.T) {
	d := openDisk(t)
	d.create = func(string) (file, error) { return os.OpenFile("/dev/full", os.O_WRONLY, 0) }
	_, err := d.Put(t.Context(), strings.NewReader("x"), 0)
	require.ErrorIs(t, err, ErrFull)
	require.ErrorIs(t, err, syscall.ENOSPC)
}

func TestABlobThatCannotBePlacedIsNotLeft(t *testing.T) {
	d := openDisk(t)
	for _, dir := range fanOut() {
		require.NoError(t, d.root.Remove(dir))
	}
	_, err := d.Put(t.Context(), strings.NewReader("x"), 0)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.Empty(t, files(t, d))
}

func TestAPanickingReaderLeavesNothing(t *testing.T) {
	d := openDisk(t)
	require.Panics(t, func() { _, _ = d.Put(t.Context(), panicReader{}, 0) })
	require.Empty(t, files(t, d)) // and goleak finds no hash left waiting
}

type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("http.ErrAbortHandler, for one") }

func TestASweepSparesWhatIsBeingWritten(t *testing.T) {
	d := openDisk(t)
	r, w := io.Pipe()
	type result struct {
		blob Blob
		err  error
	}
	done := make(chan result)
	go func() {
		blob, err := d.Put(t.Context(), r, 0)
		done <- result{blob, err}
	}()
	_, err := w.Write(make([]byte, bufferSize)) // returns once Put has read it all
	require.NoError(t, err)
	_, err = d.Sweep(t.Context(), time.Now().Add(time.Hour), allOrphans)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	got := <-done
	require.NoError(t, got.err)
	f, n, err := d.Open(t.Context(), got.blob.ID)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.EqualValues(t, bufferSize, n)
}

// TestAKilledProcessLeavesNothingAfterASweep kills a real one while it writes.
func TestAKilledProcessLeavesNothingAfterASweep(t *testing.T) {
	dir := t.TempDir()
	for range 5 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), writeUntilKilled+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		var stored []string
		for lines.Scan() {
			if lines.Text() == "half-way" {
				break
			}
			stored = append(stored, lines.Text())
		}
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait() // says that it was killed
		require.Len(t, stored, 3)

		d, err := OpenDisk(dir)
		require.NoError(t, err)
		left := 0
		for _, name := range files(t, d) {
			if path.Dir(name) == tempDir {
				left++
			}
		}
		require.Equal(t, 1, left, "the write was not under way: the test shows nothing")
		for _, id := range stored {
			f, size, err := d.Open(t.Context(), id)
			require.NoError(t, err, "an acknowledged blob is gone")
			require.NoError(t, f.Close())
			require.EqualValues(t, bufferSize+1, size)
		}
		removed, err := d.Sweep(t.Context(), time.Now().Add(time.Hour), allOrphans)
		require.NoError(t, err)
		require.Equal(t, len(stored)+1, removed)
		require.Empty(t, files(t, d))
		require.NoError(t, d.Close())
	}
}

// writeForever stores three blobs, says their ids, and is then in the middle of
// a fourth for as long as it lives.
func writeForever(dir string) error {
	d, err := OpenDisk(dir)
	if err != nil {
		return err
	}
	for range 3 {
		blob, err := d.Put(context.Background(), io.LimitReader(zeros{}, bufferSize+1), 0)
		if err != nil {
			return err
		}
		fmt.Println(blob.ID)
	}
	r, w := io.Pipe()
	go func() {
		_, _ = w.Write(make([]byte, 2*bufferSize+1))
		fmt.Println("half-way")
	}()
	_, err = d.Put(context.Background(), r, 0)
	return err
}

// TestALongStreamIsNeverHeld watches the heap while 256 MiB pass through.
func TestALongStreamIsNeverHeld(t *testing.T) {
	d := openDisk(t)
	const size = 256 << 20
	watch := &heapWatch{r: io.LimitReader(zeros{}, size)}
	start := heap()
	blob, err := d.Put(t.Context(), watch, size)
	require.NoError(t, err)
	require.EqualValues(t, size, blob.Size)
	require.Less(t, int64(watch.top)-int64(start), int64(8<<20))
}

// heapWatch notes the highest heap seen, about every MiB.
type heapWatch struct {
	r    io.Reader
	seen int
	top  uint64
}

func (h *heapWatch) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	if h.seen += n; h.seen >= 1<<20 {
		h.seen = 0
		h.top = max(h.top, heap())
	}
	return n, err
}

func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
