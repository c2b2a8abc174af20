package live

import (
	"bytes"
	"context"
	"errors"
	"image/jpeg"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// TestARecordingIsReadAsItWasWritten keeps a movie and opens it again.
func TestARecordingIsReadAsItWasWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := NewMovie(DefaultLimits())
		require.NoError(t, err)
		defer m.Close()
		first := frame(64)
		m.Mark("step", "page.goto") // before anything is shown
		require.Equal(t, "page.goto", m.Film().Index.Marks[0].Text)
		time.Sleep(time.Minute) //nolint:forbidigo // of the bubble
		require.NoError(t, m.Add(first))
		time.Sleep(1500 * time.Millisecond) //nolint:forbidigo // of the bubble
		require.NoError(t, m.Add(browser.Frame{JPEG: drawn(32, 64), Width: 32, Height: 64}))
		time.Sleep(500 * time.Millisecond) //nolint:forbidigo // of the bubble
		require.NoError(t, m.Add(browser.Frame{Width: 64, Height: 16, Withheld: true}))
		time.Sleep(time.Second) //nolint:forbidigo // of the bubble
		require.True(t, m.Film().Index.Running)
		m.End()
		require.ErrorIs(t, m.Add(first), os.ErrClosed)

		film := m.Film()
		r, err := film.Reader()
		require.NoError(t, err)
		data, err := io.ReadAll(r)
		require.NoError(t, err)
		size, err := film.Size()
		require.NoError(t, err)
		require.Len(t, data, int(size))
		again, err := Open(bytes.NewReader(data), size)
		require.NoError(t, err)
		require.Equal(t, []int64{0, 1500, 2000}, again.Index.Frames)
		require.Equal(t, int64(3000), again.Index.DurationMs)
		require.Equal(t, []Mark{{AtMs: 0, Kind: "step", Text: "page.goto"}}, again.Index.Marks)
		require.False(t, again.Index.Running)
		require.Equal(t, film.Bytes(), again.Bytes())
		for n := range 3 {
			was, err := film.Frame(n)
			require.NoError(t, err)
			is, err := again.Frame(n)
			require.NoError(t, err)
			require.True(t, bytes.Equal(was, is))
			size, err := jpeg.DecodeConfig(bytes.NewReader(is))
			require.NoError(t, err)
			require.Equal(t, [2]int{64, 16}, [2]int{size.Width, size.Height}, "all pictures of a track have one size")
		}
		_, err = again.Frame(3)
		require.ErrorIs(t, err, io.EOF)

		for cut := range int64(len(data)) { // whatever is left of a file, nothing panics
			if film, err := Open(bytes.NewReader(data[:cut]), cut); err == nil {
				_, _ = film.Frame(0)
			}
		}
	})
}

// TestARecordingEndsAtItsLimits records more than may be kept.
func TestARecordingEndsAtItsLimits(t *testing.T) {
	for _, c := range []struct {
		why    string
		limits Limits
	}{
		{"too many bytes", Limits{Bytes: int64(len(drawn(64, 16))) + 10, Length: time.Hour}},
		{"too long", Limits{Bytes: 1 << 20, Length: 10 * time.Second}},
	} {
		synctest.Test(t, func(t *testing.T) {
			m, err := NewMovie(c.limits)
			require.NoError(t, err)
			defer m.Close()
			require.NoError(t, m.Add(frame(64)))
			time.Sleep(11 * time.Second) //nolint:forbidigo // of the bubble
			require.ErrorIs(t, m.Add(frame(64)), ErrFull, c.why)
			m.Mark("step", "nobody sees it")
			film := m.Film()
			require.True(t, film.Index.Truncated, c.why)
			require.Len(t, film.Index.Frames, 1)
			require.Empty(t, film.Index.Marks)
		})
	}
}

// TestARecordingBeginsWithTheFirstPage records a browser from its launch on.
func TestARecordingBeginsWithTheFirstPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := newStage()
		h := NewHub(ctx, s)
		m, err := NewMovie(DefaultLimits())
		require.NoError(t, err)
		defer m.Close()
		ended := make(chan error, 1)
		go func() {
			ended <- h.Record(ctx, m, func(url string) string { return url })
		}()
		time.Sleep(time.Minute) //nolint:forbidigo // of the bubble
		require.Zero(t, s.casts, "a blank tab is not recorded")
		s.visit("https://a.example/")
		s.frames <- frame(20)
		synctest.Wait()
		s.visit("https://b.example/")
		for i := range 20 { // 4 pictures a second at most
			s.frames <- frame(20 + i)
		}
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		h.Wait()
		film := m.Film()
		require.NotEmpty(t, film.Index.Frames)
		for i := range film.Index.Frames[1:] {
			require.GreaterOrEqual(t, film.Index.Frames[i+1]-film.Index.Frames[i], recordEvery.Milliseconds())
		}
		require.Len(t, film.Index.Marks, 2)
		require.Equal(t, "https://b.example/", film.Index.Marks[1].Text)
	})
}

// TestAWithheldPictureOfAHugeViewportIsSmall draws one that a client has made 10 million pixels wide.
func TestAWithheldPictureOfAHugeViewportIsSmall(t *testing.T) {
	m, err := NewMovie(DefaultLimits())
	require.NoError(t, err)
	defer m.Close()
	require.NoError(t, m.Add(browser.Frame{Width: 10_000_000, Height: 1, Withheld: true}))
	index := m.Film().Index
	require.Equal(t, index, index.After(0, 0))
	rest := index.After(len(index.Frames), len(index.Marks))
	require.Empty(t, rest.Frames, "who asks again is told what is new")
	require.Equal(t, len(index.Frames), rest.FromFrame)
	require.Equal(t, index, index.After(len(index.Frames)+1, 0), "who knows more has had another")
	require.Equal(t, []int{2048, 16}, []int{index.Width, index.Height})
}

// TestAFilmIsReadAlsoOnceItsMovieIsClosed has a page play a recording that is dropped.
func TestAFilmIsReadAlsoOnceItsMovieIsClosed(t *testing.T) {
	m, err := NewMovie(DefaultLimits())
	require.NoError(t, err)
	require.NoError(t, m.Add(frame(64)))
	film := m.Film()
	require.NoError(t, m.Add(frame(32)))
	require.NoError(t, m.Close())
	_, err = film.Frame(0)
	require.NoError(t, err)
	_, err = film.Frame(1)
	require.ErrorIs(t, err, io.EOF, "it was added later")
	require.NoError(t, film.Close())
	require.NoError(t, film.Close(), "twice is once")
	_, err = film.Frame(0)
	require.ErrorIs(t, err, os.ErrClosed, "nothing is left open")
	require.Nil(t, m.Film())
}

// BenchmarkPlaying shows one picture of a recording of 20,000, as a page does that plays it.
func BenchmarkPlaying(b *testing.B) {
	m, err := NewMovie(DefaultLimits())
	require.NoError(b, err)
	defer m.Close()
	for f := frame(64); len(m.frames) < 20_000; {
		require.NoError(b, m.Add(f))
	}
	n := 0
	for b.Loop() {
		film := m.Film()
		_, err := film.Frame(n % 20_000)
		require.NoError(b, errors.Join(err, film.Close()))
		n++
	}
}
