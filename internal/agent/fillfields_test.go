package agent_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
)

// TestFieldsAreFilledForAnAgentFromOutside finds each element by what it is, and fills
// nothing unless it has found them all.
func TestFieldsAreFilledForAnAgentFromOutside(t *testing.T) {
	box := func(name string) *bctrl.ElementDescription {
		return &bctrl.ElementDescription{Role: "textbox", Name: name}
	}
	for _, c := range []struct {
		why, screen string
		args        bctrl.FillArgs
		filled      []string
		code, field string
	}{
		{"both fields", "login", bctrl.FillArgs{Key: vaultKey, Username: box("Username"), Password: box("Password")},
			[]string{"username", "password"}, "", ""},
		{"a code", "code", bctrl.FillArgs{Key: vaultKey, TOTP: box("Code")}, []string{"totp"}, "", ""},
		{"a name alone", "login", bctrl.FillArgs{Key: vaultKey, Password: &bctrl.ElementDescription{Name: "Password"}},
			[]string{"password"}, "", ""},
		{"one field that is not there", "login",
			bctrl.FillArgs{Key: vaultKey, Username: box("Username"), Password: box("Passwort")}, nil, "page.no_element",
			"password"},
		{"a description that fits two", "login", bctrl.FillArgs{Key: vaultKey, Username: box("")}, nil,
			"page.ambiguous_element", "username"},
		{"a login of another place", "login", bctrl.FillArgs{Key: "prod/crm/elsewhere", Password: box("Password")}, nil,
			"fill.wrong_origin", ""},
		{"a login outside the mounts", "login", bctrl.FillArgs{Key: "prod/hr", Password: box("Password")}, nil,
			"vault.outside_mount", ""},
	} {
		s, v := newSite(c.screen), &vault{}
		got, err := agent.FillFields(t.Context(), deps(nil, s, v), c.args)
		if c.code == "" {
			require.NoError(t, err, c.why)
			require.Equal(t, c.filled, got.Filled, c.why)
			require.Equal(t, "https://login.example.com/"+c.screen, got.URL)
			require.Len(t, s.filled, len(c.filled), c.why)
			continue
		}
		var e *bctrl.Error
		require.ErrorAs(t, err, &e, c.why)
		require.Equal(t, c.code, e.Code, c.why)
		require.Equal(t, c.field, e.Field, c.why)
		require.Nil(t, got)
		require.Empty(t, s.filled, c.why)
	}
}
