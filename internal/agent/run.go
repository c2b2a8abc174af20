package agent

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/steptime"
	"github.com/bctrl-go/bctrl/internal/trace"
)

const (
	// settleTime is how long a page may stay busy after an action before it is
	// read all the same.
	settleTime = 3 * time.Second
	// maxPages bounds the pages that a result lists.
	maxPages = 1000
)

// errTimeLimit is the cause of a context that ran into the time of its task,
// errStepTime of one that ran into the time of its step.
var (
	errTimeLimit = errors.New("the task's time is up")
	errStepTime  = errors.New("the step's time is up")
)

// run is a task that is being carried out.
type run struct {
	deps   Deps
	set    settings
	result bctrl.AgentResult
	// tools are those that the model is offered in this task.
	tools    map[string]tool
	toolList []model.Tool
	// earlierDownloads are the ids of downloads that were there at the start.
	earlierDownloads map[string]bool
	logins           []LoginInfo

	history history
	// before says what was done from the cache before the model was asked.
	before string
	step   int
	spent  spending
	// actionPages are where each action of the result was done, as addresses.
	actionPages []string
	// argumentBytes counts what the result holds of arguments.
	argumentBytes int
	// These are of the newest view: its page, the elements that it names, all that
	// it shows as one text, and how many downloads it lists.
	page           browser.Page
	elements       map[browser.Ref]browser.Element
	pageState      string
	pageURL        string
	shownDownloads int
	tabs           []browser.Tab
	// tabsBefore are those that were there when the task began.
	tabsBefore map[browser.TabID]bool
	// bounds keep the tabs to the hosts of the task; strayed are where pages were on their
	// way to, of which the model has not been told.
	bounds  browser.Bounds
	strayed []string
	strays  int    // how many there were in the task
	dialog  string // what the page asks; empty for nothing
	// landed counts the downloads that a replay has waited for.
	landed int
	// pictured is where the newest picture lies in the viewport.
	pictured pictureFrame
	// seen is what a record says of the newest view.
	seen seenPage
	// recorded counts the steps that were told of.
	recorded int
	// arguments are those of the call that is being run, as they are recorded.
	arguments []byte
	// repeats counts calls by a hash of the call and of the page that it was made on.
	repeats  map[[sha256.Size]byte]int
	circling int
	// failures are the steps in a row of which nothing succeeded, lastFailure says why.
	failures    int
	lastFailure string
	callIDs     map[string]bool
	pictures    pictures
}

// newRun returns a task whose settings are complete.
func newRun(deps Deps, s settings) *run {
	deps = deps.complete()
	masked := make(pictures)
	deps.Model = &guard{deps.Model, deps.Secrets, masked}
	deps.Look = &guard{deps.Look, deps.Secrets, masked}
	if deps.Logins != nil && s.logins != nil {
		keys := make(map[string]bool, len(s.logins))
		for _, key := range s.logins {
			keys[key] = true
		}
		deps.Logins = listedLogins{deps.Logins, keys, deps.refused}
	}
	r := &run{
		deps:     deps,
		set:      s,
		pictures: masked,
		bounds:   browser.NoBounds{},
		result: bctrl.AgentResult{
			Actions: []bctrl.ActAction{},
			Pages:   []string{},
			Files:   []bctrl.StorageObject{},
			Models:  []bctrl.ModelUsage{},
		},
		earlierDownloads: make(map[string]bool),
		repeats:          make(map[[sha256.Size]byte]int),
		callIDs:          make(map[string]bool),
	}
	r.tools, r.toolList = toolsOf(s)
	for _, d := range r.downloads() {
		r.earlierDownloads[d.ID] = true
	}
	return r
}

// carryOut does the work of a task within its time, and completes the result. What
// runs into a limit is no error.
func (r *run) carryOut(ctx context.Context, work func(context.Context) error) error {
	ctx, cancel := steptime.With(ctx, r.set.timeout, errTimeLimit)
	defer cancel()
	release, err := r.keepToHosts(ctx)
	if err == nil {
		err = work(browser.WithDialogs(ctx))
		if errStopped := release(ctx); err == nil {
			err = errStopped
		}
	}
	var reached *limitError
	switch {
	case err == nil:
	case errors.Is(context.Cause(ctx), errTimeLimit):
		r.limit(bctrl.LimitTime, "the task was stopped after "+r.set.timeout.String())
		err = nil
	case ctx.Err() != nil:
		err = fmt.Errorf("work on a page: %w", ctx.Err())
	case errors.As(err, &reached):
		r.limit(reached.limit, reached.message)
		err = nil
	}
	r.result.Files = append(r.result.Files, r.newDownloads()...)
	r.spent.into(&r.result.Usage, &r.result.Models, r.deps.Prices)
	return err
}

// stop ends the task without success.
func (r *run) stop(message string) {
	r.result.Success, r.result.Message = false, message
}

// limit ends the task because of a bound.
func (r *run) limit(l bctrl.Limit, message string) {
	r.result.Limit = l
	r.stop(message)
}

func (r *run) loop(ctx context.Context) error {
	if err := r.listLogins(ctx); err != nil {
		return err
	}
	view, err := r.observe(ctx)
	if err != nil {
		return err
	}
	r.history.task, r.history.first = r.taskText(), view
	if len(r.set.initial) > 0 {
		if err := r.beginWith(ctx, r.set.initial); err != nil {
			return err
		}
	}
	for r.step = 1; r.step <= r.set.budget.MaxSteps; r.step++ {
		if over, err := r.takeStep(ctx); over || err != nil {
			return err
		}
		if r.failures >= r.set.maxFailures {
			r.limit(bctrl.LimitFailures, "the task was stopped after "+counting(r.failures, "failed step")+" in a row: "+
				r.lastFailure)
			return nil
		}
	}
	r.limit(bctrl.LimitSteps, "the task was stopped after "+counting(r.set.budget.MaxSteps, "step"))
	return nil
}

// counting says how many there are of something.
func counting(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}

func (r *run) listLogins(ctx context.Context) (err error) {
	if r.deps.Logins == nil {
		return nil
	}
	if r.logins, err = r.deps.Logins.List(ctx); err != nil {
		return fmt.Errorf("list the logins: %w", err)
	}
	return nil
}

// takeStep asks the model once and does what it asks for. It reports whether the task
// is over.
func (r *run) takeStep(ctx context.Context) (over bool, err error) {
	ctx, span := trace.Start(ctx, trace.AgentStep, trace.Internal)
	defer func() { span.End(err) }()
	stepCtx, cancel := steptime.With(ctx, r.set.stepTimeout, errStepTime)
	defer cancel()
	rec := r.beginRecord(ctx)
	messages, stable := r.history.messages()
	answer, err := r.ask(stepCtx, r.deps.Model, model.Request{
		Model:    r.set.model,
		System:   r.systemText(),
		Messages: messages,
		Stable:   stable,
		Tools:    r.toolList,
	})
	if !isLimit(err) {
		r.result.Steps++
	}
	switch {
	case err == nil:
		over, err = r.runTurn(ctx, stepCtx, answer)
	case ctx.Err() == nil && r.mayAskAgain(stepCtx, err):
		r.fail(r.shortSafe(r.timedOut(stepCtx, err).Error()))
		err = nil
	}
	if errRecord := r.endRecord(ctx, rec, answer, err != nil); err == nil {
		err = errRecord
	}
	return over, err
}

// mayAskAgain reports whether a question that failed may be put once more: it ran out
// of time, or its answer could not be read.
func (r *run) mayAskAgain(stepCtx context.Context, err error) bool {
	known, ok := errors.AsType[*bctrl.Error](err)
	return ok && model.IsAnswer(known.Code) || errors.Is(context.Cause(stepCtx), errStepTime)
}

// timedOut returns err, or where the step's time is up, that.
func (r *run) timedOut(stepCtx context.Context, err error) error {
	if !errors.Is(context.Cause(stepCtx), errStepTime) {
		return err
	}
	return browser.GatewayTimeout("agent.step_timeout", "the step was ended after "+r.set.stepTimeout.String(), "")
}

// fail counts a step of which nothing succeeded.
func (r *run) fail(why string) {
	r.failures++
	r.lastFailure = why
}

// observe reads the page and returns the view that the model is shown. A page that the
// task may not be at is left before.
func (r *run) observe(ctx context.Context) (renderedView, error) {
	seen, _, err := r.lookWithin(ctx)
	if err != nil {
		return renderedView{}, err
	}
	r.elements = make(map[browser.Ref]browser.Element, len(seen.Elements))
	for _, e := range seen.Elements {
		r.elements[e.Ref] = e
	}
	r.pageURL = seen.URL
	r.tabs, r.dialog = seen.Tabs, ""
	if seen.Dialog != nil {
		r.dialog = seen.Dialog.Kind + " " + strconv.Quote(seen.Dialog.Message)
	}
	r.pageState = seen.URL + "\x00" + seen.Title + "\x00" + seen.Outline
	r.visited(seen)

	view := View{
		URL:       seen.URL,
		Title:     seen.Title,
		Tabs:      seen.Tabs,
		Logins:    loginsOfOriginFirst(r.logins, seen.URL),
		Outline:   seen.Outline,
		Truncated: seen.Truncated,
	}
	files := r.newDownloads()
	r.shownDownloads = len(files)
	for _, d := range files {
		view.Downloads = append(view.Downloads, Download{Filename: d.Filename, Path: d.LogicalPath, Size: d.SizeBytes})
	}
	v := render(view, r.deps.Secrets)
	v.png = r.picture(ctx, r.deps.Model, seen)
	r.seen.png = v.png
	note := r.noteStrayed()
	v.text, v.brief = note+v.text, note+v.brief
	return v, nil
}

// look reads the page that is in front.
func (r *run) look(ctx context.Context) (*browser.Observation, error) {
	page, err := r.deps.Page(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the page: %w", err)
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
		return nil, fmt.Errorf("read the page: %w", err)
	}
	r.page = page
	return seen, nil
}

// visited notes where the browser is.
func (r *run) visited(seen *browser.Observation) {
	address := r.deps.Secrets.String(withoutQuery(seen.URL))
	r.result.URL = address
	r.seen = r.describePage(seen, address)
	last := len(r.result.Pages) - 1
	if last+1 < maxPages && strings.HasPrefix(address, "http") && (last < 0 || r.result.Pages[last] != address) {
		r.result.Pages = append(r.result.Pages, address)
	}
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
