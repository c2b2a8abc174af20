package agent_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/browser"
)

// pickySite refuses to fill a username.
type pickySite struct {
	*site
	code string
}

func (s pickySite) Fill(ctx context.Context, ref browser.Ref, f browser.Fill) error {
	if f.Field == "username" {
		return &bctrl.Error{Status: 409, Code: s.code, Message: "not the username"}
	}
	return s.site.Fill(ctx, ref, f)
}

// TestAUsernameThatIsRefusedHoldsNoPasswordBack fills the password where the page takes no
// username, as one that shows it, and says so. Where the login itself is refused nothing
// more of it is used.
func TestAUsernameThatIsRefusedHoldsNoPasswordBack(t *testing.T) {
	for _, c := range []struct {
		code   string
		goesOn bool
		told   string
	}{
		{"page.disabled", true, "filled the password; the username failed: page.disabled: not the username"},
		{"vault.wrong_field", true, "filled the password; the username failed: vault.wrong_field: not the username"},
		{"vault.origin_mismatch", false, "the username failed: vault.origin_mismatch: not the username"},
		{"vault.outside_mount", false, "the username failed: vault.outside_mount: not the username"},
	} {
		chat, p := newModel(t, bctrl.OpenAI, func(n int, _ string) []called {
			if n == 0 {
				return does("fill_login", `{"key":"`+vaultKey+`","username_ref":"e1","password_ref":"e2"}`)
			}
			return does("done", `{"success":false,"message":""}`)
		})
		s, v := newSite("login"), &vault{}
		d := deps(chat, s, v)
		d.Page = func(context.Context) (browser.Page, error) { return pickySite{s, c.code}, nil }
		result, err := agent.Act(t.Context(), d, agent.Options{Instruction: "x"})
		require.NoError(t, err, c.code)
		require.Contains(t, p.sent()[1], c.told, c.code)
		require.Equal(t, c.goesOn, s.filled["e2"] == password, c.code)
		want := []string{vaultKey + " username"}
		if c.goesOn {
			want = append(want, vaultKey+" password")
		}
		require.Equal(t, want, v.used, c.code)
		require.Len(t, result.Actions, len(want), c.code)
		require.Contains(t, result.Actions[0].Error, c.code)
	}
}
