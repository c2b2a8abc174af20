package bctrl

import (
	"slices"
	"strconv"
	"strings"

	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/origin"
	"github.com/bctrl-go/bctrl/internal/prefix"
)

// The vault and the web are mounts of one kind: an entry of theirs stands for a
// subtree, of keys or of hosts, and a deny wins over every allow. What is here
// is the algebra of both, over the prefixes that their entries stand for
// (semantics, Narrowing the vault; Hosts).

// subtrees is what such a mount allows and denies, as it is written.
type subtrees struct{ allow, deny []string }

func (v VaultMount) subtrees() subtrees { return subtrees{v.Allow, v.Deny} }
func (w WebMount) subtrees() subtrees   { return subtrees{w.Allow, w.Deny} }

// subtreeMount says how the entries of one of the mounts are read.
type subtreeMount struct {
	allowField, denyField string
	code                  string // of an entry that is malformed
	grammar               func(entry string) error

	// path is the prefix that an entry stands for, and entry its inverse. Both are
	// nil where an entry is that prefix itself.
	path, entry func(string) string
	// leaf comes before the last segment of what is permitted, a key or a host.
	leaf string
}

var (
	vaultSubtrees = subtreeMount{
		allowField: fieldVaultAllow,
		denyField:  fieldVaultDeny,
		code:       codeInvalidPrefix,
		grammar:    names.VaultPrefix,
	}
	webSubtrees = subtreeMount{
		allowField: fieldWebAllow,
		denyField:  fieldWebDeny,
		code:       codeInvalidHostPattern,
		grammar:    origin.HostPattern,
		path:       origin.HostPath,
		entry:      origin.PatternOfPath,
		leaf:       origin.HostEnd,
	}
)

// paths returns the prefixes that entries stand for.
func (k subtreeMount) paths(entries []string) []string { return each(entries, k.path) }

// entries is the inverse of paths.
func (k subtreeMount) entries(paths []string) []string { return each(paths, k.entry) }

// each returns list with f of each text, or list itself where f is nil. An absent
// list stays absent.
func each(list []string, f func(string) string) []string {
	if f == nil || list == nil {
		return list
	}
	changed := make([]string, len(list))
	for i, text := range list {
		changed[i] = f(text)
	}
	return changed
}

func (k subtreeMount) asPaths(s subtrees) subtrees {
	return subtrees{k.paths(s.allow), k.paths(s.deny)}
}

// ceiling is what a level permits, made ready for many questions.
type ceiling struct {
	mount       subtreeMount
	written     subtrees
	allow, deny prefix.Set
}

// narrowSubtrees returns what a level that is declared below above may have, and
// adds a problem for every entry that asks for more.
func (ps *problems) narrowSubtrees(k subtreeMount, above, child subtrees) (allow, deny []string) {
	parent := k.asPaths(above)
	c := ceiling{mount: k, written: above, allow: prefix.NewSet(parent.allow), deny: prefix.NewFoldSet(parent.deny)}
	own := prefix.NewFoldSet(k.paths(child.deny))
	for i, entry := range child.allow {
		field := element(k.allowField, i)
		if ps.check(k.code, field, entry, k.grammar(entry)) && !ps.full() {
			ps.underCeiling(field, entry, c, own)
		}
	}
	ps.grammar(k.code, k.denyField, child.deny, k.grammar)
	allowed := k.paths(inherit(child.allow, above.allow))
	return k.entries(own.Uncovered(allowed)), k.entries(prefix.Union(k.paths(child.deny), parent.deny))
}

// underCeiling refuses an allow entry that holds more than the ceiling does, or
// nothing that it does not deny. One that the child itself denies is no matter.
func (ps *problems) underCeiling(field, entry string, c ceiling, own prefix.Set) {
	path := c.mount.paths([]string{entry})[0]
	p := Problem{Code: codeWidening, Field: field, Value: entry}
	switch {
	case own.Covers(path):
		return
	case !c.allow.Covers(path):
		p.Hint = c.hint(path)
	case c.deny.Covers(path):
		p.Code, p.Hint = codeDeniedByCeiling, hintRemove
	default:
		return
	}
	p.Witness = c.mount.entries([]string{c.witness(path, own)})[0]
	p.Ceiling = ceilingText(c.written.allow, c.written.deny)
	ps.add(p)
}

const hintRemove = "remove it, or let the level above allow it first"

func (c ceiling) permits(path string) bool { return c.allow.Covers(path) && !c.deny.Covers(path) }

// witness returns the smallest key or host under an entry, by their paths, that the
// ceiling does not permit and the child's own deny does not cover: the entry
// itself where it is a key or a host, else the entry followed by the first number
// that will do. Each allow, and each deny, can spoil one number at most.
func (c ceiling) witness(path string, own prefix.Set) string {
	if !strings.HasSuffix(path, "/") {
		return path
	}
	above := strings.TrimPrefix(path, names.Everything) // "/" itself is above every path
	for n := 0; ; n++ {
		if leaf := above + c.mount.leaf + strconv.Itoa(n); !c.permits(leaf) && !own.Covers(leaf) {
			return leaf
		}
	}
}

// hint names the first part of an entry, by its path, that the ceiling permits.
func (c ceiling) hint(path string) string {
	for i, allowed := range c.mount.paths(c.written.allow) {
		if prefix.Holds(path, allowed) && !c.deny.Covers(allowed) {
			return "narrow it to " + strconv.Quote(quotable(c.written.allow[i]))
		}
	}
	return hintRemove
}

// covers is leq(child, parent) of the semantics, Narrowing the vault, but for raw
// reads. It also reports whether child permits anything.
func (k subtreeMount) covers(parent, child subtrees) (covered, any bool) {
	p, c := k.asPaths(parent), k.asPaths(child)
	own := prefix.NewFoldSet(c.deny)
	live := own.Uncovered(c.allow)
	if len(live) == 0 {
		return true, false
	}
	// The parent denies nothing that the child permits: no live entry lies
	// under a deny, and each deny that lies under a live entry is the child's
	// too. Subtrees are nested or disjoint, so there is no third case.
	denied, permitted := prefix.NewFoldSet(p.deny), prefix.NewFoldSet(live)
	return coversAll(prefix.NewSet(p.allow), live) && !slices.ContainsFunc(live, denied.Covers) &&
		!slices.ContainsFunc(p.deny, func(deny string) bool { return permitted.Covers(deny) && !own.Covers(deny) }), true
}

// normal returns the canonical form of what s permits.
func (k subtreeMount) normal(s subtrees) subtrees {
	paths := k.asPaths(s)
	allow := prefix.Outermost(prefix.NewFoldSet(paths.deny).Uncovered(paths.allow))
	permitted := prefix.NewFoldSet(allow)
	deny := slices.DeleteFunc(prefix.Outermost(prefix.LowerAll(paths.deny)), func(deny string) bool {
		return !permitted.Covers(deny)
	})
	return subtrees{k.entries(allow), k.entries(deny)}
}

// meet returns what parent, which is complete, and child both permit.
func (k subtreeMount) meet(parent, child subtrees) subtrees {
	p, c := k.asPaths(parent), k.asPaths(child)
	allow := inherit(nil, p.allow)
	if c.allow != nil {
		allow = prefix.Meet(c.allow, p.allow)
	}
	return subtrees{
		k.entries(prefix.NewFoldSet(c.deny).Uncovered(allow)),
		k.entries(prefix.Union(c.deny, p.deny)),
	}
}
