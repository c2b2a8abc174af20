package miniwob

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// Policy says what a model does next for one task, from what it was sent.
type Policy func(w *World) modeltest.Call

// World is what a model was sent, read into elements.
type World struct {
	modeltest.Turn
	// Nodes are the lines of the view, in order.
	Nodes []Node
}

// Node is a line of the view: an element, or text.
type Node struct {
	modeltest.Element
	// Depth is how far the line is indented.
	Depth int
	// Text is the line without its reference.
	Text string
}

var nodeLine = regexp.MustCompile(
	`^( *)(?:\[([A-Za-z0-9]+)\] )?([A-Za-z-]+)(?: \d)?:?(?: "((?:[^"\\]|\\.)*)")?(?: value="((?:[^"\\]|\\.)*)")?(.*)$`)

var iconOf = regexp.MustCompile(`\(icon "((?:[^"\\]|\\.)*)"\)`)

// icon is what the page calls the picture of an element without a name.
func (n Node) icon() string {
	if m := iconOf.FindStringSubmatch(n.Text); m != nil {
		return unquote(m[1])
	}
	return ""
}

// newWorld reads a turn.
func newWorld(t modeltest.Turn) *World {
	w := &World{Turn: t}
	w.Task, _, _ = strings.Cut(strings.TrimSpace(strings.TrimPrefix(w.Task, "Task:")), "\n")
	for line := range strings.SplitSeq(t.View.Outline, "\n") {
		m := nodeLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		n := Node{Depth: len(m[1]), Text: strings.TrimSpace(line)}
		n.Ref, n.Role, n.Name, n.Value = m[2], m[3], unquote(m[4]), unquote(m[5])
		if m[2] != "" {
			_, n.Text, _ = strings.Cut(n.Text, "] ")
		}
		if n.Role == "text" {
			n.Text = strings.TrimSpace(m[6])
		}
		w.Nodes = append(w.Nodes, n)
	}
	return w
}

// unquote undoes the view's escapes.
func unquote(s string) string {
	if text, err := strconv.Unquote(`"` + s + `"`); err == nil {
		return text
	}
	return s
}

var quotation = regexp.MustCompile(`"([^"]*)"`)

// quoted are the texts in quotation marks in what is asked for.
func (w *World) quoted() (all []string) {
	for _, m := range quotation.FindAllStringSubmatch(w.Task, -1) {
		all = append(all, m[1])
	}
	return all
}

// quote is the n-th text in quotation marks, from 0, or "".
func (w *World) quote(n int) string {
	if all := w.quoted(); n < len(all) {
		return all[n]
	}
	return ""
}

// asked returns what the groups of a pattern match in what is asked for, or nil.
func (w *World) asked(pattern string) []string {
	m := regexp.MustCompile(pattern).FindStringSubmatch(w.Task)
	if m == nil {
		return nil
	}
	return m[1:]
}

// all returns the elements of these roles that have a reference.
func (w *World) all(roles ...string) (found []Node) {
	for _, n := range w.Nodes {
		for _, role := range roles {
			if n.Ref != "" && n.Role == role {
				found = append(found, n)
			}
		}
	}
	return found
}

// named returns the first element with exactly this name, whatever its role.
func (w *World) named(name string) Node {
	for _, n := range w.Nodes {
		if n.Ref != "" && n.Name == name {
			return n
		}
	}
	return Node{}
}

// withIcon returns the first element that has no name and an icon of this name.
func (w *World) withIcon(name string) Node {
	for _, n := range w.Nodes {
		if n.Ref != "" && n.icon() == name {
			return n
		}
	}
	return Node{}
}

// nth returns the n-th element of a role, from 0; negative counts from the end.
func (w *World) nth(role string, n int) Node {
	all := w.all(role)
	if n < 0 {
		n += len(all)
	}
	if n < 0 || n >= len(all) {
		return Node{}
	}
	return all[n]
}

// texts are the texts of the view that are no elements.
func (w *World) texts() (all []string) {
	for _, n := range w.Nodes {
		if n.Role == "text" {
			all = append(all, n.Text)
		}
	}
	return all
}

// after returns the nodes after the first that satisfies a condition.
func (w *World) after(is func(Node) bool) []Node {
	for i, n := range w.Nodes {
		if is(n) {
			return w.Nodes[i+1:]
		}
	}
	return nil
}

// refAfter returns the n-th element of a role after a line with a text.
func (w *World) refAfter(text, role string, n int) Node {
	for _, node := range w.after(func(n Node) bool { return n.Text == text || n.Name == text }) {
		if node.Ref != "" && node.Role == role {
			if n == 0 {
				return node
			}
			n--
		}
	}
	return Node{}
}

// made counts the calls of a tool so far; all of them for "".
func (w *World) made(tool string) (n int) {
	for _, c := range w.Calls {
		if tool == "" || c.Tool == tool {
			n++
		}
	}
	return n
}

// clicked reports whether an element was.
func (w *World) clicked(n Node) bool {
	for _, c := range w.Calls {
		if c.Tool == "click" && c.Args["ref"] == n.Ref {
			return true
		}
	}
	return false
}

// fresh are the elements that were not clicked yet.
func (w *World) fresh(nodes []Node) (left []Node) {
	for _, n := range nodes {
		if !w.clicked(n) {
			left = append(left, n)
		}
	}
	return left
}

// fail gives up: the view does not show what the policy needs.
func fail(why string) modeltest.Call { return modeltest.Done(false, why) }

func click(n Node) modeltest.Call {
	if n.Ref == "" {
		return fail("there is nothing to click")
	}
	return modeltest.Click(n.Element)
}

func typeIn(n Node, text string) modeltest.Call {
	if n.Ref == "" {
		return fail("there is no input")
	}
	return modeltest.Type(n.Element, text)
}

func (w *World) submit() modeltest.Call {
	for _, name := range []string{"Submit", "submit", "Search", "Login", "OK", "Go!"} {
		if n := w.named(name); n.Ref != "" {
			return click(n)
		}
	}
	return fail("there is no button to submit with")
}

// steps makes a policy of one call after the other.
func steps(all ...Policy) Policy {
	return func(w *World) modeltest.Call {
		if n := w.made(""); n < len(all) {
			return all[n](w)
		}
		return modeltest.Done(true, "done")
	}
}

// submit is the step that sends a form.
func submit(w *World) modeltest.Call { return w.submit() }

// clickNamed is the step that clicks what has a name.
func clickNamed(name func(w *World) string) Policy {
	return func(w *World) modeltest.Call { return click(w.named(name(w))) }
}

func quote(n int) func(*World) string { return func(w *World) string { return w.quote(n) } }

// number reads a number out of text, or reports that there is none.
func number(text string) (float64, bool) {
	m := regexp.MustCompile(`-?\d+(?:\.\d+)?`).FindString(text)
	n, err := strconv.ParseFloat(m, 64)
	return n, err == nil
}
