package agent

import (
	"context"
	"slices"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
)

// field is a field of a login and the element that takes it.
type field struct {
	name    string
	element browser.Element
}

// FillFields fills the elements that args describe from the vault, without a model, as
// the tools of one would: for an agent from outside, which drives the browser itself and
// never sees a value. Nothing is filled unless every element is found.
func FillFields(ctx context.Context, deps Deps, args bctrl.FillArgs) (*bctrl.FillResult, error) {
	r := newRun(deps, onePage(bctrl.VisionOff))
	out := &bctrl.FillResult{Filled: []string{}}
	err := r.onOnePage(ctx, func(ctx context.Context) error {
		if _, err := r.observe(ctx); err != nil {
			return err
		}
		fields, err := r.fieldsOf(args)
		if err != nil {
			return err
		}
		rec := r.beginRecord(ctx)
		for _, f := range fields {
			if err = r.fillField(ctx, args.Key, f); err != nil {
				break
			}
			out.Filled = append(out.Filled, f.name)
		}
		if errRecord := r.endRecord(ctx, rec, nil, err != nil); err == nil {
			err = errRecord
		}
		return err
	})
	out.URL = r.result.URL
	if err != nil && len(out.Filled) == 0 {
		return nil, err
	}
	return out, err
}

// fieldsOf finds the elements of a fill.
func (r *run) fieldsOf(args bctrl.FillArgs) ([]field, error) {
	var fields []field
	for _, f := range []struct {
		name string
		want *bctrl.ElementDescription
	}{{"username", args.Username}, {"password", args.Password}, {"totp", args.TOTP}} {
		if f.want == nil {
			continue
		}
		e, err := r.described(*f.want)
		if err != nil {
			err.Field = f.name
			return nil, err
		}
		fields = append(fields, field{f.name, e})
	}
	return fields, nil
}

// described returns the one element of the page that fits a description. What the
// description leaves empty is not looked at.
func (r *run) described(want bctrl.ElementDescription) (browser.Element, *bctrl.Error) {
	var found []browser.Element
	for _, e := range r.elements {
		is := r.elementDescription(e)
		if (want.Role == "" || is.Role == want.Role) && (want.Name == "" || is.Name == want.Name) &&
			(want.Frame == "" || is.Frame == want.Frame) &&
			(want.Surroundings == nil || slices.Equal(is.Surroundings, want.Surroundings)) {
			found = append(found, e)
		}
	}
	if want.Surroundings != nil {
		found = slices.DeleteFunc(found, func(e browser.Element) bool { return e.Index != want.Index })
	}
	switch len(found) {
	case 0:
		return browser.Element{}, browser.Conflict("page.no_element", "the page in front has no such element",
			"role and name are as the accessibility tree has them; wait until the page shows it")
	case 1:
		return found[0], nil
	}
	return browser.Element{}, browser.Conflict("page.ambiguous_element", "the description fits several elements",
		"give the surroundings and the index, as observing does")
}

// fillField fills one field, and records that it did.
func (r *run) fillField(ctx context.Context, key string, f field) error {
	kind := "fill"
	if f.name == "totp" {
		kind = "totp"
	}
	r.progress(kind, describe(f.element))
	a := bctrl.ActAction{
		Kind:      kind,
		Target:    describe(f.element),
		Element:   r.elementDescription(f.element),
		Arguments: r.recordedArguments(encodeObject(map[string]any{"key": key, "field": f.name})),
		VaultKey:  r.shortSafe(key),
	}
	fill, err := r.deps.Logins.Use(ctx, key, f.name)
	if err == nil {
		r.hide(fill.Value)
		err = r.page.Fill(ctx, f.element.Ref, fill)
	}
	r.recordAction(a, err, "")
	return err
}
