package store

import (
	"context"
	"sync"
	"time"
)

const (
	// lookAgain is how often somebody who waits for the other nodes looks at their leases,
	// and how long a feed waits that could not ask the database.
	lookAgain = 200 * time.Millisecond
	// maxSilence is how long a server may hear nothing from the database that tells it of
	// changes, and how long obeying one may take. The leases of those that wait for it last
	// longer than either.
	maxSilence = 4 * time.Second
)

// ruleFeed has a server obey what others change of the rules, and what it has changed
// itself without knowing. What comes while it obeys
// is obeyed together next.
type ruleFeed struct {
	db   *DB
	stop context.CancelFunc
	done chan struct{}
	wake chan struct{} // has an element when there is something to obey

	mu sync.Mutex
	// obey is nil while the server decides nothing.
	obey    func(context.Context, RuleNews) error
	pending RuleNews
	// number is that of the newest change among those that are pending.
	number int64
	// since is when the oldest of what waits to be obeyed came, and obeying that of what is being
	// obeyed; zero where there is none.
	since, obeying time.Time
	// contact is when the database last said that there is nothing more.
	contact time.Time
	// heard is closed when some node has said what it obeys.
	heard chan struct{}
	// lock is the number of the newest change that locked this server, or that came before
	// it began.
	lock int64
}

func followRules(db *DB) *ruleFeed {
	ctx, stop := context.WithCancel(context.Background())
	f := &ruleFeed{
		db:      db,
		stop:    stop,
		done:    make(chan struct{}),
		wake:    make(chan struct{}, 1),
		heard:   make(chan struct{}),
		contact: time.Now(),
		lock:    -1,
	}
	go f.run(ctx)
	return f
}

func (f *ruleFeed) close() {
	if f == nil {
		return
	}
	f.stop()
	<-f.done
}

// FollowRules has fn called with what any server changes of the rules, this one too, one
// call after the other. When it returns nil, this server obeys; with an error it is called
// again, soon, for the same and what came since. It is called first for all,
// since nobody knows what this server has decided before. Where the server has the
// database to itself, fn is called for changes alone whose commit was not answered.
func (db *DB) FollowRules(fn func(context.Context, RuleNews) error) {
	if db.feed == nil {
		return
	}
	db.feed.mu.Lock()
	db.feed.obey = fn
	db.feed.mu.Unlock()
	db.feed.catchUp()
}

// FollowsRules reports whether the server hears of changes of the rules, and obeys them
// in time. One that does not must not go on: others would wait for it.
func (db *DB) FollowsRules() bool {
	f := db.feed
	if !db.on.shared {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	oldest := f.since
	if !f.obeying.IsZero() {
		oldest = f.obeying
	}
	return time.Since(f.contact) < maxSilence && (oldest.IsZero() || time.Since(oldest) < maxSilence)
}

// catchUp has everything obeyed that may have been missed.
func (f *ruleFeed) catchUp() {
	if f != nil {
		f.add(RuleNews{All: true}, 0)
	}
}

// add has a change obeyed.
func (f *ruleFeed) add(news RuleNews, number int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending.add(news)
	f.number = max(f.number, number)
	if f.since.IsZero() {
		f.since = time.Now()
	}
	f.wakeUp()
}

func (f *ruleFeed) wakeUp() {
	select {
	case f.wake <- struct{}{}:
	default: // it has been woken already
	}
}

// touch notes that the database can tell of changes.
func (f *ruleFeed) touch() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.contact = time.Now()
}

// heardNext is closed when a node says next what it obeys.
func (f *ruleFeed) heardNext() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.heard
}

// tellHeard wakes those who wait for other nodes.
func (f *ruleFeed) tellHeard() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.heard)
	f.heard = make(chan struct{})
}

// run obeys what comes, and says so.
func (f *ruleFeed) run(ctx context.Context) {
	defer close(f.done)
	again := time.NewTimer(0)
	<-again.C
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-again.C:
		}
		if err := f.obeyPending(ctx); err != nil {
			again.Reset(lookAgain)
		}
	}
}

// obeyPending obeys what has come. With an error all of it is still to be done: the database
// did not answer, or the server could not obey.
func (f *ruleFeed) obeyPending(ctx context.Context) (err error) {
	f.mu.Lock()
	news, number, obey := f.pending, f.number, f.obey
	f.pending, f.number = RuleNews{}, 0
	f.obeying, f.since = f.since, time.Time{}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if err != nil {
			f.pending.add(news)
			f.number = max(f.number, number)
			if !f.obeying.IsZero() {
				f.since = f.obeying
			}
		}
		f.obeying = time.Time{}
	}()
	if news.All { // of which nobody has told the number
		newest, lock, err := f.db.queries.ruleNumbers(ctx)
		if err != nil {
			return err
		}
		number = max(number, newest)
		news.Lock = news.Lock || f.lock >= 0 && lock > f.lock
		f.lock = lock
	}
	if news.Lock {
		f.lock = max(f.lock, number)
	}
	if obey != nil && news.any() {
		if err := obey(ctx, news); err != nil {
			return err
		}
	}
	return f.db.hearRules(ctx, number)
}
