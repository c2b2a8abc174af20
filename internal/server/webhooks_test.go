package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/egress"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/tuple"
)

// received is what a receiver of webhooks got.
type received struct {
	path   string
	header http.Header
	body   []byte
}

// receiver takes webhooks, and answers as it is told to.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	answer http.HandlerFunc
	got    chan received
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{got: make(chan received, 1000), answer: func(http.ResponseWriter, *http.Request) {}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, rq *http.Request) {
		body, _ := io.ReadAll(rq.Body)
		r.mu.Lock()
		answer := r.answer
		r.mu.Unlock()
		r.got <- received{rq.URL.Path, rq.Header.Clone(), body}
		answer(w, rq)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answers(with http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = with
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// impatient has deliveries retried soon.
func impatient(c *Config) { c.WebhookPause, c.WebhookTime = time.Millisecond, 10*time.Second }

func TestAWebhookGetsEachEventSignedAndOnceInOrder(t *testing.T) {
	h, r := newHarness(t, impatient), newReceiver(t)
	client := h.sdk(straight)
	hook, err := client.Webhooks.Create(t.Context(), bctrl.WebhookCreate{URL: r.URL + "/in",
		Events: []bctrl.EventType{bctrl.EventWorkspaceCreated}})
	require.NoError(t, err)
	for i := range 20 {
		h.made(fmt.Sprint("w", i), object{})
	}
	var last int64
	for i := range 20 {
		got := <-r.got
		e, err := bctrl.VerifyWebhook(got.header, got.body, hook.Secret)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("w", i), e.Data.(bctrl.WorkspaceCreatedEvent).Name)
		require.Equal(t, e.ID, got.header.Get("Webhook-Id"))
		require.Greater(t, e.Seq, last)
		last = e.Seq
		_, err = bctrl.VerifyWebhook(got.header, append(got.body, ' '), hook.Secret)
		require.ErrorIs(t, err, bctrl.ErrUnauthorized, "another body")
	}
	h.delivered(client, hook.ID, bctrl.WebhookDelivered, 20)
	require.Empty(t, r.got)
}

// settled waits until a webhook has so many deliveries of a status, and none that waits.
func (h *harness) delivered(
	c *bctrl.Client, id string, want bctrl.WebhookStatus, count int,
) (all []bctrl.WebhookDelivery) {
	h.Helper()
	require.Eventually(h, func() bool {
		all = nil
		for d, err := range c.Webhooks.Deliveries(h.Context(), id) {
			require.NoError(h, err)
			if d.Status == bctrl.WebhookPending {
				return false
			}
			if d.Status == want {
				all = append(all, d)
			}
		}
		return len(all) >= count
	}, 30*time.Second, 5*time.Millisecond)
	require.Len(h, all, count)
	return all
}

func TestADeliveryIsTriedAgainUntilItIsTaken(t *testing.T) {
	h, r := newHarness(t, impatient), newReceiver(t)
	client := h.sdk(straight)
	hook, err := client.Webhooks.Create(t.Context(), bctrl.WebhookCreate{URL: r.URL})
	require.NoError(t, err)
	r.answers(status(http.StatusServiceUnavailable))
	h.made("w", object{})
	first := <-r.got
	second := <-r.got
	waiting := func(want int) {
		require.Eventually(t, func() bool { return h.server.Load().Deliveries == want }, time.Minute, 5*time.Millisecond)
	}
	waiting(1)
	r.answers(status(http.StatusNoContent))
	waiting(0)
	require.Equal(t, first.header.Get("Webhook-Id"), second.header.Get("Webhook-Id"), "the receiver knows it again")
	require.Equal(t, first.body, second.body)
	d := h.delivered(client, hook.ID, bctrl.WebhookDelivered, 1)[0]
	require.GreaterOrEqual(t, d.Attempts, 2)
	require.Equal(t, http.StatusNoContent, d.ResponseStatus)
	again, err := client.Webhooks.Redeliver(t.Context(), hook.ID, d.ID)
	require.NoError(t, err)
	require.Equal(t, d.EventID, again.EventID)
	h.delivered(client, hook.ID, bctrl.WebhookDelivered, 2)
}

func TestTheAddressPolicyHoldsForWebhooks(t *testing.T) {
	h := newHarness(t, impatient, func(c *Config) { c.Egress = egress.Policy{} })
	client := h.sdk(straight)
	for _, c := range []struct {
		url, code, why string
	}{
		{"https://10.0.0.1/", "webhooks.address_refused", "a network of the server's"},
		{"https://169.254.169.254/latest/meta-data", "webhooks.address_refused", "the machine's metadata"},
		{"http://127.0.0.1:9/", "webhooks.address_refused", "the server itself"},
		{"http://ops.example.com/", "webhooks.invalid_url", "in clear"},
		{"https://user:pass@ops.example.com/", "webhooks.invalid_url", "a login"},
		{"ftp://ops.example.com/", "webhooks.invalid_url", "another scheme"},
		{"/in", "webhooks.invalid_url", "no host"},
		{"", "webhooks.invalid_url", "nothing"},
	} {
		_, err := client.Webhooks.Create(t.Context(), bctrl.WebhookCreate{URL: c.url})
		var e *bctrl.Error
		require.ErrorAs(t, err, &e, c.why)
		require.Equal(t, c.code, e.Code, c.why)
	}
	// A name is looked up when it is sent to: what it was when the webhook was made says nothing.
	hook, err := client.Webhooks.Create(t.Context(), bctrl.WebhookCreate{URL: "http://localhost:9/",
		Events: []bctrl.EventType{bctrl.EventWebhookDisabled}})
	require.NoError(t, err)
	d, err := client.Webhooks.Test(t.Context(), hook.ID)
	require.NoError(t, err)
	require.Equal(t, "webhooks.address_refused", d.Code)
}

func TestAWebhookHoldsEachTypeOnce(t *testing.T) {
	h := newHarness(t)
	types := bctrl.EventTypes()
	var made struct{ Webhook bctrl.Webhook }
	h.ok("POST", []string{"webhooks"}, object{"url": "https://ops.example.com/", "events": append(types, types...)}, &made)
	require.Equal(t, types, made.Webhook.Events)
	var got bctrl.Webhook
	path := []string{"webhooks", made.Webhook.ID}
	h.ok("PATCH", path, object{"events": []string{"events.gap", "runtime.crashed", "events.gap"}}, &got)
	require.Equal(t, []bctrl.EventType{bctrl.EventGap, bctrl.EventCrashed}, got.Events)
	var all bctrl.Webhook
	h.ok("PATCH", path, object{"events": []string{}}, &all)
	require.Empty(t, all.Events)
	refused(t, h.do("PATCH", path, nil, object{"events": []string{"events.gap", "events.gap", "gaps"}}), 400,
		"events.unknown_type", "no type")
}

// TestAWebhookThatWouldNotBeTakenAnyMoreIsDisabled has one of a server that took any number of
// types, and whose policy permitted an address that this one does not.
func TestAWebhookThatWouldNotBeTakenAnyMoreIsDisabled(t *testing.T) {
	h := newHarness(t)
	var made struct{ Webhook bctrl.Webhook }
	h.ok("POST", []string{"webhooks"}, object{"url": "https://ops.example.com/"}, &made)
	org := h.org()
	row, err := h.db.Read().Webhook(t.Context(), org, made.Webhook.ID)
	require.NoError(t, err)
	record := func() seal.Record {
		return seal.Record{Kind: "webhook", UID: row.UID, Scope: org, Version: row.Version,
			Meta: tuple.New(len(row.Meta) + 16).Bytes(row.Meta)}
	}
	plain, err := h.server.Keys.Open(record(), row.Sealed)
	require.NoError(t, err)
	row.Meta = []byte(`{"events":["events.gap"` + strings.Repeat(`,"events.gap"`, 100) + `],"enabled":true}`)
	row.Version++
	row.Sealed, err = h.server.Keys.Seal(record(), bytes.ReplaceAll(plain, []byte("ops.example.com"), []byte("10.0.0.1")))
	require.NoError(t, err)
	require.NoError(t, h.db.Write(t.Context(), func(tx *store.Tx) error {
		ev := web.ServerEvent("webhook.update", row.UID)
		ev.Org, ev.UID, ev.Version = org, row.UID, row.Version
		return errors.Join(tx.UpdateWebhook(t.Context(), org, row), audit.Append(tx, ev))
	}))

	var got bctrl.Webhook
	path := []string{"webhooks", row.UID}
	h.ok("PATCH", path, object{"enabled": false}, &got)
	require.False(t, got.Enabled)
	require.Equal(t, []bctrl.EventType{bctrl.EventGap}, got.Events)
	row, err = h.db.Read().Webhook(t.Context(), org, row.UID)
	require.NoError(t, err)
	require.Less(t, len(row.Meta), 100, "no transaction reads the others any more")
	for _, in := range []object{{"url": got.URL}, {"enabled": true}} {
		refused(t, h.do("PATCH", path, nil, in), 403, "webhooks.address_refused", "it is to be sent to")
	}
}

func TestARotatedSecretSignsUntilItsOverlapEnds(t *testing.T) {
	h, r := newHarness(t, impatient), newReceiver(t)
	client := h.sdk(straight)
	hook, err := client.Webhooks.Create(t.Context(), bctrl.WebhookCreate{URL: r.URL,
		Events: []bctrl.EventType{bctrl.EventWebhookDisabled}})
	require.NoError(t, err)
	verified := func(secret bctrl.Secret) bool {
		_, err := client.Webhooks.Test(t.Context(), hook.ID)
		require.NoError(t, err)
		got := <-r.got
		_, err = bctrl.VerifyWebhook(got.header, got.body, secret)
		return err == nil
	}
	require.True(t, verified(hook.Secret))
	second, err := client.Webhooks.RotateSecret(t.Context(), hook.ID, bctrl.WebhookRotation{})
	require.NoError(t, err)
	require.NotNil(t, second.PreviousSecretUntil)
	for _, ms := range tooLong(2592000000) {
		refused(t, h.do("POST", []string{"webhooks", hook.ID, "rotate"}, nil, object{"overlapMs": ms}), 400,
			"webhooks.invalid_overlap", "too long")
	}
	require.True(t, verified(hook.Secret), "both sign")
	require.True(t, verified(second.Secret))
	third, err := client.Webhooks.RotateSecret(t.Context(), hook.ID, bctrl.WebhookRotation{Overlap: -1})
	require.NoError(t, err)
	require.Nil(t, third.PreviousSecretUntil)
	require.False(t, verified(second.Secret))
	require.False(t, verified(hook.Secret))
	require.True(t, verified(third.Secret))
	shown, err := client.Webhooks.Get(t.Context(), hook.ID)
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprintf("%+v", *shown), "whsec_", "it was shown once")
	for _, e := range h.log(bctrl.AuditFilter{Object: hook.ID, Action: "webhook.write"}) {
		require.Equal(t, bctrl.AuditOK, e.Outcome)
	}
}

func TestAWebhookThatTakesNothingIsDisabledAndThatIsTold(t *testing.T) {
	h, r := newHarness(t, func(c *Config) { c.WebhookPause = time.Nanosecond }), newReceiver(t)
	client := h.sdk(straight)
	hook, err := client.Webhooks.Create(t.Context(), bctrl.WebhookCreate{URL: r.URL,
		Events: []bctrl.EventType{bctrl.EventWorkspaceCreated}})
	require.NoError(t, err)
	gone, err := client.Webhooks.Create(t.Context(), bctrl.WebhookCreate{URL: r.URL + "/gone",
		Events: []bctrl.EventType{bctrl.EventWorkspaceCreated}})
	require.NoError(t, err)
	r.answers(func(w http.ResponseWriter, rq *http.Request) {
		w.WriteHeader(map[bool]int{true: http.StatusGone, false: 500}[strings.HasSuffix(rq.URL.Path, "gone")])
	})
	for i := range 10 {
		h.made(fmt.Sprint("w", i), object{})
	}
	disabled := map[string]string{}
	for e, err := range client.Updates(t.Context(), bctrl.UpdatesOptions{After: bctrl.FirstKept,
		Types: []bctrl.EventType{bctrl.EventWebhookDisabled}}) {
		require.NoError(t, err)
		d := e.Data.(bctrl.WebhookDisabledEvent)
		if disabled[d.WebhookID] = d.Code; len(disabled) == 2 {
			break
		}
	}
	require.Equal(t, map[string]string{hook.ID: "webhooks.not_taken", gone.ID: "webhooks.not_taken"}, disabled)
	shown, err := client.Webhooks.Get(t.Context(), hook.ID)
	require.NoError(t, err)
	require.False(t, shown.Enabled)
	require.Equal(t, "webhooks.not_taken", shown.DisabledFor)
	failed := h.delivered(client, hook.ID, bctrl.WebhookFailed, 10)
	require.Equal(t, 12, failed[0].Attempts)
	_, err = client.Webhooks.Redeliver(t.Context(), hook.ID, failed[0].ID)
	require.ErrorIs(t, err, bctrl.ErrConflict)
	r.answers(status(200))
	shown, err = client.Webhooks.Update(t.Context(), hook.ID, bctrl.WebhookUpdate{Enabled: new(true)})
	require.NoError(t, err)
	require.Empty(t, shown.DisabledFor)
	_, err = client.Webhooks.Redeliver(t.Context(), hook.ID, failed[0].ID)
	require.NoError(t, err)
	h.delivered(client, hook.ID, bctrl.WebhookDelivered, 1)
}

// TestAReceiverIsNotAskedAgainAtOnceWhereNothingCanBeRecorded: with a full disk the row
// of a delivery stays due, whatever its receiver has answered.
func TestAReceiverIsNotAskedAgainAtOnceWhereNothingCanBeRecorded(t *testing.T) {
	full, r := newReceiver(t), newReceiver(t)
	h := newHarness(t, func(c *Config) { c.WebhookPause = time.Hour })
	client := h.sdk(straight)
	hook, err := client.Webhooks.Create(t.Context(), bctrl.WebhookCreate{URL: full.URL,
		Events: []bctrl.EventType{bctrl.EventWorkspaceCreated}})
	require.NoError(t, err)
	other, err := client.Webhooks.Create(t.Context(), bctrl.WebhookCreate{URL: r.URL,
		Events: []bctrl.EventType{bctrl.EventWorkspaceCreated}})
	require.NoError(t, err)
	h.alter(`CREATE TRIGGER full BEFORE UPDATE ON webhook_deliveries WHEN new.webhook_uid = '` + hook.ID +
		`' BEGIN SELECT RAISE(ABORT, 'no'); END`)
	h.made("first", object{})
	<-full.got
	for i := range 20 { // each has the service look for what is due
		h.made(fmt.Sprint("w", i), object{})
		<-r.got
	}
	h.delivered(client, other.ID, bctrl.WebhookDelivered, 21)
	require.Empty(t, full.got, "the first rests")
}

// TestAForgedDeliveryIsNotSentAndHoldsNothingUp: whoever can write the database changes
// what waits for its next attempt, in ways that can be read and that cannot.
func TestAForgedDeliveryIsNotSentAndHoldsNothingUp(t *testing.T) {
	for _, change := range []string{
		"due = 0, body = replace(body, '\"w\"', '\"x\"')",
		"due = 0.5",
		"due = due - 86400000",
	} {
		t.Run(change, func(t *testing.T) {
			t.Parallel()
			h, r := newHarness(t, func(c *Config) { c.WebhookPause = time.Hour }), newReceiver(t)
			client := h.sdk(straight)
			hook, err := client.Webhooks.Create(t.Context(), bctrl.WebhookCreate{URL: r.URL,
				Events: []bctrl.EventType{bctrl.EventWorkspaceCreated}})
			require.NoError(t, err)
			r.answers(status(http.StatusInternalServerError))
			h.made("w", object{})
			first := <-r.got
			h.settled(func() bool {
				for d, err := range client.Webhooks.Deliveries(t.Context(), hook.ID) {
					return err == nil && d.Attempts == 1
				}
				return false
			}, "it is on record as tried")
			r.answers(status(http.StatusNoContent))
			h.tamper("UPDATE webhook_deliveries SET " + change)
			h.made("later", object{})
			second := <-r.got
			require.NotEqual(t, first.header.Get("Webhook-Id"), second.header.Get("Webhook-Id"))
			h.settled(func() bool {
				_, waits, err := h.db.Read().NextDue(t.Context(), time.Time{})
				return err == nil && !waits
			}, "nothing is looked for any more")
			require.Empty(t, r.got)
			var listed []string
			for d, err := range client.Webhooks.Deliveries(t.Context(), hook.ID) {
				require.NoError(t, err)
				listed = append(listed, d.EventID)
			}
			require.Equal(t, []string{second.header.Get("Webhook-Id")}, listed, "the others are listed as ever")
		})
	}
}

// TestAWebhookWhoseRowWasChangedAndPutBackGetsNothingElse: what the row said meanwhile
// was never proven.
func TestAWebhookWhoseRowWasChangedAndPutBackGetsNothingElse(t *testing.T) {
	h, r := newHarness(t, impatient), newReceiver(t)
	client := h.sdk(straight)
	hook, err := client.Webhooks.Create(t.Context(), bctrl.WebhookCreate{URL: r.URL,
		Events: []bctrl.EventType{bctrl.EventWorkspaceCreated}})
	require.NoError(t, err)
	release := make(chan struct{})
	r.answers(func(http.ResponseWriter, *http.Request) { <-release })
	ws := h.made("w", object{})
	<-r.got // the webhook is told of one event at a time, and is busy now
	h.tamper("UPDATE webhooks SET meta = replace(meta, 'workspace.created', 'workspace.deleted')")
	h.delete("workspaces", ws.ID)
	h.tamper("UPDATE webhooks SET meta = replace(meta, 'workspace.deleted', 'workspace.created')")
	close(release)
	failed := h.delivered(client, hook.ID, bctrl.WebhookFailed, 1)
	require.Equal(t, "webhooks.not_wanted", failed[0].Code)
	require.Zero(t, failed[0].Attempts)
	require.Empty(t, r.got)
	_, err = client.Webhooks.Redeliver(t.Context(), hook.ID, failed[0].ID)
	require.NoError(t, err)
	h.delivered(client, hook.ID, bctrl.WebhookDelivered, 2)
}

// clientOfServer is a client that asks a server without a socket.
func clientOfServer(t *testing.T, s *Server, key bctrl.Secret) *bctrl.Client {
	t.Helper()
	c, err := bctrl.New(bctrl.WithBaseURL("http://localhost"), bctrl.WithAPIKey(key),
		bctrl.WithHTTPClient(&http.Client{Transport: served{s}}))
	require.NoError(t, err)
	return c
}

type served struct{ http.Handler }

func (s served) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	s.ServeHTTP(rec, in)
	return rec.Result(), nil
}
