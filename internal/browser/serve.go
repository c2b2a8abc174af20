package browser

import (
	"context"
	"errors"
)

// ServeCDP is not open yet: an unfiltered client could leave the sandbox of
// its runtime. See [Browser].
func (b *chromium) ServeCDP(context.Context, CDPConn) error { return errors.ErrUnsupported }
