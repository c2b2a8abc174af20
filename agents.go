package bctrl

import (
	"encoding/json"
	"time"
)

// VisionMode says whether a model is shown pictures of the page beside its text.
type VisionMode string

// The ways to see. A picture shows numbered marks on the elements that can be
// used; fields of a login and what was filled are masked in it.
const (
	// VisionAuto shows a picture where the text says too little: a canvas, an
	// image without a name, a page without elements. The default.
	VisionAuto VisionMode = "auto"
	VisionOn   VisionMode = "on"
	VisionOff  VisionMode = "off"
)

// CacheMode says whether an agent may do again what went well before.
type CacheMode string

// The ways to use the cache.
const (
	// CacheOff asks the model each time. The default.
	CacheOff CacheMode = "off"
	// CacheAuto does the actions of an earlier call with the same instruction on a
	// page of the same shape, after each element was verified by role, name and
	// surroundings. Where one does not fit, the model is asked for that step alone.
	CacheAuto CacheMode = "auto"
)

// ModelChoice chooses a model. What is empty comes from the call, then from the
// runtime's [Launch], then from the mounts' defaults.
type ModelChoice struct {
	Provider   AIProvider `json:"provider,omitempty"`
	Model      string     `json:"model,omitempty"`
	Credential string     `json:"credential,omitempty"`
}

// Budget ends a call of an agent that would take more. What was done until then
// is in its result, whose Limit says which bound ended it.
type Budget struct {
	// MaxSteps bounds how often the model is asked what to do next, 1 to 200; zero
	// is the server's default, 25.
	MaxSteps int `json:"maxSteps,omitempty"`
	// MaxTokens bounds the tokens of all questions and answers together; zero is no bound.
	MaxTokens int64 `json:"maxTokens,omitempty"`
	// MaxCost bounds the cost in US dollars by the server's price table; zero is no
	// bound. A model that the table does not have is refused with
	// "agent.unknown_price" where there is a bound.
	MaxCost float64 `json:"maxCostUsd,omitempty"`
}

// Limit is the bound that ended a call of an agent early.
type Limit string

// The bounds.
const (
	LimitSteps    Limit = "steps"
	LimitTokens   Limit = "tokens"
	LimitTime     Limit = "time"
	LimitCost     Limit = "cost"
	LimitFailures Limit = "failures"
)

// ElementDescription says which element an action was done to, so that it can be
// found again in another document: by what it is, not by where it lies in the markup.
type ElementDescription struct {
	Role string `json:"role"`
	Name string `json:"name"`
	// Surroundings are the named elements that it lies in, the nearest first:
	// `form "Sign in"`.
	Surroundings []string `json:"surroundings,omitempty"`
	// Index tells apart elements of the same role, name and surroundings, from 0 in
	// document order.
	Index int `json:"index,omitempty"`
	// Frame is the origin of the element's frame where that is not the page's.
	Frame string `json:"frame,omitempty"`
}

// ModelUsage is what one model was asked in a call.
type ModelUsage struct {
	Provider   AIProvider `json:"provider"`
	Model      string     `json:"model"`
	Credential string     `json:"credential"`
	Usage
	// CachedInputTokens are those of the input tokens that the provider had cached.
	CachedInputTokens int64 `json:"cachedInputTokens,omitempty"`
	// Cost is in US dollars by the server's price table; nil where it has no price.
	Cost *float64 `json:"costUsd,omitempty"`
}

// Observed is something that can be done on the page: see [Stagehand.Observe]. It
// is data: it can be stored, and given to [Stagehand.Act] of the same runtime.
type Observed struct {
	// Description says in words what the element is for.
	Description string             `json:"description"`
	Element     ElementDescription `json:"element"`
	// Method is a kind of [ActAction] that is done to the element: "click", "type",
	// "select".
	Method string `json:"method"`
	// Arguments are the method's: the text to type, the options to select.
	Arguments []string `json:"arguments,omitempty"`
	// Handle names the element on the page that was observed. An element that is
	// gone, or another by role, name or surroundings, is refused with the code
	// "page.changed".
	Handle string `json:"handle"`
}

// ObserveArgs are the arguments of [CallObserve].
type ObserveArgs struct {
	Instruction string `json:"instruction"`
	ModelChoice
	// MaxCandidates bounds the answer, 1 to 50; zero is 10.
	MaxCandidates int        `json:"maxCandidates,omitempty"`
	Vision        VisionMode `json:"vision,omitempty"`
}

// ObserveResult is the result of [CallObserve].
type ObserveResult struct {
	// Observed are what can be done, the likeliest first.
	Observed []Observed   `json:"observed"`
	URL      string       `json:"url"`
	Usage    Usage        `json:"usage"`
	Models   []ModelUsage `json:"models"`
}

// ExtractArgs are the arguments of [CallExtract].
type ExtractArgs struct {
	Instruction string `json:"instruction"`
	// Schema is a JSON Schema, of draft 2020-12 unless it says otherwise. Empty is
	// a string "extraction".
	Schema json.RawMessage `json:"schema,omitempty"`
	ModelChoice
	// MaxPageTokens bounds how much of the page is read, about; zero is 60,000.
	MaxPageTokens int        `json:"maxPageTokens,omitempty"`
	Vision        VisionMode `json:"vision,omitempty"`
}

// ExtractResult is what was read from a page.
type ExtractResult struct {
	// Data validates against the schema.
	Data json.RawMessage `json:"data"`
	// Truncated reports that the page holds more than was read.
	Truncated bool         `json:"truncated"`
	URL       string       `json:"url"`
	Usage     Usage        `json:"usage"`
	Models    []ModelUsage `json:"models"`
}

// AgentArgs are the arguments of [CallAgent].
type AgentArgs struct {
	Task string `json:"task"`
	// System is added to what the agent is told beside the task.
	System string `json:"system,omitempty"`
	// Output is a JSON Schema for [AgentResult.Output]; empty is none.
	Output json.RawMessage `json:"output,omitempty"`
	ModelChoice
	// Look chooses a cheaper model for looking at pages and for extracting; nil is
	// the one that plans.
	Look *ModelChoice `json:"look,omitempty"`
	Budget
	Vision VisionMode `json:"vision,omitempty"`
	Cache  CacheMode  `json:"cache,omitempty"`
}

// BrowserUseArgs are the arguments of [CallBrowserUse].
type BrowserUseArgs struct {
	Task string `json:"task"`
	// ExtendSystemMessage is added to what the agent is told beside the task.
	ExtendSystemMessage string `json:"extendSystemMessage,omitempty"`
	// Output is a JSON Schema for [AgentResult.Output]; empty is none.
	Output json.RawMessage `json:"output,omitempty"`
	ModelChoice
	// PageExtraction chooses a cheaper model for looking at pages and for
	// extracting; nil is the one that plans.
	PageExtraction *ModelChoice `json:"pageExtraction,omitempty"`
	Budget
	// MaxActionsPerStep bounds what one answer of the model sets off, 1 to 20; zero is 5.
	MaxActionsPerStep int `json:"maxActionsPerStep,omitempty"`
	// MaxFailures ends the call after so many failed steps in a row, 1 to 100; zero is 5.
	MaxFailures int `json:"maxFailures,omitempty"`
	// StepTimeoutMs bounds one step, the model's time included; zero is 180,000.
	StepTimeoutMs int64      `json:"stepTimeoutMs,omitempty"`
	Vision        VisionMode `json:"vision,omitempty"`
	// Planning has the model keep a plan that it sees again at each step.
	Planning bool `json:"planning,omitempty"`
	// InitialActions are done before the model is asked.
	InitialActions []AgentAction `json:"initialActions,omitempty"`
	// AllowedHosts bound where the agent may go and stay: "*", "*.example.com",
	// "example.com", and "localhost", "127.0.0.1" or "[::1]" with a port or all of them.
	// Nil is everywhere, empty is nowhere.
	AllowedHosts []string `json:"allowedHosts,omitzero"`
	// Logins are the vault keys that may be filled, of those that the mounts
	// permit; nil is all of them, empty is none.
	Logins []string `json:"logins,omitzero"`
}

// AgentAction is a call of one of the agent's tools.
type AgentAction struct {
	// Tool is a tool's name: "navigate".
	Tool string `json:"tool"`
	// Arguments are the tool's, a JSON object.
	Arguments json.RawMessage `json:"arguments,omitempty"`
}

// AgentResult is what an agent did for a task.
type AgentResult struct {
	// Success is the model's own verdict on its work; false where a limit ended it.
	Success bool `json:"success"`
	// Message is what the model says of its work, or what ended it.
	Message string `json:"message"`
	// Output validates against the schema that was asked for; nil where none was, or
	// the agent did not come so far.
	Output json.RawMessage `json:"output,omitempty"`
	// Limit is the bound that ended the call; empty where none did.
	Limit Limit `json:"limit,omitempty"`
	// Steps is how often the model was asked what to do next.
	Steps int `json:"steps"`
	// Actions that were done, in order.
	Actions []ActAction `json:"actions"`
	// Pages that were visited, in order, without query and fragment.
	Pages []string `json:"pages"`
	// Files landed in storage during the call.
	Files  []StorageObject `json:"files"`
	URL    string          `json:"url"`
	Usage  Usage           `json:"usage"`
	Models []ModelUsage    `json:"models"`
	// FromCache reports that actions were replayed, Healed how many of them had to be
	// found anew by the model.
	FromCache bool `json:"fromCache,omitempty"`
	Healed    int  `json:"healed,omitempty"`
}

// TranscriptStep is one step of an operation: what the agent saw, chose and did.
// Secrets are masked in all of it. See [Operation.Transcript].
type TranscriptStep struct {
	// Number counts from 1 through the operation.
	Number int `json:"number"`
	// Call and CallIndex are the step of the execution that it belongs to.
	Call      Call      `json:"call"`
	CallIndex int       `json:"callIndex"`
	At        time.Time `json:"at"`
	// DurationMs includes the model's time.
	DurationMs int64 `json:"durationMs"`
	// URL and Title are of the page that was seen, without query and fragment.
	URL   string `json:"url"`
	Title string `json:"title"`
	// View is the SHA-256 of the text of the view, in hexadecimal; Shape that of the
	// page's structure without its texts.
	View  string `json:"view"`
	Shape string `json:"shape"`
	// Thought is what the model wrote beside its calls.
	Thought string `json:"thought,omitempty"`
	// Actions are what it chose and what came of each.
	Actions []ActAction `json:"actions"`
	// Model and Usage are of this step; Model is empty where none was asked.
	Model string `json:"model,omitempty"`
	Usage Usage  `json:"usage"`
	// Picture is the path of a PNG of the page as the step found it, in the same
	// namespace: numbers on what can be used, passwords and what was filled masked. It is
	// empty where none could be taken, and of a step that opened a page.
	Picture string `json:"picture,omitempty"`
	// PictureSHA256 is the digest of that file, in hexadecimal: one that it does not fit
	// was changed since.
	PictureSHA256 string `json:"pictureSha256,omitempty"`
}
