package bctrl

import (
	"context"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// FillArgs are the arguments of [CallFill]: the fields of a login form, and the vault
// entry whose values the server puts there. At least one field is given. What is empty
// in the description of one is not looked at, but it must fit a single element.
type FillArgs struct {
	// Key is a vault key that the mounts permit to use.
	Key      string              `json:"key"`
	Username *ElementDescription `json:"username,omitempty"`
	Password *ElementDescription `json:"password,omitempty"`
	// TOTP takes the current one-time code.
	TOTP *ElementDescription `json:"totp,omitempty"`
}

// FillResult says what was filled. The values are in no answer.
type FillResult struct {
	// Filled are "username", "password" and "totp", as they were asked for.
	Filled []string `json:"filled"`
	// URL of the page, without query and fragment.
	URL string `json:"url"`
}

// Validate returns what is wrong with the arguments, an [*Error] that names the
// field, or nil.
func (a FillArgs) Validate() error {
	if err := ValidVaultKey(a.Key); err != nil {
		return err
	}
	if a.Username == nil && a.Password == nil && a.TOTP == nil {
		return invalidArg("executions.invalid_fill", "password", "no field to fill is given").
			hinted("say which elements are the username, the password or the code, by role and name")
	}
	for _, f := range []struct {
		name    string
		element *ElementDescription
	}{{"username", a.Username}, {"password", a.Password}, {"totp", a.TOTP}} {
		if f.element != nil && (f.element.Index < 0 || len(f.element.Role) > maxModelName ||
			len(f.element.Name) > wire.MaxInstruction || len(f.element.Surroundings) > maxListed) {
			return invalidArg("executions.invalid_fill", f.name, "no element is described so")
		}
	}
	return nil
}

// Fill has the server fill a login from the vault into the page that is in front, with
// the checks that an agent's fills have: only where the entry may be used, and so that
// the page never holds the value. It lets an agent of your own log in that drives the
// browser by [Runtime.ConnectURL]: name the elements by role and name, as the
// accessibility tree has them. An element that is not there is refused with
// "page.no_element", a description that fits several with "page.ambiguous_element".
//
// Access: runtime.execute
func (p *BrowserPage) Fill(ctx context.Context, args FillArgs, opts ...CallOption) (*FillResult, error) {
	step, err := FillStep(args)
	if err != nil {
		return nil, err
	}
	if !p.rt.limits.mounts().AllowsVaultKey(args.Key) {
		return nil, outside(UseVault, "the mounts do not permit this vault key", "mount it at the workspace and the runtime")
	}
	return step1[FillResult](ctx, p.rt, step, opts)
}
