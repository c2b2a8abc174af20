package web

import (
	"cmp"
	"context"
	"maps"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/store"
)

// How many requests without a good caller are answered each for itself, with an
// event each: per address and in all, so many at once and then so many a second.
// What is beyond is refused as one, and counted: the log has an event for each
// address and minute.
const (
	allStrangersAtOnce    = 1000
	allStrangersPerSecond = 10
	strangersPerSecond    = 1 // of one address

	strangersCountedFor = time.Minute
	// maxStrangers bounds how many addresses are told apart, and how many counts
	// are held. Those beyond are one.
	maxStrangers = 1024
)

// strangersRefused is the action of an event that counts what was refused.
const strangersRefused = "auth.refused"

// Strangers bounds what requests without a good caller cost: so many refusals are
// answered and recorded each for itself, the others counted, and each count becomes
// one event. A good caller never comes here, whoever shares its address: a caller is
// looked for first.
type Strangers struct {
	perAddress, inAll strangerLimit
	// record writes counts to the log.
	record func(context.Context, []audit.Event) error
	failed func(error)

	mu  sync.Mutex
	all *rate.Limiter
	// addresses have a limit each, and rest all those that found no room.
	addresses map[string]*rate.Limiter
	rest      *rate.Limiter
	counts    map[refusalKind]*refusalCount
	// due writes the counts; nil while there are none.
	due    *time.Timer
	closed bool
	// writing is held while counts are on their way into the log.
	writing sync.Mutex
}

type strangerLimit struct {
	atOnce    int
	perSecond rate.Limit
}

func (l strangerLimit) limiter() *rate.Limiter { return rate.NewLimiter(l.perSecond, l.atOnce) }

// refusalKind is what refusals are counted by. org, parent and caller are of tokens
// that have ended, whose holders are known; of others they are empty.
type refusalKind struct {
	org, parent, caller, address, code string
}

// refusalCount is how many refusals of a kind there were, and when.
type refusalCount struct {
	n           int64
	first, last time.Time
}

// newStrangers makes bounds by which so many refusals are at once answered each for
// itself, and of one address a tenth. record writes events of counts; failed learns
// why it could not.
func newStrangers(
	atOnce int, record func(context.Context, []audit.Event) error, failed func(error),
) *Strangers {
	s := &Strangers{
		perAddress: strangerLimit{atOnce / 10, strangersPerSecond},
		inAll:      strangerLimit{atOnce, allStrangersPerSecond},
		record:     record,
		failed:     failed,
		addresses:  map[string]*rate.Limiter{},
		counts:     map[refusalKind]*refusalCount{},
	}
	s.all, s.rest = s.inAll.limiter(), s.perAddress.limiter()
	return s
}

// addressOf is the address of the connection, as far as one network has one:
// the first 64 bits of IPv6. No header is asked, which anybody can write; behind
// a reverse proxy it is the proxy's.
func addressOf(r *http.Request) string {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	ip := at.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	network, err := ip.Prefix(64)
	if err != nil {
		return ""
	}
	return network.String()
}

// admitRefusal reports whether a refusal is to be answered and recorded for itself.
// Else it has been counted as what, and wait is when the next is admitted.
func (s *Strangers) admitRefusal(what refusalKind, now time.Time) (wait time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.limiter(what.address, now)
	if own.TokensAt(now) >= 1 && s.all.AllowN(now, 1) {
		own.AllowN(now, 1)
		return 0, true
	}
	s.count(what, now)
	return max(untilNext(own, now), untilNext(s.all, now)), false
}

func untilNext(l *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - l.TokensAt(now)
	return max(0, time.Duration(missing/float64(l.Limit())*float64(time.Second)))
}

// limiter is that of an address. Where there is no room for one more, those that
// have not been used for so long that they are as new make it. mu is held.
func (s *Strangers) limiter(address string, now time.Time) *rate.Limiter {
	if l, known := s.addresses[address]; known {
		return l
	}
	if len(s.addresses) >= maxStrangers {
		maps.DeleteFunc(s.addresses, func(_ string, l *rate.Limiter) bool {
			return l.TokensAt(now) >= float64(l.Burst())
		})
	}
	if len(s.addresses) >= maxStrangers {
		return s.rest
	}
	l := s.perAddress.limiter()
	s.addresses[address] = l
	return l
}

// count adds a refusal to those that one event will stand for. mu is held.
func (s *Strangers) count(what refusalKind, now time.Time) {
	if s.counts[what] == nil && len(s.counts) >= maxStrangers {
		what = refusalKind{code: what.code} // of whoever it was
	}
	c := s.counts[what]
	if c == nil {
		c = &refusalCount{first: now}
		s.counts[what] = c
	}
	c.n, c.last = c.n+1, now
	if s.due == nil && !s.closed {
		s.due = time.AfterFunc(strangersCountedFor, func() { s.Flush(context.Background()) })
	}
}

// Flush writes an event for each count and returns when they are durable. What
// cannot be written is counted on.
func (s *Strangers) Flush(ctx context.Context) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	counts := s.counts
	s.counts = map[refusalKind]*refusalCount{}
	if s.due != nil {
		s.due.Stop()
		s.due = nil
	}
	s.mu.Unlock()
	if len(counts) == 0 {
		return
	}
	var events []audit.Event
	for what, c := range counts {
		events = append(events, audit.Event{
			Org:        what.org,
			Parent:     what.parent,
			Caller:     cmp.Or(what.caller, nobody),
			Action:     strangersRefused,
			Decision:   audit.Denied,
			Outcome:    what.code,
			Address:    what.address,
			Count:      c.n,
			DurationMs: c.last.Sub(c.first).Milliseconds(),
		})
	}
	slices.SortFunc(events, func(a, b audit.Event) int {
		return cmp.Or(cmp.Compare(a.Org, b.Org), cmp.Compare(a.Caller, b.Caller),
			cmp.Compare(a.Address, b.Address), cmp.Compare(a.Outcome, b.Outcome))
	})
	if err := s.record(ctx, events); err != nil {
		s.failed(err)
		s.putBack(counts)
	}
}

func (s *Strangers) putBack(counts map[refusalKind]*refusalCount) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for what, c := range counts {
		s.count(what, c.last)
		if before := s.counts[what]; before != nil {
			before.n, before.first = before.n+c.n-1, c.first
		}
	}
}

// Close writes what was counted, and nothing by itself from then on.
func (s *Strangers) Close(ctx context.Context) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.Flush(ctx)
}

// nobody is the caller of who could not be told.
const nobody = "anonymous"

// countStranger returns in place of a refusal the one of all that come too often,
// where nobody who may ask has asked. It is then counted.
func (k *Kernel) countStranger(w http.ResponseWriter, rq *Request, e *bctrl.Error) (*bctrl.Error, bool) {
	what := refusalKind{
		org:     rq.Caller.Org,
		parent:  rq.Caller.Parent,
		caller:  rq.Caller.Name(),
		address: addressOf(rq.Request),
		code:    e.Code,
	}
	wait, ok := k.Strangers.admitRefusal(what, time.Now())
	if ok {
		return e, false
	}
	seconds := strconv.FormatInt(int64(math.Ceil(max(wait, time.Second).Seconds())), 10)
	w.Header().Set("Retry-After", seconds)
	return WithHint(
		TooManyRequests("auth.too_many_refusals",
			"too many requests without a good key came from this address, or from everywhere"),
		"one with a good key is served at once; of the others one more is looked at in "+seconds+" seconds",
	), true
}

// recordStrangers writes events that count refusals.
func (k *Kernel) recordStrangers(ctx context.Context, events []audit.Event) error {
	return k.DB.Decide(ctx, func(tx *store.Tx) error {
		for _, e := range events {
			if err := audit.Append(tx, e); err != nil {
				return err
			}
		}
		return nil
	})
}
