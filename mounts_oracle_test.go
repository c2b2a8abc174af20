package bctrl_test

import (
	"slices"
	"strconv"
	"strings"

	"github.com/bctrl-go/bctrl"
)

// The oracle decides from the text of the semantics by enumeration: it splits
// names into segments and asks every key of a small universe, and knows nothing
// of the algebra that the package uses.
//
// The universe is exhaustive for what is asked of it: entries are made of the
// segments of entrySegments up to maxEntryDepth, and the keys have one segment
// more, which no entry names, at every level and one level below the deepest
// entry. So an entry that is not covered by others as a subtree holds a key
// that shows it. The segments are traps: two that differ in case, one that
// begins like another, and a number, of which witnesses are made.
const maxEntryDepth = 2

var (
	entrySegments = []string{"a", "A", "ab", "0"}
	keySegments   = append([]string{"z"}, entrySegments...)
)

// paths returns every path of 1 to depth segments.
func paths(segments []string, depth int) []string {
	all := slices.Clone(segments)
	for last := all; depth > 1; depth-- {
		var next []string
		for _, above := range last {
			for _, segment := range segments {
				next = append(next, above+"/"+segment)
			}
		}
		all, last = append(all, next...), next
	}
	return all
}

// universeKeys returns all keys, universePrefixes all entries.
func universeKeys() []string { return paths(keySegments, maxEntryDepth+1) }

func universePrefixes() []string {
	all := []string{"/"}
	for _, path := range paths(entrySegments, maxEntryDepth) {
		all = append(all, path, path+"/")
	}
	return all
}

// under is the text of the semantics: "prod/crm/ is everything strictly below;
// prod/crm is that key and everything below it; / is every key".
func under(prefix, key string) bool {
	if prefix == "/" {
		return true
	}
	strict := strings.HasSuffix(prefix, "/")
	above := strings.Split(strings.TrimSuffix(prefix, "/"), "/")
	segments := strings.Split(key, "/")
	if len(segments) < len(above) || strict && len(segments) == len(above) {
		return false
	}
	return slices.Equal(above, segments[:len(above)])
}

func underAny(prefixes []string, key string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return under(prefix, key) })
}

// deniedBy: "deny matches case-insensitively".
func deniedBy(deny []string, key string) bool {
	return slices.ContainsFunc(deny, func(prefix string) bool {
		return under(strings.ToLower(prefix), strings.ToLower(key))
	})
}

// keySet is a set of the universe's keys, by index.
type keySet [3]uint64

func (s *keySet) add(i int)               { s[i/64] |= 1 << (i % 64) }
func (s keySet) has(i int) bool           { return s[i/64]&(1<<(i%64)) != 0 }
func (s keySet) empty() bool              { return s == keySet{} }
func (s keySet) within(other keySet) bool { return s.without(other).empty() }

func (s keySet) or(other keySet) keySet {
	for i := range s {
		s[i] |= other[i]
	}
	return s
}

func (s keySet) without(other keySet) keySet {
	for i := range s {
		s[i] &^= other[i]
	}
	return s
}

// oracle holds what every entry stands for, as an allow and as a deny.
type oracle struct {
	keys           []string
	prefixes       []string
	allows, denies map[string]keySet
}

func newOracle() *oracle {
	o := &oracle{
		keys:     universeKeys(),
		prefixes: universePrefixes(),
		allows:   map[string]keySet{},
		denies:   map[string]keySet{},
	}
	for _, prefix := range o.prefixes {
		var allow, deny keySet
		for i, key := range o.keys {
			if under(prefix, key) {
				allow.add(i)
			}
			if deniedBy([]string{prefix}, key) {
				deny.add(i)
			}
		}
		o.allows[prefix], o.denies[prefix] = allow, deny
	}
	return o
}

func (o *oracle) allowed(prefixes []string) (all keySet) {
	for _, prefix := range prefixes {
		all = all.or(o.allows[prefix])
	}
	return all
}

func (o *oracle) denied(prefixes []string) (all keySet) {
	for _, prefix := range prefixes {
		all = all.or(o.denies[prefix])
	}
	return all
}

// permits returns the keys that a complete vault mount permits to use, and
// those it permits to read.
func (o *oracle) permits(v *bctrl.VaultMount) (use, read keySet) {
	if v == nil {
		return use, read
	}
	use = o.allowed(v.Allow).without(o.denied(v.Deny))
	if v.AllowRawReads != nil && *v.AllowRawReads {
		read = use
	}
	return use, read
}

// refusal is what the oracle expects of a child that widens.
type refusal struct{ code, field, witness string }

// narrow decides what comes of the vault mount child below the complete parent:
// the keys to use and to read, or the first refusal.
func (o *oracle) narrow(parent, child *bctrl.VaultMount) (use, read keySet, refused *refusal) {
	parentUse, parentRead := o.permits(parent)
	if child == nil {
		return parentUse, parentRead, nil
	}
	own, above := o.denied(child.Deny), o.denied(parent.Deny)
	ceiling := o.allowed(parent.Allow)
	for i, entry := range child.Allow {
		asked := o.allows[entry]
		code := ""
		switch {
		case asked.within(own): // dropped
		case !asked.within(ceiling):
			code = "mounts.scope_widening"
		case asked.within(above):
			code = "mounts.denied_by_ceiling"
		}
		if code != "" {
			return use, read, &refusal{code, "mounts.vault.allow[" + strconv.Itoa(i) + "]", witnessOf(entry, parent, child)}
		}
	}
	parentRaw := parent.AllowRawReads != nil && *parent.AllowRawReads
	raw := parentRaw
	if child.AllowRawReads != nil {
		raw = *child.AllowRawReads
	}
	if raw && !parentRaw {
		return use, read, &refusal{"mounts.scope_widening", "mounts.vault.allowRawReads", "allowRawReads"}
	}
	use = ceiling
	if child.Allow != nil {
		use = o.allowed(child.Allow)
	}
	use = use.without(own).without(above)
	if raw {
		read = use
	}
	return use, read, nil
}

// witnessOf is the text of the semantics, The witness.
func witnessOf(entry string, parent, child *bctrl.VaultMount) string {
	if !strings.HasSuffix(entry, "/") {
		return entry
	}
	if entry == "/" {
		entry = ""
	}
	for n := 0; ; n++ {
		key := entry + strconv.Itoa(n)
		permitted := underAny(parent.Allow, key) && !deniedBy(parent.Deny, key)
		if !permitted && !deniedBy(child.Deny, key) {
			return key
		}
	}
}

// visits is the text of the semantics, Hosts: "* every host; *.example.com every host
// strictly below; example.com that host alone", lower-case; "an IP literal in an
// address is permitted by * alone"; "web absent: every host".
func visits(web *bctrl.WebMount, host string) bool {
	if web == nil {
		return true
	}
	return hostIn(web.Allow, host) && !hostIn(web.Deny, host)
}

func hostIn(patterns []string, host string) bool {
	labels := strings.Split(strings.ToLower(host), ".")
	last := labels[len(labels)-1]
	address := strings.Contains(host, ":") || last[0] >= '0' && last[0] <= '9' // in this world
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		want := strings.Split(strings.ToLower(pattern), ".")
		switch {
		case pattern == "*":
			return true
		case address:
			return false
		case want[0] == "*":
			want = want[1:]
			return len(labels) > len(want) && slices.Equal(labels[len(labels)-len(want):], want)
		}
		return slices.Equal(labels, want)
	})
}
