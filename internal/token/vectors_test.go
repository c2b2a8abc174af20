package token

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/vectors"
)

func TestTokensAgreeWithTheVectors(t *testing.T) {
	cases, err := vectors.Tokens()
	require.NoError(t, err)
	made := 0
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			key, err := hex.DecodeString(c.RootKey)
			require.NoError(t, err)
			tok, err := Parse(c.Token)
			if c.Malformed {
				require.ErrorIs(t, err, ErrMalformed, c.Why)
				return
			}
			require.NoError(t, err, c.Why)
			require.Equal(t, c.Genuine, tok.Genuine(key), c.Why)
			if c.TokenID == "" {
				return
			}
			made++
			again, err := New(key, Head{uuid.MustParse(c.TokenID), uuid.MustParse(c.Organization), uuid.MustParse(c.Runtime)},
				time.UnixMilli(c.ExpiresMs), []byte(c.Mounts))
			require.NoError(t, err)
			for _, a := range c.Add {
				caveat := Caveat{Mounts, []byte(a.Mounts)}
				if a.Mounts == "" {
					caveat = ExpiryAt(time.UnixMilli(a.ExpiresMs))
				}
				again, err = again.Add(caveat)
				require.NoError(t, err)
			}
			require.Equal(t, c.Token, again.Text(), c.Why)
		})
	}
	require.Positive(t, made)
}
