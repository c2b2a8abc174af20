package catalog

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
)

// TestASecretMeetsWhatSomeContextSeesWithIt compares with an oracle that looks for
// such a context among all that there are.
func TestASecretMeetsWhatSomeContextSeesWithIt(t *testing.T) {
	contexts := []bctrl.Scope{
		bctrl.Global(),
		bctrl.InWorkspace("v"), bctrl.InGroup("v", "g"), bctrl.InGroup("v", "h"),
		bctrl.InWorkspace("w"), bctrl.InGroup("w", "g"), bctrl.InGroup("w", "h"),
	}
	notGroup := func(c bctrl.Scope) bool { return c.Type() != bctrl.ScopeGroup }
	groups := slices.DeleteFunc(slices.Clone(contexts), notGroup)
	sees := func(context, scope bctrl.Scope) bool {
		switch scope.Type() {
		case bctrl.ScopeGroup:
			return context == scope
		case bctrl.ScopeWorkspace:
			return context.WorkspaceID() == scope.WorkspaceID()
		}
		return true
	}
	rapid.Check(t, func(t *rapid.T) {
		var sec Secret
		sec.Meta.Scope = rapid.SampledFrom(contexts).Draw(t, "secret")
		sec.Meta.AttachedOnly = rapid.Bool().Draw(t, "attached only")
		sec.Meta.Attachments = rapid.SliceOfN(rapid.SampledFrom(groups), 0, 2).Draw(t, "attachments")
		scope := rapid.SampledFrom(contexts).Draw(t, "scope")
		want := sec.Meta.AttachedOnly && len(sec.Meta.Attachments) == 0 // it may be attached anywhere
		for _, c := range contexts {
			seen := !sec.Meta.AttachedOnly && sees(c, sec.Meta.Scope) || slices.Contains(sec.Meta.Attachments, c)
			want = want || seen && sees(c, scope)
		}
		if got := sec.meets(scope); got != want {
			t.Fatalf("meets: %v, want %v", got, want)
		}
	})
}
