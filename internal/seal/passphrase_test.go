package seal

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

func TestAPassphraseGivesTheSameKeyAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passphrase.json")
	right := bctrl.NewSecret("correct horse battery staple")
	_, err := FromPassphrase(path, right)
	require.ErrorIs(t, err, fs.ErrNotExist)
	made, err := CreatePassphrase(path, right)
	require.NoError(t, err)
	again, err := FromPassphrase(path, right)
	require.NoError(t, err)
	require.Equal(t, made.ID(), again.ID())

	_, err = CreatePassphrase(path, right)
	require.ErrorIs(t, err, fs.ErrExist)
	_, err = FromPassphrase(path, bctrl.NewSecret("correct horse battery stable"))
	require.ErrorIs(t, err, ErrWrongKey)
	require.NotContains(t, err.Error(), "horse")
	_, err = FromPassphrase(path, bctrl.Secret{})
	require.ErrorContains(t, err, "empty")

	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(text), "horse")
	require.NoError(t, os.Chmod(path, 0o644))
	_, err = FromPassphrase(path, right)
	require.ErrorIs(t, err, ErrTooOpen)
}

func TestAShortPassphraseIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passphrase.json")
	_, err := CreatePassphrase(path, bctrl.NewSecret("ééééééééééé")) // 11 characters, 22 bytes
	require.ErrorContains(t, err, "12 characters")
	require.NoFileExists(t, path)
}

func TestADamagedPassphraseFileIsRefusedBeforeAnyWork(t *testing.T) {
	good := derivation{KDF: kdfName, Time: 1, MemoryKiB: 64, Threads: 1, Salt: make([]byte, saltSize), KeyID: "0011223344556677"}
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
		path := filepath.Join(t.TempDir(), "passphrase.json")
		require.NoError(t, os.WriteFile(path, text, 0o600))
		_, err = FromPassphrase(path, bctrl.NewSecret("correct horse"))
		require.ErrorIs(t, err, ErrBadKey, why)
	}
}
