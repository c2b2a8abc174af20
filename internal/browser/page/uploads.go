package page

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// ErrTooLarge is the error of a copy that would be larger than it may be.
var ErrTooLarge = errors.New("the file is larger than it may be")

// Copies makes files of the machine that the browser can read.
type Copies interface {
	// Make makes a file of at most limit bytes of what write writes, and returns its
	// path. Whoever writes more is given [ErrTooLarge].
	Make(limit int64, write func(io.Writer) error) (path string, err error)
	// Remove removes one.
	Remove(path string)
}

// uploadGrace is how long copies stay when their document is gone: the request that
// carries them may still be on its way.
const uploadGrace = time.Minute

// upload is a copy that a page may read.
type upload struct {
	path    string
	size    int64
	session target.SessionID // of the process that reads it
}

// uploads are the copies of files that pages may read, by the document that was given
// them.
type uploads struct {
	copies Copies

	mu         sync.Mutex
	grace      time.Duration // how long copies stay when their document is gone
	bytes      int64         // of all copies
	ofDocument map[protocol.Document][]upload
}

// reserve takes room for files, or refuses them.
func (u *uploads) reserve(size int64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if size > browser.MaxUpload-u.bytes {
		return browser.TooLarge("page.uploads_full",
			"the files are larger than what pages of one browser may hold together, which is 1 GiB",
			"give smaller files, or leave the pages that hold the others")
	}
	u.bytes += size
	return nil
}

func (u *uploads) release(size int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bytes -= size
}

// keep keeps copies for as long as their document lives.
func (u *uploads) keep(d protocol.Document, made []upload) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ofDocument[d] = append(u.ofDocument[d], made...)
}

// takeBack returns those of some copies that are still kept, which are kept no more.
func (u *uploads) takeBack(made []upload) (taken []upload) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for d, all := range u.ofDocument {
		u.ofDocument[d] = slices.DeleteFunc(all, func(one upload) bool {
			mine := slices.ContainsFunc(made, func(m upload) bool { return m.path == one.path })
			if mine {
				taken = append(taken, one)
			}
			return mine
		})
		if len(u.ofDocument[d]) == 0 {
			delete(u.ofDocument, d)
		}
	}
	return taken
}

// remove removes copies at once.
func (u *uploads) remove(all []upload) {
	for _, one := range all {
		u.copies.Remove(one.path)
		u.release(one.size)
	}
}

// take returns the copies of documents for which matches is true, which are kept no more.
func (u *uploads) take(matches func(protocol.Document, upload) bool) (taken []upload) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for d, all := range u.ofDocument {
		if len(all) > 0 && matches(d, all[0]) {
			taken = append(taken, all...)
			delete(u.ofDocument, d)
		}
	}
	return taken
}

// documentGone has the copies of a frame's documents removed, but for the one that it
// shows now.
func (u *uploads) documentGone(s *Set, frame cdp.FrameID, now cdp.LoaderID) {
	u.removeLater(s, u.take(func(d protocol.Document, _ upload) bool { return d.Frame == frame && d.Loader != now }))
}

// sessionGone has the copies removed that a process could read that is gone.
func (u *uploads) sessionGone(s *Set, id target.SessionID) {
	u.removeLater(s, u.take(func(_ protocol.Document, one upload) bool { return one.session == id }))
}

func (u *uploads) removeLater(s *Set, all []upload) {
	if len(all) == 0 {
		return
	}
	s.spawn(func(ctx context.Context) {
		u.mu.Lock()
		wait := time.NewTimer(u.grace)
		u.mu.Unlock()
		defer wait.Stop()
		select {
		case <-wait.C:
			u.remove(all)
		case <-ctx.Done(): // the folder goes with the browser
		}
	})
}
