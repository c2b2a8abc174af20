package browser

// MaxOutline bounds the outline of an observation, in bytes: 8,000 tokens of a model where
// it is text, 12,000 where it is mostly numbers.
const MaxOutline = 30 << 10

// Observation is what an agent sees of a page.
type Observation struct {
	URL, Title string
	// Outline is the accessibility tree as indented text, one element a line
	// ("[e12] textbox \"Username\""). Values that were filled from the vault
	// read "[secret]". It is at most [MaxOutline] bytes.
	Outline string
	// Elements are the referable elements of the outline in document order.
	Elements []Element
	// Truncated reports that the page held more than fits.
	Truncated bool
	// Shape is a digest of the page's structure without its texts and values: the
	// same after a reload, and with more or other entries in its lists and tables.
	Shape string
	// Poor reports that the outline says little of what a person sees: much of the
	// viewport is drawn, or most of what can be acted on has no name. A picture tells
	// more.
	Poor bool
	// Tabs are the agent's tabs.
	Tabs []Tab
	// Dialog is the question that the page waits with; nil for none. While there is one
	// nothing else can be seen of the page.
	Dialog *Dialog
}

// Element is one referable element.
type Element struct {
	Ref        Ref
	Role, Name string
	// Value is the element's current text; "[secret]" where it was filled.
	Value string
	// Placeholder is the hint that an empty field shows, where that is not its name.
	Placeholder string
	// Icon is what the page calls the picture that stands for the name of an element without
	// one.
	Icon string
	// Surroundings are the named elements that it lies in, the nearest first and at
	// most [MaxSurroundings]: `form "Sign in"`.
	Surroundings []string
	// Index tells apart elements of the same role, name, surroundings and frame, from 0
	// in document order.
	Index int
	// Frame is the origin of the element's frame where that is not the page's; "null"
	// where the frame has none of its own.
	Frame string
	State State
}

// MaxSurroundings bounds the surroundings of an element.
const MaxSurroundings = 5

// State is how an element is. What is not told of it is false or empty.
type State struct {
	// Checked and Pressed are "true", "false" or "mixed", Expanded "true" or "false";
	// empty for elements that are neither.
	Checked, Pressed, Expanded                               string
	Selected, Disabled, Required, ReadOnly, Focused, Invalid bool
}

// PictureOptions say what to take a picture of.
type PictureOptions struct {
	// Marks draws a box and a number on each element of the newest observation that is
	// in the picture: 12 on e12. The page neither sees nor draws them.
	Marks bool
	// FullPage takes the whole page instead of the viewport.
	FullPage bool
}

// MaxPictureSide bounds the width and the height of a picture, in pixels.
const MaxPictureSide = 1280

// MaskedPNG is a picture that the page has taken and masked: whatever was filled, or
// repeats what was filled, is painted over, and so are password fields. Only package
// page makes one of a page, so who is given a MaskedPNG need not look into it.
type MaskedPNG struct{ data []byte }

// MaskedByPage makes a [MaskedPNG] of bytes of which the caller has made sure.
func MaskedByPage(data []byte) MaskedPNG { return MaskedPNG{data} }

// Bytes are the picture. Nobody may write to them.
func (p MaskedPNG) Bytes() []byte { return p.data }

// Picture is a picture of a page.
type Picture struct {
	PNG MaskedPNG
	// Width and Height are those of the picture, in pixels.
	Width, Height int
	// Left and Top are where it begins in the viewport, in CSS pixels: 0 but for
	// a picture of the whole page. Scale is how many CSS pixels one pixel of the picture
	// is, so that x*Scale + Left is a place in the viewport.
	Left, Top, Scale float64
	// Marked are the elements that have a mark.
	Marked []Ref
}

// ReadOptions bound a reading.
type ReadOptions struct {
	// MaxBytes bounds the text; zero is [DefaultReadBytes].
	MaxBytes int
}

// DefaultReadBytes is how much of a page is read where nothing is said.
const DefaultReadBytes = 256 << 10

// Reading is a whole page as text: headings, lists, table rows as cells between "|",
// links with absolute addresses, what fields hold, all frames. Lists that grow while they
// are scrolled are scrolled a bounded number of times.
type Reading struct {
	URL, Title string
	// Text is at most the MaxBytes of the options. Values that were filled read "[secret]".
	Text string
	// Truncated reports that the page has more.
	Truncated bool
}
