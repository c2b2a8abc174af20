package miniwob

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// textPolicies are of tasks whose view says all that is needed, as text.
func textPolicies() map[string]Policy {
	return map[string]Policy{
		"ascending-numbers":           ascendingNumbers,
		"button-delay":                steps(clickNamed(word("ONE")), waitASecond, clickNamed(word("TWO"))),
		"buy-ticket":                  buyTicket,
		"choose-list":                 steps(chooseFromList, submit),
		"click-button":                steps(clickNamed(quote(0))),
		"click-button-sequence":       steps(clickNamed(word("ONE")), clickNamed(word("TWO"))),
		"click-checkboxes":            checkListed,
		"click-checkboxes-large":      checkListed,
		"click-checkboxes-transfer":   checkListed,
		"click-dialog":                steps(clickDialogButton),
		"click-dialog-2":              steps(clickDialogButton),
		"click-link":                  steps(clickNamed(quote(0))),
		"click-option":                steps(clickListed, submit),
		"click-tab":                   steps(clickTab),
		"click-tab-2":                 searchTabs,
		"click-tab-2-easy":            searchTabs,
		"click-tab-2-medium":          searchTabs,
		"click-tab-2-hard":            searchTabs,
		"click-collapsible":           steps(clickFirst("tab"), clickSubmitButton),
		"click-collapsible-nodelay":   steps(clickFirst("tab"), clickSubmitButton),
		"click-collapsible-2":         searchTabs,
		"click-collapsible-2-nodelay": searchTabs,
		"click-test":                  steps(clickFirst("button")),
		"click-test-2":                steps(clickNamed(word("ONE"))),
		"click-test-transfer":         steps(clickNamed(word("ONE"))),
		"enter-password":              steps(typeNth(0, quote(0)), typeNth(1, quote(0)), submit),
		"enter-text":                  steps(typeNth(0, quote(0)), submit),
		"enter-text-2":                steps(typeNth(0, quotedInCase), submit),
		"enter-text-dynamic":          steps(typeNth(0, quote(0)), submit),
		"find-word":                   steps(typeNth(0, nthWord), submit),
		"focus-text":                  steps(clickFirst("textbox")),
		"focus-text-2":                steps(focusNth),
		"form-sequence-2":             steps(checkNthRadio, typeNthAsked, submit),
		"generate-number":             generateNumber,
		"guess-number":                guessNumber,
		"login-user":                  steps(typeNth(0, quote(0)), typeNth(1, quote(1)), submit),
		"multi-layouts":               searchMovies,
		"multi-orderings":             searchMovies,
		"odd-or-even":                 oddOrEven,
		"order-food":                  orderFood,
		"phone-book":                  phoneBook,
		"read-table":                  steps(typeNth(0, tableValue(valueAsked)), submit),
		"read-table-2":                readTable,
		"simple-algebra":              steps(typeNth(0, algebra), submit),
		"simple-arithmetic":           steps(typeNth(0, arithmetic), submit),
		"text-transform":              steps(typeNth(0, lastText), submit),
		"unicode-test":                steps(clickNamed(quote(0))),
		"use-autocomplete":            autocomplete,
		"use-autocomplete-nodelay":    autocomplete,
		"use-spinner":                 steps(typeSpinner, submit),
		"search-engine":               searchEngine,
		"navigate-tree":               navigateTree,
	}
}

func word(s string) func(*World) string { return func(*World) string { return s } }

func waitASecond(*World) modeltest.Call { return modeltest.Wait(1) }

func clickFirst(role string) Policy {
	return func(w *World) modeltest.Call { return click(w.nth(role, 0)) }
}

func typeNth(n int, text func(*World) string) Policy {
	return func(w *World) modeltest.Call { return typeIn(w.nth("textbox", n), text(w)) }
}

// ascendingNumbers clicks the one; then the numbers are covered, in their order.
func ascendingNumbers(w *World) modeltest.Call {
	if w.made("click") == 0 {
		return click(w.named("1"))
	}
	if covers := w.all("graphics-symbol"); len(covers) > 0 {
		return click(covers[0])
	}
	return modeltest.Done(true, "all were clicked")
}

// buyTicket reads tickets in lines: the duration comes before the button with the price.
func buyTicket(w *World) modeltest.Call { return bestOffer(w, w.asked(`with the (.+)\.`)[0]) }

// bestOffer clicks the button of the trip that is the cheapest, most expensive, shortest or
// longest of all.
func bestOffer(w *World, wanted string) modeltest.Call {
	best, least, duration := Node{}, math.Inf(1), 0.0
	for _, n := range w.Nodes {
		var h, m int
		if _, err := fmt.Sscanf(n.Text, "%dh %dm", &h, &m); err == nil {
			duration = float64(h*60 + m)
		}
		price, priced := number(n.Name)
		if n.Role != "button" || !priced {
			continue
		}
		value := duration
		if strings.HasPrefix(wanted, "cheapest") || strings.HasPrefix(wanted, "most expensive") {
			value = price
		}
		if strings.HasPrefix(wanted, "most expensive") || strings.HasPrefix(wanted, "longest") {
			value = -value
		}
		if value < least {
			best, least = n, value
		}
	}
	if w.clicked(best) {
		return modeltest.Done(true, "bought")
	}
	return click(best)
}

func chooseFromList(w *World) modeltest.Call {
	return modeltest.Select(w.nth("combobox", 0).Element, w.asked(`Select (.+) from`)[0])
}

// checkListed checks each box that is named in a list with commas.
func checkListed(w *World) modeltest.Call {
	for name := range strings.SplitSeq(w.asked(`Select (.+) and click`)[0], ", ") {
		if n := w.named(name); n.Role == "checkbox" && !w.clicked(n) {
			return click(n)
		}
	}
	return submitOnce(w)
}

func submitOnce(w *World) modeltest.Call {
	if w.clicked(w.named("Submit")) {
		return modeltest.Done(true, "submitted")
	}
	return w.submit()
}

func checkSimilar(w *World) modeltest.Call {
	for name := range strings.SplitSeq(w.asked(`similar to (.+) and click`)[0], ", ") {
		for _, n := range w.fresh(w.all("checkbox")) {
			if similar(name, n.Name) {
				return click(n)
			}
		}
	}
	return submitOnce(w)
}

// clickDialogButton clicks a button, and not the bar that it is in, which says the same.
func clickDialogButton(w *World) modeltest.Call {
	name := w.quote(0)
	if name == "x" {
		name = "Close"
	}
	for _, n := range w.all("button") {
		if n.Name == name {
			return click(n)
		}
	}
	return fail("there is no such button")
}

func clickListed(w *World) modeltest.Call { return click(w.named(w.asked(`Select (.+) and click`)[0])) }

func clickTab(w *World) modeltest.Call { return click(w.named(w.asked(`Click on (.+)\.$`)[0])) }

// searchTabs opens one tab after the other until it sees the link.
func searchTabs(w *World) modeltest.Call {
	for _, n := range w.all("clickable", "link") {
		if n.Name == w.quote(0) {
			if w.clicked(n) {
				return modeltest.Done(true, "found")
			}
			return click(n)
		}
	}
	if left := w.fresh(w.all("tab")); len(left) > 0 {
		return click(left[0])
	}
	return fail("no tab has the link")
}

func clickSubmitButton(w *World) modeltest.Call { return click(w.nth("button", 0)) }

func ordinal(text string) int {
	n, _ := number(text)
	return int(n) - 1
}

func quotedInCase(w *World) string {
	if strings.Contains(w.Task, "upper case") {
		return strings.ToUpper(w.quote(0))
	}
	return strings.ToLower(w.quote(0))
}

func nthWord(w *World) string {
	n := ordinal(w.asked(`the (\d+)`)[0])
	words := strings.Fields(w.texts()[1])
	return strings.Trim(words[n], ".,")
}

func focusNth(w *World) modeltest.Call {
	return click(w.nth("textbox", ordinal(w.asked(`the (\d+)`)[0])))
}

func checkNthRadio(w *World) modeltest.Call {
	return click(w.nth("radio", ordinal(w.asked(`the (\d+)`)[0])))
}

func typeNthAsked(w *World) modeltest.Call {
	return typeIn(w.nth("textbox", ordinal(w.asked(`into the (\d+)`)[0])), w.quote(0))
}

func generateNumber(w *World) modeltest.Call {
	asked := w.asked(`(greater|less) than (\d+)|(odd|even)`)
	got, ok := number(strings.Join(w.texts()[1:], " "))
	limit, _ := number(asked[1])
	switch {
	case w.clicked(w.named("Submit")):
		return modeltest.Done(true, "submitted")
	case ok && (asked[0] == "greater" && got > limit || asked[0] == "less" && got < limit ||
		asked[2] == "odd" && int(got)%2 == 1 || asked[2] == "even" && int(got)%2 == 0):
		return w.submit()
	}
	return click(w.named("Generate"))
}

// guessNumber halves what the answers leave.
func guessNumber(w *World) modeltest.Call {
	low, high := 0, 9
	if limits := w.asked(`between (-?\d+)-(-?\d+)`); limits != nil {
		low, _ = strconv.Atoi(limits[0])
		high, _ = strconv.Atoi(limits[1])
	}
	guesses := []int{}
	for _, c := range w.Calls {
		if c.Tool == "type" {
			n, _ := strconv.Atoi(fmt.Sprint(c.Args["text"]))
			guesses = append(guesses, n)
		}
	}
	// The answers are told apart by what the task repeats of the newest one alone, so
	// the guesses go up one by one.
	box := w.nth("spinbutton", 0)
	if w.made("type") > w.made("click") {
		return w.submit()
	}
	next := low + len(guesses)
	if next > high {
		return fail("no number was right")
	}
	return typeIn(box, strconv.Itoa(next))
}

// searchMovies fills in a form whose labels stand before its fields, or after them.
func searchMovies(w *World) modeltest.Call {
	asked := w.asked(`for (.+) movies directed by (.+) from year (\d+)`)
	boxes := w.all("textbox")
	first := slices.IndexFunc(w.Nodes, func(n Node) bool { return n.Role == "textbox" })
	if len(boxes) < 3 {
		return modeltest.Done(true, "searched")
	}
	labelled := -1
	if w.Nodes[first-1].Text == w.Task && w.Nodes[first].Name == "" {
		labelled = 1
	}
	for _, box := range boxes {
		label := box.Name
		for i, n := range w.Nodes {
			if n.Ref == box.Ref && label == "" {
				label = w.Nodes[i+labelled].Text
			}
		}
		text := asked[0]
		switch label = strings.ToLower(label); {
		case strings.Contains(label, "year"), strings.Contains(label, "date"):
			text = asked[2]
		case strings.Contains(label, "director"):
			text = asked[1]
		}
		if box.Value != text {
			return typeIn(box, text)
		}
	}
	if w.made("click") > 0 {
		return modeltest.Done(true, "searched")
	}
	return w.submit()
}

func oddOrEven(w *World) modeltest.Call {
	odds := w.all("button")
	for i, text := range w.texts()[1:] {
		n, ok := number(text)
		if !ok || 2*i+1 >= len(odds) {
			continue
		}
		button := odds[2*i]
		if int(n)%2 == 0 {
			button = odds[2*i+1]
		}
		if !w.clicked(button) {
			return click(button)
		}
	}
	return submitOnce(w)
}

func orderFood(w *World) modeltest.Call {
	if list := w.asked(`(?:each )?item: (.+)$`); list != nil {
		for name := range strings.SplitSeq(list[0], ", ") {
			if n := w.refAfter(name, "clickable", 1); !w.clicked(n) {
				return click(n)
			}
		}
		return clickOnce(w, "Order!")
	}
	asked := w.asked(`Order (\w+) items? (?:that (?:is|are) )?(.+?)\.?$`)
	if asked == nil {
		return fail("the order is of another form")
	}
	count, err := strconv.Atoi(asked[0])
	if err != nil {
		count = slices.Index([]string{"zero", "one", "two", "three", "four", "five"}, asked[0])
	}
	kinds, pluses := map[string]bool{}, []Node{}
	for _, n := range w.Nodes {
		_, isCount := number(n.Text)
		switch {
		case n.Role == "text" && !isCount:
			kinds = map[string]bool{}
		case n.Role == "image":
			kinds[n.Name] = true
		case n.Role == "clickable" && n.Name == "+" && kinds[dietOf(asked[1])]:
			pluses = append(pluses, n)
		}
	}
	if n := w.made("click"); n < count && len(pluses) > 0 {
		return click(pluses[n%len(pluses)])
	}
	return clickOnce(w, "Order!")
}

func dietOf(text string) string {
	for _, diet := range []string{"vegan", "gluten-free", "dairy", "meat", "peanuts"} {
		if strings.Contains(strings.ToLower(text), strings.TrimSuffix(diet, "s")) {
			return diet
		}
	}
	return ""
}

func clickOnce(w *World, name string) modeltest.Call {
	if n := w.named(name); !w.clicked(n) {
		return click(n)
	}
	return modeltest.Done(true, "done")
}

func phoneBook(w *World) modeltest.Call {
	asked := w.asked(`Find (.+) in the contact book and click on their (.+)\.$`)
	label := map[string]string{
		"phone number": "Phone:", "email": "Email:", "email address": "Email:", "address": "Address:",
	}[asked[1]]
	for _, n := range w.Nodes {
		if n.Role == "heading" && n.Name == asked[0] {
			link := w.refAfter(label, "link", 0)
			if w.clicked(link) {
				return modeltest.Done(true, "found")
			}
			return click(link)
		}
	}
	return click(w.named(">"))
}

func valueAsked(w *World) string { return w.asked(`value of (.+) into`)[0] }

func tableValue(name func(*World) string) func(*World) string {
	return func(w *World) string {
		for _, n := range w.Nodes {
			if row, ok := strings.CutPrefix(n.Text, "row: "); ok {
				if key, value, ok := strings.Cut(row, " | "); ok && key == name(w) {
					return value
				}
			}
		}
		return ""
	}
}

func readTable(w *World) modeltest.Call {
	label := ""
	for _, n := range w.Nodes {
		switch {
		case n.Role == "text":
			label = strings.TrimSuffix(n.Text, ":")
		case n.Role == "textbox":
			if text := tableValue(word(label))(w); n.Value != text {
				return typeIn(n, text)
			}
		}
	}
	return submitOnce(w)
}

var sum = regexp.MustCompile(`(-?\w+) ([-+x/]) (-?\w+) =(?: (-?\d+))?`)

func arithmetic(w *World) string {
	m := sum.FindStringSubmatch(strings.Join(w.texts()[1:], " "))
	a, _ := strconv.Atoi(m[1])
	b, _ := strconv.Atoi(m[3])
	return strconv.Itoa(calculate(a, m[2], b))
}

func calculate(a int, operation string, b int) int {
	switch operation {
	case "+":
		return a + b
	case "-":
		return a - b
	}
	return a * b
}

// algebra tries what x may be.
func algebra(w *World) string {
	m := sum.FindStringSubmatch(strings.Join(w.texts()[1:], " "))
	want, _ := strconv.Atoi(m[4])
	value := func(term string, x int) int {
		if n, err := strconv.Atoi(term); err == nil {
			return n
		}
		return x
	}
	for x := -1000; x <= 1000; x++ {
		if calculate(value(m[1], x), m[2], value(m[3], x)) == want {
			return strconv.Itoa(x)
		}
	}
	return ""
}

func lastText(w *World) string {
	all := w.texts()
	return all[len(all)-1]
}

// autocomplete types the beginning, then takes the suggestion with the end.
func autocomplete(w *World) modeltest.Call {
	begin, end := w.quote(0), w.quote(1)
	switch w.made("") {
	case 0:
		return typeIn(w.nth("textbox", 0), begin)
	case 1:
		return modeltest.Wait(1)
	case 2:
		for _, n := range w.Nodes {
			name := strings.TrimSpace(n.Name)
			if n.Ref != "" && n.Role != "textbox" && strings.HasSuffix(name, end) &&
				strings.HasPrefix(strings.ToLower(name), strings.ToLower(begin)) {
				return click(n)
			}
		}
		return fail("there is no such suggestion")
	}
	return submitOnce(w)
}

func typeSpinner(w *World) modeltest.Call {
	return typeIn(w.nth("spinbutton", 0), w.asked(`Select (-?\d+)`)[0])
}

// searchEngine goes through the pages of three results each.
func searchEngine(w *World) modeltest.Call {
	asked := w.asked(`the (\d+)\w+ search result`)
	n := ordinal(asked[0])
	if w.made("") < 2 {
		return steps(typeNth(0, quote(0)), clickNamed(word("Search")))(w)
	}
	page := strconv.Itoa(n/3 + 1)
	var results []Node
	for _, l := range w.all("link") {
		if _, isPage := number(l.Name); !isPage && l.Name != ">" && l.Name != "<" && len(l.Name) > 1 {
			results = append(results, l)
		}
	}
	if link := w.named(page); page != "1" && !w.clicked(link) {
		return click(link)
	}
	if len(results) <= n%3 {
		return fail("there is no such result")
	}
	if w.clicked(results[n%3]) {
		return modeltest.Done(true, "found")
	}
	return click(results[n%3])
}

// navigateTree opens folders until the name is there.
func navigateTree(w *World) modeltest.Call {
	for _, n := range w.Nodes {
		if (n.Name == w.quote(0) || n.Text == w.quote(0)) && n.Ref != "" {
			if w.clicked(n) {
				return modeltest.Done(true, "found")
			}
			return click(n)
		}
	}
	for i, n := range w.Nodes {
		if n.Text == w.quote(0) && i > 0 && w.Nodes[i-1].Ref != "" {
			if w.clicked(w.Nodes[i-1]) {
				return modeltest.Done(true, "found")
			}
			return click(w.Nodes[i-1])
		}
	}
	for _, n := range w.fresh(w.all("clickable")) {
		if n.Name != "" {
			return click(n)
		}
	}
	return fail("it is in no folder")
}

// clickMenu opens one level after the other with the mouse over it.
func clickMenu(w *World) modeltest.Call {
	path := strings.Split(w.asked(`Select (.+)$`)[0], ">")
	n := w.made("")
	if n >= len(path) {
		return modeltest.Done(true, "selected")
	}
	if n < len(path)-1 {
		return hover(w.named(path[n]))
	}
	return click(w.named(path[n]))
}
