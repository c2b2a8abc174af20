package modeltest

import (
	"slices"
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
	case t.last().Tool == "wait_download":
		return Done(false, "The export brought no file.")
	case t.last().Args["ref"] == export.Ref:
		return WaitDownload(10)
	}
	return Click(export)
}

// loginCall fills what is empty, or sends the form. What was filled once and
// is asked for again was not accepted.
func loginCall(t Turn, login agent.LoginInfo) Call {
	username, password, code := t.Find("textbox", "user"), t.Find("textbox", "password"), t.Find("textbox", "code")
	if username.Ref == "" {
		username = t.Find("textbox", "email")
	}
	fill := Call{}
	switch {
	case password.Ref != "" && password.Value == "":
		fill = FillLogin(login.Key, username, password)
	case code.Ref != "" && code.Value == "":
		fill = EnterTOTP(login.Key, code)
	}
	if fill.Tool != "" {
		if t.called(fill.Tool) {
			return Done(false, "The site did not accept the login.")
		}
		return fill
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
	if t.last().Tool == "wait" {
		return Done(false, otherwise)
	}
	return Wait(2)
}

// last is the latest call; the zero Call at the start.
func (t Turn) last() Call {
	if len(t.Calls) == 0 {
		return Call{}
	}
	return t.Calls[len(t.Calls)-1]
}

// called reports whether a tool was called before.
func (t Turn) called(tool string) bool {
	return slices.ContainsFunc(t.Calls, func(c Call) bool { return c.Tool == tool })
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
