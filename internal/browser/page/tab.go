package page

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

const (
	// frameTimeout is how long a frame in a process of its own may take to
	// answer before the page is read without it.
	frameTimeout = 2 * time.Second
	// maxNotes is how many notes are kept for the next observation.
	maxNotes = 10
)

// session is one attached target: a tab, a frame in a process of its own,
// or a worker.
type session struct {
	protocol.Session
	targetID target.ID
	kind     string // type of the target: page, iframe, worker, service_worker, shared_worker
	world    string // [Surroundings.World]
	tab      *tab   // the tab it belongs to; nil for workers that serve many

	ready chan struct{} // closed when it was set up
	gone  chan struct{} // closed when it was detached
}

// tab is one tab: a top-level page and the frames that other processes run for
// it.
type tab struct {
	set     *Set
	id      browser.TabID
	session *session
	// opener is the tab whose page opened it; empty when none did.
	opener             target.ID
	owner              owner
	countsAgainstPages bool
	// brought counts up with each tab that comes to the front: the last one is there.
	// It changes under mu of the set.
	brought int

	mu            sync.Mutex
	actions       int         // actions of the agent that run
	waitingDialog *heldDialog // nil when none waits for a client to answer it
	frames        []*session  // of frames in other processes, oldest first
	loads         map[cdp.FrameID]documentLoad
	loadsChange   chan struct{} // closed and replaced when loads changes
	traffic       map[trafficID]time.Time
	lastTraffic   time.Time // when traffic last changed
	dialogs       int       // how many there were since the agent's last action
	notes         []string
	crashed       bool                        // its page has, and it is being closed
	shownDocument bool                        // a document of an address was shown
	expected      bool                        // its end was asked for, or told of already
	origins       map[cdp.FrameID]frameOrigin // of the documents that frames show
	proxyMark     uint64                      // where the proxy's failures stood at its newest document
	challenge     *challenge                  // what the site asks before it shows a page; nil for nothing
	chooser       chan fileChooser            // told of the next file chooser; nil while nobody waits for one
	lastDialog    page.DialogType             // the kind of the newest
	stays         bool                        // whether to leave the page was answered with no since it began to
	flooded       bool                        // the script of its page that raised dialogs without end was ended
	tabsRefused   int                         // how many its page has opened beyond maxTabs since the last observation
	shown         []shownElement              // the elements of the newest observation
	filled        map[protocol.Element]bool
	direct        map[protocol.Document]bool // documents that hold a value itself
	typed         map[protocol.Element]bool  // fields of such documents that the model has written
	drags         chan *input.DragData       // of a drag that the agent makes; nil when it makes none
	cast          *cast                      // shows the tab to people; nil while nobody watches
	hand          hand                       // of the person who works in the tab
}

// documentLoad is how far the newest document of a frame has come.
type documentLoad struct {
	loader cdp.LoaderID
	// reached are the lifecycle events of the document so far.
	reached map[string]bool
	before  []cdp.LoaderID // the documents it replaced, the newest last
}

// The lifecycle events that are waited for.
const (
	eventContent = "DOMContentLoaded"
	eventLoad    = "load"
	eventIdle    = "networkIdle"
)

// replaced reports whether a document was in the frame and is not any more.
func (l documentLoad) replaced(loader cdp.LoaderID) bool { return slices.Contains(l.before, loader) }

// trafficID names a request. Ids of requests are unique within a session alone.
type trafficID struct {
	session *session
	request network.RequestID
}

func newTab(set *Set, session *session) *tab {
	return &tab{
		set:         set,
		session:     session,
		loads:       map[cdp.FrameID]documentLoad{},
		loadsChange: make(chan struct{}),
		traffic:     map[trafficID]time.Time{},
		origins:     map[cdp.FrameID]frameOrigin{},
		proxyMark:   set.proxy.Mark(),
		filled:      map[protocol.Element]bool{},
		direct:      map[protocol.Document]bool{},
		typed:       map[protocol.Element]bool{},
	}
}

func (t *tab) addFrame(session *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.frames = append(t.frames, session)
}

func (t *tab) removeFrame(session *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, other := range t.frames {
		if other == session {
			t.frames = append(t.frames[:i:i], t.frames[i+1:]...)
			break
		}
	}
	for id := range t.traffic {
		if id.session == session {
			delete(t.traffic, id)
		}
	}
}

// addNote keeps a line for the next observation, about something that happened
// without the agent having asked for it.
func (t *tab) addNote(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.notes) < maxNotes {
		t.notes = append(t.notes, fmt.Sprintf(format, args...))
	}
}

func (t *tab) takeNotes() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	notes := t.notes
	if t.tabsRefused > 0 {
		notes = append(notes, fmt.Sprintf("page.too_many_tabs: %d tabs that the page has opened were closed, beyond the %d "+
			"that it may have open", t.tabsRefused, maxTabs))
	}
	if t.flooded {
		notes = append(notes, fmt.Sprintf("page.dialog_flood: after %d dialogs the script that raises them was ended",
			maxDialogs))
	}
	t.notes, t.tabsRefused, t.flooded = nil, 0, false
	return notes
}

// onEvent handles an event of the tab or of one of its frames and workers. It must
// not block.
func (t *tab) onEvent(session *session, method string, params jsonv2.Value) {
	switch method {
	case page.JavascriptDialogOpening.Method:
		protocol.Event(params, func(ev page.EventJavascriptDialogOpening) { t.onDialog(session, ev) })
	case page.JavascriptDialogClosed.Method:
		protocol.Event(params, func(ev page.EventJavascriptDialogClosed) { t.onDialogClosed(session, ev.Result) })
	case page.FrameNavigated.Method:
		protocol.Event(params, func(ev page.EventFrameNavigated) {
			if ev.Frame.ParentID == "" && !strings.HasPrefix(ev.Frame.URL, "about:") {
				t.noteDocument()
			}
			if ev.Frame.ParentID == "" {
				t.set.watched.signal()
			}
			t.noteOrigin(ev.Frame)
			t.noteHostRefused(ev.Frame)
			t.noteNavigation(ev.Frame.ID, ev.Frame.LoaderID, ev.Type == page.NavigationTypeBackForwardCacheRestore)
			t.set.guards.DocumentGone(ev.Frame.ID, ev.Frame.LoaderID)
			t.set.uploads.documentGone(t.set, ev.Frame.ID, ev.Frame.LoaderID)
		})
	case page.FrameDetached.Method:
		protocol.Event(params, func(ev page.EventFrameDetached) {
			if ev.Reason != page.FrameDetachedReasonSwap { // in a swap it goes on in another process
				t.forgetLoad(ev.FrameID)
				t.set.guards.DocumentGone(ev.FrameID, "")
				t.set.uploads.documentGone(t.set, ev.FrameID, "")
			}
		})
	case page.LifecycleEvent.Method:
		protocol.Event(params, func(ev page.EventLifecycleEvent) {
			switch ev.Name {
			case eventContent, eventLoad, eventIdle:
				t.noteReached(ev.FrameID, ev.LoaderID, ev.Name)
			}
		})
	case network.RequestWillBeSent.Method:
		protocol.Event(params, func(ev network.EventRequestWillBeSent) {
			switch ev.Type {
			case network.ResourceTypeEventSource, network.ResourceTypeWebSocket, network.ResourceTypePing,
				network.ResourceTypeMedia:
				return // they last for long, or nobody waits for them
			}
			t.noteTraffic(trafficID{session, ev.RequestID}, true)
		})
	case network.ResponseReceived.Method:
		protocol.Event(params, func(ev network.EventResponseReceived) { t.onAnswer(ev) })
	case network.WebSocketFrameSent.Method:
		protocol.Event(params, func(ev socketMessage) { t.set.guards.NoteSocketMessage(t.session.ID, ev.Response.Text) })
	case network.LoadingFinished.Method:
		protocol.Event(params, func(ev network.EventLoadingFinished) {
			t.noteTraffic(trafficID{session, ev.RequestID},
				false)
		})
	case network.LoadingFailed.Method:
		protocol.Event(params, func(ev network.EventLoadingFailed) { t.noteTraffic(trafficID{session, ev.RequestID}, false) })
	case page.FileChooserOpened.Method:
		protocol.Event(params, func(ev page.EventFileChooserOpened) { t.onFileChooser(ev) })
	case page.NavigatedWithinDocument.Method:
		t.set.watched.signal()
	case page.ScreencastFrame.Method:
		protocol.Event(params, func(ev page.EventScreencastFrame) { t.noteFrame(ev) })
	case input.DragIntercepted.Method:
		protocol.Event(params, func(ev input.EventDragIntercepted) { t.noteDrag(ev.Data) })
	case inspector.TargetCrashed.Method:
		if session == t.session && !t.isClients() {
			t.mu.Lock()
			t.crashed = true
			t.mu.Unlock()
			t.set.spawn(func(ctx context.Context) { t.set.closeCrashed(ctx, t) })
		}
	}
}

func (t *tab) noteDocument() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shownDocument = true
}

// noteNavigation takes note that a frame shows another document. One that comes back
// whole, from where the browser keeps pages that were left, does not load again.
func (t *tab) noteNavigation(id cdp.FrameID, loader cdp.LoaderID, whole bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.loads[id]
	if old.loader == loader && !whole {
		return
	}
	before := append(slices.Clone(old.before), old.loader)
	now := documentLoad{
		loader:  loader,
		reached: map[string]bool{},
		before:  before[max(0, len(before)-2*maxHops):],
	}
	if whole {
		now.reached = map[string]bool{eventContent: true, eventLoad: true, eventIdle: true}
	}
	t.loads[id] = now
	t.signalLoadsChange()
}

func (t *tab) noteReached(id cdp.FrameID, loader cdp.LoaderID, event string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.loads[id]
	if l.loader != loader && l.loader != "" {
		return
	}
	if l.reached == nil {
		l.reached = map[string]bool{}
	}
	l.loader, l.reached[event] = loader, true
	t.loads[id] = l
	t.signalLoadsChange()
}

func (t *tab) forgetLoad(id cdp.FrameID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.loads, id)
	delete(t.origins, id)
	t.signalLoadsChange()
}

// signalLoadsChange wakes those who wait for a load. Call it with mu held.
func (t *tab) signalLoadsChange() {
	close(t.loadsChange)
	t.loadsChange = make(chan struct{})
}

func (t *tab) noteTraffic(id trafficID, running bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lastTraffic = time.Now()
	if running {
		t.traffic[id] = t.lastTraffic
	} else {
		delete(t.traffic, id)
	}
}

// socketMessage is the part of Network.webSocketFrameSent that is read here. The
// generated type decodes every message as base64, which only those of bytes are.
type socketMessage struct {
	Response struct {
		Text string `json:"payloadData"`
	} `json:"response"`
}
