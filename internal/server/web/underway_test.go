package web

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/store"
)

// runtimeIn is a runtime caller of the organization "o".
func runtimeIn(id string) access.Caller {
	return access.Caller{Org: "o", Runtime: &access.Runtime{WorkspaceID: id}}
}

// TestNothingIsDecidedByOldRulesWhileTheyChange enters what has begun while the
// rules change: each is either decided by the new ones or asked about again.
func TestNothingIsDecidedByOldRulesWhileTheyChange(t *testing.T) {
	var u underway
	permitted := true
	decisions := 0
	asked := 0
	decide := func(context.Context) (entry, error) {
		if decisions++; decisions == 1 { // changed between the decision and its entry
			u.recheck(t.Context(), "o", "w")
		}
		return entry{caller: runtimeIn("w"), stillPermitted: func(context.Context) error {
			asked++
			if !permitted {
				return OutsideMount(bctrl.UseVault)
			}
			return nil
		}}, nil
	}
	err := u.while(t.Context(), decide, func(ctx context.Context) error {
		require.Equal(t, 2, decisions, "decided again")
		u.recheck(ctx, "another", "w")
		u.recheck(ctx, "o", "another")
		require.Zero(t, asked, "neither concerns it")
		u.recheck(ctx, "o", "")
		u.recheck(ctx, "o", "w")
		require.Equal(t, 2, asked)
		require.NoError(t, ctx.Err())
		permitted = false
		u.recheck(ctx, "o", "w")
		require.ErrorIs(t, EndedBecause(ctx), bctrl.ErrOutsideMount)
		return fmt.Errorf("the provider is gone: %w", ctx.Err())
	})
	require.ErrorIs(t, err, bctrl.ErrOutsideMount)
	require.Empty(t, u.open)
	require.NoError(t, EndedBecause(t.Context()))
}

// begun is something underway of which all is permitted.
func begun(t *testing.T, u *underway, e entry) (context.Context, *activity) {
	t.Helper()
	ctx, a, err := u.begin(t.Context(), func(context.Context) (entry, error) { return e, nil })
	require.NoError(t, err)
	t.Cleanup(a.close)
	return ctx, a
}

func TestWhatIsDoneForASubaccountDependsOnTheRulesOfItsParentToo(t *testing.T) {
	var u underway
	asked := 0
	e := entry{
		caller:         access.Caller{Org: "sub", Parent: "o"},
		stillPermitted: func(context.Context) error { asked++; return nil },
	}
	_, a := begun(t, &u, e)
	u.recheck(t.Context(), "o", "")
	u.recheck(t.Context(), "sub", "")
	require.Equal(t, 2, asked)
	a.leave()
	u.recheck(t.Context(), "o", "")
	require.Equal(t, 2, asked, "what has left is asked about no more")
	require.Empty(t, u.open)
}

func TestWhatHasLeftIsNotEnded(t *testing.T) {
	var u underway
	refuse := func(context.Context) error { return OutsideMount(bctrl.UseVault) }
	ctx, a := begun(t, &u, entry{caller: runtimeIn("w"), stillPermitted: refuse})
	a.leave()
	u.recheck(t.Context(), "o", "")
	u.lock(ErrLocked)
	require.NoError(t, ctx.Err())
}

func TestALockEndsWhatNeedsTheKeyAndIsSeenByWhatBegins(t *testing.T) {
	var u underway
	keyed, _ := begun(t, &u, entry{caller: access.Caller{Org: "o"}})
	keyless, _ := begun(t, &u, entry{caller: access.Caller{Org: "o"}, keyless: true})
	decisions := 0
	_, a, err := u.begin(t.Context(), func(context.Context) (entry, error) {
		if decisions++; decisions == 1 {
			u.lock(ErrLocked)
		}
		return entry{caller: access.Caller{Org: "another"}}, nil
	})
	require.NoError(t, err)
	defer a.close()
	require.Equal(t, 2, decisions, "a decision from before the lock is no decision, in any organization")
	require.ErrorIs(t, EndedBecause(keyed), ErrLocked)
	require.NoError(t, keyless.Err())
}

func TestWhatATokenHasUnderwayEndsWithItsExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var u underway
		c := runtimeIn("w")
		c.Token = &access.Token{ID: "t", Expires: time.Now().Add(time.Minute)}
		ctx, _ := begun(t, &u, entry{caller: c})
		<-time.After(time.Minute - 1)
		synctest.Wait()
		require.NoError(t, EndedBecause(ctx))
		<-ctx.Done()
		require.False(t, time.Now().After(c.Token.Expires))
		require.ErrorIs(t, EndedBecause(ctx), errTokenExpired)
	})
}

func TestAConditionIsAskedByEveryDecisionUntilItIsTakenOut(t *testing.T) {
	var k Kernel
	granted := &Grant{Caller: access.Caller{Org: "o", KeyID: "k"}}
	asked, met := 0, true
	drop := granted.Require(func(_ context.Context, _ store.Queries, c access.Caller) error {
		require.Equal(t, "k", c.KeyID, "for the caller of the grant")
		if asked++; met {
			return nil
		}
		return ErrLocked
	})
	other := 0
	granted.Require(func(context.Context, store.Queries, access.Caller) error { other++; return nil })
	decide := func() error { return k.StillPermitted(t.Context(), store.Queries{}, granted) }
	require.NoError(t, decide())
	met = false
	require.ErrorIs(t, decide(), ErrLocked)
	require.Equal(t, 2, asked)
	drop()
	drop()
	require.NoError(t, decide(), "it is asked no more")
	require.Equal(t, [2]int{2, 2}, [2]int{asked, other}, "the other still is")
}

// beside marks what is decided beside a transaction.
type beside struct{}

// TestATransactionDoesNotWaitForWhatIsDecidedBesideIt has a condition read for long, as where
// the database is slow.
func TestATransactionDoesNotWaitForWhatIsDecidedBesideIt(t *testing.T) {
	k := Kernel{DB: &store.DB{}}
	granted := &Grant{Caller: access.Caller{Org: "o"}}
	reads, goOn := make(chan struct{}), make(chan struct{})
	drop := granted.Require(func(ctx context.Context, _ store.Queries, _ access.Caller) error {
		if ctx.Value(beside{}) == nil {
			return nil
		}
		close(reads)
		<-goOn
		return ErrLocked
	})
	renewed := make(chan error, 1)
	go func() { renewed <- k.StillPermittedNow(context.WithValue(t.Context(), beside{}, true), granted) }()
	<-reads
	transaction := make(chan error, 1)
	go func() {
		err := k.StillPermitted(t.Context(), store.Queries{}, granted)
		granted.Require(func(context.Context, store.Queries, access.Caller) error { return nil })()
		drop()
		transaction <- err
	}()
	select {
	case err := <-transaction:
		require.NoError(t, err)
	case <-time.After(time.Minute):
		require.Fail(t, "the transaction waits")
	}
	close(goOn)
	require.NoError(t, <-renewed, "the condition that refuses was taken out")
}
