package access

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

func vault(allow ...string) bctrl.Mounts {
	return bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: allow}}
}

func TestADecisionIsNoUnlessSomethingGivesIt(t *testing.T) {
	rt := &Runtime{ID: "rt-1", Chain: bctrl.Chain{vault("prod/"), vault("prod/crm/")}}
	org, runtime := Caller{Org: "o", KeyID: "k"}, Caller{Org: "o", KeyID: "k", Runtime: rt}
	for _, tc := range []struct {
		why    string
		caller Caller
		action Action
		want   bool
	}{
		{"nobody has no right", Caller{}, Action{VaultWrite, "prod/crm/a"}, false},
		{"nobody may ask for health", Caller{}, Action{Verb: Public}, true},
		{"an organization key administers", org, Action{VaultWrite, "anything"}, true},
		{"inside every level", runtime, Action{bctrl.UseVault, "prod/crm/a"}, true},
		{"outside the lower level", runtime, Action{bctrl.UseVault, "prod/x"}, false},
		{"raw reads are not use", runtime, Action{bctrl.ReadVault, "prod/crm/a"}, false},
		{"a runtime writes no vault", runtime, Action{VaultWrite, "prod/crm/a"}, false},
		{"no ai mount", runtime, Action{bctrl.UseAI, "openai"}, false},
		{"no storage mount", runtime, Action{bctrl.GetStorage, "ns"}, false},
		{"its own runtime", runtime, Action{RuntimeStop, "rt-1"}, true},
		{"another runtime", runtime, Action{RuntimeStop, "rt-2"}, false},
		{"launching is administrative", runtime, Action{RuntimeLaunch, "rt-1"}, false},
		{"a verb that is not known", runtime, Action{"vault.everything", "prod/crm/a"}, false},
	} {
		require.Equal(t, tc.want, Decide(tc.caller, tc.action), tc.why)
	}
}

func TestAnEmptyChainPermitsNothing(t *testing.T) {
	c := Caller{Org: "o", Runtime: &Runtime{ID: "rt"}}
	for _, v := range mounted {
		require.False(t, Decide(c, Action{v, "x"}), string(v))
	}
}

func TestALevelDeclaredBeforeItsWorkspaceWasLoweredIsCutAndAWideningRefused(t *testing.T) {
	lowered := Runtime{
		ID:       "rt",
		Chain:    bctrl.Chain{vault("prod/crm/"), {}},
		Launched: bctrl.Chain{vault("prod/")},
	}
	cut, err := lowered.Narrow(vault("prod/crm/", "prod/hr/"))
	require.NoError(t, err)
	caller := Caller{Org: "o", Runtime: cut}
	require.True(t, Decide(caller, Action{bctrl.UseVault, "prod/crm/a"}))
	require.False(t, Decide(caller, Action{bctrl.UseVault, "prod/hr/a"}), "the workspace no longer permits it")

	_, err = lowered.Narrow(vault("/"))
	require.ErrorIs(t, err, bctrl.ErrWidening)
	raised := Runtime{ID: "rt", Chain: bctrl.Chain{vault("/"), {}}, Launched: bctrl.Chain{vault("prod/")}}
	_, err = raised.Narrow(vault("dev/"))
	require.NoError(t, err, "the workspace permits it now")
}
