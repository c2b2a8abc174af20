package modeltest

import (
	"strings"

	"github.com/bctrl-go/bctrl/internal/agent"
)

// LogInAndExport works on a site with a login, a filter and an export button:
// it logs in with the first vault entry that it is offered, in one step or
// with a code in a second one, chooses option in the first combobox whose name
// contains filter, presses "Export" and is done when a file has landed.
//
// It decides from the roles and names on the page alone. A profile that is
// still signed in skips the login; a form that comes back with a message is
// given up rather than tried again.
func LogInAndExport(filter, option string) Script {
	return func(t Turn) Call {
		if len(t.View.Downloads) > 0 {
			return Done(true, "Exported "+option+" as "+t.View.Downloads[0].Filename+".")
		}
		if export := t.Find("button", "export"); export.Ref != "" {
			return exportCall(t, export, filter, option)
		}
		login, ok := usableLogin(t.View.Logins)
		if !ok {
			return Done(false, "There is no login that I may fill.")
		}
		if t.Sees("textbox", "password") || t.Sees("textbox", "code") {
			return loginCall(t, login)
		}
		if start := startPage(login); start != "" && !strings.HasPrefix(t.View.URL, start) {
			return Navigate(start)
		}
		return waitOnce(t, "The page shows neither a login nor an export.")
	}
}

// exportCall chooses the option, then exports, then waits for the file.
func exportCall(t Turn, export Element, filter, option string) Call {
	choice := t.Find("combobox", filter)
	switch {
	case choice.Ref == "":
		return Done(false, "There is nothing to choose "+option+" in.")
	case choice.Value != option:
		return Select(choice, option)
	case t.last().Args["ref"] == export.Ref:
		return Wait()
	}
	if t.last().Tool == Wait().Tool {
		return Done(false, "The export brought no file.")
	}
	return Click(export)
}

// loginCall fills the next empty field of the login, or sends the form.
func loginCall(t Turn, login agent.LoginInfo) Call {
	for _, field := range []struct{ name, field string }{
		{"user", "username"}, {"email", "username"}, {"password", "password"}, {"code", "totp"},
	} {
		if e := t.Find("textbox", field.name); e.Ref != "" && e.Value == "" {
			if t.tries(field.field) > 0 {
				return Done(false, "The site did not accept the login.")
			}
			return Fill(e, login.Key, field.field)
		}
	}
	for _, name := range []string{"log in", "sign in", "verify", "continue"} {
		if e := t.Find("button", name); e.Ref != "" && t.last().Args["ref"] != e.Ref {
			return Click(e)
		}
	}
	return waitOnce(t, "The login does not go on.")
}

// waitOnce waits, and gives up where waiting has not helped.
func waitOnce(t Turn, otherwise string) Call {
	if t.last().Tool == Wait().Tool {
		return Done(false, otherwise)
	}
	return Wait()
}

// last is the latest call; the zero Call at the start.
func (t Turn) last() Call {
	if len(t.Calls) == 0 {
		return Call{}
	}
	return t.Calls[len(t.Calls)-1]
}

// tries counts how often a field was filled.
func (t Turn) tries(field string) int {
	n := 0
	for _, c := range t.Calls {
		if c.Args["field"] == field {
			n++
		}
	}
	return n
}

// usableLogin returns the first login that can be filled somewhere.
func usableLogin(logins []agent.LoginInfo) (agent.LoginInfo, bool) {
	for _, l := range logins {
		if l.HasPassword && startPage(l) != "" {
			return l, true
		}
	}
	return agent.LoginInfo{}, false
}

// startPage is where to begin: the first origin of a login that is a place and
// not a pattern.
func startPage(login agent.LoginInfo) string {
	for _, origin := range login.Origins {
		if !strings.Contains(origin, "*") {
			return origin
		}
	}
	return ""
}
