// Package profiles keeps browser profiles: a row each, by the name that an
// organization gives it, and a folder each, in which a browser keeps its data from
// one runtime to the next, and the server its cookies, all of it sealed. It knows no
// browser: a runtime is told the folder, and no two live runtimes have the same.
package profiles

import (
	"sync"

	"github.com/bctrl-go/bctrl/internal/server/web"
)

// Service answers the routes of browser profiles.
type Service struct {
	*web.Kernel
	folder string // holds the profiles' folders
	// files are held, each by the uid of its profile, while the key and the cookies of one
	// that no browser uses are read and written.
	files locks
	// cloning is held, each by its organization, while a profile is copied: that may be of
	// a gigabyte, and who asks for many copies at once gets none of them sooner.
	cloning locks
	// inDoubt are profiles of which nobody knew, when they were made or deleted, whether that was done.
	inDoubt struct {
		mu   sync.Mutex
		uids []string
	}
	// disk is the id of what the folder is on, in a cluster: see [Service.Join].
	disk string
	// deriving has room for the one request that makes a key of a passphrase.
	deriving chan struct{}
}

// New makes the service. Profiles have their folders in the one given, which
// need not exist.
func New(k *web.Kernel, folder string) *Service {
	return &Service{Kernel: k, folder: folder, deriving: make(chan struct{}, 1)}
}
