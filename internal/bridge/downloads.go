package bridge

import (
	"context"
	"encoding/json"
	"strings"
	"sync"

	"github.com/coder/websocket"

	"github.com/bctrl-go/bctrl"
)

// downloads are those of a runtime as one client wants them: where it says that they go
// to a folder, each is brought there from the storage before the client is told that it
// is complete.
type downloads struct {
	mu sync.Mutex
	// folders are where downloads go, by the browser context, "" for the one that the
	// browser began with. last is what was said last.
	folders map[string]folder
	last    folder
	// watched says that the browser tells the connection itself of downloads, wanted that
	// the client wants to know: the bridge may want it alone.
	watched, wanted bool
	// contexts are the browser contexts of tabs and of sessions, by their ids.
	contexts map[string]string
	// known are the downloads that go to a folder, by their guids; order has the oldest
	// first.
	known map[string]*download
	order []string
	// asked is how many commands of the bridge's own have no answer.
	asked int
}

// folder is where downloads go.
type folder struct {
	path string // "" leaves them in storage
	// byGUID names files by the guids of their downloads, not as pages suggest.
	byGUID bool
}

// download is one that goes to a folder.
type download struct {
	to   folder
	name string // as the page suggests
	once sync.Once
	done chan struct{} // is closed once path is known
	path string        // where it is on the machine; "" for one that was not brought here
}

const (
	// maxContexts bounds the tabs and sessions whose context is remembered, and the contexts
	// with a folder, maxKnown the downloads.
	maxContexts = 4096
	maxKnown    = 256
	// ownCommands is below the ids of the bridge's own commands, and above those of
	// clients: they count.
	ownCommands = 1 << 52
)

func (d *downloads) init() {
	d.folders, d.contexts, d.known = map[string]folder{}, map[string]string{}, map[string]*download{}
}

// isAsked reports whether answers to the bridge itself are to come.
func (d *downloads) isAsked() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked > 0
}

func (d *downloads) answered() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked--
}

// noteBehavior remembers where a client wants its downloads, and has the browser tell of
// them. It returns the command as it is passed on.
func (l *link) noteBehavior(ctx context.Context, m message, msg []byte) ([]byte, error) {
	var p struct {
		Behavior         string
		DownloadPath     string
		BrowserContextID string `json:"browserContextId"`
		EventsEnabled    bool
	}
	if json.Unmarshal(m.Params, &p) != nil {
		return msg, nil
	}
	to := folder{byGUID: p.Behavior == "allowAndName"}
	if (p.Behavior == "allow" || to.byGUID) && isLocal(p.DownloadPath) {
		to.path = p.DownloadPath
	}
	d := &l.downloads
	d.mu.Lock()
	defer d.mu.Unlock()
	in := p.BrowserContextID
	if m.Method == setDownloadsOfAPage {
		in = d.contexts[m.SessionID]
	}
	if len(d.folders) == maxContexts { // of contexts that have ended long ago, most of them
		clear(d.folders)
	}
	d.folders[in], d.last = to, to
	ofConnection := m.Method == setDownloads && m.SessionID == ""
	if ofConnection {
		d.wanted = p.EventsEnabled
		d.watched = d.watched || to.path != ""
		if d.watched && !p.EventsEnabled {
			return change(msg, map[string]any{"eventsEnabled": true})
		}
		return msg, nil
	}
	if to.path != "" && !d.watched {
		d.watched = true
		d.asked++
		ask, err := json.Marshal(map[string]any{
			"id": ownCommands + 1, "method": setDownloads,
			"params": map[string]any{"behavior": "default", "eventsEnabled": true},
		})
		if err != nil {
			return nil, err
		}
		return msg, l.browser.Write(ctx, websocket.MessageText, ask)
	}
	return msg, nil
}

// The events of downloads end in these, in the domains Browser and Page.
const (
	willBegin = ".downloadWillBegin"
	progress  = ".downloadProgress"
)

// keepsEvent looks at an event. It reports whether the client is not told of it, or only
// later.
func (l *link) keepsEvent(ctx context.Context, m message) bool {
	switch domain, name, _ := strings.Cut(m.Method, "."); {
	case domain == "Target":
		l.downloads.noteTarget(m)
		return false
	case domain != "Browser" && domain != "Page" || "."+name != willBegin && "."+name != progress:
		return false
	}
	var p struct {
		GUID, FrameID, SuggestedFilename, State, FilePath string
	}
	if json.Unmarshal(m.Params, &p) != nil {
		return false
	}
	d := &l.downloads
	d.mu.Lock()
	defer d.mu.Unlock()
	hidden := d.watched && !d.wanted && m.SessionID == "" && strings.HasPrefix(m.Method, "Browser.")
	if strings.HasSuffix(m.Method, willBegin) {
		if to := d.folderFor(p.FrameID); to.path != "" {
			d.remember(p.GUID, &download{to: to, name: p.SuggestedFilename, done: make(chan struct{})})
		}
		return hidden
	}
	one := d.known[p.GUID]
	if one == nil || p.State != "completed" && p.State != "canceled" {
		return hidden
	}
	// The browser tells the connection of each, with where the storage has it; what other
	// sessions are told waits for that.
	if m.Method == "Browser.downloadProgress" && m.SessionID == "" || p.State == "canceled" {
		one.once.Do(func() {
			l.work.Go(func() {
				defer close(one.done)
				if key, ok := strings.CutPrefix(p.FilePath, bctrl.ClientPath("")); ok && p.State == "completed" {
					one.path = l.bring(ctx, one, p.GUID, key)
				}
			})
		})
	}
	if !hidden {
		l.work.Go(func() { l.tellOver(ctx, m, one) })
	}
	return true
}

// folderFor is where a download of a frame goes. Call it with mu held.
func (d *downloads) folderFor(frame string) folder {
	in, ok := d.contexts[frame] // a tab has the id of its first frame
	if to, set := d.folders[in]; ok && set {
		return to
	}
	if to, set := d.folders[""]; ok && set {
		return to
	}
	return d.last
}

// remember remembers a download, the first time that it is told of. Call it with mu held.
func (d *downloads) remember(guid string, one *download) {
	if d.known[guid] != nil {
		return
	}
	if len(d.order) == maxKnown {
		delete(d.known, d.order[0])
		d.order = d.order[1:]
	}
	d.known[guid], d.order = one, append(d.order, guid)
}

// noteTarget remembers which browser context a tab and its sessions are in.
func (d *downloads) noteTarget(m message) {
	var p struct {
		SessionID  string
		TargetID   string
		TargetInfo struct {
			TargetID         string `json:"targetId"`
			BrowserContextID string `json:"browserContextId"`
		} `json:"targetInfo"`
	}
	if json.Unmarshal(m.Params, &p) != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch m.Method {
	case "Target.attachedToTarget", "Target.targetCreated":
		for _, id := range []string{p.SessionID, p.TargetInfo.TargetID} {
			if id != "" && p.TargetInfo.BrowserContextID != "" && len(d.contexts) < maxContexts {
				d.contexts[id] = p.TargetInfo.BrowserContextID
			}
		}
	case "Target.detachedFromTarget":
		delete(d.contexts, p.SessionID)
	case "Target.targetDestroyed":
		delete(d.contexts, p.TargetID)
	}
}

// bring brings a download from storage to its folder and returns where it is there, or
// "" where that failed.
func (l *link) bring(ctx context.Context, one *download, guid, key string) string {
	r, err := l.b.Runtime.Storage.Open(ctx, key)
	if err == nil {
		defer r.Close()
		var path string
		if one.to.byGUID {
			path, err = saveAs(one.to.path, guid, r)
		} else {
			path, err = save(one.to.path, one.name, r)
		}
		if err == nil {
			return path
		}
	}
	if ctx.Err() == nil {
		l.b.Report("a download stays in storage and was not brought to its folder: " + err.Error())
	}
	return ""
}

// tellOver tells the client how a download has ended once it is known whether it was
// brought to its folder.
func (l *link) tellOver(ctx context.Context, m message, one *download) {
	select {
	case <-one.done:
	case <-ctx.Done():
		return
	}
	var p map[string]json.RawMessage
	if json.Unmarshal(m.Params, &p) != nil {
		return
	}
	delete(p, "filePath")
	if one.path == "" {
		p["state"] = json.RawMessage(`"canceled"`)
	} else if m.Method == "Browser.downloadProgress" {
		path, err := json.Marshal(one.path)
		if err != nil {
			return
		}
		p["filePath"] = path
	}
	event := map[string]any{"method": m.Method, "params": p}
	if m.SessionID != "" {
		event["sessionId"] = m.SessionID
	}
	b, err := json.Marshal(event)
	if err == nil {
		_ = l.client.Write(ctx, websocket.MessageText, b) // the client has left
	}
}
