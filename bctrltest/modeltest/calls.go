package modeltest

// The calls below are the tools of internal/agent. Elements are named by their
// references in the view.

// Navigate opens a page.
func Navigate(url string) Call { return call("navigate", "url", url) }

// Click clicks an element.
func Click(e Element) Call { return call("click", "ref", e.Ref) }

// Type replaces the text of an element.
func Type(e Element, text string) Call { return call("type", "ref", e.Ref, "text", text) }

// Select chooses an option of a select element by its label.
func Select(e Element, option string) Call { return call("select", "ref", e.Ref, "option", option) }

// Press presses a key: "Enter", "Tab".
func Press(key string) Call { return call("press", "key", key) }

// Scroll scrolls by whole viewports: 1 is one down, -1 one up.
func Scroll(pages float64) Call { return with(call("scroll"), "pages", pages) }

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

func with[T any](c Call, name string, value T) Call {
	c.Args[name] = value
	return c
}
