package miniwob

import (
	"strconv"
	"strings"

	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// pointerPolicies are of tasks with drags, scrolling and selections.
func pointerPolicies() map[string]Policy {
	return map[string]Policy{
		"scroll-text-2":     steps(scrollTextarea, submit),
		"sign-agreement":    signAgreement,
		"use-colorwheel":    steps(typeColor, submit),
		"scroll-text":       scrollText,
		"stock-market":      stockMarket,
		"click-pie":         clickPie,
		"click-pie-nodelay": clickPie,
		"text-editor":       textEditor,
		"daily-calendar":    dailyCalendar(),
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

// scrollText reads the whole page, since the view cuts what is long, and types the last
// word of the text.
func scrollText(w *World) modeltest.Call {
	if w.made("") == 0 {
		return modeltest.ReadPage(1)
	}
	text, _, _ := strings.Cut(w.Page, "[Submit]")
	words := strings.Fields(text)
	return steps(giveUp(""),
		typeNth(1, word(strings.Trim(words[len(words)-1], ".,"))),
		submit)(w)
}

// stockMarket keeps the mouse over the button, so that it is there once the price is low. As
// the price goes on while the button is pressed, it waits for one that is lower than need be,
// and is content with less after a while: luck has a part in it.
func stockMarket(w *World) modeltest.Call {
	limit, _ := strconv.ParseFloat(w.asked(`less than \$([\d.]+\d)`)[0], 64)
	limit -= max(0, 1.6-float64(w.made("hover"))/10)
	for _, text := range w.texts()[1:] {
		if _, price, ok := strings.Cut(text, "$"); ok {
			if n, known := number(price); known && n <= limit {
				return clickOnce(w, "Buy")
			}
		}
	}
	return hover(w.named("Buy"))
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

// textEditor marks a word, or everything, with the keyboard and styles it with the keys
// for that, or with the first of the tools, which is for colors.
func textEditor(w *World) modeltest.Call {
	if w.clicked(w.named("Submit")) {
		return modeltest.Done(true, "submitted")
	}
	asked := w.asked(`(?:give|make) (?:the text )?(\S+) the (style|color) (\w+)`)
	editor := w.nth("textbox", 0)
	if w.made("") == 0 {
		call := click(editor)
		call.Also = markWord(editor.Value, asked[0])
		shortcuts := map[string]string{"bold": "Control+b", "italics": "Control+i", "underlined": "Control+u"}
		if key := shortcuts[asked[2]]; key != "" {
			call.Also = append(call.Also, press(key))
		}
		return call
	}
	if asked[1] == "style" {
		return submitOnce(w)
	}
	if w.made("click") == 1 {
		return click(w.nth("clickable", 0))
	}
	for _, n := range w.all("clickable", "button") {
		if l, ok := lookOf(n); ok && colorFamily(l.color) == asked[2] {
			call := click(n)
			call.Also = []modeltest.Call{click(w.named("Submit"))}
			return call
		}
	}
	return fail("no tool has the color")
}

// colorFamily is what the colors of the editor that the view names otherwise are.
func colorFamily(color string) string {
	if name, known := map[string]string{
		"#e60000": "red", "#ff9900": "orange", "#008a00": "green", "#0066cc": "blue", "#9933ff": "purple",
	}[color]; known {
		return name
	}
	return color
}

// markWord are the keys that mark a word of a text in which the cursor is.
func markWord(text, want string) []modeltest.Call {
	if want == "everything" {
		return []modeltest.Call{press("Control+a")}
	}
	at := 0
	for word := range strings.SplitSeq(text, " ") {
		if word == want {
			break
		}
		at += len([]rune(word)) + 1
	}
	keys := []modeltest.Call{press("Control+Home")}
	if at > 0 {
		keys = append(keys, modeltest.PressTimes("ArrowRight", at))
	}
	return append(keys, modeltest.PressTimes("Shift+ArrowRight", len([]rune(want))))
}

// dailyCalendar looks for free half hours with the mouse, which cannot be over those that
// an event covers, and drags over them.
func dailyCalendar() Policy {
	at, free := -1, 0
	return func(w *World) modeltest.Call {
		asked := w.asked(`Create a ([\d.]+) (hours?|mins) event named "(.+)", between (\d+)(AM|PM) and`)
		halves, _ := number(asked[0])
		if halves *= 2; asked[1] == "mins" {
			halves /= 60
		}
		if name := w.nth("textbox", 0); name.Ref != "" {
			if name.Value != asked[2] {
				return typeIn(name, asked[2])
			}
			return click(w.named("Create"))
		}
		if w.made("type") > 0 {
			return modeltest.Done(true, "created")
		}
		// Where the page draws the new event beside the mouse, it takes the button's release
		// only over the event.
		if event := w.named("New event"); event.Ref != "" {
			return click(event)
		}
		begin, _ := number(asked[3])
		if begin *= 2; asked[4] == "PM" && asked[3] != "12" {
			begin += 24
		}
		var cells []Node
		for _, n := range w.all("clickable") {
			if n.Name == "" {
				cells = append(cells, n)
			}
		}
		switch {
		case at < 0:
			at = int(begin)
		case strings.Contains(w.Result, "failed"):
			at, free = at+1, 0
		default:
			at, free = at+1, free+1
		}
		switch {
		case free == int(halves):
			return drag(cells[at-free], cells[at-1])
		case at >= int(begin)+8 || at >= len(cells):
			return fail("there is no free time")
		}
		return hover(cells[at])
	}
}
