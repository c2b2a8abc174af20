package command

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

// scopeHelp says in the manual of a command how it takes a scope.
const scopeHelp = `

Where it lives says who can use it: everybody (--scope global), a workspace and
its groups (--workspace-id), or one group (--group-id beside it). --scope says
the same in words, and is needed for global alone. A workspace is given by its
id or its name.`

// scopeFlags are the flags that say where something lives.
type scopeFlags struct{ typ, workspace, group string }

// addScopeFlags gives a command the flags of a scope.
func (c *cli) addScopeFlags(cmd *cobra.Command) *scopeFlags {
	s := &scopeFlags{}
	cmd.Flags().StringVar(&s.typ, "scope", "", "global, workspace or group; the ids say it too")
	c.addGroupFlags(cmd, s)
	completeWords(cmd, "scope", string(bctrl.ScopeGlobal), string(bctrl.ScopeWorkspace), string(bctrl.ScopeGroup))
	return s
}

// addGroupFlags gives a command the flags of a workspace and a group.
func (c *cli) addGroupFlags(cmd *cobra.Command, s *scopeFlags) {
	cmd.Flags().StringVar(&s.workspace, "workspace-id", "", "id or name of the `workspace`")
	cmd.Flags().StringVar(&s.group, "group-id", "", "`group` of the workspace")
	completeFlag(cmd, "workspace-id", func(
		cmd *cobra.Command, _ []string, typed string,
	) ([]string, cobra.ShellCompDirective) {
		return c.complete(cmd, workspaceNames, typed)
	})
}

// scope is what the flags say; zero when none of them is given.
func (s *scopeFlags) scope(cmd *cobra.Command) (bctrl.Scope, error) {
	given := cmd.Flags().Changed
	if !given("scope") && !given("workspace-id") && !given("group-id") {
		return bctrl.Scope{}, nil
	}
	typ := bctrl.ScopeType(s.typ)
	if !given("scope") {
		typ = bctrl.ScopeWorkspace
		if given("group-id") {
			typ = bctrl.ScopeGroup
		}
	}
	var scope bctrl.Scope
	switch typ {
	case bctrl.ScopeGlobal:
		if given("workspace-id") || given("group-id") {
			return scope, usageError{errors.New("--scope global has no --workspace-id and no --group-id")}
		}
		return bctrl.Global(), nil
	case bctrl.ScopeWorkspace:
		if given("group-id") {
			return scope, usageError{errors.New("--scope workspace has no --group-id")}
		}
		scope = bctrl.InWorkspace(s.workspace)
	case bctrl.ScopeGroup:
		scope = bctrl.InGroup(s.workspace, s.group)
	default:
		return scope, usageError{errors.New("--scope is global, workspace or group")}
	}
	if err := scope.Validate(); err != nil {
		return scope, usageError{err}
	}
	return scope, nil
}

// required is scope for what has to live somewhere.
func (s *scopeFlags) required(cmd *cobra.Command) (bctrl.Scope, error) {
	scope, err := s.scope(cmd)
	if err == nil && scope.IsZero() {
		err = usageError{errors.New("say where it lives: --scope global, --workspace-id, or --workspace-id and --group-id")}
	}
	return scope, err
}
