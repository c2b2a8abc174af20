package seal

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

func TestAPassphraseGivesTheSameKeyAgain(t *testing.T) {
	right := bctrl.NewSecret("correct horse battery staple")
	made, stored, err := NewPassphrase(right)
	require.NoError(t, err)
	require.NotContains(t, string(stored), "horse")
	again, err := FromPassphrase(stored, right)
	require.NoError(t, err)
	require.Equal(t, made.ID(), again.ID())

	_, err = FromPassphrase(stored, bctrl.NewSecret("correct horse battery stable"))
	require.ErrorIs(t, err, ErrWrongKey)
	require.NotContains(t, err.Error(), "horse")
	_, err = FromPassphrase(stored, bctrl.Secret{})
	require.ErrorIs(t, err, ErrPassphrase)
	other, _, err := NewPassphrase(right)
	require.NoError(t, err)
	require.NotEqual(t, made.ID(), other.ID(), "a salt of its own each time")
}

func TestAPassphraseTooShortOrTooLongIsRefused(t *testing.T) {
	for _, text := range []string{"", "ééééééééééé", /* 11 characters, 22 bytes */
		strings.Repeat("x", maxPassphrase+1)} {
		_, _, err := NewPassphrase(bctrl.NewSecret(text))
		require.ErrorIs(t, err, ErrPassphrase, len(text))
	}
}

func TestADamagedDerivationIsRefusedBeforeAnyWork(t *testing.T) {
	good := derivation{
		KDF:       kdfName,
		Time:      1,
		MemoryKiB: 64,
		Threads:   1,
		Salt:      make([]byte, saltSize),
		KeyID:     "0011223344556677",
	}
	require.True(t, good.sane())
	for why, change := range map[string]func(*derivation){
		"another function":          func(d *derivation) { d.KDF = "argon2i" },
		"no time, which panics":     func(d *derivation) { d.Time = 0 },
		"hours of time":             func(d *derivation) { d.Time = 1 << 31 },
		"no threads, which panics":  func(d *derivation) { d.Threads = 0 },
		"less memory than threads":  func(d *derivation) { d.MemoryKiB = 7 },
		"more memory than there is": func(d *derivation) { d.MemoryKiB = 1 << 31 },
		"no salt":                   func(d *derivation) { d.Salt = nil },
		"nothing to check against":  func(d *derivation) { d.KeyID = "" },
	} {
		d := good
		change(&d)
		text, err := json.Marshal(d)
		require.NoError(t, err)
		_, err = FromPassphrase(text, bctrl.NewSecret("correct horse"))
		require.ErrorIs(t, err, ErrBadKey, why)
	}
	_, err := FromPassphrase([]byte("{"), bctrl.NewSecret("correct horse"))
	require.ErrorIs(t, err, ErrBadKey)
}
