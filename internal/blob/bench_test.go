package blob

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/blob/s3test"
)

// The benchmarks stand beside what they are measured against, with the same
// syncs: the file's, and the directory's after the rename. A bucket is that of a server
// on the same machine.

const benchSize = 256 << 20

func plainPut(dir string, r io.Reader) (name string, err error) {
	f, err := os.CreateTemp(dir, "plain")
	if err != nil {
		return "", err
	}
	if _, err = io.Copy(f, r); err != nil {
		return "", err
	}
	if err = f.Sync(); err != nil {
		return "", err
	}
	if err = f.Close(); err != nil {
		return "", err
	}
	final := f.Name() + ".done"
	if err = os.Rename(f.Name(), final); err != nil {
		return "", err
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", err
	}
	defer func() { _ = d.Close() }()
	return final, d.Sync()
}

// benchBucket is a bucket of a server on this machine, whose work is measured with ours.
func benchBucket(b *testing.B) *S3 {
	server := s3test.Start(b)
	for name, value := range server.Environment() {
		b.Setenv(name, value)
	}
	server.Bucket(b, "bench")
	cfg, err := ParseS3(server.URL("bench"))
	require.NoError(b, err)
	s, err := OpenS3(b.Context(), cfg)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	return s
}

func BenchmarkPut(b *testing.B) {
	d, dir, s3 := openDisk(b), b.TempDir(), benchBucket(b)
	into := func(s Store) func(io.Reader) {
		return func(r io.Reader) {
			blob, err := s.Put(context.Background(), r, 0)
			require.NoError(b, err)
			require.NoError(b, s.Delete(context.Background(), blob.ID))
		}
	}
	plain := func(r io.Reader) {
		name, err := plainPut(dir, r)
		require.NoError(b, err)
		require.NoError(b, os.Remove(name))
	}
	for _, size := range []struct {
		name string
		n    int64
	}{{"1KiB", 1 << 10}, {"256MiB", benchSize}} {
		for _, way := range []struct {
			name string
			put  func(io.Reader)
		}{{"blob", into(d)}, {"os.File", plain}, {"bucket", into(s3)}} {
			b.Run(size.name+"/"+way.name, func(b *testing.B) {
				b.SetBytes(size.n)
				b.ReportAllocs()
				for b.Loop() {
					way.put(io.LimitReader(zeros{}, size.n))
				}
			})
			b.Run(size.name+"/http/"+way.name, func(b *testing.B) {
				s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { way.put(r.Body) }))
				defer s.Close()
				b.SetBytes(size.n)
				for b.Loop() {
					req, err := http.NewRequest(http.MethodPut, s.URL, io.LimitReader(zeros{}, size.n))
					require.NoError(b, err)
					req.ContentLength = size.n
					resp, err := s.Client().Do(req)
					require.NoError(b, err)
					require.NoError(b, resp.Body.Close())
				}
			})
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	d := openDisk(b)
	blob, err := d.Put(context.Background(), io.LimitReader(zeros{}, benchSize), 0)
	require.NoError(b, err)
	name, _ := location(blob.ID)
	s3 := benchBucket(b)
	there, err := s3.Put(context.Background(), io.LimitReader(zeros{}, benchSize), 0)
	require.NoError(b, err)
	for _, way := range []struct {
		name string
		open func() (io.ReadSeekCloser, error)
	}{
		{"blob", func() (io.ReadSeekCloser, error) {
			f, _, err := d.Open(context.Background(), blob)
			return f, err
		}},
		{"bucket", func() (io.ReadSeekCloser, error) {
			f, _, err := s3.Open(context.Background(), there)
			return f, err
		}},
		{"os.File", func() (io.ReadSeekCloser, error) { return os.Open(filepath.Join(d.root.Name(), name)) }},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			f, err := way.open()
			if err != nil {
				panic(err)
			}
			defer func() { _ = f.Close() }()
			_, _ = io.Copy(w, f)
		}))
		b.Run("256MiB/http/"+way.name, func(b *testing.B) {
			b.SetBytes(benchSize)
			buf := make([]byte, bufferSize)
			for b.Loop() {
				resp, err := s.Client().Get(s.URL)
				require.NoError(b, err)
				n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buf)
				require.NoError(b, err)
				require.EqualValues(b, benchSize, n)
				require.NoError(b, resp.Body.Close())
			}
		})
		s.Close()
	}
}
