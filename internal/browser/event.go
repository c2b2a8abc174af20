package browser

// EventKind is what happened in a browser.
type EventKind string

// What happens in the tabs of a browser.
const (
	EventNavigated EventKind = "navigated"
	EventTabOpened EventKind = "tab_opened"
	EventTabClosed EventKind = "tab_closed"
	EventCrashed   EventKind = "crashed"
	EventDialog    EventKind = "dialog"
)

// Event is something that happened in a tab, whoever made it: an agent, a client, a page.
type Event struct {
	Kind EventKind
	// Tab is the tab, Opener that whose page opened it, if one did.
	Tab, Opener TabID
	// Target is the DevTools target of a tab that was opened.
	Target string
	// URL is what the tab shows, as it is: it may hold credentials.
	URL string
	// Dialog is the kind of a dialog: alert, confirm, prompt or beforeunload; Message
	// is what it asks, as the page says it.
	Dialog, Message string
}
