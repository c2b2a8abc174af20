package runtimes

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

func entered(t require.TestingT, a *admission, id, org, workspace string) *place {
	p, err := a.enter(id, tenant{org, workspace}, true)
	require.NoError(t, err)
	return p
}

// awaitRoom waits until there is room here.
func (p *place) awaitRoom(t *testing.T) {
	elsewhere, err := p.waitForRoom(t.Context())
	require.NoError(t, err)
	require.Empty(t, elsewhere.ID)
}

func TestTheQueueIsFairByOrganizationAndWorkspace(t *testing.T) {
	a := newAdmission(Capacity{Runtimes: 2})
	first, second := entered(t, a, "a0", "a", "w"), entered(t, a, "a1", "a", "w")
	require.False(t, first.isWaiting())
	require.False(t, second.isWaiting())
	for i := 2; i < 6; i++ {
		require.True(t, entered(t, a, fmt.Sprint("a", i), "a", "w").isWaiting())
	}
	entered(t, a, "a-other", "a", "other")
	b := entered(t, a, "b0", "b", "w")
	entered(t, a, "b1", "b", "w")
	want := []string{
		"b0", // b has none
		"b1", // and then one
		"a-other", "a2", "a3", "a4", "a5",
	}
	for i, id := range want {
		require.Equal(t, i+1, a.placeOf(id), id)
	}
	first.release()
	first.release() // twice
	<-b.wait.admitted
	require.Zero(t, a.placeOf("b0"))
	require.Equal(t, 1, a.placeOf("a-other"), "both have one now, and b was let in last")
	require.Equal(t, 2, a.placeOf("b1"))
	live, queued := a.counts()
	require.Equal(t, 2, live)
	require.Equal(t, 6, queued)
}

func TestWhoHadAllTheRoomDoesNotTakeItBackBeforeOthers(t *testing.T) {
	a := newAdmission(Capacity{Runtimes: 1})
	holder := entered(t, a, "busy0", "org", "busy")
	for i := 1; i < 4; i++ {
		entered(t, a, fmt.Sprint("busy", i), "org", "busy")
	}
	other := entered(t, a, "other", "org", "other")
	require.Equal(t, 1, a.placeOf("other"))
	holder.release()
	<-other.wait.admitted
	other.release()
	require.Zero(t, a.placeOf("busy1"))
}

func TestNobodyIsLetInBeyondTheBoundAndNoRoomIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bound := rapid.IntRange(1, 4).Draw(t, "bound")
		a := newAdmission(Capacity{Runtimes: bound})
		var all []*place
		inside := func() (n int) {
			for _, p := range all {
				if p.wait == nil {
					n++
					continue
				}
				select {
				case <-p.wait.admitted:
					n++
				default:
				}
			}
			return n
		}
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(all) > 0 && rapid.Bool().Draw(t, "leave") {
				k := rapid.IntRange(0, len(all)-1).Draw(t, "who")
				all[k].release()
				all = append(all[:k], all[k+1:]...)
			} else {
				org := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "org")
				ws := rapid.SampledFrom([]string{"v", "w"}).Draw(t, "workspace")
				all = append(all, entered(t, a, fmt.Sprint(i), org, ws))
			}
			require.Equal(t, min(bound, len(all)), inside())
			seen := map[int]bool{}
			for _, p := range all {
				if p.wait != nil {
					if at := a.placeOf(p.wait.id); at > 0 {
						require.False(t, seen[at], "two at one place")
						seen[at] = true
					}
				}
			}
			require.Len(t, seen, max(len(all)-bound, 0))
			for at := range seen {
				require.LessOrEqual(t, at, len(seen))
			}
		}
		for _, p := range all {
			p.release()
		}
		require.Equal(t, (&admission{
			Capacity: a.Capacity,
			live:     map[string]int{},
			liveIn:   map[tenant]int{},
			queue:    []*waitingLaunch{},
		}).describe(), a.describe())
	})
}

// describe is what an admission counts, for comparing.
func (a *admission) describe() string {
	return fmt.Sprint(a.live, a.liveIn, a.total, a.starting, len(a.queue), len(a.turn))
}

func TestWhoWaitsForRoomIsRefusedInTimeAndLeavesTheQueueWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(Capacity{Runtimes: 1, QueueTime: time.Minute})
		holder := entered(t, a, "0", "a", "w")
		holder.awaitRoom(t)
		late := entered(t, a, "1", "a", "w")
		_, err := late.waitForRoom(t.Context())
		require.Equal(t, codeAtCapacity, web.AsError(err).Code)
		require.Equal(t, 429, web.AsError(err).Status)
		require.ErrorContains(t, err, "place 1")
		late.release()

		why := errors.New("the caller left")
		ctx, leave := context.WithCancelCause(t.Context())
		gone := entered(t, a, "2", "a", "w")
		time.AfterFunc(time.Second, func() { leave(why) })
		_, err = gone.waitForRoom(ctx)
		require.ErrorIs(t, err, why)
		gone.release()
		next := entered(t, a, "3", "a", "w")
		require.Equal(t, 1, a.placeOf("3"))
		time.AfterFunc(time.Second, holder.release)
		next.awaitRoom(t)
		next.release()
		require.Equal(t, "map[] map[] 0 0 0 0", a.describe())
	})
}

func TestALaunchWaitsUntilThereIsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := int64(0)
		a := newAdmission(Capacity{MinFree: 1 << 30, Available: func() (int64, bool) { return free, true }})
		one := entered(t, a, "0", "a", "w")
		require.False(t, one.isWaiting(), "one may start however little there is")
		one.hasStarted()
		two, three := entered(t, a, "1", "a", "w"), entered(t, a, "2", "a", "w")
		require.True(t, two.isWaiting())
		free = 1<<30 + startingMemory // for one
		two.awaitRoom(t)
		require.Equal(t, 1, a.placeOf("2"), "what starts has not taken its memory yet")
		two.hasStarted()
		three.awaitRoom(t)
	})
}

func TestTheQueueItselfIsBounded(t *testing.T) {
	a := newAdmission(Capacity{Runtimes: 1})
	for i := range maxQueue + 1 {
		entered(t, a, fmt.Sprint(i), fmt.Sprint("org", i%7), "w")
	}
	_, err := a.enter("more", tenant{"new", "w"}, true)
	require.Equal(t, codeAtCapacity, web.AsError(err).Code)
}

// TestThoseThatAreNextAreOfferedFirstAndKeepTheirPlace has another node have room for two.
func TestThoseThatAreNextAreOfferedFirstAndKeepTheirPlace(t *testing.T) {
	a := newAdmission(Capacity{Runtimes: 1, QueueTime: time.Minute})
	holder := entered(t, a, "a0", "a", "w")
	a1, a2 := entered(t, a, "a1", "a", "w"), entered(t, a, "a2", "a", "w")
	bound, err := a.enter("b0", tenant{"b", "w"}, false)
	require.NoError(t, err)
	b1 := entered(t, a, "b1", "b", "w")
	room := 2
	offer := func() {
		a.offer(func() (n cluster.Node) {
			if room--; room >= 0 {
				n.ID = "other"
			}
			return n
		})
	}
	offered := func(p *place) bool { return len(p.wait.offers) > 0 }
	offer()
	require.True(t, offered(b1), "b has none, and b0 is bound to this node")
	require.True(t, offered(a1))
	require.False(t, offered(a2))
	for _, p := range []*place{b1, a1} {
		to, err := p.waitForRoom(t.Context())
		require.NoError(t, err)
		require.Equal(t, "other", to.ID)
	}
	room = 1
	offer()
	require.False(t, offered(b1), "it is being offered")
	require.True(t, offered(a2))
	require.Equal(t, 2, a.placeOf("b1"))
	b1.moved()
	require.Zero(t, a.placeOf("b1"))
	a1.stays()
	require.Equal(t, 2, a.placeOf("a1"))
	require.Nil(t, a.enterWithoutWaiting(tenant{"c", "w"}), "nobody overtakes those who wait")
	holder.release()
	a1.awaitRoom(t) // b has had its turn
	a1.release()
	bound.awaitRoom(t)
	bound.release()
	a2.release()
	require.NotNil(t, a.enterWithoutWaiting(tenant{"c", "w"}))
	require.Nil(t, a.enterWithoutWaiting(tenant{"c", "w"}), "it is full")
}

// TestRoomThatComesFreeWhileALaunchIsOfferedIsItsOwn: it is not lost, whatever the other node says.
func TestRoomThatComesFreeWhileALaunchIsOfferedIsItsOwn(t *testing.T) {
	for _, taken := range []bool{false, true} {
		a := newAdmission(Capacity{Runtimes: 1, QueueTime: time.Hour})
		holder, first, second := entered(t, a, "0", "a", "w"), entered(t, a, "1", "a", "w"), entered(t, a, "2", "a", "w")
		a.offer(func() cluster.Node { return cluster.Node{ID: "other"} })
		_, err := first.waitForRoom(t.Context())
		require.NoError(t, err)
		holder.release()
		if taken {
			first.moved()
			first.release() // twice
		} else {
			first.stays()
			first.awaitRoom(t)
			require.Equal(t, 1, a.placeOf("2"))
			first.release()
		}
		<-second.wait.admitted
		second.release()
		require.Equal(t, "map[] map[] 0 0 0 0", a.describe())
	}
}

func TestWhoHasLeftIsNotAskedForElsewhere(t *testing.T) {
	a := newAdmission(Capacity{Runtimes: 1, QueueTime: time.Hour})
	entered(t, a, "0", "a", "w")
	gone := entered(t, a, "1", "a", "w")
	a.offer(func() cluster.Node { return cluster.Node{ID: "other"} })
	ctx, leave := context.WithCancel(t.Context())
	leave()
	_, err := gone.waitForRoom(ctx)
	require.ErrorIs(t, err, context.Canceled)
}
