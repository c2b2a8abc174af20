package tasks

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// step is what a policy does at one point: a call, and whether to stay at this step for
// another one.
type step func(t modeltest.Turn) (call modeltest.Call, again bool)

// steps makes a policy of one step after the other, then done. It gives up where a call
// was refused or what a step looks for is not there.
func steps(all ...step) modeltest.Script {
	next := 0
	return func(t modeltest.Turn) modeltest.Call {
		if refused(t.Result) {
			return giveUp("step %d was refused", next)
		}
		if next == len(all) {
			return modeltest.Done(true, "done")
		}
		call, again := all[next](t)
		if !again {
			next++
		}
		for _, name := range []string{"ref", "from_ref", "to_ref"} {
			if ref, ok := call.Args[name]; ok && ref == "" {
				return giveUp("step %d finds no element", next)
			}
		}
		return call
	}
}

// refused reports whether the result of a call says that it was not done.
func refused(result string) bool {
	for _, start := range []string{"Error", "error", "failed", "not done", "refused"} {
		if strings.HasPrefix(result, start) {
			return true
		}
	}
	return false
}

func giveUp(format string, args ...any) modeltest.Call {
	return modeltest.Done(false, fmt.Sprintf(format, args...))
}

// one is a step of one call.
func one(call func(t modeltest.Turn) modeltest.Call) step {
	return func(t modeltest.Turn) (modeltest.Call, bool) { return call(t), false }
}

func click(role, name string) step {
	return one(func(t modeltest.Turn) modeltest.Call { return modeltest.Click(t.Find(role, name)) })
}

func typeIn(name, text string) step {
	return one(func(t modeltest.Turn) modeltest.Call { return modeltest.Type(input(t, name), text) })
}

func choose(name string, options ...string) step {
	return one(func(t modeltest.Turn) modeltest.Call { return modeltest.Select(input(t, name), options...) })
}

func press(key string) step {
	return one(func(modeltest.Turn) modeltest.Call { return modeltest.Press(key) })
}

// input is the element that takes what is written into it, by its name.
func input(t modeltest.Turn, name string) modeltest.Element {
	for _, role := range []string{"textbox", "searchbox", "combobox", "spinbutton", "date", "listbox"} {
		if e := t.Find(role, name); e.Ref != "" {
			return e
		}
	}
	return modeltest.Element{}
}

// below is the first element of a role and a name after the first line with a text.
func below(t modeltest.Turn, text, role, name string) modeltest.Element {
	if at := strings.Index(t.View.Outline, text); at >= 0 {
		rest := t.View.Outline[at:]
		if end := strings.IndexByte(rest, '\n'); end >= 0 {
			t.View.Outline = rest[end+1:]
			return t.Find(role, name)
		}
	}
	return modeltest.Element{}
}

// showing is the first element whose line has a text in it, whatever its role.
func showing(t modeltest.Turn, text string) modeltest.Element {
	for line := range strings.Lines(t.View.Outline) {
		if m := reference.FindStringSubmatch(line); m != nil && strings.Contains(line, text) {
			return modeltest.Element{Ref: m[1]}
		}
	}
	return modeltest.Element{}
}

var reference = regexp.MustCompile(`^\s*\[([A-Za-z0-9]+)\] `)

// sees reports whether a text is in the view.
func sees(t modeltest.Turn, text string) bool { return strings.Contains(t.View.Outline, text) }

// read returns what the group of a pattern matches in the view, or "".
func read(text, pattern string) string {
	if m := regexp.MustCompile(pattern).FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// arrived judges by the one form that is to arrive at a path, as [site.once] does.
func arrived(path string, fields ...string) func(context.Context, *desk) error {
	return func(_ context.Context, d *desk) error { return d.site.once(path, fields...) }
}
