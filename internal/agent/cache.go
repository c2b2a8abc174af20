package agent

import (
	"context"
	"fmt"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/steptime"
)

// maxCached bounds the actions that are kept of a task.
const maxCached = 200

// Cache keeps the actions of tasks that went well. The implementation keeps those of one
// workspace from every other's.
type Cache interface {
	// Load returns what is kept under a key, an action a step, with the page that it was
	// done on; nil for none.
	Load(ctx context.Context, key CacheKey) ([]bctrl.TranscriptStep, error)
	// Save keeps steps, in place of those that were kept. They hold no value of the vault.
	Save(ctx context.Context, key CacheKey, steps []bctrl.TranscriptStep) error
}

// CacheKey says what a task is and on what page it began. Two are the same task if both
// are the same.
type CacheKey struct {
	// Task is a digest of the verb, the instruction and the system text.
	Task string
	// Page is the origin and path of the page, Shape its structure without its texts.
	Page, Shape string
}

func (r *run) cacheKey() CacheKey {
	return CacheKey{
		Task:  digest(string(r.set.verb) + "\x00" + r.set.task + "\x00" + r.set.system),
		Page:  documentOf(r.pageURL),
		Shape: r.seen.shape,
	}
}

// work carries out a task: with what went well before, where the cache may be used and
// has it, else by asking the model.
func (r *run) work(ctx context.Context) error {
	if r.set.cache != bctrl.CacheAuto || r.deps.Cache == nil {
		return r.loop(ctx)
	}
	if err := r.listLogins(ctx); err != nil {
		return err
	}
	if _, err := r.observe(ctx); err != nil {
		return err
	}
	key := r.cacheKey()
	steps, err := r.deps.Cache.Load(ctx, key)
	if err != nil {
		return fmt.Errorf("read the cache: %w", err)
	}
	over := false
	if len(steps) > 0 {
		if over, err = r.fromCache(ctx, steps); err != nil {
			return err
		}
	}
	if !over {
		if err := r.loop(ctx); err != nil {
			return err
		}
	}
	if kept, ok := r.cacheable(); ok && (!r.result.FromCache || r.result.Healed > 0) {
		if err := r.deps.Cache.Save(ctx, key, kept); err != nil {
			return fmt.Errorf("write the cache: %w", err)
		}
	}
	return nil
}

// fromCache does actions that went well before. Where one does not fit the page, the
// model is asked for it alone; where that fails too, the rest is left to the loop. It
// reports whether the task is over.
func (r *run) fromCache(ctx context.Context, steps []bctrl.TranscriptStep) (over bool, err error) {
	r.result.FromCache = true
	for i, s := range steps {
		rec := r.beginRecord(ctx)
		err := r.replayStep(ctx, i, s)
		if errRecord := r.endRecord(ctx, rec, nil, err != nil); err == nil {
			err = errRecord
		}
		if err == nil {
			continue
		}
		if !isRefusal(ctx, err) {
			return false, err
		}
		if !sameSite(s.URL, r.pageURL) {
			r.before = fmt.Sprintf("%d of %d actions of an earlier run were done; then the page was of another site",
				i, len(steps))
			return false, nil
		}
		healed, err := r.heal(ctx, s.Actions[0])
		if err != nil {
			return false, err
		}
		if !healed {
			r.before = fmt.Sprintf("%d of %d actions of an earlier run were done; then the page was another", i, len(steps))
			return false, nil
		}
	}
	if r.set.output != nil {
		r.before = fmt.Sprintf("all %d actions of an earlier run were done; what is left is to answer", len(steps))
		return false, nil
	}
	r.result.Success, r.result.Message = true, counting(len(steps), "action")+" done again"
	return true, nil
}

// heal asks the model once for an action that did not fit the page, and does what it
// calls for. It reports whether that went well.
func (r *run) heal(ctx context.Context, a bctrl.ActAction) (bool, error) {
	view, err := r.observe(ctx)
	if err != nil {
		return false, err
	}
	stepCtx, cancel := steptime.With(ctx, r.set.stepTimeout, errStepTime)
	defer cancel()
	rec := r.beginRecord(ctx)
	r.result.Steps++
	answer, err := r.ask(stepCtx, r.deps.Model, model.Request{
		Model:  r.set.model,
		System: r.systemText(),
		Messages: []model.Message{{Role: model.User, Text: "Task: " + r.set.task + "\n\n" +
			"An earlier run did this next, in words that the page had then:\n" +
			pageText(r.shortSafe(a.Kind+" "+a.Target)+" "+r.shortSafe(string(a.Arguments))) +
			"\nIts element is no longer where it was. Call the one tool that does the same on this page, and nothing else.\n\n" +
			view.text}},
		Tools: r.toolList,
	})
	done := false
	if err == nil {
		done, err = r.doHealing(stepCtx, answer, a)
	} else if ctx.Err() == nil && r.mayAskAgain(stepCtx, err) {
		err = nil // the loop goes on from here
	}
	if errRecord := r.endRecord(ctx, rec, answer, err != nil); err == nil {
		err = errRecord
	}
	if done {
		r.result.Healed++
	}
	return done, err
}

// doHealing does the first call of an answer, if it is of the kind that did not fit.
func (r *run) doHealing(ctx context.Context, answer *model.Response, a bctrl.ActAction) (bool, error) {
	again, _ := r.callAgain(a)
	if len(answer.Calls) == 0 || answer.Calls[0].Name != again.Name {
		return false, nil
	}
	out, err := r.runCall(ctx, answer.Calls[0])
	if err != nil || out.failed {
		return false, err
	}
	if out.mayHaveChanged {
		_, err = r.observe(ctx)
	}
	return err == nil, err
}

// cacheable returns what a task that went well did, an action a step, or false where it
// cannot all be done again.
func (r *run) cacheable() ([]bctrl.TranscriptStep, bool) {
	if !r.result.Success || r.result.Limit != "" {
		return nil, false
	}
	kept := []bctrl.TranscriptStep{}
	for i, a := range r.result.Actions {
		if a.Error != "" || readsOnly(a.Kind) {
			continue
		}
		// A value may have become known as one after it was typed.
		if holdsMask(a) || r.deps.Secrets.Holds(a.Arguments) || len(kept) == maxCached {
			return nil, false
		}
		kept = append(kept, bctrl.TranscriptStep{URL: r.actionPages[i], Actions: []bctrl.ActAction{a}})
	}
	return kept, len(kept) > 0
}
