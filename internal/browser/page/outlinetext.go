package page

import (
	"strconv"
	"strings"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/fill"
)

func hasValue(role string) bool {
	switch role {
	case "textbox", "searchbox", "combobox", "slider", "spinbutton", "date", "color":
		return true
	}
	return false
}

func (w *walk) valueOf(n *axNode) string {
	if v := w.clean(string(n.Value.Value)); v != "" {
		return " value=" + quote(v, maxName)
	}
	return ""
}

func levelOf(n *axNode) string {
	if level := n.property("level"); level != "" {
		return " " + level
	}
	return ""
}

// states lists the states of an element that are worth telling.
func states(n *axNode) string {
	var b strings.Builder
	for _, p := range n.Properties {
		v := string(p.Value.Value)
		switch p.Name {
		case "checked", "pressed":
			switch v {
			case "true":
				b.WriteString(" (" + p.Name + ")")
			case "mixed":
				b.WriteString(" (partly " + p.Name + ")")
			case "false":
				if p.Name == "checked" {
					b.WriteString(" (not checked)")
				}
			}
		case "expanded":
			if v == "true" {
				b.WriteString(" (expanded)")
			} else {
				b.WriteString(" (collapsed)")
			}
		case "disabled", "required", "focused", "selected", "readonly", "modal", "busy", "multiline":
			if v == "true" {
				b.WriteString(" (" + p.Name + ")")
			}
		case "invalid":
			if v != "" && v != "false" {
				b.WriteString(" (invalid)")
			}
		}
	}
	return b.String()
}

// stateOf is how a node is.
func stateOf(n *axNode) (s browser.State) {
	for _, p := range n.Properties {
		v := string(p.Value.Value)
		switch p.Name {
		case "checked":
			s.Checked = v
		case "pressed":
			s.Pressed = v
		case "expanded":
			s.Expanded = v
		case "selected":
			s.Selected = v == "true"
		case "disabled":
			s.Disabled = v == "true"
		case "required":
			s.Required = v == "true"
		case "readonly":
			s.ReadOnly = v == "true"
		case "focused":
			s.Focused = v == "true"
		case "invalid":
			s.Invalid = v != "" && v != "false"
		}
	}
	return s
}

// clean makes one line of a page's text and takes filled values out. Text must be
// cleaned before it is clipped: half a secret is one too, and would not be found.
func (o *outline) clean(s string) string {
	return o.tab.set.scrub.Text(fill.OneLine(s))
}

// clip shortens s to limit characters.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	n := 0
	for i := range s {
		if n == limit {
			return s[:i] + "…"
		}
		n++
	}
	return s
}

// quote writes text of a page so that it cannot be taken for the outline's own.
func quote(s string, limit int) string {
	return strconv.Quote(clip(fill.OneLine(s), limit))
}
