//go:build !unix

package browser

import (
	"context"
	"errors"
)

// Chromium is a [Driver] of real browsers, which need a Unix system here.
type Chromium struct{}

// NewChromium fails: browsers are confined by Unix users and process groups.
func NewChromium(Options) (*Chromium, error) { return nil, errors.ErrUnsupported }

// Launch fails. See [NewChromium].
func (*Chromium) Launch(context.Context, Spec) (Browser, error) { return nil, errors.ErrUnsupported }
