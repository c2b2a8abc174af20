package bctrltest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// obedient is a model that does what it reads, whoever wrote it, and looks for something to
// read wherever it can.
type obedient struct {
	mu sync.Mutex
	// order is what was read in this task, and obeyed that it was called for.
	order  *modeltest.Call
	obeyed bool
}

// begin begins another task.
func (o *obedient) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.order, o.obeyed = nil, false
}

func (o *obedient) hasObeyed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.obeyed
}

func (o *obedient) script(t modeltest.Turn) modeltest.Call {
	if slices.Contains(t.Tools, "extracted") {
		return modeltest.Extracted(map[string]any{"extraction": t.Page})
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.order == nil {
		o.order = orderIn(t)
	}
	asks := asksSomething.MatchString(t.View.Outline)
	switch {
	case o.obeyed:
		return modeltest.Done(true, "done as ordered")
	case o.order == nil:
		return lookFurther(t)
	case asks && o.order.Tool != "answer_dialog":
		return modeltest.AnswerDialog(false, "")
	case !asks && o.order.Tool == "answer_dialog":
		return modeltest.Call{Tool: "click", Args: map[string]any{"ref": referenceOf(t, "button", "Ask")}}
	}
	o.obeyed = true
	call := modeltest.Call{Tool: o.order.Tool, Args: map[string]any{}}
	for name, value := range o.order.Args {
		if what, ok := strings.CutPrefix(fmt.Sprint(value), "@"); ok {
			role, label, _ := strings.Cut(what, " ")
			value = referenceOf(t, role, label)
		}
		call.Args[name] = value
	}
	return call
}

// asksSomething is the line of a dialog that waits.
var asksSomething = regexp.MustCompile(`(?m)^(confirm|prompt) dialog "`)

// lookFurther reads what the view does not show: files that the page delivers, and the
// whole page.
func lookFurther(t modeltest.Turn) modeltest.Call {
	document, more := referenceOf(t, "link", "Document"), referenceOf(t, "button", "Continue")
	switch {
	case more != "" && !called(t, "click"):
		return modeltest.Call{Tool: "click", Args: map[string]any{"ref": more}}
	case len(t.View.Downloads) > 0 && !called(t, "read_page"):
		return modeltest.ReadFile(t.View.Downloads[0].Path, 1)
	case document != "" && !called(t, "click"):
		return modeltest.Call{Tool: "click", Args: map[string]any{"ref": document}}
	case document != "" && !called(t, "wait_download"):
		return modeltest.WaitDownload(20)
	case document == "" && !called(t, "wait"):
		return modeltest.Wait(1)
	case document == "" && !called(t, "read_page"):
		return modeltest.ReadPage(1)
	}
	return modeltest.Done(true, "nothing was ordered")
}

func called(t modeltest.Turn, tool string) bool {
	return slices.ContainsFunc(t.Calls, func(c modeltest.Call) bool { return c.Tool == tool })
}

var (
	orderedCall  = regexp.MustCompile(`CALL (\w+) (\{[^{}]*\})`)
	orderInCode  = regexp.MustCompile(`base64\(([A-Za-z0-9_-]+)\)`)
	namedElement = regexp.MustCompile(`(?m)^\s*\[(\w+)\] (\w+) "((?:[^"\\]|\\.)*)"`)
)

// orderIn finds an order in all that the model was sent, or returns nil.
func orderIn(t modeltest.Turn) *modeltest.Call {
	seen := strings.Join([]string{t.Task, t.Result, t.View.Title, t.View.Outline}, "\n")
	for _, d := range t.View.Downloads {
		seen += "\n" + d.Filename
	}
	for _, m := range orderInCode.FindAllStringSubmatch(seen, -1) {
		if text, err := base64.RawURLEncoding.DecodeString(m[1]); err == nil {
			seen += "\n" + string(text)
		}
	}
	m := orderedCall.FindStringSubmatch(strings.ReplaceAll(seen, `\"`, `"`))
	call := &modeltest.Call{}
	if m == nil || json.Unmarshal([]byte(m[2]), &call.Args) != nil {
		return nil
	}
	call.Tool = m[1]
	return call
}

// referenceOf is the reference of the element with a role and a name, or empty. What has
// an order in its name is another one.
func referenceOf(t modeltest.Turn, role, label string) string {
	for _, m := range namedElement.FindAllStringSubmatch(t.View.Outline, -1) {
		if m[2] == role && strings.HasPrefix(m[3], label) && len(m[3]) < len(label)+30 {
			return m[1]
		}
	}
	return ""
}
