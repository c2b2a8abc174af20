package seal

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

func TestABundleOpensByItsPassphraseAlone(t *testing.T) {
	passphrase := bctrl.NewSecret("correct horse battery")
	text := []byte("what is sealed")
	bundle, err := NewBundle(passphrase, "cookies", text)
	require.NoError(t, err)
	require.False(t, bytes.Contains(bundle, text))
	again, err := NewBundle(passphrase, "cookies", text)
	require.NoError(t, err)
	require.False(t, bytes.Equal(bundle[10:], again[10:]), "each has a salt of its own")
	got, err := OpenBundle(passphrase, "cookies", bundle)
	require.NoError(t, err)
	require.True(t, bytes.Equal(text, got))

	costly := bytes.Replace(bundle, []byte(`"memoryKiB":65536`), []byte(`"memoryKiB":99999`), 1)
	require.False(t, bytes.Equal(costly, bundle))
	for _, tc := range []struct {
		why, passphrase, purpose string
		bundle                   []byte
		want                     error
	}{
		{"another passphrase", "correct horse batterx", "cookies", bundle, ErrWrongKey},
		{"no passphrase", "", "cookies", bundle, ErrPassphrase},
		{"another purpose", passphrase.Expose(), "backup", bundle, ErrTampered},
		{"nothing", passphrase.Expose(), "cookies", nil, ErrTampered},
		{"cut at its beginning", passphrase.Expose(), "cookies", bundle[:40], ErrTampered},
		{"cut at its end", passphrase.Expose(), "cookies", bundle[:len(bundle)-1], ErrTampered},
		{"longer", passphrase.Expose(), "cookies", append(slices.Clone(bundle), 0), ErrTampered},
		{"one that would take much memory", passphrase.Expose(), "cookies", costly, ErrTampered},
		{"another derivation", passphrase.Expose(), "cookies",
			append(slices.Clone(again[:len(again)-len(text)-nonceSize-tagSize]),
				bundle[len(bundle)-len(text)-nonceSize-tagSize:]...), ErrTampered},
	} {
		_, err := OpenBundle(bctrl.NewSecret(tc.passphrase), tc.purpose, tc.bundle)
		require.ErrorIs(t, err, tc.want, tc.why)
	}
	_, err = NewBundle(bctrl.NewSecret("too short"), "cookies", text)
	require.ErrorIs(t, err, ErrPassphrase)
}
