package modeltest

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/bctrl-go/bctrl/internal/agent"
)

// Script says what the model does next. It is called once for each request
// and sees all that the agent has sent; one that decides from what is on the
// page rather than from a count of turns works like a model does.
//
// Scripts of several conversations may run at once.
type Script func(Turn) Call

// Turn is what the model was sent.
type Turn struct {
	// Task is what the agent was asked to do.
	Task string
	// Text is all that was said to the model since it spoke last: what the agent of
	// another library shows of the page, in its own form.
	Text string
	// View is the newest view of the page.
	View agent.View
	// Picture is the newest picture of the page, a PNG with the marks that a model that
	// sees gets: the number 12 on e12. It is nil where none was sent, or where the page
	// was looked at again since.
	Picture []byte
	// Page is the newest text of a page that data is to be read from.
	Page string
	// Result is the text of the last tool call's result, without its view;
	// empty at the start.
	Result string
	// Calls are the tool calls of the conversation so far.
	Calls []Call
	// Tools are the names of the tools that may be called.
	Tools []string
}

// Call is a call of a tool, or a text when Tool is empty.
type Call struct {
	Tool string
	Args map[string]any
	// Text is what the model says.
	Text string
	// Also are further calls of the same answer, which the agent makes one after the
	// other before it looks at the page again.
	Also []Call
}

// all are the calls of an answer in order; none for one of text alone.
func (c Call) all() []Call {
	if c.Tool == "" {
		return nil
	}
	return append([]Call{c}, c.Also...)
}

// arguments are the call's arguments as JSON.
func (c Call) arguments() json.RawMessage {
	if len(c.Args) == 0 {
		return json.RawMessage("{}")
	}
	text, err := json.Marshal(c.Args)
	if err != nil {
		return json.RawMessage("{}") // a script's own mistake; the tool will say what is missing
	}
	return text
}

// Element is an element in the outline of a page.
type Element struct {
	// Ref is how tools name it; empty when there is no such element.
	Ref string
	// Role and Name are as the accessibility tree has them: "button", "Log in".
	Role, Name string
	// Value is its current text, "[secret]" where the server has filled it.
	Value string
}

// elementLine is an element's line: reference, role, name, value.
var elementLine = regexp.MustCompile(`^\s*\[([A-Za-z0-9]+)\] (\S+)(?: "((?:[^"\\]|\\.)*)")?(?: ` +
	`value="((?:[^"\\]|\\.)*)")?`)

// Find returns the first element of the page that has the role and whose name
// contains the given one, in any letter case; the zero Element when there is
// none.
func (t Turn) Find(role, name string) Element {
	for line := range strings.SplitSeq(t.View.Outline, "\n") {
		m := elementLine.FindStringSubmatch(line)
		if m != nil && m[2] == role && strings.Contains(strings.ToLower(m[3]), strings.ToLower(name)) {
			return Element{
				Ref:   m[1],
				Role:  m[2],
				Name:  m[3],
				Value: m[4],
			}
		}
	}
	return Element{}
}

// Sees reports whether the page has such an element.
func (t Turn) Sees(role, name string) bool { return t.Find(role, name).Ref != "" }

// newTurn reads a conversation.
func newTurn(conversation []message, tools []string) Turn {
	t := Turn{Tools: tools}
	for i, msg := range conversation {
		texts := []string{msg.text}
		for _, r := range msg.results {
			texts = append(texts, r.text)
			t.Result = beforeView(r.text)
		}
		if i == 0 {
			t.Task = beforeView(msg.text)
		}
		if !msg.assistant {
			if msg.picture != nil {
				t.Picture = msg.picture
			}
			t.Text = strings.TrimSpace(t.Text + "\n" + strings.Join(texts, "\n"))
			for _, text := range texts {
				if view, ok := agent.ParseView(text); ok {
					t.View = view
				}
				if page, ok := agent.ParsePage(text); ok {
					t.Page = page
				}
			}
		}
		if msg.assistant {
			t.Text = ""
		}
		for _, c := range msg.calls {
			t.Calls = append(t.Calls, c.call)
		}
	}
	return t
}

// beforeView returns the text before a view.
func beforeView(text string) string {
	before, _, _ := strings.Cut(text, `<view id="`)
	return strings.TrimSpace(before)
}
