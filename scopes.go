package bctrl

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/strictjson"
)

// ScopeType is the kind of a [Scope].
type ScopeType string

// The types of scopes, from the widest to the most specific.
const (
	ScopeGlobal    ScopeType = "global"
	ScopeWorkspace ScopeType = "workspace"
	ScopeGroup     ScopeType = "group"
)

// Scope is where a secret, a credential or a binding lives, and so where it can
// be seen: everywhere, in one workspace and its groups, or in one group of one
// workspace. Make one with [Global], [InWorkspace] or [InGroup], compare two
// with ==.
//
// A workspace is given by its id or its name, and the server stores and answers
// its id, so that a later workspace of the same name inherits nothing. A group
// exists by being used. Ids are compared exactly.
//
// The zero Scope says nothing: it is refused where something is created, and
// means [Global] as the context of an invocation.
type Scope struct {
	typ              ScopeType
	workspace, group string
}

// Global is the scope that is visible in every context.
func Global() Scope { return Scope{typ: ScopeGlobal} }

// InWorkspace is the scope that is visible in a workspace, given by id or name,
// and in its groups.
func InWorkspace(workspace string) Scope { return Scope{typ: ScopeWorkspace, workspace: workspace} }

// InGroup is the scope that is visible in one group of a workspace alone.
func InGroup(workspace, group string) Scope {
	return Scope{typ: ScopeGroup, workspace: workspace, group: group}
}

// Type returns the kind of scope; it is empty for the zero Scope.
func (s Scope) Type() ScopeType { return s.typ }

// WorkspaceID returns the workspace as it was given, by id or by name; scopes
// that a server answers hold ids. It is empty for [Global].
func (s Scope) WorkspaceID() string { return s.workspace }

// GroupID returns the group, or "".
func (s Scope) GroupID() string { return s.group }

// IsZero reports whether s says nothing.
func (s Scope) IsZero() bool { return s == Scope{} }

// String returns "global", "workspace(w)" or "group(w, g)".
func (s Scope) String() string {
	switch s.typ {
	case ScopeWorkspace:
		return "workspace(" + s.workspace + ")"
	case ScopeGroup:
		return "group(" + s.workspace + ", " + s.group + ")"
	}
	return string(s.typ)
}

// SecretFilter selects secrets.
type SecretFilter struct {
	// Scope, when not zero, selects those that live in exactly this scope.
	Scope Scope
	// Name selects by name or alias; there is one of a name in each scope.
	Name string
	// AttachedTo, an [InGroup], selects those that are attached to a group.
	AttachedTo Scope
}

// ScopeFilter is [SecretFilter], for programs that were written with this name.
type ScopeFilter = SecretFilter

func (f SecretFilter) query() []string {
	return []string{
		"scope", string(f.Scope.typ), "workspaceId", f.Scope.workspace, "groupId", f.Scope.group, "name", f.Name,
		"attachedWorkspaceId", f.AttachedTo.workspace, "attachedGroupId", f.AttachedTo.group,
	}
}

// Validate returns nil for a scope that something can be created in, as far as
// that can be told without asking whether the workspace exists. Otherwise it
// returns an [*Error] with one of the codes
//
//	scope.required                 it is the zero Scope
//	scope.invalid_type             it is of none of the three types
//	scope.unexpected_id            it has an id that its type does not take
//	scope.group_without_workspace  it names a group and no workspace
//	scope.blank_id                 an id is empty or white space
//	scope.invalid_id               an id is not of the form ^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$
func (s Scope) Validate() error {
	switch s.typ {
	case "":
		return scopeRefusal("required", "type", "a scope is required", "say global, workspace or group")
	case ScopeGlobal:
		return noID(s.workspace+s.group, "workspaceId", "a global scope has no ids")
	case ScopeWorkspace:
		if err := noID(s.group, "groupId", "a workspace scope has no group"); err != nil {
			return err
		}
		return scopeID("workspaceId", s.workspace)
	case ScopeGroup:
		if s.workspace == "" {
			return scopeRefusal("group_without_workspace", "workspaceId", "a group is part of a workspace, which is missing",
				"name the workspace too")
		}
		if err := scopeID("workspaceId", s.workspace); err != nil {
			return err
		}
		return scopeID("groupId", s.group)
	}
	return scopeRefusal("invalid_type", "type", "this is no type of scope", "it is global, workspace or group")
}

func noID(id, field, message string) error {
	if id == "" {
		return nil
	}
	return scopeRefusal("unexpected_id", field, message, "leave it out, or change the type")
}

func scopeID(field, id string) error {
	if strings.TrimSpace(id) == "" {
		return scopeRefusal("blank_id", field, "the id is blank", "")
	}
	if err := names.Name(id); err != nil {
		return scopeRefusal("invalid_id", field, "not an id: "+err.Error(), "")
	}
	return nil
}

func scopeRefusal(name, field, message, hint string) error {
	return refusal(http.StatusBadRequest, "scope."+name, "scope."+field, message).hinted(hint)
}

// scopeJSON is a scope on the wire. Pointers tell an id that is absent from a
// blank one.
type scopeJSON struct {
	Type        ScopeType `json:"type"`
	WorkspaceID *string   `json:"workspaceId,omitempty"`
	GroupID     *string   `json:"groupId,omitempty"`
}

// MarshalJSON writes {"type": "global"}, {"type": "workspace", "workspaceId":
// …} or {"type": "group", "workspaceId": …, "groupId": …}; the zero Scope is
// null.
func (s Scope) MarshalJSON() ([]byte, error) {
	if s.IsZero() {
		return []byte("null"), nil
	}
	out := scopeJSON{Type: s.typ}
	if s.workspace != "" {
		out.WorkspaceID = &s.workspace
	}
	if s.group != "" {
		out.GroupID = &s.group
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes, strictly. Ids are as they were
// sent: [Scope.Validate] checks them.
func (s *Scope) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*s = Scope{}
		return nil
	}
	var in scopeJSON
	if err := strictjson.Unmarshal(data, &in); err != nil {
		return err
	}
	*s = Scope{typ: in.Type, workspace: given(in.WorkspaceID), group: given(in.GroupID)}
	return nil
}

// given is the id of a pointer, with a blank in place of one that was sent
// empty, so that it is not taken for absent.
func given(id *string) string {
	switch {
	case id == nil:
		return ""
	case *id == "":
		return " "
	}
	return *id
}
