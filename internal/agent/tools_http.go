package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/steptime"
)

// httpTools answer a site that asks for a login before it shows a page.
func httpTools() []tool {
	return []tool{define[httpLogin]("http_login",
		"Log in from the vault where the site asks for a login with HTTP authentication: the view says so. The server "+
			"answers the site; you never see the values.",
		`"key":{"type":"string","description":"A key of the list of logins."}`, "key")}
}

type httpLogin struct {
	Key string `json:"key"`
}

// do uses the entry as a fill does: each field decided about and recorded, and from then
// on nothing that goes to the model or into the result can hold a value.
func (a httpLogin) do(ctx context.Context, r *run) (outcome, error) {
	if r.deps.Logins == nil || a.Key == "" || len(a.Key) > maxVaultKey {
		return refuse("not done: there is no such login"), nil
	}
	target := r.shortSafe(withoutQuery(r.pageURL))
	r.progress("http_login", target)
	done := bctrl.ActAction{Kind: "http_login", Target: target, VaultKey: r.shortSafe(a.Key)}
	var login browser.HTTPLogin
	for _, part := range []struct {
		field string
		into  *browser.Fill
	}{{"username", &login.Username}, {"password", &login.Password}} {
		fill, err := r.deps.Logins.Use(ctx, a.Key, part.field)
		if part.field == "username" && isFieldEmpty(err) {
			continue // some sites ask for a password alone
		}
		if err != nil {
			if !isRefusal(ctx, err) {
				return outcome{}, fmt.Errorf("use a login: %w", err)
			}
			return r.afterAction(ctx, done, err, "")
		}
		r.hide(fill.Value)
		*part.into = fill
	}
	limit, cancel := steptime.With(ctx, navigateTime, context.DeadlineExceeded)
	defer cancel()
	return r.afterAction(ctx, done, r.page.LoginHTTP(limit, login), "logged in")
}

// isFieldEmpty reports whether an entry has no value in a field.
func isFieldEmpty(err error) bool {
	known, ok := errors.AsType[*bctrl.Error](err)
	return ok && known.Code == "vault.no_field"
}
