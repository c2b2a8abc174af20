package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
)

const (
	defaultMaxCandidates = 10
	maxDescription       = 300
	// onePageTime bounds what is done on one page, with all corrections.
	onePageTime = 10 * time.Minute
)

// onePage are the settings of what asks about one page.
func onePage(vision bctrl.VisionMode) settings {
	s := settings{vision: vision, timeout: onePageTime}
	s.complete()
	return s
}

// candidate is an element that the model names.
type candidate struct {
	Ref         string   `json:"ref"`
	Method      string   `json:"method"`
	Arguments   []string `json:"arguments"`
	Description string   `json:"description"`
	Confidence  float64  `json:"confidence"`
}

// observeTool is how the model answers.
func observeTool() model.Tool {
	return model.Tool{
		Name:        "candidates",
		Description: "Give the elements of the page that the instruction may mean. None is an empty list.",
		Parameters: json.RawMessage(`{"type":"object","properties":{"candidates":{"type":"array","items":{"type":"object",` +
			`"properties":{` + ref + `,` +
			`"method":{"type":"string","description":"What would be done to it: ` + methodNames() + `."},` +
			`"arguments":{"type":"array","items":{"type":"string"},"description":"type: the text. select: the options. ` +
			`fill: the key of a login and the field, username or password. totp: the key. click: none."},` +
			`"description":{"type":"string","description":"What the element is for, in a few words."},` +
			`"confidence":{"type":"number","description":"0 to 1: how sure you are that it is meant."}},` +
			`"required":["ref","method","description","confidence"],"additionalProperties":false}}},` +
			`"required":["candidates"],"additionalProperties":false}`),
	}
}

// Observe asks the model which elements of the page an instruction may mean and what
// would be done to them. The page is only read. An answer that names an element that is
// not there, or something that cannot be done, is told to the model; after two
// corrections the error is "observe.invalid_answer".
//
// The result stands beside an error too, with what the model took.
func Observe(ctx context.Context, deps Deps, args bctrl.ObserveArgs) (*bctrl.ObserveResult, error) {
	if err := CheckObserve(args); err != nil {
		return nil, err
	}
	r := newRun(deps, onePage(args.Vision))
	result := &bctrl.ObserveResult{Observed: []bctrl.Observed{}}
	most := cmp.Or(args.MaxCandidates, defaultMaxCandidates)
	err := r.readPage(ctx, func(ctx context.Context, view string) error {
		return r.askStrictly(ctx, question{
			chat:   r.deps.Model,
			system: observePrompt,
			text:   fmt.Sprintf("Instruction: %s\n\nGive at most %d candidates.\n\n%s", args.Instruction, most, view),
			png:    r.seen.png,
			tool:   observeTool(),
			code:   "observe.invalid_answer",
			read: func(arguments string) (reasons []string) {
				result.Observed, reasons = r.readCandidates(arguments, most)
				return reasons
			},
		})
	})
	result.URL, result.Usage, result.Models = r.result.URL, r.result.Usage, r.result.Models
	return result, err
}

// onOnePage is [run.carryOut] for what has no result without its end: running into the
// time is an error.
func (r *run) onOnePage(ctx context.Context, work func(context.Context) error) error {
	err := r.carryOut(ctx, work)
	if err == nil && r.result.Limit == bctrl.LimitTime {
		err = browser.GatewayTimeout("agent.timeout", r.result.Message, "")
	}
	return err
}

// readPage looks at the page, has work ask about it, and records it as one step.
func (r *run) readPage(ctx context.Context, work func(ctx context.Context, view string) error) error {
	return r.onOnePage(ctx, func(ctx context.Context) error {
		if err := r.listLogins(ctx); err != nil {
			return err
		}
		view, err := r.observe(ctx)
		if err != nil {
			return err
		}
		rec := r.beginRecord(ctx)
		err = work(ctx, view.text)
		if errRecord := r.endRecord(ctx, rec, nil, err != nil); err == nil {
			err = errRecord
		}
		return err
	})
}

// readCandidates reads the model's answer, the likeliest first.
func (r *run) readCandidates(arguments string, most int) (observed []bctrl.Observed, reasons []string) {
	var answer struct {
		Candidates []candidate `json:"candidates"`
	}
	if err := decode(arguments, []string{"candidates"}, &answer); err != nil {
		return []bctrl.Observed{}, []string{err.Error()}
	}
	slices.SortStableFunc(answer.Candidates, func(a, b candidate) int { return cmp.Compare(b.Confidence, a.Confidence) })
	observed = []bctrl.Observed{}
	for i, c := range answer.Candidates {
		at := fmt.Sprintf("candidate %d: ", i+1)
		e, _, ok := r.element(c.Ref)
		m, known := methodOf(c.Method)
		switch {
		case !ok:
			reasons = append(reasons, at+"ref is no element of the view")
			continue
		case !known:
			reasons = append(reasons, at+"method is none of "+methodNames())
			continue
		case m.refuses(c.Arguments) != "":
			reasons = append(reasons, at+m.refuses(c.Arguments))
			continue
		case !(c.Confidence >= 0 && c.Confidence <= 1):
			reasons = append(reasons, at+"confidence is not between 0 and 1")
			continue
		}
		if len(observed) < most {
			observed = append(observed, r.observed(e, c))
		}
	}
	if len(reasons) > 0 {
		return []bctrl.Observed{}, reasons
	}
	return observed, nil
}

func (r *run) observed(e browser.Element, c candidate) bctrl.Observed {
	o := bctrl.Observed{
		Description: clip(r.deps.Secrets.String(clean(c.Description)), maxDescription),
		Element:     *r.elementDescription(e),
		Method:      c.Method,
		Handle:      r.handle(e),
	}
	for _, a := range c.Arguments {
		o.Arguments = append(o.Arguments, r.deps.Secrets.String(a))
	}
	return o
}
