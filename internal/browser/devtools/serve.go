package devtools

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/target"
	"golang.org/x/sync/errgroup"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

var (
	errCommandSize = fmt.Errorf("a DevTools command is over %d bytes", browser.MaxCommand)
	errNotACommand = errors.New("a DevTools client sent what is no command")
)

// Codes of JSON-RPC that the protocol uses.
const (
	codeServerError     = -32000
	codeSessionNotFound = -32001
	codeMethodNotFound  = -32601
	codeInvalidParams   = -32602
)

// detachTimeout bounds saying goodbye to a browser that may be hanging.
const detachTimeout = 5 * time.Second

// Host is the browser whose clients are served, as far as their filters ask it.
type Host interface {
	// CarriesFill reports whether a request holds a value that the server filled in.
	CarriesFill(network.RequestID) bool
	// SentHTTPLogin reports whether any request had a login of HTTP with it.
	SentHTTPLogin() bool
	// KeepDownloadsOf has the downloads of a new browser context kept.
	KeepDownloadsOf(cdp.BrowserContextID)
	// KeepsRequest reports whether a request that a client has paused has to do with what
	// was filled. It is asked by the reader: it neither blocks nor calls. An empty id is
	// of a request that has none.
	KeepsRequest(network.RequestID, *network.Request) bool
	// HoldsFilled reports whether a text holds a value that was filled.
	HoldsFilled(text []byte) bool
	// MaskFilled takes the values that were filled out of a text.
	MaskFilled(text string) string
	// FindFilled is HoldsFilled for a text that goes on unless end is set. open is how many
	// of its last bytes may begin a value, and are not handed out yet.
	FindFilled(text []byte, end bool) (found bool, open int)
	// Fills is how many secrets were filled, and whether one of them may still be sent.
	Fills() (count int, waiting bool)
	// CheckPrintable refuses to have a tab printed that holds what was filled, in any frame.
	CheckPrintable(ctx context.Context, tab target.ID) error
	// CheckPrinted refuses a PDF that says what was filled. What its pages say is read by
	// read; nil refuses.
	CheckPrinted(ctx context.Context, pdf []byte, read func(context.Context, []byte) (string, error)) error
	// HasWindow reports whether the browser shows its pages in a window.
	HasWindow() bool
	// CopyFile makes a copy of a file that the browser can read, and returns its path.
	CopyFile(ctx context.Context, file browser.File) (path string, err error)
}

// servedClient is what the filter of a client asks: see [filtered].
type servedClient struct {
	Host
	*Client
	// files are the client's; nil is none.
	files browser.ClientFiles
	// rights are the client's; nil where nobody is asked, and nobody told.
	rights browser.ClientRights
	// leaves says that a tab which comes to show a host outside is left for the client.
	leaves bool
}

// Serve serves one client from outside until either side or ctx ends; what it
// may do is in rules.go. It returns nil when the client left, the browser
// ended or ctx did, else why the client was dropped.
func (m *Mux) Serve(ctx context.Context, conn browser.CDPConn, by Host) error {
	rights, _ := conn.(browser.ClientRights)
	client, err := m.attachClient(ctx, by, rights)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), detachTimeout)
		defer cancel()
		client.Close(ctx)
	}()
	files, _ := conn.(browser.ClientFiles)
	_, leaves := conn.(interface{ LeavesOutside() })
	return copyMessages(ctx, conn, client, newFilter(servedClient{
		Host: by, Client: client, files: files, rights: rights, leaves: leaves,
	}))
}

// copyMessages copies between conn and client through f until one of them ends.
func copyMessages(ctx context.Context, conn browser.CDPConn, client *Client, f *filter) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A client that hangs blocks the write to it, which ends when the client is ended.
	stop := context.AfterFunc(client.ended, cancel)
	defer stop()

	var commandErr error
	var both sync.WaitGroup
	both.Go(func() {
		defer cancel()
		commandErr = passCommands(ctx, conn, client, f)
	})
	both.Go(func() {
		defer cancel()
		for {
			msg, method, err := client.nextMessage(ctx)
			if err != nil {
				return
			}
			clean := f.clean(msg, method)
			if clean.Error != nil && msg.Error == nil { // it is refused, whether that can be recorded or not
				_ = f.recordRefusal(ctx, errFilledAnswer)
			}
			b, err := jsonv2.Marshal(clean, protocol.PageText())
			if err != nil {
				return
			}
			if conn.Write(ctx, b) != nil {
				return
			}
			if method == cdpbrowser.CommandClose { // the browser would have ended, and the connection with it
				client.closeTabs(context.WithoutCancel(ctx)) // the client may leave first
				return
			}
		}
	})
	both.Wait()
	if err := client.failure(); !errors.Is(err, ErrBrowserGone) {
		commandErr = errors.Join(commandErr, err)
	}
	return commandErr
}

// maxSlow bounds a client's commands that are being prepared beside the others.
const maxSlow = 16

// passCommands passes the commands on that the client may give and answers the others.
// It returns nil when the client has left.
func passCommands(ctx context.Context, conn browser.CDPConn, client *Client, f *filter) error {
	ctx, cancel := context.WithCancel(ctx)
	var slow errgroup.Group
	slow.SetLimit(maxSlow)
	defer func() {
		cancel()
		_ = slow.Wait() // they have no errors
	}()
	for {
		b, err := conn.Read(ctx)
		if err != nil {
			return nil
		}
		if len(b) > browser.MaxCommand {
			return errCommandSize
		}
		var msg message
		if err := jsonv2.Unmarshal(b, &msg); err != nil || msg.ID <= 0 {
			return errNotACommand
		}
		if !f.ruleFor(msg.Method).slow {
			if !passCommand(ctx, msg, client, f) {
				return nil
			}
			continue
		}
		begun := slow.TryGo(func() error {
			passCommand(ctx, msg, client, f) // where the browser is gone, the reader hears of it too
			return nil
		})
		if !begun {
			client.answerError(msg, &messageError{Code: codeServerError, Message: "too many unanswered commands"})
		}
	}
}

// passCommand passes one command on, or answers it. It reports whether the browser is
// still there.
func passCommand(ctx context.Context, msg message, client *Client, f *filter) bool {
	clean, err := f.checkCommand(ctx, msg)
	asBrowser, answered := new(messageError), answer("")
	switch {
	case errors.As(err, &answered):
		client.enqueue(message{ID: msg.ID, SessionID: msg.SessionID, Result: jsonv2.Value(answered)}, msg.Method)
		return true
	case errors.As(err, &asBrowser):
		client.answerError(msg, asBrowser)
		return true
	case err != nil:
		err = f.recordRefusal(ctx, err)
		client.answerError(msg, &messageError{
			Code:    codeMethodNotFound,
			Message: refusedText(msg.Method, err),
		})
		return true
	}
	return client.sendCommand(clean) == nil
}

// refusedText says that a command is refused, with the code and the reason. The name of the
// command is shortened, as the client may have sent any.
func refusedText(method string, why error) string {
	return fmt.Sprintf("%q is refused: %v", method[:min(len(method), 64)], why)
}

// ownsSession reports whether the session is the client's.
func (c *Client) ownsSession(id target.SessionID) bool {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	s := c.m.sessions[id]
	return id != "" && s != nil && s.client == c
}
