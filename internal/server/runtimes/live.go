package runtimes

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/live"
	"github.com/bctrl-go/bctrl/internal/scrub"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// liveRuntime is a runtime that starts or runs, with its browser.
type liveRuntime struct {
	org       string
	workspace string
	id        string
	// node is the one of the cluster that this server was when it was launched.
	node string
	// answer is what the answer to its launch is kept by, where that waits on another node; nil
	// where there is none to keep here.
	answer *web.AnswerKey
	// started is closed once the launch is over. From then on browser may be read; it
	// is nil where none was started, as where another node has it.
	started     chan struct{}
	browser     browser.Browser
	isElsewhere bool
	// refusal is why the launch of a runtime failed that another node had offered.
	refusal *bctrl.Error
	// watched is set, by who launches it, once the browser runs and its end is recorded.
	watched bool
	// endsAt is when its launch has it end at the latest, or zero. It is set before
	// started is closed.
	endsAt time.Time
	// turn has room for the one execution that has the page.
	turn chan struct{}
	// life ends with the runtime, and by end: executions and connections end with it.
	life context.Context
	end  context.CancelFunc

	// secrets are the values filled so far. No model is shown one for as long as the
	// browser runs: a page that has one may outlive the execution that filled it.
	secrets *scrub.Set

	hosts hosts
	// place is its room among the runtimes; nil where it got none.
	place  *place
	uses   uses
	driven driven

	// control knows who works in the browser, activity what programs do in it.
	control  live.Control
	activity live.Activity
	// movie is its recording, filmed is closed once nothing is added to it any more, and
	// keeping puts it into storage; movie is nil where it is not recorded. They are set
	// before started is closed.
	movie   *live.Movie
	filmed  chan struct{}
	keeping sync.Once

	mu       sync.Mutex // guards what follows
	showing  *showing   // nil until somebody looks
	stopping bool       // somebody asked for its end
	// stopReason says why, where it was not its caller who asked.
	stopReason string
	lost       bool // the server has lost its lease, and the runtime with it
	downloads  []bctrl.StorageObject
	// launched is set once its launch was told, early are the events of its browser
	// until then.
	launched bool
	early    []bctrl.Event
}

// maxDownloads is how many downloads a live runtime lists for an agent that works
// in it. The files themselves stay in storage.
const maxDownloads = 1000

func newLiveRuntime(org, workspace, id string) *liveRuntime {
	lr := &liveRuntime{
		org:       org,
		workspace: workspace,
		id:        id,
		started:   make(chan struct{}),
		turn:      make(chan struct{}, 1),
		secrets:   scrub.New(),
		uses:      newUses(),
	}
	lr.life, lr.end = context.WithCancel(context.Background())
	return lr
}

// stop notes that somebody asks for the end of the runtime, and why: who asks first
// is told of.
func (lr *liveRuntime) stop(reason string) {
	lr.mu.Lock()
	defer lr.mu.Unlock()
	if !lr.stopping {
		lr.stopping, lr.stopReason = true, reason
	}
}

// goneTime is how long a runtime may take to end once its browser is gone.
const goneTime = 5 * time.Second

// endsSoon reports whether a runtime whose browser is gone has ended with it, as it does a
// moment later. It must not be called with mu held.
func (lr *liveRuntime) endsSoon(ctx context.Context) bool {
	select {
	case <-lr.life.Done():
	case <-ctx.Done():
	case <-time.After(goneTime):
	}
	return lr.life.Err() != nil
}

// isStopping reports whether somebody asked for the end of the runtime.
func (lr *liveRuntime) isStopping() bool {
	stopping, _ := lr.whyStopping()
	return stopping
}

// whyStopping reports whether somebody asked for the end of the runtime, and why.
func (lr *liveRuntime) whyStopping() (stopping bool, reason string) {
	lr.mu.Lock()
	defer lr.mu.Unlock()
	return lr.stopping, lr.stopReason
}

// waitForRoom is [place.waitForRoom] for as long as ctx lasts and nobody stops the runtime.
func (lr *liveRuntime) waitForRoom(ctx context.Context) (elsewhere cluster.Node, err error) {
	ctx, cancel := lr.whileLive(ctx)
	defer cancel()
	return lr.place.waitForRoom(ctx)
}

// takePage waits for the turn to use the page, which one execution has at a time.
func (lr *liveRuntime) takePage(ctx context.Context) (release func(), err error) {
	select {
	case lr.turn <- struct{}{}:
		end := lr.uses.begin()
		return func() { end(); <-lr.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-lr.life.Done():
		return nil, web.ErrNotActive
	}
}

// whileLive returns a context that ends with ctx, or when the runtime does.
func (lr *liveRuntime) whileLive(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(lr.life, cancel)
	return ctx, func() { stop(); cancel() }
}

// rememberDownload adds a download that was put into storage.
func (lr *liveRuntime) rememberDownload(o bctrl.StorageObject) {
	lr.mu.Lock()
	defer lr.mu.Unlock()
	if len(lr.downloads) == maxDownloads {
		lr.downloads = slices.Delete(lr.downloads, 0, 1)
	}
	lr.downloads = append(lr.downloads, o)
}

// newestDownloads lists the newest downloads that were put into storage, oldest first.
func (lr *liveRuntime) newestDownloads() []bctrl.StorageObject {
	lr.mu.Lock()
	defer lr.mu.Unlock()
	return slices.Clone(lr.downloads)
}
