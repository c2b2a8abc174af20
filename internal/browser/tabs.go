package browser

import (
	"context"
	"io"
	"time"

	"github.com/bctrl-go/bctrl"
)

// Tabs are the agent's tabs: the one that the browser began with, those that were opened
// for the agent, and those that their pages open. A [Page] works on the one in front,
// which is the newest until another is chosen. When the one in front closes, the one that
// was there before it comes back.
type Tabs interface {
	// Tabs lists them, the oldest first.
	Tabs(ctx context.Context) ([]Tab, error)
	// OpenTab opens an address in a tab of its own, which is in front from then on. An
	// empty address is a blank page.
	OpenTab(ctx context.Context, url string) error
	// ActivateTab brings a tab to the front.
	ActivateTab(ctx context.Context, id TabID) error
	// CloseTab closes a tab. One whose page does not let it close is
	// "page.not_closed".
	CloseTab(ctx context.Context, id TabID) error
}

// TabID names a tab for as long as it is there: "t1". No other gets the name.
type TabID string

// Tab is one of the agent's tabs.
type Tab struct {
	ID         TabID
	URL, Title string
	// Active reports that it is in front.
	Active bool
}

// GotoTimeout is how long a navigation takes at most whose context has no deadline.
const GotoTimeout = 30 * time.Second

// DialogTimeout is how long a dialog waits for an answer.
const DialogTimeout = 2 * time.Minute

// Navigation is how a page comes to another document.
type Navigation interface {
	// Goto navigates and waits. Only http, https and about:blank are accepted. An
	// address that the egress policy refuses is "page.address_refused", also where a
	// redirect leads there. It takes as long as the context, at most [GotoTimeout]
	// where that has no deadline; a page that takes longer is "page.load_timeout".
	Goto(ctx context.Context, url string, until bctrl.WaitUntil) error
	// Back goes to the document before this one, past what a page has added to the
	// history to hold its visitor. "page.no_history" where there is none.
	Back(ctx context.Context) error
	// Reload loads the document anew. One that a form has led to is sent its form
	// again.
	Reload(ctx context.Context) error
	// KeepTo has the agent's tabs go nowhere that permits does not permit: the document of
	// such an address is not asked for, whatever leads there, and the page stays. Where
	// several tasks have bounds, all of them hold.
	KeepTo(permits func(address string) bool) Bounds
	// WaitText waits until the page shows a text, in any of its frames, until the
	// context ends: then it is "page.text_not_shown". What was filled is not found.
	WaitText(ctx context.Context, text string) error
}

// Bounds are where the agent's tabs may go.
type Bounds interface {
	// Stopped returns where they were to go since it was asked last, each address once and
	// at most a hundred. What was filled is not in it.
	Stopped() []string
	// Release ends the bounds.
	Release()
}

// NoBounds bound nothing.
type NoBounds struct{}

// Stopped implements [Bounds].
func (NoBounds) Stopped() []string { return nil }

// Release implements [Bounds].
func (NoBounds) Release() {}

// Dialog is a question that a page waits with until it is answered. An alert asks
// nothing: it is closed at once.
type Dialog struct {
	// Kind is "confirm", "prompt" or "beforeunload", which asks whether a page is left
	// though it holds what was not saved.
	Kind string
	// Message is the page's text, and Default what a prompt suggests.
	Message, Default string
	// Tab is whose page it is.
	Tab TabID
}

// Dialogs are the questions of pages. Where a context is of [WithDialogs] they wait for
// [Dialogs.AnswerDialog], [DialogTimeout] at most; else, and then, they are answered with no,
// and whether a page is left with yes.
type Dialogs interface {
	// AnswerDialog answers the oldest that waits: with yes or no, a prompt with a text.
	// It returns once what the dialog has interrupted is done, or with
	// [CodeDialogOpened] when that asks again.
	AnswerDialog(ctx context.Context, accept bool, text string) error
}

const (
	// CodeDialogOpened is the code of an action that a question of the page has
	// interrupted: it goes on once that is answered.
	CodeDialogOpened = "page.dialog_opened"
	// CodePersonWorked is the code of an action that was not done because a person has
	// worked in the browser since the page was read.
	CodePersonWorked = "page.person_worked"
	// CodeDialogOpen is the code of an action that was not begun because the page asks
	// something.
	CodeDialogOpen = "page.dialog_open"
)

type dialogsKey struct{}

// WithDialogs says that who acts on pages with the context answers their dialogs.
func WithDialogs(ctx context.Context) context.Context {
	return context.WithValue(ctx, dialogsKey{}, true)
}

// WithoutDialogs says that nobody answers, also where the context is of [WithDialogs].
func WithoutDialogs(ctx context.Context) context.Context {
	return context.WithValue(ctx, dialogsKey{}, false)
}

// AnswersDialogs reports whether a context is of [WithDialogs].
func AnswersDialogs(ctx context.Context) bool {
	answers, _ := ctx.Value(dialogsKey{}).(bool)
	return answers
}

// File is a file for a page to read.
type File struct {
	// Name is what the page is told. It becomes no path.
	Name string
	// ContentType is what the page is told of its kind; empty is unknown.
	ContentType string
	// Size is how many bytes it has.
	Size int64
	// WriteTo writes the bytes. It is called once, and its error is that of the upload.
	WriteTo func(ctx context.Context, w io.Writer) error
}

const (
	// MaxFiles bounds the files of one upload.
	MaxFiles = 100
	// MaxUpload bounds their bytes together, and those of all uploads that pages of one
	// browser may still read.
	MaxUpload = 1 << 30
)

// Uploads give files to pages.
type Uploads interface {
	// SetFiles has a page take files: an element that is a file input, that opens a
	// file chooser when it is clicked, or onto which files are dropped. The files of
	// before are taken away. What takes none is "page.not_an_upload". The browser has
	// copies of its own, which go with the page.
	SetFiles(ctx context.Context, ref Ref, files []File) error
}

// HTTPLogin is a login for a site that asks for one with HTTP's basic authentication
// (RFC 7617).
type HTTPLogin struct {
	// Username and Password are fills of one vault entry. A Username without a value is
	// an empty one.
	Username, Password Fill
}

// HTTPLogins answer sites that ask for a login before they show a page.
type HTTPLogins interface {
	// LoginHTTP answers the site whose page is in front, where that was the answer 401
	// to a request of the tab: the origin of that answer must be where the login
	// belongs. From then on the agent's requests to that origin have the login with
	// them, each asked for with StillPermitted, until the site refuses it or the
	// browser ends. It never goes to another origin, and to no proxy.
	LoginHTTP(ctx context.Context, login HTTPLogin) error
}
