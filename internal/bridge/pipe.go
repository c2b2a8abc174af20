package bridge

import (
	"bufio"
	"context"
	"io"
	"sync"

	"github.com/coder/websocket"
)

// Pipe is the end of a client that speaks DevTools over two pipes, where each message
// ends with a zero byte.
type Pipe struct {
	read  chan []byte // is closed when the client has closed its end
	ended chan struct{}
	end   func()

	mu  sync.Mutex
	out io.WriteCloser
}

var _ end = (*Pipe)(nil)

// NewPipe reads from in until that ends. A read that is under way ends with the process
// where the system lets nobody break it off.
func NewPipe(in io.Reader, out io.WriteCloser) *Pipe {
	p := &Pipe{read: make(chan []byte), ended: make(chan struct{}), out: out}
	p.end = sync.OnceFunc(func() {
		close(p.ended)
		_ = out.Close()
	})
	go func() {
		defer close(p.read)
		for r := bufio.NewReaderSize(in, 64<<10); ; {
			msg, err := r.ReadBytes(0)
			if err != nil {
				return
			}
			select {
			case p.read <- msg[:len(msg)-1]:
			case <-p.ended:
				return
			}
		}
	}()
	return p
}

// Read returns the next message.
func (p *Pipe) Read(ctx context.Context) (websocket.MessageType, []byte, error) {
	select {
	case msg, ok := <-p.read:
		if !ok {
			return 0, nil, io.EOF
		}
		return websocket.MessageText, msg, nil
	case <-ctx.Done():
		return 0, nil, ctx.Err()
	}
}

// Write writes a message. It waits for the client to read.
func (p *Pipe) Write(_ context.Context, _ websocket.MessageType, msg []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.out.Write(append(msg[:len(msg):len(msg)], 0))
	return err
}

// Close ends the pipe, which has no codes.
func (p *Pipe) Close(websocket.StatusCode, string) error { return p.CloseNow() }

// CloseNow ends the pipe.
func (p *Pipe) CloseNow() error {
	p.end()
	return nil
}
