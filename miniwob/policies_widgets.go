package miniwob

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// widgetPolicies are of tasks with widgets that want keys, or more than one look.
func widgetPolicies() map[string]Policy {
	return map[string]Policy{
		"book-flight":                 bookFlight,
		"book-flight-nodelay":         bookFlight,
		"choose-date":                 chooseDate,
		"choose-date-easy":            chooseDate,
		"choose-date-medium":          chooseDate,
		"choose-date-nodelay":         chooseDate,
		"click-checkboxes-soft":       checkSimilar,
		"click-menu":                  clickMenu,
		"click-menu-2":                clickMenu2,
		"click-pie":                   clickPie,
		"click-pie-nodelay":           clickPie,
		"click-scroll-list":           steps(selectListed, submit),
		"click-widget":                steps(clickWidget),
		"copy-paste":                  copyWhole(0),
		"copy-paste-2":                func(w *World) modeltest.Call { return copyWhole(ordinal(w.asked(`the (\d+)`)[0]))(w) },
		"enter-date":                  steps(typeDate, submit),
		"enter-time":                  steps(typeTime, submit),
		"form-sequence":               formSequence,
		"form-sequence-3":             steps(selectAsked, func(w *World) modeltest.Call { return click(w.named(w.quote(0))) }),
		"login-user-popup":            loginPopup,
		"number-checkboxes":           numberCheckboxes,
		"social-media":                socialMedia,
		"social-media-all":            socialMediaMany,
		"social-media-some":           socialMediaMany,
		"terminal":                    terminal,
		"tic-tac-toe":                 ticTacToe,
		"use-slider":                  useSlider,
		"use-slider-2":                useSliders,
		"email-inbox-delete":          emailIcon,
		"email-inbox-important":       emailIcon,
		"email-inbox-noscroll":        emailIcon,
		"email-inbox":                 emailIcon,
		"email-inbox-nl-turk":         emailIcon,
		"email-inbox-star-reply":      emailIcon,
		"email-inbox-reply":           emailReply,
		"email-inbox-forward":         emailForward,
		"email-inbox-forward-nl":      emailForward,
		"email-inbox-forward-nl-turk": emailForward,
		"drag-items":                  dragItem,
		"drag-sort-numbers":           dragSort,
		"find-greatest":               findGreatest,
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
			if w.did("click", n) {
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

// clickPie opens the menu, waits until it has grown and clicks the item.
func clickPie(w *World) modeltest.Call {
	switch w.made("") {
	case 0:
		return click(w.named("+"))
	case 1:
		return modeltest.Wait(1)
	case 2:
		return click(w.named(w.quote(0)))
	}
	return modeltest.Done(true, "clicked")
}

func selectListed(w *World) modeltest.Call {
	return modeltest.Call{Tool: "select", Args: map[string]any{
		"ref": w.nth("listbox", 0).Ref, "options": strings.Split(w.asked(`Select (.+) from`)[0], ", "),
	}}
}

func clickWidget(w *World) modeltest.Call {
	kind := w.quote(0)
	for _, n := range w.Nodes {
		role, lines := n.Role, strings.Contains(n.Text, "multiline")
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
	if box := w.nth("checkbox", ordinal(w.asked(`the (\d+)\w+ checkbox`)[0])); !w.did("click", box) {
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
		if c == '#' && i < len(boxes) && !w.did("click", boxes[i]) {
			return click(boxes[i])
		}
	}
	return submitOnce(w)
}

// postIcons are the icons below a post, from the left.
var postIcons = []string{"Reply", "Retweet", "Like", "More"}

// postsOf returns what can be clicked in each post of a user.
func postsOf(w *World, user string) (posts [][]Node) {
	mine := false
	for _, n := range w.Nodes {
		switch {
		case n.Role == "text" && strings.Contains(n.Text, "@") && n.Text != w.Task:
			if mine = slices.Contains(strings.Fields(n.Text), user); mine {
				posts = append(posts, nil)
			}
		case mine && n.Ref != "":
			posts[len(posts)-1] = append(posts[len(posts)-1], n)
		}
	}
	return posts
}

func socialMedia(w *World) modeltest.Call {
	asked := w.asked(`user (@\S+), click on the "(.+)" button`)
	posts := postsOf(w, asked[0])
	if len(posts) == 0 {
		return fail("the user has no post")
	}
	if i := slices.Index(postIcons, asked[1]); i >= 0 {
		return steps(func(*World) modeltest.Call { return click(posts[0][i]) })(w)
	}
	if w.made("click") == 0 {
		return click(posts[0][3])
	}
	for _, n := range posts[0] {
		if strings.HasPrefix(n.Name, asked[1]) || strings.HasPrefix(n.Text, asked[1]) {
			return steps(giveUp(""), func(*World) modeltest.Call { return click(n) })(w)
		}
	}
	return fail("the menu has no such item")
}

func socialMediaMany(w *World) modeltest.Call {
	asked := w.asked(`Click the "(.+)" button on (all|\d+) posts? by (@\S+) and`)
	icons := []string{"Reply", "Retweet", "Like", "Share"}
	at := slices.Index(icons, asked[0])
	limit := 1000
	if asked[1] != "all" {
		limit, _ = strconv.Atoi(asked[1])
	}
	for i, post := range postsOf(w, asked[2]) {
		if i < limit && !w.did("click", post[at]) {
			return click(post[at])
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

var tttLines = [][3]int{{0, 1, 2}, {3, 4, 5}, {6, 7, 8}, {0, 3, 6}, {1, 4, 7}, {2, 5, 8}, {0, 4, 8}, {2, 4, 6}}

// ticTacToe wins where it can, blocks where it must, and takes the centre, else a corner.
func ticTacToe(w *World) modeltest.Call {
	cells := w.Nodes[:0:0]
	for _, n := range w.Nodes {
		if n.Ref != "" && n.Name == "" {
			cells = append(cells, n)
		}
	}
	if len(cells) < 9 {
		return modeltest.Done(true, "over")
	}
	state := func(i int) string {
		switch {
		case w.did("click", cells[i]):
			return "x"
		case cells[i].Role == "image":
			return "o"
		}
		return ""
	}
	for _, who := range []string{"x", "o"} {
		for _, line := range tttLines {
			count, free := 0, -1
			for _, i := range line {
				switch state(i) {
				case who:
					count++
				case "":
					free = i
				}
			}
			if count == 2 && free >= 0 {
				return click(cells[free])
			}
		}
	}
	for _, i := range []int{4, 0, 2, 6, 8, 1, 3, 5, 7} {
		if state(i) == "" {
			return click(cells[i])
		}
	}
	return modeltest.Done(true, "over")
}

// emailIcon clicks the bin, first of the two icons of an e-mail, or the star.
func emailIcon(w *World) modeltest.Call {
	who := ""
	for _, pattern := range []string{`email by (\w+)`, `email (\w+) sent`, `from (\w+)`, `email (\w+)`, `(\w+)'s email`} {
		if m := w.asked(pattern); m != nil && who == "" {
			who = m[0]
		}
	}
	icon := 0
	switch {
	case strings.Contains(w.Task, "star") || strings.Contains(w.Task, "important"):
		icon = 1
	case !strings.Contains(strings.ToLower(w.Task), "delete"):
		return fail("not yet")
	}
	n := Node{}
	for i, row := range w.Nodes {
		if row.Ref != "" && strings.HasPrefix(row.Name, who+" ") && i+icon+1 < len(w.Nodes) {
			n = w.Nodes[i+icon+1]
			break
		}
	}
	if w.did("click", n) {
		return modeltest.Done(true, "done")
	}
	return click(n)
}

// openEmail clicks the line of a sender's e-mail.
func openEmail(w *World, sender string) modeltest.Call {
	for _, n := range w.all("clickable") {
		if strings.HasPrefix(n.Name, sender+" ") {
			return click(n)
		}
	}
	return fail("there is no e-mail of " + sender)
}

func emailReply(w *World) modeltest.Call {
	sender := w.asked(`email by (\w+)`)[0]
	return steps(
		func(w *World) modeltest.Call { return openEmail(w, sender) },
		clickNamed(word("Reply")),
		func(w *World) modeltest.Call { return typeIn(w.nth("textbox", 0), w.quote(0)) },
		clickSend)(w)
}

// clickSend clicks the second of the icons at the top of a letter.
func clickSend(w *World) modeltest.Call { return click(w.nth("image", 1)) }

var capitalised = regexp.MustCompile(`\b[A-Z][a-z]+\b`)

// emailForward forwards the e-mail of the one who is named to the one after "to".
func emailForward(w *World) modeltest.Call {
	to := w.asked(`(?:to|give|send|Send|Give|forward|Forward) ([A-Z]\w+)`)
	if to == nil {
		return fail("nobody is to get it")
	}
	sender := ""
	for _, name := range capitalised.FindAllString(w.Task, -1) {
		writes := slices.ContainsFunc(w.all("clickable"), func(n Node) bool { return strings.HasPrefix(n.Name, name+" ") })
		if sender == "" && writes && name != to[0] {
			sender = name
		}
	}
	return steps(
		func(w *World) modeltest.Call { return openEmail(w, sender) },
		func(w *World) modeltest.Call { return click(w.named("Forward")) },
		func(w *World) modeltest.Call { return typeIn(w.nth("textbox", 0), to[0]) },
		clickSend)(w)
}

func drag(from, to Node) modeltest.Call {
	if from.Ref == "" || to.Ref == "" {
		return fail("there is nothing to drag, or nowhere to drag it")
	}
	return modeltest.Call{Tool: "drag", Args: map[string]any{"from_ref": from.Ref, "to_ref": to.Ref}}
}

// dragItem moves an entry of a list to the place of another.
func dragItem(w *World) modeltest.Call {
	asked := w.asked(`Drag (\w+) (up|down|to the (\d+))`)
	items := w.all("listitem")
	from := slices.IndexFunc(items, func(n Node) bool { return n.Name == asked[0] })
	by := 1
	if n := w.asked(`by (\w+) position`); n != nil && n[0] == "two" {
		by = 2
	}
	to := from + by
	switch {
	case asked[1] == "up":
		to = from - by
	case asked[2] != "":
		to = ordinal(asked[2])
	}
	if from < 0 || to < 0 || to >= len(items) {
		return fail("there is no such place")
	}
	return steps(func(*World) modeltest.Call { return drag(items[from], items[to]) })(w)
}

// dragSort brings the least of those that are not in their place to the front of them.
func dragSort(w *World) modeltest.Call {
	items := w.all("listitem")
	value := func(n Node) float64 { v, _ := number(n.Name); return v }
	for i := range items {
		least := i
		for j := i; j < len(items); j++ {
			if value(items[j]) < value(items[least]) {
				least = j
			}
		}
		if least != i {
			return drag(items[least], items[i])
		}
	}
	return submitOnce(w)
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
	if !w.did("click", best) {
		return click(best)
	}
	return submitOnce(w)
}

// bookFlight fills in the form and reads the flights in lines.
func bookFlight(w *World) modeltest.Call {
	asked := w.asked(`Book the (\w+) one-way flight from: (.+) to: (.+) on (\d+)/(\d+)/(\d+)`)
	if w.named("Search").Ref != "" {
		for i, place := range asked[1:3] {
			box := w.nth("textbox", i)
			if strings.Contains(box.Value, "(") || len(box.Value) == 3 && strings.ToUpper(box.Value) == box.Value {
				continue
			}
			if box.Value != place {
				return typeIn(box, place)
			}
			for _, n := range w.all("clickable", "option", "menuitem") {
				if strings.Contains(n.Name, place) || strings.Contains(n.Name, "("+place+")") {
					return click(n)
				}
			}
			return modeltest.Wait(1)
		}
		if w.nth("textbox", 2).Value == "" {
			return pickDay(w, w.nth("textbox", 2), asked[3], asked[4], asked[5])
		}
		return click(w.named("Search"))
	}
	best, least, duration := Node{}, 1e9, 0.0
	for _, n := range w.Nodes {
		for _, text := range []string{n.Text, n.Name} {
			var h, m int
			if _, err := fmt.Sscanf(text, "%dh %dm", &h, &m); err == nil {
				duration = float64(h*60 + m)
			}
		}
		if n.Role != "button" || !strings.Contains(n.Name, "Book") {
			continue
		}
		value := duration
		if asked[0] == "cheapest" {
			value, _ = number(n.Name)
		}
		if value < least {
			best, least = n, value
		}
	}
	if w.did("click", best) {
		return modeltest.Done(true, "booked")
	}
	return click(best)
}

// policies are those of all tasks that have one, by name.
func policies() map[string]Policy {
	all := map[string]Policy{}
	maps.Copy(all, textPolicies())
	maps.Copy(all, widgetPolicies())
	return all
}
