package lockbox

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/davecgh/go-spew/spew"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func closed(t require.TestingT, l Lock, purpose string, content []byte, step int) []byte {
	var box bytes.Buffer
	w, err := l.Close(&box, purpose)
	require.NoError(t, err)
	for len(content) > 0 {
		n := min(step, len(content))
		_, err := w.Write(content[:n])
		require.NoError(t, err)
		content = content[n:]
	}
	require.NoError(t, w.Close())
	return box.Bytes()
}

func opened(k Key, purpose string, box []byte) ([]byte, error) {
	r, err := k.Open(bytes.NewReader(box), purpose)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func TestWhatALockClosedItsKeyOpens(t *testing.T) {
	kept, err := NewKey()
	require.NoError(t, err)
	raw, err := kept.Bytes()
	require.NoError(t, err)
	require.Len(t, raw, KeySize)
	key, err := ParseKey(raw)
	require.NoError(t, err)
	text, err := kept.Lock().MarshalText()
	require.NoError(t, err)
	var lock Lock
	require.NoError(t, lock.UnmarshalText(text))
	rapid.Check(t, func(rt *rapid.T) {
		sizes := []int{0, 1, pieceSize - 1, pieceSize, pieceSize + 1, 2 * pieceSize, 150_000}
		size := rapid.SampledFrom(sizes).Draw(rt, "size")
		step := rapid.SampledFrom([]int{1000, pieceSize, 1 << 20}).Draw(rt, "step")
		content := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
		box := closed(rt, lock, "p", content, step)
		got, err := opened(key, "p", box)
		require.NoError(rt, err)
		require.True(rt, bytes.Equal(content, got))

		bad := bytes.Clone(box)
		bad[rapid.IntRange(0, len(bad)-1).Draw(rt, "at")] ^= 1
		_, err = opened(key, "p", bad)
		require.ErrorIs(rt, err, ErrDamaged, "changed")
		_, err = opened(key, "p", box[:rapid.IntRange(0, len(box)-1).Draw(rt, "cut")])
		require.ErrorIs(rt, err, ErrDamaged, "cut")
		_, err = opened(key, "p", append(bytes.Clone(box), 0))
		require.ErrorIs(rt, err, ErrDamaged, "longer")
	})
}

func TestABoxOpensForNothingElse(t *testing.T) {
	key, err := NewKey()
	require.NoError(t, err)
	other, err := NewKey()
	require.NoError(t, err)
	content := bytes.Repeat([]byte("x"), 3*pieceSize)
	box := closed(t, key.Lock(), "cookies", content, pieceSize)
	const sealed = pieceSize + tagSize
	swapped := bytes.Clone(box)
	copy(swapped[encSize:], box[encSize+sealed:encSize+2*sealed])
	copy(swapped[encSize+sealed:], box[encSize:encSize+sealed])
	for _, tc := range []struct {
		why, purpose string
		key          Key
		box          []byte
	}{
		{"another key", "cookies", other, box},
		{"another purpose", "data", key, box},
		{"whole pieces exchanged", "cookies", key, swapped},
		{"a whole piece less", "cookies", key, box[:encSize+2*sealed]},
		{"the first piece twice", "cookies", key, append(bytes.Clone(box[:encSize+sealed]), box[encSize:]...)},
		{"nothing", "cookies", key, nil},
	} {
		_, err := opened(tc.key, tc.purpose, tc.box)
		require.ErrorIs(t, err, ErrDamaged, tc.why)
	}
	_, err = ParseKey([]byte("short"))
	require.ErrorIs(t, err, ErrDamaged)
	require.ErrorIs(t, new(Lock).UnmarshalText([]byte("!")), ErrDamaged)
	require.ErrorIs(t, new(Lock).UnmarshalText([]byte("AAAA")), ErrDamaged)
	_, err = Lock{}.Close(io.Discard, "p")
	require.Error(t, err)
	raw, err := key.Bytes()
	require.NoError(t, err)
	for _, shown := range []string{fmt.Sprintf("%v %+v %#v", key, key, key), spew.Sdump(key)} {
		require.False(t, strings.Contains(shown, fmt.Sprint(raw)) || strings.Contains(shown, fmt.Sprintf("%x", raw[:8])),
			"no printer shows the key")
	}
}
