package web

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAKeyHasAnOrderOnlyWhereItHoldsATime(t *testing.T) {
	for _, c := range []struct{ key, order, why string }{
		{"0193a5f2-7c1b-7d3a-9f00-0123456789ab", "0193a5f27c1b", "a version 7 UUID"},
		{"0193A5F2-7C1B-7D3A-9F00-0123456789AB", "0193a5f27c1b", "the same in capitals"},
		{"0193a5f2-7c1b-4d3a-9f00-0123456789ab", "", "a random UUID"},
		{"0193a5f27c1b7d3a9f000123456789ab", "", "another form"},
		{"{0193a5f2-7c1b-7d3a-9f00-0123456789ab}", "", "another form"},
		{"0193a5f2-7c1b-7d3a-9f00-0123456789ag", "", "no UUID"},
		{"order/0193a5f2/7c1b/7d3a/9f00/0123456789", "", "no UUID"},
		{"x", "", "no UUID"},
	} {
		require.Equal(t, c.order, orderOf(c.key), "%s: %s", c.key, c.why)
	}
}

func TestAFingerprintHasEveryLineOfConditionsAndDigests(t *testing.T) {
	of := func(headers ...string) string {
		rq := &Request{Request: httptest.NewRequest("PUT", "/f", strings.NewReader("body")), Route: &Route{}}
		for i := 0; i < len(headers); i += 2 {
			rq.Header.Add(headers[i], headers[i+1])
		}
		sum, err := rq.Fingerprint()
		require.NoError(t, err)
		return hex.EncodeToString(sum)
	}
	before := func(parts ...string) string { // as it was when there was only one line of each
		sum := sha256.Sum256([]byte(strings.Join(parts, "\x00") + "\x00"))
		return hex.EncodeToString(sum[:])
	}
	require.Equal(t, before("PUT", "/f", "", "", "", "", "", "", "4"), of(), "answers that were kept are found")
	require.Equal(t, before("PUT", "/f", "", "a", "b", "", "c", "d", "4"),
		of("If-Match", "a", "If-None-Match", "b", "Repr-Digest", "c", "Content-Digest", "d"))
	seen := map[string][]string{of(): nil}
	for _, name := range []string{"If-Match", "If-None-Match", "Repr-Digest", "Content-Digest"} {
		for _, headers := range [][]string{
			{name, ""}, {name, "a"}, {name, "a", name, ""}, {name, "", name, "a"}, {name, "a", name, "b"}, {name, "", name, ""},
		} {
			require.NotContains(t, seen, of(headers...), "%q and %q", headers, seen[of(headers...)])
			seen[of(headers...)] = headers
		}
	}
}
