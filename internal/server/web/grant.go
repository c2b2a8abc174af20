package web

import (
	"context"
	"slices"
	"sync"

	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/store"
)

// Grant is what a caller was permitted, and what else has to go on being so:
// all that is needed to decide about it once more, by the rules of a
// transaction or by the newest ones.
type Grant struct {
	// renewing is held by who decides by the newest rules, so that older ones never take
	// their place. It may be held for as long as the database takes.
	renewing sync.Mutex
	// mu guards what follows but Workspace. Transactions wait for it, so that it is held for
	// moments.
	mu sync.Mutex
	// Caller is who was permitted, under the newest rules that were looked at.
	Caller access.Caller
	// Actions are what its mounts permitted so far. Nothing is noted of an
	// organization key, to which no mounts apply.
	Actions    []access.Action
	conditions []*Condition
	// Workspace is the one whose mounts the conditions ask about, where the caller acts as
	// no runtime: the server itself.
	Workspace string
}

// Condition is what must go on being so beside the caller and its mounts. It
// asks q, for the caller under the mounts as q has them. It may be asked by several at
// once, and by one who has begun to when it is taken out.
type Condition func(ctx context.Context, q store.Queries, c access.Caller) error

// Require adds a condition, by which all is decided from then on; what was decided
// before stays so until it is decided about once more. drop takes it out again and
// may be called more than once.
func (g *Grant) Require(c Condition) (drop func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	added := &c
	g.conditions = append(g.conditions, added)
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.conditions = slices.DeleteFunc(g.conditions, func(c *Condition) bool { return c == added })
	}
}

// caller is the caller that was permitted.
func (g *Grant) caller() access.Caller {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.Caller
}

// actionsSoFar is what the caller was permitted so far.
func (g *Grant) actionsSoFar() []access.Action {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.Actions)
}

// Decide asks access by the newest rules, and remembers what it permits. It sets c,
// who asks and whose grant this is, to the caller under those rules.
func (g *Grant) Decide(c *access.Caller, a access.Action) bool {
	if c.Runtime == nil {
		return access.Decide(*c, a)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	*c = g.Caller
	if !access.Decide(*c, a) {
		return false
	}
	if !slices.Contains(g.Actions, a) {
		g.Actions = append(g.Actions, a)
	}
	return true
}

// checkActions decides about all that was permitted, for a caller under some rules, and
// returns what else to ask. Where they are to stay, the grant decides by them from then on.
func (g *Grant) checkActions(c access.Caller, stay bool) ([]*Condition, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if stay {
		g.Caller = c
	}
	for _, a := range g.Actions {
		if !access.Decide(c, a) {
			return nil, OutsideMount(a.Verb)
		}
	}
	return slices.Clone(g.conditions), nil
}

// checkConditions asks conditions that the grant has had, but those that were taken out
// since.
func (g *Grant) checkConditions(ctx context.Context, q store.Queries, c access.Caller, had []*Condition) error {
	for _, met := range had {
		if err := (*met)(ctx, q, c); err != nil && g.has(met) {
			return err
		}
	}
	return nil
}

func (g *Grant) has(c *Condition) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Contains(g.conditions, c)
}

// StillPermitted decides once more about all that is granted, by the rules as q
// has them: what a transaction decides and what it does are of one moment.
//
// It does not ask whether the caller has ended. That cannot be taken back, so
// whoever ends one ends all that it has underway; and a transaction that has
// begun by then is one that came before.
func (k *Kernel) StillPermitted(ctx context.Context, q store.Queries, g *Grant) error {
	now, err := k.UnderCeiling(ctx, q, g.caller())
	if err != nil {
		return err
	}
	conditions, err := g.checkActions(now, false)
	if err != nil {
		return err
	}
	return g.checkConditions(ctx, q, now, conditions)
}

// StillPermittedNow is [Kernel.StillPermitted] by the newest rules, by which the
// grant decides from then on. It refuses a caller that has ended, too.
func (k *Kernel) StillPermittedNow(ctx context.Context, g *Grant) error {
	g.renewing.Lock()
	defer g.renewing.Unlock()
	now, err := k.CallerNow(ctx, g.caller())
	if err != nil {
		return err
	}
	conditions, err := g.checkActions(now, true)
	if err != nil {
		return err
	}
	return g.checkConditions(ctx, k.DB.Read(), now, conditions)
}

// entryOf is what begins with a grant that was decided.
func (k *Kernel) entryOf(g *Grant) entry {
	return entry{
		caller:         g.caller(),
		workspace:      g.Workspace,
		stillPermitted: func(ctx context.Context) error { return k.StillPermittedNow(ctx, g) },
	}
}

// WhileGranted runs do for as long as all of a grant is permitted, and returns
// its error. The context of do ends once something of it no longer is; then
// WhileGranted returns the refusal. It is for what outlives the request that
// began it, or has none: a request itself is ended as such.
func (k *Kernel) WhileGranted(ctx context.Context, g *Grant, do func(context.Context) error) error {
	return k.WhileDecided(ctx, func(ctx context.Context) (*Grant, error) {
		return g, k.StillPermittedNow(ctx, g)
	}, do)
}

// WhileDecided is [Kernel.WhileGranted] for a grant that decide makes: what is
// chosen and what permits it are then of one moment. decide runs again where the
// rules change before what it decided is known to whoever changes them.
func (k *Kernel) WhileDecided(
	ctx context.Context, decide func(context.Context) (*Grant, error), do func(context.Context) error,
) error {
	return k.underway.while(ctx, func(ctx context.Context) (entry, error) {
		g, err := decide(ctx)
		if err != nil {
			return entry{}, err
		}
		return k.entryOf(g), nil
	}, do)
}

// EndKeyed ends, with [ErrLocked], all that cannot go on while the server is
// locked, and is called once it is. What begins from then on is refused.
func (k *Kernel) EndKeyed() { k.underway.lock(ErrLocked) }

// EndAll ends everything that callers have underway, for a reason that holds for all of
// it, and is called once it does.
func (k *Kernel) EndAll(why error) { k.underway.endAll(why) }

// Underway is how much callers have begun that has not ended: requests, and what
// runs by [Kernel.WhileGranted]. Tests see by it that nothing is left.
func (k *Kernel) Underway() int { return k.underway.len() }
