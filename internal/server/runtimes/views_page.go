package runtimes

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/live"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/strictjson"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// serveAsset answers with a file that the pages of views use. All of them are the same for
// everybody.
func (s *Service) serveAsset(w http.ResponseWriter, rq *web.Request) error {
	data, contentType, ok := live.Asset(rq.PathValue("name"))
	if !ok {
		return web.NotFound("request.no_route", "there is no such route")
	}
	sum := sha256.Sum256(data)
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	h.Set("X-Content-Type-Options", "nosniff")
	rq.Header.Del("Range") // no page asks for parts
	http.ServeContent(w, rq.Request, "", time.Time{}, bytes.NewReader(data))
	return nil
}

// serveLivePage answers with the page of a live view. Nothing is opened by it: an address
// is asked for by programs too that show what is behind it.
func (s *Service) serveLivePage(w http.ResponseWriter, rq *web.Request) error {
	v, _, err := s.liveView(rq)
	if err == nil {
		err = s.viewPermitted(rq.Context(), v)
	}
	if recorded := s.recordClaim(rq, v, false, err); recorded != nil {
		return recorded
	}
	return s.writePage(w, rq, v, err, s.pages.Live, "This live view cannot be shown")
}

// writePage answers with the page of a view, or with one that says why there is none.
func (s *Service) writePage(
	w http.ResponseWriter, rq *web.Request, v *view, problem error, write func(w io.Writer) error, title string,
) error {
	var origins []string
	if v != nil {
		origins = v.origins
	}
	socket := rq.PublicURL()
	scheme := map[string]string{"http": "ws", "https": "wss"}[socket.Scheme]
	var out bytes.Buffer
	status := http.StatusOK
	if problem == nil {
		if err := write(&out); err != nil {
			return err
		}
	} else {
		e := web.AsError(problem)
		status = e.Status
		if err := s.pages.Problem(&out, title, e); err != nil {
			return err
		}
	}
	live.SetHeaders(w.Header(), scheme+"://"+socket.Host, origins)
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // the client is gone; there is nobody to tell
	return nil
}

// viewPermitted reports whether the caller that made a view still may.
func (s *Service) viewPermitted(ctx context.Context, v *view) error {
	asked := &web.Grant{Caller: v.caller}
	asked.Require(s.CheckUnlocked)
	if err := s.StillPermittedNow(ctx, asked); err != nil {
		return whyNotOpened(err)
	}
	return nil
}

// openLiveView gives a live view to the browser tab that asks for it, once: the tab keeps
// the secret that it is answered with, by which it can open the view again.
func (s *Service) openLiveView(w http.ResponseWriter, rq *web.Request) error {
	v, secret, first, err := s.claimLiveView(rq)
	if recorded := s.recordClaim(rq, v, first, err); recorded != nil {
		return recorded
	}
	if err != nil {
		return err
	}
	body, err := web.EncodeAnswer(wire.LiveSession{Session: wire.NewValue(secret)})
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, body)
	return nil
}

// claimLiveView is [view.open] for a request.
func (s *Service) claimLiveView(rq *web.Request) (v *view, secret string, first bool, err error) {
	if v, _, err = s.liveView(rq); err != nil {
		return v, "", false, err
	}
	if err := s.viewPermitted(rq.Context(), v); err != nil {
		return v, "", false, err
	}
	data, err := rq.ReadBody()
	if err != nil {
		return v, "", false, err
	}
	var in wire.LiveSession
	if err := strictjson.Unmarshal(data, &in); err != nil {
		return v, "", false, web.BadJSON(err)
	}
	secret, first, err = v.open(in.Session.Reveal(), time.Now().UTC())
	return v, secret, first, err
}

// recordClaim records that a view was opened for the first time, or that it is shown no
// more, or not to a second tab, wherever that turns out. Whoever has the address can ask any
// number of times, so each such refusal of a view is recorded once.
func (s *Service) recordClaim(rq *web.Request, v *view, first bool, problem error) error {
	if v == nil || problem == nil && !first {
		return nil
	}
	ev := v.event(map[viewKind]string{liveKind: liveClaimed, recordingKind: recordingShown}[v.kind])
	ev.RequestID, ev.TraceID = rq.ID, rq.TraceID
	if problem != nil {
		e := web.AsError(problem)
		recorded := []int{http.StatusConflict, http.StatusGone, http.StatusForbidden}
		if !slices.Contains(recorded, e.Status) || !v.isFirstRefusal(e.Code) {
			return nil
		}
		ev.Decision, ev.Outcome, ev.Status = audit.Denied, e.Code, e.Status
	}
	return s.Audit.Record(context.WithoutCancel(rq.Context()), ev)
}

// isFirstRefusal notes that opening the view was refused, and reports whether it was so
// for the first time with a code.
func (v *view) isFirstRefusal(code string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if slices.Contains(v.refusals, code) {
		return false
	}
	v.refusals = append(v.refusals, code)
	return true
}
