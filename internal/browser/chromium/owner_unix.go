//go:build unix && !linux

package chromium

import (
	"errors"

	"github.com/bctrl-go/bctrl/internal/egress"
)

// newOwner cannot tell here whose a connection is.
func newOwner(int, account) (egress.Owner, error) { return nil, errors.ErrUnsupported }

// checkKernelTells says so.
func checkKernelTells() error { return errors.ErrUnsupported }
