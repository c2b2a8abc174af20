package miniwob

import (
	"regexp"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// emailPolicies are of tasks in a small inbox.
func emailPolicies() map[string]Policy {
	all := map[string]Policy{}
	for _, task := range []string{
		"", "-delete", "-forward", "-forward-nl", "-forward-nl-turk", "-important", "-nl-turk", "-noscroll", "-reply",
		"-star-reply",
	} {
		all["email-inbox"+task] = email()
	}
	return all
}

var (
	binned = regexp.MustCompile(`(?i)delet|trash|get rid|remove|throw|recycl|don't want|out of my inbox`)
	// fromWhom are the ways to say whose letter it is, the clearest first.
	fromWhom = []string{
		`\b(?:from|by) NAME\b`, `\bNAME(?:'s)? (?:sent|wrote)\b`, `\bNAME's\b`, `\bNAMEs\b`, `\bNAME e-?mail`,
	}
	toWhom = regexp.MustCompile(`\bto ([A-Z][\w-]+)`)
	people = regexp.MustCompile(`[A-Z][\w-]+`)
)

// email does what is asked for with one letter of an inbox. It remembers who was meant, as
// the inbox is out of view once a letter is open.
func email() Policy {
	var from, to string
	return func(w *World) modeltest.Call {
		if w.made("") == 0 {
			from, to = emailRoles(w)
		}
		text := strings.Join(w.quoted(), "")
		switch {
		case text != "":
			return steps(openEmail(from), clickNamed(word("Reply")), typeNth(0, word(text)), clickSend)(w)
		case to != "":
			return steps(openEmail(from), clickNamed(word("Forward")), typeNth(0, word(to)), clickSend)(w)
		}
		return steps(clickEmailIcon(from))(w)
	}
}

// clickEmailIcon clicks the star or the bin in the line of a sender's letter.
func clickEmailIcon(from string) Policy {
	return func(w *World) modeltest.Call {
		icon := "star"
		if binned.MatchString(w.Task) {
			icon = "delete"
		}
		row := emailOf(w, from)
		for _, n := range w.after(func(n Node) bool { return row.Ref != "" && n.Ref == row.Ref }) {
			if n.icon() == icon {
				return click(n)
			}
		}
		return fail("the letter has no such icon")
	}
}

// emailOf is the line of a sender's letter, the last one where there are several.
func emailOf(w *World, sender string) (row Node) {
	for _, n := range w.all("clickable") {
		if sender != "" && strings.HasPrefix(n.Name, sender+" ") {
			row = n
		}
	}
	return row
}

func openEmail(sender string) Policy {
	return func(w *World) modeltest.Call { return click(emailOf(w, sender)) }
}

// clickSend clicks what sends a letter.
func clickSend(w *World) modeltest.Call { return click(w.withIcon("send")) }

// emailRoles are whose letter is asked for, and who is to get it, if somebody is.
func emailRoles(w *World) (from, to string) {
	var named []string
	for _, name := range people.FindAllString(w.Task, -1) {
		for _, name := range []string{name, strings.TrimSuffix(name, "s")} {
			if !slices.Contains(named, name) && emailOf(w, name).Ref != "" {
				named = append(named, name)
			}
		}
	}
	for _, way := range fromWhom {
		for _, name := range named {
			if from == "" && regexp.MustCompile(strings.ReplaceAll(way, "NAME", name)).MatchString(w.Task) {
				from = name
			}
		}
	}
	for _, m := range toWhom.FindAllStringSubmatch(w.Task, -1) {
		if m[1] != from {
			to = m[1]
		}
	}
	for _, name := range named {
		switch {
		case from == "" && name != to:
			from = name
		case name != from:
			to = name
		}
	}
	return from, to
}
