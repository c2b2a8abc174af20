package miniwob

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// widgetPolicies are of tasks with widgets that want keys, or more than one look.
func widgetPolicies() map[string]Policy {
	return map[string]Policy{
		"book-flight":           bookFlight,
		"book-flight-nodelay":   bookFlight,
		"choose-date":           chooseDate,
		"choose-date-easy":      chooseDate,
		"choose-date-medium":    chooseDate,
		"choose-date-nodelay":   chooseDate,
		"click-checkboxes-soft": checkSimilar,
		"click-menu":            clickMenu,
		"click-menu-2":          clickMenu2,
		"click-scroll-list":     steps(selectListed, submit),
		"click-widget":          steps(clickWidget),
		"copy-paste":            copyWhole(0),
		"copy-paste-2":          func(w *World) modeltest.Call { return copyWhole(ordinal(w.asked(`the (\d+)`)[0]))(w) },
		"enter-date":            steps(typeDate, submit),
		"enter-time":            steps(typeTime, submit),
		"form-sequence":         formSequence,
		"form-sequence-3":       steps(selectAsked, func(w *World) modeltest.Call { return click(w.named(w.quote(0))) }),
		"login-user-popup":      loginPopup,
		"number-checkboxes":     numberCheckboxes,
		"social-media":          socialMedia,
		"social-media-all":      socialMediaMany,
		"social-media-some":     socialMediaMany,
		"terminal":              terminal,
		"tic-tac-toe":           ticTacToe,
		"use-slider":            useSlider,
		"use-slider-2":          useSliders,
		"drag-items":            dragItem,
		"drag-sort-numbers":     dragSort,
		"find-greatest":         findGreatest,
	}
}

// giveUp is the policy of a task that cannot be done.
func giveUp(why string) Policy { return func(*World) modeltest.Call { return fail(why) } }

func press(key string) modeltest.Call { return modeltest.Press(key) }

// chooseDate opens the picker, goes to the month and clicks the day.
func chooseDate(w *World) modeltest.Call {
	asked := w.asked(`Select (\d+)/(\d+)/(\d+) as the date`)
	if w.nth("textbox", 0).Value != "" {
		return submitOnce(w)
	}
	return pickDay(w, w.nth("textbox", 0), asked[0], asked[1], asked[2])
}

func pickDay(w *World, box Node, month, day, year string) modeltest.Call {
	want, err := time.Parse("01/02/2006", month+"/"+day+"/"+year)
	if err != nil {
		return fail("the date cannot be read")
	}
	for _, n := range w.Nodes {
		shown, err := time.Parse("January 2006", n.Text)
		if err != nil {
			continue
		}
		switch {
		case shown.Year()*12+int(shown.Month()) > want.Year()*12+int(want.Month()):
			return click(w.named("Prev"))
		case shown.Year()*12+int(shown.Month()) < want.Year()*12+int(want.Month()):
			return click(w.named("Next"))
		}
		for _, l := range w.all("link") {
			if l.Name == strconv.Itoa(want.Day()) {
				return click(l)
			}
		}
		return fail("the month has no such day")
	}
	return click(box)
}

// clickMenu2 opens the menu, and what lies in it.
func clickMenu2(w *World) modeltest.Call {
	want := w.quote(1)
	if want == "" {
		return fail("the item is named by its icon")
	}
	if w.made("click") == 0 {
		return click(w.named("Menu"))
	}
	for _, n := range w.all("menuitem") {
		if n.Name == want {
			if w.clicked(n) {
				return modeltest.Done(true, "clicked")
			}
			return click(n)
		}
	}
	parent := map[string]string{"Prev": "Playback", "Stop": "Playback", "Play": "Playback", "Next": "Playback"}[want]
	return hover(w.named(parent))
}

func hover(n Node) modeltest.Call {
	if n.Ref == "" {
		return fail("there is nothing to hover over")
	}
	return modeltest.Call{Tool: "hover", Args: map[string]any{"ref": n.Ref}}
}

func selectListed(w *World) modeltest.Call {
	return modeltest.Call{Tool: "select", Args: map[string]any{
		"ref": w.nth("listbox", 0).Ref, "options": strings.Split(w.asked(`Select (.+) from`)[0], ", "),
	}}
}

func clickWidget(w *World) modeltest.Call {
	kind := w.quote(0)
	for _, n := range w.Nodes {
		role, lines := n.Role, strings.Contains(n.Text, "(multiline)")
		switch {
		case role == "textbox" && lines:
			role = "textarea"
		case role == "textbox":
			role = "text"
		}
		if n.Ref != "" && role == kind {
			return click(n)
		}
	}
	return fail("there is no such widget")
}

// copyWhole copies a text with the keys, so that its spaces come along.
func copyWhole(from int) Policy {
	return func(w *World) modeltest.Call {
		// The two text fields swap places; the one to copy has text.
		var source, target Node
		n := 0
		for _, box := range w.all("textbox") {
			switch {
			case box.Value == "":
				target = box
			case n == from:
				source = box
				n++
			default:
				n++
			}
		}
		return steps(
			func(*World) modeltest.Call { return click(source) },
			func(*World) modeltest.Call { return press("Control+a") },
			func(*World) modeltest.Call { return press("Control+c") },
			func(*World) modeltest.Call { return click(target) },
			func(*World) modeltest.Call { return press("Control+v") },
			submit)(w)
	}
}

func typeDate(w *World) modeltest.Call {
	asked := w.asked(`Enter (\d+)/(\d+)/(\d+)`)
	return typeIn(firstOf(w, "date", "textbox"), asked[2]+"-"+asked[0]+"-"+asked[1])
}

func typeTime(w *World) modeltest.Call {
	at, err := time.Parse("3:04 PM", w.asked(`Enter (\d+:\d+ [AP]M)`)[0])
	if err != nil {
		return fail("the time cannot be read")
	}
	return typeIn(firstOf(w, "date", "time", "textbox"), at.Format("15:04"))
}

func firstOf(w *World, roles ...string) Node {
	for _, role := range roles {
		if n := w.nth(role, 0); n.Ref != "" {
			return n
		}
	}
	return Node{}
}

// slide moves a slider with the keys to a value that stands in the text after it.
func slide(w *World, slider Node, want float64) (modeltest.Call, bool) {
	var shown float64
	for _, n := range w.after(func(n Node) bool { return n.Ref == slider.Ref }) {
		if v, ok := number(n.Text); ok && n.Role == "text" {
			shown = v
			break
		}
	}
	if shown == want {
		return modeltest.Call{}, false
	}
	if !strings.Contains(slider.Text, "(focused)") {
		return click(slider), true
	}
	diff := want - shown
	if diff > 0 {
		return press("ArrowRight"), true
	}
	return press("ArrowLeft"), true
}

func sliders(w *World) []Node { return append(w.all("slider"), w.all("clickable")...) }

func useSlider(w *World) modeltest.Call {
	want, _ := number(w.asked(`Select (-?\d+)`)[0])
	if call, more := slide(w, sliders(w)[0], want); more {
		return call
	}
	return submitOnce(w)
}

func useSliders(w *World) modeltest.Call {
	for i, text := range strings.Split(w.asked(`\[(.+)\]`)[0], ",") {
		want, _ := number(text)
		if call, more := slide(w, sliders(w)[i], want); more {
			return call
		}
	}
	return submitOnce(w)
}

func formSequence(w *World) modeltest.Call {
	want, _ := number(w.asked(`Select (-?\d+)`)[0])
	if call, more := slide(w, sliders(w)[0], want); more {
		return call
	}
	if box := w.nth("checkbox", ordinal(w.asked(`the (\d+)\w+ checkbox`)[0])); !w.clicked(box) {
		return click(box)
	}
	return submitOnce(w)
}

func selectAsked(w *World) modeltest.Call {
	return modeltest.Select(w.nth("combobox", 0).Element, w.asked(`Choose (.+) from`)[0])
}

// loginPopup dismisses what gets in the way.
func loginPopup(w *World) modeltest.Call {
	if cancel := w.named("Cancel"); cancel.Ref != "" {
		return click(cancel)
	}
	user, password := w.nth("textbox", 0), w.nth("textbox", 1)
	switch {
	case user.Value != w.quote(0):
		return typeIn(user, w.quote(0))
	case len([]rune(password.Value)) != len([]rune(w.quote(1))):
		return typeIn(password, w.quote(1))
	}
	return submitOnce(w)
}

// digits are drawn in seven rows of four boxes.
var digits = []string{
	".##.#..##..##..##..##..#.##.", "..#..##...#...#...#...#...#.", ".##.#..##..#..#..#..#...####",
	".##.#..#...#.##....##..#.##.", "#...#.#.#.#.####..#...#...#.", "#####...#...###....##..#.##.",
	".##.#..##...###.#..##..#.##.", "#####..#...#..#...#..#...#..", ".##.#..##..#.##.#..##..#.##.",
	".##.#..##..#.###...##..#.##.",
}

func numberCheckboxes(w *World) modeltest.Call {
	digit, _ := strconv.Atoi(w.quote(0))
	boxes := w.all("checkbox")
	for i, c := range digits[digit] {
		if c == '#' && i < len(boxes) && !w.clicked(boxes[i]) {
			return click(boxes[i])
		}
	}
	return submitOnce(w)
}

// terminal types a command a key at a time.
func terminal(w *World) modeltest.Call {
	want := w.asked(`ends with the extension \.?([\w.]+)|has (no) file`)
	if want == nil {
		want = w.asked(`file (?:ending|that ends) (?:in|with) (?:the extension )?\.?([\w.]+?)()\.?$`)
	}
	var commands []string
	commands = append(commands, "ls")
	if name := fileWith(w, want); name != "" {
		commands = append(commands, "rm "+name)
	}
	n := w.made("press")
	for _, command := range commands {
		for _, r := range command {
			if n == 0 {
				key := string(r)
				if r == ' ' {
					key = "Space"
				}
				return press(key)
			}
			n--
		}
		if n == 0 {
			return press("Enter")
		}
		n--
	}
	return modeltest.Done(true, "deleted")
}

// fileWith finds the name among those that the terminal has listed.
func fileWith(w *World, want []string) string {
	text := ""
	for _, n := range w.Nodes {
		text += " " + n.Name + " " + n.Text
	}
	_, after, ok := strings.Cut(text, "ls ")
	if !ok || want == nil {
		return ""
	}
	for _, name := range strings.Fields(after) {
		name = strings.Trim(name, `"`)
		_, extension, dotted := strings.Cut(name, ".")
		if want[0] != "" && extension == want[0] || want[0] == "" && !dotted && name != "user$" && name != "█" {
			return name
		}
	}
	return ""
}

func findGreatest(w *World) modeltest.Call {
	cards := w.all("clickable")
	if len(cards) == 0 {
		return fail("there are no cards")
	}
	best := slices.MaxFunc(cards, func(a, b Node) int {
		x, _ := number(a.Name)
		y, _ := number(b.Name)
		return int(x - y)
	})
	if !w.clicked(best) {
		return click(best)
	}
	return submitOnce(w)
}

// policies are those of all tasks that have one, by name.
func policies() map[string]Policy {
	all := map[string]Policy{}
	maps.Copy(all, textPolicies())
	maps.Copy(all, widgetPolicies())
	maps.Copy(all, shapePolicies())
	maps.Copy(all, pointerPolicies())
	maps.Copy(all, picturePolicies())
	maps.Copy(all, emailPolicies())
	return all
}
