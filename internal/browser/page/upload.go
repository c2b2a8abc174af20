package page

import (
	"context"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// SetFiles gives files to the page. See [browser.Page].
func (s *Set) SetFiles(_ context.Context, _ browser.Ref, _ []browser.File) error {
	return browser.BadRequest("page.not_an_upload", "the element takes no files", "")
}
