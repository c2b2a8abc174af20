package custody

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
)

// slowHead keeps the head of the log as a bucket does that does not answer, while hangs is
// set.
type slowHead struct {
	audit.HeadStore
	hangs atomic.Pointer[chan struct{}]
}

func (h *slowHead) wait() {
	if until := h.hangs.Load(); until != nil {
		<-*until
	}
}

func (h *slowHead) ReadHead(ctx context.Context) ([]byte, string, error) {
	h.wait()
	return h.HeadStore.ReadHead(ctx)
}

func (h *slowHead) WriteHead(ctx context.Context, text []byte, state string) (string, error) {
	h.wait()
	return h.HeadStore.WriteHead(ctx, text, state)
}

// hang has the head not answer until the function that it returns is called.
func (h *slowHead) hang() (answer func()) {
	until := make(chan struct{})
	h.hangs.Store(&until)
	return func() {
		h.hangs.Store(nil)
		close(until)
	}
}

// newSlowPlace is a server that leads others, with a head that can be slow. A lock waits for as
// long as that takes, unless the test says otherwise: see [place.patience].
func newSlowPlace(t *testing.T) (*place, *slowHead) {
	t.Helper()
	p := newPlace(t, bctrl.SealFile)
	require.NoError(t, p.c.Close())
	cfg := p.config()
	head := &slowHead{HeadStore: cfg.Head}
	cfg.Head, cfg.Leads, cfg.LockBound = head, func() bool { return true }, time.Hour
	var err error
	p.c, err = Open(t.Context(), cfg)
	require.NoError(t, err)
	return p, head
}

// brief is time enough for a lock to begin to prepare; no test fails where it is not.
const brief = 50 * time.Millisecond

// patience is how long the next locks wait until all is prepared.
func (p *place) patience(bound time.Duration) { p.c.cfg.LockBound = bound }

// TestALockDoesNotWaitForABucketThatIsSlow has the log's head not be kept: others wait for
// the lock, and would take the server for dead.
func TestALockDoesNotWaitForABucketThatIsSlow(t *testing.T) {
	p, head := newSlowPlace(t)
	answer := head.hang()
	p.note(1)
	p.patience(brief)
	p.c.Lock() // it returns before the head answers
	require.True(t, p.c.Locked())
	_, err := p.c.Keys().Open(record("org-a"), p.sealed["org-a"])
	require.ErrorIs(t, err, seal.ErrLocked)
	answer()
	require.NoError(t, p.c.Unlock(t.Context(), bctrl.Secret{}, nil))
	p.verified("what was not signed then is now")
	p.c.Lock()
	require.True(t, p.c.Locked(), "and the lock that was slow is not in the way of the next")
}

// TestALockThatComesWhileTheServerIsBeingUnlockedHolds has it come while the head of the log
// is read.
func TestALockThatComesWhileTheServerIsBeingUnlockedHolds(t *testing.T) {
	p, head := newSlowPlace(t)
	p.c.Lock()
	answer := head.hang()
	unlocked := make(chan error, 1)
	go func() { unlocked <- p.c.Unlock(context.WithoutCancel(t.Context()), bctrl.Secret{}, nil) }()
	require.Eventually(t, func() bool {
		p.c.keyMu.Lock()
		defer p.c.keyMu.Unlock()
		return p.c.unlocking
	}, time.Minute, time.Millisecond)
	p.patience(brief)
	p.c.Lock() // it returns before the head answers
	answer()
	require.ErrorIs(t, <-unlocked, seal.ErrLocked)
	require.True(t, p.c.Locked())
	require.True(t, p.c.Keys().Locked())
	require.NoError(t, p.c.Unlock(t.Context(), bctrl.Secret{}, nil))
	p.verified("unlocked after it")
}

// TestARotationThatIsFinishedSlowlyIsFollowedAtOnce has the server hear of its own rotation,
// while the log's head is read again.
func TestARotationThatIsFinishedSlowlyIsFollowedAtOnce(t *testing.T) {
	p, head := newSlowPlace(t)
	var answer func()
	old := p.c.key.Load().ID()
	p.c.reached = func(point string) error {
		if point == pointSigned {
			answer = head.hang()
		}
		return nil
	}
	rotated := make(chan error, 1)
	go func() { rotated <- p.c.Rotate(context.WithoutCancel(t.Context()), bctrl.Secret{}, p.commit) }()
	require.Eventually(t, func() bool { return p.c.key.Load().ID() != old }, time.Minute, time.Millisecond)
	p.patience(brief)
	require.NoError(t, p.c.Follow(t.Context())) // it returns before the head answers
	require.False(t, p.c.Locked(), "it has the new key")
	answer()
	require.NoError(t, <-rotated)
	p.verified("rotated")
}

// addOrganization writes a row that is proven.
func (p *place) addOrganization(id string) {
	p.Helper()
	require.NoError(p, p.db.Write(p.Context(), func(tx *store.Tx) error {
		o := store.Organization{ID: id, Name: id, CreatedAt: store.Now()}
		return errors.Join(tx.InsertOrganization(p.Context(), o), auditAppend(tx))
	}))
}

// TestALateLockKnowsNothingOfAnEarlierOne has a row be noted by a lock, and the next lock not
// wait until it is noted again: it may have ended in between.
func TestALateLockKnowsNothingOfAnEarlierOne(t *testing.T) {
	p, head := newSlowPlace(t)
	p.addOrganization("org")
	read := func() error {
		_, err := p.db.Read().Organization(t.Context(), "org")
		return err
	}
	unlock := func() { require.NoError(t, p.c.Unlock(t.Context(), bctrl.Secret{}, nil)) }
	p.c.Lock()
	require.NoError(t, read(), "it was noted")
	unlock()
	answer := sync.OnceFunc(head.hang())
	defer answer()
	p.note(1)
	p.patience(brief)
	p.c.Lock()
	require.ErrorIs(t, read(), seal.ErrLocked)
	answer()
	p.c.beside.Wait() // until what prepares the lock has come to its end
	require.ErrorIs(t, read(), seal.ErrLocked)
	unlock()
	require.NoError(t, read())
	p.patience(time.Hour)
	p.c.Lock()
	require.NoError(t, read(), "it was noted again")
}

// TestALockThatComesToItsEndLateIsStillKnownForOne has the lock itself take long: whoever asked
// for it goes on only once it is done, and is told that it was theirs.
func TestALockThatComesToItsEndLateIsStillKnownForOne(t *testing.T) {
	p, _ := newSlowPlace(t)
	p.patience(brief)
	begun, late := make(chan struct{}), make(chan struct{})
	p.c.reached = func(point string) error {
		if point == pointLate {
			<-begun
			close(late)
		}
		return nil
	}
	p.c.OnLock(func() {
		close(begun)
		<-late
	})
	require.Equal(t, 1, p.c.lockUnless(func() bool { return false }))
	require.True(t, p.c.Locked())
}
