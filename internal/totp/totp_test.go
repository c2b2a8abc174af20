package totp

import (
	"encoding/base32"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	oracle "github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
)

// uri is an otpauth URI of raw seed bytes.
func uri(seed []byte, algorithm Algorithm, digits, period int) bctrl.Secret {
	return bctrl.NewSecret(fmt.Sprintf("otpauth://totp/Label?secret=%s&algorithm=%s&digits=%d&period=%d",
		base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(seed), algorithm, digits, period))
}

// TestCodesAreThoseOfTheRFC runs RFC 6238, appendix B. The seeds of the longer
// hashes are those of the reference code in appendix A.
func TestCodesAreThoseOfTheRFC(t *testing.T) {
	ascii := strings.Repeat("1234567890", 7)
	for _, c := range []struct {
		at                   int64
		sha1, sha256, sha512 string
	}{
		{59, "94287082", "46119246", "90693936"},
		{1111111109, "07081804", "68084774", "25091201"},
		{1111111111, "14050471", "67062674", "99943326"},
		{1234567890, "89005924", "91819424", "93441116"},
		{2000000000, "69279037", "90698825", "38618901"},
		{20000000000, "65353130", "77737706", "47863826"},
	} {
		for _, h := range []struct {
			algorithm Algorithm
			seed      int
			want      string
		}{{SHA1, 20, c.sha1}, {SHA256, 32, c.sha256}, {SHA512, 64, c.sha512}} {
			key, err := Parse(uri([]byte(ascii[:h.seed]), h.algorithm, 8, 30))
			require.NoError(t, err)
			code, expires := key.Code(time.Unix(c.at, 0))
			require.Equal(t, h.want, code.Expose(), "%s at %d", h.algorithm, c.at)
			require.Equal(t, (c.at/30+1)*30, expires.Unix())
		}
	}
}

func TestCodesAgreeWithAnotherImplementation(t *testing.T) {
	algorithms := map[Algorithm]otp.Algorithm{SHA1: otp.AlgorithmSHA1, SHA256: otp.AlgorithmSHA256,
		SHA512: otp.AlgorithmSHA512}
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), minSeed, 100).Draw(t, "seed")
		algorithm := rapid.SampledFrom([]Algorithm{SHA1, SHA256, SHA512}).Draw(t, "algorithm")
		digits := rapid.IntRange(minDigits, maxDigits).Draw(t, "digits")
		period := rapid.IntRange(15, 120).Draw(t, "period")
		at := time.Unix(rapid.Int64Range(0, 1<<40).Draw(t, "at"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))

		key, err := Parse(uri(seed, algorithm, digits, period))
		require.NoError(t, err)
		code, expires := key.Code(at)
		want, err := oracle.GenerateCodeCustom(base32.StdEncoding.EncodeToString(seed), at, oracle.ValidateOpts{
			Period: uint(period), Digits: otp.Digits(digits), Algorithm: algorithms[algorithm],
		})
		require.NoError(t, err)
		require.Equal(t, want, code.Expose())

		require.True(t, expires.After(at))
		last, _ := key.Code(expires.Add(-1))
		require.True(t, last.Equal(code), "the code changed before it expired")
		require.LessOrEqual(t, expires.Sub(at), key.Period())
		_, next := key.Code(expires)
		require.Equal(t, key.Period(), next.Sub(expires))
	})
}

func TestTimesBefore1970HaveAPeriodToo(t *testing.T) {
	key, err := Parse(bctrl.NewSecret("GEZDGNBVGY3TQOJQ"))
	require.NoError(t, err)
	for _, at := range []int64{-1, -29, -30, -31, 0} {
		_, expires := key.Code(time.Unix(at, 0))
		require.Equal(t, int64(math.Floor(float64(at)/30)+1)*30, expires.Unix(), "%d", at)
	}
}

func TestTheZeroKeyHasNoCode(t *testing.T) {
	code, expires := Key{}.Code(time.Now())
	require.True(t, code.IsZero())
	require.True(t, expires.IsZero())
}

func TestNoPrinterShowsASeed(t *testing.T) {
	key, err := Parse(bctrl.NewSecret("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"))
	require.NoError(t, err)
	code, _ := key.Code(time.Unix(59, 0))
	text := fmt.Sprintf("%v %+v %#v %+v %s", key, key, key, &key, code)
	require.NotContains(t, text, "GEZD")
	require.NotContains(t, text, "1234567890")
	require.NotContains(t, text, code.Expose())
}

func BenchmarkCode(b *testing.B) {
	key, err := Parse(bctrl.NewSecret("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"))
	require.NoError(b, err)
	at := time.Unix(1234567890, 0)
	b.ReportAllocs()
	for b.Loop() {
		key.Code(at)
	}
}
