package miniwob

import (
	"slices"
	"strconv"
	"strings"

	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

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
		if i < limit && !w.clicked(post[at]) {
			return click(post[at])
		}
	}
	return submitOnce(w)
}

func drag(from, to Node) modeltest.Call {
	if from.Ref == "" || to.Ref == "" {
		return fail("there is nothing to drag, or nowhere to drag it")
	}
	return modeltest.Call{Tool: "drag", Args: map[string]any{"from_ref": from.Ref, "to_ref": to.Ref}}
}

// dragItem moves an entry of a list to the place of another.
func dragItem(w *World) modeltest.Call {
	asked := w.asked(`Drag ([\w-]+) (up|down|to the (?:(\d+)|top|bottom))`)
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
	case asked[1] == "to the top":
		to = 0
	case asked[1] == "to the bottom":
		to = len(items) - 1
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

// bookFlight fills in the form and takes the best of the flights.
func bookFlight(w *World) modeltest.Call {
	asked := w.asked(`Book the (\w+) one-way flight from: (.+) to: (.+) on (\d+)/(\d+)/(\d+)`)
	if w.named("Search").Ref == "" {
		return bestOffer(w, asked[0])
	}
	for i, place := range asked[1:3] {
		box := w.nth("textbox", i)
		switch {
		case strings.Contains(box.Value, "("): // as the list has it
		case box.Value != place:
			return typeIn(box, place)
		default:
			for _, n := range w.all("clickable") {
				if strings.Contains(n.Name, place) {
					return click(n)
				}
			}
			return modeltest.Wait(1)
		}
	}
	if w.nth("textbox", 2).Value == "" {
		return pickDay(w, w.nth("textbox", 2), asked[3], asked[4], asked[5])
	}
	return click(w.named("Search"))
}
