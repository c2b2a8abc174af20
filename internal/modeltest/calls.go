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

// Fill has the server fill one field of a vault entry into an element: field is
// "username", "password" or "totp". The value never reaches the model.
func Fill(e Element, key, field string) Call {
	return call("fill", "ref", e.Ref, "key", key, "field", field)
}

// Wait lets time pass until the page has changed.
func Wait() Call { return call("wait") }

// Done ends the task.
func Done(success bool, summary string) Call {
	c := call("done", "summary", summary)
	c.Args["success"] = success
	return c
}

// Say answers with text instead of a tool call.
func Say(text string) Call { return Call{Text: text} }

func call(tool string, pairs ...string) Call {
	c := Call{Tool: tool, Args: make(map[string]any, len(pairs)/2)}
	for i := 0; i+1 < len(pairs); i += 2 {
		c.Args[pairs[i]] = pairs[i+1]
	}
	return c
}
