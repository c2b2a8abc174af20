// Package files keeps files of a namespace: their bytes in a blob store, what is
// known of them in the database, and links that let anybody download one for a
// while.
package files

import (
	"cmp"
	"slices"
	"time"

	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// Service answers the routes of storage, objects and downloads.
type Service struct {
	*web.Kernel
	blobs   blob.Store
	maxFile int64
	linkKey *web.SealedKey
	direct  blob.Linker // nil where signed links are answered with bytes
	// keepRecordings is for how long; 0 is for ever.
	keepRecordings time.Duration
}

// New makes the service. Files are at most maxFile bytes long; 0 is 5 GiB.
func New(k *web.Kernel, blobs blob.Store, maxFile int64) *Service {
	return &Service{
		Kernel:  k,
		blobs:   blobs,
		maxFile: cmp.Or(maxFile, defaultMaxFile),
		linkKey: k.NewSealedKey(linkKeyName),
	}
}

// LinkPast has signed links send whoever uses them on to the store itself.
func (s *Service) LinkPast(store blob.Linker) { s.direct = store }

// Routes are the routes of storage by path, of objects by id, and of signed links.
func (s *Service) Routes() []web.Route {
	return slices.Concat(s.storageRoutes(), s.objectRoutes(), s.downloadRoutes())
}
