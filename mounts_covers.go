package bctrl

import (
	"maps"
	"slices"

	"github.com/bctrl-go/bctrl/internal/prefix"
)

// Covers reports whether child permits nothing that m does not. Both are
// complete mounts, nothing is inherited: a mount that child leaves out permits
// nothing (web: every host), and so is covered by anything. A child that Covers accepts is not
// always one that [Mounts.Narrow] accepts, where the denies of m are inherited
// rather than repeated.
func (m Mounts) Covers(child Mounts) bool {
	return coversAI(m.AI.orNothing(), child.AI.orNothing()) &&
		coversVault(m.Vault.orNothing(), child.Vault.orNothing()) &&
		(child.Storage.namespace() == "" || m.Storage.permits(child.Storage.namespace())) &&
		coversAll(prefix.NewSet(m.Capabilities.orNothing().Allow), child.Capabilities.orNothing().Allow) &&
		coversWeb(m.Web.orEveryHost(), child.Web.orEveryHost())
}

func coversAI(parent, child AIMount) bool {
	allowed := prefix.NewSet(parent.Allow)
	return !slices.ContainsFunc(child.Allow, func(id string) bool { return !allowed.Has(id) })
}

func coversAll(parent prefix.Set, entries []string) bool {
	return !slices.ContainsFunc(entries, func(entry string) bool { return !parent.Covers(entry) })
}

func coversVault(p, c VaultMount) bool {
	covered, any := vaultSubtrees.covers(p.subtrees(), c.subtrees())
	return covered && (!any || !c.rawReads() || p.rawReads())
}

func coversWeb(p, c WebMount) bool {
	covered, _ := webSubtrees.covers(p.subtrees(), c.subtrees())
	return covered
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
		Web:          m.Web.orEveryHost().normal(),
	}
}

func (v VaultMount) normal() *VaultMount {
	permitted := vaultSubtrees.normal(v.subtrees())
	raw := v.rawReads() && len(permitted.allow) > 0
	return &VaultMount{Allow: permitted.allow, Deny: permitted.deny, AllowRawReads: &raw}
}

func (w WebMount) normal() *WebMount {
	permitted := webSubtrees.normal(w.subtrees())
	return &WebMount{Allow: permitted.allow, Deny: permitted.deny}
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
		return Mounts{Web: &WebMount{Allow: []string{}}} // absent it would be every host
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
	if web := level.Web; web != nil {
		shared := webSubtrees.meet(m.Web.orEveryHost().subtrees(), web.subtrees())
		met.Web = &WebMount{Allow: shared.allow, Deny: shared.deny}
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
	shared := vaultSubtrees.meet(parent.subtrees(), child.subtrees())
	raw := parent.AllowRawReads
	if child.AllowRawReads != nil {
		raw = new(parent.rawReads() && child.rawReads())
	}
	return &VaultMount{Allow: shared.allow, Deny: shared.deny, AllowRawReads: clonePointer(raw)}
}
