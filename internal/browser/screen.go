package browser

import "context"

// Screen is a browser as a person sees it, and takes it over. Unlike [Tabs] it has the
// tabs of clients too. Nothing that was filled is on it: see [Screen.Cast].
type Screen interface {
	// Tabs lists the tabs, the oldest first. One of them is Active: the newest, or the
	// one that was brought to the front last.
	Tabs(ctx context.Context) ([]Tab, error)
	// TabsChange returns what is closed when a tab comes, goes, is brought to the front,
	// shows another document, or raises a dialog or has one answered.
	TabsChange() <-chan struct{}
	// Dialog returns the question that a page waits with for a person; nil for none.
	Dialog() *Dialog
	// Cast shows a tab until ctx ends, with a nil error, or the tab is gone, with
	// "page.unknown_tab". It calls show for each picture that differs from the one before;
	// until show returns no other is taken, and those of the meantime are left out but the
	// last. A tab has one cast at a time.
	//
	// In a browser where nothing was filled, pictures are the browser's own. Once anything
	// was, each is a screenshot of ours with what was filled painted over, taken while the
	// masked elements stayed the same; where that cannot be had the picture is withheld.
	Cast(ctx context.Context, tab TabID, show func(Frame)) error
	// Do does what a person does to a tab. What could carry a filled value elsewhere is
	// "page.key_refused", "page.click_refused" or "page.text_refused", as with an agent.
	Do(ctx context.Context, tab TabID, what Gesture) error
	// Bring brings a tab to the front, for agents too where it is one of theirs.
	Bring(ctx context.Context, tab TabID) error
	// TakeOver says that a person works in the browser, until release is called: dialogs
	// wait for the person meanwhile, and texts are not dragged out of fields.
	TakeOver(ctx context.Context) (release func())
}

// Frame is a picture of a tab.
type Frame struct {
	// JPEG is the picture; nil where it is withheld.
	JPEG []byte
	// Width and Height are those of the viewport, in CSS pixels. The picture may have
	// more pixels or fewer.
	Width, Height int
	// Withheld says that the page changes too fast, or is too large, for what was filled
	// in this browser to be found on it.
	Withheld bool
}

// GestureKind is what a person does.
type GestureKind string

// What a person can do.
const (
	// MouseMove, MouseDown and MouseUp are at a place, with a button.
	MouseMove GestureKind = "mousemove"
	MouseDown GestureKind = "mousedown"
	MouseUp   GestureKind = "mouseup"
	// Wheel scrolls by DeltaX and DeltaY at a place.
	Wheel GestureKind = "wheel"
	// KeyDown and KeyUp are of Key and Code.
	KeyDown GestureKind = "keydown"
	KeyUp   GestureKind = "keyup"
	// InsertText writes a text as a whole: pasted, or made by an input method.
	InsertText GestureKind = "text"
	// Compose shows a text that an input method has not finished.
	Compose GestureKind = "compose"
	// TouchStart, TouchMove and TouchEnd are of fingers at Points; TouchEnd and
	// TouchCancel have those that stay.
	TouchStart  GestureKind = "touchstart"
	TouchMove   GestureKind = "touchmove"
	TouchEnd    GestureKind = "touchend"
	TouchCancel GestureKind = "touchcancel"
	// Back, Forward and Reload are of the tab's history.
	Back    GestureKind = "back"
	Forward GestureKind = "forward"
	Reload  GestureKind = "reload"
	// Accept and Dismiss answer the dialog of the tab, where it is the one that waits; Text
	// is the answer to a prompt.
	Accept  GestureKind = "accept"
	Dismiss GestureKind = "dismiss"
)

// Gesture is one thing that a person does. Places are shares of the viewport, 0 to 1 from
// its top left corner, so that they are the same at any zoom.
type Gesture struct {
	Kind GestureKind
	At   Point
	// Button is which changes, Buttons those that are held, as in the DOM's MouseEvent:
	// 1 left, 2 right, 4 middle.
	Button  Button
	Buttons int
	// Count is 2 for the second press of a double click.
	Count int
	// DeltaX and DeltaY are CSS pixels.
	DeltaX, DeltaY float64
	// Key and Code are those of the DOM's KeyboardEvent, and Text what the key writes.
	Key, Code, Text string
	// Repeat says that the key is held.
	Repeat bool
	// Modifiers are keys that are held: "Control", "Shift", "Alt", "Meta".
	Modifiers []string
	// Points are the fingers, in no order that matters.
	Points []Touch
}

// Touch is a finger.
type Touch struct {
	ID int
	At Point
}

// MaxGestureText bounds what is written at once, in bytes.
const MaxGestureText = 64 << 10
