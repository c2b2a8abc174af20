package runtimes

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// Launches that wait for room go on where there is some. The node that was asked keeps the
// caller and the place in its queue, and offers the runtime to a node that has told of room. That
// one takes it by one row of the database, which says whose it is: by the offer with its number,
// while both nodes have their lease. From then on it is a runtime of that node as any other; the
// caller hears by the first one what becomes of it. An offer that has no answer is given up in the
// same row before anything else is done with the launch, so that nobody takes it late.

// OfferQuestion is what a node asks another with, for [Service.AnswerOffer].
const OfferQuestion = "offer"

// launchOffer is a launch that is offered to another node.
type launchOffer struct {
	store.Offer
	// Answer is what the answer to the launch is kept by: nil where it is not to be kept.
	Answer *web.AnswerKey
}

// offerAnswer says whether a node has taken what it was offered.
type offerAnswer struct{ Taken bool }

// launchEnd is what became of a launch, as the node says that took it; the zero one says nothing.
type launchEnd struct {
	Active  bool
	Refusal *bctrl.Error
	// Status is the refusal's, of which its JSON has the class alone.
	Status int
}

// isMovable reports whether another node may launch a runtime as well: a profile is on the disk
// of one.
func isMovable(rt store.Runtime) bool { return rt.ProfileUID == "" }

// OfferWaiting has launches that wait here for room go on at nodes that have told of some. It is
// called every second or so. Its errors are of the store.
func (s *Service) OfferWaiting(ctx context.Context) error {
	if _, queued := s.Load(); queued == 0 || s.Peers == nil {
		return nil
	}
	nodes, err := s.Cluster.Nodes(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	here := s.Cluster.Self()
	here.Room = 0 // its own goes to its queue without that
	nodes = s.placements.toOffer(nodes, now)
	s.admission.offer(func() cluster.Node { return s.placements.choose(nodes, here, now) })
	return nil
}

// waitForRoom waits until a launch has room here, or another node has taken it.
func (s *Service) waitForRoom(
	ctx, patience context.Context, lr *liveRuntime, rq *web.Request,
) (*awayLaunch, error) {
	offer := launchOffer{store.Offer{Org: lr.org, Runtime: lr.id, Node: lr.node}, rq.AnswerKey()}
	for {
		to, err := lr.waitForRoom(patience)
		if err != nil || to.ID == "" {
			return nil, err
		}
		away, err := s.offer(ctx, lr, to, &offer)
		if err != nil {
			return nil, err
		}
		if away == nil {
			lr.place.stays()
			continue
		}
		s.Log.Info("a launch that waited here goes on at another node", "runtime", lr.id, "node", to.ID)
		s.takenAway.Add(1)
		away.rq = rq
		away.release, _ = s.fleet.hold(lr) // it is among those here until its launch is over
		lr.isElsewhere = true
		lr.place.moved()
		return away, nil
	}
}

// offer asks a node to take a launch. It returns nil where that has not, and does not later.
func (s *Service) offer(
	ctx context.Context, lr *liveRuntime, to cluster.Node, offer *launchOffer,
) (*awayLaunch, error) {
	var got offerAnswer
	ctx, giveUp := context.WithCancel(ctx)
	rest, err := s.Peers.AskInParts(ctx, to, OfferQuestion, *offer, &got)
	if err == nil && got.Taken {
		return &awayLaunch{Service: s, org: lr.org, rest: rest, giveUp: giveUp}, nil
	}
	giveUp()
	if err == nil {
		s.placements.refuse(to.ID, time.Now(), refusedFor)
		return nil, rest(nil)
	}
	first := s.placements.refuse(to.ID, time.Now(), s.admission.UnreachedTime)
	if web.IsUnknownQuestion(err) { // until it is upgraded
		return nil, nil //nolint:nilnil // it was not taken
	}
	level := slog.LevelDebug // of the others that were offered to it at the same time
	if first {
		level = slog.LevelWarn
	}
	s.Log.Log(ctx, level, "a node does not say whether it takes a launch", "runtime", lr.id, "node", to.ID, "error", err)
	err = s.untilWritten(lr, func(tx *store.Tx) error { return tx.EndOffer(context.WithoutCancel(ctx), offer.Offer) })
	offer.Number++
	if errors.Is(err, store.ErrNotFound) { // only the database knows what becomes of it
		return &awayLaunch{Service: s, org: lr.org, rest: func(any) error { return web.ErrNodeLost }, giveUp: giveUp}, nil
	}
	return nil, err
}

// takenBound is how long a node that closes waits for the launches that others have taken from it.
const takenBound = 5 * time.Second

// writePause is between two attempts of [Service.untilWritten].
const writePause = 200 * time.Millisecond

// untilWritten writes what may be written twice, until it is known whether that is durable, or the
// node has lost its lease, and the runtime with it.
func (s *Service) untilWritten(lr *liveRuntime, write func(*store.Tx) error) error {
	again := time.NewTicker(writePause)
	defer again.Stop()
	for {
		var refused error // by write, which the database was there for
		err := s.DB.Write(context.Background(), func(tx *store.Tx) error {
			if refused = cluster.ErrLeaseLost; tx.Node() == lr.node {
				refused = write(tx)
			}
			return refused
		})
		switch {
		case err == nil:
			return nil
		case lr.isLost(), errors.Is(err, store.ErrFenced):
			return cluster.ErrLeaseLost
		case refused != nil && !errors.Is(refused, store.ErrUnavailable) && !errors.Is(refused, store.ErrFull) &&
			!errors.Is(refused, store.ErrReadOnly):
			return refused
		}
		<-again.C
	}
}

// awayLaunch is a launch that another node has taken.
type awayLaunch struct {
	*Service
	rq  *web.Request
	org string
	// rest waits for its end, which giveUp has it not do any more.
	rest   func(any) error
	giveUp context.CancelFunc
	// release lets this node close.
	release func()
}

// await waits for the end of the launch, and returns its refusal, or sets rt to the runtime as it
// is then. The node that has it keeps the answer.
func (t *awayLaunch) await(ctx context.Context, rt *store.Runtime) error {
	defer t.release()
	defer t.takenAway.Add(-1)
	defer t.giveUp()
	var end launchEnd
	told := make(chan error, 1)
	go func() { told <- t.rest(&end) }()
	var err error
	select {
	case err = <-told:
	case <-t.fleet.closed:
		stopping := time.AfterFunc(takenBound, t.giveUp) // it mostly starts within a second
		defer stopping.Stop()
		if err = <-told; err != nil {
			return errors.Join(web.ErrStopping, err)
		}
	}
	switch {
	case errors.Is(err, cluster.ErrLeaseLost):
		return cluster.ErrLeaseLost
	case err == nil && end.Refusal != nil:
		end.Refusal.Status = end.Status
		err = end.Refusal
	case err != nil || !end.Active:
		err = t.awaitOnRecord(ctx, rt.ID)
	}
	if err != nil {
		return err
	}
	if *rt, err = t.DB.Read().Runtime(ctx, t.org, rt.ID); err != nil {
		return err
	}
	t.rq.KeepNoAnswer()
	return nil
}

// awaitOnRecord waits for the end of a launch by its row, where its node does not say it.
func (t *awayLaunch) awaitOnRecord(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, launchBound)
	defer cancel()
	again := time.NewTicker(writePause)
	defer again.Stop()
	for {
		rt, err := t.DB.Read().Runtime(ctx, t.org, id)
		switch {
		case err == nil && rt.Status == bctrl.RuntimeActive:
			return nil
		case err == nil && !rt.Live, errors.Is(err, store.ErrNotFound):
			return web.ErrNodeLost
		}
		select {
		case <-again.C:
		case <-t.fleet.closed:
			return web.ErrStopping
		case <-ctx.Done():
			return web.ErrNodeLost
		}
	}
}

// TakenAway is how many launches other nodes have taken whose callers wait here.
func (s *Service) TakenAway() int { return int(s.takenAway.Load()) }

// AnswerOffer takes a launch that another node offers, where there is room and nobody waits for it
// here. The rest of its answer is a [launchEnd].
func (s *Service) AnswerOffer(ctx context.Context, question []byte) (any, error) {
	var offer launchOffer
	if err := json.Unmarshal(question, &offer); err != nil {
		return nil, err
	}
	taken, err := s.takeOffer(ctx, offer)
	if errors.Is(err, cluster.ErrLeaseLost) || errors.Is(err, errIsHere) {
		return nil, err // it may have been taken
	}
	if err != nil {
		s.Log.Debug("a launch that was offered is not taken", "runtime", offer.Runtime, "error", err)
		return offerAnswer{}, nil
	}
	return web.InParts{First: offerAnswer{true}, Rest: func(ctx context.Context) any {
		select {
		case <-taken.over:
			if refusal := taken.lr.refusal; refusal != nil {
				return launchEnd{Refusal: refusal, Status: refusal.Status}
			}
			return launchEnd{Active: true}
		case <-ctx.Done():
			return launchEnd{}
		}
	}}, nil
}

// errNotTaken is why a launch that is offered is not taken where nothing is wrong with it.
var errNotTaken = errors.New("it cannot be launched here now")

// takenHere is a launch that this node has taken from another one.
type takenHere struct {
	lr *liveRuntime
	// key is the idempotency key of its request, which this node holds until the launch is over: the
	// node that it waited on may end before. It is nil where there is none.
	key *web.KeyFromNode
	// over is closed once the launch is over, and the key given back. Then release lets this node close.
	over    chan struct{}
	release func()
}

// leaveTaken lets go of a launch that is the other node's.
func (s *Service) leaveTaken(taken *takenHere) {
	taken.lr.isElsewhere = true
	s.endTaken(taken)
}

// endTaken says that a launch is over here.
func (s *Service) endTaken(taken *takenHere) {
	s.endLaunch(taken.lr)
	if taken.key != nil {
		taken.key.Release(context.Background())
	}
	close(taken.over)
	taken.release()
}

// takeOffer takes a launch that another node offers, and starts it beside the caller. Whatever
// the error, the launch is the other node's.
func (s *Service) takeOffer(ctx context.Context, offer launchOffer) (*takenHere, error) {
	if s.Cluster.Draining() {
		return nil, errDraining
	}
	rt, err := s.DB.Read().Runtime(ctx, offer.Org, offer.Runtime)
	if err != nil {
		return nil, err
	}
	if !isMovable(rt) {
		return nil, errNotTaken
	}
	if rt.Driver == bctrl.DriverSelenium {
		if err := s.browsers.CheckWebDriver(); err != nil {
			return nil, err
		}
	}
	lr := newLiveRuntime(offer.Org, rt.WorkspaceID, rt.ID)
	lr.node, lr.answer = s.Cluster.Self().ID, offer.Answer
	if lr.place = s.admission.enterWithoutWaiting(tenant{lr.org, lr.workspace}); lr.place == nil {
		return nil, errNotTaken
	}
	if err := s.fleet.add(lr); err != nil {
		lr.place.release()
		return nil, err
	}
	release, ok := s.fleet.hold(lr)
	if !ok { // whoever has removed it has given its place back
		return nil, errNotTaken
	}
	taken := &takenHere{lr: lr, over: make(chan struct{}), release: release}
	if offer.Answer != nil {
		var free bool
		if taken.key, free = s.TakeOverKey(lr.org, *offer.Answer); !free {
			s.leaveTaken(taken)
			return nil, errNotTaken
		}
	}
	var ws store.Workspace
	err = s.untilWritten(lr, func(tx *store.Tx) (err error) {
		ctx := context.WithoutCancel(ctx)
		if rt, err = tx.Runtime(ctx, lr.org, lr.id); err != nil {
			return err
		}
		if rt.Status != bctrl.RuntimeStarting {
			return errNotTaken
		}
		if ws, err = currentWorkspace(ctx, tx, lr.org, lr.workspace, 0); err != nil {
			return err
		}
		if taken.key != nil {
			if err := taken.key.TakeIn(ctx, tx, offer.Node); err != nil {
				return err
			}
		}
		return tx.TakeOffer(ctx, offer.Offer)
	})
	if err != nil {
		s.leaveTaken(taken)
		return nil, err
	}
	go s.startTaken(taken, ws, rt)
	return taken, nil
}

// startTaken starts a launch that was taken from another node.
func (s *Service) startTaken(taken *takenHere, ws store.Workspace, rt store.Runtime) {
	defer s.endTaken(taken)
	lr := taken.lr
	ctx, cancel := lr.whileLive(context.Background())
	defer cancel()
	err := s.Cluster.Valid() // it may have been lost before this runtime was seen
	if err == nil {
		err = s.startAdmitted(ctx, lr, ws, &rt)
	}
	if err != nil {
		lr.refusal = web.AsError(err)
	}
}
