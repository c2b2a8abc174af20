package catalog

import (
	"slices"

	"github.com/bctrl-go/bctrl"
)

// meets reports whether some context that sees a scope sees the secret too.
func (sec Secret) meets(scope bctrl.Scope) bool {
	if !sec.Meta.AttachedOnly && scopesOverlap(sec.Meta.Scope, scope) {
		return true
	}
	return sec.Meta.AttachedOnly && len(sec.Meta.Attachments) == 0 ||
		slices.ContainsFunc(sec.Meta.Attachments, func(group bctrl.Scope) bool { return scopesOverlap(group, scope) })
}

// scopesOverlap reports whether some context sees both scopes.
func scopesOverlap(a, b bctrl.Scope) bool {
	return (a.WorkspaceID() == "" || b.WorkspaceID() == "" || a.WorkspaceID() == b.WorkspaceID()) &&
		(a.GroupID() == "" || b.GroupID() == "" || a.GroupID() == b.GroupID())
}
