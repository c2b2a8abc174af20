package runtimes

import (
	"encoding/json"
	"slices"

	"github.com/bctrl-go/bctrl"
)

// partial is what a step has done so far, as the steps of its agent tell it.
type partial struct {
	asked   int
	actions []bctrl.ActAction
	pages   []string
	url     string
	usage   bctrl.Usage
}

func (p *partial) add(s bctrl.TranscriptStep) {
	if s.Usage.Calls > 0 {
		p.asked++
	}
	p.actions = append(p.actions, s.Actions...)
	if s.URL != "" {
		p.url = s.URL
		if !slices.Contains(p.pages, s.URL) {
			p.pages = append(p.pages, s.URL)
		}
	}
	p.usage.Calls += s.Usage.Calls
	p.usage.InputTokens += s.Usage.InputTokens
	p.usage.OutputTokens += s.Usage.OutputTokens
}

// soFarMessage is the message of a result that is not whole.
const soFarMessage = "the step has not ended: this is what was done so far"

// result is what the step has done, in the form of its call's result; nil where that has
// no room for it.
func (p *partial) result(call bctrl.Call) json.RawMessage {
	var out any
	switch call {
	case bctrl.CallAct:
		out = bctrl.ActResult{
			Message:   soFarMessage,
			Actions:   slices.Concat([]bctrl.ActAction{}, p.actions),
			Downloads: []bctrl.StorageObject{},
			URL:       p.url,
			Usage:     p.usage,
			Models:    []bctrl.ModelUsage{},
		}
	case bctrl.CallAgent, bctrl.CallBrowserUse, bctrl.CallReplay:
		out = bctrl.AgentResult{
			Message: soFarMessage,
			Steps:   p.asked,
			Actions: slices.Concat([]bctrl.ActAction{}, p.actions),
			Pages:   slices.Concat([]string{}, p.pages),
			Files:   []bctrl.StorageObject{},
			URL:     p.url,
			Usage:   p.usage,
			Models:  []bctrl.ModelUsage{},
		}
	default:
		return nil
	}
	text, err := json.Marshal(out)
	if err != nil {
		return nil // an argument that is no JSON: the end says what was done
	}
	return text
}
