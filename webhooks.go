package bctrl

import (
	"context"
	"crypto/hmac"
	"encoding/json"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// WebhooksService keeps the receivers that events are sent to. See [Client.Webhooks].
type WebhooksService struct{ via via }

const (
	pathWebhooks          = "/v1/webhooks"
	pathWebhook           = pathWebhooks + "/{id}"
	pathWebhookDeliveries = pathWebhook + "/deliveries"
)

// Webhook is a receiver of events. Each event is sent to it in a POST request, signed as
// Standard Webhooks has it: [VerifyWebhook] checks that.
type Webhook struct {
	ID string `json:"id"`
	// URL is an https address, or an http address of this machine. The server's address
	// policy holds for it, and it must not redirect.
	URL         string `json:"url"`
	Description string `json:"description,omitempty"`
	// Events are the types that it gets, each once; none is all.
	Events []EventType `json:"events,omitempty"`
	// WorkspaceID selects the events of one workspace; empty is all.
	WorkspaceID string `json:"workspaceId,omitempty"`
	Enabled     bool   `json:"enabled"`
	// DisabledFor is the code of the failure for which the server disabled it.
	DisabledFor string `json:"disabledFor,omitempty"`
	// PreviousSecretUntil is until when the secret before the last rotation signs too.
	PreviousSecretUntil *time.Time `json:"previousSecretUntil,omitempty"`
	CreatedAt           time.Time  `json:"createdAt"`
	UpdatedAt           time.Time  `json:"updatedAt"`
}

// NewWebhook is a webhook with the secret that was made for it, which is shown once.
type NewWebhook struct {
	Webhook
	// Secret is "whsec_…": what [VerifyWebhook] takes.
	Secret Secret
}

// WebhookCreate says what to create.
type WebhookCreate struct {
	URL         string      `json:"url"`
	Description string      `json:"description,omitempty"`
	Events      []EventType `json:"events,omitempty"`
	WorkspaceID string      `json:"workspaceId,omitempty"`
}

// WebhookUpdate changes what is not nil.
type WebhookUpdate struct {
	URL         *string      `json:"url,omitempty"`
	Description *string      `json:"description,omitempty"`
	Events      *[]EventType `json:"events,omitempty"`
	// Enabled also enables one that the server disabled.
	Enabled *bool `json:"enabled,omitempty"`
}

// WebhookStatus is what became of a delivery.
type WebhookStatus string

// What becomes of deliveries.
const (
	WebhookPending   WebhookStatus = "pending"
	WebhookDelivered WebhookStatus = "delivered"
	WebhookFailed    WebhookStatus = "failed"
)

// WebhookDelivery is an event on its way to a webhook. Of what the receiver answered
// nothing is kept but the status.
type WebhookDelivery struct {
	ID        string        `json:"id"`
	WebhookID string        `json:"webhookId"`
	EventID   string        `json:"eventId"`
	EventType EventType     `json:"eventType"`
	Status    WebhookStatus `json:"status"`
	// Attempts counts those so far; there are 12 at most, over some 55 hours.
	Attempts int `json:"attempts"`
	// Code says why the last attempt failed: "webhooks.timed_out" (no answer in 15
	// seconds), "webhooks.redirected", "webhooks.not_taken" (a status other than 2xx),
	// "webhooks.unreachable", "webhooks.address_refused". Without an attempt it is
	// "webhooks.too_many_waiting", "webhooks.disabled" or "webhooks.not_wanted" (the
	// webhook does not get such events, or no longer).
	Code           string     `json:"code,omitempty"`
	ResponseStatus int        `json:"responseStatus,omitempty"`
	NextAttemptAt  *time.Time `json:"nextAttemptAt,omitempty"`
	CreatedAt      time.Time  `json:"createdAt"`
	UpdatedAt      time.Time  `json:"updatedAt"`
}

// Create adds a webhook, which gets what happens from then on.
//
// Access: webhook.write
func (s *WebhooksService) Create(ctx context.Context, in WebhookCreate, opts ...CallOption) (*NewWebhook, error) {
	return s.made(ctx, &request{method: http.MethodPost, path: pathWebhooks, in: in, opts: opts})
}

// made sends a request that is answered with a webhook and its secret.
func (s *WebhooksService) made(ctx context.Context, r *request) (*NewWebhook, error) {
	var out wire.NewWebhook[Webhook]
	r.out = &out
	if err := s.via().call(ctx, r); err != nil {
		return nil, err
	}
	return &NewWebhook{Webhook: out.Webhook, Secret: NewSecret(out.Secret.Reveal())}, nil
}

// Get returns the webhook with an id.
//
// Access: webhook.read
func (s *WebhooksService) Get(ctx context.Context, id string, opts ...CallOption) (*Webhook, error) {
	var out Webhook
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodGet,
		path:   pathWebhook,
		params: []string{id},
		out:    &out,
		opts:   opts,
	}))
}

// List ranges over the webhooks, the oldest first.
//
// Access: webhook.read
func (s *WebhooksService) List(ctx context.Context, opts ...CallOption) iter.Seq2[Webhook, error] {
	return s.listing().all(ctx, opts)
}

// Page is one page of [WebhooksService.List].
//
// Access: webhook.read
func (s *WebhooksService) Page(ctx context.Context, p PageOptions, opts ...CallOption) (*Page[Webhook], error) {
	return s.listing().page(ctx, p, opts)
}

func (s *WebhooksService) listing() listing[Webhook] {
	return listing[Webhook]{via: s.via, path: pathWebhooks, plural: wire.Webhooks}
}

// Update changes a webhook.
//
// Access: webhook.write
func (s *WebhooksService) Update(
	ctx context.Context, id string, in WebhookUpdate, opts ...CallOption,
) (*Webhook, error) {
	var out Webhook
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodPatch,
		path:   pathWebhook,
		params: []string{id},
		in:     in,
		out:    &out,
		opts:   opts,
	}))
}

// Delete removes a webhook with its deliveries.
//
// Access: webhook.write
func (s *WebhooksService) Delete(ctx context.Context, id string, opts ...CallOption) error {
	return s.via().call(ctx, &request{
		method: http.MethodDelete,
		path:   pathWebhook,
		params: []string{id},
		opts:   opts,
	})
}

// Test sends a webhook a [WebhookTestEvent], once, and returns what became of it.
//
// Access: webhook.write
func (s *WebhooksService) Test(ctx context.Context, id string, opts ...CallOption) (*WebhookDelivery, error) {
	return s.delivered(ctx, pathWebhook+"/test", []string{id}, opts)
}

// Redeliver has the event of a delivery sent once more, as a delivery of its own. The
// receiver knows it by the event's id, which is the same. It is [ErrConflict] for a webhook
// that is disabled, and for one with 1000 deliveries that wait.
//
// Access: webhook.write
func (s *WebhooksService) Redeliver(
	ctx context.Context, id, deliveryID string, opts ...CallOption,
) (*WebhookDelivery, error) {
	return s.delivered(ctx, pathWebhookDeliveries+"/{delivery}/redeliver", []string{id, deliveryID}, opts)
}

func (s *WebhooksService) delivered(
	ctx context.Context, path string, params []string, opts []CallOption,
) (*WebhookDelivery, error) {
	var out WebhookDelivery
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodPost,
		path:   path,
		params: params,
		out:    &out,
		opts:   opts,
	}))
}

// WebhookRotation says how a secret is exchanged.
type WebhookRotation struct {
	// Overlap is how long the secret before signs too, at most 30 days; zero is a day,
	// and negative is not at all.
	Overlap time.Duration
}

// RotateSecret makes a new secret for a webhook. Until the overlap ends each delivery is
// signed with both.
//
// Access: webhook.write
func (s *WebhooksService) RotateSecret(
	ctx context.Context, id string, r WebhookRotation, opts ...CallOption,
) (*NewWebhook, error) {
	in := wire.WebhookRotate{}
	if r.Overlap != 0 {
		in.OverlapMs = new(max(millisOrMore(r.Overlap), 0))
	}
	return s.made(ctx, &request{
		method: http.MethodPost,
		path:   pathWebhook + "/rotate",
		params: []string{id},
		in:     in,
		opts:   opts,
	})
}

// Deliveries ranges over the deliveries of a webhook, the newest first: those that wait,
// and of those that have ended the newest 1000.
//
// Access: webhook.read
func (s *WebhooksService) Deliveries(
	ctx context.Context, id string, opts ...CallOption,
) iter.Seq2[WebhookDelivery, error] {
	return s.deliveries(id).all(ctx, opts)
}

// DeliveriesPage is one page of [WebhooksService.Deliveries].
//
// Access: webhook.read
func (s *WebhooksService) DeliveriesPage(
	ctx context.Context, id string, p PageOptions, opts ...CallOption,
) (*Page[WebhookDelivery], error) {
	return s.deliveries(id).page(ctx, p, opts)
}

func (s *WebhooksService) deliveries(id string) listing[WebhookDelivery] {
	return listing[WebhookDelivery]{
		via:    s.via,
		path:   pathWebhookDeliveries,
		params: []string{id},
		plural: wire.WebhookDeliveries,
	}
}

// webhookTolerance is how far the clocks of a sender and a receiver may be apart, and how
// old a delivery may be that somebody sends again.
const webhookTolerance = 5 * time.Minute

// VerifyWebhook returns the event of a delivery to a webhook, once it has checked that
// one of the secrets has signed it, in the last five minutes: header and body are those
// of the request, the body as it was sent. A delivery that comes twice has the same
// [Event.ID].
//
// Its refusals are [ErrUnauthorized], with the codes webhooks.unsigned,
// webhooks.bad_signature and webhooks.bad_timestamp.
func VerifyWebhook(header http.Header, body []byte, secrets ...Secret) (Event, error) {
	id, at := header.Get(wire.HeaderWebhookID), header.Get(wire.HeaderWebhookTimestamp)
	given := strings.Fields(header.Get(wire.HeaderWebhookSignature))
	seconds, err := strconv.ParseInt(at, 10, 64)
	if id == "" || err != nil || len(given) == 0 {
		return Event{}, refusal(http.StatusUnauthorized, "webhooks.unsigned", "",
			"the request has no signature of a webhook: want webhook-id, webhook-timestamp and webhook-signature")
	}
	if age := time.Since(time.Unix(seconds, 0)); age > webhookTolerance || age < -webhookTolerance {
		return Event{}, refusal(http.StatusUnauthorized, "webhooks.bad_timestamp", "",
			"the delivery is too old, or the clocks are more than five minutes apart")
	}
	if !isSigned(given, id, seconds, body, secrets) {
		return Event{}, refusal(http.StatusUnauthorized, "webhooks.bad_signature", "",
			"none of the secrets has signed this delivery")
	}
	var e Event
	if err := json.Unmarshal(body, &e); err != nil {
		return Event{}, refusal(http.StatusBadRequest, "webhooks.not_an_event", "", "the body is no event")
	}
	return e, nil
}

// maxSignatures bounds those of one delivery that are looked at.
const maxSignatures = 16

// isSigned reports whether one of the secrets has made one of the signatures, in a time
// that does not tell how much of one is right.
func isSigned(given []string, id string, seconds int64, body []byte, secrets []Secret) (signed bool) {
	for _, secret := range secrets {
		want, ok := wire.WebhookSignature(secret.Expose(), id, seconds, body)
		for _, signature := range given[:min(len(given), maxSignatures)] {
			signed = hmac.Equal([]byte(signature), []byte(want)) && ok || signed
		}
	}
	return signed
}
