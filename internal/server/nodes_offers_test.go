package server

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/cluster/peer"
	"github.com/bctrl-go/bctrl/internal/server/runtimes"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// offering are nodes that offer each other launches in memory, and pass no request on.
type offering struct {
	*nodes
	ws store.Workspace
	// carry is what happens to an offer on its way; nil carries it there and the answer back.
	carry atomic.Pointer[carryFunc]
	// refusals counts the offers that were not taken.
	refusals atomic.Int64
}

// carryFunc carries an offer to a node, which take does, and its answer back.
type carryFunc func(take takeFunc) (any, error)

type takeFunc func() (any, error)

// newOffering starts two nodes, each with room for one runtime, which it has.
func newOffering(t *testing.T, lease time.Duration, change ...func(*Config)) *offering {
	change = append(change, func(c *Config) {
		c.Capacity = Capacity{Runtimes: 1, QueueTime: time.Hour, UnreachedTime: 100 * time.Millisecond}
	})
	o := &offering{nodes: newNodes(t, 2, lease, change...)}
	for _, n := range o.all {
		n.server.Peers = o
	}
	o.ws = o.all[0].made("w", object{})
	for i, n := range o.all {
		n.launch(o.ws, []string{"first", "second"}[i], nil)
	}
	return o
}

func (o *offering) Passed(*http.Request) bool { return true }

func (o *offering) Pass(http.ResponseWriter, *http.Request, cluster.Node) error { return peer.ErrLost }

func (o *offering) Ask(context.Context, cluster.Node, string, any, any) error {
	return peer.ErrUnknownQuestion
}

func (o *offering) AskInParts(
	ctx context.Context, to cluster.Node, name string, question, first any,
) (rest func(any) error, err error) {
	if name != runtimes.OfferQuestion {
		return nil, peer.ErrUnknownQuestion
	}
	asked, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	take := func() (any, error) { return nil, peer.ErrLost }
	for _, n := range o.all {
		if n.member.Self().ID == to.ID {
			take = func() (any, error) { return n.server.runtimes.AnswerOffer(context.WithoutCancel(ctx), asked) }
		}
	}
	carry := func(take takeFunc) (any, error) { return take() }
	if other := o.carry.Load(); other != nil {
		carry = *other
	}
	answered, err := carry(take)
	if err != nil {
		return nil, err
	}
	if !isTaken(answered) {
		o.refusals.Add(1)
		return func(any) error { return nil }, told(answered, first)
	}
	parts := answered.(peer.InParts)
	return func(rest any) error {
		if rest == nil {
			return nil
		}
		return told(parts.Rest(ctx), rest)
	}, told(parts.First, first)
}

// isTaken reports whether an answer to an offer says that it is taken. What a node knows of the room of
// others is of a moment ago, so that one may be refused first.
func isTaken(answer any) bool {
	_, taken := answer.(peer.InParts)
	return taken
}

// told is what an answer is to another node.
func told(answer, to any) error {
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, to)
}

// on carries the offers from now on, until the test ends.
func (o *offering) on(t *testing.T, carry carryFunc) {
	o.carry.Store(&carry)
	t.Cleanup(func() { o.carry.Store(nil) })
}

// waits has a launch wait on the first node while the second is full too, and returns its answer,
// how to leave, and its id.
func (o *offering) waits(alias string) (got <-chan answer, leave func(), id string) {
	o.Helper()
	first, second := o.all[0], o.all[1]
	if len(second.browsers.Running()) == 0 {
		second.launch(o.ws, "second", nil)
	}
	got, leave = first.askedToLaunch(o.ws, alias)
	first.queuedAt(o.ws, alias, 1)
	return got, leave, o.runtime(alias).ID
}

func (o *offering) runtime(alias string) (rt bctrl.RuntimeInfo) {
	o.Helper()
	o.all[0].ok("GET", []string{"workspaces", o.ws.ID, "runtimes", alias}, nil, &rt)
	return rt
}

func (o *offering) stop(n *node, alias string) {
	o.Helper()
	n.ok("POST", []string{"workspaces", o.ws.ID, "runtimes", alias, "stop"}, nil, nil)
}

// isAt requires that a launch succeeded, under its id, on a node alone.
func (o *offering) isAt(got answer, id string, n *node) {
	o.Helper()
	require.Equal(o, http.StatusOK, got.Status, "%s", got.Body)
	var rt bctrl.RuntimeInfo
	require.NoError(o, json.Unmarshal(got.Body, &rt))
	require.Equal(o, id, rt.ID)
	require.Equal(o, bctrl.RuntimeActive, rt.Status)
	for _, other := range o.all {
		require.Equal(o, n == other, slices.Contains(other.browsers.Running(), id))
	}
}

// history are the events that tell of a runtime's life.
func (o *offering) history(id string) (actions []string) {
	o.Helper()
	var list struct{ Events []struct{ Action string } }
	got := o.all[0].do("GET", []string{"audit"}, map[string][]string{"runtimeId": {id}}, nil)
	require.Equal(o, http.StatusOK, got.Status, "%s", got.Body)
	require.NoError(o, json.Unmarshal(got.Body, &list))
	for _, e := range list.Events {
		if e.Action != string(access.RuntimeLaunch) {
			actions = append(actions, e.Action)
		}
	}
	slices.Sort(actions)
	return actions
}

func TestALaunchThatWaitsGoesOnWhereRoomComesFree(t *testing.T) {
	o := newOffering(t, lasting)
	first, second := o.all[0], o.all[1]
	launch := object{"alias": "moves", "kind": "browser", "driver": "stagehand", "launch": object{}}
	send := func(n *node) answer {
		return n.do("POST", []string{"workspaces", o.ws.ID, "runtimes"}, nil, launch, "Idempotency-Key", "once")
	}
	answered := make(chan answer, 1)
	go func() { answered <- send(first) }()
	first.queuedAt(o.ws, "moves", 1)
	id := o.runtime("moves").ID
	o.stop(second, "second")
	got := <-answered
	o.isAt(got, id, second)
	require.Equal(t, []string{"runtime.active", "runtime.starting"}, o.history(id))
	for _, n := range o.all {
		again := send(n)
		require.Equal(t, http.StatusOK, again.Status, "%s", again.Body)
		require.JSONEq(t, string(got.Body), string(again.Body))
	}

	t.Run("it has its place again where the other was full", func(t *testing.T) {
		got, _, id := o.waits("stays")
		first.settled(func() bool {
			o.tellRoom(second, 1) // which it has not
			return o.refusals.Load() > 0
		}, "it was refused")
		first.queuedAt(o.ws, "stays", 1)
		o.stop(first, "first")
		o.isAt(<-got, id, first)
		o.stop(first, "stays")
		first.launch(o.ws, "first", nil)
		o.stop(second, "moves")
	})
	t.Run("but not for a caller who has left", func(t *testing.T) {
		got, leave, id := o.waits("left")
		o.on(t, func(takeFunc) (any, error) {
			leave()
			return nil, peer.ErrLost
		})
		o.stop(second, "second")
		require.Equal(t, web.ErrAbandoned.Code, (<-got).code())
		require.Equal(t, []string{"runtime.starting", "runtime.stopped"}, o.history(id))
	})
	t.Run("nor where it was stopped meanwhile", func(t *testing.T) {
		for _, when := range []string{"before", "after"} {
			got, _, id := o.waits("stopped")
			stopped := make(chan struct{})
			stop := sync.OnceFunc(func() {
				go func() {
					defer close(stopped)
					got := first.do("POST", []string{"workspaces", o.ws.ID, "runtimes", "stopped", "stop"}, nil, nil)
					assert.Equal(t, http.StatusOK, got.Status, "%s", got.Body)
				}()
			})
			o.on(t, func(take takeFunc) (answer any, err error) {
				if when == "before" {
					stop()
				}
				answer, err = take()
				if when == "after" && isTaken(answer) {
					stop()
				}
				return answer, err
			})
			o.stop(second, "second")
			<-got // 200 where it was stopped last
			<-stopped
			require.Equal(t, bctrl.RuntimeStopped, o.runtime("stopped").Status, when)
			require.Empty(t, second.browsers.Running())
			require.Equal(t, 1, len(slices.DeleteFunc(o.history(id), func(a string) bool { return a != "runtime.stopped" })))
			require.Len(t, first.browsers.Running(), 1)
		}
	})
	t.Run("once, where nobody hears that it was taken", func(t *testing.T) {
		got, _, id := o.waits("unheard")
		o.on(t, func(take takeFunc) (any, error) {
			if _, err := take(); err != nil {
				return nil, err
			}
			return nil, peer.ErrLost
		})
		o.stop(second, "second")
		o.isAt(<-got, id, second)
		o.stop(second, "unheard")
	})
	t.Run("nor by an offer that comes late", func(t *testing.T) {
		got, _, id := o.waits("late")
		late := make(chan takeFunc, 1)
		var tookLate atomic.Bool
		o.on(t, func(take takeFunc) (any, error) {
			select {
			case late <- take:
				return nil, peer.ErrLost
			default:
			}
			answer, err := (<-late)()
			if isTaken(answer) || err != nil {
				tookLate.Store(true)
				return answer, err
			}
			return take()
		})
		o.stop(second, "second")
		o.isAt(<-got, id, second)
		require.False(t, tookLate.Load())
		o.stop(second, "late")
	})
	t.Run("with what its workspace mounts by then", func(t *testing.T) {
		defer func(ws store.Workspace) { o.ws = ws }(o.ws)
		o.ws = first.made("lowered", object{"vault": object{"allow": []string{"prod/"}}})
		first.setLogin("prod/crm")
		for _, when := range []string{"before", "after"} {
			lower := func(is string, mounts object) {
				if is == when {
					got := first.do("PATCH", []string{"workspaces", o.ws.ID}, nil, object{"mounts": mounts})
					assert.Equal(t, http.StatusOK, got.Status, "%s", got.Body)
				}
			}
			got, _, id := o.waits("lowered")
			o.on(t, func(take takeFunc) (any, error) {
				lower("before", object{})
				answer, err := take()
				lower("after", object{})
				return answer, err
			})
			o.stop(second, "second")
			o.isAt(<-got, id, second)
			read := second.with(first.mint(o.ws.ID, "lowered", object{}), "GET", []string{"vault", "prod/crm"}, nil)
			require.Equal(t, http.StatusForbidden, read.Status, "%s %s", when, read.Body)
			o.stop(second, "lowered")
			lower(when, object{"vault": object{"allow": []string{"prod/"}}})
		}
	})
	t.Run("once the database takes it, which has become read-only", func(t *testing.T) {
		got, _, id := o.waits("unwritten")
		o.on(t, func(take takeFunc) (answer any, err error) {
			o.readOnly("on")
			// Not required, since this is not the test's goroutine.
			assert.Eventually(t, second.reads, time.Minute, time.Millisecond, "on connections that can do no more")
			tried := make(chan struct{})
			go func() {
				defer close(tried)
				answer, err = take()
			}()
			assert.Eventually(t, func() bool { return second.db.WriteFault() != nil }, time.Minute, time.Millisecond)
			o.readOnly("off")
			<-tried
			return answer, err
		})
		o.stop(second, "second")
		o.isAt(<-got, id, second)
		o.stop(second, "unwritten")
	})
	t.Run("also when its node is drained", func(t *testing.T) {
		got, _, id := o.waits("drained")
		first.ok("POST", []string{"nodes", first.member.Self().ID, "drain"}, nil, nil)
		require.Eventually(t, first.member.Draining, time.Minute, time.Millisecond)
		o.stop(second, "second")
		o.isAt(<-got, id, second)
		require.Zero(t, first.server.runtimes.TakenAway())
	})
}

// reads reports whether each connection that the node reads by is one that is there.
func (n *node) reads() bool {
	for range 50 {
		if _, err := n.db.Read().HasOrganizations(n.Context()); err != nil {
			return false
		}
	}
	return true
}

// readOnly has the database take no writes from any node, or take them again. It may be called from
// another goroutine than the test's.
func (o *offering) readOnly(onOff string) {
	o.Helper()
	db, err := sql.Open("pgx", o.database+"&default_transaction_read_only=off")
	if err != nil {
		o.Error(err)
		return
	}
	for _, statement := range []string{
		"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = " + onOff +
			"', current_database()); END $$",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity " +
			"WHERE datname = current_database() AND pid <> pg_backend_pid()",
	} {
		if _, err := db.ExecContext(o.Context(), statement); err != nil {
			o.Error(err)
		}
	}
	if err := db.Close(); err != nil {
		o.Error(err)
	}
}

// tellRoom has a node be known for room, until it tells of its own.
func (o *offering) tellRoom(n *node, room int) {
	o.Helper()
	_, err := n.db.RenewLease(o.Context(), store.Renewal{ID: n.member.Self().ID, Lease: lasting, Runtimes: 9, Room: room})
	require.NoError(o, err)
}

// TestALaunchThatMovedOutlivesTheNodeThatItWaitedOn has that lose its lease once the other has
// taken the launch, and the answer be found there.
func TestALaunchThatMovedOutlivesTheNodeThatItWaitedOn(t *testing.T) {
	o := newOffering(t, lasting)
	first, lost := o.all[0], o.all[1]
	launch := object{"alias": "moves", "kind": "browser", "driver": "stagehand", "launch": object{}}
	send := func(n *node) answer {
		return n.do("POST", []string{"workspaces", o.ws.ID, "runtimes"}, nil, launch, "Idempotency-Key", "once")
	}
	was := lost.member.Self().ID
	o.on(t, func(take takeFunc) (any, error) {
		answer, err := take()
		if isTaken(answer) {
			err = errors.Join(err, first.db.ExpireLease(t.Context(), was))
		}
		return answer, err
	})
	answered := make(chan answer, 1)
	go func() { answered <- send(lost) }()
	lost.queuedAt(o.ws, "moves", 1)
	id := o.runtime("moves").ID
	o.stop(first, "first")
	<-answered // of which it may have heard just before
	lost.settled(func() bool {
		return o.runtime("second").Status == bctrl.RuntimeFailed && lost.member.Valid() == nil
	}, "it has ended, and come back as another")
	o.isAt(send(first), id, first)
	require.Equal(t, []string{"runtime.active", "runtime.starting"}, o.history(id))
}

// heldDriver starts browsers at once, or where held is set once that is closed.
type heldDriver struct {
	browser.Driver
	held *atomic.Pointer[chan struct{}]
}

func (d heldDriver) Launch(ctx context.Context, spec browser.Spec) (browser.Browser, error) {
	if held := d.held.Load(); held != nil {
		<-*held
	}
	return d.Driver.Launch(ctx, spec)
}

// TestALaunchThatMovedIsStillInProgressForWhoSendsItAgain has the node that it waited on lose its
// lease while the browser starts at the other: whoever sends it again, to any node, waits for that.
func TestALaunchThatMovedIsStillInProgressForWhoSendsItAgain(t *testing.T) {
	var held atomic.Pointer[chan struct{}]
	o := newOffering(t, lasting, func(c *Config) { c.Browsers = heldDriver{c.Browsers, &held} })
	first, lost := o.all[0], o.all[1]
	launch := object{"alias": "moves", "kind": "browser", "driver": "stagehand", "launch": object{}}
	send := func(n *node) answer {
		return n.do("POST", []string{"workspaces", o.ws.ID, "runtimes"}, nil, launch, "Idempotency-Key", "once")
	}
	starts := make(chan struct{})
	letStart := sync.OnceFunc(func() { close(starts) })
	t.Cleanup(letStart)
	held.Store(&starts)
	was, moved := lost.member.Self().ID, make(chan struct{})
	o.on(t, func(take takeFunc) (any, error) {
		answer, err := take()
		if isTaken(answer) {
			err = errors.Join(err, first.db.ExpireLease(t.Context(), was))
			close(moved)
		}
		return answer, err
	})
	answered := make(chan answer, 1)
	go func() { answered <- send(lost) }()
	lost.queuedAt(o.ws, "moves", 1)
	id := o.runtime("moves").ID
	o.stop(first, "first")
	<-moved
	o.start()
	for _, n := range []*node{first, o.all[2]} {
		refused(t, send(n), http.StatusConflict, wire.CodeInProgress, "it starts")
	}
	letStart()
	<-answered // its node may have heard of the end of its lease just before
	var got answer
	o.all[2].settled(func() bool {
		got = send(o.all[2])
		return got.code() != wire.CodeInProgress
	}, "it has ended")
	o.isAt(got, id, first)
	o.isAt(send(first), id, first)
	require.Equal(t, []string{"runtime.active", "runtime.starting"}, o.history(id))
}

// lacking fails as a machine without a display does, or one whose disk is full.
type lacking struct{ browser.Driver }

func (d lacking) Launch(ctx context.Context, spec browser.Spec) (browser.Browser, error) {
	switch {
	case spec.Config.Headful:
		return nil, browser.ErrNoDisplay
	case spec.Config.Mobile:
		return nil, browser.ErrDiskFull
	}
	return d.Driver.Launch(ctx, spec)
}

func TestALaunchThatFailsWhereItWentIsRefusedAsHere(t *testing.T) {
	for _, test := range []struct {
		config object
		status int
		code   string
	}{
		{object{"headful": true}, http.StatusUnprocessableEntity, "runtimes.headful_unavailable"},
		{object{"mobile": true}, http.StatusServiceUnavailable, "runtimes.disk_full"},
	} {
		o := newOffering(t, lasting, func(c *Config) { c.Browsers = lacking{c.Browsers} })
		first, second := o.all[0], o.all[1]
		answered := make(chan answer, 1)
		go func() {
			answered <- first.do("POST", []string{"workspaces", o.ws.ID, "runtimes"}, nil, object{
				"alias": "fails", "kind": "browser", "driver": "stagehand", "launch": object{"config": test.config},
			})
		}()
		first.queuedAt(o.ws, "fails", 1)
		id := o.runtime("fails").ID
		o.stop(second, "second")
		got := <-answered
		refused(t, got, test.status, test.code, "as its own would be")
		require.Equal(t, test.config["headful"] == true, strings.Contains(string(got.Body), "launch.config.headful"))
		require.Equal(t, []string{"runtime.failed", "runtime.starting"}, o.history(id))
		require.Zero(t, first.server.Underway())
	}
}
