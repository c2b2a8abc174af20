package page

import (
	"context"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// LoginHTTP answers a site that asks for a login. See [browser.Page].
func (s *Set) LoginHTTP(_ context.Context, _ browser.HTTPLogin) error {
	return browser.Conflict("page.no_login_asked", "the site has asked for no login", "")
}
