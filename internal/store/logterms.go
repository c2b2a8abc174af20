package store

import "encoding/json"

// Terms are what an event is found by, beside its number and its organization.
type Terms struct {
	Workspace, Runtime, Action, Object string
	// Denied is set where access said no.
	Denied bool
	// Outcome is the code of an error, else empty.
	Outcome string
}

// EventText is what the body of an event says of how it is found. An outcome is
// found by its own code alone, and otherwise by its intent.
type EventText struct {
	Kind, Workspace, Runtime, Action, Object, Decision, Outcome string
}

// Terms are those of the event.
func (e EventText) Terms() Terms {
	if e.Outcome == "ok" {
		e.Outcome = ""
	}
	if e.Kind == "outcome" {
		return Terms{Outcome: e.Outcome}
	}
	return Terms{
		Workspace: e.Workspace,
		Runtime:   e.Runtime,
		Action:    e.Action,
		Object:    e.Object,
		Denied:    e.Decision == "deny",
		Outcome:   e.Outcome,
	}
}

// TermsOf reads the terms of an event out of its body. One that nobody can read is
// found by its number.
func TermsOf(body []byte) Terms {
	var e EventText
	if json.Unmarshal(body, &e) != nil {
		return Terms{}
	}
	return e.Terms()
}
