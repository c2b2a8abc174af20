package token

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/davecgh/go-spew/spew"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var (
	root    = []byte("0123456789abcdef0123456789abcdef")
	expires = time.UnixMilli(1767323045000).UTC()
)

func drawUUID(t *rapid.T, label string) uuid.UUID {
	return uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, label))
}

func drawCaveat(t *rapid.T) Caveat {
	if rapid.Bool().Draw(t, "expiry") {
		return ExpiryAt(time.UnixMilli(rapid.Int64Range(0, latest).Draw(t, "at")))
	}
	return Caveat{Mounts, rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "mounts")}
}

// drawToken draws a token that was weakened up to four times.
func drawToken(t *rapid.T) *Token {
	head := Head{drawUUID(t, "id"), drawUUID(t, "organization"), drawUUID(t, "runtime")}
	tok, err := New(root, head, expires, []byte("{}"))
	require.NoError(t, err)
	for range rapid.IntRange(0, 4).Draw(t, "steps") {
		tok, err = tok.Add(drawCaveat(t))
		require.NoError(t, err)
	}
	return tok
}

// raw is a token before it is encoded.
func raw(tok *Token) []byte {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(tok.Text(), Prefix))
	if err != nil {
		panic(err)
	}
	return b
}

func encoded(raw []byte) string { return Prefix + base64.RawURLEncoding.EncodeToString(raw) }

// accepted reports whether a text is a genuine token.
func accepted(text string) bool {
	tok, err := Parse(text)
	return err == nil && tok.Genuine(root)
}

// rebuilt is a token's text with other caveats and its own tag.
func rebuilt(tok *Token, caveats []Caveat) string {
	other := &Token{Head: tok.Head, Caveats: caveats, tag: tok.tag}
	return other.Text()
}

func TestATokenComesBackAsItWasMade(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tok := drawToken(t)
		again, err := Parse(tok.Text())
		require.NoError(t, err)
		require.Equal(t, tok.Head, again.Head)
		require.Equal(t, len(tok.Caveats), len(again.Caveats))
		for i, c := range tok.Caveats {
			require.Equal(t, c.Kind, again.Caveats[i].Kind)
			require.Equal(t, string(c.Body), string(again.Caveats[i].Body))
		}
		require.True(t, again.Genuine(root))
		require.False(t, again.Genuine([]byte("another root key")))
		require.True(t, Is(tok.Text()))
	})
}

func TestEveryBitOfATokenCounts(t *testing.T) {
	tok, err := New(root, Head{uuid.New(), uuid.New(), uuid.New()}, expires, []byte(`{"vault":{"allow":["prod/crm/"]}}`))
	require.NoError(t, err)
	tok, err = tok.Add(Caveat{Mounts, []byte(`{"vault":{"allow":["prod/crm/a"]}}`)}, ExpiryAt(expires.Add(-time.Hour)))
	require.NoError(t, err)
	b := raw(tok)
	for i := range len(b) * 8 {
		flipped := slices.Clone(b)
		flipped[i/8] ^= 1 << (i % 8)
		require.False(t, accepted(encoded(flipped)), "bit %d", i)
	}
	for n := range b {
		require.False(t, accepted(encoded(b[:n])), "cut to %d bytes", n)
	}
}

func TestCaveatsCannotBeDroppedReorderedInsertedOrCopied(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tok := drawToken(t)
		n := len(tok.Caveats)
		i := rapid.IntRange(0, n-1).Draw(t, "i")
		require.False(t, accepted(rebuilt(tok, slices.Delete(slices.Clone(tok.Caveats), i, i+1))), "dropped")
		require.False(t, accepted(rebuilt(tok, slices.Insert(slices.Clone(tok.Caveats), i, drawCaveat(t)))), "inserted")
		require.False(t, accepted(rebuilt(tok, append(slices.Clone(tok.Caveats), drawCaveat(t)))),
			"appended without the tag for it")
		j := rapid.IntRange(0, n-1).Draw(t, "j")
		swapped := slices.Clone(tok.Caveats)
		swapped[i], swapped[j] = swapped[j], swapped[i]
		same := i == j || tok.Caveats[i].Kind == tok.Caveats[j].Kind &&
			string(tok.Caveats[i].Body) == string(tok.Caveats[j].Body)
		require.Equal(t, same, accepted(rebuilt(tok, swapped)), "reordered")
		// What was weakened does not give back what it was made of.
		weaker, err := tok.Add(drawCaveat(t))
		require.NoError(t, err)
		require.True(t, accepted(weaker.Text()))
		require.False(t, accepted(rebuilt(weaker, tok.Caveats)), "the last caveat taken off")
	})
}

func TestTheHeadBelongsToTheTag(t *testing.T) {
	tok, err := New(root, Head{uuid.New(), uuid.New(), uuid.New()}, expires, []byte("{}"))
	require.NoError(t, err)
	for why, head := range map[string]Head{
		"another token":        {uuid.New(), tok.Organization, tok.Runtime},
		"another organization": {tok.ID, uuid.New(), tok.Runtime},
		"another runtime":      {tok.ID, tok.Organization, uuid.New()},
		"exchanged":            {tok.ID, tok.Runtime, tok.Organization},
	} {
		forged := &Token{Head: head, Caveats: tok.Caveats, tag: tok.tag}
		require.False(t, accepted(forged.Text()), why)
	}
}

func TestOneTextIsTheToken(t *testing.T) {
	tok, err := New(root, Head{uuid.New(), uuid.New(), uuid.New()}, expires, []byte("{ }")) // 107 bytes: two loose bits
	require.NoError(t, err)
	text := tok.Text()
	require.True(t, accepted(text))
	last := text[:len(text)-1]
	others := 0
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		if other := last + string(c); other != text {
			others++
			_, err := Parse(other)
			if err == nil {
				require.False(t, accepted(other), "another last letter")
			}
		}
	}
	require.Equal(t, 63, others)
	for _, other := range []string{text + "\n", "\r\n" + text, text[:30] + "\n" + text[30:], text + "=", " " + text,
		strings.ToLower(Prefix) + text[len(Prefix):] + "A", strings.ToUpper(Prefix) + text[len(Prefix):]} {
		_, err := Parse(other)
		require.ErrorIs(t, err, ErrMalformed)
	}
}

func TestATokenHasItsBounds(t *testing.T) {
	head := Head{uuid.New(), uuid.New(), uuid.New()}
	fits := MaxSize - headSize - tagSize - 2*caveatHead - expirySize
	tok, err := New(root, head, expires, make([]byte, fits))
	require.NoError(t, err)
	require.True(t, accepted(tok.Text()))
	_, err = New(root, head, expires, make([]byte, fits+1))
	require.ErrorIs(t, err, ErrTooLong)
	_, err = tok.Add(ExpiryAt(expires))
	require.ErrorIs(t, err, ErrTooLong)

	tok, err = New(root, head, expires, nil)
	require.NoError(t, err)
	for range MaxCaveats - 2 {
		tok, err = tok.Add(ExpiryAt(expires))
		require.NoError(t, err)
	}
	_, err = tok.Add(ExpiryAt(expires))
	require.ErrorIs(t, err, ErrTooLong)
	_, err = Parse(rebuilt(tok, append(slices.Clone(tok.Caveats), ExpiryAt(expires))))
	require.ErrorIs(t, err, ErrMalformed)
	for why, c := range map[string]Caveat{
		"a kind that is not known": {Kind: 3}, "no kind": {}, "a short expiry": {Expiry, make([]byte, 7)},
		"an expiry before 1970": ExpiryAt(time.UnixMilli(-1)), "an expiry past 9999": ExpiryAt(time.UnixMilli(latest + 1)),
	} {
		small, err := New(root, head, expires, nil)
		require.NoError(t, err)
		_, err = small.Add(c)
		require.ErrorIs(t, err, ErrMalformed, why)
		_, err = Parse(rebuilt(small, append(slices.Clone(small.Caveats), c)))
		require.ErrorIs(t, err, ErrMalformed, why)
	}
}

func TestAKeyIsNotTakenForAToken(t *testing.T) {
	require.False(t, Is("bctrl_"+"rt_"+strings.Repeat("A", 40)), "an organization key that begins like one")
}

func TestNoPrinterShowsATag(t *testing.T) {
	tok, err := New(root, Head{}, expires, []byte("{}"))
	require.NoError(t, err)
	tag := tok.tag()
	bytesOf := strings.Trim(fmt.Sprint(tag[:8]), "[]")
	bare := spew.ConfigState{DisableMethods: true}
	for _, text := range []string{fmt.Sprintf("%v", *tok), fmt.Sprintf("%+v", tok), spew.Sdump(tok), bare.Sdump(tok)} {
		require.NotContains(t, text, bytesOf)
		require.NotContains(t, text, fmt.Sprintf("%02x %02x %02x %02x", tag[0], tag[1], tag[2], tag[3]))
	}
	require.Contains(t, fmt.Sprint(tag), bytesOf, "the search would find it")
}

func FuzzParse(f *testing.F) {
	tok, err := New(root, Head{}, expires, []byte("{}"))
	require.NoError(f, err)
	f.Add(tok.Text())
	f.Add(Prefix)
	f.Add(encoded(make([]byte, minSize)))
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := Parse(text)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		require.Equal(t, text, parsed.Text(), "parse and print are inverse")
		require.Equal(t, text == tok.Text(), parsed.Genuine(root))
	})
}

func BenchmarkGenuine(b *testing.B) {
	tok, err := New(root, Head{}, expires, []byte(`{"vault":{"allow":["prod/crm/"]}}`))
	require.NoError(b, err)
	tok, err = tok.Add(Caveat{Mounts, []byte(`{"vault":{"allow":["prod/crm/a"]}}`)}, ExpiryAt(expires))
	require.NoError(b, err)
	text := tok.Text()
	b.ReportAllocs()
	for b.Loop() {
		if !accepted(text) {
			b.Fatal("not genuine")
		}
	}
}
