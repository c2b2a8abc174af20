package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
)

// action is a decoded call of a tool. Its error ends the task; what the model
// can do something about is an outcome.
type action interface {
	do(ctx context.Context, r *run) (outcome, error)
}

// tool is what the model is offered, and how a call of it is read.
type tool struct {
	model.Tool
	decode func(arguments string) (action, error)
}

// toolDone is the name of the tool that ends a task.
const toolDone = "done"

// usualTools are all that a model can do on a page, whatever the task. A task may have
// more: see toolsOf.
var usualTools = sync.OnceValues(func() (byName map[string]tool, list []model.Tool) {
	return newTools(actionTools(), finishTools(nil))
})

// actionTools are the tools that do something on a page. A list of new ones is joined
// here.
func actionTools() []tool {
	return slices.Concat(pageTools(), pointerTools(), keyboardTools(), loginTools(), sightTools(), tabTools(),
		dialogTools(), fileTools(), httpTools())
}

// pageTools act on the page and its elements.
func pageTools() []tool {
	return []tool{
		define[navigate]("navigate", "Open a web address in the current tab.",
			`"url":{"type":"string","description":"A whole http or https address."}`, "url"),
		define[wait]("wait", "Wait for the page to go on by itself.",
			`"seconds":{"type":"number","description":"1 to 10."}`, "seconds"),
		define[waitDownload]("wait_download", "Wait until a file that the page is sending has landed in storage.",
			`"seconds":{"type":"number","description":"The longest time to wait, 1 to 60."}`),
	}
}

// loginTools use the vault.
func loginTools() []tool {
	return []tool{
		define[fillLogin]("fill_login",
			"Fill a login form from the vault. You name the entry and the inputs; the server fills in the values, which you "+
				"never see. "+
				"Give the refs of the inputs that are on the page now: both, or one where the form asks for one at a time.",
			`"key":{"type":"string","description":"A key of the list of logins."},`+
				`"username_ref":{"type":"string","description":"The input for the username."},`+
				`"password_ref":{"type":"string","description":"The input for the password."}`, "key"),
		define[enterTOTP]("enter_totp",
			"Fill in the current one-time code of a vault entry that has totp. The server fills it in; you never see it.",
			`"key":{"type":"string","description":"A key of the list of logins."},`+ref, "key", "ref"),
	}
}

// toolsOf returns the tools of a task with these settings.
func toolsOf(s settings) (byName map[string]tool, list []model.Tool) {
	all := [][]tool{actionTools(), finishTools(s.output)}
	if s.extracting {
		all = append(all, lookTools())
	}
	if s.planning {
		all = append(all, planTools())
	}
	return newTools(all...)
}

const ref = `"ref":{"type":"string","description":"The reference of the element in the newest view, such as e12."}`

// newTools joins lists of tools.
func newTools(lists ...[]tool) (byName map[string]tool, list []model.Tool) {
	byName = make(map[string]tool)
	for _, t := range slices.Concat(lists...) {
		byName[t.Name] = t
		list = append(list, t.Tool)
	}
	return byName, list
}

// define makes the tool whose arguments are A's fields.
func define[A action](name, description, properties string, required ...string) tool {
	schema := `{"type":"object","properties":{` + properties + `},"additionalProperties":false`
	if len(required) > 0 {
		schema += `,"required":["` + strings.Join(required, `","`) + `"]`
	}
	return tool{
		Tool: model.Tool{Name: name, Description: description, Parameters: json.RawMessage(schema + "}")},
		decode: func(arguments string) (action, error) {
			var a A
			return a, decode(arguments, required, &a)
		},
	}
}

// decode reads a call's arguments. Its errors are for the model, which wrote
// them.
func decode(arguments string, required []string, into any) error {
	if strings.TrimSpace(arguments) == "" {
		arguments = "{}" // how some models write no arguments
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(arguments), &fields); err != nil || fields == nil {
		return errors.New("the arguments are not a JSON object")
	}
	for _, name := range required {
		if raw, ok := fields[name]; !ok || string(raw) == "null" {
			return fmt.Errorf("the argument %q is missing", name)
		}
	}
	d := json.NewDecoder(strings.NewReader(arguments))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		name := wrong.Field[strings.LastIndexByte(wrong.Field, '.')+1:] // without the types that it is embedded in
		return fmt.Errorf("the argument %q is not of the documented type", name)
	}
	if err != nil && err != io.EOF {
		return errors.New("the arguments hold a field that the tool does not have")
	}
	return nil
}

// element returns the element of the newest view that a model means by text,
// or false and what to answer.
func (r *run) element(text string) (browser.Element, outcome, bool) {
	name := strings.TrimPrefix(strings.Trim(strings.TrimSpace(text), `[]"`), "ref=")
	e, ok := r.elements[browser.Ref(name)]
	if !ok {
		why := "not done: there is no element " + clip(clean(name), 20) + " in the newest view"
		return browser.Element{}, refuse(why), false
	}
	return e, outcome{}, true
}

// describe names an element to people: textbox "Username".
func describe(e browser.Element) string {
	return e.Role + ` "` + strings.TrimSpace(e.Name) + `"`
}

// clip cuts s at a character so that it is at most n bytes and an ellipsis.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
