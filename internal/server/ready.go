package server

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

const (
	// readyTime is how long a part may take to answer whether it is there.
	readyTime = 3 * time.Second
	// readyAge is how long an answer of the bucket is good for: it costs, and anybody may ask.
	readyAge = 5 * time.Second
	// faultAge is for how long a write that failed is told of before another is tried for it.
	faultAge = time.Second
)

// part is something that a server works with and can lose.
type part struct {
	name string
	// vital is set where the server answers nothing without it, so that callers are better sent to
	// another one.
	vital bool
	// age is how long an answer is good for.
	age   time.Duration
	check func(context.Context) error

	mu      sync.Mutex
	asking  chan struct{} // nil while nobody asks; closed when the answer is there
	asked   time.Time
	missing *bctrl.Error
}

// missingPart is what is told of one that is not there.
type missingPart struct {
	Part    string `json:"part"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// parts are those of a server, the vital ones first.
func (s *Server) parts(cfg Config) []*part {
	parts := []*part{
		{name: "database", vital: true, check: func(ctx context.Context) error {
			return s.checkDatabase(ctx, cmp.Or(cfg.ReadyAge, faultAge))
		}},
		{name: "lease", vital: true, check: func(context.Context) error { return s.Cluster.Valid() }},
		{name: "key", check: func(context.Context) error {
			if s.Custody.Locked() {
				return web.ErrLocked
			}
			return nil
		}},
		{name: "bucket", age: cmp.Or(cfg.ReadyAge, readyAge), check: s.files.Ready},
	}
	if able, ok := cfg.Browsers.(browser.Checker); ok {
		parts = append(parts, &part{name: "browser", check: func(context.Context) error {
			if able.Check() != nil { // it may name paths, and anybody asks
				return web.Unavailable(wire.CodeNoBrowser, "no browser can be started on this machine: a launch says why")
			}
			return nil
		}})
	}
	return parts
}

// checkDatabase reads, and tells of a write that failed until one works. Where callers are sent elsewhere
// meanwhile nobody writes, so that one is tried for a fault that is older than age.
func (s *Server) checkDatabase(ctx context.Context, age time.Duration) error {
	_, err := s.DB.Read().HasOrganizations(ctx)
	if fault := s.DB.WriteFault(); err == nil && fault != nil {
		if err = fault.Err; time.Since(fault.At) >= age {
			err = s.DB.TryWrite(ctx)
		}
	}
	switch {
	case errors.Is(err, store.ErrFenced): // the database answers; of the lease another part tells
		return nil
	case errors.Is(err, store.ErrOvertaken):
		return web.WithHint(web.Unavailable("server.database_unavailable",
			"the database has gone on without this server, or lacks what it wrote: it writes no more"), "start this server anew")
	case errors.Is(err, store.ErrUnavailable):
		return web.Unavailable("server.database_unavailable", "the server's database does not answer")
	case err != nil && web.AsError(err) == web.ErrInternal: // it may name paths, and anybody asks
		return web.Unavailable("server.database_unavailable", "the server's database fails: the log says why")
	}
	return err
}

// look returns why the part is missing, or nil. It is asked by one at a time, and who asks meanwhile
// gets the same answer.
func (p *part) look(ctx context.Context) *bctrl.Error {
	p.mu.Lock()
	if p.asking == nil {
		if p.age > 0 && time.Since(p.asked) < p.age {
			defer p.mu.Unlock()
			return p.missing
		}
		p.asking = make(chan struct{})
		go p.ask(context.WithoutCancel(ctx), p.asking)
	}
	answered := p.asking
	p.mu.Unlock()
	late := time.NewTimer(readyTime)
	defer late.Stop()
	select {
	case <-answered:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.missing
	case <-late.C:
		return web.Unavailable("server.part_slow", "it does not answer in "+readyTime.String())
	}
}

func (p *part) ask(ctx context.Context, done chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, readyTime*4/5) // so that who waits hears why
	defer cancel()
	err := p.check(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.missing = nil; err != nil {
		p.missing = web.AsError(err)
	}
	p.asking, p.asked = nil, time.Now()
	close(done)
}

// readiness says what is missing.
func (s *Server) readiness(ctx context.Context) (out health, status int) {
	missing := make([]*bctrl.Error, len(s.ready))
	var group sync.WaitGroup
	for i, p := range s.ready {
		group.Go(func() { missing[i] = p.look(ctx) })
	}
	group.Wait()
	out, status = health{Status: "ok"}, http.StatusOK
	for i, p := range s.ready {
		e := missing[i]
		if e == nil {
			continue
		}
		out.Missing = append(out.Missing, missingPart{p.name, e.Code, e.Message, e.Hint})
		switch {
		case p.vital:
			out.Status, status = "unready", http.StatusServiceUnavailable
		case out.Status == "ok" && p.name == "key":
			out.Status = "locked"
		case out.Status == "ok":
			out.Status = "degraded"
		}
	}
	return out, status
}
