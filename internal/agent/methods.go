package agent

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
)

// method is something that is done to one element: a kind of action, and the tool that
// does it.
type method struct {
	kind, tool string
	// ref is the tool's argument that names the element; arguments are those that
	// the method's go to, in order.
	ref       string
	arguments []string
	// list takes all arguments of a method that has any number of them.
	list string
}

// methods are all of them. What is observed has one, and so can be done without a model.
func methods() []method {
	return []method{
		{kind: "click", tool: "click", ref: "ref"},
		{kind: "hover", tool: "hover", ref: "ref"},
		{kind: "type", tool: "type", ref: "ref", arguments: []string{"text"}},
		{kind: "select", tool: "select", ref: "ref", list: "options"},
		{kind: "fill", tool: "fill_login", arguments: []string{"key", "field"}},
		{kind: "totp", tool: "enter_totp", ref: "ref", arguments: []string{"key"}},
	}
}

func methodOf(kind string) (method, bool) {
	for _, m := range methods() {
		if m.kind == kind {
			return m, true
		}
	}
	return method{}, false
}

func methodNames() string {
	var all []string
	for _, m := range methods() {
		all = append(all, m.kind)
	}
	return strings.Join(all, ", ")
}

// refuses says what is wrong with a method's arguments; nothing where they are as many
// as it has.
func (m method) refuses(arguments []string) string {
	if m.list != "" {
		if len(arguments) == 0 {
			return m.kind + " takes one or more arguments: " + m.list
		}
		return ""
	}
	if len(arguments) != len(m.arguments) {
		return fmt.Sprintf("%s takes %d arguments: %s", m.kind, len(m.arguments), strings.Join(m.arguments, ", "))
	}
	if m.kind == "fill" && arguments[1] != "username" && arguments[1] != "password" {
		return "the field of fill is username or password"
	}
	return ""
}

// call is the call of the tool that does the method to an element.
func (m method) call(ref browser.Ref, arguments []string) (model.ToolCall, error) {
	if why := m.refuses(arguments); why != "" {
		return model.ToolCall{}, invalid("agent.invalid_observed", "arguments", why)
	}
	args := make(map[string]any)
	for i, name := range m.arguments {
		args[name] = arguments[i]
	}
	if m.list != "" {
		args[m.list] = arguments
	}
	if m.kind == "fill" {
		delete(args, "field")
		args[arguments[1]+"_ref"] = ref
	} else {
		args[m.ref] = ref
	}
	text, err := json.Marshal(args)
	return model.ToolCall{Name: m.tool, Arguments: string(text)}, err
}
