package chromedriver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"sync"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// pipe is the end of a DevTools pipe as a [browser.CDPConn]: each message is ended by a
// zero byte.
type pipe struct {
	conn    net.Conn
	scanner *bufio.Scanner

	mu sync.Mutex // held while a message is written
}

var _ browser.CDPConn = (*pipe)(nil)

func newPipe(conn net.Conn) *pipe {
	p := &pipe{conn: conn, scanner: bufio.NewScanner(conn)}
	p.scanner.Buffer(make([]byte, 64<<10), browser.MaxCommand+1)
	p.scanner.Split(func(data []byte, _ bool) (int, []byte, error) {
		if i := bytes.IndexByte(data, 0); i >= 0 {
			return i + 1, data[:i], nil
		}
		return 0, nil, nil
	})
	return p
}

// errPipeEnded says that chromedriver has left.
var errPipeEnded = errors.New("the DevTools pipe of chromedriver has ended")

// Read returns the next message. Where ctx ends first, the pipe ends too. With the
// command to close the browser chromedriver ends its session: it leaves, and would
// wait for eight seconds for a browser that stays.
func (p *pipe) Read(ctx context.Context) ([]byte, error) {
	defer context.AfterFunc(ctx, func() { _ = p.conn.Close() })()
	if !p.scanner.Scan() {
		return nil, errors.Join(errPipeEnded, p.scanner.Err(), ctx.Err())
	}
	msg := bytes.Clone(p.scanner.Bytes())
	if isClose(msg) {
		return nil, errPipeEnded
	}
	return msg, nil
}

// Write sends a message. Where ctx ends first, the pipe ends too.
func (p *pipe) Write(ctx context.Context, msg []byte) error {
	defer context.AfterFunc(ctx, func() { _ = p.conn.Close() })()
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.conn.Write(append(bytes.Clone(msg), 0))
	return err
}

func isClose(msg []byte) bool {
	const closing = "Browser.close"
	var command struct {
		Method string `json:"method"`
	}
	return bytes.Contains(msg, []byte(closing)) && json.Unmarshal(msg, &command) == nil && command.Method == closing
}
