package agent

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/scrub"
)

// Limits of one task.
const (
	// DefaultMaxSteps is how often the model is asked unless Options say
	// otherwise; MaxMaxSteps is the most that they may say.
	DefaultMaxSteps = 25
	MaxMaxSteps     = 200
	// DefaultTimeout bounds a task unless Options say otherwise.
	DefaultTimeout = 10 * time.Minute
	// MaxInstruction bounds the instruction in bytes.
	MaxInstruction = 16 << 10

	// maxIdleTurns is how many turns in a row may pass without one call that
	// could be run.
	maxIdleTurns = 5
	// maxCallsPerTurn bounds what one answer of the model sets off.
	maxCallsPerTurn = 8
	// settleTime is how long a page may stay busy after an action before it is
	// read all the same.
	settleTime = 3 * time.Second
)

// Deps are what a task works with.
type Deps struct {
	Model model.Chat
	// Page returns the page to work on. It is asked before every view, because
	// a click may open another.
	Page func(ctx context.Context) (browser.Page, error)
	// Logins fill from the vault; nil for none.
	Logins Logins
	// Downloads returns the files that the runtime has put into storage so
	// far; nil for none. Those that are there when the task begins are not the
	// task's.
	Downloads func() []bctrl.StorageObject
	// Secrets are never shown to the model; every value that is filled is
	// added. Keep one Set for the life of a browser, because its pages outlive
	// a task. Nil is a new Set.
	Secrets *scrub.Set
	// Progress is told before each call of a tool; nil for nobody. Step counts
	// from 1 up to total.
	Progress func(step, total int, call, message string)
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

// Options say what to do.
type Options struct {
	Instruction string
	// Model is a model's id; empty is the Chat's default.
	Model string
	// MaxSteps bounds how often the model is asked; zero is [DefaultMaxSteps].
	MaxSteps int
	// Timeout bounds the task; zero is [DefaultTimeout].
	Timeout time.Duration
}

func (o *Options) check() error {
	bad := func(field, message string) error {
		return &bctrl.Error{
			Status:  http.StatusBadRequest,
			Code:    "agent.invalid_options",
			Field:   field,
			Message: message,
		}
	}
	switch {
	case strings.TrimSpace(o.Instruction) == "":
		return bad("instruction", "the instruction is empty")
	case len(o.Instruction) > MaxInstruction:
		return bad("instruction", fmt.Sprintf("the instruction is longer than %d bytes", MaxInstruction))
	case o.MaxSteps < 0 || o.MaxSteps > MaxMaxSteps:
		return bad("maxSteps", fmt.Sprintf("maxSteps is not between 1 and %d", MaxMaxSteps))
	case o.Timeout < 0:
		return bad("timeout", "the timeout is negative")
	}
	if o.MaxSteps == 0 {
		o.MaxSteps = DefaultMaxSteps
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	return nil
}

// errTimeLimit is the cause of a context that ran into Options.Timeout.
var errTimeLimit = errors.New("the task's time is up")

// Act carries out a task. The result says what was done. Beside an error too, it says
// what was done until then, unless the options are wrong.
//
// A task that ends because of a limit, or because the model goes round in
// circles, is not an error: its result has Success false and says so. Errors
// are the context's, those of package model, and a browser or vault that
// fails.
func Act(ctx context.Context, deps Deps, opts Options) (*bctrl.ActResult, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	if deps.Secrets == nil {
		deps.Secrets = scrub.New()
	}
	ctx, cancel := context.WithTimeoutCause(ctx, opts.Timeout, errTimeLimit)
	defer cancel()

	r := &run{
		deps:             deps,
		opts:             opts,
		chat:             guard{deps.Model, deps.Secrets},
		result:           &bctrl.ActResult{Actions: []bctrl.ActAction{}, Downloads: []bctrl.StorageObject{}},
		earlierDownloads: make(map[string]bool),
		repeats:          make(map[[sha256.Size]byte]int),
		callIDs:          make(map[string]bool),
	}
	err := r.loop(ctx)
	switch {
	case err == nil:
	case errors.Is(context.Cause(ctx), errTimeLimit):
		r.stop("the task was stopped after " + opts.Timeout.String())
		err = nil
	case ctx.Err() != nil:
		err = fmt.Errorf("act: %w", ctx.Err())
	}
	r.result.Downloads = append(r.result.Downloads, r.newDownloads()...)
	return r.result, err
}

// run is a task that is being carried out.
type run struct {
	deps   Deps
	opts   Options
	chat   model.Chat
	result *bctrl.ActResult
	// earlierDownloads are the ids of downloads that were there at the start.
	earlierDownloads map[string]bool
	logins           []LoginInfo

	history history
	step    int
	// These are of the newest view: its page, the elements that it names, all that
	// it shows as one text, and how many downloads it lists.
	page           browser.Page
	elements       map[browser.Ref]browser.Element
	pageState      string
	shownDownloads int
	// repeats counts calls by a hash of the call and of the page that it was made on.
	repeats   map[[sha256.Size]byte]int
	circling  int
	idleTurns int
	callIDs   map[string]bool
}

// stop ends the task without success.
func (r *run) stop(message string) {
	r.result.Success, r.result.Message = false, message
}

func (r *run) loop(ctx context.Context) error {
	for _, d := range r.downloads() {
		r.earlierDownloads[d.ID] = true
	}
	if r.deps.Logins != nil {
		var err error
		if r.logins, err = r.deps.Logins.List(ctx); err != nil {
			return fmt.Errorf("list the logins: %w", err)
		}
	}
	view, err := r.observe(ctx)
	if err != nil {
		return err
	}
	r.history.task, r.history.first = r.opts.Instruction, view

	for r.step = 1; r.step <= r.opts.MaxSteps; r.step++ {
		answer, err := r.chat.Complete(ctx, model.Request{
			Model:    r.opts.Model,
			System:   systemPrompt,
			Messages: r.history.messages(),
			Tools:    toolList,
		})
		if err != nil {
			return err
		}
		r.result.Usage.Calls++
		r.result.Usage.InputTokens += answer.Usage.InputTokens
		r.result.Usage.OutputTokens += answer.Usage.OutputTokens
		if over, err := r.runTurn(ctx, answer); over || err != nil {
			return err
		}
	}
	r.stop(fmt.Sprintf("the task was stopped after %d steps", r.opts.MaxSteps))
	return nil
}

// observe reads the page and returns the view that the model is shown.
func (r *run) observe(ctx context.Context) (renderedView, error) {
	page, err := r.deps.Page(ctx)
	if err != nil {
		return renderedView{}, fmt.Errorf("find the page: %w", err)
	}
	// A page that stays busy is read as it is.
	_ = page.Settle(ctx, settleTime)
	seen, err := page.Observe(ctx)
	if err != nil && ctx.Err() == nil {
		// The page may have been about to show another document.
		_ = page.Settle(ctx, settleTime)
		seen, err = page.Observe(ctx)
	}
	if err != nil {
		return renderedView{}, fmt.Errorf("read the page: %w", err)
	}
	r.page = page
	r.elements = make(map[browser.Ref]browser.Element, len(seen.Elements))
	for _, e := range seen.Elements {
		r.elements[e.Ref] = e
	}
	r.pageState = seen.URL + "\x00" + seen.Title + "\x00" + seen.Outline
	r.result.URL = r.deps.Secrets.String(withoutQuery(seen.URL))

	view := View{
		URL:       seen.URL,
		Title:     seen.Title,
		Logins:    loginsOfOriginFirst(r.logins, seen.URL),
		Outline:   seen.Outline,
		Truncated: seen.Truncated,
	}
	files := r.newDownloads()
	r.shownDownloads = len(files)
	for _, d := range files {
		view.Downloads = append(view.Downloads, Download{Filename: d.Filename, Path: d.LogicalPath, Size: d.SizeBytes})
	}
	return render(view, r.deps.Secrets), nil
}

// loginsOfOriginFirst puts the logins of the page's origin first, since a view lists a
// limited number. It does not decide where they may be filled.
func loginsOfOriginFirst(logins []LoginInfo, page string) []LoginInfo {
	u, err := url.Parse(page)
	if err != nil {
		return logins
	}
	origin := u.Scheme + "://" + u.Host
	here := func(l LoginInfo) bool {
		return slices.ContainsFunc(l.Origins, func(pattern string) bool {
			before, after, wild := strings.Cut(pattern, "*")
			return pattern == origin || wild && strings.HasPrefix(origin, before) && strings.HasSuffix(origin, after)
		})
	}
	var first, others []LoginInfo
	for _, l := range logins {
		if here(l) {
			first = append(first, l)
		} else {
			others = append(others, l)
		}
	}
	return append(first, others...)
}

func (r *run) downloads() []bctrl.StorageObject {
	if r.deps.Downloads == nil {
		return nil
	}
	return r.deps.Downloads()
}

// newDownloads returns the downloads of this task.
func (r *run) newDownloads() []bctrl.StorageObject {
	var fresh []bctrl.StorageObject
	for _, d := range r.downloads() {
		if !r.earlierDownloads[d.ID] {
			fresh = append(fresh, d)
		}
	}
	return fresh
}
