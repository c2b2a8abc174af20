package agent

import (
	"context"
	"fmt"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
)

const (
	maxTyped   = 16 << 10
	maxOption  = 1024
	maxOptions = 100
	maxKeyName = 40
	maxPresses = 50
)

// keyboardTools write and choose.
func keyboardTools() []tool {
	return []tool{
		define[typeText]("type",
			"Replace the text of an input or an editor. A date is typed as 2026-03-31, a time as 14:30, both as "+
				"2026-03-31T14:30, a month as 2026-03, a week as 2026-W14, a color as #ff8800, a slider as a number. "+
				"Never for credentials: they are filled with fill_login.",
			ref+`,"text":{"type":"string"}`, "ref", "text"),
		define[selectOption]("select", "Choose an option of a list, or several where the list takes several.",
			ref+`,"option":{"type":"string","description":"The option's label or value."},`+
				`"options":{"type":"array","items":{"type":"string"},`+
				`"description":"In the place of option: all that are to be chosen, none to clear the choice."}`, "ref"),
		define[press]("press", "Press a key, also with others held.",
			`"key":{"type":"string","description":"Enter, Tab, Escape, ArrowDown, a character, or one of them after Control+, `+
				`Shift+, Alt+ or Meta+, also several: Control+Shift+K."},`+
				`"times":{"type":"integer","description":"How often, 1 to 50; once where it is left out."}`, "key"),
	}
}

type typeText struct {
	Ref  string `json:"ref"`
	Text string `json:"text"`
}

func (a typeText) do(ctx context.Context, r *run) (outcome, error) {
	if len(a.Text) > maxTyped {
		return refuse(fmt.Sprintf("not done: the text is longer than %d bytes", maxTyped)), nil
	}
	return r.onElement(ctx, "type", a.Ref, "typed", func(ctx context.Context, ref browser.Ref) error {
		return r.page.Type(ctx, ref, a.Text)
	})
}

type selectOption struct {
	Ref     string   `json:"ref"`
	Option  *string  `json:"option"`
	Options []string `json:"options"`
}

func (a selectOption) do(ctx context.Context, r *run) (outcome, error) {
	options := a.Options
	if a.Option != nil {
		if a.Options != nil {
			return refuse("not done: give option or options, not both"), nil
		}
		options = []string{*a.Option}
	}
	switch {
	case options == nil:
		return refuse("not done: neither option nor options is given"), nil
	case len(options) > maxOptions:
		return refuse(fmt.Sprintf("not done: there are more than %d options", maxOptions)), nil
	}
	for _, option := range options {
		if len(option) > maxOption {
			return refuse(fmt.Sprintf("not done: the option is longer than %d bytes", maxOption)), nil
		}
	}
	return r.onElement(ctx, "select", a.Ref, "selected", func(ctx context.Context, ref browser.Ref) error {
		return r.page.Select(ctx, ref, options...)
	})
}

type press struct {
	Key   string `json:"key"`
	Times int    `json:"times"`
}

func (a press) do(ctx context.Context, r *run) (outcome, error) {
	if a.Key == "" || len(a.Key) > maxKeyName {
		return refuse("not done: there is no such key"), nil
	}
	if a.Times < 0 || a.Times > maxPresses {
		return refuse(fmt.Sprintf("not done: times is 1 to %d", maxPresses)), nil
	}
	r.progress("press", a.Key)
	var err error
	for n := 0; n < max(1, a.Times) && err == nil; n++ {
		err = r.page.Press(ctx, a.Key)
	}
	return r.afterAction(ctx, bctrl.ActAction{Kind: "press", Target: a.Key}, err, "pressed")
}
