package bctrl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// stuck is a reader whose Read waits until it is let go.
type stuck struct {
	begun, let chan struct{}
}

func newStuck(t *testing.T) stuck {
	s := stuck{make(chan struct{}, 8), make(chan struct{})}
	t.Cleanup(func() { close(s.let) })
	return s
}

func (s stuck) Read([]byte) (int, error) {
	s.begun <- struct{}{}
	<-s.let
	return 0, io.EOF
}

// stuckSeeker says that it can be read again.
type stuckSeeker struct{ stuck }

func (stuckSeeker) Seek(_ int64, whence int) (int64, error) {
	if whence == io.SeekEnd {
		return 100, nil
	}
	return 0, nil
}

// TestACancelledContextEndsAnUploadWhoseReaderWaits: over a real connection,
// where net/http waits for the read that it is in.
func TestACancelledContextEndsAnUploadWhoseReaderWaits(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	t.Cleanup(srv.Close)
	hc := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(hc.CloseIdleConnections)
	c, err := New(WithAPIKey(NewSecret(testKey)), WithBaseURL(srv.URL), WithHTTPClient(hc))
	require.NoError(t, err)
	s := newStuck(t)
	for _, tc := range []struct {
		why  string
		r    io.Reader
		opts []UploadOption
	}{
		{"a pipe", s, nil},
		{"one that seeks", stuckSeeker{s}, nil},
		{"one that is opened again", nil, []UploadOption{WithReopen(func() (io.ReadCloser, error) {
			return io.NopCloser(s), nil
		})}},
		{"one that cannot be opened yet", nil, []UploadOption{WithReopen(func() (io.ReadCloser, error) {
			_, err := s.Read(nil)
			return nil, err
		})}},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-s.begun; cancel() }()
		_, err := c.Storage("ns").Upload(ctx, "a.csv", tc.r, tc.opts...) // the test would not end
		require.ErrorIs(t, err, context.Canceled, tc.why)
		require.ErrorContains(t, err, codeCancelled, tc.why)
	}
}

func TestAReaderThatWasAskedForBytesIsNotAskedForThemAgain(t *testing.T) {
	s := newStuck(t)
	sends := 0
	rt := roundTripper(func(r *http.Request) (*http.Response, error) {
		sends++
		go func() { _, _ = r.Body.Read(make([]byte, 1)) }()
		<-s.begun
		return answered(503, ""), nil // before it has read the body
	})
	_, err := clientOn(t, rt, WithRetryWait(0, 0)).Storage("ns").Upload(t.Context(), "a.csv", s)
	require.ErrorIs(t, err, ErrUnavailable)
	require.Equal(t, 1, sends, "two reads at once would each get parts")
}

// TestWhatAFailedAttemptStillReadsIsNotCountedForTheNext: net/http goes on sending what was answered early.
func TestWhatAFailedAttemptStillReadsIsNotCountedForTheNext(t *testing.T) {
	const text = "a file that is sent twice"
	var first io.Reader
	rt := roundTripper(func(r *http.Request) (*http.Response, error) {
		if first == nil {
			first = r.Body
			return answered(503, ""), nil
		}
		_, stale := first.Read(make([]byte, 5))
		sent, err := io.ReadAll(r.Body)
		if err := errors.Join(stale, err); err != nil {
			return nil, err
		}
		return answered(200, fmt.Sprintf(`{"sizeBytes":%d}`, len(sent))), nil
	})
	o, err := clientOn(t, rt, WithRetryWait(0, 0)).Storage("ns").Upload(t.Context(), "a.csv", strings.NewReader(text))
	require.NoError(t, err)
	require.EqualValues(t, len(text), o.SizeBytes)
}

func TestWhatIsOpenedTooLateIsClosed(t *testing.T) {
	s, closed := newStuck(t), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-s.begun; cancel() }()
	let := make(chan struct{})
	_, err := clientOn(t, always(200, `{}`)).Storage("ns").Upload(ctx, "a.csv", nil,
		WithReopen(func() (io.ReadCloser, error) {
			s.begun <- struct{}{}
			<-let
			return closing{strings.NewReader("late"), closed}, nil
		}))
	require.ErrorIs(t, err, context.Canceled)
	close(let)
	<-closed
}

// closing tells when it is closed.
type closing struct {
	io.Reader
	closed chan struct{}
}

func (c closing) Close() error { close(c.closed); return nil }

func TestAReaderOfAnotherSizeThanWasSaidFailsItsUpload(t *testing.T) {
	var stored atomic.Int64 // what came whole
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err == nil {
			stored.Add(1)
		}
		_, _ = fmt.Fprintf(w, `{"sizeBytes":%d}`, n)
	}))
	defer srv.Close()
	c := clientOn(t, nil, WithBaseURL(srv.URL), WithHTTPClient(srv.Client()))
	for _, size := range []int64{0, 3, 1 << 40} {
		_, err := c.Storage("ns").Upload(t.Context(), "a", onlyReader{strings.NewReader("ab")}, WithSize(size))
		requireRoute(t, err, "request.unreadable_body", strconv.FormatInt(size, 10))
		require.ErrorIs(t, err, ErrInvalid)
		require.ErrorContains(t, err, "more or fewer bytes")
	}
	require.Zero(t, stored.Load())
	for _, source := range []io.Reader{onlyReader{strings.NewReader("ab")}, strings.NewReader("ab")} {
		_, err := c.Storage("ns").Upload(t.Context(), "a", source, WithSize(2))
		require.NoError(t, err)
	}
	_, err := c.Storage("ns").Upload(t.Context(), "a", onlyReader{strings.NewReader("")}, WithSize(0))
	require.NoError(t, err)
}
