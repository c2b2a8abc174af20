package browser

import (
	"errors"

	"github.com/bctrl-go/bctrl"
)

// ErrProfileInUse is in the error of Launch when another browser has the
// profile.
var ErrProfileInUse = errors.New("the profile is in use by another browser")

// ErrNoSandbox is returned by a launch on a machine that denies Chromium its
// sandbox. Its text says what the operator can do.
var ErrNoSandbox = errors.New("the browser's sandbox needs unprivileged user namespaces: allow them to the container " +
	"(docker run --security-opt seccomp=unconfined) or to the system " +
	"(sysctl kernel.apparmor_restrict_unprivileged_userns=0)")

// Refuse is an error that the caller of a page can act on.
func Refuse(status int, code, message, hint string) *bctrl.Error {
	return &bctrl.Error{
		Status:  status,
		Code:    code,
		Message: message,
		Hint:    hint,
	}
}
