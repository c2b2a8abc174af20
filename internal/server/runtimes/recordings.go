package runtimes

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/live"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// The refusals of recordings.
var (
	errNoRecording = web.WithHint(web.NotFound("recordings.none", "there is no recording of the runtime"),
		"launch it with record, and look for the file in the mounted storage: it may have been deleted")
	errNoRecordingView = web.WithHint(web.NotFound("recordings.no_view", "there is no such recording"),
		"look whether the whole address was copied, or ask for another")
	errRecordingWider = web.WithHint(web.Forbidden("recordings.wider",
		"the recording shows every host that the runtime visited, and the mounts of who asks name hosts of their own"),
		"ask with an organization key, or with a token or handle whose mounts have no web of their own")
	errRecordingExpired = web.WithHint(web.Refusal(http.StatusGone, "recordings.expired",
		"the address of this recording has expired"), "ask for another")
)

// recordingAnswer is a recording as it is told of.
type recordingAnswer struct {
	wire.Recording
	Marks  []live.Mark          `json:"marks"`
	Object *bctrl.StorageObject `json:"object,omitempty"`
}

func (s *Service) makeRecordingView(
	ctx context.Context, rq *web.Request, in wire.RecordingView,
) (out recordingAnswer, err error) {
	rt, ws, err := s.authorizedRuntime(ctx, rq)
	if err != nil {
		return out, err
	}
	// Nothing in a recording tells for certain of which host a picture is.
	if own := rq.Caller.Runtime; own != nil && limitsHosts(own.Chain[2:]) {
		return out, errRecordingWider
	}
	v, err := newView(recordingKind, rq, rt, in.TTLMs, in.EmbedOrigins)
	if err != nil {
		return out, err
	}
	ev := rq.Event()
	ev.Workspace, ev.Group, ev.Runtime = ws.ID, rt.Group, rt.ID
	ev.Action, ev.Object = recordingShown, v.id
	rq.MarkRecorded()
	err = s.Use(ctx, ev, func() error {
		film, err := s.openFilm(ctx, v)
		if err != nil {
			return err
		}
		defer film.Close()
		token, err := s.views.add(v, time.Now())
		if err != nil {
			return err
		}
		index := film.Index
		out.Recording = wire.Recording{
			Status:     string(bctrl.RecordingStored),
			URL:        wire.NewValue(rq.PublicURL().JoinPath("embed", "recording", token).String()),
			ExpiresAt:  v.expires,
			StartedAt:  index.StartedAt,
			DurationMs: index.DurationMs,
			Bytes:      film.Bytes(),
			Truncated:  index.Truncated,
		}
		if film.object == nil {
			out.Status = string(bctrl.RecordingRunning)
		}
		out.Object, out.Marks = film.object, index.Marks
		if out.Marks == nil {
			out.Marks = []live.Mark{}
		}
		return nil
	})
	return out, err
}

// openedFilm is a recording that is read.
type openedFilm struct {
	*live.Film
	// object is the file of one that is stored; nil where its runtime is live.
	object *bctrl.StorageObject
	file   io.ReadSeekCloser
}

// Close ends the reading.
func (f openedFilm) Close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}

// openFilm opens the recording that a view shows: that which is being made, or once the
// runtime has ended, the file that it has become.
func (s *Service) openFilm(ctx context.Context, v *view) (openedFilm, error) {
	if lr, ok := s.startedRuntime(v.runtime); ok {
		if lr.movie == nil {
			return openedFilm{}, errNoRecording
		}
		if lr.life.Err() == nil {
			return openedFilm{Film: lr.movie.Film()}, nil
		}
		s.keepRecording(lr) // or waits until it is kept
	}
	rows, err := s.DB.Read().Objects(ctx, v.org, store.ObjectFilter{
		RuntimeID: v.runtime, Source: bctrl.SourceRecording, PathPrefix: recordingsFolder, Limit: maxRecordings,
	})
	if err != nil {
		return openedFilm{}, err
	}
	if len(rows) == 0 {
		return openedFilm{}, errNoRecording
	}
	newest := rows[0]
	for _, o := range rows[1:] {
		if o.CreatedAt.After(newest.CreatedAt) {
			newest = o
		}
	}
	object, file, err := s.files.OpenVersion(ctx, v.org, newest.ID)
	if err != nil {
		return openedFilm{}, err
	}
	film, err := live.Open(&readerAt{file: file}, object.SizeBytes)
	if err != nil {
		err = errors.Join(err, file.Close())
		if errors.Is(err, live.ErrNoMovie) { // somebody has put another file in its place
			err = errNoRecording
		}
		return openedFilm{}, err
	}
	return openedFilm{Film: film, object: &object, file: file}, nil
}

const (
	recordingsFolder = "recordings/"
	// maxRecordings is how many files of one runtime are looked at for its recording.
	maxRecordings = 50
)

// readerAt reads a file at offsets.
type readerAt struct {
	mu   sync.Mutex
	file io.ReadSeeker
}

// ReadAt implements [io.ReaderAt].
func (r *readerAt) ReadAt(p []byte, at int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.file.Seek(at, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(r.file, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// recordingView finds the view of a recording that a path names.
func (s *Service) recordingView(rq *web.Request) (*view, error) {
	v := s.views.find(recordingKind, rq.PathValue("token"))
	if v == nil {
		return nil, errNoRecordingView
	}
	if !time.Now().Before(v.expires) {
		return v, errRecordingExpired
	}
	return v, s.viewPermitted(rq.Context(), v)
}

func (s *Service) serveRecordingPage(w http.ResponseWriter, rq *web.Request) error {
	v, err := s.recordingView(rq)
	return s.writePage(w, rq, v, err, s.pages.Recording, "This recording cannot be shown")
}

// withFilm opens the recording that a path names, for do.
func (s *Service) withFilm(rq *web.Request, do func(openedFilm) error) error {
	v, err := s.recordingView(rq)
	if err != nil {
		return err
	}
	film, err := s.openFilm(rq.Context(), v)
	if err != nil {
		return err
	}
	defer film.Close()
	return do(film)
}

func (s *Service) serveRecordingIndex(w http.ResponseWriter, rq *web.Request) error {
	return s.withFilm(rq, func(film openedFilm) error {
		body, err := json.Marshal(film.Index)
		if err != nil {
			return err
		}
		web.WriteJSON(w, http.StatusOK, body)
		return nil
	})
}

func (s *Service) serveRecordingFrame(w http.ResponseWriter, rq *web.Request) error {
	return s.withFilm(rq, func(film openedFilm) error {
		n, err := strconv.Atoi(rq.PathValue("n"))
		if err != nil {
			n = -1
		}
		data, err := film.Frame(n)
		if errors.Is(err, io.EOF) && data == nil {
			return web.NotFound("recordings.no_frame", "the recording has no such picture")
		}
		if err != nil {
			return err
		}
		h := w.Header()
		h.Set("Content-Type", "image/jpeg")
		h.Set("Cache-Control", "private, max-age=3600")
		h.Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(data) // the client is gone; there is nobody to tell
		return nil
	})
}

// serveRecordingFile answers with the recording as a movie that common players open.
func (s *Service) serveRecordingFile(w http.ResponseWriter, rq *web.Request) error {
	return s.withFilm(rq, func(film openedFilm) error {
		h := w.Header()
		h.Set("Content-Type", live.ContentType)
		h.Set("Content-Disposition", `attachment; filename="recording`+live.Extension+`"`)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if film.file != nil {
			http.ServeContent(w, rq.Request, "", time.Time{}, film.file)
			return nil
		}
		r, err := film.Reader()
		if err != nil {
			return err
		}
		size, err := film.Size()
		if err != nil {
			return err
		}
		h.Set("Content-Length", strconv.FormatInt(size, 10))
		_, _ = io.Copy(w, r) // the client is gone; there is nobody to tell
		return nil
	})
}
