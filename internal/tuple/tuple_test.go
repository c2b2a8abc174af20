package tuple_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl/internal/tuple"
)

func TestTheBytesAreTheOnesInDatabases(t *testing.T) {
	got := tuple.New(0).Text("ab", "").Bytes([]byte{0xff}).Number(-1, 258).Flag(true).Flag(false).Fixed(258)
	require.Equal(t, "\x00\x00\x00\x00\x00\x00\x00\x02ab"+
		"\x00\x00\x00\x00\x00\x00\x00\x00"+
		"\x00\x00\x00\x00\x00\x00\x00\x01\xff"+
		"\x00\x00\x00\x00\x00\x00\x00\x08\xff\xff\xff\xff\xff\xff\xff\xff"+
		"\x00\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x01\x02"+
		"\x00\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x01"+
		"\x00\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00"+
		"\x00\x00\x00\x00\x00\x00\x01\x02", string(got))
}

func TestNoTwoListsHaveTheSameBytes(t *testing.T) {
	// Few different bytes, zeros and lengths among them, so that texts look like
	// what parts them.
	texts := rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune{0, 1, 8, 'a'}), 0, 20, -1), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		a, b := texts.Draw(t, "a"), texts.Draw(t, "b")
		same := string(tuple.New(0).Text(a...)) == string(tuple.New(0).Text(b...))
		require.Equal(t, slices.Equal(a, b), same)
	})
}

func TestAppendingLeavesWhatWasThere(t *testing.T) {
	e := tuple.New(64).Text("a")
	one, two := e.Text("b"), tuple.New(0).Text("a", "b")
	require.Equal(t, two, one)
	require.Equal(t, tuple.New(0).Text("a"), e)
}
