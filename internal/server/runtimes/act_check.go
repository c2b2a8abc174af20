package runtimes

import (
	"slices"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/origin"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// checkArgs refuses the arguments of a step that cannot be carried out, before any step
// runs. Check asks their Validate first, as the SDK does, then what only the agent knows.
// Field is where they stand in the request.
func checkArgs[Args any](check func(Args) error) func(field string, a Args) error {
	return func(field string, a Args) error { return under(field, check(a)) }
}

// under returns a refusal with its fields below another; nil stays nil.
func under(field string, err error) error {
	if err == nil {
		return nil
	}
	placed := *web.AsError(err)
	placed.Field = fieldBelow(field, placed.Field)
	placed.Problems = slices.Clone(placed.Problems)
	for i := range placed.Problems {
		p := &placed.Problems[i]
		p.Field = fieldBelow(field, p.Field)
	}
	return &placed
}

// fieldBelow is the path of a field of another; an empty one is that itself.
func fieldBelow(outer, field string) string {
	if field == "" {
		return outer
	}
	return outer + "." + field
}

func checkAct(a bctrl.ActArgs) error {
	if err := a.Validate(); err != nil || a.Observed == nil {
		return err
	}
	if err := agent.CheckObserved(*a.Observed); err != nil {
		return under("observed", err)
	}
	return nil
}

// checkBrowserUse refuses also what the SDK cannot: it has no list of public suffixes.
func checkBrowserUse(a bctrl.BrowserUseArgs) error {
	if err := agent.CheckBrowserUse(a); err != nil {
		return err
	}
	for i, pattern := range a.AllowedHosts {
		if _, err := origin.ParseAllowedHost(pattern, web.IsPublicSuffix); err != nil {
			return web.Invalid("agent.invalid_host", web.FieldAt("allowedHosts", i), "not a host pattern: "+err.Error())
		}
	}
	return nil
}
