package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
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
	// watching says that the browser tells the connection itself of downloads; asking is how
	// many commands want that and have no answer. wanted says that the client wants to know:
	// the bridge may want it alone.
	watching, wanted bool
	asking           int
	// contexts are the browser contexts of tabs and of sessions, by their ids.
	contexts map[string]string
	// known are the downloads that go to a folder, by their guids; order has the oldest
	// first.
	known map[string]*download
	order []string
	// onAnswer is called, with mu held, once a command has its answer.
	onAnswer map[commandKey]func(refused bool)
	// slots has an element for each download that is being brought.
	slots chan struct{}
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
	name string        // as the page suggests
	once sync.Once     // brings it or cancels it
	done chan struct{} // is closed once path is known
	path string        // where it is on the machine; "" for one that was not brought here
}

// cancel has clients told that a download was canceled, unless it is being brought.
func (d *download) cancel() { d.once.Do(func() { close(d.done) }) }

const (
	// maxContexts bounds the tabs and sessions whose context is remembered, and the contexts
	// with a folder, maxKnown the downloads.
	maxContexts = 4096
	maxKnown    = 256
	// maxBrought bounds the downloads of one client that are brought at a time: a page says
	// how many it begins.
	maxBrought = 8
	// ownCommand is the id of the bridge's own command, above those of clients: they count.
	ownCommand = 1<<52 + 1
)

func (d *downloads) init() {
	d.folders, d.contexts, d.known = map[string]folder{}, map[string]string{}, map[string]*download{}
	d.onAnswer, d.slots = map[commandKey]func(bool){}, make(chan struct{}, maxBrought)
}

// isWatched reports whether the browser tells the connection itself of downloads, or is
// about to. Call it with mu held.
func (d *downloads) isWatched() bool { return d.watching || d.asking > 0 }

// waiting reports whether there are commands whose answers matter.
func (d *downloads) waiting() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.onAnswer) > 0
}

// noteAnswer looks at an answer. It reports whether it is to the bridge and not to the
// client.
func (l *link) noteAnswer(key commandKey, refused bool) bool {
	own := l.downloads.noteAnswer(key, refused) && key == commandKey{id: ownCommand}
	if own && refused {
		l.b.Report("the browser does not tell of downloads: they stay in storage, and clients hear that they are canceled")
	}
	return own
}

// noteAnswer reports whether an answer was waited for.
func (d *downloads) noteAnswer(key commandKey, refused bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	answered, ok := d.onAnswer[key]
	if ok {
		delete(d.onAnswer, key)
		answered(refused)
	}
	return ok
}

// await has a function called once a command has its answer. Call it with mu held.
func (d *downloads) await(of commandKey, answered func(refused bool)) {
	if before := d.onAnswer[of]; before != nil { // two commands of one id
		before(false)
	}
	if len(d.onAnswer) >= maxContexts && of.id != ownCommand {
		answered(false)
		return
	}
	d.onAnswer[of] = answered
}

// noteBehavior remembers where a client wants its downloads, and has the browser tell of
// them. It returns the command as it is passed on, and what the browser is to be told
// before it, if anything.
func (l *link) noteBehavior(m message, msg []byte) (before, command []byte) {
	var p struct {
		Behavior         string
		DownloadPath     string
		BrowserContextID string `json:"browserContextId"`
		EventsEnabled    bool
	}
	if json.Unmarshal(m.Params, &p) != nil {
		return nil, msg
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
	undo := d.setFolder(in, to)
	if m.Method != setDownloads || m.SessionID != "" {
		d.await(commandKey{m.SessionID, m.ID}, undo)
		if to.path == "" || d.isWatched() {
			return nil, msg
		}
		d.ask(commandKey{id: ownCommand}, func(bool) {})
		return fmt.Appendf(nil, `{"id":%d,"method":%q,"params":{"behavior":"default","eventsEnabled":true}}`,
			ownCommand, setDownloads), msg
	}
	wanted := d.wanted
	d.wanted = p.EventsEnabled
	answered := func(refused bool) {
		if undo(refused); refused && d.wanted == p.EventsEnabled {
			d.wanted = wanted
		}
	}
	if to.path == "" && !d.isWatched() {
		d.await(commandKey{id: m.ID}, answered)
		return nil, msg
	}
	d.ask(commandKey{id: m.ID}, answered)
	if p.EventsEnabled {
		return nil, msg
	}
	changed, err := change(msg, map[string]any{"eventsEnabled": true})
	if err != nil {
		return nil, msg // for the server to refuse
	}
	return nil, changed
}

// ask notes that a command has the browser tell of downloads. Where none does, nothing is
// waited for any more. Call it with mu held.
func (d *downloads) ask(by commandKey, answered func(refused bool)) {
	d.asking++
	d.await(by, func(refused bool) {
		d.asking--
		d.watching = d.watching || !refused
		answered(refused)
		if !d.isWatched() {
			for _, one := range d.known {
				one.cancel()
			}
		}
	})
}

// setFolder sets where the downloads of a context go, until that is refused or set anew.
// Call it and what it returns with mu held.
func (d *downloads) setFolder(in string, to folder) (answered func(refused bool)) {
	before, had := d.folders[in]
	if len(d.folders) >= maxContexts && !had { // of contexts that have ended long ago, most of them
		maps.DeleteFunc(d.folders, func(in string, _ folder) bool { return in != "" })
	}
	last := d.last
	d.folders[in], d.last = to, to
	return func(refused bool) {
		if !refused {
			return
		}
		if d.last == to {
			d.last = last
		}
		switch {
		case d.folders[in] != to:
		case had:
			d.folders[in] = before
		default:
			delete(d.folders, in)
		}
	}
}

// The events of downloads end in these, in the domains Browser and Page.
const (
	willBegin = ".downloadWillBegin"
	progress  = ".downloadProgress"
)

// withholdsEvent looks at an event. It reports whether the client is not told of it, or only
// later.
func (l *link) withholdsEvent(ctx context.Context, m message) bool {
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
	hidden := d.isWatched() && !d.wanted && m.SessionID == "" && strings.HasPrefix(m.Method, "Browser.")
	if strings.HasSuffix(m.Method, willBegin) {
		if to := d.folderFor(p.FrameID); to.path != "" {
			d.remember(p.GUID, &download{to: to, name: p.SuggestedFilename, done: make(chan struct{})})
			if !d.isWatched() { // where storage has it will not be told
				d.known[p.GUID].cancel()
			}
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
		l.work.Go(func() { l.sendOutcome(ctx, m, one) })
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
		d.known[d.order[0]].cancel()
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
	select {
	case l.downloads.slots <- struct{}{}:
		defer func() { <-l.downloads.slots }()
	case <-ctx.Done():
		return ""
	}
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

// sendOutcome tells the client how a download has ended once it is known whether it was
// brought to its folder.
func (l *link) sendOutcome(ctx context.Context, m message, one *download) {
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
