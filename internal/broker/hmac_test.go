package broker

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// TestAMACProvesTheRequest lets the provider compute it from what arrived.
func TestAMACProvesTheRequest(t *testing.T) {
	const key, body = "shared-key-0123456789", `{"a":"é"}`
	b256 := sha256.Sum256([]byte(body))
	b512 := sha512.Sum512([]byte(body))
	for _, c := range []struct {
		why, secret string
		auth        bctrl.HMACAuth
		message     string
		want        func(message string) string
	}{
		{
			"the default", key, bctrl.HMACAuth{Algorithm: "sha256"}, "1795348800\nPOST\n/v1/a%2Fb?x=1&y=2\n" +
				hex.EncodeToString(b256[:]),
			func(m string) string { return hex.EncodeToString(mac256([]byte(key), m)) },
		},
		{
			"another hash, encoding and time", base64.StdEncoding.EncodeToString([]byte(key)),
			bctrl.HMACAuth{
				Algorithm:   "sha512",
				Encoding:    "base64",
				KeyEncoding: "base64",
				Timestamp:   "unix-ms",
			},
			"1795348800000\nPOST\n/v1/a%2Fb?x=1&y=2\n" + hex.EncodeToString(b512[:]),
			func(m string) string {
				h := hmac.New(sha512.New, []byte(key))
				h.Write([]byte(m))
				return base64.StdEncoding.EncodeToString(h.Sum(nil))
			},
		},
		{
			"a message of its own", hex.EncodeToString([]byte(key)),
			bctrl.HMACAuth{
				Algorithm:   "sha256",
				KeyEncoding: "hex",
				Timestamp:   "rfc3339",
				Message:     "v0:{timestamp}:{path}:{body}:{bodyHash}",
			},
			"v0:2026-11-22T12:00:00Z:/v1/a%2Fb:" + body + ":" + hex.EncodeToString(b256[:]),
			func(m string) string { return hex.EncodeToString(mac256([]byte(key), m)) },
		},
		{
			"the body alone", key, bctrl.HMACAuth{Algorithm: "sha256", Message: "{body}"}, body,
			func(m string) string { return hex.EncodeToString(mac256([]byte(key), m)) },
		},
	} {
		var got http.Header
		var text string
		b, base := provider(t, func(w http.ResponseWriter, r *http.Request) {
			got = r.Header.Clone()
			raw, _ := io.ReadAll(r.Body)
			text = string(raw)
			fmt.Fprint(w, r.Header.Get("X-Signature"))
		})
		b.now = func() time.Time { return noon }
		client, err := b.Client(Target{
			BaseURL: base,
			Auth:    hmacAuth(c.auth),
			Secrets: secrets("secret", c.secret, "keyId", "key-1"),
		})
		require.NoError(t, err, c.why)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/v1/a%2Fb?x=1&y=2",
			io.MultiReader(strings.NewReader(body)))
		require.NoError(t, err)
		_, answer := send(t, client, req)
		require.Equal(t, "v1="+c.want(c.message), got.Get("X-Signature"), c.why)
		require.Equal(t, "key-1", got.Get("X-Key-Id"), c.why)
		require.Equal(t, body, text, "%s: the body arrives whole", c.why)
		require.Equal(t, "v1=[secret]", answer, "%s: the signature does not come back", c.why)
		for name, values := range got {
			require.NotContains(t, strings.Join(values, " "), c.secret, "%s: %s", c.why, name)
			require.NotContains(t, strings.Join(values, " "), key, "%s: %s", c.why, name)
		}
	}
}

// TestASignatureInTheQuery covers the target without itself.
func TestASignatureInTheQuery(t *testing.T) {
	b, base, last := recording(t)
	b.now = func() time.Time { return noon }
	auth := bctrl.CredentialAuth{
		Type:  bctrl.AuthHMAC,
		HMAC:  &bctrl.HMACAuth{Algorithm: "sha256", Message: "{method} {target}"},
		Query: map[string]string{"key": "{keyId}", "signature": "{signature}"},
	}
	c, err := b.Client(Target{BaseURL: base, Auth: auth, Secrets: secrets("secret", canary, "keyId", "k1")})
	require.NoError(t, err)
	send(t, c, request(t, t.Context(), base+"/order?amount=1"))
	want := hex.EncodeToString(mac256([]byte(canary), "POST /order?amount=1&key=k1"))
	require.Equal(t, "/order?amount=1&key=k1&signature="+want, last.target)
}

func TestWhatTheSignatureStandsBesideFitsAHeader(t *testing.T) {
	b, base := provider(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	for _, c := range []struct {
		why, keyID string
		length     int64
		want       error
	}{
		{"a line break", "canary\r\nX-Evil: 1", 4, ErrTarget},
		{"a body of another length than it declares", "key-1", 5, ErrUnsignable},
	} {
		auth := hmacAuth(bctrl.HMACAuth{Algorithm: "sha256"})
		auth.Headers["X-Key-Id"] = "{keyId}-{timestamp}"
		client, err := b.Client(Target{BaseURL: base, Auth: auth, Secrets: secrets("secret", canary, "keyId", c.keyID)})
		require.NoError(t, err, c.why)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base, io.MultiReader(strings.NewReader("body")))
		require.NoError(t, err)
		req.ContentLength = c.length
		_, err = client.Do(req)
		require.ErrorIs(t, err, c.want, c.why)
		require.NotContains(t, err.Error(), "canary", c.why)
	}
}
