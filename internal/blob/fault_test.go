package blob

import (
	"errors"
	"io"
	"os"
	"runtime/metrics"
	"strings"
	"syscall"
	"testing"

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

func TestADiskThatFailsKeepsNothing(t *testing.T) {
	const long = 5*bufferSize + 7
	for _, c := range []struct {
		why  string
		disk badFile
		want error
	}{
		{why: "the disk is full at once", disk: badFile{write: syscall.ENOSPC}, want: ErrFull},
		{why: "the disk is full half-way", disk: badFile{room: 2*bufferSize + 5, write: syscall.ENOSPC}, want: ErrFull},
		{why: "the quota is used up", disk: badFile{room: 9, write: syscall.EDQUOT}, want: ErrFull},
		{why: "the disk finds out at the sync", disk: badFile{room: 1 << 40, sync: syscall.ENOSPC}, want: ErrFull},
		{why: "the disk finds out at the close", disk: badFile{room: 1 << 40, end: syscall.EIO}, want: syscall.EIO},
	} {
		d := openDisk(t)
		create := d.create
		d.create = func(name string) (file, error) {
			f, err := create(name)
			bad := c.disk
			bad.file = f
			return &bad, err
		}
		_, err := d.Put(t.Context(), io.LimitReader(zeros{}, long), 0)
		require.ErrorIs(t, err, c.want, c.why)
		require.Empty(t, files(t, d), c.why)
	}
}

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
		require.NoError(t, d.root.WriteFile(dir, nil, fileMode))
	}
	_, err := d.Put(t.Context(), strings.NewReader("x"), 0)
	require.ErrorIs(t, err, syscall.ENOTDIR)
	require.Equal(t, fanOut(), files(t, d))
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
