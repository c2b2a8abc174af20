package page_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// TestAnElementSaysWhereItIs looks at elements that only their surroundings tell apart.
func TestAnElementSaysWhereItIs(t *testing.T) {
	ctx, p, _ := openPage(t)
	inner := browsertest.NewSite(t, map[string]string{"/in": `<button>Pay</button>`})
	s := browsertest.NewSite(t, map[string]string{"/": `<form aria-label="Sign in"><fieldset><legend>Account</legend>
<input aria-label=User required placeholder=you@example.com><input
type=checkbox aria-label=Keep checked></fieldset></form>
<table aria-label=People><tr><td>Ann<td><button>Edit</button><button disabled>Edit</button>
<tr><td>Bob<td><button aria-expanded=false>Edit</button></table><iframe
src="` + inner.LocalhostURL() + `/in"></iframe>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")

	user := browsertest.Find(t, obs, "textbox", "User")
	require.Equal(t, []string{`group "Account"`, `form "Sign in"`}, user.Surroundings)
	require.True(t, user.State.Required)
	require.Empty(t, user.Frame)
	require.Equal(t, "true", browsertest.Find(t, obs, "checkbox", "Keep").State.Checked)
	require.Equal(t, inner.LocalhostURL(), browsertest.Find(t, obs, "button", "Pay").Frame)

	var edits []browser.Element
	for _, e := range obs.Elements {
		if e.Name == "Edit" {
			edits = append(edits, e)
		}
	}
	require.Len(t, edits, 3)
	require.Equal(t, []string{`row "Ann"`, `table "People"`}, edits[0].Surroundings)
	require.Equal(t, edits[0].Surroundings, edits[1].Surroundings)
	require.Equal(t, []string{`row "Bob"`, `table "People"`}, edits[2].Surroundings)
	require.Equal(t, []int{0, 1, 0}, []int{edits[0].Index, edits[1].Index, edits[2].Index})
	require.True(t, edits[1].State.Disabled)
	require.Equal(t, "false", edits[2].State.Expanded)
}

// TestTheShapeOfAPageOutlivesItsData compares the shapes of pages.
func TestTheShapeOfAPageOutlivesItsData(t *testing.T) {
	ctx, p, _ := openPage(t)
	list := func(n int, more string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `<tr><td>Name %d<td><a href=/%d>open</a><td><button>Delete %d</button></tr>`, i, i, i)
		}
		return `<h1>People of ` + fmt.Sprint(n) + `</h1><input aria-label=Search value="` + fmt.Sprint(n) + `"><table>` +
			b.String() + `</table>` + more
	}
	cards := func(n int) string {
		return strings.Repeat(`<div><h2>Card</h2><p>text</p><a href=#>More</a><button>Buy</button></div>`, n)
	}
	s := browsertest.NewSite(t, map[string]string{
		"/three": list(3, ""), "/twelve": list(12, ""), "/other": list(3, `<button>New</button>`),
		"/two-cards": cards(2), "/nine-cards": cards(9),
	})
	shape := func(path string) string {
		shape := browsertest.Open(ctx, t, p, s.URL+path).Shape
		require.NotEmpty(t, shape)
		return shape
	}
	three := shape("/three")
	require.Equal(t, three, shape("/three"), "loaded again")
	require.Equal(t, three, shape("/twelve"), "more entries")
	require.NotEqual(t, three, shape("/other"), "one more button")
	require.Equal(t, shape("/two-cards"), shape("/nine-cards"), "entries of several parts")
	require.NotEqual(t, three, shape("/two-cards"))
}
