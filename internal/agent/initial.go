package agent

import (
	"context"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/steptime"
)

// beginWith does actions before the model is asked, through the same tools and checks as
// its own. What came of them stands in the first message.
func (r *run) beginWith(ctx context.Context, actions []bctrl.AgentAction) error {
	rec := r.beginRecord(ctx)
	told := ""
	err := func() error {
		for _, a := range actions {
			stepCtx, cancel := steptime.With(ctx, r.set.stepTimeout, errStepTime)
			o, err := r.runCall(stepCtx, model.ToolCall{Name: a.Tool, Arguments: string(a.Arguments)})
			if err != nil {
				err = r.timedOut(stepCtx, err)
			}
			cancel()
			if err != nil {
				return err
			}
			told += "- " + a.Tool + ": " + clip(o.text, maxHistoryText) + "\n"
			view, err := r.observe(ctx)
			if err != nil {
				return err
			}
			r.history.first = view
			if o.failed {
				break
			}
		}
		return nil
	}()
	r.history.task += "\n\nThis was done before you were asked:\n" + told
	if errRecord := r.endRecord(ctx, rec, nil, err != nil); err == nil {
		err = errRecord
	}
	return err
}
