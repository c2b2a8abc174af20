package seal

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestOpenReturnsWhatWasSealed(t *testing.T) {
	dek := testDEK(t, 1)
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t)
		plaintext := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "plaintext")
		sealed, err := dek.seal(r, plaintext)
		require.NoError(t, err)
		require.Len(t, sealed, len(plaintext)+Overhead)
		opened, err := dek.open(r, sealed)
		require.NoError(t, err)
		require.True(t, bytes.Equal(plaintext, opened))
	})
}

func TestSealingTwiceNeverLooksTheSame(t *testing.T) {
	dek := testDEK(t, 1)
	r := Record{Kind: "vault", UID: "u", Scope: "s"}
	first, err := dek.seal(r, []byte("same"))
	require.NoError(t, err)
	second, err := dek.seal(r, []byte("same"))
	require.NoError(t, err)
	require.NotEqual(t, first, second)
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	dek := testDEK(t, 1)
	r := Record{
		Kind:    "vault",
		UID:     "u",
		Scope:   "s",
		Version: 3,
		Meta:    []byte("m"),
	}
	sealed, err := dek.seal(r, []byte("hunter2"))
	require.NoError(t, err)
	for bit := range len(sealed) * 8 {
		changed := slices.Clone(sealed)
		changed[bit/8] ^= 1 << (bit % 8)
		_, err := dek.open(r, changed)
		require.ErrorIs(t, err, ErrTampered, "bit %d", bit)
	}
	for n := range sealed {
		_, err := dek.open(r, sealed[:n])
		require.ErrorIs(t, err, ErrTampered, "cut to %d bytes", n)
	}
	_, err = dek.open(r, append(slices.Clone(sealed), 0))
	require.ErrorIs(t, err, ErrTampered, "one byte more")
}

func TestNoRecordOpensAsAnother(t *testing.T) {
	dek := testDEK(t, 1)
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t)
		sealed, err := dek.seal(r, []byte("hunter2"))
		require.NoError(t, err)
		other := r
		switch rapid.IntRange(0, 5).Draw(t, "what") {
		case 0:
			other.Kind = rapid.String().Draw(t, "other")
		case 1:
			other.UID = rapid.String().Draw(t, "other")
		case 2:
			other.Scope = rapid.String().Draw(t, "other")
		case 3:
			other.Version = rapid.Int64().Draw(t, "other")
		case 4:
			other.Meta = rapid.SliceOf(rapid.Byte()).Draw(t, "other")
		case 5: // a byte moves over a border between fields
			other.Kind, other.UID = r.Kind+r.UID[:1], r.UID[1:]
		}
		if other.Kind == r.Kind && other.UID == r.UID && other.Scope == r.Scope &&
			other.Version == r.Version && bytes.Equal(other.Meta, r.Meta) {
			return
		}
		_, err = dek.open(other, sealed)
		require.ErrorIs(t, err, ErrTampered)
	})
}

func TestAnotherDataKeyOpensNothing(t *testing.T) {
	r := Record{Kind: "vault", UID: "u", Scope: "s"}
	sealed, err := testDEK(t, 1).seal(r, []byte("hunter2"))
	require.NoError(t, err)
	_, err = testDEK(t, 2).open(r, sealed)
	require.ErrorIs(t, err, ErrTampered)

	sameID, err := newDataKey(testDEK(t, 1).id, make([]byte, keySize))
	require.NoError(t, err)
	_, err = sameID.open(r, sealed)
	require.ErrorIs(t, err, ErrTampered)
}

func TestARecordNeedsANameToBeSealed(t *testing.T) {
	for why, r := range map[string]Record{
		"no kind":  {UID: "u", Scope: "s"},
		"no uid":   {Kind: "k", Scope: "s"},
		"no scope": {Kind: "k", UID: "u"},
	} {
		_, err := testDEK(t, 1).seal(r, nil)
		require.Error(t, err, why)
	}
}

// TestFormatIsTheDocumentedOne opens a sealed value with an implementation
// written from RFC 5869 and the package comment alone, and then a stored one,
// so that neither code nor format drifts.
func TestFormatIsTheDocumentedOne(t *testing.T) {
	r := Record{
		Kind:    "vault",
		UID:     "0198c1f0-uid",
		Scope:   "org-1",
		Version: 7,
		Meta:    []byte("prod/crm"),
	}
	dek := testDEK(t, 0x10)
	sealed, err := dek.seal(r, []byte("correct horse"))
	require.NoError(t, err)
	require.Equal(t, "correct horse", string(openPlainly(t, bytes.Repeat([]byte{0x11}, 32), r, sealed)))

	stored, err := hex.DecodeString(knownAnswer)
	require.NoError(t, err)
	opened, err := dek.open(r, stored)
	require.NoError(t, err)
	require.Equal(t, "correct horse", string(opened))
	require.Equal(t, "correct horse", string(openPlainly(t, bytes.Repeat([]byte{0x11}, 32), r, stored)))
}

// knownAnswer was sealed once by this package; it must stay readable.
const knownAnswer = "0110101010101010101010101010101010f43806f5c9b42689fffea2df" +
	"895c2f809572fb49da8399139891d35a9b84d036cd0d58af6be4fa8cd3"

func openPlainly(t *testing.T, dek []byte, r Record, sealed []byte) []byte {
	t.Helper()
	mac := func(key []byte, parts ...[]byte) []byte {
		h := hmac.New(sha256.New, key)
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	field := func(s string) []byte {
		return append(binary.BigEndian.AppendUint64(nil, uint64(len(s))), s...)
	}
	prk := mac(make([]byte, 32), dek)
	key := mac(prk, []byte("bctrl seal 1 record"), field(r.Kind), field(r.UID), []byte{1})
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	gcm, err := cipher.NewGCM(block)
	require.NoError(t, err)
	ad := bytes.Join([][]byte{
		{1}, sealed[1:17], field(r.Kind), field(r.UID), field(r.Scope),
		binary.BigEndian.AppendUint64(nil, uint64(r.Version)), field(string(r.Meta)),
	}, nil)
	plaintext, err := gcm.Open(nil, sealed[17:29], sealed[29:], ad)
	require.NoError(t, err)
	return plaintext
}

func FuzzOpenNeverPanics(f *testing.F) {
	dek := testDEK(f, 0x10)
	// A stored value: each worker process of a fuzz run must mean the same one.
	good, err := hex.DecodeString(knownAnswer)
	require.NoError(f, err)
	f.Add(good, "vault", "0198c1f0-uid", int64(7), []byte("prod/crm"))
	f.Add(good[:headSize], "vault", "0198c1f0-uid", int64(7), []byte("prod/crm"))
	f.Add([]byte{}, "", "", int64(-1), []byte{0})
	f.Fuzz(func(t *testing.T, sealed []byte, kind, uid string, version int64, meta []byte) {
		_, err := dek.open(Record{
			Kind:    kind,
			UID:     uid,
			Scope:   "org-1",
			Version: version,
			Meta:    meta,
		}, sealed)
		same := kind == "vault" && uid == "0198c1f0-uid" && version == 7 && string(meta) == "prod/crm" &&
			bytes.Equal(sealed, good)
		if same != (err == nil) || (err != nil && err != ErrTampered) {
			t.Fatalf("the sealed record itself: %t, error: %v", same, err)
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	k := NewKeyring(testKey(b, 1), newMemory())
	require.NoError(b, k.Ensure(context.Background(), "org"))
	r := Record{
		Kind:    "vault",
		UID:     "0198c1f0-0000-7000-8000-000000000000",
		Scope:   "org",
		Version: 1,
		Meta:    make([]byte, 32),
	}
	for _, size := range []int{64, 1024} {
		plaintext := make([]byte, size)
		sealed, err := k.Seal(r, plaintext)
		require.NoError(b, err)
		b.Run(fmt.Sprintf("Seal%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Seal(r, plaintext); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("Open%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Open(r, sealed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
