package scrub

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// pairSet is a set of pairs of bytes. For each byte it has those that can follow it.
type pairSet [256]byteSet

func (s *pairSet) has(b, next byte) bool { return s[b][next>>6]>>(next&63)&1 != 0 }

// matcher looks for several patterns at once.
type matcher struct {
	patterns []pattern
	// words is how many words hold a bit for each pattern. begin has as many for each byte,
	// for each of the first bytes of a match: which patterns can have it there.
	words int
	begin [depth][]uint64
	// together is begin of all words: where the bytes of a text share no bit no pattern begins.
	together [depth]*[256]uint64
	// near are the pairs of bytes that some pattern can have among its first ones. They are made once
	// worthPairs bytes have been looked through without them.
	near       func() *pairSet
	looked     atomic.Int64
	worthPairs int64
}

// worthPairs is how many bytes take as long to be looked through without the pairs as these take to be made.
const worthPairs = 4 << 10

// stride is how many places of a text are ruled out by a pair of its bytes that no
// pattern has near its beginning, which is nearly everywhere.
const stride = depth - 1

func newMatcher(values []string) *matcher {
	m := &matcher{worthPairs: worthPairs}
	for _, v := range values {
		m.patterns = append(m.patterns, patternsOf(v)...)
	}
	m.words = (len(m.patterns) + 63) / 64
	for i := range depth {
		m.begin[i] = make([]uint64, 256*m.words)
	}
	for i := range m.patterns {
		word, bit := i/64, uint64(1)<<(i%64)
		begin := &m.patterns[i].begin
		for at := range depth {
			begin[at].each(func(b byte) {
				m.begin[at][int(b)*m.words+word] |= bit
			})
		}
	}
	for i := range depth {
		m.together[i] = m.allWords(m.begin[i])
	}
	m.near = sync.OnceValue(func() *pairSet {
		near := new(pairSet)
		for i := range m.patterns {
			m.patterns[i].addPairs(near)
		}
		return near
	})
	return m
}

// allWords is a table with all words of a byte in one.
func (m *matcher) allWords(table []uint64) *[256]uint64 {
	if m.words == 1 {
		return (*[256]uint64)(table)
	}
	all := new([256]uint64)
	for i, bits := range table {
		all[i/m.words] |= bits
	}
	return all
}

// marking appends what stands in the place of n bytes.
type marking func(out []byte, n int) []byte

// named is [Mark], however long the value was.
func named(out []byte, _ int) []byte { return append(out, Mark...) }

// masked is as long as the value was.
func masked(out []byte, n int) []byte {
	if n >= len(Mark) {
		out, n = append(out, Mark...), n-len(Mark)
	}
	for range n {
		out = append(out, '*')
	}
	return out
}

// replace appends text to out with every match replaced. Unless the text ends
// here, it stops where a match may go on and returns what remains.
func (m *matcher) replace(out, text []byte, end bool, mark marking) (replaced, rest []byte) {
	plain := 0 // text[plain:i] is to be copied as it is
	for i := 0; i < len(text); {
		at, n, open := m.next(text[i:], end)
		i += at
		if open {
			return append(out, text[plain:i]...), text[i:]
		}
		if n == 0 {
			break
		}
		out = mark(append(out, text[plain:i]...), n)
		i += n
		plain = i
	}
	return append(out, text[plain:]...), nil
}

// next returns where the first match in text is and how long, or where one may
// begin of which the rest is to come.
func (m *matcher) next(text []byte, end bool) (at, n int, open bool) {
	near := m.pairsFor(len(text))
	for i := 0; i < len(text); i++ {
		if i = m.skip(text, i, near); i == len(text) || end && len(text)-i < depth { // no match is shorter
			break
		}
		longest, open := m.at(text[i:])
		switch {
		case open && !end:
			return i, 0, true
		case longest > 0:
			return i, longest, false
		}
	}
	return len(text), 0, false
}

// pairsFor returns the pairs for a text of n bytes; nil where they are not worth it yet.
func (m *matcher) pairsFor(n int) *pairSet {
	if m.looked.Load() < m.worthPairs && m.looked.Add(int64(n)) < m.worthPairs {
		return nil
	}
	return m.near()
}

// skip returns the first place from i on where a text goes on as some pattern begins; the
// text's length where there is none. It has the pairs of bytes, or does without.
func (m *matcher) skip(text []byte, i int, near *pairSet) int {
	for near != nil && i+2*stride < len(text) {
		next := text[i+stride-1 : i+2*stride+1] // two pairs, a stride from each other
		if !near.has(next[0], next[1]) {
			if i += stride; !near.has(next[stride], next[stride+1]) {
				i += stride
				continue
			}
		}
		for end := i + stride; i < end; i++ {
			if m.mayBegin(text[i:]) {
				return i
			}
		}
	}
	for ; i < len(text); i++ {
		if m.mayBegin(text[i:]) {
			return i
		}
	}
	return len(text)
}

// mayBegin reports whether the first bytes of a text are such as some pattern has.
func (m *matcher) mayBegin(text []byte) bool {
	if len(text) >= depth {
		text = text[:depth]
		return m.together[0][text[0]]&m.together[1][text[1]]&m.together[2][text[2]]&m.together[3][text[3]] != 0
	}
	may := ^uint64(0)
	for i := range min(depth, len(text)) {
		may &= m.together[i][text[i]]
	}
	return may != 0
}

// at is [pattern.match] for all patterns.
func (m *matcher) at(text []byte) (longest int, open bool) {
	for word := range m.words {
		may := ^uint64(0)
		for i := range min(depth, len(text)) {
			may &= m.begin[i][int(text[i])*m.words+word]
		}
		for ; may != 0; may &= may - 1 {
			n, more := m.patterns[word*64+bits.TrailingZeros64(may)].match(text)
			longest = max(longest, n)
			open = open || more
		}
	}
	return longest, open
}
