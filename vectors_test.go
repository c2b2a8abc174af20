package bctrl_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/origin"
	"github.com/bctrl-go/bctrl/internal/vectors"
)

func TestVaultKeysAgreeWithTheVectors(t *testing.T) {
	cases, err := vectors.Keys()
	require.NoError(t, err)
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) { requireValid(t, c.Valid, bctrl.ValidVaultKey(c.Key), c.Why) })
	}
}

func TestPrefixesAgreeWithTheVectors(t *testing.T) {
	cases, err := vectors.Prefixes()
	require.NoError(t, err)
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) { requireValid(t, c.Valid, bctrl.ValidVaultPrefix(c.Prefix), c.Why) })
	}
}

func TestStoragePathsAgreeWithTheVectors(t *testing.T) {
	cases, err := vectors.StorageKeys()
	require.NoError(t, err)
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) { requireValid(t, c.Valid, bctrl.ValidStoragePath(c.Key), c.Why) })
	}
}

func TestOriginsAgreeWithTheVectors(t *testing.T) {
	const login = "https://login.salesforce.com"
	cases, err := vectors.Origins()
	require.NoError(t, err)
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			canonical, err := bctrl.ParseOrigin(c.Input)
			requireValid(t, c.Valid, err, c.Input)
			require.Equal(t, c.Canonical, canonical)
			require.Equal(t, c.Autofill, origin.Match(login, canonical))
		})
	}
}

func TestDecisionsAgreeWithTheVectors(t *testing.T) {
	cases, err := vectors.Decides()
	require.NoError(t, err)
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			m := bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: c.Allow, Deny: c.Deny}}
			require.NoError(t, m.Validate())
			require.Equal(t, c.Allowed, m.AllowsVaultKey(c.Key), c.Why)
			require.Equal(t, c.Allowed, m.Explain(bctrl.Action{Verb: bctrl.UseVault, Object: c.Key}).Allowed, c.Why)
		})
	}
}

func TestNarrowingAgreesWithTheVectors(t *testing.T) {
	cases, err := vectors.Narrows()
	require.NoError(t, err)
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			parent, child := vaultOf(c.Parent), vaultOf(c.Child)
			narrowed, err := parent.Narrow(child)
			if c.Accepted {
				require.NoError(t, err, c.Why)
				require.True(t, parent.Covers(narrowed), c.Why)
				return
			}
			require.ErrorIs(t, err, bctrl.ErrWidening, c.Why)
			var refusal *bctrl.Error
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, c.Witness, refusal.Witness, c.Why)
		})
	}
}

func TestDecisionsAboutHostsAgreeWithTheVectors(t *testing.T) {
	cases, err := vectors.HostDecides()
	require.NoError(t, err)
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			m := bctrl.Mounts{Web: &bctrl.WebMount{Allow: c.Allow, Deny: c.Deny}}
			require.Equal(t, c.Allowed, m.AllowsHost(c.Host), c.Why)
			require.Equal(t, c.Allowed, m.Explain(bctrl.Action{Verb: bctrl.VisitHost, Object: c.Host}).Allowed, c.Why)
			chain := bctrl.Chain{{}, m, {Web: &bctrl.WebMount{}}}
			require.Equal(t, c.Allowed, chain.Allows(bctrl.Action{Verb: bctrl.VisitHost, Object: c.Host}), c.Why)
		})
	}
}

func TestNarrowingHostsAgreesWithTheVectors(t *testing.T) {
	cases, err := vectors.HostNarrows()
	require.NoError(t, err)
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			parent := bctrl.Mounts{Web: (*bctrl.WebMount)(c.Parent)}
			child := bctrl.Mounts{Web: (*bctrl.WebMount)(c.Child)}
			narrowed, err := parent.Narrow(child)
			if c.Accepted {
				require.NoError(t, err, c.Why)
				require.True(t, parent.Covers(narrowed), c.Why)
				return
			}
			require.ErrorIs(t, err, bctrl.ErrWidening, c.Why)
			var refusal *bctrl.Error
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, c.Witness, refusal.Witness, c.Why)
			require.True(t, child.AllowsHost(c.Witness), c.Why)
			require.False(t, parent.AllowsHost(c.Witness), c.Why)
		})
	}
}

func vaultOf(v vectors.Vault) bctrl.Mounts {
	return bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: v.Allow, Deny: v.Deny, AllowRawReads: v.AllowRawReads}}
}

// requireValid checks that err says what valid says, and how.
func requireValid(t *testing.T, valid bool, err error, why string) {
	t.Helper()
	if valid {
		require.NoError(t, err, why)
		return
	}
	require.ErrorIs(t, err, bctrl.ErrInvalid, why)
	require.NoError(t, errors.Unwrap(err))
}
