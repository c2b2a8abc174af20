package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
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

func TestABlobIsReadAsItWasWritten(t *testing.T) {
	d := openDisk(t)
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.OneOf(
			rapid.SampledFrom([]int{0, 1, bufferSize - 1, bufferSize, bufferSize + 1, 5 * bufferSize}),
			rapid.IntRange(0, 3*bufferSize),
		).Draw(t, "size")
		want := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{byte(size)}).Read(want)
		r := io.Reader(bytes.NewReader(want))
		if rapid.Bool().Draw(t, "in halves") {
			r = iotest.HalfReader(r)
		}
		if rapid.Bool().Draw(t, "with the end beside the data") {
			r = iotest.DataErrReader(r)
		}
		blob, err := d.Put(context.Background(), r, int64(size))
		require.NoError(t, err)
		require.EqualValues(t, size, blob.Size)
		require.Equal(t, sha256.Sum256(want), blob.SHA256)

		f, n, err := d.Open(context.Background(), blob.ID)
		require.NoError(t, err)
		defer func() { require.NoError(t, f.Close()) }()
		require.EqualValues(t, size, n)
		got, err := io.ReadAll(f)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))
	})
}

func TestBlobsOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	first, err := OpenDisk(dir)
	require.NoError(t, err)
	blob, err := first.Put(t.Context(), strings.NewReader("quarter"), 0)
	require.NoError(t, err)
	require.NoError(t, first.Close())

	second, err := OpenDisk(dir)
	require.NoError(t, err)
	defer func() { require.NoError(t, second.Close()) }()
	f, _, err := second.Open(t.Context(), blob.ID)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func TestNobodyElseOfTheMachineCanRead(t *testing.T) {
	d := openDisk(t)
	_, err := d.Put(t.Context(), strings.NewReader("x"), 0)
	require.NoError(t, err)
	require.NoError(t, fs.WalkDir(d.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := e.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, name)
		return nil
	}))
}

func TestAnIDNeverBecomesAPath(t *testing.T) {
	d := openDisk(t)
	blob, err := d.Put(t.Context(), strings.NewReader("x"), 0)
	require.NoError(t, err)
	outside := filepath.Join(d.root.Name(), "..", "outside")
	require.NoError(t, os.WriteFile(outside, []byte("secret"), 0o600))
	for _, id := range []string{
		"", ".", "..", "../outside", "tmp", "00", "/etc/passwd", "00/../../outside",
		strings.ToUpper(blob.ID), "{" + blob.ID + "}", "urn:uuid:" + blob.ID, strings.ReplaceAll(blob.ID, "-", ""),
		blob.ID + "\x00", blob.ID + "/",
	} {
		if id == blob.ID { // an id of digits alone has no upper case
			continue
		}
		_, ok := location(id)
		require.False(t, ok, "%q", id)
		_, _, err := d.Open(t.Context(), id)
		require.ErrorIs(t, err, ErrNotFound, "%q", id)
		require.NoError(t, d.Delete(t.Context(), id), "%q", id)
	}
	_, _, err = d.Open(t.Context(), uuid.NewString())
	require.ErrorIs(t, err, ErrNotFound)
	require.FileExists(t, outside)
	require.Len(t, files(t, d), 1)
}

func TestADeletedBlobIsReadToItsEnd(t *testing.T) {
	d := openDisk(t)
	blob, err := d.Put(t.Context(), strings.NewReader("quarter"), 0)
	require.NoError(t, err)
	f, _, err := d.Open(t.Context(), blob.ID)
	require.NoError(t, err)
	require.NoError(t, d.Delete(t.Context(), blob.ID))
	require.NoError(t, d.Delete(t.Context(), blob.ID), "twice is once")
	got, err := io.ReadAll(f)
	require.NoError(t, err)
	require.Equal(t, "quarter", string(got))
	require.NoError(t, f.Close())
	_, _, err = d.Open(t.Context(), blob.ID)
	require.ErrorIs(t, err, ErrNotFound)
}

func TestALimitHoldsToTheByte(t *testing.T) {
	d := openDisk(t)
	for _, size := range []int{1, 10, bufferSize, 2 * bufferSize} {
		data := make([]byte, size)
		_, err := d.Put(t.Context(), bytes.NewReader(data), int64(size))
		require.NoError(t, err)
		before := len(files(t, d))
		_, err = d.Put(t.Context(), bytes.NewReader(data), int64(size-1))
		if size > 1 { // a limit of 0 is none
			require.ErrorIs(t, err, ErrTooLarge)
			require.Len(t, files(t, d), before)
		}
	}
}

func TestManyWritersShareADisk(t *testing.T) {
	d := openDisk(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			want := bytes.Repeat([]byte{byte(i)}, bufferSize*3/2)
			blob, err := d.Put(t.Context(), bytes.NewReader(want), 0)
			if err != nil {
				t.Error(err)
				return
			}
			f, _, err := d.Open(t.Context(), blob.ID)
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
	require.Len(t, files(t, d), 16)
}

func TestASweepRemovesOldOrphansAlone(t *testing.T) {
	d := openDisk(t)
	put := func(text string) string {
		t.Helper()
		blob, err := d.Put(t.Context(), strings.NewReader(text), 0)
		require.NoError(t, err)
		return blob.ID
	}
	age := func(name string) {
		t.Helper()
		old := time.Now().Add(-2 * time.Hour)
		require.NoError(t, d.root.Chtimes(name, old, old))
	}
	oldKnown, oldOrphan, young := put("known"), put("orphan"), put("young")
	for _, id := range []string{oldKnown, oldOrphan} {
		name, _ := location(id)
		age(name)
	}
	require.NoError(t, d.root.WriteFile("tmp/left", []byte("half"), 0o600))
	age("tmp/left")
	require.NoError(t, d.root.WriteFile("00/README", []byte("somebody's"), 0o600))
	age("00/README")

	var asked []string
	removed, err := d.Sweep(t.Context(), time.Now().Add(-time.Hour),
		func(_ context.Context, ids []string) ([]string, error) {
			asked = append(asked, ids...)
			return []string{oldOrphan, young}, nil // an answer about what was not asked counts for nothing
		})
	require.NoError(t, err)
	require.Equal(t, 2, removed)
	require.ElementsMatch(t, []string{oldKnown, oldOrphan}, asked)
	knownName, _ := location(oldKnown)
	youngName, _ := location(young)
	require.ElementsMatch(t, []string{knownName, youngName, "00/README"}, files(t, d))
}

func TestASweepAsksInBatchesAndStopsOnAnError(t *testing.T) {
	d := openDisk(t)
	const count = SweepBatch + 20
	for range count {
		name, _ := location(uuid.NewString())
		require.NoError(t, d.root.WriteFile(name, nil, 0o600))
	}
	future := time.Now().Add(time.Hour)
	boom := io.ErrClosedPipe
	_, err := d.Sweep(t.Context(), future, func(context.Context, []string) ([]string, error) { return nil, boom })
	require.ErrorIs(t, err, boom)
	require.Len(t, files(t, d), count)

	removed, err := d.Sweep(t.Context(), future, func(_ context.Context, ids []string) ([]string, error) {
		require.LessOrEqual(t, len(ids), SweepBatch)
		return ids, nil
	})
	require.NoError(t, err)
	require.Equal(t, count, removed)
	require.Empty(t, files(t, d))

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = d.Sweep(cancelled, future, noOrphans)
	require.ErrorIs(t, err, context.Canceled)
}
