package bctrl

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/origin"
	"github.com/bctrl-go/bctrl/internal/prefix"
)

// Narrow returns the effective mounts of a level that is declared below m with
// the mounts child: what child leaves out is inherited, what m denies stays
// denied. m is complete: a workspace's mounts, or what Narrow returned.
//
// A child that asks for more than m permits is refused with an [*Error], whose
// Problems name every offending field (up to a hundred), the first one in Field
// (semantics, Narrowing the vault; The witness):
//
//	mounts.scope_widening      an entry outside what m allows, raw reads under m
//	                           without them, another namespace
//	mounts.denied_by_ceiling   a vault prefix or host pattern that m denies as a whole
//	mounts.default_not_allowed a default that is not in the effective allow
//
// and the problems of grammar that [Mounts.Validate] lists. The first two match
// [ErrWidening]; their Witness is what child would permit and m does not.
//
// Vault and web entries that the child's own deny covers are dropped rather than
// refused. Asking for raw reads is refused even where there is nothing to read.
// The defaults of m survive as far as their credentials are still allowed.
func (m Mounts) Narrow(child Mounts) (Mounts, error) {
	var found problems
	narrowed := Mounts{
		AI:           found.narrowAI(m.AI, child.AI),
		Vault:        found.narrowVault(m.Vault, child.Vault),
		Storage:      found.narrowStorage(m.Storage, child.Storage),
		Capabilities: found.narrowCapabilities(m.Capabilities, child.Capabilities),
		Web:          found.narrowWeb(m.Web, child.Web),
	}
	if err := found.err(); err != nil {
		return Mounts{}, err
	}
	return narrowed, nil
}

func (ps *problems) narrowAI(parent, child *AIMount) *AIMount {
	if child == nil {
		return parent.clone()
	}
	above := parent.orNothing()
	allowed := prefix.NewSet(above.Allow)
	for i, id := range child.Allow {
		field := element(fieldAIAllow, i)
		if ps.check(codeInvalidCredential, field, id, names.CredentialID(id)) && !allowed.Has(id) {
			ps.add(Problem{
				Code:    codeWidening,
				Field:   field,
				Value:   id,
				Witness: id,
				Ceiling: ceilingText(above.Allow, nil),
				Hint:    hintRemove,
			})
		}
	}
	narrowed := &AIMount{Allow: inherit(child.Allow, above.Allow)}
	if child.Defaults == nil {
		narrowed.Defaults = allowedDefaults(above.Defaults, narrowed.Allow)
		return narrowed
	}
	ps.defaults(child.Defaults, narrowed.Allow)
	narrowed.Defaults = maps.Clone(child.Defaults)
	return narrowed
}

func (ps *problems) narrowVault(parent, child *VaultMount) *VaultMount {
	if child == nil {
		return parent.clone()
	}
	above := parent.orNothing()
	allow, deny := ps.narrowSubtrees(vaultSubtrees, above.subtrees(), child.subtrees())
	if child.rawReads() && !parent.rawReads() {
		ps.add(Problem{
			Code:    codeWidening,
			Field:   fieldRawReads,
			Value:   "true",
			Witness: "allowRawReads",
			Ceiling: "{allowRawReads: false}",
			Hint:    "leave it out",
		})
	}
	return &VaultMount{
		Allow:         allow,
		Deny:          deny,
		AllowRawReads: clonePointer(inheritRaw(child.AllowRawReads, above.AllowRawReads)),
	}
}

func (ps *problems) narrowWeb(parent, child *WebMount) *WebMount {
	if child == nil {
		return parent.clone()
	}
	above := parent.orEveryHost()
	allow, deny := ps.narrowSubtrees(webSubtrees, above.subtrees(), child.subtrees())
	return &WebMount{Allow: allow, Deny: deny}
}

func (ps *problems) narrowStorage(parent, child *StorageMount) *StorageMount {
	if child == nil || !ps.storage(*child) || *child == (StorageMount{}) {
		return clonePointer(parent)
	}
	if child.Access == StorageNone {
		return &StorageMount{Access: StorageNone}
	}
	ns := child.Workspace
	if !ps.check(codeInvalidNamespace, fieldStorage, ns, names.Name(ns)) || parent.permits(ns) {
		return clonePointer(child)
	}
	p := Problem{
		Code:    codeWidening,
		Field:   fieldStorage,
		Value:   ns,
		Witness: ns,
		Ceiling: `{access: "none"}`,
		Hint:    "leave storage out",
	}
	if above := parent.namespace(); above != "" {
		p.Ceiling = "{workspace: " + strconv.Quote(quotable(above)) + "}"
		p.Hint = "leave storage out to inherit the namespace of the level above"
	}
	ps.add(p)
	return clonePointer(child)
}

func (ps *problems) narrowCapabilities(parent, child *CapabilityMount) *CapabilityMount {
	if child == nil {
		return parent.clone()
	}
	above := parent.orNothing().Allow
	allowed := prefix.NewSet(above)
	for i, entry := range child.Allow {
		field := element(fieldCapabilityAllow, i)
		if ps.check(codeInvalidCapability, field, entry, names.CapabilityPattern(entry)) && !allowed.Covers(entry) {
			ps.add(Problem{
				Code:    codeWidening,
				Field:   field,
				Value:   entry,
				Witness: capabilityWitness(entry, allowed),
				Ceiling: ceilingText(above, nil),
				Hint:    hintRemove,
			})
		}
	}
	return &CapabilityMount{Allow: inherit(child.Allow, above)}
}

// capabilityWitness returns a capability that entry holds and allowed does not:
// entry itself where it is one, else one made with the first number that will
// do.
func capabilityWitness(entry string, allowed prefix.Set) string {
	if !strings.HasSuffix(entry, "/") {
		return entry
	}
	for n := 0; ; n++ {
		id := strings.TrimPrefix(entry, names.Everything) + strconv.Itoa(n)
		if entry == names.Everything {
			id += "/0"
		}
		if !allowed.Covers(id) {
			return id
		}
	}
}

// inherit returns a copy of the child's list, or of the parent's where the
// child has none. It is never nil: an effective mount says what it allows.
func inherit(child, parent []string) []string {
	list := child
	if child == nil {
		list = parent
	}
	return append(make([]string, 0, len(list)), list...)
}

func inheritRaw(child, parent *bool) *bool {
	if child == nil {
		return parent
	}
	return child
}

// allowedDefaults returns the defaults whose credentials are allowed.
func allowedDefaults(defaults map[AIProvider]string, allow []string) map[AIProvider]string {
	kept := maps.Clone(defaults)
	maps.DeleteFunc(kept, func(_ AIProvider, id string) bool { return !slices.Contains(allow, id) })
	return kept
}

// What an absent mount of a complete level stands for.

func (a *AIMount) orNothing() AIMount {
	if a == nil {
		return AIMount{}
	}
	return *a
}

func (v *VaultMount) orNothing() VaultMount {
	if v == nil {
		return VaultMount{}
	}
	return *v
}

func (c *CapabilityMount) orNothing() CapabilityMount {
	if c == nil {
		return CapabilityMount{}
	}
	return *c
}

// orEveryHost returns w, or what its absence at a complete level stands for.
func (w *WebMount) orEveryHost() WebMount {
	if w == nil {
		return WebMount{Allow: []string{origin.EveryHost}}
	}
	return *w
}

func (v *VaultMount) rawReads() bool { return v != nil && v.AllowRawReads != nil && *v.AllowRawReads }

// namespace returns the namespace that s permits, or "".
func (s *StorageMount) namespace() string {
	if s == nil || s.Access != "" {
		return ""
	}
	return s.Workspace
}

func (s *StorageMount) permits(ns string) bool { return ns != "" && s.namespace() == ns }
