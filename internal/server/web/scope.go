package web

import (
	"context"
	"errors"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/store"
)

// StoredScope checks a scope and returns it as it is stored: with the id of its
// workspace, which may be given by name. An id goes before another's name. An
// unknown workspace is refused: a typing error must not hide a secret.
func StoredScope(ctx context.Context, q store.Queries, org string, scope bctrl.Scope) (bctrl.Scope, error) {
	if err := scope.Validate(); err != nil {
		return bctrl.Scope{}, err
	}
	given := scope.WorkspaceID()
	if given == "" {
		return scope, nil
	}
	ws, err := q.Workspace(ctx, org, given)
	if errors.Is(err, store.ErrNotFound) {
		ws, err = q.WorkspaceByName(ctx, org, given)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		e := NotFound("scope.workspace_not_found", "there is no workspace with this id or name")
		return bctrl.Scope{}, WithHint(WithField(e, "scope.workspaceId"),
			"bctrl workspace list shows those that there are, bctrl workspace create makes one")
	case err != nil:
		return bctrl.Scope{}, err
	case scope.Type() == bctrl.ScopeGroup:
		return bctrl.InGroup(ws.ID, scope.GroupID()), nil
	}
	return bctrl.InWorkspace(ws.ID), nil
}

// ScopeAt has a refusal of a scope name where the request has what is wrong with it: type, workspace and
// group are the names there, in place of those in a field named scope. Any other error comes back as it is.
func ScopeAt(err error, typ, workspace, group string) error {
	e, ok := errors.AsType[*bctrl.Error](err)
	if !ok {
		return err
	}
	switch e.Field {
	case "scope.type":
		e.Field = typ
	case "scope.workspaceId":
		e.Field = workspace
	case "scope.groupId":
		e.Field = group
	}
	return e
}

// SetEventScope names the scope in an event.
func SetEventScope(ev *audit.Event, scope bctrl.Scope) {
	ev.Workspace, ev.Group = scope.WorkspaceID(), scope.GroupID()
}

// RuntimeScope is the context of a runtime's calls.
func RuntimeScope(rt *access.Runtime) bctrl.Scope {
	if rt.Group == "" {
		return bctrl.InWorkspace(rt.WorkspaceID)
	}
	return bctrl.InGroup(rt.WorkspaceID, rt.Group)
}

// NamesOwnContext reports whether a runtime names its own context, where it may give the
// workspace by name, as everybody may. It looks at no other workspace.
func NamesOwnContext(
	ctx context.Context, q store.Queries, org string, rt *access.Runtime, asked bctrl.Scope,
) (bool, error) {
	own := RuntimeScope(rt)
	switch {
	case asked == own:
		return true, nil
	case asked.Type() != own.Type() || asked.GroupID() != own.GroupID() || names.UUID(asked.WorkspaceID()) == nil:
		return false, nil
	}
	ws, err := q.Workspace(ctx, org, rt.WorkspaceID)
	return err == nil && ws.Name == asked.WorkspaceID(), err
}

// ErrContextMismatch refuses a request that names another runtime, workspace or
// organization than the caller's own.
var ErrContextMismatch = WithHint(
	Forbidden("auth.context_mismatch", "the caller is bound to one runtime, and the request names another"),
	"leave it out: runtime, workspace and group come from the caller",
)
