package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

// errNoSuccess ends a command that has printed what an agent did.
var errNoSuccess = errors.New("the agent says that it did not succeed")

// cancelBound is how long telling the server of an interrupt may take.
const cancelBound = 5 * time.Second

// performed does a call of an agent as an operation, which keeps a transcript, and
// prints its result. Its error is errNoSuccess where that says so itself.
func performed[T any](
	ctx context.Context, c *cli, cmd *cobra.Command,
	start func(context.Context) (*bctrl.Operation, error), read func(*bctrl.OperationInfo) (*T, error),
) error {
	op, err := start(ctx)
	if err != nil {
		return err
	}
	r, err := concluded(ctx, cmd, op, read)
	if err != nil {
		return err
	}
	lines, success := resultLines(r)
	if err := show(c, cmd, *r, append(lines, pair{"Operation", op.ID})...); err != nil {
		return err
	}
	return verdict(success)
}

func verdict(success bool) error {
	if !success {
		return errNoSuccess
	}
	return nil
}

// concluded follows an operation to its end and reads its result. An interrupt cancels it:
// nobody would see its end.
func concluded[T any](
	ctx context.Context, cmd *cobra.Command, op *bctrl.Operation, read func(*bctrl.OperationInfo) (*T, error),
) (*T, error) {
	info, err := followed(ctx, cmd, op)
	if ctx.Err() != nil {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelBound)
		defer cancel()
		_, cancelErr := op.Cancel(end)
		return nil, errors.Join(ctx.Err(), cancelErr)
	}
	if err != nil {
		return nil, err
	}
	return read(info)
}

// followed waits for an operation's end. Where standard error is a terminal, each step is
// noted there when it begins.
func followed(ctx context.Context, cmd *cobra.Command, op *bctrl.Operation) (*bctrl.OperationInfo, error) {
	if _, seen := terminal(cmd.ErrOrStderr()); seen {
		for p, err := range op.Progress(ctx) {
			if err != nil {
				break // Wait says so
			}
			if p.Message != "" {
				note(cmd, "%s", printable(p.Message))
			}
		}
	}
	return op.Wait(ctx)
}

// stepLines are the lines about one step of an operation. Success is false where its
// agent says that it did not succeed.
func stepLines(s bctrl.StepResult) (lines []pair, success bool) {
	lines, success = []pair{{"Call", string(s.Call) + ", " + s.Duration.Round(time.Millisecond).String()}}, true
	if result := resultOf(s.Call); result != nil && json.Unmarshal(s.Result, result) == nil {
		var more []pair
		more, success = resultLines(result)
		lines = append(lines, more...)
	}
	if s.Error != nil {
		lines = append(lines, pair{"Error", s.Error.Message + " (" + s.Error.Code + ")"})
	}
	return lines, success
}

// resultOf is where a call's result is decoded to; nil for a call of a later server.
func resultOf(call bctrl.Call) any {
	switch call {
	case bctrl.CallAct:
		return new(bctrl.ActResult)
	case bctrl.CallObserve:
		return new(bctrl.ObserveResult)
	case bctrl.CallExtract:
		return new(bctrl.ExtractResult)
	case bctrl.CallAgent, bctrl.CallBrowserUse, bctrl.CallReplay:
		return new(bctrl.AgentResult)
	case bctrl.CallGoto:
		return new(bctrl.GotoResult)
	case bctrl.CallScreenshot:
		return new(bctrl.StorageObject)
	case bctrl.CallPDF:
		return new(bctrl.PDFResult)
	case bctrl.CallFill:
		return new(bctrl.FillResult)
	}
	return nil
}

// resultLines are the lines about what a call came to. Success is false where an agent
// says that it did not succeed, or its budget ended it.
func resultLines(result any) (lines []pair, success bool) {
	success = true
	switch r := result.(type) {
	case *bctrl.ActResult:
		lines = append(actionLines(r.Actions), pair{"Page", r.URL})
		lines = append(lines, fileLines(r.Downloads)...)
		lines = append(lines, usageLine(r.Usage), pair{"Limit", string(r.Limit)}, pair{"Success", yesNo(r.Success)},
			pair{"Message", r.Message})
		success = r.Success
	case *bctrl.AgentResult:
		lines, success = taskLines(r), r.Success
	case *bctrl.ObserveResult:
		for _, found := range r.Observed {
			lines = append(lines, pair{"Found", strings.Join(words(found.Method, found.Element.Role,
				quoted(found.Element.Name), strings.Join(found.Arguments, " "), prefixed("to ", found.Description)), " ")})
		}
		lines = append(lines, pair{"Page", r.URL}, usageLine(r.Usage))
	case *bctrl.ExtractResult:
		lines = append(lines, pair{"Page", r.URL}, usageLine(r.Usage), pair{"Data", string(r.Data)})
		if r.Truncated {
			lines = append(lines, pair{"Truncated", yesNo(true)})
		}
	case *bctrl.GotoResult:
		lines = append(lines, pair{"Page", r.URL}, pair{"Title", r.Title})
	case *bctrl.StorageObject:
		lines = fileLines([]bctrl.StorageObject{*r})
	case *bctrl.FillResult:
		lines = append(lines, pair{"Filled", joined(r.Filled)}, pair{"Page", r.URL})
	}
	return lines, success
}

func taskLines(r *bctrl.AgentResult) []pair {
	lines := actionLines(r.Actions)
	for _, page := range r.Pages {
		lines = append(lines, pair{"Page", page})
	}
	lines = append(lines, fileLines(r.Files)...)
	lines = append(lines, pair{"Steps", fmt.Sprint(r.Steps)}, usageLine(r.Usage))
	for _, m := range r.Models {
		if m.Cost != nil {
			lines = append(lines, pair{"Cost", fmt.Sprintf("$%.4f for %s", *m.Cost, m.Model)})
		}
	}
	return append(lines, pair{"Limit", string(r.Limit)}, pair{"Success", yesNo(r.Success)}, pair{"Message", r.Message},
		pair{"Output", string(r.Output)})
}

// actionLines are what an agent did.
func actionLines(actions []bctrl.ActAction) (lines []pair) {
	for _, a := range actions {
		lines = append(lines, pair{"Did", actionText(a)})
	}
	return lines
}

func actionText(a bctrl.ActAction) string {
	return strings.Join(words(a.Kind, a.Target, a.VaultKey, prefixed("failed: ", a.Error)), " ")
}

// fileLines are the files that landed in storage.
func fileLines(files []bctrl.StorageObject) (lines []pair) {
	for _, f := range files {
		lines = append(lines, pair{"File", f.Workspace + ":" + f.LogicalPath + ", " + size(f.SizeBytes)})
	}
	return lines
}

// usageLine is what models were asked.
func usageLine(u bctrl.Usage) pair { return pair{"Model", usageText(u)} }

func usageText(u bctrl.Usage) string {
	return fmt.Sprintf("%d calls, %d tokens in, %d out", u.Calls, u.InputTokens, u.OutputTokens)
}
