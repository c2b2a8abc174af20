package agent

import (
	"context"
	"errors"
	"net/http"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/scrub"
)

// Deps are what a task works with.
type Deps struct {
	Model model.Chat
	// Look is asked about single pages, by the agent's tool that extracts; nil is Model.
	Look model.Chat
	// Page returns the page to work on. It is asked before every view, because
	// a click may open another.
	Page func(ctx context.Context) (browser.Page, error)
	// Logins fill from the vault; nil for none.
	Logins Logins
	// Refused records what a task does not permit that something else might have: a login
	// which the vault might have filled, a host. It returns the refusal, or why it could not
	// be recorded; nil is nobody. Object is what verb is done to, without secrets.
	Refused func(ctx context.Context, verb bctrl.Verb, object string, refusal *bctrl.Error) error
	// Files are what pages may be given; nil for none.
	Files Files
	// Downloads returns the files that the runtime has put into storage so
	// far; nil for none. Those that are there when the task begins are not the
	// task's.
	Downloads func() []bctrl.StorageObject
	// Secrets are never shown to the model; every value that is filled is
	// added. Keep one Set for the life of a browser, because its pages outlive
	// a task. Nil is a new Set.
	Secrets *scrub.Set
	// Prices say what models cost; nil knows no price.
	Prices Prices
	// Progress is told before each call of a tool; nil for nobody. Step counts
	// from 1 up to total.
	Progress func(step, total int, call, message string)
	// Cache keeps what went well; nil for none.
	Cache Cache
	// Record is told of each step that has ended, before the model is asked again;
	// nil is nobody. Its error ends the task.
	Record func(ctx context.Context, r Record) error
	// Pictured says whether records are to have a picture of the page also where the
	// model is shown none; nil is no.
	Pictured func() bool
}

// Record is a step that has ended. Number counts from 1 through the task; Call and
// CallIndex are empty, for whoever keeps it to set, and so is Picture.
type Record struct {
	bctrl.TranscriptStep
	// PNG is a picture of the page as the step found it, passwords and what was filled
	// masked; nil where there is none.
	PNG []byte
}

// Prices say what a model costs.
type Prices interface {
	// Cost returns what usage costs in US dollars, and whether the model has a price.
	Cost(provider bctrl.AIProvider, model string, usage model.Usage) (usd float64, known bool)
}

// Logins are the vault entries that a task may fill. The implementation
// decides and audits; what it refuses is told to the model when the error is a
// [*bctrl.Error] with a status below 500, and ends the task otherwise.
type Logins interface {
	// List describes the entries that may be filled now.
	List(ctx context.Context) ([]LoginInfo, error)
	// Use returns one field of an entry: "username", "password" or "totp". Key
	// and field come from the model.
	Use(ctx context.Context, key, field string) (browser.Fill, error)
}

// complete puts in what may be left out.
func (d Deps) complete() Deps {
	if d.Secrets == nil {
		d.Secrets = scrub.New()
	}
	if d.Look == nil {
		d.Look = d.Model
	}
	return d
}

// refused is Refused, which may be nobody.
func (d Deps) refused(ctx context.Context, verb bctrl.Verb, object string, refusal *bctrl.Error) error {
	if d.Refused == nil {
		return refusal
	}
	return d.Refused(ctx, verb, object, refusal)
}

// listedLogins are the logins with listed keys, of those that may be filled anyway.
type listedLogins struct {
	Logins
	keys    map[string]bool
	refused func(ctx context.Context, verb bctrl.Verb, object string, refusal *bctrl.Error) error
}

// List implements [Logins].
func (l listedLogins) List(ctx context.Context) ([]LoginInfo, error) {
	all, err := l.Logins.List(ctx)
	var listed []LoginInfo
	for _, login := range all {
		if l.keys[login.Key] {
			listed = append(listed, login)
		}
	}
	return listed, err
}

// Use implements [Logins].
func (l listedLogins) Use(ctx context.Context, key, field string) (browser.Fill, error) {
	if !l.keys[key] {
		refusal := browser.Forbidden("agent.login_not_listed",
			"the call does not list this login among those that may be filled", "")
		if names.VaultKey(key) != nil {
			return browser.Fill{}, refusal
		}
		return browser.Fill{}, l.refused(ctx, bctrl.UseVault, key, refusal)
	}
	return l.Logins.Use(ctx, key, field)
}

// isRefusal reports whether the model can do something about an error. Any other ends
// the task.
func isRefusal(ctx context.Context, err error) bool {
	known, ok := errors.AsType[*bctrl.Error](err)
	return ok && known.Status < http.StatusInternalServerError && ctx.Err() == nil
}
