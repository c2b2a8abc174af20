package web

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
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
)

// streams ends what would stream for ever.
type streams struct {
	once sync.Once
	end  chan struct{}
	init sync.Once
}

func (s *streams) Ended() chan struct{} {
	s.init.Do(func() { s.end = make(chan struct{}) })
	return s.end
}

// EndStreams ends all streams, so that a server can stop; new ones end at once.
func (k *Kernel) EndStreams() {
	k.Streams.once.Do(func() { close(k.Streams.Ended()) })
}

// stream is an answer of server-sent events (WHATWG HTML §9.2).
type stream struct {
	w    http.ResponseWriter
	conn *http.ResponseController
}

// OpenStream names the kind of the answer.
func OpenStream(w http.ResponseWriter) *stream {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // or nginx keeps events to itself
	return &stream{w: w, conn: http.NewResponseController(w)}
}

// Begin tells the client that it is connected, where it is to go on should it
// lose the connection at once, and how long to wait before.
func (st *stream) Begin(id int64) error {
	retry := strconv.FormatInt(reconnectIn.Milliseconds(), 10)
	return st.write("retry: " + retry + "\nid: " + strconv.FormatInt(id, 10) + "\n\n")
}

// Send sends an event; data is one line.
func (st *stream) Send(id int64, kind string, data []byte) error {
	return st.write("id: " + strconv.FormatInt(id, 10) + "\nevent: " + kind + "\ndata: " + string(data) + "\n\n")
}

// beat says that there is nothing to say.
func (st *stream) beat() error { return st.write(":\n\n") }

// errReaderGone: the client left, or was dropped.
var errReaderGone = errors.New("the reader is gone")

// write hands text to the connection; a reader that leaves too much unread is
// dropped, and nothing is held for it.
func (st *stream) write(text string) error {
	if st.conn.SetWriteDeadline(time.Now().Add(slowest)) != nil {
		return errReaderGone
	}
	if _, err := st.w.Write([]byte(text)); err != nil || st.conn.Flush() != nil {
		return errReaderGone
	}
	return nil
}

// Close ends the answer and leaves the connection to the next one.
func (st *stream) Close(err error) error {
	_ = st.conn.SetWriteDeadline(time.Time{}) // it could be set before
	if errors.Is(err, errReaderGone) {
		return nil // there is nobody to tell
	}
	return err
}

// Follow calls send whenever moved tells that there may be more, until the
// client leaves, its right to ask ends or the server does.
func (k *Kernel) Follow(ctx context.Context, st *stream, next func() (moved <-chan struct{}, err error)) error {
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
		case <-k.Streams.Ended():
			return nil
		case <-ctx.Done():
			return EndedBecause(ctx)
		}
	}
}
