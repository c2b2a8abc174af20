package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
)

// The headers of a delivery to a webhook, as Standard Webhooks 1.0.0 has them.
const (
	HeaderWebhookID        = "Webhook-Id"
	HeaderWebhookTimestamp = "Webhook-Timestamp"
	HeaderWebhookSignature = "Webhook-Signature"
)

// webhookSecret is how the text of a secret begins.
const webhookSecret = "whsec_"

// NewWebhookSecret is the text of a secret of these bytes.
func NewWebhookSecret(key []byte) string {
	return webhookSecret + base64.StdEncoding.EncodeToString(key)
}

// WebhookSignature signs a delivery with a secret, "v1,…". It is false where the secret
// is none.
func WebhookSignature(secret, id string, timestamp int64, body []byte) (string, bool) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, webhookSecret))
	if err != nil || len(key) < 16 || !strings.HasPrefix(secret, webhookSecret) {
		return "", false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + strconv.FormatInt(timestamp, 10) + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)), true
}

// WebhookRotate is the body of POST /v1/webhooks/{id}/rotate.
type WebhookRotate struct {
	// OverlapMs is how long the secret before signs too; nil is a day.
	OverlapMs *int64 `json:"overlapMs,omitempty"`
}

// NewWebhook is a webhook with a secret that was made for it, in the answers that make
// one alone. W is bctrl.Webhook.
type NewWebhook[W any] struct {
	Webhook W     `json:"webhook"`
	Secret  Value `json:"secret"`
}
