package custody

import (
	"context"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/seal"
)

// lockBound is what [Config.LockBound] is where nothing else is said: other nodes wait for the
// lock, and may take the server for dead.
const lockBound = time.Second

// pointLate is the point of a lock at which it waits no longer until all is prepared.
const pointLate = "late"

// Lock forgets the key and everything that was opened with it. What is
// underway finishes or gets [seal.ErrLocked]. The last thing that is signed is
// what was recorded before, unless that takes too long where others wait for the lock: then
// it is signed after the next unlock, and not every row can be checked until then.
func (c *Custodian) Lock() { c.lockUnless(func() bool { return false }) }

// lockUnless is [Custodian.Lock], unless there is no reason for it any more, which is asked
// after each wait. It returns how often the key was forgotten then, 0 where it was not here.
func (c *Custodian) lockUnless(noReason func() bool) (locks int) {
	before := c.locksSoFar()
	// Once: whether it is called first when all is prepared, or when that takes too long, both
	// are told how it went.
	forget := sync.OnceValue(func() int {
		if c.locksSoFar() != before || noReason() {
			return 0
		}
		return c.forgetKey()
	})
	prepared := make(chan int, 1)
	if !c.goBeside(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.locksSoFar() == before && !c.Locked() && !noReason() {
			c.prepareLock()
		}
		prepared <- forget()
		if c.Locked() && c.notary != nil { // the lock did not wait until it was closed
			_, _ = c.stopSigning() // it has no key any more, and signs nothing
		}
	}) {
		return forget()
	}
	var late <-chan time.Time // never, where nobody waits
	if c.cfg.Leads != nil {
		timer := time.NewTimer(c.cfg.LockBound)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case locks = <-prepared:
	case <-late:
		_ = c.reached(pointLate) // nothing ends here
		if locks = forget(); locks > 0 {
			c.cfg.Log.Warn("the server was locked before its audit log could be signed and its rows noted, since that " +
				"took too long: the log is signed after the next unlock, and some rows can be told of only then")
		}
	}
	return locks
}

// prepareLock does what needs the key that is about to be forgotten. mu is held. Where the
// lock does not wait for it any more, it leaves the rest.
func (c *Custodian) prepareLock() {
	if _, err := c.stopSigning(); err != nil {
		c.cfg.Log.Error("the audit log was not signed before the lock", "error", err)
	}
	if !c.beginNoting() {
		return
	}
	if err := c.cfg.DB.NoteRows(context.Background()); err != nil {
		c.cfg.Log.Error("not every row will be known while locked", "error", err)
	}
}

// beginNoting begins to note the rows that those are compared with which are read while the
// server is locked. It does not where the key is forgotten already.
func (c *Custodian) beginNoting() bool {
	c.keyMu.Lock()
	defer c.keyMu.Unlock()
	if c.Locked() {
		return false
	}
	c.cfg.Rows.Note()
	return true
}

// lockNow locks without preparing anything that was not prepared yet. mu is held.
func (c *Custodian) lockNow() {
	if !c.Locked() {
		c.prepareLock()
	}
	c.forgetKey()
}

// forgetKey forgets the key and what was opened with it. It waits for locks that are held
// for moments, and neither for the database nor for what keeps the log's head: that holds of
// all functions of [Custodian.OnLock] too. It returns how often the key was forgotten.
func (c *Custodian) forgetKey() (locks int) {
	c.keyMu.Lock()
	defer c.keyMu.Unlock()
	c.locks++
	unlocked := c.key.Swap(nil) != nil
	if !unlocked && !c.unlocking {
		return c.locks
	}
	c.keys.Lock()
	if unlocked {
		c.cfg.Rows.Lock()
	} else {
		c.cfg.Rows.Relock() // it still knows what it knew at the lock before
	}
	for _, fn := range c.forget {
		fn()
	}
	return c.locks
}

// beginUnlocking says that rows and keys can be opened from now on, until end.
func (c *Custodian) beginUnlocking() (end func()) {
	set := func(unlocking bool) {
		c.keyMu.Lock()
		defer c.keyMu.Unlock()
		c.unlocking = unlocking
	}
	set(true)
	return func() { set(false) }
}

// replaceKey has a key be the one in use, unless the server was locked since it had been so
// often.
func (c *Custodian) replaceKey(key *seal.Key, locks int) bool {
	c.keyMu.Lock()
	defer c.keyMu.Unlock()
	if c.locks != locks {
		return false
	}
	c.key.Store(key)
	return true
}

// locksSoFar is how often the key was forgotten.
func (c *Custodian) locksSoFar() int {
	c.keyMu.Lock()
	defer c.keyMu.Unlock()
	return c.locks
}

// goBeside calls fn beside the caller, unless the custodian is closed.
func (c *Custodian) goBeside(fn func()) bool {
	c.keyMu.Lock()
	defer c.keyMu.Unlock()
	if c.closed {
		return false
	}
	c.beside.Go(fn)
	return true
}

// Follow locks a server whose key another one that shares the database has exchanged: it
// could open nothing that is sealed from now on. It is unlocked with the new key, beside the
// caller, where its source has that already. Its error is that nobody can tell.
func (c *Custodian) Follow(ctx context.Context) error {
	key := c.key.Load()
	if key == nil {
		return nil
	}
	state, err := stateOf(ctx, c.cfg.DB.Read())
	if err != nil || !state.sealed() || state.id == key.ID() {
		return err
	}
	locks := c.lockUnless(func() bool { // a rotation of this server's own may just be finished
		now := c.key.Load()
		return now == nil || now.ID() == state.id
	})
	if locks == 0 {
		return nil
	}
	c.cfg.Log.Error("the key was rotated on another node, so that this one is locked until it has the new one, " +
		"from its key file or by bctrl unlock")
	if c.source.kind() == bctrl.SealPassphrase {
		return nil
	}
	c.goBeside(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.Locked() || c.locksSoFar() != locks { // somebody else was first
			return
		}
		if err := c.unlock(c.life, locks, bctrl.Secret{}, nil); err != nil {
			c.cfg.Log.Warn("the server stays locked", "error", err)
		}
	})
	return nil
}
