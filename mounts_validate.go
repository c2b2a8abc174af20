package bctrl

import (
	"errors"
	"maps"
	"slices"

	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/prefix"
)

// The paths of the fields of mounts, as refusals and decisions name them.
const (
	fieldAIAllow         = "mounts.ai.allow"
	fieldAIDefaults      = "mounts.ai.defaults"
	fieldVaultAllow      = "mounts.vault.allow"
	fieldVaultDeny       = "mounts.vault.deny"
	fieldRawReads        = "mounts.vault.allowRawReads"
	fieldStorage         = "mounts.storage.workspace"
	fieldStorageAccess   = "mounts.storage.access"
	fieldCapabilityAllow = "mounts.capabilities.allow"
)

// Validate checks m as a workspace's mounts: every entry by its grammar, an
// allow list in every mount that has one, every default among the allowed
// credentials. It returns nil or an [*Error] whose Problems name everything
// that is wrong (up to a hundred), each with its field:
//
//	mounts.allow_required         a mount without allow; write [] for nothing
//	mounts.invalid_prefix         see [ValidVaultPrefix]
//	mounts.invalid_credential_id  ^[A-Za-z][A-Za-z0-9_-]{0,63}$
//	mounts.invalid_provider       the same form
//	mounts.invalid_namespace      ^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$
//	mounts.invalid_capability     "provider/name", "provider/" or "/"
//	mounts.invalid_access         neither empty nor "none", or "none" beside a namespace
//	mounts.default_not_allowed    a default that allow does not list
//
// Whether a credential exists and belongs to its provider is for the server to
// say. Validate the mounts of a runtime or execution with [Mounts.Narrow].
func (m Mounts) Validate() error {
	var found problems
	if m.AI != nil {
		found.required(fieldAIAllow, m.AI.Allow)
		found.grammar(codeInvalidCredential, fieldAIAllow, m.AI.Allow, names.CredentialID)
		found.defaults(m.AI.Defaults, m.AI.Allow)
	}
	if m.Vault != nil {
		found.required(fieldVaultAllow, m.Vault.Allow)
		found.grammar(codeInvalidPrefix, fieldVaultAllow, m.Vault.Allow, names.VaultPrefix)
		found.grammar(codeInvalidPrefix, fieldVaultDeny, m.Vault.Deny, names.VaultPrefix)
	}
	if m.Storage != nil && found.storage(*m.Storage) && m.Storage.Access == "" {
		found.check(codeInvalidNamespace, fieldStorage, m.Storage.Workspace, names.Name(m.Storage.Workspace))
	}
	if m.Capabilities != nil {
		found.required(fieldCapabilityAllow, m.Capabilities.Allow)
		found.grammar(codeInvalidCapability, fieldCapabilityAllow, m.Capabilities.Allow, names.CapabilityPattern)
	}
	return found.err()
}

// required adds a problem when an allow list is absent.
func (ps *problems) required(field string, allow []string) {
	if allow == nil {
		ps.add(Problem{Code: codeAllowRequired, Field: field, Hint: "write [] for nothing, or leave the mount out"})
	}
}

// grammar checks every entry of a list.
func (ps *problems) grammar(code, field string, list []string, rule func(string) error) {
	for i, entry := range list {
		if err := rule(entry); err != nil {
			ps.check(code, element(field, i), entry, err)
		}
	}
}

// defaults checks that every default is one of the allowed credentials.
func (ps *problems) defaults(defaults map[AIProvider]string, allow []string) {
	allowed := prefix.NewSet(allow)
	for _, provider := range slices.Sorted(maps.Keys(defaults)) {
		if err := names.CredentialID(string(provider)); err != nil {
			ps.check(codeInvalidProvider, fieldAIDefaults, string(provider), err)
			continue
		}
		if id := defaults[provider]; !allowed.Has(id) {
			ps.add(Problem{
				Code: codeDefaultNotAllowed, Field: fieldAIDefaults + "." + string(provider), Value: id,
				Ceiling: ceilingText(allow, nil), Hint: "choose one of the allowed credentials",
			})
		}
	}
}

var (
	errAccess     = errors.New(`access is "none" or left out`)
	errTwoStorage = errors.New(`"none" goes without a namespace`)
)

// storage checks the access of a storage mount and reports whether its
// namespace is worth a look.
func (ps *problems) storage(s StorageMount) bool {
	switch {
	case s.Access != "" && s.Access != StorageNone:
		return ps.check(codeInvalidAccess, fieldStorageAccess, string(s.Access), errAccess)
	case s.Access == StorageNone && s.Workspace != "":
		return ps.check(codeInvalidAccess, fieldStorageAccess, string(s.Access), errTwoStorage)
	}
	return true
}
