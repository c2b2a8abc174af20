package devtools

import (
	"context"
	"errors"
	"fmt"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// Clients name files of their storage where the protocol has paths, and are told of
// downloads when these have come to rest there. The machine's own paths are never read
// for a client and never shown to one.

// checkFiles puts copies of the files that the client names in their place.
func checkFiles(ctx context.Context, f *filter, _ target.SessionID, p params) error {
	var names []string
	if jsonv2.Unmarshal(p["files"], &names) != nil {
		return errors.New(badParams)
	}
	if len(names) > browser.MaxFiles {
		return fmt.Errorf("page.invalid_files: an upload is of at most %d files", browser.MaxFiles)
	}
	paths, err := f.client.giveFiles(ctx, names)
	if err != nil {
		return err
	}
	p["files"], err = jsonv2.Marshal(paths)
	return err
}

// giveFiles makes copies of files that the client names. Where one of them cannot be had,
// none is given.
func (c servedClient) giveFiles(ctx context.Context, names []string) ([]string, error) {
	paths := []string{}
	if len(names) > 0 && c.files == nil {
		return nil, errors.New(readsFiles)
	}
	for _, name := range names {
		file, err := c.files.OpenFile(ctx, name)
		if err != nil {
			return nil, err
		}
		path, err := c.CopyFile(ctx, file)
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// answerDownloads turns events of downloads on or off as the client wants, in the session
// where it wants them, and ignores where it wants the files: they go to the storage.
func answerDownloads(_ context.Context, f *filter, in target.SessionID, p params) error {
	var events bool
	_ = jsonv2.Unmarshal(p["eventsEnabled"], &events) // absent is no
	f.client.sendDownloads(in, events)
	return errIgnored
}

func (c *Client) sendDownloads(in target.SessionID, want bool) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if !want || in != "" && (c.m.sessions[in] == nil || c.m.sessions[in].client != c) {
		delete(c.downloads, in)
		return
	}
	c.downloads[in] = struct{}{}
}

// pageDownloadProgress is the older event, which some clients wait for. The browser tells
// it in each session of a tab whose page events are on.
const pageDownloadProgress = "Page.downloadProgress"

const (
	stateCompleted = "completed"
	stateCanceled  = "canceled"
)

// maxFinished bounds the downloads whose end is remembered: the events of one reach the
// sessions one after the other, within moments.
const maxFinished = 64

// finishing are downloads that the browser has completed. What became of their files is
// known a little later.
type finishing struct {
	// waiting are the events that say that one is complete, by its guid.
	waiting map[string][]toldDownload
	// over are those of which it is known, the oldest first.
	over []finishedDownload
}

// toldDownload is an event of a download for a client.
type toldDownload struct {
	client *Client
	msg    message
}

// finishedDownload is what became of a download.
type finishedDownload struct{ guid, kept string }

// tellDownload tells the clients that want to know of an event of a download that the
// connection was told of. Call it with mu held.
func (m *Mux) tellDownload(msg message) {
	if msg.Method != cdpbrowser.DownloadWillBegin.Method && msg.Method != cdpbrowser.DownloadProgress.Method {
		return
	}
	for c := range m.clients {
		for session := range c.downloads {
			m.tellProgress(c, message{Method: msg.Method, SessionID: session, Params: msg.Params})
		}
	}
}

// tellProgress tells a client of an event of a download, without where the browser has put
// the file. That it is complete is told once [Mux.DownloadOver] was called. Call it with mu
// held.
func (m *Mux) tellProgress(c *Client, msg message) {
	var p params
	if jsonv2.Unmarshal(msg.Params, &p, protocol.PageText()) != nil {
		return
	}
	if p.text("state") != stateCompleted {
		m.enqueueDownload(toldDownload{c, msg}, p, "")
		return
	}
	guid := p.text("guid")
	for _, over := range m.finishing.over {
		if over.guid == guid {
			m.enqueueDownload(toldDownload{c, msg}, p, over.kept)
			return
		}
	}
	if m.finishing.waiting == nil {
		m.finishing.waiting = map[string][]toldDownload{}
	}
	m.finishing.waiting[guid] = append(m.finishing.waiting[guid], toldDownload{c, msg})
}

// enqueueDownload queues an event for its client. Of a download that is complete, kept is
// where its file came to rest; of one that came to rest nowhere the client is told that it
// was cancelled. Call it with mu held.
func (m *Mux) enqueueDownload(told toldDownload, p params, kept string) {
	delete(p, "filePath")
	switch {
	case p.text("state") != stateCompleted:
	case kept == "":
		p["state"] = jsonv2.Value(`"` + stateCanceled + `"`)
	case told.msg.Method == cdpbrowser.DownloadProgress.Method:
		path, err := jsonv2.Marshal(kept, protocol.PageText())
		if err != nil {
			return
		}
		p["filePath"] = path
	}
	clean, err := jsonv2.Marshal(p, protocol.PageText())
	if err != nil {
		return
	}
	told.msg.Params = clean
	told.client.enqueue(told.msg, told.msg.Method)
}

// DownloadOver says what became of the file of a download that the browser has completed:
// kept is where clients find it, "" that it was not kept.
func (m *Mux) DownloadOver(guid, kept string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := &m.finishing
	f.over = append(f.over, finishedDownload{guid, kept})
	f.over = f.over[max(0, len(f.over)-maxFinished):]
	waiting := f.waiting[guid]
	delete(f.waiting, guid)
	for _, told := range waiting {
		var p params
		if jsonv2.Unmarshal(told.msg.Params, &p, protocol.PageText()) == nil {
			m.enqueueDownload(told, p, kept)
		}
	}
}
