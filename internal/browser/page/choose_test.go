package page_test

import (
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
	s := browsertest.NewSite(t, map[string]string{"/": `<p id=out>nothing</p><select multiple aria-label=Colors ` +
		`onchange="out.textContent = 'chosen ' + [...this.selectedOptions].map(o => o.value).join() + '.'"><option value=r>Red` +
		`<option value=g selected>Green<option value=b>Blue<optgroup disabled><option value=x>None</optgroup></select>
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

// TestSelectChoosesFromListsOfThePagesOwn chooses from lists that scripts open, search,
// draw in parts, or show anywhere in the document.
func TestSelectChoosesFromListsOfThePagesOwn(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<p id=out>nothing</p>
<ul role=listbox aria-label=Always style="height:40px"><li role=option onclick="say('wrong list')">Berlin</ul>
<div id=city role=combobox tabindex=0 aria-label=City aria-haspopup=listbox>Choose</div>
<div id=fruit role=listbox tabindex=0 aria-label=Fruit aria-multiselectable=true></div>
<input id=search role=combobox aria-label=Search aria-controls=hits><ul id=hits role=listbox hidden></ul>
<button id=menu aria-haspopup=menu aria-label=Menu>Menu</button>
<div id=long role=combobox tabindex=0 aria-label=Long aria-controls=rows>Long</div>
<div id=rows role=listbox hidden style="height:100px;overflow:auto;position:relative"><div style="height:20000px"></div></div>
<input list=words aria-label=Words oninput="say('word ' + this.value)"><datalist id=words><option value=w1 label=First>` +
		`<option value=w2 label=Second></datalist><script>
const say = text => { out.textContent = text + '.' };
city.onclick = () => setTimeout(() => { const list = document.createElement('ul'); list.setAttribute('role', 'listbox');
	for (const name of ['Berlin', 'Paris', 'Nowhere']) { const li = list.appendChild(document.createElement('li'));
		li.textContent = name; li.setAttribute('role', 'option'); li.setAttribute('aria-disabled', name === 'Nowhere');
		li.onmousedown = () => { say('city ' + name); city.textContent = name; list.remove() } }
	document.body.append(list) }, 150);
const chosen = new Set(['Fig']);
const draw = () => { fruit.replaceChildren(...['Apple', 'Fig', 'Plum'].map(name => { const o = document.createElement('div');
	o.textContent = name; o.setAttribute('role', 'option'); o.setAttribute('aria-selected', chosen.has(name));
	o.onclick = () => { chosen.has(name) ? chosen.delete(name) : chosen.add(name); draw(); say('fruit ' + [...chosen].sort()) };
	return o })) };
draw();
search.oninput = () => setTimeout(() => { hits.hidden = false; hits.replaceChildren(...['Anna', 'Annika', 'Bert']
	.filter(n => n.startsWith(search.value)).map(n => { const o = document.createElement('li'); o.textContent = n;
		o.setAttribute('role', 'option'); o.onclick = () => { search.value = n; hits.hidden = true; say('found ' + n) }; return o })) }, 200);
menu.onclick = () => { if (document.getElementById('m')) return document.getElementById('m').remove();
	const m = document.createElement('div'); m.id = 'm'; m.setAttribute('role', 'menu');
	m.innerHTML = '<div role=menuitem>Copy</div><div role=menuitem>Archive</div>';
	m.onclick = e => { say('menu ' + e.target.textContent); m.remove() }; document.body.append(m) };
const rows = document.getElementById('rows'), row = () => { const first = Math.floor(rows.scrollTop / 20);
	rows.querySelectorAll('[role=option]').forEach(o => o.remove());
	for (let i = first; i < first + 8 && i < 1000; i++) { const o = document.createElement('div'); o.textContent = 'Row ' + i;
		o.setAttribute('role', 'option'); o.style.cssText = 'position:absolute;height:20px;left:0;right:0;top:' + i * 20 + 'px';
		o.onclick = () => { rows.hidden = true; say('row ' + i) }; rows.append(o) } };
rows.onscroll = row; long.onclick = () => { rows.hidden = false; row() };</script>`})
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
		{"Fruit", nil, "fruit ."}, {"Search", []string{"Annika"}, "found Annika."}, {"Menu", []string{"Archive"}, "menu Archive."},
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
