package agent

import (
	"context"
	"encoding/json"
	"strings"
)

// finishTools are the tools that end a task, of one with an output or without.
func finishTools(output *outputSchema) []tool {
	properties := `"success":{"type":"boolean","description":"Whether the task is finished."},` +
		`"message":{"type":"string","description":"What was done, or what stands in the way."}`
	if output == nil {
		return []tool{define[finishTask](toolDone, "End the task: when it is finished, or cannot be.",
			properties, "success", "message")}
	}
	return []tool{define[finishWithOutput](toolDone, "End the task: when it is finished, or cannot be.",
		properties+`,"output":`+output.property(), "success", "message")}
}

type finishTask struct {
	Success bool   `json:"success"`
	Message string `json:"message"`
}

func (a finishTask) do(_ context.Context, r *run) (outcome, error) {
	r.result.Success = a.Success
	r.result.Message = clip(r.deps.Secrets.String(a.Message), maxMessage)
	return outcome{finished: true}, nil
}

type finishWithOutput struct {
	finishTask
	Output json.RawMessage `json:"output"`
}

// do takes an output that validates. Who is not finished may give none.
func (a finishWithOutput) do(ctx context.Context, r *run) (outcome, error) {
	if len(a.Output) == 0 || string(a.Output) == "null" && !a.Success {
		if a.Success {
			return refuse("not done: the task has an output, and done was called without"), nil
		}
		return a.finishTask.do(ctx, r)
	}
	output, reasons := r.set.output.read([]byte(r.deps.Secrets.String(string(a.Output))))
	if len(reasons) > 0 {
		return refuse("not done: the output does not validate: " + strings.Join(reasons, "; ")), nil
	}
	r.result.Output = output
	return a.finishTask.do(ctx, r)
}

// planTools keep the model's plan.
func planTools() []tool {
	return []tool{define[writePlan]("plan", "Write down your plan, in place of the one before.",
		`"steps":{"type":"string","description":"A line for each step, with what is done already."}`, "steps")}
}

type writePlan struct {
	Steps string `json:"steps"`
}

func (a writePlan) do(_ context.Context, r *run) (outcome, error) { //nolint:unparam // it is an action like the others
	r.history.plan = clip(r.deps.Secrets.String(strings.TrimSpace(a.Steps)), maxHistoryText)
	return outcome{text: "noted"}, nil
}
