package runtimes

import (
	"errors"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
)

// Why a runtime failed whose server was killed, or as a node of a cluster lost its lease.
const (
	reasonServerEnded = "the server ended"
	reasonNodeLost    = "its node of the cluster ended, or could not reach the database"
)

// A runtime that its own launch stopped has one of these as the beginning of its reason;
// the time follows.
const (
	reasonIdle    = "nobody has used it for as long as its launch said: "
	reasonMaxLife = "it has lived for as long as its launch said: "
)

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
		{"runtimes.node_lost", reasonNodeLost, nil},
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

// codeOfEnd is the code of why a runtime has ended, or "" where it has none: somebody
// stopped it, or its launch failed, which has answered with its own.
func codeOfEnd(status bctrl.RuntimeStatus, reason string) string {
	if status == bctrl.RuntimeStopped {
		switch {
		case strings.HasPrefix(reason, reasonIdle):
			return "runtimes.idle_timeout"
		case strings.HasPrefix(reason, reasonMaxLife):
			return "runtimes.max_life"
		}
		return ""
	}
	for _, f := range failures() {
		if f.reason == reason {
			return f.code
		}
	}
	return ""
}
