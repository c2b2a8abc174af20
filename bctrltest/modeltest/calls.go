package modeltest

// The calls below are the tools of internal/agent. Elements are named by their
// references in the view.

// Navigate opens a page.
func Navigate(url string) Call { return call("navigate", "url", url) }

// Click clicks an element.
func Click(e Element) Call { return call("click", "ref", e.Ref) }

// DoubleClick clicks an element twice.
func DoubleClick(e Element) Call { return with(Click(e), "count", 2) }

// RightClick clicks an element with the right button.
func RightClick(e Element) Call { return with(Click(e), "button", "right") }

// Hover moves the mouse over an element.
func Hover(e Element) Call { return call("hover", "ref", e.Ref) }

// Drag drags one element onto another.
func Drag(from, to Element) Call { return call("drag", "from_ref", from.Ref, "to_ref", to.Ref) }

// ClickAt clicks at a place of the newest picture, in pixels from its top left corner; so
// HoverAt and DragAt.
func ClickAt(x, y float64) Call { return at(call("click_at"), x, y) }

// HoverAt moves the mouse to a place of the picture.
func HoverAt(x, y float64) Call { return at(call("hover_at"), x, y) }

// DragAt drags from one place of the picture to another.
func DragAt(x, y, toX, toY float64) Call {
	return with(with(at(call("drag_at"), x, y), "to_x", toX), "to_y", toY)
}

// DragThrough is [DragAt] past places on the way, as to draw.
func DragThrough(x, y float64, through [][2]float64, toX, toY float64) Call {
	return with(DragAt(x, y, toX, toY), "through", through)
}

// Type replaces the text of an element.
func Type(e Element, text string) Call { return call("type", "ref", e.Ref, "text", text) }

// Select chooses options of a list by their labels: one, or where the list takes
// several, exactly those that are named.
func Select(e Element, options ...string) Call {
	if len(options) == 1 {
		return call("select", "ref", e.Ref, "option", options[0])
	}
	return with(call("select", "ref", e.Ref), "options", append([]string{}, options...))
}

// Press presses a key, perhaps with others held: "Enter", "Control+Shift+K".
func Press(key string) Call { return call("press", "key", key) }

// PressTimes presses a key several times, at most 50.
func PressTimes(key string, times int) Call { return with(Press(key), "times", times) }

// Scroll scrolls by whole viewports: 1 is one down, -1 one up.
func Scroll(pages float64) Call { return with(call("scroll"), "pages", pages) }

// ScrollIn scrolls what an element lies in by its own height.
func ScrollIn(e Element, pages float64) Call {
	return with(call("scroll", "ref", e.Ref), "pages", pages)
}

// FillLogin has the server fill a vault entry into the inputs for user name
// and password; either may be the zero Element. The values never reach the
// model.
func FillLogin(key string, username, password Element) Call {
	c := call("fill_login", "key", key)
	if username.Ref != "" {
		c.Args["username_ref"] = username.Ref
	}
	if password.Ref != "" {
		c.Args["password_ref"] = password.Ref
	}
	return c
}

// EnterTOTP has the server fill the current one-time code of a vault entry.
func EnterTOTP(key string, e Element) Call { return call("enter_totp", "key", key, "ref", e.Ref) }

// Back goes to the page before this one.
func Back() Call { return call("back") }

// Reload loads the page again.
func Reload() Call { return call("reload") }

// WaitText waits until the page shows a text, at most 1 to 30 seconds.
func WaitText(text string, seconds float64) Call {
	return with(call("wait_text", "text", text), "seconds", seconds)
}

// OpenTab opens a page in a tab of its own.
func OpenTab(url string) Call { return call("open_tab", "url", url) }

// SwitchTab brings a tab of the view's list to the front.
func SwitchTab(id string) Call { return call("switch_tab", "tab", id) }

// CloseTab closes a tab of the view's list.
func CloseTab(id string) Call { return call("close_tab", "tab", id) }

// AnswerDialog answers the dialog that the page waits with; text is for a prompt.
func AnswerDialog(accept bool, text string) Call {
	c := with(call("answer_dialog"), "accept", accept)
	if text != "" {
		c.Args["text"] = text
	}
	return c
}

// Upload gives files of the mounted storage to the page.
func Upload(e Element, paths ...string) Call {
	return with(call("upload", "ref", e.Ref), "paths", append([]string{}, paths...))
}

// ReadFile reads a part of a PDF or a text that a page has delivered, from 1.
func ReadFile(path string, part float64) Call {
	return with(call("read_page", "file", path), "part", part)
}

// HTTPLogin has the server answer a site that asks for a login with HTTP authentication.
func HTTPLogin(key string) Call { return call("http_login", "key", key) }

// Wait waits for the page to go on by itself, 1 to 10 seconds.
func Wait(seconds float64) Call { return with(call("wait"), "seconds", seconds) }

// WaitDownload waits until a file has landed, at most 1 to 60 seconds.
func WaitDownload(seconds float64) Call { return with(call("wait_download"), "seconds", seconds) }

// Done ends the task: whether it is finished, and what was done or stands in
// the way.
func Done(success bool, message string) Call {
	return with(call("done", "message", message), "success", success)
}

// DoneWith is [Done] of a task with an output.
func DoneWith(success bool, message string, output any) Call {
	return with(Done(success, message), "output", output)
}

// Plan writes down the model's plan.
func Plan(steps string) Call { return call("plan", "steps", steps) }

// Extract has the model that looks read something from the whole page.
func Extract(instruction string) Call { return call("extract", "instruction", instruction) }

// ReadPage reads a part of the whole page as text, from 1.
func ReadPage(part int) Call { return with(call("read_page"), "part", part) }

// Look asks for a picture of the page.
func Look() Call { return call("look") }

// Candidates answers a question about what can be done on a page.
func Candidates(all ...Candidate) Call {
	if all == nil {
		all = []Candidate{}
	}
	return with(call("candidates"), "candidates", all)
}

// Candidate is an element that an instruction may mean.
type Candidate struct {
	Ref         string   `json:"ref"`
	Method      string   `json:"method"`
	Arguments   []string `json:"arguments,omitempty"`
	Description string   `json:"description"`
	Confidence  float64  `json:"confidence"`
}

// Extracted answers a question for data from a page.
func Extracted(data any) Call { return with(call("extracted"), "data", data) }

// Say answers with text instead of a tool call.
func Say(text string) Call { return Call{Text: text} }

func call(tool string, pairs ...string) Call {
	c := Call{Tool: tool, Args: make(map[string]any, len(pairs)/2)}
	for i := 0; i+1 < len(pairs); i += 2 {
		c.Args[pairs[i]] = pairs[i+1]
	}
	return c
}

func at(c Call, x, y float64) Call { return with(with(c, "x", x), "y", y) }

func with[T any](c Call, name string, value T) Call {
	c.Args[name] = value
	return c
}
