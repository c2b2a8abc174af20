package store

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// TestANameIsHeldByOneNodeThatLives takes it on two, and again when the first has died.
func TestANameIsHeldByOneNodeThatLives(t *testing.T) {
	at := pgtest.Fresh(t, "")
	nodes := []*follower{newFollower(t, at, time.Minute), newFollower(t, at, time.Minute)}
	takes := func(n int) (Held, bool) {
		h, held, err := nodes[n].Hold(t.Context(), "name")
		require.NoError(t, err)
		return h, held
	}
	first, held := takes(0)
	require.True(t, held)
	_, held = takes(1)
	require.False(t, held)
	nodes[0].Release(t.Context(), first)
	second, held := takes(1)
	require.True(t, held)
	_, held = takes(0)
	require.False(t, held)
	require.NoError(t, nodes[0].ReleaseDead(t.Context()))
	_, held = takes(0)
	require.False(t, held)

	nodes[0].Release(t.Context(), first) // late, as where the database did not answer
	_, held = takes(0)
	require.False(t, held, "it is not this node's to give back any more")
	nodes[1].Release(t.Context(), second)
	third, held := takes(1)
	require.True(t, held)
	nodes[1].Release(t.Context(), second)
	_, held = takes(0)
	require.False(t, held, "of the same node either")
	nodes[1].Fence("another") // it has come back as another node
	nodes[1].Release(t.Context(), third)
	_, held = takes(0)
	require.True(t, held, "it was given back all the same")
	nodes[0].Fence(nodes[0].id)

	require.NoError(t, nodes[1].ExpireLease(t.Context(), nodes[0].id))
	_, held = takes(1)
	require.True(t, held, "who had it is dead")
}

// TestWhoTakesAHoldOverHasItAlone moves one with a transaction that is run twice, as where nobody
// knew of the first, and has the node that it was taken from die.
func TestWhoTakesAHoldOverHasItAlone(t *testing.T) {
	at := pgtest.Fresh(t, "")
	from, to, other := newFollower(t, at, time.Minute), newFollower(t, at, time.Minute), newFollower(t, at, time.Minute)
	was, held, err := from.Hold(t.Context(), "name")
	require.NoError(t, err)
	require.True(t, held)
	var has Held
	take := func(name string) {
		require.NoError(t, to.Write(t.Context(), func(tx *Tx) (err error) {
			has, err = tx.TakeHold(t.Context(), name, from.id)
			return err
		}))
	}
	take("nobody's")
	require.Zero(t, has)
	to.Release(t.Context(), has)
	take("name")
	take("name")
	from.Release(t.Context(), was)
	require.NoError(t, other.ExpireLease(t.Context(), from.id))
	_, held, err = other.Hold(t.Context(), "name")
	require.NoError(t, err)
	require.False(t, held)
	to.Release(t.Context(), has)
	_, held, err = other.Hold(t.Context(), "name")
	require.NoError(t, err)
	require.True(t, held)
}

// newHeld is a hold of a name that a node is about to take.
func newHeld(t *testing.T, name string) Held {
	t.Helper()
	nonce, err := uuid.NewV7()
	require.NoError(t, err)
	return Held{name, nonce.String()}
}

// TestAStatementThatComesLateTakesNoName has the database hear of one only when its node, of
// which nobody had told it, has taken the name again.
func TestAStatementThatComesLateTakesNoName(t *testing.T) {
	at := pgtest.Fresh(t, "")
	node, other := newFollower(t, at, time.Minute), newFollower(t, at, time.Minute)
	late := newHeld(t, "name")
	again, held, err := node.Hold(t.Context(), "name")
	require.NoError(t, err)
	require.True(t, held)
	held, err = node.takeHold(t.Context(), node.id, late)
	require.NoError(t, err)
	require.False(t, held)
	node.Release(t.Context(), late)
	_, held, err = other.Hold(t.Context(), "name")
	require.NoError(t, err)
	require.False(t, held, "what is held is not given back with what was not")
	node.Release(t.Context(), again)
	_, held, err = other.Hold(t.Context(), "name")
	require.NoError(t, err)
	require.True(t, held)
}

// TestANameThatIsTakenLateIsGivenBack has the statement come when the node has given up, and
// once when it has tried to give the name back already.
func TestANameThatIsTakenLateIsGivenBack(t *testing.T) {
	at := pgtest.Fresh(t, "")
	node, other := newFollower(t, at, time.Minute), newFollower(t, at, time.Minute)
	late := newHeld(t, "name")
	node.giveBack(owedHold{nonce: late.nonce, inDoubt: true})
	require.Eventually(t, func() bool {
		node.owed.mu.Lock()
		defer node.owed.mu.Unlock()
		return len(node.owed.holds) == 1 && !node.owed.holds[0].until.IsZero()
	}, time.Minute, time.Millisecond)
	held, err := node.takeHold(t.Context(), node.id, late)
	require.NoError(t, err)
	require.True(t, held)
	require.Eventually(t, func() bool {
		_, held, err := other.Hold(t.Context(), "name")
		require.NoError(t, err)
		return held
	}, time.Minute, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		node.owed.mu.Lock()
		defer node.owed.mu.Unlock()
		return !node.owed.runs && len(node.owed.holds) == 0
	}, time.Minute, 10*time.Millisecond, "nobody looks for it any more")
}

// TestHoldsAreGivenBackWhenTheDatabaseIsThereAgain has it not answer while names are taken
// and given back.
func TestHoldsAreGivenBackWhenTheDatabaseIsThereAgain(t *testing.T) {
	at := pgtest.Fresh(t, "")
	cable := pgtest.NewCable(t, at)
	other, impatient := newFollower(t, at, time.Minute), openShared(t, cable.URL(at))
	on := *impatient.on
	on.limit = 300 * time.Millisecond
	impatient.queries.on = &on
	node := follow(t, impatient, time.Minute)
	given, held, err := node.Hold(t.Context(), "given back")
	require.NoError(t, err)
	require.True(t, held)
	cable.Set(pgtest.StandsStill)
	node.Release(t.Context(), given)
	_, held, err = node.Hold(t.Context(), "taken in doubt")
	require.ErrorIs(t, err, ErrUnavailable)
	require.False(t, held)
	cable.Set(pgtest.Carries)
	for _, name := range []string{"given back", "taken in doubt"} {
		require.Eventually(t, func() bool {
			_, held, err := other.Hold(context.WithoutCancel(t.Context()), name)
			require.NoError(t, err)
			return held
		}, time.Minute, 10*time.Millisecond, name)
	}
}

// TestWhatIsInDoubtIsOwedUntilNoStatementCanComeAnyMore is what is looked for, and for how
// long.
func TestWhatIsInDoubtIsOwedUntilNoStatementCanComeAnyMore(t *testing.T) {
	now := time.Now()
	asked := []owedHold{{nonce: "held"}, {nonce: "taken", inDoubt: true}, {nonce: "not yet", inDoubt: true}}
	owed := stillOwed(asked, []string{"held", "taken"}, now)
	require.Equal(t, []owedHold{{nonce: "not yet", inDoubt: true, until: now.Add(answerLimit)}}, owed)
	require.Equal(t, owed, stillOwed(owed, nil, now.Add(answerLimit-1)))
	require.Empty(t, stillOwed(owed, nil, now.Add(answerLimit)))
}
