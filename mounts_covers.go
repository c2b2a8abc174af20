package bctrl

import (
	"maps"
	"slices"

	"github.com/bctrl-go/bctrl/internal/prefix"
)

// Covers reports whether child permits nothing that m does not. Both are
// complete mounts, nothing is inherited: a mount that child leaves out permits
// nothing, and so is covered by anything. A child that Covers accepts is not
// always one that [Mounts.Narrow] accepts, where the denies of m are inherited
// rather than repeated.
func (m Mounts) Covers(child Mounts) bool {
	return coversAI(m.AI.orNothing(), child.AI.orNothing()) &&
		coversVault(m.Vault.orNothing(), child.Vault.orNothing()) &&
		(child.Storage.namespace() == "" || m.Storage.permits(child.Storage.namespace())) &&
		coversAll(prefix.NewSet(m.Capabilities.orNothing().Allow), child.Capabilities.orNothing().Allow)
}

func coversAI(parent, child AIMount) bool {
	allowed := prefix.NewSet(parent.Allow)
	return !slices.ContainsFunc(child.Allow, func(id string) bool { return !allowed.Has(id) })
}

func coversAll(parent prefix.Set, entries []string) bool {
	return !slices.ContainsFunc(entries, func(entry string) bool { return !parent.Covers(entry) })
}

// coversVault is leq(c, p) of the semantics, Narrowing the vault.
func coversVault(p, c VaultMount) bool {
	own := prefix.NewFoldSet(c.Deny)
	live := own.Uncovered(c.Allow)
	if len(live) == 0 {
		return true
	}
	if c.rawReads() && !p.rawReads() || !coversAll(prefix.NewSet(p.Allow), live) {
		return false
	}
	// The parent denies nothing that the child permits: no live entry lies
	// under a deny, and each deny that lies under a live entry is the child's
	// too. Subtrees are nested or disjoint, so there is no third case.
	denied, permitted := prefix.NewFoldSet(p.Deny), prefix.NewFoldSet(live)
	if slices.ContainsFunc(live, denied.Covers) {
		return false
	}
	return !slices.ContainsFunc(p.Deny, func(deny string) bool { return permitted.Covers(deny) && !own.Covers(deny) })
}

// Normal returns the canonical form of what m permits: two complete mounts
// permit the same exactly when their normal forms are deeply equal. Lists are
// sorted, without duplicates and without entries that change nothing; denies
// are lowered, as they match whatever the case; every mount is present, so that
// a normal form means the same at every level. Defaults select and authorise
// nothing, so they are no part of it.
func (m Mounts) Normal() Mounts {
	storage := &StorageMount{Access: StorageNone}
	if ns := m.Storage.namespace(); ns != "" {
		storage = &StorageMount{Workspace: ns}
	}
	ids := append([]string{}, m.AI.orNothing().Allow...)
	slices.Sort(ids)
	return Mounts{
		AI:           &AIMount{Allow: slices.Compact(ids)},
		Vault:        m.Vault.orNothing().normal(),
		Storage:      storage,
		Capabilities: &CapabilityMount{Allow: prefix.Outermost(m.Capabilities.orNothing().Allow)},
	}
}

func (v VaultMount) normal() *VaultMount {
	allow := prefix.Outermost(prefix.NewFoldSet(v.Deny).Uncovered(v.Allow))
	permitted := prefix.NewFoldSet(allow)
	deny := slices.DeleteFunc(prefix.Outermost(prefix.LowerAll(v.Deny)), func(deny string) bool {
		return !permitted.Covers(deny)
	})
	raw := v.rawReads() && len(allow) > 0
	return &VaultMount{Allow: allow, Deny: deny, AllowRawReads: &raw}
}

// Chain is the mounts of a workspace, of a runtime in it and of an execution in
// that, or the beginning of it: the first level is complete, and each other one
// as it was declared below the one before. An action is permitted when it is
// permitted at every level as it is now, so lowering the first lowers all at
// once, and raising it gives a level back no more than its own declaration.
type Chain []Mounts

// Effective returns the mounts that permit what every level of c permits. It is
// what [Mounts.Narrow] gives where a level below still fits under the one
// above, and where it does not, because that was lowered since, what they share.
// The effective mounts of an empty chain permit nothing.
func (c Chain) Effective() Mounts {
	if len(c) == 0 {
		return Mounts{}
	}
	effective := c[0].clone()
	for _, level := range c[1:] {
		effective = effective.meet(level)
	}
	return effective
}

// meet returns what m, which is complete, and the level declared below it both
// permit.
func (m Mounts) meet(level Mounts) Mounts {
	met := m.clone()
	if ai := level.AI; ai != nil {
		met.AI = meetAI(m.AI.orNothing(), *ai)
	}
	if vault := level.Vault; vault != nil {
		met.Vault = meetVault(m.Vault.orNothing(), *vault)
	}
	if storage := level.Storage; storage != nil && *storage != (StorageMount{}) {
		met.Storage = &StorageMount{Access: StorageNone}
		if ns := storage.namespace(); m.Storage.permits(ns) {
			met.Storage = &StorageMount{Workspace: ns}
		}
	}
	if capabilities := level.Capabilities; capabilities != nil && capabilities.Allow != nil {
		met.Capabilities = &CapabilityMount{Allow: prefix.Meet(capabilities.Allow, m.Capabilities.orNothing().Allow)}
	}
	return met
}

func meetAI(parent, child AIMount) *AIMount {
	allowed := prefix.NewSet(parent.Allow)
	ids := slices.DeleteFunc(inherit(child.Allow, parent.Allow), func(id string) bool { return !allowed.Has(id) })
	defaults := child.Defaults
	if defaults == nil {
		defaults = parent.Defaults
	}
	return &AIMount{Allow: ids, Defaults: allowedDefaults(maps.Clone(defaults), ids)}
}

func meetVault(parent, child VaultMount) *VaultMount {
	allow := inherit(nil, parent.Allow)
	if child.Allow != nil {
		allow = prefix.Meet(child.Allow, parent.Allow)
	}
	raw := parent.AllowRawReads
	if child.AllowRawReads != nil {
		raw = new(parent.rawReads() && child.rawReads())
	}
	return &VaultMount{
		Allow:         prefix.NewFoldSet(child.Deny).Uncovered(allow),
		Deny:          prefix.Union(child.Deny, parent.Deny),
		AllowRawReads: clonePointer(raw),
	}
}
