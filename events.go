package bctrl

import (
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// EventType is what kind of thing happened. More may come: see [UnknownEvent].
type EventType string

// The types of events. Each names the type that [Event.Data] then has.
const (
	EventLaunched    EventType = "runtime.launched"     // [LaunchedEvent]
	EventNavigated   EventType = "runtime.navigated"    // [NavigatedEvent]
	EventTabOpened   EventType = "runtime.tab_opened"   // [TabOpenedEvent]
	EventTabClosed   EventType = "runtime.tab_closed"   // [TabClosedEvent]
	EventDownloaded  EventType = "runtime.downloaded"   // [DownloadedEvent]
	EventDialog      EventType = "runtime.dialog"       // [DialogEvent]
	EventHostRefused EventType = "runtime.host_refused" // [HostRefusedEvent]
	EventStepStarted EventType = "runtime.step_started" // [StepStartedEvent]
	EventStepEnded   EventType = "runtime.step_ended"   // [StepEndedEvent]
	EventCrashed     EventType = "runtime.crashed"      // [CrashedEvent]
	EventStopped     EventType = "runtime.stopped"      // [StoppedEvent]
	EventFailed      EventType = "runtime.failed"       // [FailedEvent]

	EventOperationStarted  EventType = "operation.started"  // [OperationStartedEvent]
	EventOperationProgress EventType = "operation.progress" // [OperationProgressEvent]
	EventOperationEnded    EventType = "operation.ended"    // [OperationEndedEvent]

	EventWorkspaceCreated EventType = "workspace.created" // [WorkspaceCreatedEvent]
	EventWorkspaceChanged EventType = "workspace.changed" // [WorkspaceChangedEvent]
	EventWorkspaceDeleted EventType = "workspace.deleted" // [WorkspaceDeletedEvent]

	// EventWebhookDisabled and EventWebhookTest are [WebhookDisabledEvent] and
	// [WebhookTestEvent].
	EventWebhookDisabled EventType = "webhook.disabled"
	EventWebhookTest     EventType = "webhook.test"

	// EventGap is in place of events that were not kept: [GapEvent].
	EventGap EventType = "events.gap"
)

// EventTypes lists the types of events that are kept and can be waited for.
func EventTypes() []EventType {
	return []EventType{
		EventLaunched, EventNavigated, EventTabOpened, EventTabClosed, EventDownloaded,
		EventDialog, EventHostRefused, EventStepStarted, EventStepEnded, EventCrashed,
		EventStopped, EventFailed, EventOperationStarted, EventOperationProgress, EventOperationEnded,
		EventWorkspaceCreated, EventWorkspaceChanged, EventWorkspaceDeleted,
		EventWebhookDisabled, EventGap,
	}
}

// Event is something that happened in a runtime or to a workspace. It holds no value
// that was filled; of addresses it has what a transcript has, with [secret] in the place
// of what may be a credential.
//
//	switch d := event.Data.(type) {
//	case bctrl.NavigatedEvent:
//		fmt.Println(d.URL)
//	case bctrl.StoppedEvent:
//		fmt.Println(d.Reason)
//	}
type Event struct {
	// Seq is the event's number in its organization: one more than that of the event
	// before. It says where to go on: see [UpdatesOptions].
	Seq int64 `json:"seq"`
	// ID is a uuid. A webhook's receiver that gets the event twice knows it by this.
	ID   string    `json:"id"`
	Type EventType `json:"type"`
	// Time is when it happened, in milliseconds.
	Time        time.Time `json:"timestamp"`
	WorkspaceID string    `json:"workspaceId,omitempty"`
	RuntimeID   string    `json:"runtimeId,omitempty"`
	// ExecutionID is of what runs in the runtime, and the id of its operation where it
	// has one.
	ExecutionID string `json:"executionId,omitempty"`
	// Data says what happened. It is one of the types that the constants of [EventType]
	// name, or [UnknownEvent].
	Data EventData `json:"data"`
}

// Update is an event as [Client.Updates] gives it.
type Update = Event

// EventData is what an event of one type says; it is one of the types of this package.
type EventData interface{ eventType() EventType }

// NewEvent is an event of what happened, at a time, with the type that its data has. It
// has no number: the server that keeps it gives it one.
func NewEvent(at time.Time, data EventData) Event {
	return Event{Type: data.eventType(), Time: at, Data: data}
}

// UnmarshalJSON implements [json.Unmarshaler]. An event of a type that this package does
// not know is an [UnknownEvent].
func (e *Event) UnmarshalJSON(text []byte) error {
	type plain Event
	var in struct {
		plain
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	data, err := decodeEventData(in.Type, in.Data)
	if err != nil {
		return err
	}
	*e = Event(in.plain)
	e.Data = data
	return nil
}

// Within returns the event as those may see it whose mounts are these: without addresses
// on hosts that they do not permit, and without what says more of a file than its size
// where its namespace is none of theirs.
func (e Event) Within(m Mounts) Event {
	shown := func(address string) string {
		u, err := url.Parse(address)
		if m.Web == nil || err == nil && (u.Hostname() == "" || m.AllowsHost(u.Hostname())) {
			return address
		}
		return ""
	}
	switch d := e.Data.(type) {
	case NavigatedEvent:
		d.URL = shown(d.URL)
		e.Data = d
	case TabOpenedEvent:
		d.URL = shown(d.URL)
		e.Data = d
	case DialogEvent:
		if d.URL != "" && shown(d.URL) == "" {
			d.URL, d.Message = "", ""
		}
		e.Data = d
	case DownloadedEvent:
		d.URL = shown(d.URL)
		if d.Namespace != "" && !m.AllowsNamespace(d.Namespace) {
			d = DownloadedEvent{SizeBytes: d.SizeBytes, Code: d.Code}
		}
		e.Data = d
	}
	return e
}

// ends reports whether the event is the last of its runtime.
func (e Event) ends() bool { return e.Type == EventStopped || e.Type == EventFailed }

func errBadEvent() *Error {
	return &Error{Status: http.StatusBadGateway, Code: "transport.bad_answer",
		Message: "the stream holds something that is no event"}
}
