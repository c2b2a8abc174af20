package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
)

// EncodeAnswer writes out as JSON; [None] is an empty object.
func EncodeAnswer(out any) ([]byte, error) {
	if list, ok := out.(interface{ Encode() ([]byte, error) }); ok {
		return list.Encode()
	}
	return json.Marshal(out)
}

// finish encodes an answer that was not made inside a transaction, and
// remembers it where the request has an idempotency key.
func (rq *Request) finish(out any) ([]byte, error) {
	body, err := EncodeAnswer(out)
	if err != nil || rq.idempotent == nil {
		return body, err
	}
	ctx := context.WithoutCancel(rq.Context()) // what was done is done
	err = rq.kernel.DB.Write(ctx, func(tx *store.Tx) error { return rq.keep(ctx, tx, http.StatusOK, body) })
	if errors.Is(err, seal.ErrLocked) { // in this moment; what was done is done
		err = nil
	}
	return body, err
}

// WriteAnswer answers with what [Change] or [Request.KeepAnswer] encoded.
func (rq *Request) WriteAnswer(w http.ResponseWriter) { WriteJSON(w, http.StatusOK, rq.answer) }

// WriteJSON answers with a body of JSON that nobody may store.
func WriteJSON(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body))) // or net/http sends a long one in chunks
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone; there is nobody to tell
}

// statusWriter remembers the status, which tells whether an answer has begun.
type statusWriter struct {
	http.ResponseWriter
	status int
	// last is set where the connection is good for no request after this one.
	last atomic.Bool
}

// begin notes the status of an answer that begins.
func (w *statusWriter) begin(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	if w.last.Load() {
		w.Header().Set("Connection", "close")
	}
}

func (w *statusWriter) WriteHeader(status int) {
	w.begin(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	w.begin(http.StatusOK)
	return w.ResponseWriter.Write(p)
}

// ReadFrom lets the kernel send a file without it passing through here.
func (w *statusWriter) ReadFrom(r io.Reader) (int64, error) {
	w.begin(http.StatusOK)
	return io.Copy(w.ResponseWriter, r)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
