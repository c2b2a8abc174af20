package agent

import (
	"context"
	"fmt"
	"strings"

	"github.com/bctrl-go/bctrl"
)

// maxVaultKey is the longest vault key there is, in bytes.
const maxVaultKey = 512

type fillLogin struct {
	Key         string `json:"key"`
	UsernameRef string `json:"username_ref"`
	PasswordRef string `json:"password_ref"`
}

func (a fillLogin) do(ctx context.Context, r *run) (outcome, error) {
	if a.UsernameRef == "" && a.PasswordRef == "" {
		return refuse("not done: neither username_ref nor password_ref is given"), nil
	}
	var filled, failed []string
	var last outcome
	for _, f := range []struct{ ref, field string }{{a.UsernameRef, "username"}, {a.PasswordRef, "password"}} {
		if f.ref == "" {
			continue
		}
		o, err := r.fill(ctx, "fill", a.Key, f.field, f.ref)
		if err != nil {
			return outcome{}, err
		}
		last = o
		if !o.failed {
			filled = append(filled, f.field)
			continue
		}
		failed = append(failed, "the "+f.field+" "+o.text)
		if !isAboutField(o.code) {
			break // the login itself may not be used, or not here: neither may its password
		}
	}
	if len(filled) == 0 {
		last.text = strings.Join(failed, "; ")
		return last, nil
	}
	text := strings.Join(append([]string{"filled the " + strings.Join(filled, " and the ")}, failed...), "; ")
	return outcome{text: text, failed: last.failed, mayHaveChanged: true}, nil
}

// isAboutField reports whether a refusal is about one field alone, such as a username that
// the page shows and lets nobody change once it was given: the others of the login can be
// filled all the same.
func isAboutField(code string) bool {
	switch code {
	case "vault.wrong_field", "vault.fill_impossible", "vault.field_empty", "vault.no_field":
		return true
	}
	return strings.HasPrefix(code, "page.")
}

type enterTOTP struct {
	Key string `json:"key"`
	Ref string `json:"ref"`
}

func (a enterTOTP) do(ctx context.Context, r *run) (outcome, error) {
	return r.fill(ctx, "totp", a.Key, "totp", a.Ref)
}

// hide keeps a value out of all that is shown, kept and recorded from now on; also in small
// letters, as browsers write a host into whose name a page has put it.
func (r *run) hide(value bctrl.Secret) {
	r.deps.Secrets.Add(value)
	r.deps.Secrets.Add(bctrl.NewSecret(strings.ToLower(value.Expose())))
}

// fill puts one field of a vault entry into an element. The value passes
// through here and nowhere else in this package, and from then on nothing that
// goes to the model or into the result can hold it.
func (r *run) fill(ctx context.Context, kind, key, field, ref string) (outcome, error) {
	e, unknown, ok := r.element(ref)
	switch {
	case !ok:
		return unknown, nil
	case r.deps.Logins == nil || key == "" || len(key) > maxVaultKey:
		return refuse("not done: there is no such login"), nil
	}
	r.progress(kind, describe(e))
	a := bctrl.ActAction{
		Kind:      kind,
		Target:    describe(e),
		Element:   r.elementDescription(e),
		Arguments: r.recordedArguments(encodeObject(map[string]any{"key": key, "field": field})),
		VaultKey:  r.shortSafe(key),
	}
	fill, err := r.deps.Logins.Use(ctx, key, field)
	if err != nil {
		if !isRefusal(ctx, err) {
			return outcome{}, fmt.Errorf("use a login: %w", err)
		}
		return r.afterAction(ctx, a, err, "")
	}
	r.hide(fill.Value)
	return r.afterAction(ctx, a, r.page.Fill(ctx, e.Ref, fill), "filled the "+field)
}
