package live

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	ximage "golang.org/x/image/draw"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// Limits bound a recording: what comes after one of them is not recorded any more.
type Limits struct {
	Bytes  int64
	Length time.Duration
}

// DefaultLimits are those of a recording that nobody has bounded otherwise.
func DefaultLimits() Limits { return Limits{Bytes: 256 << 20, Length: 4 * time.Hour} }

const (
	// maxFrames and maxMarks bound what is kept of a recording in memory.
	maxFrames = 200_000
	maxMarks  = 5_000
	// maxMarkText bounds the text of a mark, in bytes.
	maxMarkText = 300
	// maxSide bounds the sides of a recording, in pixels: those of pictures are bounded by
	// the browser, those of a viewport by nobody.
	maxSide = 2048
)

// Mark is something that happened while a browser was recorded.
type Mark struct {
	// AtMs is when, in milliseconds from the first picture.
	AtMs int64 `json:"atMs"`
	// Kind is "step" of a step of an execution, "action" of what an agent did, "page" of a
	// document, "person" of a person who took over or handed back.
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// Movie is a recording that is being made: pictures and when they were shown. They are in
// a file without a name, which is gone with the process.
type Movie struct {
	limits Limits
	file   *os.File

	mu            sync.Mutex
	begun         time.Time // of the first picture
	last          time.Time // of the newest mark or picture
	ended         time.Time
	width, height int
	size          int64
	// frames are the times of pictures in milliseconds from the first, with where each is
	// in the file, and how long. What is in these lists and in marks does not change, so
	// that films have them too.
	frames         []int64
	offsets, sizes []int64
	marks          []Mark
	full           bool
	films          int // that read the file
	closed         bool
}

// NewMovie makes a movie that holds nothing.
func NewMovie(limits Limits) (*Movie, error) {
	f, err := os.CreateTemp("", "bctrl-recording-*")
	if err != nil {
		return nil, fmt.Errorf("make the file of a recording: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil { // it stays open
		return nil, errors.Join(fmt.Errorf("hide the file of a recording: %w", err), f.Close())
	}
	return &Movie{limits: limits, file: f}, nil
}

// ErrFull is the error of a movie that has come to its limits.
var ErrFull = errors.New("the recording has come to its limits")

// Add adds a picture that is shown from now on. One that was withheld is a grey one.
func (m *Movie) Add(f browser.Frame) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	switch {
	case m.closed || !m.ended.IsZero():
		return os.ErrClosed
	case m.full:
		return ErrFull
	case len(m.frames) == 0:
		m.begun = now
	case now.Sub(m.begun) > m.limits.Length || m.size+int64(len(f.JPEG)) > m.limits.Bytes || len(m.frames) == maxFrames:
		m.full, m.ended = true, now
		return ErrFull
	}
	data, err := m.fit(f)
	if err != nil {
		return err
	}
	if _, err := m.file.WriteAt(data, m.size); err != nil {
		return fmt.Errorf("write a recording: %w", err)
	}
	m.frames = append(m.frames, now.Sub(m.begun).Milliseconds())
	m.offsets, m.sizes = append(m.offsets, m.size), append(m.sizes, int64(len(data)))
	m.size += int64(len(data))
	m.last = now
	return nil
}

// fit returns the picture in the size of the movie, which is that of its first.
func (m *Movie) fit(f browser.Frame) ([]byte, error) {
	var img image.Image = image.NewGray(image.Rect(0, 0, side(f.Width), side(f.Height)))
	if f.JPEG != nil {
		is, err := jpeg.DecodeConfig(bytes.NewReader(f.JPEG))
		if err != nil {
			return nil, fmt.Errorf("read a picture: %w", err)
		}
		if m.width == 0 {
			m.width, m.height = is.Width, is.Height
		}
		if is.Width == m.width && is.Height == m.height {
			return f.JPEG, nil
		}
		if img, err = jpeg.Decode(bytes.NewReader(f.JPEG)); err != nil {
			return nil, fmt.Errorf("read a picture: %w", err)
		}
	}
	if m.width == 0 {
		m.width, m.height = img.Bounds().Dx(), img.Bounds().Dy()
	}
	canvas := image.NewRGBA(image.Rect(0, 0, m.width, m.height))
	share := min(float64(m.width)/float64(img.Bounds().Dx()), float64(m.height)/float64(img.Bounds().Dy()))
	w, h := int(float64(img.Bounds().Dx())*share), int(float64(img.Bounds().Dy())*share)
	at := image.Rect(0, 0, w, h).Add(image.Pt((m.width-w)/2, (m.height-h)/2))
	ximage.ApproxBiLinear.Scale(canvas, at, img, img.Bounds(), ximage.Src, nil)
	var out bytes.Buffer
	if err := jpeg.Encode(&out, canvas, &jpeg.Options{Quality: 70}); err != nil {
		return nil, fmt.Errorf("write a picture: %w", err)
	}
	return out.Bytes(), nil
}

// side is the side of a picture that stands for a viewport of which none is shown.
func side(viewport int) int { return min(max(viewport, 16), maxSide) }

// Mark notes something that happens now. What came before the first picture is at its time.
func (m *Movie) Mark(kind, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.full || !m.ended.IsZero() || len(m.marks) == maxMarks {
		return
	}
	if len(text) > maxMarkText {
		text = strings.ToValidUTF8(text[:maxMarkText], "") + "…"
	}
	at := int64(0)
	if len(m.frames) > 0 {
		m.last = time.Now()
		at = m.last.Sub(m.begun).Milliseconds()
	}
	m.marks = append(m.marks, Mark{AtMs: at, Kind: kind, Text: text})
}

// End ends the movie, where it has not ended.
func (m *Movie) End() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended.IsZero() {
		m.ended = time.Now()
	}
}

// Close drops the pictures, once no film reads them any more.
func (m *Movie) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	if m.films > 0 {
		return nil
	}
	return m.file.Close()
}

// Film returns the recording as it is now, which costs the same however long it is; nil where
// the movie is closed. The film has to be closed.
func (m *Movie) Film() *Film {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	m.films++
	f := &Film{
		Index: Index{
			Width:     m.width,
			Height:    m.height,
			StartedAt: m.begun.UTC(),
			Running:   m.ended.IsZero(),
			Truncated: m.full,
			Frames:    slices.Clip(m.frames),
			Marks:     slices.Clip(m.marks),
		},
		data:    m.file,
		size:    m.size,
		offsets: slices.Clip(m.offsets),
		sizes:   slices.Clip(m.sizes),
		release: sync.OnceValue(m.release),
	}
	end := m.ended
	if end.IsZero() {
		end = time.Now()
	}
	if len(m.frames) > 0 {
		f.Index.DurationMs = end.Sub(m.begun).Milliseconds()
	}
	return f
}

// release notes that a film reads no more.
func (m *Movie) release() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.films--; m.films > 0 || !m.closed {
		return nil
	}
	return m.file.Close()
}

// Index says what is in a recording.
type Index struct {
	Width     int       `json:"width"`
	Height    int       `json:"height"`
	StartedAt time.Time `json:"startedAt"`
	// DurationMs is how long it is, Running whether it goes on, Truncated whether it has
	// come to its limits before its browser ended.
	DurationMs int64 `json:"durationMs"`
	Running    bool  `json:"running"`
	Truncated  bool  `json:"truncated"`
	// Frames are the times from which pictures are shown, in milliseconds.
	Frames []int64 `json:"frames"`
	Marks  []Mark  `json:"marks"`
	// FromFrame and FromMark are how many come before these: see [Index.After].
	FromFrame int `json:"fromFrame,omitzero"`
	FromMark  int `json:"fromMark,omitzero"`
}

// After is the index without the first frames and marks, for who has them. It is the whole
// index where it does not have as many: then it is of another recording.
func (i Index) After(frames, marks int) Index {
	if frames <= len(i.Frames) && marks <= len(i.Marks) {
		i.Frames, i.Marks, i.FromFrame, i.FromMark = i.Frames[frames:], i.Marks[marks:], frames, marks
	}
	return i
}

// Film is a recording as it can be played.
type Film struct {
	Index          Index
	data           io.ReaderAt
	size           int64 // of all pictures, which lie one behind the other
	offsets, sizes []int64
	release        func() error // nil of one that holds nothing open
}

// Close ends the reading of a film that a movie has given.
func (f *Film) Close() error {
	if f.release == nil {
		return nil
	}
	return f.release()
}

// In is the film in another reader of its file, for as long as that is open.
func (f *Film) In(data io.ReaderAt) *Film {
	return &Film{Index: f.Index, data: data, size: f.size, offsets: f.offsets, sizes: f.sizes}
}

// Frame returns the nth picture.
func (f *Film) Frame(n int) ([]byte, error) {
	if n < 0 || n >= len(f.sizes) {
		return nil, io.EOF
	}
	data := make([]byte, f.sizes[n])
	_, err := f.data.ReadAt(data, f.offsets[n])
	if err != nil {
		return nil, fmt.Errorf("read a picture: %w", err)
	}
	return data, nil
}
