package bridge

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"

	"github.com/coder/websocket"
)

// Pipe is the end of a client that speaks DevTools over two pipes, where each message
// ends with a zero byte.
type Pipe struct {
	read  chan []byte // is closed once nothing more is read
	err   error       // says why, once read is closed
	ended chan struct{}
	end   func()

	writing chan struct{} // has an element while a message is written to out
	out     io.WriteCloser
}

var _ end = (*Pipe)(nil)

// NewPipe reads from in until that ends. A read that is under way ends with the process
// where the system lets nobody break it off.
func NewPipe(in io.Reader, out io.WriteCloser) *Pipe {
	p := &Pipe{read: make(chan []byte), ended: make(chan struct{}), writing: make(chan struct{}, 1), out: out}
	p.end = sync.OnceFunc(func() {
		close(p.ended)
		_ = out.Close()
	})
	go func() {
		defer close(p.read)
		for r := bufio.NewReaderSize(in, 64<<10); ; {
			msg, err := readMessage(r)
			if err != nil {
				p.err = err
				return
			}
			select {
			case p.read <- msg:
			case <-p.ended:
				return
			}
		}
	}()
	return p
}

// errCommandTooLarge ends a pipe whose client sends more than a server takes.
var errCommandTooLarge = errors.New("bridge.command_too_large: a client sent a command of over 32 MiB: " +
	"send its content in parts, or as a file")

// readMessage reads up to a zero byte, and no more than a command has.
func readMessage(r *bufio.Reader) ([]byte, error) {
	var msg []byte
	for {
		piece, err := r.ReadSlice(0)
		if len(msg)+len(piece) > maxCommand+1 {
			return nil, errCommandTooLarge
		}
		msg = append(msg, piece...)
		if err == nil {
			return msg[:len(msg)-1], nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

// Read returns the next message.
func (p *Pipe) Read(ctx context.Context) (websocket.MessageType, []byte, error) {
	select {
	case msg, ok := <-p.read:
		if !ok {
			return 0, nil, p.err
		}
		return websocket.MessageText, msg, nil
	case <-ctx.Done():
		return 0, nil, ctx.Err()
	}
}

// Write writes a message. It waits for the client to read, until ctx ends: the system
// may let nobody break off the writing itself, which ends with the pipe or the process.
func (p *Pipe) Write(ctx context.Context, _ websocket.MessageType, msg []byte) error {
	select {
	case p.writing <- struct{}{}:
	case <-p.ended:
		return io.ErrClosedPipe
	case <-ctx.Done():
		return ctx.Err()
	}
	msg = append(msg[:len(msg):len(msg)], 0) // a copy, which may be in use after ctx
	written := make(chan error, 1)
	go func() {
		_, err := p.out.Write(msg)
		<-p.writing
		written <- err
	}()
	select {
	case err := <-written:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the pipe, which has no codes.
func (p *Pipe) Close(websocket.StatusCode, string) error { return p.CloseNow() }

// CloseNow ends the pipe.
func (p *Pipe) CloseNow() error {
	p.end()
	return nil
}
