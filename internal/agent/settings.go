package agent

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/names"
)

// Limits of one task.
const (
	// DefaultMaxSteps is how often the model is asked unless Options say
	// otherwise; MaxMaxSteps is the most that they may say.
	DefaultMaxSteps = 25
	MaxMaxSteps     = 200
	// DefaultTimeout bounds a task unless Options say otherwise.
	DefaultTimeout = 10 * time.Minute
	// MaxInstruction bounds the instruction, the task and what is added to the system
	// message, each, in bytes.
	MaxInstruction = 16 << 10

	defaultStepTimeout = 3 * time.Minute
	maxStepTimeout     = time.Hour
	defaultMaxFailures = 5
	maxMaxFailures     = 100
	// defaultMaxActions bounds what one answer of the model sets off.
	defaultMaxActions = 8
	browserUseActions = 5
	maxMaxActions     = 20
	maxInitialActions = 20
	maxListedLogins   = 1000
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

func badOption(field, message string) *bctrl.Error {
	return invalid("agent.invalid_options", field, message)
}

// checkText refuses what is no instruction or task.
func checkText(code, field, text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return invalid(code, field, "the "+field+" is empty")
	case len(text) > MaxInstruction:
		return invalid(code, field, fmt.Sprintf("the %s is longer than %d bytes", field, MaxInstruction))
	}
	return nil
}

func checkSystem(field, text string) error {
	if len(text) > MaxInstruction {
		return badOption(field, fmt.Sprintf("%s is longer than %d bytes", field, MaxInstruction))
	}
	return nil
}

func checkBudget(b bctrl.Budget) error {
	switch {
	case b.MaxSteps < 0 || b.MaxSteps > MaxMaxSteps:
		return badOption("maxSteps", fmt.Sprintf("maxSteps is not between 1 and %d", MaxMaxSteps))
	case b.MaxTokens < 0:
		return badOption("maxTokens", "maxTokens is negative")
	case !(b.MaxCost >= 0): // also what is no number
		return badOption("maxCostUsd", "maxCostUsd is negative")
	}
	return nil
}

func checkVision(v bctrl.VisionMode) error {
	if v == "" || v == bctrl.VisionAuto || v == bctrl.VisionOn || v == bctrl.VisionOff {
		return nil
	}
	return badOption("vision", "vision is not auto, on or off")
}

func checkCache(c bctrl.CacheMode) error {
	if c == "" || c == bctrl.CacheOff || c == bctrl.CacheAuto {
		return nil
	}
	return badOption("cache", "cache is not off or auto")
}

// checkBetween refuses a number outside 1 to most; zero is the default.
func checkBetween(field string, n, most int64) error {
	if n < 0 || n > most {
		return badOption(field, fmt.Sprintf("%s is not between 1 and %d", field, most))
	}
	return nil
}

// CheckObserve refuses arguments that cannot be carried out. Fields in its errors are
// those of the arguments.
func CheckObserve(a bctrl.ObserveArgs) error {
	if err := checkText("agent.invalid_instruction", "instruction", a.Instruction); err != nil {
		return err
	}
	if err := checkBetween("maxCandidates", int64(a.MaxCandidates), maxMaxCandidates); err != nil {
		return err
	}
	return checkVision(a.Vision)
}

// CheckExtract is [CheckObserve] for extracting.
func CheckExtract(a bctrl.ExtractArgs) error {
	if err := checkText("agent.invalid_instruction", "instruction", a.Instruction); err != nil {
		return err
	}
	if err := checkBetween("maxPageTokens", int64(a.MaxPageTokens), maxMaxPageTokens); err != nil {
		return err
	}
	if err := checkVision(a.Vision); err != nil {
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
	if err := checkText("agent.invalid_task", "task", a.Task); err != nil {
		return s, err
	}
	if err := checkSystem("system", a.System); err != nil {
		return s, err
	}
	if err := checkCache(a.Cache); err != nil {
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
	if s.output, err = newOutputSchema("output", a.Output); err != nil {
		return s, err
	}
	return s, s.complete()
}

// CheckBrowserUse is [CheckObserve] for the agent with the options of browser-use.
func CheckBrowserUse(a bctrl.BrowserUseArgs) error {
	_, err := browserUseSettings(a)
	return err
}

func browserUseSettings(a bctrl.BrowserUseArgs) (s settings, err error) {
	if err := checkText("agent.invalid_task", "task", a.Task); err != nil {
		return s, err
	}
	if err := checkSystem("extendSystemMessage", a.ExtendSystemMessage); err != nil {
		return s, err
	}
	for _, n := range []struct {
		field       string
		value, most int64
	}{
		{"maxActionsPerStep", int64(a.MaxActionsPerStep), maxMaxActions},
		{"maxFailures", int64(a.MaxFailures), maxMaxFailures},
		{"stepTimeoutMs", a.StepTimeoutMs, maxStepTimeout.Milliseconds()},
	} {
		if err := checkBetween(n.field, n.value, n.most); err != nil {
			return s, err
		}
	}
	s = settings{
		task:        a.Task,
		system:      a.ExtendSystemMessage,
		budget:      a.Budget,
		stepTimeout: time.Duration(a.StepTimeoutMs) * time.Millisecond,
		maxFailures: a.MaxFailures,
		maxActions:  a.MaxActionsPerStep,
		planning:    a.Planning,
		extracting:  true,
		vision:      a.Vision,
		initial:     a.InitialActions,
		logins:      a.Logins,
	}
	if s.maxActions == 0 {
		s.maxActions = browserUseActions
	}
	if s.output, err = newOutputSchema("output", a.Output); err != nil {
		return s, err
	}
	if s.hosts, err = newHostList(a.AllowedHosts); err != nil {
		return s, err
	}
	if err := checkLogins(a.Logins); err != nil {
		return s, err
	}
	if err := checkInitial(a.InitialActions); err != nil {
		return s, err
	}
	return s, s.complete()
}

func checkLogins(keys []string) error {
	if len(keys) > maxListedLogins {
		return badOption("logins", fmt.Sprintf("logins lists more than %d keys", maxListedLogins))
	}
	for i, key := range keys {
		if err := names.VaultKey(key); err != nil {
			return invalid("agent.invalid_login", fmt.Sprintf("logins[%d]", i), "this is no vault key: "+err.Error())
		}
	}
	return nil
}

// checkInitial refuses actions that no tool of the agent takes, and such as have no
// sense before the model has been asked.
func checkInitial(actions []bctrl.AgentAction) error {
	if len(actions) > maxInitialActions {
		return badOption("initialActions", fmt.Sprintf("initialActions are more than %d", maxInitialActions))
	}
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

// complete checks what every verb has in common and puts in the defaults.
func (s *settings) complete() error {
	if err := checkBudget(s.budget); err != nil {
		return err
	}
	if err := checkVision(s.vision); err != nil {
		return err
	}
	if s.timeout < 0 {
		return badOption("timeout", "the timeout is negative")
	}
	if s.budget.MaxSteps == 0 {
		s.budget.MaxSteps = DefaultMaxSteps
	}
	if s.timeout == 0 {
		s.timeout = DefaultTimeout
	}
	if s.stepTimeout == 0 {
		s.stepTimeout = defaultStepTimeout
	}
	if s.maxFailures == 0 {
		s.maxFailures = defaultMaxFailures
	}
	if s.maxActions == 0 {
		s.maxActions = defaultMaxActions
	}
	if s.vision == "" {
		s.vision = bctrl.VisionAuto
	}
	return nil
}
