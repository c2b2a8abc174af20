package miniwob

import (
	"strings"

	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// pointerPolicies are of tasks with drags, scrolling and selections.
func pointerPolicies() map[string]Policy {
	return map[string]Policy{
		"scroll-text-2":   steps(scrollTextarea, submit),
		"sign-agreement":  signAgreement,
		"drag-items-grid": steps(dragInGrid),
		"use-colorwheel":  steps(typeColor, submit),
	}
}

func scrollTextarea(w *World) modeltest.Call {
	pages := 20.0 // more than there are
	if strings.Contains(w.Task, "to the top") {
		pages = -pages
	}
	return modeltest.ScrollIn(w.nth("textbox", 0).Element, pages)
}

func signAgreement(w *World) modeltest.Call {
	if w.quote(0) == "" {
		return steps(clickNamed(word("Cancel")))(w)
	}
	name := w.nth("textbox", 1)
	switch {
	case strings.Contains(name.Text, "(disabled)"):
		return modeltest.ScrollIn(w.nth("textbox", 0).Element, 20)
	case name.Value != w.quote(0):
		return typeIn(name, w.quote(0))
	}
	return clickOnce(w, w.quote(1))
}

// dragInGrid moves an item of a grid of three by three.
func dragInGrid(w *World) modeltest.Call {
	asked := w.asked(`Drag (\w+) (?:to the (.+)|(\w+) by one)\.$`)
	items := w.all("listitem")
	from := -1
	for i, n := range items {
		if n.Name == asked[0] {
			from = i
		}
	}
	to := map[string]int{
		"top left": 0, "top center": 1, "top right": 2, "center left": 3, "center": 4, "center right": 5,
		"bottom left": 6, "bottom center": 7, "bottom right": 8,
	}[asked[1]]
	if asked[2] != "" {
		to = from + map[string]int{"up": -3, "down": 3, "left": -1, "right": 1}[asked[2]]
	}
	if from < 0 || to < 0 || to >= len(items) {
		return fail("the grid has no such place")
	}
	return drag(items[from], items[to])
}

// typeColor writes a color as a field of colors takes it.
func typeColor(w *World) modeltest.Call {
	name := w.asked(`Select (\w+) with`)[0]
	hex := map[string]string{
		"red": "FF0000", "green": "008000", "blue": "0000FF", "yellow": "FFFF00", "orange": "FFA500", "purple": "800080",
		"pink": "FFC0CB", "black": "000000", "white": "FFFFFF", "gray": "808080", "grey": "808080", "brown": "A52A2A",
		"cyan": "00FFFF", "magenta": "FF00FF", "lime": "00FF00", "olive": "808000", "navy": "000080", "teal": "008080",
		"maroon": "800000", "silver": "C0C0C0", "aqua": "00FFFF", "fuchsia": "FF00FF",
	}[name]
	if hex == "" {
		return fail("the color is not known: " + name)
	}
	return typeIn(w.nth("textbox", 0), hex)
}
