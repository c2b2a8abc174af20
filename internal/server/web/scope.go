package web

import (
	"context"
	"errors"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
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

// QueryScope reads a scope from three parameters; without any of them it is
// zero. The type may be left out where ids say it.
func (rq *Request) QueryScope(typ, workspace, group string) (bctrl.Scope, error) {
	if !rq.Query.Has(typ) && !rq.Query.Has(workspace) && !rq.Query.Has(group) {
		return bctrl.Scope{}, nil
	}
	var scope bctrl.Scope
	switch kind := bctrl.ScopeType(rq.Query.Get(typ)); {
	case kind == bctrl.ScopeGroup, kind == "" && rq.Query.Has(group):
		scope = bctrl.InGroup(rq.Query.Get(workspace), rq.Query.Get(group))
	case kind == bctrl.ScopeWorkspace && !rq.Query.Has(group), kind == "" && rq.Query.Has(workspace):
		scope = bctrl.InWorkspace(rq.Query.Get(workspace))
	case kind == bctrl.ScopeGlobal && !rq.Query.Has(workspace) && !rq.Query.Has(group):
		return bctrl.Global(), nil
	case kind == bctrl.ScopeGlobal, kind == bctrl.ScopeWorkspace:
		return scope, Invalid("scope.unexpected_id", typ, "an id is given that the type of scope does not take")
	default:
		return scope, Invalid("scope.invalid_type", typ, "this is no type of scope: it is global, workspace or group")
	}
	return scope, scope.Validate()
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

// ErrContextMismatch refuses a request that names another runtime, workspace or
// organization than the caller's own.
var ErrContextMismatch = WithHint(
	Forbidden("auth.context_mismatch", "the caller is bound to one runtime, and the request names another"),
	"leave it out: runtime, workspace and group come from the caller",
)
