package browser

import "context"

// Hands are what an agent does to a page with a mouse and a keyboard. What a page does
// not let happen is refused with a code that says why: "page.covered",
// "page.not_in_view", "page.disabled", "page.not_typed" and others.
type Hands interface {
	// Click clicks an element where nothing covers it. Of one that lies outside the
	// page it clicks the label.
	Click(ctx context.Context, ref Ref, how Click) error
	// Hover moves the mouse over an element and leaves it there.
	Hover(ctx context.Context, ref Ref) error
	// Drag presses the left button on one element and releases it on another.
	Drag(ctx context.Context, from, to Ref) error
	// ClickAt clicks whatever is at a point; so HoverAt.
	ClickAt(ctx context.Context, at Point, how Click) error
	HoverAt(ctx context.Context, at Point) error
	// DragAt presses the left button at the first of at least two points, moves through
	// the others in order and releases it at the last.
	DragAt(ctx context.Context, path ...Point) error
	// Type replaces the text of an editable element: an input of any kind but
	// buttons, boxes and files, an area or an editor. Date, time, color and range
	// inputs take the value as HTML writes it. What a page has only formatted
	// otherwise is typed; a text that is lost or changed is "page.not_typed".
	Type(ctx context.Context, ref Ref, text string) error
	// Select chooses options by their labels or values, in a select element or in a
	// list that a page has made of other elements. Where several can be chosen, the
	// ones that are not named are so no longer; no option clears the choice.
	Select(ctx context.Context, ref Ref, options ...string) error
	// Press sends a key, perhaps with others held: "Enter", "ArrowDown", "a",
	// "Control+Shift+K", "Meta".
	Press(ctx context.Context, keys string) error
	// Scroll scrolls by whole views, 1 is one down and -1 one up: what an element is
	// scrolled in, or with an empty ref what is in the middle of the page, else the
	// page. It reports whether anything moved.
	Scroll(ctx context.Context, ref Ref, pages int) (moved bool, err error)
}

// Point is a place in the viewport, in CSS pixels from its top left corner.
type Point struct{ X, Y float64 }

// Button is a button of the mouse.
type Button string

// The buttons. No name is the left one.
const (
	LeftButton   Button = "left"
	RightButton  Button = "right"
	MiddleButton Button = "middle"
)

// Click says how to click. The zero Click is one click of the left button.
type Click struct {
	Button Button
	// Count is 2 for a double click, at most 3; zero is 1.
	Count int
	// Modifiers are keys that are held: "Control", "Shift", "Alt", "Meta".
	Modifiers []string
}
