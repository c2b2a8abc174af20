// Package token makes and checks the text of runtime tokens, which their
// holders can weaken without asking anybody.
//
// The construction is that of macaroons (Birgisson, Politz, Erlingsson, Taly,
// Vrable, Lentczner: "Macaroons: Cookies with Contextual Caveats for
// Decentralized Authorization in the Cloud", NDSS 2014), a chain of HMAC-SHA256
// (RFC 2104):
//
//	key   = HMAC(root key, "bctrl token 1 organization" || organization)
//	tag 0 = HMAC(key, "bctrl token 1" || head)
//	tag i = HMAC(tag i-1, caveat i)
//	token = "bctrl_rt_" || base64url(head || caveat 1 || … || caveat n || tag n)
//
// Only the last tag is in the token. Who holds it can compute the next one and
// so add a caveat; to drop, change or reorder a caveat takes an earlier tag,
// which an HMAC does not give back. Each caveat restricts, all of them hold.
//
// Ours differs from the paper's: there are no third-party caveats and so no
// discharges, and no location. A caveat is not a free predicate but one of two
// kinds, an expiry or mounts; any other kind makes the token no token. The
// identifier names organization, token and runtime in clear instead of being
// opaque, and one root key serves all, so that checking a token needs no
// lookup. Kind and length of a caveat are under its HMAC, and the head carries
// a version.
//
// In bytes, numbers big-endian:
//
//	head    version (1), token id (16), organization (16), runtime (16)
//	caveat  kind (1), length of the body (2), body
//	expiry  kind 1, Unix milliseconds (8)
//	mounts  kind 2, JSON
//
// The first caveat is an expiry and the second mounts: what the token was
// minted with.
package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Prefix marks a runtime token, so that scanners of leaked secrets can find
// one.
const Prefix = "bctrl_rt_"

const (
	version    = 1
	headSize   = 1 + 3*16
	caveatHead = 1 + 2
	expirySize = 8
	tagSize    = sha256.Size

	// MaxSize bounds a token before it is encoded, so that it fits into a
	// header with room to spare: 5471 characters.
	MaxSize = 4096
	// MaxCaveats bounds the work of checking one.
	MaxCaveats = 32

	minSize = headSize + caveatHead + expirySize + caveatHead + tagSize
	// latest is the last millisecond of the year 9999, where RFC 3339 ends.
	latest = 253402300799999

	labelOrganization = "bctrl token 1 organization"
	labelHead         = "bctrl token 1"
)

// The errors of this package say nothing of the text they refuse.
var (
	// ErrMalformed: the text is not a token's.
	ErrMalformed = errors.New("not a runtime token")
	// ErrTooLong: the token would exceed [MaxSize] or [MaxCaveats].
	ErrTooLong = errors.New("the token would be too long")
)

// Head is what a token is for.
type Head struct{ ID, Organization, Runtime uuid.UUID }

// Kind is the kind of a caveat.
type Kind byte

// The kinds of caveats.
const (
	Expiry Kind = 1
	Mounts Kind = 2
)

// Caveat is one restriction.
type Caveat struct {
	Kind Kind
	Body []byte
}

// ExpiryAt returns the caveat that a token holds before t alone, rounded down
// to the millisecond.
func ExpiryAt(t time.Time) Caveat {
	return Caveat{Expiry, binary.BigEndian.AppendUint64(nil, uint64(t.UnixMilli()))}
}

// Time returns the time of an expiry.
func (c Caveat) Time() time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(c.Body))).UTC() // its range is checked
}

func (c Caveat) wellFormed() bool {
	return c.Kind == Mounts || c.Kind == Expiry && len(c.Body) == expirySize && binary.BigEndian.Uint64(c.Body) <= latest
}

func (c Caveat) append(b []byte) []byte {
	b = append(b, byte(c.Kind))
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.Body)))
	return append(b, c.Body...)
}

// Token is a token that is well formed. Whether it is genuine, [Token.Genuine]
// says.
type Token struct {
	Head
	// Caveats are in the order in which they were added.
	Caveats []Caveat
	// tag is behind a func so that no printer reaches it.
	tag func() [tagSize]byte
}

// New makes a token with its first two caveats, under the root key.
func New(root []byte, head Head, expires time.Time, mounts []byte) (*Token, error) {
	t := &Token{Head: head}
	return t.sealed(first(root, head)).Add(ExpiryAt(expires), Caveat{Mounts, mounts})
}

func (t *Token) sealed(tag [tagSize]byte) *Token {
	t.tag = func() [tagSize]byte { return tag }
	return t
}

// Add returns the token with more caveats.
func (t *Token) Add(caveats ...Caveat) (*Token, error) {
	added := &Token{Head: t.Head, Caveats: append(slices.Clip(t.Caveats), caveats...)}
	size := headSize + tagSize
	for _, c := range added.Caveats {
		size += caveatHead + len(c.Body)
	}
	if size > MaxSize || len(added.Caveats) > MaxCaveats {
		return nil, ErrTooLong
	}
	for _, c := range caveats {
		if !c.wellFormed() {
			return nil, ErrMalformed
		}
	}
	return added.sealed(chain(t.tag(), caveats)), nil
}

// Genuine reports whether the token, as it is, was made under the root key and
// only weakened since.
func (t *Token) Genuine(root []byte) bool {
	want, have := chain(first(root, t.Head), t.Caveats), t.tag()
	return hmac.Equal(want[:], have[:])
}

// first is tag 0.
func first(root []byte, head Head) [tagSize]byte {
	key := sum(root, []byte(labelOrganization), head.Organization[:])
	return sum(key[:], []byte(labelHead), head.append(nil))
}

func chain(tag [tagSize]byte, caveats []Caveat) [tagSize]byte {
	var b []byte
	for _, c := range caveats {
		b = c.append(b[:0])
		tag = sum(tag[:], b)
	}
	return tag
}

func sum(key []byte, parts ...[]byte) (out [tagSize]byte) {
	mac := hmac.New(sha256.New, key)
	for _, p := range parts {
		mac.Write(p)
	}
	mac.Sum(out[:0])
	return out
}

func (h Head) append(b []byte) []byte {
	b = append(b, version)
	b = append(b, h.ID[:]...)
	b = append(b, h.Organization[:]...)
	return append(b, h.Runtime[:]...)
}

// Text returns the token as its holder has it.
func (t *Token) Text() string {
	b := t.Head.append(make([]byte, 0, MaxSize))
	for _, c := range t.Caveats {
		b = c.append(b)
	}
	tag := t.tag()
	return Prefix + base64.RawURLEncoding.EncodeToString(append(b, tag[:]...))
}

// Is reports whether a text is meant to be a token. An organization key, which
// by chance may begin like one, is shorter than any.
func Is(text string) bool {
	return strings.HasPrefix(text, Prefix) && len(text) >= len(Prefix)+base64.RawURLEncoding.EncodedLen(minSize)
}

// Parse reads a token's text; [ErrMalformed] is its only error. Each token has
// one text.
func Parse(text string) (*Token, error) {
	encoded, ok := strings.CutPrefix(text, Prefix)
	if !ok || len(encoded) > base64.RawURLEncoding.EncodedLen(MaxSize) {
		return nil, ErrMalformed
	}
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	// The decoder passes over line ends and loose bits.
	if err != nil || len(raw) < minSize || base64.RawURLEncoding.EncodeToString(raw) != encoded {
		return nil, ErrMalformed
	}
	if raw[0] != version {
		return nil, ErrMalformed
	}
	t := &Token{Head: Head{ID: uuid.UUID(raw[1:17]), Organization: uuid.UUID(raw[17:33]), Runtime: uuid.UUID(raw[33:49])}}
	end := len(raw) - tagSize
	if t.Caveats, ok = caveats(raw[headSize:end]); !ok {
		return nil, ErrMalformed
	}
	return t.sealed([tagSize]byte(raw[end:])), nil
}

// caveats reads the caveats that b consists of.
func caveats(b []byte) (list []Caveat, ok bool) {
	for len(b) > 0 {
		if len(b) < caveatHead || len(list) == MaxCaveats {
			return nil, false
		}
		end := caveatHead + int(binary.BigEndian.Uint16(b[1:caveatHead]))
		if end > len(b) {
			return nil, false
		}
		c := Caveat{Kind(b[0]), b[caveatHead:end:end]}
		if !c.wellFormed() {
			return nil, false
		}
		list, b = append(list, c), b[end:]
	}
	return list, len(list) >= 2 && list[0].Kind == Expiry && list[1].Kind == Mounts
}
