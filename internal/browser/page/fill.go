package page

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/fill"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// jsInspect describes an input and where its form would send it. Names of form
// controls shadow a form's own properties, so all is read through prototypes.
const jsInspect = `function (candidates, transparent) {
	const el = this;
	if (!(el instanceof HTMLInputElement)) return {kind: ''};
	const get = (proto, name, of) => Object.getOwnPropertyDescriptor(proto, name).get.call(of);
	const attribute = (of, name) => Element.prototype.getAttribute.call(of, name);
	const box = el.getBoundingClientRect();
	const targets = [];
	const add = (of, name) => {
		const raw = attribute(of, name);
		if (raw === null || raw.trim() === '') return;
		let url;
		try { url = new URL(raw.trim(), el.baseURI); } catch { targets.push('null'); return; }
		if (url.protocol !== 'javascript:') targets.push(url.origin); // that is a script of the frame's own
	};
	const form = el.form;
	if (form) {
		add(form, 'action');
		const root = el.getRootNode();
		const query = root instanceof ShadowRoot ? ShadowRoot.prototype
			: root instanceof Document ? Document.prototype : Element.prototype;
		const all = (query.querySelectorAll || DocumentFragment.prototype.querySelectorAll)
			.call(root, 'button[formaction],input[formaction]');
		for (const button of all) if (button.form === form) add(button, 'formaction');
	}
	// A form is sent in the first encoding that it names and the browser knows, else in that of its document.
	const encodingOf = label => { try { return new TextDecoder(label).encoding; } catch { return ''; } };
	const labels = form && attribute(form, 'accept-charset') || '';
	const named = labels.split(/[\s,]+/).map(label => label && encodingOf(label)).find(Boolean);
	const pattern = attribute(el, 'pattern');
	const fits = candidate => {
		if (!pattern) return true;
		try { return new RegExp('^(?:' + pattern + ')$', 'v').test(candidate); } catch { return true; }
	};
	return {
		kind: el.type,
		disabled: Element.prototype.matches.call(el, ':disabled'),
		readonly: el.readOnly,
		visible: box.width >= 1 && box.height >= 1
			&& Element.prototype.checkVisibility.call(el, {opacityProperty: !transparent, visibilityProperty: true}),
		longest: el.maxLength,
		shortest: el.minLength,
		charset: named || get(Document.prototype, 'characterSet', document),
		targets,
		fits: candidates.map(fits),
	};
}`

// inputState is what jsInspect returns.
type inputState struct {
	Kind     string   `json:"kind"`
	Disabled bool     `json:"disabled"`
	Readonly bool     `json:"readonly"`
	Visible  bool     `json:"visible"`
	Longest  int      `json:"longest"`
	Shortest int      `json:"shortest"`
	Charset  string   `json:"charset"`
	Targets  []string `json:"targets"`
	Fits     []bool   `json:"fits"`
}

// Fill puts one field of a login into an element. See [browser.Page] and [browser.Fill].
//
// The errors are vault.origin_mismatch (the page, a frame around the element
// or the form's target is not where the login belongs), vault.wrong_field (the
// element does not take such a field) and vault.fill_impossible.
func (s *Set) Fill(ctx context.Context, ref browser.Ref, field browser.Fill) error {
	if err := fill.Check(field); err != nil {
		return err
	}
	return s.onElement(ctx, ref, func(ctx context.Context, t *tab, n *node, tree *frameTree) error {
		if err := t.checkOrigins(ctx, tree, n.frame, field); err != nil {
			return err
		}
		value := field.Value.Expose()
		code := field.Field == fill.TOTP
		var state inputState
		if err := t.inspectUnlocked(ctx, tree, n, &state, code); err != nil {
			return err
		}
		shown := false
		if field.Field == fill.Username && (state.Disabled || state.Readonly) {
			if err := n.callOn(ctx, &shown, jsShows, value); err != nil {
				return err
			}
			state.Disabled, state.Readonly = state.Disabled && !shown, state.Readonly && !shown
		}
		if err := state.check(n, field); err != nil {
			return err
		}
		if _, err := n.waitUntilStill(ctx); err != nil {
			return err
		}
		if shown { // the page keeps it from the step before
			t.setFilled(n)
			return nil
		}
		if field.Field == fill.Username {
			t.setFilled(n)
			return t.typeFilled(ctx, []*node{n}, value, asSameText, t.setAllFilled)
		}
		nodes := []*node{n}
		longest, shortest := max(state.Longest, 0), max(state.Shortest, 0)
		if code && len(value) > 1 {
			row, err := t.digitRow(ctx, n, len(value))
			switch {
			case err == nil:
				nodes, longest, shortest = row, 0, 0
			case state.Longest == 1:
				return err
			case longest > 0 && longest < len(value):
				return browser.Conflict("vault.fill_impossible",
					fmt.Sprintf("the element %s takes %d characters, and the code has %d", ref, longest, len(value)),
					"give the input that takes the whole code, or the first of boxes of one digit each")
			}
		}
		placeholder := ""
		if !field.Direct {
			if !isASCII(value) && !strings.EqualFold(state.Charset, "UTF-8") {
				return browser.Conflict("vault.fill_impossible",
					"the page does not send UTF-8, and the value has characters beyond ASCII", "set fill: direct on the entry")
			}
			candidates := fill.Placeholders(value, code, shortest, longest)
			if len(nodes) == 1 {
				if err := n.inspect(ctx, &state, candidates, code); err != nil {
					return err
				}
			} else {
				state.Fits = slices.Repeat([]bool{true}, len(candidates))
			}
			i := slices.Index(state.Fits, true)
			if i < 0 || i >= len(candidates) {
				return browser.Conflict("vault.fill_impossible", "no placeholder fits the rules of the field",
					"set fill: direct on the entry")
			}
			placeholder = candidates[i]
		}
		return t.fillBehindGuard(ctx, nodes, field, placeholder)
	})
}

// inspect reads what an input is. An input for a code may be transparent: many pages lay
// one over boxes that they draw themselves.
func (n *node) inspect(ctx context.Context, state *inputState, candidates []string, code bool) error {
	return n.callOn(ctx, state, jsInspect, candidates, code)
}

// inspectUnlocked is inspect of an input that is clicked where it cannot be changed before:
// some become writable then, at once or after a while.
func (t *tab) inspectUnlocked(ctx context.Context, tree *frameTree, n *node, state *inputState, code bool) error {
	if err := n.inspect(ctx, state, []string{}, code); err != nil || !state.Readonly || state.Disabled {
		return err
	}
	if _, err := t.unlock(ctx, tree, n); err != nil {
		return err
	}
	return n.inspect(ctx, state, []string{}, code)
}

// namesOf returns the names that a form sends inputs under.
func namesOf(ctx context.Context, nodes []*node) ([]string, error) {
	names := make([]string, len(nodes))
	for i, n := range nodes {
		const jsName = `function () { return Element.prototype.getAttribute.call(this, 'name') || ''; }`
		if err := n.callOn(ctx, &names[i], jsName); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// fillBehindGuard types the placeholder, or when there is none the value, once a guard
// watches requests for it.
func (t *tab) fillBehindGuard(ctx context.Context, nodes []*node, field browser.Fill, placeholder string) error {
	s := t.set
	s.secretFilled.Store(true)
	s.scrub.Add(field.Value)
	text := field.Value.Expose()
	if placeholder != "" {
		s.scrub.Add(bctrl.NewSecret(placeholder))
		text = placeholder
	} else {
		t.setDirect(nodes[0])
	}
	t.setAllFilled(nodes)
	f, direct := nodes[0].frame, placeholder == ""
	filled := fill.Field{
		Name:           field.Field,
		Value:          field.Value,
		Placeholder:    placeholder,
		Row:            len(nodes) > 1 && !direct,
		MayGoTo:        func(at string) bool { return fill.MayGoTo(field, at) },
		StillPermitted: field.StillPermitted,
		Report:         field.Report,
		Element:        nodes[0].key(),
		Process:        f.session.ID,
		Tab:            t.session.ID,
		Look: func(ctx context.Context, key protocol.Element, held string) (fill.FormState, bool) {
			return t.readFormState(ctx, f, key, held, direct)
		},
	}
	if field.Fresh != nil && !direct {
		filled.Fresh = func(ctx context.Context) (bctrl.Secret, error) {
			code, err := field.Fresh(ctx)
			s.scrub.Add(code)
			return code, err
		}
	}
	if filled.Row {
		var err error
		if filled.RowNames, err = namesOf(ctx, nodes); err != nil {
			return err
		}
	}
	guard := fill.NewGuard(filled)
	s.guards.Arm(guard)
	how := asIs
	if field.Field == fill.TOTP && len(nodes) == 1 && !direct {
		how = asGroups
	}
	moved := func(now []*node) {
		t.setAllFilled(now)
		s.guards.Move(guard, now[0].key())
	}
	if err := t.typeFilled(ctx, nodes, text, how, moved); err != nil {
		if placeholder != "" && !errors.Is(err, errScript) {
			s.guards.Drop(guard)
		} else if errors.Is(err, errScript) {
			s.guards.EndWithDocument(guard) // the page is gone: perhaps it has sent it at once
		}
		return err
	}
	if placeholder != "" {
		s.guards.Update(ctx, guard)
	}
	return nil
}

// typeFilled types text into one node, or a character of it into each of several. Where a
// page makes them anew, moved is told of those that came in their place. When it fails it
// leaves nothing of the text in the page.
func (t *tab) typeFilled(ctx context.Context, nodes []*node, text string, how typed, moved func([]*node)) error {
	w := &typing{nodes: nodes, text: text, moved: moved}
	if err := w.findRoot(ctx); err != nil {
		return err
	}
	if err := w.write(ctx, how); err != nil {
		w.clear(ctx)
		return err
	}
	if err := t.pressShift(ctx); err != nil {
		return err
	}
	if err := w.settle(ctx); err != nil {
		w.clear(ctx)
		return err
	}
	return nil
}

// checkOrigins refuses a fill unless the login may be used in the element's frame, in
// every frame around it, and in the tab as the browser process knows it.
func (t *tab) checkOrigins(ctx context.Context, tree *frameTree, f *frame, field browser.Fill) error {
	chain := tree.ancestors(f)
	if chain == nil {
		return browser.Forbidden("vault.origin_mismatch", "the frames around the element cannot be told", "")
	}
	for i, up := range slices.Backward(chain) {
		if err := confirmOrigin(ctx, tree, up); err != nil {
			return err
		}
		if !fill.MayGoTo(field, up.origin) {
			what := "a frame around the element"
			switch {
			case up == tree.top:
				what = "the page"
			case i == 0:
				what = "the element's frame"
			}
			return originMismatch(what+" is", up.origin)
		}
	}
	info, err := t.info(ctx)
	if err != nil {
		return err
	}
	if top := fill.CanonicalOrigin(info.URL); top != tree.top.origin {
		return originMismatch("the page is", top)
	}
	return nil
}

// confirmOrigin sets f.origin to the origin that the browser holds the frame to. That
// of the frame tree is made of the address: it does not tell that a sandbox has taken
// the origin away, nor that about:srcdoc and about:blank have that of the frame around
// them.
func confirmOrigin(ctx context.Context, tree *frameTree, f *frame) error {
	w, err := isolatedWorld(ctx, f)
	if err != nil {
		return err
	}
	var own string
	if err := evaluate(ctx, f, w, &own, `function () { return self.origin; }`); err != nil {
		return err
	}
	named := f.origin
	if around := tree.byID[f.parent]; named == "" && around != nil && strings.HasPrefix(f.url, "about:") {
		named = around.origin
	}
	f.origin = ""
	if own = fill.CanonicalOrigin(own); own == named {
		f.origin = own
	}
	return nil
}

func originMismatch(what, found string) error {
	if found == "" {
		found = "a place without an origin"
	}
	return browser.Forbidden("vault.origin_mismatch",
		what+" at "+clip(found, maxName)+", where the login may not be filled",
		"add the origin to the vault entry if it belongs there")
}

// check refuses an input that a field of a login may not be filled into.
func (i inputState) check(n *node, field browser.Fill) error {
	name := "the element " + string(n.ref)
	if types := fill.InputTypes(field.Field); !slices.Contains(types, i.Kind) {
		return browser.Conflict("vault.wrong_field", fmt.Sprintf("%s is no input for a %s", name, field.Field),
			"a "+field.Field+" goes into an input of type "+strings.Join(types, ", "))
	}
	switch {
	case i.Disabled || i.Readonly:
		return browser.Conflict("page.disabled", name+" cannot be changed", "")
	case !i.Visible:
		return browser.Conflict("vault.wrong_field", name+" is not visible", "")
	}
	for _, target := range i.Targets {
		if at := fill.CanonicalOrigin(target); !fill.MayGoTo(field, at) {
			return originMismatch("the form sends to a place", at)
		}
	}
	return nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}
