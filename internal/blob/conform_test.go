package blob

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// place is a store that is held to what [Store] promises, with what a test does
// behind its back.
type place struct {
	Store
	// name is what another process opens it by: see open.
	name string
	// kept lists whatever lies there, unfinished writes too.
	kept func() []string
	// unfinished lists those.
	unfinished func() []string
	// age makes all that is there two hours old, or one blob.
	age func(ids ...string)
	// plant puts empty blobs there.
	plant func(ids []string)
	// edges are sizes at which the store does something else.
	edges []int
	// begun is how many bytes a write has to have so that something of it lies there.
	begun int
	// stream is the length of a long stream, and memory what one may hold, in bytes.
	stream, memory int64
}

// open opens a place as its own process would.
func open(name string) (Store, func() error, error) {
	if !strings.HasPrefix(name, "s3:") {
		d, err := OpenDisk(name)
		if err != nil {
			return nil, nil, err
		}
		return d, d.Close, nil
	}
	cfg, err := ParseS3(name)
	if err != nil {
		return nil, nil, err
	}
	s, err := OpenS3(context.Background(), cfg)
	if err != nil {
		return nil, nil, err
	}
	return s, s.Close, nil
}

// keepsThePromises is what every store is held to, each promise in an empty place.
func keepsThePromises(t *testing.T, empty func(t *testing.T) *place) {
	for _, promise := range []struct {
		name string
		test func(*testing.T, *place)
	}{
		{"a blob is read as it was written", isReadAsWritten},
		{"at the edges of parts too", isReadAsWrittenAtEdges},
		{"any part of a blob is read", readsAnyPart},
		{"blobs outlive the process", outlivesTheProcess},
		{"an id never becomes a path", takesNoOtherIDs},
		{"a deleted blob is read to its end", readsDeletedToTheEnd},
		{"a limit holds to the byte", holdsALimit},
		{"many writers share it", isShared},
		{"a sweep removes old orphans alone", sweepsOldOrphansAlone},
		{"a sweep asks in batches and stops on an error", sweepsInBatches},
		{"a sweep spares what is being written", sweepSparesWriters},
		{"a failed write leaves nothing", failsWhole},
		{"a panicking reader leaves nothing", panicsWhole},
		{"a killed process leaves nothing after a sweep", survivesKills},
		{"a long stream is never held", holdsNoStream},
	} {
		t.Run(promise.name, func(t *testing.T) { promise.test(t, empty(t)) })
	}
}

func TestADiskKeepsThePromises(t *testing.T) {
	keepsThePromises(t, func(t *testing.T) *place {
		d := openDisk(t)
		old := func(name string) {
			at := time.Now().Add(-2 * time.Hour)
			require.NoError(t, d.root.Chtimes(name, at, at))
		}
		return &place{
			Store: d,
			name:  d.root.Name(),
			kept:  func() []string { return files(t, d) },
			unfinished: func() (left []string) {
				for _, name := range files(t, d) {
					if filepath.Dir(name) == tempDir {
						left = append(left, name)
					}
				}
				return left
			},
			age: func(ids ...string) {
				for _, id := range ids {
					name, _ := location(id)
					old(name)
				}
				for i, all := 0, files(t, d); len(ids) == 0 && i < len(all); i++ {
					old(all[i])
				}
			},
			plant: func(ids []string) {
				for _, id := range ids {
					name, _ := location(id)
					require.NoError(t, d.makeDir(filepath.Dir(name)))
					require.NoError(t, d.root.WriteFile(name, nil, 0o600))
				}
			},
			edges:  []int{bufferSize},
			begun:  bufferSize,
			stream: 256 << 20,
			memory: 8 << 20,
		}
	})
}

// random are as many bytes.
func random(size int) []byte {
	p := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size), byte(size >> 8)}).Read(p)
	return p
}

// put stores bytes and compares what is said of them.
func put(t require.TestingT, s Store, r io.Reader, want []byte) Blob {
	b, err := s.Put(context.Background(), r, int64(len(want)))
	require.NoError(t, err)
	require.EqualValues(t, len(want), b.Size)
	require.Equal(t, sha256.Sum256(want), b.SHA256)
	return b
}

// requireBytes requires that a blob is what it was.
func requireBytes(t require.TestingT, s Store, b Blob, want []byte) {
	f, n, err := s.Open(context.Background(), b)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	require.EqualValues(t, len(want), n)
	got, err := io.ReadAll(f)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got))
}

func isReadAsWritten(t *testing.T, p *place) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.OneOf(
			rapid.SampledFrom([]int{0, 1, bufferSize - 1, bufferSize, bufferSize + 1, 5 * bufferSize}),
			rapid.IntRange(0, 3*bufferSize),
		).Draw(t, "size")
		want := random(size)
		r := io.Reader(bytes.NewReader(want))
		if rapid.Bool().Draw(t, "in halves") {
			r = iotest.HalfReader(r)
		}
		if rapid.Bool().Draw(t, "with the end beside the data") {
			r = iotest.DataErrReader(r)
		}
		requireBytes(t, p, put(t, p, r, want), want)
	})
}

func isReadAsWrittenAtEdges(t *testing.T, p *place) {
	for _, edge := range p.edges {
		for _, size := range []int{edge - 1, edge, edge + 1, 2*edge + 1} {
			want := random(size)
			requireBytes(t, p, put(t, p, bytes.NewReader(want), want), want)
		}
	}
}

func readsAnyPart(t *testing.T, p *place) {
	want := random(5*bufferSize + 3)
	for _, want := range [][]byte{want, want[:100]} {
		b := put(t, p, bytes.NewReader(want), want)
		f, _, err := p.Open(t.Context(), b)
		require.NoError(t, err)
		rapid.Check(t, func(t *rapid.T) {
			at := rapid.Int64Range(0, b.Size).Draw(t, "at")
			n := rapid.Int64Range(0, 2*bufferSize).Draw(t, "n")
			whence := rapid.IntRange(io.SeekStart, io.SeekEnd).Draw(t, "whence")
			offset := at
			switch whence {
			case io.SeekCurrent:
				now, err := f.Seek(0, io.SeekCurrent)
				require.NoError(t, err)
				offset = at - now
			case io.SeekEnd:
				offset = at - b.Size
			}
			got, err := f.Seek(offset, whence)
			require.NoError(t, err)
			require.Equal(t, at, got)
			part, err := io.ReadAll(io.LimitReader(f, n))
			require.NoError(t, err)
			require.True(t, bytes.Equal(want[at:min(at+n, b.Size)], part))
		})
		_, err = f.Seek(-1, io.SeekStart)
		require.Error(t, err)
		require.NoError(t, f.Close())
		_, err = f.Seek(0, io.SeekStart)
		if err == nil {
			_, err = f.Read(make([]byte, 1))
		}
		require.ErrorIs(t, err, os.ErrClosed)
	}
}

func outlivesTheProcess(t *testing.T, p *place) {
	want := []byte("quarter")
	b := put(t, p, bytes.NewReader(want), want)
	second, end, err := open(p.name)
	require.NoError(t, err)
	requireBytes(t, second, b, want)
	require.NoError(t, end())
}

func takesNoOtherIDs(t *testing.T, p *place) {
	b := put(t, p, strings.NewReader("x"), []byte("x"))
	for _, id := range []string{
		"", ".", "..", "../outside", "tmp", "00", "/etc/passwd", "00/../../outside",
		strings.ToUpper(b.ID), "{" + b.ID + "}", "urn:uuid:" + b.ID, strings.ReplaceAll(b.ID, "-", ""),
		b.ID + "\x00", b.ID + "/",
	} {
		if id == b.ID { // an id of digits alone has no upper case
			continue
		}
		_, ok := location(id)
		require.False(t, ok, "%q", id)
		other := b
		other.ID = id
		_, _, err := p.Open(t.Context(), other)
		require.ErrorIs(t, err, ErrNotFound, "%q", id)
		require.NoError(t, p.Delete(t.Context(), id), "%q", id)
	}
	b.ID = uuid.NewString()
	_, _, err := p.Open(t.Context(), b)
	require.ErrorIs(t, err, ErrNotFound)
	require.Len(t, p.kept(), 1)
}

func readsDeletedToTheEnd(t *testing.T, p *place) {
	for _, size := range []int{0, 7, 3*bufferSize + 1} {
		want := random(size)
		b := put(t, p, bytes.NewReader(want), want)
		f, _, err := p.Open(t.Context(), b)
		require.NoError(t, err)
		require.NoError(t, p.Delete(t.Context(), b.ID))
		require.NoError(t, p.Delete(t.Context(), b.ID), "twice is once")
		got, err := io.ReadAll(f)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))
		require.NoError(t, f.Close())
		_, _, err = p.Open(t.Context(), b)
		require.ErrorIs(t, err, ErrNotFound)
		require.Empty(t, p.kept())
	}
}

func holdsALimit(t *testing.T, p *place) {
	sizes := []int{1, 10}
	sizes = append(sizes, p.edges...)
	for _, size := range sizes {
		data := make([]byte, size)
		_, err := p.Put(t.Context(), bytes.NewReader(data), int64(size))
		require.NoError(t, err)
		before := len(p.kept())
		if size == 1 { // a limit of 0 is none
			continue
		}
		_, err = p.Put(t.Context(), bytes.NewReader(data), int64(size-1))
		require.ErrorIs(t, err, ErrTooLarge)
		require.Len(t, p.kept(), before)
	}
}

func isShared(t *testing.T, p *place) {
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			want := bytes.Repeat([]byte{byte(i)}, bufferSize*3/2)
			b, err := p.Put(t.Context(), bytes.NewReader(want), 0)
			if err != nil {
				t.Error(err)
				return
			}
			f, _, err := p.Open(t.Context(), b)
			if err != nil {
				t.Error(err)
				return
			}
			got, err := io.ReadAll(f)
			if err != nil || !bytes.Equal(want, got) || f.Close() != nil {
				t.Error("another writer's bytes", err)
			}
		})
	}
	wg.Wait()
	require.Len(t, p.kept(), 16)
}

func sweepsOldOrphansAlone(t *testing.T, p *place) {
	store := func(text string) Blob { return put(t, p, strings.NewReader(text), []byte(text)) }
	oldKnown, oldOrphan, young := store("known"), store("orphan"), store("young")
	p.age(oldKnown.ID, oldOrphan.ID)
	var asked []string
	removed, err := p.Sweep(t.Context(), time.Now().Add(-time.Hour),
		func(_ context.Context, ids []string) ([]string, error) {
			asked = append(asked, ids...)
			return []string{oldOrphan.ID, young.ID}, nil // an answer about what was not asked counts for nothing
		})
	require.NoError(t, err)
	require.Equal(t, 1, removed)
	require.ElementsMatch(t, []string{oldKnown.ID, oldOrphan.ID}, asked)
	require.Len(t, p.kept(), 2)
	requireBytes(t, p, oldKnown, []byte("known"))
	requireBytes(t, p, young, []byte("young"))
}

func sweepsInBatches(t *testing.T, p *place) {
	ids := make([]string, SweepBatch+20)
	for i := range ids {
		ids[i] = uuid.NewString()
	}
	p.plant(ids)
	future := time.Now().Add(time.Hour)
	boom := io.ErrClosedPipe
	_, err := p.Sweep(t.Context(), future, func(context.Context, []string) ([]string, error) { return nil, boom })
	require.ErrorIs(t, err, boom)
	require.Len(t, p.kept(), len(ids))

	removed, err := p.Sweep(t.Context(), future, func(_ context.Context, ids []string) ([]string, error) {
		require.LessOrEqual(t, len(ids), SweepBatch)
		return ids, nil
	})
	require.NoError(t, err)
	require.Equal(t, len(ids), removed)
	require.Empty(t, p.kept())

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = p.Sweep(cancelled, future, noOrphans)
	require.ErrorIs(t, err, context.Canceled)
}

func sweepSparesWriters(t *testing.T, p *place) {
	r, w := io.Pipe()
	type result struct {
		blob Blob
		err  error
	}
	done := make(chan result)
	go func() {
		b, err := p.Put(t.Context(), r, 0)
		done <- result{b, err}
	}()
	want := random(p.begun + bufferSize)
	_, err := w.Write(want) // returns once Put has read it all
	require.NoError(t, err)
	require.Len(t, p.unfinished(), 1, "the write has not begun: the test shows nothing")
	_, err = p.Sweep(t.Context(), time.Now().Add(time.Hour), allOrphans)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	got := <-done
	require.NoError(t, got.err)
	requireBytes(t, p, got.blob, want)
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, nil }

func failsWhole(t *testing.T, p *place) {
	broken := errors.New("the client is gone")
	for _, c := range []struct {
		why  string
		end  error // of the stream, after its bytes
		none bool  // nothing before it
		ctx  bool  // the caller gave up
		want error
	}{
		{why: "the reader fails at once", end: broken, none: true, want: broken},
		{why: "the reader fails half-way", end: broken, want: broken},
		{why: "the client sends less than it announced", end: io.ErrUnexpectedEOF, want: io.ErrUnexpectedEOF},
		{why: "the reader never gives anything", none: true, want: io.ErrNoProgress},
		{why: "the caller gave up", ctx: true, want: broken},
	} {
		for _, edge := range p.edges {
			ctx, giveUp := context.WithCancelCause(t.Context())
			end := io.Reader(emptyReader{})
			switch {
			case c.ctx:
				end = readFunc(func([]byte) (int, error) { giveUp(broken); return 0, io.EOF })
			case c.end != nil:
				end = iotest.ErrReader(c.end)
			}
			r := end
			if !c.none {
				r = io.MultiReader(io.LimitReader(zeros{}, int64(2*edge+7)), end, io.LimitReader(zeros{}, int64(edge)))
			}
			_, err := p.Put(ctx, r, 0)
			giveUp(nil)
			require.ErrorIs(t, err, c.want, c.why)
			require.Empty(t, p.kept(), c.why)
		}
	}
}

type readFunc func([]byte) (int, error)

func (fn readFunc) Read(p []byte) (int, error) { return fn(p) }

func panicsWhole(t *testing.T, p *place) {
	panics := readFunc(func([]byte) (int, error) { panic("http.ErrAbortHandler, for one") })
	for _, r := range []io.Reader{panics, io.MultiReader(io.LimitReader(zeros{}, int64(2*p.begun)), panics)} {
		require.Panics(t, func() { _, _ = p.Put(t.Context(), r, 0) })
		require.Empty(t, p.kept()) // and goleak finds no hash left waiting
	}
}

// survivesKills kills a real process while it writes.
func survivesKills(t *testing.T, p *place) {
	for range 3 {
		before := len(p.unfinished()) // a part that came after the last sweep
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", writeUntilKilled, p.begun, p.name))
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

		require.Greater(t, len(p.unfinished()), before, "the write was not under way: the test shows nothing")
		want := make([]byte, bufferSize+1)
		for _, id := range stored { // an acknowledged blob that were gone would not open
			requireBytes(t, p, Blob{id, int64(len(want)), sha256.Sum256(want)}, want)
		}
		removed := 0
		require.Eventually(t, func() bool { // a part that arrives at this moment may keep its upload
			n, err := p.Sweep(t.Context(), time.Now().Add(time.Hour), allOrphans)
			require.NoError(t, err)
			removed += n
			return len(p.kept()) == 0
		}, 10*time.Second, 10*time.Millisecond)
		require.GreaterOrEqual(t, removed, len(stored)+1)
	}
}

// writeForever stores three blobs, says their ids, and is then in the middle of
// a fourth for as long as it lives.
func writeForever(how string) error {
	var begun int
	var name string
	if _, err := fmt.Sscanf(how, "%d %s", &begun, &name); err != nil {
		return err
	}
	s, _, err := open(name)
	if err != nil {
		return err
	}
	for range 3 {
		blob, err := s.Put(context.Background(), io.LimitReader(zeros{}, bufferSize+1), 0)
		if err != nil {
			return err
		}
		fmt.Println(blob.ID)
	}
	r, w := io.Pipe()
	go func() {
		_, _ = w.Write(make([]byte, 2*begun+1))
		fmt.Println("half-way")
	}()
	_, err = s.Put(context.Background(), r, 0)
	return err
}

// holdsNoStream watches the heap while a long stream passes through.
func holdsNoStream(t *testing.T, p *place) {
	watch := &heapWatch{r: io.LimitReader(zeros{}, p.stream)}
	start := heap()
	b, err := p.Put(t.Context(), watch, p.stream)
	require.NoError(t, err)
	require.Equal(t, p.stream, b.Size)
	require.Less(t, int64(watch.top)-int64(start), p.memory)
	t.Logf("%d MiB on top for a stream of %d MiB", (int64(watch.top)-int64(start))>>20, p.stream>>20)

	f, _, err := p.Open(t.Context(), b)
	require.NoError(t, err)
	watch = &heapWatch{r: f}
	start = heap()
	n, err := io.Copy(io.Discard, watch)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Equal(t, p.stream, n)
	require.Less(t, int64(watch.top)-int64(start), p.memory)
	t.Logf("%d MiB on top for reading it", (int64(watch.top)-int64(start))>>20)
}
