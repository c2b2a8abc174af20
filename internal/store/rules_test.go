package store

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// follower is a server that shares a database, and what it was told to obey.
type follower struct {
	*DB
	id string

	mu   sync.Mutex
	news []RuleNews
	// hold is what each call waits for; nil is nothing.
	hold chan struct{}
	// fails is how often it cannot obey.
	fails int
}

func newFollower(tb testing.TB, at string, lease time.Duration) *follower {
	tb.Helper()
	return follow(tb, openShared(tb, at), lease)
}

// follow is newFollower for a server that was opened already.
func follow(tb testing.TB, db *DB, lease time.Duration) *follower {
	tb.Helper()
	f := &follower{DB: db}
	f.FollowRules(f.obey)
	n, err := f.RegisterNode(tb.Context(), Node{ID: uuid.NewString()}, "", lease)
	require.NoError(tb, err)
	f.id = n.ID
	f.Fence(n.ID)
	return f
}

func (f *follower) obey(_ context.Context, news RuleNews) error {
	f.mu.Lock()
	hold := f.hold
	f.mu.Unlock()
	if hold != nil {
		<-hold
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails > 0 {
		f.fails--
		return errNotNow
	}
	f.news = append(f.news, news)
	return nil
}

var errNotNow = errors.New("not now")

// standStill has the server obey nothing until go on is called.
func (f *follower) standStill() (goOn func()) {
	hold := make(chan struct{})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hold = hold
	return sync.OnceFunc(func() {
		f.mu.Lock()
		f.hold = nil
		f.mu.Unlock()
		close(hold)
	})
}

func (f *follower) told(of RuleChange) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.news {
		if n.All {
			return true
		}
		for _, c := range n.Changes {
			if c == of {
				return true
			}
		}
	}
	return false
}

func (f *follower) change(t *testing.T, of RuleChange) {
	t.Helper()
	require.NoError(t, f.Write(t.Context(), func(tx *Tx) error {
		tx.ChangedRules(of)
		return logged(tx)
	}))
}

// TestAChangeOfRulesIsAwaitedUntilEveryNodeObeysOrItsLeaseHasRunOut is what an
// acknowledgement means.
func TestAChangeOfRulesIsAwaitedUntilEveryNodeObeysOrItsLeaseHasRunOut(t *testing.T) {
	at := pgtest.Fresh(t, "")
	here, there := newFollower(t, at, time.Minute), newFollower(t, at, time.Minute)
	of := RuleChange{Org: "org-a", Workspace: "w"}
	here.change(t, of)
	require.NoError(t, here.AwaitRules(t.Context()))
	require.True(t, here.told(of), "the node that changes them obeys as all do")
	require.True(t, there.told(of))

	goOn := there.standStill()
	defer goOn()
	of.Workspace = ""
	here.change(t, of)
	awaited := make(chan error, 1)
	go func() { awaited <- here.AwaitRules(t.Context()) }()
	require.Eventually(t, func() bool { return here.told(of) }, time.Minute, time.Millisecond)
	behind := func(n int) func() bool {
		return func() bool {
			newest, _, err := here.Read().ruleNumbers(t.Context())
			require.NoError(t, err)
			got, err := here.Read().nodesBehind(t.Context(), newest)
			require.NoError(t, err)
			return got == n
		}
	}
	require.Eventually(t, behind(1), time.Minute, time.Millisecond)
	require.Empty(t, awaited)
	goOn()
	require.NoError(t, <-awaited)
	require.True(t, there.told(of))

	defer there.standStill()()
	here.change(t, RuleChange{Org: "org-b"})
	go func() { awaited <- here.AwaitRules(t.Context()) }()
	require.Eventually(t, behind(1), time.Minute, time.Millisecond)
	require.Empty(t, awaited)
	require.NoError(t, here.ExpireLease(t.Context(), there.id))
	require.NoError(t, <-awaited, "it does nothing any more")
}

// TestAServerThatMissedNoticesObeysEverything cuts the connection on which they come.
func TestAServerThatMissedNoticesObeysEverything(t *testing.T) {
	at := pgtest.Fresh(t, "")
	here, there := newFollower(t, at, time.Minute), newFollower(t, at, time.Minute)
	require.NoError(t, here.AwaitRules(t.Context()))
	all := func() (n int, locks bool) {
		there.mu.Lock()
		defer there.mu.Unlock()
		for _, news := range there.news {
			if news.All {
				n++
			}
			locks = locks || news.Lock
		}
		return n, locks
	}
	require.Eventually(t, func() bool { n, _ := all(); return n > 0 }, time.Minute, time.Millisecond)
	before, locked := all()
	require.False(t, locked)
	_, err := onPostgres().raw(t, at).ExecContext(t.Context(),
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'")
	require.NoError(t, err)
	require.NoError(t, here.Write(t.Context(), func(tx *Tx) error { tx.LockAll(); return logged(tx) }))
	require.NoError(t, here.AwaitRules(t.Context()))
	after, locked := all()
	require.Greater(t, after, before)
	require.True(t, locked, "a lock that was missed is obeyed too")
	require.True(t, there.FollowsRules())
}

// TestANoticeThatWouldBeTooLongIsForEverybody has more told at once than a notice holds.
func TestANoticeThatWouldBeTooLongIsForEverybody(t *testing.T) {
	at := pgtest.Fresh(t, "")
	here, there := newFollower(t, at, time.Minute), newFollower(t, at, time.Minute)
	moved, stop := there.WatchEvents("org-a", "")
	defer stop()
	require.NoError(t, here.AwaitRules(t.Context()))
	require.NoError(t, here.Write(t.Context(), func(tx *Tx) error {
		for i := range 1000 {
			tx.ChangedRules(RuleChange{Org: "org-a", Workspace: string(rune('A' + i))})
		}
		return logged(tx)
	}))
	require.NoError(t, here.AwaitRules(t.Context()))
	there.mu.Lock()
	defer there.mu.Unlock()
	require.True(t, there.news[len(there.news)-1].All)
	require.NotEmpty(t, moved)
}

// TestAServerThatCannotObeyIsWaitedFor has one fail for a while, with what comes meanwhile.
func TestAServerThatCannotObeyIsWaitedFor(t *testing.T) {
	at := pgtest.Fresh(t, "")
	here, there := newFollower(t, at, time.Minute), newFollower(t, at, time.Minute)
	require.NoError(t, here.AwaitRules(t.Context()))
	there.mu.Lock()
	there.fails = 3
	there.mu.Unlock()
	first, second := RuleChange{Org: "org-a"}, RuleChange{Org: "org-b"}
	here.change(t, first)
	here.change(t, second)
	require.NoError(t, here.AwaitRules(t.Context()))
	there.mu.Lock()
	require.Zero(t, there.fails)
	there.mu.Unlock()
	require.True(t, there.told(first))
	require.True(t, there.told(second))
	require.True(t, there.FollowsRules())
}

// TestANodeIsToldOfRuntimesThatItIsToEndWhereItMissedTheNews reads them from the database.
func TestANodeIsToldOfRuntimesThatItIsToEndWhereItMissedTheNews(t *testing.T) {
	db := newFollower(t, pgtest.Fresh(t, migrated(t)), time.Minute)
	ctx := t.Context()
	require.NoError(t, db.Write(ctx, func(tx *Tx) error {
		return errors.Join(
			tx.InsertOrganization(ctx, Organization{ID: "org", Name: "org"}), logged(tx),
			tx.InsertWorkspace(ctx, "org", Workspace{ID: "w", Name: "w", Version: 1}), logged(tx),
		)
	}))
	for _, id := range []string{"one", "other"} {
		require.NoError(t, db.Write(ctx, func(tx *Tx) error {
			return errors.Join(tx.InsertRuntime(ctx, "org", Runtime{
				ID:          id,
				WorkspaceID: "w",
				Alias:       id,
				Status:      bctrl.RuntimeActive,
				Live:        true,
			}), logged(tx))
		}))
	}
	asked := func() []RuleChange {
		list, err := db.Read().AskedToEnd(ctx)
		require.NoError(t, err)
		return list
	}
	require.Empty(t, asked())
	require.NoError(t, db.Write(ctx, func(tx *Tx) error {
		return errors.Join(tx.AskToEnd(ctx, "org", "one"), logged(tx))
	}))
	require.Equal(t, []RuleChange{{Org: "org", Runtime: "one"}}, asked())
	require.NoError(t, db.Write(ctx, func(tx *Tx) error {
		_, err := tx.SetRuntimeStatus(ctx, "org", "one", bctrl.RuntimeStopped, "", Now())
		return errors.Join(err, logged(tx))
	}))
	require.Empty(t, asked())
}
