package page

import (
	"strconv"
	"strings"
)

// standIn is what a label stands for whose input is not drawn, so that the accessibility
// tree does not have it: a click on the label is a click on the input.
type standIn struct {
	// role is "checkbox", "radio", or "button" of an input that asks for files.
	role string
	// checked is "true" or "false" of what can be checked, else empty.
	checked string
}

// readStandIns finds the labels of inputs that are not drawn.
func (r *layoutReader) readStandIns() {
	checked := map[int]bool{}
	if r.part.Nodes.InputChecked != nil {
		for _, node := range r.part.Nodes.InputChecked.Index {
			checked[int(node)] = true
		}
	}
	var byID map[string]int
	for node, name := range r.names {
		if name != "label" || !r.isDrawn(node) {
			continue
		}
		input := -1
		if id, is := r.lookUp(node, "for"); is {
			if byID == nil {
				byID = r.inputsByID()
			}
			if found, ok := byID[id]; ok {
				input = found
			}
		} else {
			input = r.firstInput(node)
		}
		if input < 0 || r.isDrawn(input) {
			continue
		}
		if s, ok := r.standInFor(input, checked[input]); ok {
			r.standIns[r.ids[node]] = s
		}
	}
}

func (r *layoutReader) isDrawn(node int) bool {
	_, laidOut := r.laidOut[node]
	return laidOut && r.style(node, styleVisibility) != "hidden"
}

// standInFor is what stands for an input, false where a click on its label does nothing.
func (r *layoutReader) standInFor(input int, checked bool) (standIn, bool) {
	if _, disabled := r.lookUp(input, "disabled"); disabled {
		return standIn{}, false
	}
	switch kind := strings.ToLower(r.attribute(input, "type")); kind {
	case "checkbox", "radio":
		return standIn{kind, strconv.FormatBool(checked)}, true
	case "file":
		return standIn{role: "button"}, true
	}
	return standIn{}, false
}

func (r *layoutReader) inputsByID() map[string]int {
	found := map[string]int{}
	for node, name := range r.names {
		if name != "input" {
			continue
		}
		id := r.attribute(node, "id")
		if _, twice := found[id]; !twice {
			found[id] = node
		}
	}
	return found
}

// firstInput returns the first input in a node, or -1.
func (r *layoutReader) firstInput(node int) int {
	for _, child := range r.children[node] {
		if r.names[child] == "input" {
			return child
		}
		if found := r.firstInput(child); found >= 0 {
			return found
		}
	}
	return -1
}
