package web

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"
)

const (
	// heartbeat is how often a stream that has nothing to say says so, which
	// keeps proxies from closing it and shows both sides that it lives.
	heartbeat = 15 * time.Second
	// slowest is how long a reader may leave what was sent unread.
	slowest = 10 * time.Second
	// reconnectIn is what a client is told to wait before it comes again.
	reconnectIn = time.Second
	// callGrace is the [Config.CallGrace] where none is given: less than any other request has, so
	// that the outcome of a call is recorded in time.
	callGrace = 6 * time.Second
)

// EndStreams closes what [Kernel.StreamsEnd] returns, so that a server can stop, and ends what
// [Kernel.CallsEnd] returns a while later. It may be called more than once.
func (k *Kernel) EndStreams() {
	k.endStreams.Do(func() {
		close(k.streamsEnd)
		time.AfterFunc(k.callGrace, k.endCalls)
	})
}

// CallsEnd returns a context that ends when the calls to providers that are underway have to end.
// None is to begin once the streams have.
func (k *Kernel) CallsEnd() context.Context { return k.callsEnd }

// StreamsEnd returns a channel that is closed when all that would stream for
// ever has to end, and what begins later at once.
func (k *Kernel) StreamsEnd() <-chan struct{} { return k.streamsEnd }

// Stream is an answer of server-sent events (WHATWG HTML §9.2). It is for one
// goroutine.
type Stream struct {
	w    http.ResponseWriter
	conn *http.ResponseController
}

// OpenStream begins an answer of events and sets its headers; nothing is sent yet.
func OpenStream(w http.ResponseWriter) *Stream {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // or nginx keeps events to itself
	return &Stream{w: w, conn: http.NewResponseController(w)}
}

// Begin tells the client that it is connected, where it is to go on should it
// lose the connection at once, and how long to wait before.
func (st *Stream) Begin(id int64) error {
	retry := strconv.FormatInt(reconnectIn.Milliseconds(), 10)
	return st.write("retry: " + retry + "\nid: " + strconv.FormatInt(id, 10) + "\n\n")
}

// Send sends an event; data is one line.
func (st *Stream) Send(id int64, kind string, data []byte) error {
	return st.write("id: " + strconv.FormatInt(id, 10) + "\nevent: " + kind + "\ndata: " + string(data) + "\n\n")
}

// Mark tells the client where it is to go on, should it lose the connection, when there
// is nothing else to tell.
func (st *Stream) Mark(id int64) error { return st.write("id: " + strconv.FormatInt(id, 10) + "\n\n") }

// beat says that there is nothing to say.
func (st *Stream) beat() error { return st.write(":\n\n") }

// LastEventID is where a client that comes back goes on: the id of the last event that it
// has. It is false where the client does not say.
func (rq *Request) LastEventID() (id int64, given bool, err error) {
	text := rq.Header.Get("Last-Event-ID")
	if text == "" {
		return 0, false, nil
	}
	if id, err = strconv.ParseInt(text, 10, 64); err != nil || id < 0 {
		return 0, false, Invalid("request.last_event_id", "Last-Event-ID", "Last-Event-ID is not one that this server gave")
	}
	return id, true, nil
}

// errReaderGone: the client left, or was dropped.
var errReaderGone = errors.New("the reader is gone")

// write hands text to the connection; a reader that leaves too much unread is
// dropped, and nothing is held for it.
func (st *Stream) write(text string) error {
	if st.conn.SetWriteDeadline(time.Now().Add(slowest)) != nil {
		return errReaderGone
	}
	if _, err := st.w.Write([]byte(text)); err != nil || st.conn.Flush() != nil {
		return errReaderGone
	}
	return nil
}

// Close ends the answer and leaves the connection to the next one. It returns err,
// with which the stream ended, but where that is that the reader is gone.
func (st *Stream) Close(err error) error {
	_ = st.conn.SetWriteDeadline(time.Time{}) // it could be set before
	if errors.Is(err, errReaderGone) {
		return nil // there is nobody to tell
	}
	return err
}

// Follow calls next, which sends what there is, at once and then whenever the
// channel that it returned last is closed, because there may be more. It ends with
// the client, with the client's right to ask, whose refusal it returns, and with
// the server. In between it shows every 15 seconds that the stream lives.
func (k *Kernel) Follow(ctx context.Context, st *Stream, next func() (moved <-chan struct{}, err error)) error {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		moved, err := next()
		if err != nil {
			return err
		}
		select {
		case <-moved:
		case <-ticker.C:
			if err := st.beat(); err != nil {
				return err
			}
		case <-k.streamsEnd:
			return nil
		case <-ctx.Done():
			return EndedBecause(ctx)
		}
	}
}
