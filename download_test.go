package bctrl

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// waysToRead read a download to its end.
var waysToRead = map[string]func(*StorageReader) ([]byte, error){
	"at once": func(r *StorageReader) ([]byte, error) { return io.ReadAll(struct{ io.Reader }{r}) },
	"copied": func(r *StorageReader) ([]byte, error) {
		var out bytes.Buffer
		_, err := io.Copy(&out, r)
		return out.Bytes(), err
	},
	"in pieces": func(r *StorageReader) ([]byte, error) {
		var out bytes.Buffer
		_, err := io.CopyBuffer(struct{ io.Writer }{&out}, struct{ io.Reader }{r}, make([]byte, 997))
		return out.Bytes(), err
	},
	"its head, then the rest": func(r *StorageReader) ([]byte, error) {
		head := make([]byte, 10)
		_, err := io.ReadFull(r, head)
		out := bytes.NewBuffer(head)
		if err == nil {
			_, err = io.Copy(out, r)
		}
		return out.Bytes(), err
	},
}

// longFile is one that is read ahead.
func longFile() string {
	content := make([]byte, 5*aheadBytes+123)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(content) // cannot fail
	return string(content)
}

func TestALongDownloadIsTheSameHoweverItIsReadAndBreaks(t *testing.T) {
	content := longFile()
	for why, read := range waysToRead {
		for _, after := range []int{0, 2*aheadBytes + 77, 3*aheadBytes - 1} {
			synctest.Test(t, func(t *testing.T) {
				r, err := clientOn(t, breaking(content, after, `"v1"`)).Storage("ns").Open(t.Context(), "a.bin")
				require.NoError(t, err)
				defer r.Close()
				got, err := read(r)
				require.NoError(t, err, why)
				require.True(t, content == string(got), why)
				_, err = r.Read(make([]byte, 1))
				require.ErrorIs(t, err, io.EOF)
			})
		}
	}
}

func TestALongDownloadWithOneOtherByteIsRefusedHoweverItIsRead(t *testing.T) {
	content := []byte(longFile())
	for why, read := range waysToRead {
		for _, at := range []int{0, 3 * aheadBytes, len(content) - 1} {
			good := breaking(string(content), 0, `"v1"`)
			changed := bytes.Clone(content)
			changed[at]++
			rt := roundTripper(func(r *http.Request) (*http.Response, error) {
				resp, err := good.RoundTrip(r)
				if err == nil {
					resp.Body = io.NopCloser(bytes.NewReader(changed))
				}
				return resp, err
			})
			r, err := clientOn(t, rt).Storage("ns").Open(t.Context(), "a.bin")
			require.NoError(t, err)
			_, err = read(r)
			require.ErrorContains(t, err, "storage.corrupt_download", why)
			require.NoError(t, r.Close())
		}
	}
}

func TestADownloadEndsWithItsWriterAndWithClose(t *testing.T) {
	full := errors.New("the disk is full")
	r, err := clientOn(t, breaking(longFile(), 0, `"v1"`)).Storage("ns").Open(t.Context(), "a.bin")
	require.NoError(t, err)
	n, err := io.Copy(writerFunc(func(p []byte) (int, error) { return 3, full }), r)
	require.ErrorIs(t, err, full)
	require.EqualValues(t, 3, n)
	require.NoError(t, r.Close())
	_, err = r.Read(make([]byte, 1))
	require.ErrorContains(t, err, "storage.reader_closed")
	_, err = r.WriteTo(io.Discard)
	require.ErrorContains(t, err, "storage.reader_closed", "nothing that was read ahead comes after it")
}

// TestADownloadThatIsClosedBeforeItsLastBytesIsNotWhole: they have all been received, and nobody has
// read them.
func TestADownloadThatIsClosedBeforeItsLastBytesIsNotWhole(t *testing.T) {
	content := longFile()
	r, err := clientOn(t, breaking(content, 0, `"v1"`)).Storage("ns").Open(t.Context(), "a.bin")
	require.NoError(t, err)
	_, err = io.ReadFull(r, make([]byte, len(content)-10))
	require.NoError(t, err)
	require.NoError(t, r.Close())
	_, err = r.Read(make([]byte, 20))
	require.ErrorContains(t, err, "storage.reader_closed")
	_, err = r.WriteTo(io.Discard)
	require.ErrorContains(t, err, "storage.reader_closed")
}

func TestReadingNothingOfADownloadEnds(t *testing.T) {
	for _, content := range []string{"short", longFile()} {
		r, err := clientOn(t, breaking(content, 0, `"v1"`)).Storage("ns").Open(t.Context(), "a.bin")
		require.NoError(t, err)
		n, err := r.Read(nil)
		require.NoError(t, err)
		require.Zero(t, n)
		require.NoError(t, r.Close())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestARangeThatIsNoneIsInvalidWhoeverRefusesIt(t *testing.T) {
	refused := always(416, refusalBody("storage.invalid_range", "invalid_input"))
	empty := always(200, "", "Content-Length", "0")
	for _, tc := range []struct {
		f      *fake
		offset int64
		why    string
	}{
		{empty, -1, "the SDK, before it asks"}, {refused, 9, "the server"}, {empty, 9, "the SDK, of an empty file"},
	} {
		_, err := clientOn(t, tc.f).Storage("ns").Open(t.Context(), "a.csv", WithRange(tc.offset, 1))
		requireRoute(t, err, "storage.invalid_range", tc.why)
		require.ErrorIs(t, err, ErrInvalid, tc.why)
	}
}
