package totp

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

func TestSeedsAreReadAsSitesShowThem(t *testing.T) {
	at := time.Unix(59, 0)
	for _, c := range []struct{ seed, why string }{
		{"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "as in the RFC"},
		{"gezdgnbvgy3tqojqgezdgnbvgy3tqojq", "lower case, Google"},
		{"gezd gnbv gy3t qojq gezd gnbv gy3t qojq", "groups of four, GitHub and Google"},
		{"GEZDGN-BVGY3T-QOJQGE-ZDGNBV-GY3TQO-JQ", "groups with hyphens"},
		{"GEZD\u00a0GNBV\u00a0GY3T QOJQGEZDGNBVGY3TQOJQ", "no-break spaces, copied from a page"},
		{" GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n", "a line end from a file"},
		{"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ======", "needless padding"},
		{"otpauth://totp/ACME:bot@example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=ACME&image=https%3A%2F%2Fx",
			"a QR code's text"},
		{"otpauth://totp/?secret=gezdgnbvgy3tqojqgezdgnbvgy3tqojq", "no label, lower case"},
		{"OTPAUTH://TOTP/a%20b?secret=GEZD+GNBV+GY3T+QOJQ+GEZD+GNBV+GY3T+QOJQ&algorithm=sha1&digits=6&period=30",
			"all said, other case"},
	} {
		key, err := Parse(bctrl.NewSecret(c.seed))
		require.NoError(t, err, c.why)
		code, _ := key.Code(at)
		require.Equal(t, "287082", code.Expose(), c.why)
	}
}

func TestURIsSayAlgorithmDigitsAndPeriod(t *testing.T) {
	key, err := Parse(bctrl.NewSecret("otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ&algorithm=SHA512&digits=8&period=60"))
	require.NoError(t, err)
	require.Equal(t, SHA512, key.Algorithm())
	require.Equal(t, 8, key.Digits())
	require.Equal(t, time.Minute, key.Period())
}

func TestWrongSeedsAreRefusedWithoutRepeatingThem(t *testing.T) {
	const canary = "QQQQQQQQQQQQQQQQ" // 80 bits of valid base32
	const valid = "otpauth://totp/" + canary + "?secret=" + canary
	for _, c := range []struct{ seed, says, why string }{
		{"", "empty", "nothing"},
		{" \n", "empty", "nothing but white space"},
		{"otpauth://totp/x", "empty", "no secret in the URI"},
		{canary[:15], "cut short", "72 bits"},
		{"QQQQQQQQ", "cut short", "40 bits"},
		{"----====", "cut short", "separators alone"},
		{canary + "Q", "not base32", "a length that no bytes have"},
		{canary + "1", "not base32", "1 is not in the alphabet"},
		{canary + "0", "not base32", "0 is not in the alphabet"},
		{canary + "=Q", "not base32", "padding inside"},
		{canary + "\tQQ", "not base32", "a tab inside"},
		{canary + "QÉ", "not base32", "not ASCII"},
		{canary[1:] + "\u017f", "not base32", "not ASCII, but upper-cases to S"},
		{strings.Repeat("Q", 1000), "more than", "too many bits"},
		{strings.Repeat("Q", maxText+1), "longer", "a file pasted"},
		{"https://totp/x?secret=" + canary, "neither", "another scheme"},
		{"otpauth:" + canary, "another kind", "no host"},
		{"otpauth://hotp/x?counter=1&secret=" + canary, "another kind", "counter based"},
		{"otpauth://totp/%zz?secret=" + canary, "well-formed", "a broken escape in the label"},
		{"otpauth://totp/x?secret=" + canary + "%zz", "well-formed", "a broken escape in the query"},
		{"otpauth://totp/x?a;b&secret=" + canary, "well-formed", "a semicolon"},
		{"otpauth://totp/ACME #1:bot?secret=" + canary, "#", "a bare # in the label"},
		{"otpauth://totp/x?issuer=A#1&digits=8&secret=" + canary, "#", "a bare # in the issuer"},
		{valid + "#", "#", "nothing behind it, but a site's page may have had"},
		{"otpauth://totp/What?:bot?secret=" + canary, "%3F", "a bare ? in the label"},
		{"otpauth://totp/100%:bot?secret=" + canary, "%25", "a bare % in the label"},
		{"otpauth://totp/x?issuer=100%&secret=" + canary, "%25", "a bare % in the issuer"},
		{"otpauth://totp/x?issuer=A&amp;secret=" + canary, "%3B", "copied from a page's source"},
		{"otpauth://totp/x&secret=" + canary, "secret is missing", "no question mark"},
		{"otpauth://totp/x?SECRET=" + canary, "lower case", "it would be overlooked"},
		{valid + "&Digits=8", "lower case", "six digits would be made"},
		{valid + "&PERIOD=60", "lower case", "codes would be of 30 seconds"},
		{valid + "&interval=60", "interval", "codes would be of 30 seconds"},
		{valid + "&algo=SHA256", "algo", "codes would be of SHA-1"},
		{valid + "&pin=1234", "pin", "codes would be without it"},
		{valid + "&encoder=steam", "Steam", "five letters, not six digits"},
		{valid + "&encoder=STEAM", "Steam", "in another case"},
		{valid + "&encoder=" + canary, "encoder", "one that nobody knows"},
		{valid + "&encoder=&encoder=steam", "more than one encoder", "which one counts?"},
		{valid + "&issuer=Steam", "Steam", "as its exports say it"},
		{valid + "&issuer=x&issuer=steam%20", "Steam", "a second issuer"},
		{"otpauth://totp/Steam:bot?secret=" + canary, "Steam", "as the label says it"},
		{"otpauth://totp/steam%3Abot?secret=" + canary, "Steam", "as an escaped label says it"},
		{"otpauth://steam/x?secret=" + canary, "Steam", "as a kind"},
		{"steam://" + canary, "Steam", "as a scheme"},
		{"otpauth://yaotp/x?secret=" + canary, "another kind", "Yandex"},
		{"motp://x?secret=" + canary, "neither", "Mobile-OTP"},
		{"otpauth-migration://offline?data=" + canary, "export", "an export of many"},
		{"otpauth://hotp/x?counter=1&secret=" + canary, "counted", "counter based"},
		{valid + "&secret=" + canary, "more than one secret", "which one counts?"},
		{valid + "&digits=6&digits=7", "more than one digits", "which one counts?"},
		{valid + "&algorithm=MD5", "algorithm", "not of RFC 6238"},
		{valid + "&digits=5", "digits", "below 6"},
		{valid + "&digits=9", "digits", "above 8"},
		{valid + "&digits=", "digits", "empty"},
		{valid + "&digits=" + canary, "digits", "not a number"},
		{valid + "&digits=+6", "digits", "a sign"},
		{valid + "&period=14", "period", "below 15"},
		{valid + "&period=121", "period", "above 120"},
		{valid + "&period=30s", "period", "a unit"},
		{valid + "&period=0", "period", "would divide by zero"},
		{valid + "&period=99999999999999999999", "period", "overflows"},
	} {
		_, err := Parse(bctrl.NewSecret(c.seed))
		require.ErrorContains(t, err, c.says, c.why)
		require.NotContains(t, err.Error(), "QQQ", c.why)
	}
}

func TestTheLimitsThemselvesAreAccepted(t *testing.T) {
	const valid = "otpauth://totp/x?secret=QQQQQQQQQQQQQQQQ"
	for _, text := range []string{"&digits=6", "&digits=8", "&period=15", "&period=120"} {
		_, err := Parse(bctrl.NewSecret(valid + text))
		require.NoError(t, err, text)
	}
}

func FuzzParseNeverPanics(f *testing.F) {
	f.Add("GEZD GNBV GY3T QOJQ")
	f.Add("otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ&algorithm=SHA256&digits=7&period=45")
	f.Add("otpauth://totp/%zz?secret=:")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := Parse(bctrl.NewSecret(text))
		if err != nil {
			if err.Error() == text {
				t.Fatal("the error is the seed")
			}
			return
		}
		code, expires := key.Code(time.Unix(1<<33, 0))
		if n := len(code.Expose()); n != key.Digits() {
			t.Fatalf("%d digits", n)
		}
		if wait := time.Until(expires) - time.Until(time.Unix(1<<33, 0)); wait > key.Period()+time.Second {
			t.Fatalf("expires after %v", wait)
		}
	})
}
