package fill

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAChallengeIsReadAsItIsWritten(t *testing.T) {
	for _, c := range []struct {
		header, realm string
		basic, asked  bool
	}{
		{`Basic realm="Staff only"`, "Staff only", true, true},
		{`basic REALM=x`, "x", true, true},
		{`Basic realm="a \"b\", c", charset="UTF-8"`, `a "b", c`, true, true},
		{`Basic`, "", true, true},
		{`Digest realm="d", nonce="n", qop="auth", Basic realm="b"`, "b", true, true},
		{"Digest realm=\"d\"\nBasic realm=\"b\"", "b", true, true},
		{`Negotiate`, "", false, true},
		{`Negotiate, Basic realm="b"`, "b", true, true},
		{`Bearer realm="Basic realm=x"`, "", false, true},
		{``, "", false, false},
		{`,`, "", false, false},
		{`="`, "", false, false},
		{`Basic realm="never ends`, "never ends", true, true},
	} {
		realm, basic, asked := BasicChallenge(c.header)
		require.Equal(t, []any{c.realm, c.basic, c.asked}, []any{realm, basic, asked}, c.header)
	}
	rapid.Check(t, func(t *rapid.T) {
		header := rapid.OneOf(rapid.String(), rapid.StringMatching(`(Basic|Digest|a)?[ ,="\\a-z]{0,20}`)).Draw(t, "header")
		_, basic, asked := BasicChallenge(header)
		require.True(t, asked || !basic)
	})
}
