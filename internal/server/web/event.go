package web

import "github.com/bctrl-go/bctrl/internal/audit"

// ServerEvent is the event of something that the server does of itself.
func ServerEvent(action, object string) audit.Event {
	return audit.Event{
		Caller:   "server",
		Action:   action,
		Object:   object,
		Decision: audit.Allowed,
		Outcome:  audit.OK,
	}
}
