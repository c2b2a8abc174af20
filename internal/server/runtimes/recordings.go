package runtimes

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/live"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// The refusals of recordings.
var (
	errNoRecording = web.WithHint(web.NotFound("recordings.none", "there is no recording of the runtime"),
		"launch it with record")
	errRecordingNotKept = web.WithHint(web.NotFound("recordings.not_kept",
		"the recording of the runtime was not kept, or its file was deleted"),
		"nothing was shown, the mounts had no storage any more, or the server was killed: "+
			"the outcome of "+recordingKept+" in the audit log says which")
	errNoRecordingView = web.WithHint(web.NotFound("recordings.no_view", "there is no such recording"),
		"look whether the whole address was copied, or ask for another")
	errRecordingWider = web.WithHint(web.Forbidden("recordings.wider",
		"the recording shows every host that the runtime visited, and the mounts of who asks do not permit all of them now"),
		"ask with an organization key, or with a token or handle whose mounts permit them")
	errRecordingCallerEnded = web.WithHint(web.Refusal(http.StatusGone, "recordings.caller_ended",
		"the key or token that this address was made with has ended"), "ask for another")
	errRecordingExpired = web.WithHint(web.Refusal(http.StatusGone, "recordings.expired",
		"the address of this recording has expired"), "ask for another")
)

// recordingCovered refuses a recording to who acts as a runtime whose mounts do not permit
// all that may be in it, as they are now. Nothing tells of which host a picture is. One
// that has ended acts no more.
func (s *Service) recordingCovered(runtime string, c access.Caller) error {
	if c.Runtime == nil {
		return nil
	}
	lr, ok := s.startedRuntime(runtime)
	if !ok || !lr.hosts.covered(c.Runtime.Chain) {
		return errRecordingWider
	}
	return nil
}

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
	s.awaitLaunch(ctx, rt)
	if err := s.recordingCovered(rt.ID, rq.Caller); err != nil {
		return out, err
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
		if err := s.keepings.await(ctx, rt.ID); err != nil {
			return err
		}
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
	err := f.Film.Close()
	if f.file != nil {
		err = errors.Join(err, f.file.Close())
	}
	return err
}

// openFilm opens the recording that a view shows: that which is being made or kept, and then
// the file that it has become.
func (s *Service) openFilm(ctx context.Context, v *view) (openedFilm, error) {
	if film, err := s.unkeptFilm(v.runtime); film != nil || err != nil {
		return openedFilm{Film: film}, err
	}
	rows, err := s.DB.Read().Objects(ctx, v.org, store.ObjectFilter{
		RuntimeID: v.runtime, Source: bctrl.SourceRecording, PathPrefix: recordingsFolder, Limit: maxRecordings,
	})
	if err != nil {
		return openedFilm{}, err
	}
	if len(rows) == 0 {
		return openedFilm{}, s.whyNoRecording(ctx, v)
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
	film, err := s.films.open(object, &readerAt{file: file})
	if err != nil {
		err = errors.Join(err, file.Close())
		if errors.Is(err, live.ErrNoMovie) { // somebody has put another file in its place
			err = errRecordingNotKept
		}
		return openedFilm{}, err
	}
	return openedFilm{Film: film, object: &object, file: file}, nil
}

// unkeptFilm is the recording of a runtime as far as it is no file yet; nil where it is one, or
// none.
func (s *Service) unkeptFilm(runtime string) (*live.Film, error) {
	if lr, ok := s.startedRuntime(runtime); ok {
		if lr.movie == nil {
			return nil, errNoRecording
		}
		return lr.movie.Film(), nil
	}
	if k, ok := s.keepings.find(runtime); ok {
		return k.movie.Film(), nil
	}
	return nil, nil //nolint:nilnil // there need not be one
}

// whyNoRecording is the refusal of a recording that there is not.
func (s *Service) whyNoRecording(ctx context.Context, v *view) error {
	rt, err := s.DB.Read().Runtime(ctx, v.org, v.runtime)
	if err == nil && rt.Launch.Record {
		return errRecordingNotKept
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return errNoRecording
}

const (
	recordingsFolder = "recordings/"
	// maxRecordings is how many files of one runtime are looked at for its recording.
	maxRecordings = 50
)

// films has what is known of the files of recordings that were read last, so that a page that
// plays one does not have the whole index be read for each picture.
type films struct {
	mu    sync.Mutex
	known []knownFilm // the newest last
}

type knownFilm struct {
	object string // its id
	film   *live.Film
}

// maxKnownFilms bounds them; the index of the longest is some 6 MiB.
const maxKnownFilms = 8

// open returns the recording that a file holds.
func (f *films) open(object bctrl.StorageObject, data io.ReaderAt) (*live.Film, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.known, func(k knownFilm) bool { return k.object == object.ID })
	var found knownFilm
	if i >= 0 {
		found = f.known[i]
		f.known = slices.Delete(f.known, i, i+1)
	} else {
		film, err := live.Open(data, object.SizeBytes)
		if err != nil {
			return nil, err
		}
		found = knownFilm{object.ID, film.In(nil)}
		if len(f.known) == maxKnownFilms {
			f.known = slices.Delete(f.known, 0, 1)
		}
	}
	f.known = append(f.known, found)
	return found.film.In(data), nil
}

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

// recordingView finds the view of a recording that a path names, and what permits it.
// That it is not shown any more is recorded.
func (s *Service) recordingView(rq *web.Request) (*view, *web.Grant, error) {
	v := s.views.find(recordingKind, rq.PathValue("token"))
	if v == nil {
		return nil, nil, errNoRecordingView
	}
	asked := &web.Grant{Caller: v.caller}
	asked.Require(s.CheckUnlocked)
	asked.Require(func(_ context.Context, _ store.Queries, c access.Caller) error {
		return s.recordingCovered(v.runtime, c)
	})
	err := error(errRecordingExpired)
	if time.Now().Before(v.expires) {
		err = whyNotPlayed(s.StillPermittedNow(rq.Context(), asked))
	}
	return v, asked, errors.Join(err, s.recordClaim(rq, v, false, err))
}

// whyNotPlayed is the refusal of a recording that who asked for it may see no more.
func whyNotPlayed(err error) error {
	switch e := web.AsError(err); {
	case err == nil, e == web.ErrLocked, e == web.ErrInternal, e == errRecordingWider:
		return err
	}
	return errRecordingCallerEnded
}

func (s *Service) serveRecordingPage(w http.ResponseWriter, rq *web.Request) error {
	v, _, err := s.recordingView(rq)
	return s.writePage(w, rq, v, err, s.pages.Recording, "This recording cannot be shown")
}

// withFilm opens the recording that a path names, for do.
func (s *Service) withFilm(rq *web.Request, do func(openedFilm, *web.Grant) error) error {
	v, asked, err := s.recordingView(rq)
	if err != nil {
		return err
	}
	film, err := s.openFilm(rq.Context(), v)
	if err != nil {
		return err
	}
	defer film.Close()
	return do(film, asked)
}

// serveRecordingIndex answers with what is in a recording, or what has come since the page
// asked last: of one that goes on it asks every few seconds.
func (s *Service) serveRecordingIndex(w http.ResponseWriter, rq *web.Request) error {
	fromFrame, err := rq.Integer("fromFrame", 0, 0, 1<<31)
	if err != nil {
		return err
	}
	fromMark, err := rq.Integer("fromMark", 0, 0, 1<<31)
	if err != nil {
		return err
	}
	return s.withFilm(rq, func(film openedFilm, _ *web.Grant) error {
		body, err := json.Marshal(film.Index.After(int(fromFrame), int(fromMark)))
		if err != nil {
			return err
		}
		web.WriteJSON(w, http.StatusOK, body)
		return nil
	})
}

func (s *Service) serveRecordingFrame(w http.ResponseWriter, rq *web.Request) error {
	return s.withFilm(rq, func(film openedFilm, _ *web.Grant) error {
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

// serveRecordingFile answers with the recording as a movie that common players open. It ends
// once whoever asked for the recording may see it no more.
func (s *Service) serveRecordingFile(w http.ResponseWriter, rq *web.Request) error {
	return s.withFilm(rq, func(film openedFilm, asked *web.Grant) error {
		r, err := film.Reader()
		if err != nil {
			return err
		}
		size, err := film.Size()
		if err != nil {
			return err
		}
		if film.file != nil && !web.SettleRange(rq.Header, "", size) {
			w.Header().Set("Content-Range", web.NoneOf(size))
			return web.Refusal(http.StatusRequestedRangeNotSatisfiable, "recordings.invalid_range",
				"the recording has no such range")
		}
		begun := false
		err = s.WhileGranted(rq.Context(), asked, func(ctx context.Context) error {
			begun = true
			h := w.Header()
			h.Set("Content-Type", live.ContentType)
			h.Set("Content-Disposition", `attachment; filename="recording`+live.Extension+`"`)
			h.Set("Cache-Control", "no-store")
			h.Set("X-Content-Type-Options", "nosniff")
			if film.file != nil {
				http.ServeContent(w, rq.Request, "", time.Time{}, readSeeker{readerOf(ctx, film.file), film.file})
				return nil
			}
			h.Set("Content-Length", strconv.FormatInt(size, 10))
			_, _ = io.Copy(w, readerOf(ctx, r)) // the client is gone, or is told by what is missing
			return nil
		})
		if begun {
			return nil // the answer has begun
		}
		return whyNotPlayed(err)
	})
}

// readSeeker reads with the one and seeks with the other.
type readSeeker struct {
	io.Reader
	io.Seeker
}
