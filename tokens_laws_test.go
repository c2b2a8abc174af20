package bctrl_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/token"
	"github.com/bctrl-go/bctrl/internal/vectors"
)

// tokenRoot is the root key of the tokens that these tests mint.
var (
	tokenRoot    = []byte("the root key of a server in a test")
	tokenExpires = time.UnixMilli(1767323045000).UTC()
)

func minted(t require.TestingT, mounts bctrl.Mounts) bctrl.Secret {
	text, err := json.Marshal(mounts)
	require.NoError(t, err)
	tok, err := token.New(tokenRoot, token.Head{ID: uuid.Max, Organization: uuid.Max, Runtime: uuid.Max}, tokenExpires,
		text)
	require.NoError(t, err)
	return bctrl.NewSecret(tok.Text())
}

// levels are what a token carries, if it is genuine.
func levels(t require.TestingT, text bctrl.Secret) []bctrl.Mounts {
	tok, err := token.Parse(text.Expose())
	require.NoError(t, err)
	require.True(t, tok.Genuine(tokenRoot))
	info, err := bctrl.InspectToken(text)
	require.NoError(t, err)
	return info.Levels
}

// allowed asks the chain about everything in the world.
func (d drawing) allowed(c bctrl.Chain) world {
	w := d.o.permitted(bctrl.Mounts{})
	for action := range w {
		w[action] = c.Allows(action)
	}
	return w
}

// attenuated draws a token and weakens it up to three times, whatever is
// refused of that left out.
func (d drawing) attenuated(mounts bctrl.Mounts) bctrl.Secret {
	tok := minted(d.t, mounts)
	for range rapid.IntRange(0, 3).Draw(d.t, "attenuations") {
		if weaker, err := bctrl.Attenuate(tok, d.declared(), time.Time{}); err == nil {
			tok = weaker
		}
	}
	return tok
}

func TestAttenuatingNeverPermitsAnythingNew(t *testing.T) {
	law(t, func(t *rapid.T, d drawing) {
		above := bctrl.Chain{d.complete(), d.declared()}
		tok := d.attenuated(d.declared())
		before := append(above, levels(t, tok)...)
		m := d.declared()
		// A hostile holder asks no SDK whether it widens.
		parsed, err := token.Parse(tok.Expose())
		require.NoError(t, err)
		text, err := json.Marshal(m)
		require.NoError(t, err)
		forced, err := parsed.Add(token.Caveat{Kind: token.Mounts, Body: text})
		require.NoError(t, err)
		weaker := bctrl.NewSecret(forced.Text())
		if honest, err := bctrl.Attenuate(tok, m, time.Time{}); err == nil && m != (bctrl.Mounts{}) {
			require.True(t, honest.Equal(weaker))
		}
		after := append(above, levels(t, weaker)...)
		had, has := d.allowed(before), d.allowed(after)
		require.True(t, has.within(had), "%v then %v", before, m)
		require.True(t, has.within(d.allowed(above)))
		require.Equal(t, has, d.o.permitted(after.Effective()), "the effective mounts permit what the chain does")
	})
}

func TestAttenuateRefusesEveryWideningOfWhatTheTokenCarries(t *testing.T) {
	law(t, func(t *rapid.T, d drawing) {
		tok := d.attenuated(d.complete()) // nothing is left to levels above
		m := d.declared()
		_, want := bctrl.Chain(levels(t, tok)).Effective().Narrow(m)
		_, got := bctrl.Attenuate(tok, m, time.Time{})
		var wanted, refusal *bctrl.Error
		if !errors.As(want, &wanted) {
			require.NoError(t, got)
			return
		}
		require.ErrorAs(t, got, &refusal)
		// An entry that its own level denies is outside or denied, as one likes.
		require.Equal(t, errors.Is(wanted, bctrl.ErrWidening), errors.Is(refusal, bctrl.ErrWidening))
		require.Equal(t, wanted.Field, refusal.Field)
		require.Equal(t, wanted.Witness, refusal.Witness)
	})
}

func TestAttenuateAcceptsWhateverFits(t *testing.T) {
	law(t, func(t *rapid.T, d drawing) {
		above := bctrl.Chain{d.complete(), d.declared()}
		tok := d.attenuated(d.declared())
		m := d.declared()
		if _, err := append(above, levels(t, tok)...).Effective().Narrow(m); err == nil {
			_, err := bctrl.Attenuate(tok, m, time.Time{})
			require.NoError(t, err)
		}
	})
}

func TestAttenuatingByNothingIsTheIdentity(t *testing.T) {
	law(t, func(t *rapid.T, d drawing) {
		tok := d.attenuated(d.declared())
		same, err := bctrl.Attenuate(tok, bctrl.Mounts{}, time.Time{})
		require.NoError(t, err)
		require.True(t, tok.Equal(same))
	})
}

func TestAnExpiryOnlyComesCloser(t *testing.T) {
	tok := minted(t, bctrl.Mounts{})
	for _, tc := range []struct {
		why     string
		at      time.Time
		witness string
	}{
		{"an hour less", tokenExpires.Add(-time.Hour), ""},
		{"the same", tokenExpires, ""},
		{"long ago", time.Unix(1, 0), ""},
		{"a millisecond more", tokenExpires.Add(time.Millisecond), "2026-01-02T03:04:05.001Z"},
		{"a year more", tokenExpires.AddDate(1, 0, 0), "2027-01-02T03:04:05Z"},
		{"the last time that there is", time.Unix(1<<63-62135596801, 999999999), "292277024627-12-06T15:30:07.999999999Z"},
		{"in 1970, in 64 bits of milliseconds", time.Unix(18446744073710552, 0), "584556019-04-03T14:42:32Z"},
	} {
		weaker, err := bctrl.Attenuate(tok, bctrl.Mounts{}, tc.at)
		if tc.witness == "" {
			require.NoError(t, err, tc.why)
			info, err := bctrl.InspectToken(weaker)
			require.NoError(t, err)
			require.Equal(t, tc.at.UTC(), info.ExpiresAt, tc.why)
			_, err = bctrl.Attenuate(weaker, bctrl.Mounts{}, tc.at.Add(time.Millisecond))
			require.ErrorIs(t, err, bctrl.ErrWidening, tc.why)
			continue
		}
		require.ErrorIs(t, err, bctrl.ErrWidening, tc.why)
		var e *bctrl.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, tc.witness, e.Witness, tc.why)
		require.Equal(t, "expiry", e.Field, tc.why)
	}
	_, err := bctrl.Attenuate(tok, bctrl.Mounts{}, time.Unix(-1, 0))
	require.ErrorIs(t, err, bctrl.ErrInvalid, "before what a token can say")
	rounded, err := bctrl.Attenuate(tok, bctrl.Mounts{}, tokenExpires.Add(-1))
	require.NoError(t, err)
	info, err := bctrl.InspectToken(rounded)
	require.NoError(t, err)
	require.Equal(t, tokenExpires.Add(-time.Millisecond), info.ExpiresAt, "rounded down, never up")
	_, err = bctrl.Attenuate(rounded, bctrl.Mounts{}, tokenExpires.Add(-1))
	require.NoError(t, err, "the same time again")
}

func TestATokenThatGrowsTooLongIsRefused(t *testing.T) {
	tok := minted(t, bctrl.Mounts{})
	var err error
	steps := 0
	for ; err == nil; steps++ {
		require.Less(t, steps, 40)
		tok, err = bctrl.Attenuate(tok, bctrl.Mounts{Storage: &bctrl.StorageMount{Access: bctrl.StorageNone}}, time.Time{})
	}
	require.Equal(t, 31, steps, "30 fit")
	var e *bctrl.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "tokens.too_long", e.Code)
	long := make([]string, 400)
	for i := range long {
		long[i] = "prod/crm/salesforce"
	}
	_, err = bctrl.Attenuate(minted(t, bctrl.Mounts{}), bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: long}}, time.Time{})
	require.ErrorAs(t, err, &e)
	require.Equal(t, "tokens.too_long", e.Code)
}

func TestInspectingAgreesWithTheVectors(t *testing.T) {
	cases, err := vectors.Tokens()
	require.NoError(t, err)
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			info, err := bctrl.InspectToken(bctrl.NewSecret(c.Token))
			_, weaken := bctrl.Attenuate(bctrl.NewSecret(c.Token), bctrl.Mounts{}, time.Time{})
			if c.Malformed || c.Unreadable {
				require.ErrorIs(t, err, bctrl.ErrInvalid, c.Why)
				require.ErrorIs(t, weaken, bctrl.ErrInvalid, c.Why)
				require.Nil(t, info)
				if tail := c.Token[max(0, len(c.Token)-20):]; tail != "" && tail != c.Token {
					require.NotContains(t, err.Error(), tail)
				}
				return
			}
			require.NoError(t, err, c.Why)
			require.NoError(t, weaken, "who cannot check it weakens what may be forged")
			if c.TokenID == "" {
				return
			}
			require.Equal(t, []string{c.TokenID, c.Organization, c.Runtime}, []string{info.ID, info.Organization,
				info.RuntimeID})
			expires, mounts := c.ExpiresMs, 1
			for _, a := range c.Add {
				if a.Mounts != "" {
					mounts++
				} else {
					expires = min(expires, a.ExpiresMs)
				}
			}
			require.Equal(t, expires, info.ExpiresAt.UnixMilli(), c.Why)
			require.Len(t, info.Levels, mounts)
		})
	}
}

// TestAttenuateMakesWhatTheVectorsSay weakens as a user does.
func TestAttenuateMakesWhatTheVectorsSay(t *testing.T) {
	cases, err := vectors.Tokens()
	require.NoError(t, err)
	made := 0
	for _, c := range cases {
		if len(c.Add) == 0 || c.ID == "later-expiry" || c.ID == "wider-mounts" { // which Attenuate refuses
			continue
		}
		made++
		key, err := hex.DecodeString(c.RootKey)
		require.NoError(t, err)
		tok, err := token.New(key, token.Head{ID: uuid.MustParse(c.TokenID), Organization: uuid.MustParse(c.Organization),
			Runtime: uuid.MustParse(c.Runtime)},
			time.UnixMilli(c.ExpiresMs), []byte(c.Mounts))
		require.NoError(t, err)
		text := bctrl.NewSecret(tok.Text())
		for _, a := range c.Add {
			var m bctrl.Mounts
			var expiry time.Time
			if a.Mounts != "" {
				require.NoError(t, json.Unmarshal([]byte(a.Mounts), &m))
			} else {
				expiry = time.UnixMilli(a.ExpiresMs)
			}
			text, err = bctrl.Attenuate(text, m, expiry)
			require.NoError(t, err, c.ID)
		}
		require.Equal(t, c.Token, text.Expose(), c.Why)
	}
	require.Positive(t, made)
}

func FuzzInspectToken(f *testing.F) {
	f.Add(minted(f, bctrl.Mounts{}).Expose(), "{}")
	f.Add("bctrl_rt_", `{"vault":{"allow":["a"]}}`)
	f.Fuzz(func(t *testing.T, text, mounts string) {
		if info, err := bctrl.InspectToken(bctrl.NewSecret(text)); err == nil {
			require.NotEmpty(t, info.Levels)
		}
		// What a genuine holder may append is mounts, or makes the token none.
		tok, err := token.New(tokenRoot, token.Head{}, tokenExpires, []byte(mounts))
		if err != nil {
			return
		}
		info, err := bctrl.InspectToken(bctrl.NewSecret(tok.Text()))
		if err != nil {
			require.ErrorIs(t, err, bctrl.ErrInvalid)
			return
		}
		again, err := json.Marshal(info.Levels[0])
		require.NoError(t, err)
		require.Equal(t, mounts, string(again), "one text for the same mounts")
	})
}

func BenchmarkAttenuate(b *testing.B) {
	tok := minted(b, bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/crm/", "prod/email/"}}})
	lower := bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/crm/salesforce"}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bctrl.Attenuate(tok, lower, tokenExpires); err != nil {
			b.Fatal(err)
		}
	}
}
