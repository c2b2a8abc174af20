package page_test

import (
	_ "embed"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// TestSelectChoosesSeveral chooses from a select element that takes several options, in
// all that it takes.
func TestSelectChoosesSeveral(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<p id=out>nothing</p>
<select multiple aria-label=Colors
onchange="out.textContent = 'chosen ' + [...this.selectedOptions].map(o => o.value).join() + '.'">
<option value=r>Red<option value=g selected>Green<option value=b>Blue
<optgroup disabled><option value=x>None</optgroup></select>
<select aria-label=One><option>A<option>B</select>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	colors := browsertest.Find(t, obs, "listbox", "Colors").Ref
	require.NoError(t, p.Select(ctx, colors, "Blue", "red"))
	said(ctx, t, p, "chosen r,b.")
	require.NoError(t, p.Select(ctx, colors, "g"))
	said(ctx, t, p, "chosen g.")
	require.ErrorContains(t, p.Select(ctx, colors, "Red", "Pink"), `page.no_option`)
	require.ErrorContains(t, p.Select(ctx, colors, "None"), `page.disabled`)
	said(ctx, t, p, "chosen g.")
	require.NoError(t, p.Select(ctx, colors))
	said(ctx, t, p, "chosen .")
	one := browsertest.Find(t, obs, "combobox", "One").Ref
	require.ErrorContains(t, p.Select(ctx, one, "A", "B"), "page.one_option")
	require.ErrorContains(t, p.Select(ctx, one), "page.one_option")
}

// TestSelectLeavesAListClosedThatStandsForAHiddenOne has a select element that is hidden,
// with a list that a script opens in its stead when it has the focus.
func TestSelectLeavesAListClosedThatStandsForAHiddenOne(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<p id=out>nothing</p>
<div style="position:relative;overflow:hidden;width:0;height:0">
<select id=s aria-label=Size><option>S<option>M</select></div>
<ul id=l hidden style="position:fixed;inset:0;background:#fff"><li>S<li>M</ul><script>
s.onfocus = () => { l.hidden = false }; s.onchange = () => { out.textContent = 'chosen ' + s.value + '.' }</script>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	require.NoError(t, p.Select(ctx, browsertest.Find(t, obs, "combobox", "Size").Ref, "M"))
	said(ctx, t, p, "chosen M.")
	require.NotContains(t, browsertest.Observe(ctx, t, p).Outline, "list")
}

//go:embed testdata/lists.html
var listsPage string

// TestSelectChoosesFromListsOfThePagesOwn chooses from lists that scripts open, search,
// draw in parts, or show anywhere in the document.
func TestSelectChoosesFromListsOfThePagesOwn(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": listsPage})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	list := func(name string) browser.Ref {
		for _, e := range obs.Elements {
			if strings.HasPrefix(e.Name, name) && e.Role != "option" {
				return e.Ref
			}
		}
		require.Fail(t, "no such list", obs.Outline)
		return ""
	}
	for _, c := range []struct {
		list    string
		options []string
		want    string
	}{
		{"City", []string{"berlin"}, "city Berlin."}, {"City", []string{"Paris"}, "city Paris."},
		{"Fruit", []string{"Plum", "Apple"}, "fruit Apple,Plum."}, {"Fruit", []string{"Plum"}, "fruit Plum."},
		{"Fruit", nil, "fruit ."}, {"Search", []string{"Annika"}, "found Annika."},
		{"Menu", []string{"Archive"}, "menu Archive."},
		{"Long", []string{"Row 37"}, "row 37."}, {"Words", []string{"second"}, "word w2."},
	} {
		require.NoError(t, p.Select(ctx, list(c.list), c.options...), c.list)
		said(ctx, t, p, c.want)
	}
	err := p.Select(ctx, list("City"), "Rome")
	require.ErrorContains(t, err, "page.no_option")
	require.ErrorContains(t, err, `"Berlin", "Paris", "Nowhere"`)
	require.ErrorContains(t, p.Select(ctx, list("City"), "Nowhere"), "page.disabled")
	require.ErrorContains(t, p.Select(ctx, list("Words"), "third"), `"First", "Second"`)
}

// TestARefusalNamesNoOptionThatIsAPieceOfAValue has a page that writes a filled value into
// the options of a list, a character each.
func TestARefusalNamesNoOptionThatIsAPieceOfAValue(t *testing.T) {
	const secret = "kestrelHarbour93"
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<form><input type=password name=p aria-label=Password></form>
<select aria-label=Native></select><div id=own role=listbox tabindex=0 aria-label=Own></div><button>Move</button>
<script>document.querySelector('button').onclick = () => { for (const c of document.querySelector('input').value) {
	document.querySelector('select').append(new Option(c));
	const o = own.appendChild(document.createElement('div'));
	o.setAttribute('role', 'option');
	o.textContent = c } }</script>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	direct := browsertest.Login("password", secret, s.URL)
	direct.Direct = true
	require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref, direct))
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Move").Ref, browser.Click{}))
	for role, name := range map[string]string{"combobox": "Native", "listbox": "Own"} {
		err := p.Select(ctx, browsertest.Find(t, obs, role, name).Ref, "none of them")
		require.ErrorContains(t, err, "page.no_option")
		require.False(t, strings.Contains(lettersAndDigits(err.Error()), strings.ToLower(secret[:4])), name)
	}
}
