package soak

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bctrl-go/bctrl"
)

const (
	// callTime is how long one call to one node may take. A change waits for the lease of a
	// node that fell silent, 6 seconds, and at most 30.
	callTime = 35 * time.Second
	// answerTime is how long a caller goes on to ask the nodes in turn before that is a fault.
	answerTime = 3 * time.Minute
)

// load is what callers do while things go wrong.
type load struct {
	*machines
	seed    uint64
	callers []*caller
	stop    context.CancelCauseFunc
	working sync.WaitGroup
	ending  atomic.Bool // no caller begins another piece of work
	// moves is counted up to have players stop their runtimes, and launch others.
	moves atomic.Int64

	// strange reports whether trouble is more than may be expected, of a node and with a call; nil
	// is never.
	strange func(n *node, err error) bool

	mu sync.Mutex
	// met counts the troubles that there were, by what they are.
	met map[string]int
	// recorded are the ids of the requests of each change that was acknowledged: the audit
	// log has one of each.
	recorded [][]string
	fault    error
}

// caller does one kind of work, one call after the other.
type caller struct {
	*load
	name string
	rng  *rand.Rand
	// acknowledged counts its calls that were, troubles those that had to be made again.
	acknowledged, troubles atomic.Int64
	calls                  int
	work                   func(ctx context.Context, c *caller) error
}

// failed notes the first fault, and ends all work.
func (l *load) failed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault == nil {
		l.fault = err
		l.journal.write("FAULT %v", err)
		l.stop(err)
	}
}

// isTrouble reports whether an error says no more than that a node, or what it needs, is not there:
// the call may have been done or not.
func isTrouble(err error) bool {
	e, ok := errors.AsType[*bctrl.Error](err)
	if !ok {
		return errors.Is(err, context.DeadlineExceeded)
	}
	switch e.Code {
	case "request.in_progress", "transport.no_answer", "transport.timeout", "storage.broken_download":
		return true
	case "workspaces.in_use": // a launch whose answer was lost has only begun
		return true
	}
	return isAway(e.Status) || errors.Is(err, context.DeadlineExceeded)
}

// isAway reports whether an answer says that something is not there for now. 500 does not: it is a fault
// of the server, whatever was done to what it needs.
func isAway(status int) bool {
	return status > http.StatusInternalServerError || status == http.StatusTooManyRequests
}

// code is what of an error may be printed.
func code(err error) string {
	if e, ok := errors.AsType[*bctrl.Error](err); ok {
		return strconv.Itoa(e.Status) + " " + e.Code
	}
	return err.Error()
}

// pick is any node.
func (c *caller) pick() *node { return c.nodes[c.rng.IntN(len(c.nodes))] }

// ask makes a call, of one node after the other, until it has an answer that is one. Its error is
// such an answer too.
func (c *caller) ask(
	ctx context.Context, what string, call func(context.Context, *bctrl.Client, ...bctrl.CallOption) error,
) error {
	return c.askAs(ctx, what, func(n *node) *bctrl.Client { return n.client }, call)
}

// change is ask for what the audit log then has.
func (c *caller) change(
	ctx context.Context, what string, call func(context.Context, *bctrl.Client, ...bctrl.CallOption) error,
) error {
	requests, err := c.asked(ctx, what, func(n *node) *bctrl.Client { return n.client }, call)
	if err == nil {
		c.acknowledge(requests)
	}
	return err
}

// askAs is ask with clients of its own.
func (c *caller) askAs(
	ctx context.Context, what string, as func(*node) *bctrl.Client,
	call func(context.Context, *bctrl.Client, ...bctrl.CallOption) error,
) error {
	_, err := c.asked(ctx, what, as, call)
	return err
}

// asked returns the ids of the requests that were made too.
func (c *caller) asked(
	ctx context.Context, what string, as func(*node) *bctrl.Client,
	call func(context.Context, *bctrl.Client, ...bctrl.CallOption) error,
) (requests []string, err error) {
	c.calls++
	key := c.name + "-" + strconv.Itoa(c.calls)
	began := time.Now()
	for {
		n := c.pick()
		var info bctrl.ResponseInfo
		err := call(ctx, as(n), bctrl.WithIdempotencyKey(key), bctrl.CaptureResponse(&info))
		if info.RequestID != "" {
			requests = append(requests, info.RequestID)
		}
		if err == nil {
			c.acknowledged.Add(1)
			return requests, nil
		}
		if ctx.Err() != nil {
			return requests, ctx.Err()
		}
		if !isTrouble(err) {
			return requests, err
		}
		if err := c.meet(n, what, err); err != nil {
			return requests, err
		}
		if time.Since(began) > answerTime {
			return requests, fmt.Errorf("%s: no answer in %v, at last %s", what, answerTime, code(err))
		}
		if !pause(ctx, time.Duration(20+c.rng.IntN(100))*time.Millisecond) {
			return requests, ctx.Err()
		}
	}
}

// meet notes trouble, which is an error where it is more than may be expected.
func (c *caller) meet(n *node, what string, err error) error {
	c.troubles.Add(1)
	c.journal.write("%s: %s, asked of node %d: %s", c.name, what, n.i+1, code(err))
	c.mu.Lock()
	if c.met == nil {
		c.met = map[string]int{}
	}
	c.met[code(err)]++
	c.mu.Unlock()
	if c.strange != nil && c.strange(n, err) {
		return fmt.Errorf("%s, asked of node %d: %w", what, n.i+1, err)
	}
	return nil
}

// acknowledge notes the requests of a call that was.
func (l *load) acknowledge(requests []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recorded = append(l.recorded, requests)
}

// gap is between two pieces of a caller's work, so that the machine has something left for the nodes.
const gap = 40 * time.Millisecond

// begin has all callers work until end.
func (l *load) begin() {
	ctx, stop := context.WithCancelCause(l.ctx)
	l.stop = stop
	for _, c := range l.callers {
		l.working.Go(func() {
			for ctx.Err() == nil && !l.ending.Load() {
				if err := c.work(ctx, c); err != nil && ctx.Err() == nil {
					l.failed(fmt.Errorf("%s: %w", c.name, err))
				}
				pause(ctx, gap)
			}
		})
	}
}

// end has them end what they do, and returns the fault, if any.
func (l *load) end() error {
	l.ending.Store(true)
	l.working.Wait()
	l.stop(nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fault
}

// faulty returns the fault so far.
func (l *load) faulty() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fault
}

// troublesMet are the troubles that there were, the most frequent first.
func (l *load) troublesMet() (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	codes := slices.SortedFunc(maps.Keys(l.met), func(a, b string) int { return l.met[b] - l.met[a] })
	for _, c := range codes {
		all = append(all, fmt.Sprintf("%d × %s", l.met[c], c))
	}
	return all
}

// total is what all callers have done.
func (l *load) total() (acknowledged, troubles int64) {
	for _, c := range l.callers {
		acknowledged += c.acknowledged.Load()
		troubles += c.troubles.Load()
	}
	return acknowledged, troubles
}

// add adds a caller, whose choices the seed draws.
func (l *load) add(name string, work func(context.Context, *caller) error) {
	l.callers = append(l.callers, &caller{
		load: l,
		name: name,
		rng:  rand.New(rand.NewPCG(l.seed, uint64(len(l.callers))+1)),
		work: work,
	})
}
