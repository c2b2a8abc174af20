// Package profiles keeps browser profiles: a row each, by the name that an
// organization gives it, and a folder each, in which a browser keeps cookies and
// storage from one runtime to the next. It knows no browser: a runtime is told
// the folder, and no two live runtimes have the same.
package profiles

import "github.com/bctrl-go/bctrl/internal/server/web"

// Service answers the routes of browser profiles.
type Service struct {
	*web.Kernel
	folder string // holds the profiles' folders
}

// New makes the service. Profiles have their folders in the one given, which
// need not exist.
func New(k *web.Kernel, folder string) *Service { return &Service{Kernel: k, folder: folder} }
