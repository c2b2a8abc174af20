package devtools

import (
	_ "embed"
	"errors"
	"strings"
	"sync"
)

// plainGlobals are the names of the globals of a world that nothing was put into, each on a
// line.
//
//go:embed plainglobals.txt
var plainGlobals string

// agentsPrefix begins the names of the globals that the server's scripts make for themselves.
const agentsPrefix = "bctrl"

var isPlainGlobal = sync.OnceValue(func() map[string]struct{} {
	names := map[string]struct{}{}
	for name := range strings.Lines(plainGlobals) {
		names[strings.TrimSpace(name)] = struct{}{}
	}
	return names
})

// checkBinding refuses a binding in every context, the server's too and those that come, under
// a name that the server's scripts may use: what they read there would be the client's.
func checkBinding(_ *filter, p params) error {
	for _, one := range []string{"executionContextId", "executionContextName"} {
		if p.has(one) && string(p[one]) != "null" {
			return nil // it is for contexts that the client was told of, or has named
		}
	}
	name := p.text("name")
	if _, taken := isPlainGlobal()[name]; taken || strings.HasPrefix(name, agentsPrefix) {
		return errors.New(agentsName)
	}
	return nil
}

// checkBreakpoint refuses breakpoints in scripts that are named by their hash, which can be told
// in advance of those of the server's, or by the empty address, which all of them have. One would
// stop the agent, and its condition runs where the script does.
func checkBreakpoint(_ *filter, p params) error {
	if p.has("scriptHash") || p.has("url") && p.text("url") == "" {
		return errors.New(agentsWorld)
	}
	return nil
}
