package command

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/sample"
	"github.com/bctrl-go/bctrl/internal/store/pgtest"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
)

const (
	kills       = 200
	fewKills    = 4
	killCallers = 6
	// eachKind is how many records of every kind a caller has.
	eachKind = 3
)

// record is one stored thing, written by one caller alone, and what that
// caller was told about it.
type record struct {
	kind
	key string
	// n is the number of the content that was acknowledged last; 0 is none.
	n int
	// version is how often it was written since it was made, where the server
	// counts that.
	version int64
	// last numbers contents; it never goes back.
	last int
	// open is a call that the kill left without an answer.
	open *attempt
}

// attempt is one write or, with n 0, one deletion.
type attempt struct {
	n       int
	version int64
	isNew   bool
	id      string // its idempotency key
	// requests are the ids under which it was sent: a repeated call counts
	// once, and any of them may be the one that did.
	requests []string
}

// TestEveryAcknowledgedWriteSurvivesKill9 kills the real process again and
// again while callers write, and after each restart requires what they were
// told: every acknowledged record whole, an unanswered call done whole or not
// at all and once however often it is repeated, and for each of them its event
// in an audit chain without a gap.
func TestEveryAcknowledgedWriteSurvivesKill9(t *testing.T) {
	surviveKills(t, newPlace(t), sample.Number(8, kills))
}

// TestEveryAcknowledgedWriteOnPostgreSQLSurvivesKill9 is the same over PostgreSQL, which goes on. At night it
// has as many kills.
func TestEveryAcknowledgedWriteOnPostgreSQLSurvivesKill9(t *testing.T) {
	where, n := newPlace(t), fewKills
	where.database = pgtest.Fresh(t, "")
	if os.Getenv(storetest.Variable) == "postgres" {
		n = kills
	}
	surviveKills(t, where, n)
}

func surviveKills(t *testing.T, where place, kills int) {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("BCTRL_TEST_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("seed: BCTRL_TEST_SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))

	where = where.built(t)
	where.args = []string{"--allow-address", "127.0.0.1"} // the provider
	first := where.start(t)
	key := first.firstKey
	require.NotEmpty(t, key)
	first.kill()

	kinds := kinds(newProvider(t))
	callers := make([]*caller, killCallers)
	for i := range callers {
		callers[i] = newCaller(i, kinds, rand.New(rand.NewPCG(seed, uint64(i)+1)))
	}
	acknowledged := 0
	for round := range kills {
		if round%10 == 9 {
			where.killWhileStarting(t, time.Duration(rng.IntN(60))*time.Millisecond)
			continue
		}
		srv := where.start(t)
		acknowledged += srv.killUnder(key, callers, rng.IntN(50))
		if round%40 == 0 {
			checkAudit(t, where, callers)
		}
	}
	srv := where.start(t)
	c := srv.client(key)
	for _, caller := range callers {
		for _, r := range caller.records {
			require.NoError(t, caller.settle(t.Context(), c, r))
		}
	}
	srv.terminate()
	events := checkAudit(t, where, callers)
	require.Greater(t, acknowledged, kills, "too little was written for the kills to mean anything")
	t.Logf("%d kills, %d acknowledged calls, %d audit events", kills, acknowledged, events)
}

// killWhileStarting kills a server that may be bringing the store in order.
func (p place) killWhileStarting(t *testing.T, after time.Duration) {
	t.Helper()
	cmd := p.command(t)
	require.NoError(t, cmd.Start())
	time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	require.Error(t, cmd.Wait())
}

// killUnder lets all callers write, kills the server when so many calls were
// acknowledged, and returns how many were.
func (s *process) killUnder(key string, callers []*caller, after int) int {
	s.t.Helper()
	var acks atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, len(callers))
	c := s.client(key)
	for i, caller := range callers {
		wg.Go(func() {
			errs[i] = caller.write(s.t.Context(), c, func() {
				if acks.Add(1) == int64(after)+1 {
					_ = s.cmd.Process.Kill()
				}
			})
		})
	}
	wg.Wait()
	s.kill()
	c.CloseIdleConnections()
	require.NoError(s.t, errors.Join(errs...))
	require.Empty(s.t, s.stderr.String())
	return int(acks.Load())
}

// caller writes records of its own.
type caller struct {
	rng     *rand.Rand
	records []*record
	// recorded holds, for each acknowledged call, the request ids under one of
	// which the audit log must have it.
	recorded [][]string
}

func newCaller(i int, kinds []kind, rng *rand.Rand) *caller {
	c := &caller{rng: rng}
	for _, k := range kinds {
		for j := range eachKind {
			c.records = append(c.records, &record{kind: k, key: fmt.Sprintf("k%d-%d", i, j)})
		}
	}
	return c
}

// write first requires what was acknowledged before, then writes until the
// server is gone.
func (c *caller) write(ctx context.Context, client *bctrl.Client, acknowledged func()) error {
	for _, r := range c.records {
		if err := c.settle(ctx, client, r); err != nil {
			return ended(err)
		}
	}
	for {
		r := c.records[c.rng.IntN(len(c.records))]
		r.last++
		a := &attempt{n: r.last, isNew: r.n == 0, id: fmt.Sprintf("%s-%s-%d", r.name, r.key, r.last)}
		switch {
		case r.n != 0 && c.rng.IntN(5) == 0:
			a.n = 0
		case r.versioned:
			a.version = r.version + 1
		}
		if err := c.try(ctx, client, r, a); err != nil {
			return ended(err)
		}
		acknowledged()
	}
}

// try makes one attempt and notes what came of it.
func (c *caller) try(ctx context.Context, client *bctrl.Client, r *record, a *attempt) error {
	r.open = a
	var info bctrl.ResponseInfo
	opts := []bctrl.CallOption{bctrl.WithIdempotencyKey(a.id), bctrl.CaptureResponse(&info)}
	var err error
	var version int64
	if a.n == 0 {
		err = r.remove(ctx, client, r.key, opts)
	} else {
		version, err = r.write(ctx, client, r.key, a.n, a.isNew, opts)
	}
	a.requests = append(a.requests, info.RequestID)
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.name, r.key, err)
	}
	if version != a.version {
		return fmt.Errorf("%s %s: acknowledged as version %d, want %d", r.name, r.key, version, a.version)
	}
	c.recorded = append(c.recorded, a.requests)
	r.n, r.version, r.open = a.n, a.version, nil
	return nil
}

// settle requires the record as it was acknowledged or, where a call stayed
// without answer, as that call leaves it. Every other such call is then
// repeated under its idempotency key, which must not do it twice.
func (c *caller) settle(ctx context.Context, client *bctrl.Client, r *record) error {
	n, version, err := r.read(ctx, client, r.key)
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.name, r.key, err)
	}
	a := r.open
	switch {
	case n == r.n && version == r.version:
	case a != nil && n == a.n && version == a.version:
	default:
		return fmt.Errorf("%s %s: found content %d of version %d; acknowledged was %d of %d, unanswered %+v", r.name, r.key,
			n, version, r.n, r.version, a)
	}
	if a == nil {
		return nil
	}
	if c.rng.IntN(2) == 0 {
		r.n, r.version, r.open = n, version, nil
		return nil
	}
	if err := c.try(ctx, client, r, a); err != nil {
		return err
	}
	n, version, err = r.read(ctx, client, r.key)
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.name, r.key, err)
	}
	if n != r.n || version != r.version {
		return fmt.Errorf("%s %s: repeated, found content %d of version %d, want %d of %d", r.name, r.key, n, version, r.n,
			r.version)
	}
	return nil
}

// ended is nil for an error that says no more than that the server is gone,
// before it answered or in the middle of a file. A file that is not whole says
// the same; it fails the reading after the last restart, which excuses nothing.
func ended(err error) error {
	if e, ok := errors.AsType[*bctrl.Error](err); ok && (e.Code == "transport.no_answer" ||
		e.Code == "storage.broken_download") {
		return nil
	}
	return err
}
