package bctrl

import "encoding/json"

// LaunchedEvent says that the browser of a runtime has started.
type LaunchedEvent struct {
	Alias  string `json:"alias"`
	Driver Driver `json:"driver"`
}

// NavigatedEvent says that the address that a tab shows has changed, also where its page has
// changed it by a script. Going to the same address again is none.
type NavigatedEvent struct {
	// Tab names the tab as [PageInfo.ID] does. Tabs of DevTools clients, which
	// [Runtime.Pages] does not list, have such a name too.
	Tab string `json:"tab"`
	// URL is empty where the reader's mounts do not permit its host.
	URL string `json:"url"`
}

// TabOpenedEvent says that there is a new tab.
type TabOpenedEvent struct {
	Tab string `json:"tab"`
	// Opener is the tab whose page opened it; empty where none did.
	Opener string `json:"opener,omitempty"`
	// Target is the tab for DevTools clients.
	Target string `json:"target,omitempty"`
	URL    string `json:"url,omitempty"`
}

// TabClosedEvent says that a tab is gone.
type TabClosedEvent struct {
	Tab string `json:"tab"`
}

// DownloadedEvent says that a page has delivered a file, and it was put into storage, or could
// not be.
type DownloadedEvent struct {
	// Namespace and Path are where it is in storage, ObjectID the file's id there.
	Namespace string `json:"namespace,omitempty"`
	Path      string `json:"path,omitempty"`
	ObjectID  string `json:"objectId,omitempty"`
	Filename  string `json:"filename,omitempty"`
	SizeBytes int64  `json:"sizeBytes"`
	// URL is where it came from, without query and fragment.
	URL string `json:"url,omitempty"`
	// Code says why it was not kept; empty where it was.
	Code string `json:"code,omitempty"`
}

// DialogEvent says that a page has opened a dialog of JavaScript.
type DialogEvent struct {
	Tab string `json:"tab"`
	// Kind is alert, confirm, prompt or beforeunload.
	Kind string `json:"kind"`
	// Message is what the page asks, cut after 500 bytes.
	Message string `json:"message,omitempty"`
	URL     string `json:"url,omitempty"`
}

// HostRefusedEvent says that the browser has asked for a host that the mounts do not permit,
// for the first time.
type HostRefusedEvent struct {
	Host string `json:"host"`
}

// StepStartedEvent says that a step of an execution has begun.
type StepStartedEvent struct {
	Call Call `json:"call"`
	// Step counts from 1.
	Step       int `json:"step"`
	TotalSteps int `json:"totalSteps"`
}

// StepEndedEvent says that a step of an execution has ended.
type StepEndedEvent struct {
	Call       Call `json:"call"`
	Step       int  `json:"step"`
	TotalSteps int  `json:"totalSteps"`
	// Code is that of the step's error; empty where it went well.
	Code       string `json:"code,omitempty"`
	DurationMs int64  `json:"durationMs"`
}

// CrashedEvent says that a tab has crashed, or all of the browser, which [FailedEvent]
// follows.
type CrashedEvent struct {
	// Tab is empty where it was the browser.
	Tab string `json:"tab,omitempty"`
}

// StoppedEvent is the end of a runtime that somebody stopped.
type StoppedEvent struct {
	Alias  string `json:"alias"`
	Reason string `json:"reason,omitempty"`
	// Code is as in [RuntimeSummary].
	Code string `json:"code,omitempty"`
}

// FailedEvent is the end of a runtime that nobody stopped: its browser did not start,
// or has ended, or the server has.
type FailedEvent struct {
	Alias  string `json:"alias"`
	Reason string `json:"reason"`
	// Code is as in [RuntimeSummary]; empty where the launch failed, which answered with
	// its own.
	Code string `json:"code,omitempty"`
}

// OperationStartedEvent says that an operation was taken on.
type OperationStartedEvent struct {
	Calls []Call `json:"calls"`
}

// OperationProgressEvent says that an operation has come further.
type OperationProgressEvent struct {
	Step        int    `json:"step"`
	TotalSteps  int    `json:"totalSteps"`
	CurrentCall Call   `json:"currentCall,omitempty"`
	Message     string `json:"message,omitempty"`
}

// OperationEndedEvent is the end of an operation.
type OperationEndedEvent struct {
	Status OperationStatus `json:"status"`
	// Code is that of its error; empty where it has none.
	Code string `json:"code,omitempty"`
}

// WorkspaceCreatedEvent says that there is a new workspace.
type WorkspaceCreatedEvent struct {
	Name    string `json:"name"`
	Version int64  `json:"version"`
}

// WorkspaceChangedEvent says that the name or the mounts of a workspace have changed.
type WorkspaceChangedEvent struct {
	Name    string `json:"name"`
	Version int64  `json:"version"`
}

// WorkspaceDeletedEvent says that a workspace is gone.
type WorkspaceDeletedEvent struct {
	Name string `json:"name"`
}

// WebhookDisabledEvent says that the server has disabled a webhook whose receiver took nothing: ten
// deliveries in a row failed with all their attempts, or it answered 410.
type WebhookDisabledEvent struct {
	WebhookID string `json:"webhookId"`
	// Code is that of the last failure.
	Code string `json:"code"`
}

// WebhookTestEvent is what [WebhooksService.Test] sends; nobody else is told.
type WebhookTestEvent struct {
	WebhookID string `json:"webhookId"`
}

// GapEvent is in the place of events that the reader has not got, and will not get: it
// was away for longer than they are kept, or too many came at once.
type GapEvent struct {
	// From and To are the numbers of the events that are kept no more, both included;
	// which of them the reader would have seen nobody knows. They are 0 where events
	// came faster than they are taken.
	From int64 `json:"from,omitempty"`
	To   int64 `json:"to,omitempty"`
	// Missed counts those that were not taken.
	Missed int64 `json:"missed,omitempty"`
}

// UnknownEvent is what an event of a type says that this package does not know: a newer
// server's.
type UnknownEvent struct {
	Type EventType
	JSON json.RawMessage
}

// MarshalJSON implements [json.Marshaler]: it is as it was read.
func (d UnknownEvent) MarshalJSON() ([]byte, error) {
	if len(d.JSON) == 0 {
		return []byte("{}"), nil
	}
	return d.JSON, nil
}

func (LaunchedEvent) eventType() EventType          { return EventLaunched }
func (NavigatedEvent) eventType() EventType         { return EventNavigated }
func (TabOpenedEvent) eventType() EventType         { return EventTabOpened }
func (TabClosedEvent) eventType() EventType         { return EventTabClosed }
func (DownloadedEvent) eventType() EventType        { return EventDownloaded }
func (DialogEvent) eventType() EventType            { return EventDialog }
func (HostRefusedEvent) eventType() EventType       { return EventHostRefused }
func (StepStartedEvent) eventType() EventType       { return EventStepStarted }
func (StepEndedEvent) eventType() EventType         { return EventStepEnded }
func (CrashedEvent) eventType() EventType           { return EventCrashed }
func (StoppedEvent) eventType() EventType           { return EventStopped }
func (FailedEvent) eventType() EventType            { return EventFailed }
func (OperationStartedEvent) eventType() EventType  { return EventOperationStarted }
func (OperationProgressEvent) eventType() EventType { return EventOperationProgress }
func (OperationEndedEvent) eventType() EventType    { return EventOperationEnded }
func (WorkspaceCreatedEvent) eventType() EventType  { return EventWorkspaceCreated }
func (WorkspaceChangedEvent) eventType() EventType  { return EventWorkspaceChanged }
func (WorkspaceDeletedEvent) eventType() EventType  { return EventWorkspaceDeleted }
func (WebhookDisabledEvent) eventType() EventType   { return EventWebhookDisabled }
func (WebhookTestEvent) eventType() EventType       { return EventWebhookTest }
func (GapEvent) eventType() EventType               { return EventGap }
func (d UnknownEvent) eventType() EventType         { return d.Type }

// decodeEventData decodes what an event of a type says.
func decodeEventData(of EventType, text []byte) (EventData, error) {
	switch of {
	case EventLaunched:
		return eventDataOf[LaunchedEvent](text)
	case EventNavigated:
		return eventDataOf[NavigatedEvent](text)
	case EventTabOpened:
		return eventDataOf[TabOpenedEvent](text)
	case EventTabClosed:
		return eventDataOf[TabClosedEvent](text)
	case EventDownloaded:
		return eventDataOf[DownloadedEvent](text)
	case EventDialog:
		return eventDataOf[DialogEvent](text)
	case EventHostRefused:
		return eventDataOf[HostRefusedEvent](text)
	case EventStepStarted:
		return eventDataOf[StepStartedEvent](text)
	case EventStepEnded:
		return eventDataOf[StepEndedEvent](text)
	case EventCrashed:
		return eventDataOf[CrashedEvent](text)
	case EventStopped:
		return eventDataOf[StoppedEvent](text)
	case EventFailed:
		return eventDataOf[FailedEvent](text)
	case EventOperationStarted:
		return eventDataOf[OperationStartedEvent](text)
	case EventOperationProgress:
		return eventDataOf[OperationProgressEvent](text)
	case EventOperationEnded:
		return eventDataOf[OperationEndedEvent](text)
	case EventWorkspaceCreated:
		return eventDataOf[WorkspaceCreatedEvent](text)
	case EventWorkspaceChanged:
		return eventDataOf[WorkspaceChangedEvent](text)
	case EventWorkspaceDeleted:
		return eventDataOf[WorkspaceDeletedEvent](text)
	case EventWebhookDisabled:
		return eventDataOf[WebhookDisabledEvent](text)
	case EventWebhookTest:
		return eventDataOf[WebhookTestEvent](text)
	case EventGap:
		return eventDataOf[GapEvent](text)
	}
	return UnknownEvent{Type: of, JSON: append(json.RawMessage(nil), text...)}, nil
}

func eventDataOf[D EventData](text []byte) (EventData, error) {
	var d D
	if len(text) == 0 {
		return d, nil
	}
	err := json.Unmarshal(text, &d)
	return d, err
}
