package catalog

import (
	"slices"

	"github.com/bctrl-go/bctrl"
)

// meets reports whether there may be a context that sees both a scope and the secret.
// A secret that is to be attached and is not yet may be seen in any.
func (sec Secret) meets(scope bctrl.Scope) bool {
	if !sec.Meta.AttachedOnly && scopesOverlap(sec.Meta.Scope, scope) {
		return true
	}
	return sec.Meta.AttachedOnly && len(sec.Meta.Attachments) == 0 ||
		slices.ContainsFunc(sec.Meta.Attachments, func(group bctrl.Scope) bool { return scopesOverlap(group, scope) })
}

// scopesOverlap reports whether there is a context that sees both scopes: whether one
// is the other or above it.
func scopesOverlap(a, b bctrl.Scope) bool {
	return (a.WorkspaceID() == "" || b.WorkspaceID() == "" || a.WorkspaceID() == b.WorkspaceID()) &&
		(a.GroupID() == "" || b.GroupID() == "" || a.GroupID() == b.GroupID())
}
