package command

import (
	"context"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/names"
)

// knownNames puts names in the place of ids that a server answers with, for
// people: each id is asked for once. What is gone, or not for the caller to see,
// keeps its id. It is nil where no server is asked, and then every id stays.
type knownNames struct {
	// look finds the name of something of a kind: "workspace", "secret".
	look  func(kind, id string) string
	found map[[2]string]string
	// scopes are those of the secrets that were found: a name is one of its scope.
	scopes map[string]bctrl.Scope
	// keys are the labels of keys by id, and runtimes the aliases of a
	// workspace's; both are asked for as a whole.
	keys     func() map[string]string
	runtimes func(workspace string) map[string]string
	aliases  map[string]map[string]string
}

func newKnownNames(ctx context.Context, client *bctrl.Client) *knownNames {
	var labels map[string]string
	scopes := map[string]bctrl.Scope{}
	return &knownNames{
		found:   map[[2]string]string{},
		scopes:  scopes,
		aliases: map[string]map[string]string{},
		look: func(kind, id string) string {
			if kind == "workspace" {
				if ws, err := client.Workspaces.Get(ctx, id); err == nil {
					return ws.Name
				}
			} else if s, err := client.Secrets.Get(ctx, id); err == nil {
				scopes[id] = s.Scope
				return s.Name
			}
			return ""
		},
		keys: func() map[string]string {
			if labels == nil {
				labels = map[string]string{}
				all, _ := remoteKeys{client}.List(ctx) // a runtime may not: then it is shown ids
				for _, k := range all {
					labels[k.ID] = k.Label
				}
			}
			return labels
		},
		runtimes: func(workspace string) map[string]string {
			byID := map[string]string{}
			ws, err := client.Workspaces.Get(ctx, workspace)
			if err != nil {
				return byID
			}
			for rt, err := range ws.Runtimes.List(ctx) {
				if err != nil {
					break
				}
				byID[rt.ID] = rt.Alias
			}
			return byID
		},
	}
}

// name is that of something by its id, or the id.
func (k *knownNames) name(kind, id string) string {
	if k == nil || names.UUID(id) != nil {
		return id
	}
	name, asked := k.found[[2]string{kind, id}]
	if !asked {
		name = k.look(kind, id)
		k.found[[2]string{kind, id}] = name
	}
	if name == "" {
		return id
	}
	return name
}

func (k *knownNames) workspace(id string) string { return k.name("workspace", id) }

// scope is a scope with the name of its workspace.
func (k *knownNames) scope(s bctrl.Scope) string {
	switch s.Type() {
	case bctrl.ScopeWorkspace:
		return bctrl.InWorkspace(k.workspace(s.WorkspaceID())).String()
	case bctrl.ScopeGroup:
		return bctrl.InGroup(k.workspace(s.WorkspaceID()), s.GroupID()).String()
	}
	return s.String()
}

// secret is the name of the secret that a reference means, and its scope where
// that is not global.
func (k *knownNames) secret(ref string) string {
	id, ok := strings.CutPrefix(ref, "vault:secret:")
	if !ok || k == nil {
		return ref
	}
	name := k.name("secret", id)
	if name == id {
		return ref
	}
	if in := k.scopes[id]; in.Type() != bctrl.ScopeGlobal {
		name += " of " + k.scope(in)
	}
	return name
}

// alias is that of a runtime.
func (k *knownNames) alias(workspace, id string) string {
	if k == nil || workspace == "" || names.UUID(id) != nil {
		return id
	}
	if k.aliases[workspace] == nil {
		k.aliases[workspace] = k.runtimes(workspace)
	}
	if alias := k.aliases[workspace][id]; alias != "" {
		return alias
	}
	return id
}

// caller is who an event says has called, by name.
func (k *knownNames) caller(e bctrl.AuditEvent) string {
	kind, id, _ := strings.Cut(e.Caller, ":")
	switch {
	case k == nil:
	case kind == "key":
		if label := k.keys()[id]; label != "" {
			return "key:" + label
		}
	case kind == "runtime":
		return "runtime:" + k.alias(e.WorkspaceID, id)
	case kind == "token" && e.RuntimeID != "":
		return e.Caller + " of " + k.alias(e.WorkspaceID, e.RuntimeID)
	}
	return e.Caller
}

// object is what an event is about, by name.
func (k *knownNames) object(e bctrl.AuditEvent) string {
	if k == nil || names.UUID(e.Object) != nil {
		return e.Object
	}
	switch area, _, _ := strings.Cut(e.Action, "."); area {
	case "workspace", "secret":
		return k.name(area, e.Object)
	case "runtime":
		return k.alias(e.WorkspaceID, e.Object)
	case "key":
		if label := k.keys()[e.Object]; label != "" {
			return label
		}
	}
	return e.Object
}
