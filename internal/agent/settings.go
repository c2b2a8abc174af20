package agent

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
)

// The defaults of one task, where its options say nothing.
const (
	// DefaultMaxSteps is how often the model is asked.
	DefaultMaxSteps = 25
	// DefaultTimeout bounds a task.
	DefaultTimeout = 10 * time.Minute

	defaultStepTimeout = 3 * time.Minute
	defaultMaxFailures = 5
	// defaultMaxActions bounds what one answer of the model sets off.
	defaultMaxActions = 8
	browserUseActions = 5
)

// settings are what a verb makes of its options for the loop.
type settings struct {
	// verb is the call that the task is of.
	verb bctrl.Call
	task string
	// cache says whether what went well before may be done again.
	cache bctrl.CacheMode
	// model is a model's id; empty is the Chat's default.
	model string
	// system is added to the system message.
	system      string
	output      *outputSchema
	budget      bctrl.Budget
	timeout     time.Duration
	stepTimeout time.Duration
	maxFailures int
	maxActions  int
	planning    bool
	// extracting offers the tool that has Look read the page.
	extracting bool
	vision     bctrl.VisionMode
	initial    []bctrl.AgentAction
	// hosts bound where the agent may go and stay; nil is everywhere.
	hosts *hostList
	// logins are the keys that may be filled; nil is all that the mounts permit.
	logins []string
}

func invalid(code, field, message string) *bctrl.Error {
	return &bctrl.Error{
		Status:  http.StatusBadRequest,
		Code:    code,
		Field:   field,
		Message: message,
	}
}

// CheckObserve refuses arguments that cannot be carried out. Fields in its errors are
// those of the arguments. What arguments may be is said once, by their Validate, which the
// SDK asks too; here comes only what the SDK does not know, as what a schema compiles to.
func CheckObserve(a bctrl.ObserveArgs) error { return a.Validate() }

// CheckExtract is [CheckObserve] for extracting.
func CheckExtract(a bctrl.ExtractArgs) error {
	if err := a.Validate(); err != nil {
		return err
	}
	_, err := newOutputSchema("schema", a.Schema)
	return err
}

// CheckAgent is [CheckObserve] for the agent.
func CheckAgent(a bctrl.AgentArgs) error {
	_, err := agentSettings(a)
	return err
}

func agentSettings(a bctrl.AgentArgs) (s settings, err error) {
	if err := a.Validate(); err != nil {
		return s, err
	}
	s = settings{
		verb:       bctrl.CallAgent,
		cache:      a.Cache,
		task:       a.Task,
		system:     a.System,
		budget:     a.Budget,
		planning:   true,
		extracting: true,
		vision:     a.Vision,
	}
	s.complete()
	s.output, err = newOutputSchema("output", a.Output)
	return s, err
}

// CheckBrowserUse is [CheckObserve] for the agent with the options of browser-use.
func CheckBrowserUse(a bctrl.BrowserUseArgs) error {
	_, err := browserUseSettings(a)
	return err
}

func browserUseSettings(a bctrl.BrowserUseArgs) (s settings, err error) {
	if err := a.Validate(); err != nil {
		return s, err
	}
	s = settings{
		task:        a.Task,
		system:      a.ExtendSystemMessage,
		budget:      a.Budget,
		stepTimeout: time.Duration(a.StepTimeoutMs) * time.Millisecond,
		maxFailures: a.MaxFailures,
		maxActions:  cmp.Or(a.MaxActionsPerStep, browserUseActions),
		planning:    a.Planning,
		extracting:  true,
		vision:      a.Vision,
		initial:     a.InitialActions,
		hosts:       newHostList(a.AllowedHosts),
		logins:      a.Logins,
	}
	s.complete()
	if s.output, err = newOutputSchema("output", a.Output); err != nil {
		return s, err
	}
	return s, checkInitial(a.InitialActions)
}

// checkInitial refuses actions that no tool of the agent takes, and such as have no
// sense before the model has been asked.
func checkInitial(actions []bctrl.AgentAction) error {
	tools, toolList := usualTools()
	for i, a := range actions {
		field := fmt.Sprintf("initialActions[%d]", i)
		tool, known := tools[a.Tool]
		if !known || a.Tool == toolDone {
			var can []string
			for _, t := range toolList {
				can = append(can, t.Name)
			}
			can = slices.DeleteFunc(can, func(name string) bool { return name == toolDone })
			e := invalid("agent.unknown_tool", field+".tool", "the agent has no such tool to begin with")
			e.Hint = "it has " + strings.Join(can, ", ")
			return e
		}
		if len(a.Arguments) > maxArguments {
			return invalid("agent.invalid_arguments", field+".arguments",
				fmt.Sprintf("the arguments are longer than %d bytes", maxArguments))
		}
		if _, err := tool.decode(string(a.Arguments)); err != nil {
			return invalid("agent.invalid_arguments", field+".arguments", clip(err.Error(), 300))
		}
	}
	return nil
}

// complete puts in the defaults.
func (s *settings) complete() {
	s.budget.MaxSteps = cmp.Or(s.budget.MaxSteps, DefaultMaxSteps)
	s.timeout = cmp.Or(s.timeout, DefaultTimeout)
	s.stepTimeout = cmp.Or(s.stepTimeout, defaultStepTimeout)
	s.maxFailures = cmp.Or(s.maxFailures, defaultMaxFailures)
	s.maxActions = cmp.Or(s.maxActions, defaultMaxActions)
	s.vision = cmp.Or(s.vision, bctrl.VisionAuto)
}

// checkTimeout refuses a time that is none.
func checkTimeout(timeout time.Duration) error {
	if timeout < 0 {
		return invalid("agent.invalid_timeout", "timeout", "the timeout is negative")
	}
	return nil
}
