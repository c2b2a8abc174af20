package browser

import (
	"errors"
	"net/http"

	"github.com/bctrl-go/bctrl"
)

// ErrProfileInUse is in the error of Launch when another browser has the
// profile.
var ErrProfileInUse = errors.New("the profile is in use by another browser")

// ErrGone is in the error of what a browser was asked for and cannot answer, since it has ended.
var ErrGone = errors.New("the browser is gone")

// ErrNoProfile is the error of saving the profile of a browser that has none.
var ErrNoProfile = errors.New("the browser has no profile")

// ErrProfileTooLarge is in the error of what should save a profile with more data than is
// kept.
var ErrProfileTooLarge = errors.New("the profile is over 1 GiB or 50,000 files and was not saved")

// ErrProfileDamaged is in the error of Launch when what the profile has kept cannot be
// read: it was changed, or belongs to another.
var ErrProfileDamaged = errors.New("what is kept of the profile is damaged")

// ErrMemory is in the error of a browser that was ended because it used more memory than
// its launch permits.
var ErrMemory = errors.New("the browser used more memory than its launch permits")

// ErrNoSandbox is returned by a launch on a machine that denies Chromium its
// sandbox. Its text says what the operator can do.
var ErrNoSandbox = errors.New("the browser's sandbox needs unprivileged user namespaces: allow them to the container " +
	"(docker run --security-opt seccomp=unconfined) or to the system " +
	"(sysctl kernel.apparmor_restrict_unprivileged_userns=0)")

// ErrNoOwner is in the error of a launch with secrets where the server cannot tell a
// browser's connections from those of other programs. Its text says what the operator can
// do.
var ErrNoOwner = errors.New("what a browser sends with secrets has to be told from what other programs of the " +
	"machine send: run the server on Linux, with a /proc that shows it the browsers' processes")

// Why a browser ended that nobody stopped: see [Browser.Err]. Any other error of it is a
// crash.
var (
	// ErrHung is of a browser that did not answer, did nothing and was ended.
	ErrHung = errors.New("the browser did not answer, and was ended")
	// ErrSystemMemory is of one that the system ended, since its memory was short.
	ErrSystemMemory = errors.New("the system had no memory left, and ended the browser")
	// ErrKilled is of one that somebody else ended.
	ErrKilled = errors.New("the browser was killed from outside")
	// ErrDiskFull is of one that had no disk left to work with, or to start with.
	ErrDiskFull = errors.New("the disk of the browser's temporary folder is full")
)

// ErrNoWebDriver is in the error of whoever needs a chromedriver where the machine has
// none. Its text says what installs one.
var ErrNoWebDriver = errors.New("no chromedriver found; install one, and perl where it is missing: " +
	"apt-get install --no-install-recommends chromium-driver perl-base")

// ErrNoNetwork is returned where a chromedriver could not be given a network of its own.
// Its text says what the operator can do.
var ErrNoNetwork = errors.New("chromedriver needs a network namespace, so that no other user of the machine " +
	"reaches it: allow unprivileged user namespaces to the container (docker run --security-opt " +
	"seccomp=unconfined) or to the system (sysctl kernel.apparmor_restrict_unprivileged_userns=0)")

// The refusals of a page, by the status that the server answers with. Each has a
// code of its own; the hint, which may be empty, says what the caller can do.

// BadRequest refuses what can never be done as it was asked for.
func BadRequest(code, message, hint string) *bctrl.Error {
	return refusal(http.StatusBadRequest, code, message, hint)
}

// Forbidden refuses what may not be done.
func Forbidden(code, message, hint string) *bctrl.Error {
	return refusal(http.StatusForbidden, code, message, hint)
}

// NotFound refuses to use what is not there.
func NotFound(code, message, hint string) *bctrl.Error {
	return refusal(http.StatusNotFound, code, message, hint)
}

// Conflict refuses what the page does not permit as it is now.
func Conflict(code, message, hint string) *bctrl.Error {
	return refusal(http.StatusConflict, code, message, hint)
}

// TooLarge refuses to work on a page of that size.
func TooLarge(code, message, hint string) *bctrl.Error {
	return refusal(http.StatusRequestEntityTooLarge, code, message, hint)
}

// BadGateway tells that a site could not be opened.
func BadGateway(code, message, hint string) *bctrl.Error {
	return refusal(http.StatusBadGateway, code, message, hint)
}

// GatewayTimeout tells that a site did not answer in time.
func GatewayTimeout(code, message, hint string) *bctrl.Error {
	return refusal(http.StatusGatewayTimeout, code, message, hint)
}

func refusal(status int, code, message, hint string) *bctrl.Error {
	return &bctrl.Error{
		Status:  status,
		Code:    code,
		Message: message,
		Hint:    hint,
	}
}

// CodeHostOutside is the code of a host that the mounts do not permit.
const CodeHostOutside = "page.host_outside_mount"
