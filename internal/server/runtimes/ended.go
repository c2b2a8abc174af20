package runtimes

import (
	"errors"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// reasonServerEnded is why a runtime failed whose server was killed.
const reasonServerEnded = "the server ended"

// failure is why a runtime failed whose browser had started. Its row keeps the reason.
type failure struct {
	code, reason string
	err          error // of [browser.Browser.Err]; nil where it is of none
}

// failures are all of them; the last is of any other error.
func failures() []failure {
	return []failure{
		{"runtimes.browser_hung", browser.ErrHung.Error(), browser.ErrHung},
		{"runtimes.out_of_memory", browser.ErrMemory.Error(), browser.ErrMemory},
		{"runtimes.system_out_of_memory", browser.ErrSystemMemory.Error(), browser.ErrSystemMemory},
		{"runtimes.browser_killed", browser.ErrKilled.Error(), browser.ErrKilled},
		{"runtimes.disk_full", browser.ErrDiskFull.Error(), browser.ErrDiskFull},
		{"runtimes.server_ended", reasonServerEnded, nil},
		{"runtimes.browser_crashed", "the browser ended unexpectedly", nil},
	}
}

// whyFailed is the reason of a runtime whose browser ended with err.
func whyFailed(err error) string {
	all := failures()
	for _, f := range all {
		if f.err != nil && errors.Is(err, f.err) {
			return f.reason
		}
	}
	return all[len(all)-1].reason
}

// codeOfFailure is the code of a reason, or "" where it has none: a launch that failed has
// answered with its own.
func codeOfFailure(reason string) string {
	for _, f := range failures() {
		if f.reason == reason {
			return f.code
		}
	}
	return ""
}
