package bctrl

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/origin"
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
	fieldWebAllow        = "mounts.web.allow"
	fieldWebDeny         = "mounts.web.deny"
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
//	mounts.invalid_host_pattern   see [WebMount]; public suffixes are the server's to know
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
	if m.Web != nil {
		found.required(fieldWebAllow, m.Web.Allow)
		found.grammar(codeInvalidHostPattern, fieldWebAllow, m.Web.Allow, origin.HostPattern)
		found.grammar(codeInvalidHostPattern, fieldWebDeny, m.Web.Deny, origin.HostPattern)
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
				Code:    codeDefaultNotAllowed,
				Field:   fieldAIDefaults + "." + string(provider),
				Value:   id,
				Ceiling: ceilingText(allow, nil),
				Hint:    "choose one of the allowed credentials",
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

// maxProblems bounds a refusal of mounts: it names the first hundred problems.
const maxProblems = 100

// The names of what can be wrong with mounts, each a [Problem.Code] behind
// "mounts.".
const (
	codeWidening           = "mounts.scope_widening"
	codeDeniedByCeiling    = "mounts.denied_by_ceiling"
	codeAllowRequired      = "mounts.allow_required"
	codeInvalidPrefix      = "mounts.invalid_prefix"
	codeInvalidCredential  = "mounts.invalid_credential_id"
	codeInvalidCapability  = "mounts.invalid_capability"
	codeInvalidProvider    = "mounts.invalid_provider"
	codeInvalidNamespace   = "mounts.invalid_namespace"
	codeInvalidAccess      = "mounts.invalid_access"
	codeInvalidHostPattern = "mounts.invalid_host_pattern"
	codeDefaultNotAllowed  = "mounts.default_not_allowed"
)

// problems collects what is wrong with mounts, or with another value that has
// many fields, in their order.
type problems []Problem

func (ps *problems) add(p Problem) {
	if len(*ps) < maxProblems {
		p.Value = quotable(p.Value)
		*ps = append(*ps, p)
	}
}

// full reports that no further problem will be named.
func (ps *problems) full() bool { return len(*ps) == maxProblems }

// check adds a problem with a value when it breaks a rule of its grammar.
func (ps *problems) check(code, field, value string, rule error) bool {
	if rule != nil {
		ps.add(Problem{
			Code:  code,
			Field: field,
			Value: value,
			Hint:  rule.Error(),
		})
	}
	return rule == nil
}

// err returns nil, or the refusal that names every problem.
func (ps problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	first := ps[0]
	return &Error{
		Status:   http.StatusBadRequest,
		Code:     first.Code,
		Message:  explainCode(first.Code),
		Field:    first.Field,
		Witness:  first.Witness,
		Hint:     first.Hint,
		Problems: ps,
	}
}

func explainCode(code string) string {
	switch code {
	case codeWidening:
		return "the mounts ask for more than the level above permits"
	case codeDeniedByCeiling:
		return "the mounts ask for what the level above denies"
	case codeAllowRequired:
		return "a workspace's mount says what it allows"
	case codeDefaultNotAllowed:
		return "a default is not among the allowed credentials"
	case codeInvalidAuth:
		return "the auth strategy is malformed"
	}
	return "the mounts are malformed"
}

// element returns the path of an element of a list: "mounts.vault.allow[0]".
func element(field string, index int) string { return fmt.Sprintf("%s[%d]", field, index) }

// quotable returns mount text as a refusal quotes it: valid, and no longer than
// any valid text is.
func quotable(text string) string {
	const longest = 512
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= longest {
		return text
	}
	cut := longest
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// ceilingText prints lists of the level above, `{allow: ["prod/crm/"]}`; an
// empty deny is left out.
func ceilingText(allow, deny []string) string {
	text := "{allow: " + listText(allow)
	if len(deny) > 0 {
		text += ", deny: " + listText(deny)
	}
	return text + "}"
}

// listText prints the beginning of a list.
func listText(list []string) string {
	const shown = 10
	var b strings.Builder
	b.WriteByte('[')
	for i, s := range list[:min(len(list), shown)] {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q", quotable(s))
	}
	if len(list) > shown {
		fmt.Fprintf(&b, ", and %d more", len(list)-shown)
	}
	b.WriteByte(']')
	return b.String()
}
