package bctrl

import (
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/wire"
)

func TestADeliveryIsVerifiedByItsSignatureAndItsTime(t *testing.T) {
	secret := NewSecret(wire.NewWebhookSecret([]byte("0123456789abcdef0123456789abcdef")))
	other := NewSecret(wire.NewWebhookSecret([]byte("fedcba9876543210fedcba9876543210")))
	body := []byte(`{"id":"e-1","type":"runtime.stopped","data":{"alias":"crm"}}`)
	synctest.Test(t, func(t *testing.T) {
		signed := func(at time.Time, by ...Secret) http.Header {
			h := http.Header{}
			h.Set("webhook-id", "e-1")
			h.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
			text := "v2,whatever"
			for _, s := range by {
				signature, ok := wire.WebhookSignature(s.Expose(), "e-1", at.Unix(), body)
				require.True(t, ok)
				text += " " + signature
			}
			h.Set("webhook-signature", text)
			return h
		}
		now := time.Now()
		changed := func(name, value string) http.Header {
			h := signed(now, secret)
			h.Set(name, value)
			return h
		}
		for _, c := range []struct {
			header  http.Header
			secrets []Secret
			code    string
			why     string
		}{
			{signed(now, secret), []Secret{secret}, "", "as it was sent"},
			{signed(now, secret, other), []Secret{other}, "", "in an overlap both sign"},
			{signed(now, secret), []Secret{other, secret}, "", "a receiver may know both"},
			{signed(now.Add(-299*time.Second), secret), []Secret{secret}, "", "on its way for a while"},
			{signed(now.Add(299*time.Second), secret), []Secret{secret}, "", "the sender's clock goes before"},
			{signed(now.Add(-301*time.Second), secret), []Secret{secret}, "webhooks.bad_timestamp", "sent again by somebody"},
			{signed(now.Add(301*time.Second), secret), []Secret{secret}, "webhooks.bad_timestamp", "from the future"},
			{signed(now, other), []Secret{secret}, "webhooks.bad_signature", "another's"},
			{signed(now, secret), nil, "webhooks.bad_signature", "no secret"},
			{signed(now, secret), []Secret{{}, NewSecret("whsec_"), NewSecret("x")}, "webhooks.bad_signature", "none is one"},
			{changed("webhook-id", "e-2"), []Secret{secret}, "webhooks.bad_signature", "another id"},
			{changed("webhook-timestamp", strconv.FormatInt(now.Unix()+1, 10)), []Secret{secret}, "webhooks.bad_signature",
				"another time"},
			{changed("webhook-timestamp", "soon"), []Secret{secret}, "webhooks.unsigned", "no time"},
			{http.Header{}, []Secret{secret}, "webhooks.unsigned", "anybody's request"},
		} {
			e, err := VerifyWebhook(c.header, body, c.secrets...)
			if c.code == "" {
				require.NoError(t, err, c.why)
				require.Equal(t, StoppedEvent{Alias: "crm"}, e.Data, c.why)
				continue
			}
			require.ErrorIs(t, err, ErrUnauthorized, c.why)
			var refused *Error
			require.ErrorAs(t, err, &refused, c.why)
			require.Equal(t, c.code, refused.Code, c.why)
			require.Zero(t, e, c.why)
		}
	})
}

// TestASignatureIsThatOfStandardWebhooks: the example of its specification's libraries.
func TestASignatureIsThatOfStandardWebhooks(t *testing.T) {
	got, ok := wire.WebhookSignature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek",
		1614265330, []byte(`{"test": 2432232314}`))
	require.True(t, ok)
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", got)
}
