// Package prefix is the algebra of the prefixes in mounts. A prefix stands for a
// subtree of keys: "prod/crm/" for what is strictly below prod/crm, "prod/crm"
// for that key too, "/" for every key. Subtrees are nested or disjoint, so
// everything about sets of them comes down to asking whether one holds another.
//
// An allow matches case-sensitively and a deny whatever the ASCII case. A
// decision about one key scans a list as it is; narrowing, which asks about many
// entries, makes a [Set] first, in which denies are lowered.
package prefix

import (
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl/internal/names"
)

// Index returns the index of the first prefix of list that holds the prefix or key
// inner, or -1. An invalid prefix holds no valid key.
func Index(list []string, inner string) int { return indexHolding(list, inner, equal) }

// IndexFold is Index but for ASCII case.
func IndexFold(list []string, inner string) int { return indexHolding(list, inner, equalFold) }

// indexHolding is [Index] where same compares texts of one length.
func indexHolding(list []string, inner string, same func(a, b string) bool) int {
	for i, prefix := range list {
		if prefix == names.Everything || reaches(prefix, inner) && same(prefix, inner[:len(prefix)]) {
			return i
		}
	}
	return -1
}

// reaches reports whether prefix could hold inner by where it ends: with a
// segment of inner, and with the same byte whatever its case. It is small enough
// to be inlined, and rules out most of a long list.
func reaches(prefix, inner string) bool {
	n := len(prefix)
	if n == 0 || n > len(inner) || (prefix[n-1]^inner[n-1])&^('a'-'A') != 0 {
		return false
	}
	return n == len(inner) || prefix[n-1] == '/' || inner[n] == '/'
}

// equal reports whether two texts of one length are the same. It looks at their
// ends first, where neighbours in a list differ.
func equal(a, b string) bool {
	if n := len(a); n >= 8 && eight(a, n-8) != eight(b, n-8) {
		return false
	}
	return a == b
}

// equalFold is equal but for ASCII case. It goes eight bytes at a time from the
// end, leaving the bits of case aside; what is left then differs in case alone,
// but for bytes that no valid key has.
func equalFold(a, b string) bool {
	const caseBits = 0x2020202020202020
	for end := len(a); end >= 8; end -= 8 {
		if (eight(a, end-8)^eight(b, end-8))&^caseBits != 0 {
			return false
		}
	}
	for i := range len(a) {
		if a[i] != b[i] && lowerByte(a[i]) != lowerByte(b[i]) {
			return false
		}
	}
	return true
}

// Holds reports whether everything that inner stands for lies under prefix.
func Holds(prefix, inner string) bool {
	return prefix == names.Everything || reaches(prefix, inner) && prefix == inner[:len(prefix)]
}

// Deeper returns the prefix that stands for what lies under both a and b, if
// anything does: one of the two.
func Deeper(a, b string) (deeper string, ok bool) {
	switch {
	case Holds(a, b):
		return b, true
	case Holds(b, a):
		return a, true
	}
	return "", false
}

// PathWithin reports whether the escaped path of a URL is base or below it, by
// the same boundaries. A slash at the end of base says nothing more, so that ""
// and "/" hold every path.
func PathWithin(base, path string) bool {
	base = strings.TrimSuffix(base, "/")
	if base == "" {
		return path == "" || path[0] == '/'
	}
	return Holds(base, path)
}

// eight returns the eight bytes of s from i on, in one load.
func eight(s string, i int) uint64 {
	s = s[i : i+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func lowerByte(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// lower returns s with ASCII capitals lowered; other bytes stay, so that two
// texts are equal exactly when they differ in ASCII case at most.
func lower(s string) string {
	for i := range len(s) {
		if lowerByte(s[i]) != s[i] {
			b := []byte(s)
			for i, c := range b {
				b[i] = lowerByte(c)
			}
			return string(b)
		}
	}
	return s
}

// Set answers in time that depends on the length of a key alone whether
// one of many prefixes holds it.
type Set struct {
	few  []string        // as they are, while there are few
	many map[string]bool // else by text
	fold bool            // members and questions are lowered
}

// fewPrefixes is up to how many prefixes are scanned faster than a map is made.
const fewPrefixes = 8

// NewSet returns the set of the prefixes of list.
func NewSet(list []string) Set {
	if len(list) <= fewPrefixes {
		return Set{few: list}
	}
	set := Set{many: make(map[string]bool, len(list))}
	for _, prefix := range list {
		set.many[prefix] = true
	}
	return set
}

// NewFoldSet returns a set that ignores ASCII case.
func NewFoldSet(list []string) Set {
	set := NewSet(LowerAll(list))
	set.fold = true
	return set
}

// LowerAll lowers the ASCII capitals of each text of list, which it does not
// write to.
func LowerAll(list []string) []string {
	for i, s := range list {
		if low := lower(s); low != s {
			lowered := slices.Clone(list)
			for j := i; j < len(lowered); j++ {
				lowered[j] = lower(lowered[j])
			}
			return lowered
		}
	}
	return list
}

// Covers reports whether one member holds everything that the prefix or key
// inner stands for.
func (s Set) Covers(inner string) bool {
	if s.fold {
		inner = lower(inner)
	}
	return s.Has(inner) || s.coversFromAbove(inner)
}

// coversFromAbove is Covers by a member other than inner itself.
func (s Set) coversFromAbove(inner string) bool {
	for _, prefix := range s.few {
		if prefix != inner && Holds(prefix, inner) {
			return true
		}
	}
	if len(s.many) == 0 || inner == names.Everything {
		return false
	}
	for i := range len(inner) {
		if inner[i] != '/' {
			continue
		}
		if s.many[inner[:i]] || i+1 < len(inner) && s.many[inner[:i+1]] {
			return true
		}
	}
	return s.many[names.Everything]
}

// Uncovered returns the prefixes of list that no member holds, in their order.
// It is never nil.
func (s Set) Uncovered(list []string) []string {
	left := make([]string, 0, len(list))
	for _, prefix := range list {
		if !s.Covers(prefix) {
			left = append(left, prefix)
		}
	}
	return left
}

// Meet returns what lies under both lists: nested subtrees meet in the
// inner one, disjoint ones not at all.
func Meet(a, b []string) []string {
	inA, inB := NewSet(a), NewSet(b)
	meet := make([]string, 0, max(len(a), len(b)))
	for _, prefix := range a {
		if inB.Covers(prefix) {
			meet = append(meet, prefix)
		}
	}
	kept := NewSet(meet)
	for _, prefix := range b {
		if inA.coversFromAbove(prefix) && !kept.Covers(prefix) {
			meet = append(meet, prefix)
		}
	}
	return meet
}

// Has reports whether text itself is a member.
func (s Set) Has(text string) bool {
	if s.fold {
		text = lower(text)
	}
	return s.many[text] || slices.Contains(s.few, text)
}

// Union returns a followed by what b adds to it.
func Union(a, b []string) []string {
	if len(b) == 0 {
		return slices.Clone(a)
	}
	joined := make([]string, 0, len(a)+len(b))
	joined = append(joined, a...)
	known := NewSet(a)
	for _, s := range b {
		if !known.Has(s) {
			joined = append(joined, s)
		}
	}
	return joined
}

// Outermost returns the members of list that no other one holds, sorted and
// without duplicates: the canonical form of what list stands for.
func Outermost(list []string) []string {
	set := NewSet(list)
	outer := make([]string, 0, len(list))
	for _, prefix := range list {
		if !set.coversFromAbove(prefix) {
			outer = append(outer, prefix)
		}
	}
	slices.Sort(outer)
	return slices.Compact(outer)
}
