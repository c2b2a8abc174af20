package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
)

// saying answers with a status and Retry-After.
func saying(code int, retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", retryAfter)
		w.WriteHeader(code)
	}
}

// receiving is a case of what a receiver does, and what becomes of the delivery then.
type receiving struct {
	answer http.HandlerFunc
	code   string
	status int
	becomes
	why string
}

type becomes int

const (
	taken    becomes = iota
	retried          // after the backoff; others are sent meanwhile
	rested           // after the backoff, and nothing else is sent before
	obeyed           // after the two hours that it asks for, and nothing else before
	bounded          // after the longest pause, ten hours, and nothing else before
	disabled         // never
)

func receivings(elsewhere string, inTwoHours time.Time, over <-chan struct{}) []receiving {
	redirect := func(w http.ResponseWriter, rq *http.Request) {
		http.Redirect(w, rq, elsewhere, http.StatusTemporaryRedirect)
	}
	hang := func(_ http.ResponseWriter, rq *http.Request) {
		select {
		case <-over:
		case <-rq.Context().Done():
		}
	}
	begin := func(w http.ResponseWriter, rq *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		hang(w, rq)
	}
	const notTaken = "webhooks.not_taken"
	return []receiving{
		{status(200), "", 200, taken, "taken"},
		{status(299), "", 299, taken, "any 2xx takes it"},
		{saying(202, "7200"), "", 202, taken, "one that has taken it asks for nothing"},
		{begin, "", 200, taken, "the status decides, however long the rest takes"},
		{status(301), "webhooks.redirected", 301, retried, "a redirect is no answer"},
		{redirect, "webhooks.redirected", 307, retried, "and is not followed"},
		{status(400), notTaken, 400, retried, "it refuses: it may be mended"},
		{status(404), notTaken, 404, retried, "it is not there: it may come back"},
		{status(410), notTaken, 410, disabled, "it is gone for good"},
		{status(429), notTaken, 429, rested, "it is asked too much"},
		{status(500), notTaken, 500, retried, "it fails"},
		{status(502), notTaken, 502, rested, "something before it has too much to do"},
		{status(504), notTaken, 504, rested, "as 502"},
		{status(503), notTaken, 503, retried, "it does not say that it wants less"},
		{saying(503, "7200"), notTaken, 503, obeyed, "it says how long"},
		{saying(429, inTwoHours.Format(http.TimeFormat)), notTaken, 429, obeyed, "as a date"},
		{saying(503, "1"), notTaken, 503, rested, "less than the backoff, which stays"},
		{saying(503, "99999999999"), notTaken, 503, bounded, "for ever is not obeyed"},
		{saying(503, "Fri, 31 Dec 9999 23:59:59 GMT"), notTaken, 503, bounded, "nor as a date"},
		{saying(503, "-5"), notTaken, 503, retried, "no time"},
		{saying(500, "soon"), notTaken, 500, retried, "no time either"},
		{saying(500, "Mon, 02 Jan 2006 15:04:05 GMT"), notTaken, 500, retried, "a date that is over"},
		{hang, "webhooks.timed_out", 0, retried, "it does not answer"},
		{func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			"webhooks.unreachable", 0, retried, "it hangs up"},
	}
}

// TestReceiversAreAskedAgainAsStandardWebhooksSays: what takes a delivery, what is tried
// again and when, and whom the server leaves alone.
func TestReceiversAreAskedAgainAsStandardWebhooksSays(t *testing.T) {
	const pause = 10 * time.Minute
	h := newHarness(t, func(c *Config) { c.WebhookPause, c.WebhookTime = pause, 2*time.Second })
	client, elsewhere := h.sdk(straight), newReceiver(t)
	over, inTwoHours := make(chan struct{}), time.Now().Add(2*time.Hour).Truncate(time.Second).UTC()
	cases := receivings(elsewhere.URL, inTwoHours, over)
	r := newReceiver(t)
	defer close(over) // before the receiver ends
	r.answers(func(w http.ResponseWriter, rq *http.Request) {
		var i int
		_, _ = fmt.Sscanf(rq.URL.Path, "/%d", &i)
		cases[i].answer(w, rq)
	})
	ids := make([]string, len(cases))
	for i := range cases {
		hook, err := client.Webhooks.Create(t.Context(), bctrl.WebhookCreate{
			URL: fmt.Sprintf("%s/%d", r.URL, i), Events: []bctrl.EventType{bctrl.EventWorkspaceCreated},
		})
		require.NoError(t, err)
		ids[i] = hook.ID
	}
	// tried waits until a webhook's delivery that is the n-th newest has been tried.
	tried := func(i, n int) (all []bctrl.WebhookDelivery) {
		h.settled(func() bool {
			all = nil
			for d, err := range client.Webhooks.Deliveries(t.Context(), ids[i]) {
				require.NoError(t, err)
				all = append(all, d)
			}
			return len(all) > n && all[n].Attempts > 0
		}, cases[i].why)
		return all
	}
	h.made("first", object{})
	for i, c := range cases {
		d := tried(i, 0)[0]
		require.Equal(t, c.code, d.Code, c.why)
		require.Equal(t, c.status, d.ResponseStatus, c.why)
		var next time.Duration // after the attempt
		if d.NextAttemptAt != nil {
			next = d.NextAttemptAt.Sub(d.UpdatedAt)
		}
		switch c.becomes {
		case taken:
			require.Equal(t, bctrl.WebhookDelivered, d.Status, c.why)
			require.Zero(t, next, c.why)
		case disabled:
			require.Equal(t, bctrl.WebhookFailed, d.Status, c.why)
			hook, err := client.Webhooks.Get(t.Context(), ids[i])
			require.NoError(t, err)
			require.False(t, hook.Enabled, c.why)
		case retried, rested:
			require.GreaterOrEqual(t, next, pause*8/10, c.why)
			require.Less(t, next, 13*pause/10, c.why)
		case obeyed:
			require.GreaterOrEqual(t, next, 90*time.Minute, c.why)
			require.LessOrEqual(t, next, 3*time.Hour, c.why)
			if d.ResponseStatus == http.StatusTooManyRequests { // rounding aside
				require.False(t, d.NextAttemptAt.Before(inTwoHours.Add(-time.Second)), c.why)
			}
		case bounded:
			require.InDelta(t, 10*time.Hour, next, float64(time.Hour), c.why)
		}
	}
	h.made("second", object{})
	for i, c := range cases { // those who rest come first in the table nor last: all have been looked at
		if c.becomes == taken || c.becomes == retried {
			tried(i, 0)
		}
	}
	for i, c := range cases {
		if c.becomes == rested || c.becomes == obeyed || c.becomes == bounded {
			require.Zero(t, tried(i, 1)[0].Attempts, c.why)
		}
	}
	require.Empty(t, elsewhere.got)
}

// storedDelivery is a delivery as the server writes it.
type storedDelivery struct {
	bctrl.WebhookDelivery
	Event json.RawMessage `json:"event"`
}

// putDeliveries writes deliveries of a webhook, each as fn makes it.
func (h *harness) putDeliveries(webhook string, count int, due time.Time, fn func(d *storedDelivery)) {
	h.Helper()
	org := h.org()
	h.write(func(tx *store.Tx) error {
		for range count {
			id, err := uuid.NewV7()
			if err != nil {
				return err
			}
			d := storedDelivery{WebhookDelivery: bctrl.WebhookDelivery{ID: id.String(), WebhookID: webhook,
				EventType: bctrl.EventWorkspaceCreated, Status: bctrl.WebhookPending, CreatedAt: store.Now(),
				UpdatedAt: store.Now()}, Event: json.RawMessage(`{}`)}
			fn(&d)
			body, err := json.Marshal(d)
			if err != nil {
				return err
			}
			err = tx.PutDelivery(h.Context(), store.Delivery{ID: d.ID, Org: org, WebhookUID: webhook, Due: due,
				Final: d.Status != bctrl.WebhookPending, Body: body}, 1000)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// TestOnlyWhatWasTriedCountsTowardsDisabling: neither what was never sent, nor a row that
// somebody else wrote, nor what failed before the webhook was enabled.
func TestOnlyWhatWasTriedCountsTowardsDisabling(t *testing.T) {
	h, r := newHarness(t, func(c *Config) { c.WebhookPause = time.Nanosecond }), newReceiver(t)
	client := h.sdk(straight)
	r.answers(status(500))
	hook, err := client.Webhooks.Create(t.Context(), bctrl.WebhookCreate{URL: r.URL,
		Events: []bctrl.EventType{bctrl.EventWorkspaceCreated}})
	require.NoError(t, err)
	never := func(d *storedDelivery) { d.Status, d.Code = bctrl.WebhookFailed, "webhooks.too_many_waiting" }
	failing, all := 0, 0
	failOnce := func() (enabled bool) {
		failing, all = failing+1, all+1
		h.made(fmt.Sprint("w", all), object{})
		h.settled(func() bool {
			failed := 0
			for d, err := range client.Webhooks.Deliveries(t.Context(), hook.ID) {
				if require.NoError(t, err); d.Status == bctrl.WebhookFailed && d.Attempts > 1 {
					failed++
				}
			}
			return failed >= failing
		}, "it is on record as failed")
		shown, err := client.Webhooks.Get(t.Context(), hook.ID)
		require.NoError(t, err)
		return shown.Enabled
	}
	h.putDeliveries(hook.ID, 10, time.Now(), never)
	for range 9 {
		require.True(t, failOnce())
	}
	h.putDeliveries(hook.ID, 3, time.Now(), never)
	_, err = client.Webhooks.Test(t.Context(), hook.ID)
	require.NoError(t, err)
	require.False(t, failOnce(), "the tenth")
	_, err = client.Webhooks.Update(t.Context(), hook.ID, bctrl.WebhookUpdate{Enabled: new(true)})
	require.NoError(t, err)
	for range 9 {
		require.True(t, failOnce(), "those from before are forgotten")
	}
	h.tamper("UPDATE webhook_deliveries SET due = due + 1 WHERE webhook_uid = '" + hook.ID +
		"' AND final AND id < (SELECT MAX(id) FROM webhook_deliveries) AND body LIKE '%\"attempts\":12%'")
	h.made("last", object{})
	h.settled(func() bool {
		_, waits, err := h.db.Read().NextDue(t.Context(), time.Time{})
		return err == nil && !waits
	}, "it has ended")
	shown, err := client.Webhooks.Get(t.Context(), hook.ID)
	require.NoError(t, err)
	require.True(t, shown.Enabled, "forged rows fail nothing, and keep nothing from being recorded")
}

func TestWhatWaitsIsBoundedAndCanBeSentOnceThereIsRoom(t *testing.T) {
	h, r := newHarness(t), newReceiver(t)
	client := h.sdk(straight)
	hook, err := client.Webhooks.Create(t.Context(), bctrl.WebhookCreate{URL: r.URL,
		Events: []bctrl.EventType{bctrl.EventWorkspaceCreated}})
	require.NoError(t, err)
	h.putDeliveries(hook.ID, 1000, time.Now().Add(time.Hour), func(*storedDelivery) {})
	h.made("w", object{})
	var over bctrl.WebhookDelivery
	for d, err := range client.Webhooks.Deliveries(t.Context(), hook.ID) {
		require.NoError(t, err)
		over = d
		break // the newest
	}
	require.Equal(t, "webhooks.too_many_waiting", over.Code)
	require.Equal(t, bctrl.WebhookFailed, over.Status)
	var e *bctrl.Error
	_, err = client.Webhooks.Redeliver(t.Context(), hook.ID, over.ID)
	require.ErrorAs(t, err, &e)
	require.Equal(t, "webhooks.too_many_waiting", e.Code)
	require.ErrorIs(t, err, bctrl.ErrConflict)
	h.alter("DELETE FROM webhook_deliveries WHERE NOT final")
	_, err = client.Webhooks.Redeliver(t.Context(), hook.ID, over.ID)
	require.NoError(t, err)
	require.Contains(t, string((<-r.got).body), `"name":"w"`)
}

// TestDeliveriesSurviveTheirServer: what one server could not deliver the next does by
// itself, whether it was under way or waited for its next attempt.
func TestDeliveriesSurviveTheirServer(t *testing.T) {
	r := newReceiver(t)
	dir := t.TempDir()
	storetest.Create(t, filepath.Join(dir, "bctrl.db"))
	serve := func(between func(*store.DB), use func(*Server)) {
		rows := &seal.Rows{}
		db, err := storetest.Open(t.Context(), filepath.Join(dir, "bctrl.db"), rows)
		require.NoError(t, err)
		kept, err := custody.Open(t.Context(), custody.Config{DB: db, Rows: rows, KeyFile: filepath.Join(dir, "kek")})
		require.NoError(t, err)
		between(db)
		s, err := New(t.Context(), Config{Store: db, Custody: kept, Egress: loopback, WebhookPause: time.Hour,
			ProfileDir: filepath.Join(dir, "profiles")})
		require.NoError(t, err)
		use(s)
		require.NoError(t, s.Close(t.Context()))
		require.NoError(t, db.Close())
	}
	var waits, underWay *bctrl.NewWebhook
	over := make(chan struct{})
	defer close(over)
	r.answers(func(w http.ResponseWriter, rq *http.Request) {
		if strings.HasSuffix(rq.URL.Path, "hangs") {
			select {
			case <-over:
			case <-rq.Context().Done():
			}
		}
		w.WriteHeader(http.StatusInternalServerError)
	})
	serve(func(*store.DB) {}, func(s *Server) {
		key, err := s.EnsureOrganization(t.Context())
		require.NoError(t, err)
		client := clientOfServer(t, s, key)
		waits, err = client.Webhooks.Create(t.Context(), bctrl.WebhookCreate{URL: r.URL})
		require.NoError(t, err)
		underWay, err = client.Webhooks.Create(t.Context(), bctrl.WebhookCreate{URL: r.URL + "/hangs"})
		require.NoError(t, err)
		_, err = client.Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "w"})
		require.NoError(t, err)
		require.Eventually(t, func() bool { // it is on record as tried
			for d, err := range client.Webhooks.Deliveries(t.Context(), waits.ID) {
				require.NoError(t, err)
				return d.Attempts == 1
			}
			return false
		}, 10*time.Second, time.Millisecond)
		for range 2 { // both have been asked
			<-r.got
		}
	})
	r.answers(status(200))
	hourLater := func(db *store.DB) { // of the one that waits
		rows, _, err := db.Read().Deliveries(t.Context(), orgOf(t, db), waits.ID, "", 10)
		require.NoError(t, err)
		require.Len(t, rows, 1)
		require.True(t, rows[0].Due.After(time.Now().Add(30*time.Minute)))
		rows[0].Due = time.Now()
		require.NoError(t, db.Write(t.Context(), func(tx *store.Tx) error {
			return tx.PutDelivery(t.Context(), rows[0], 1000)
		}))
	}
	serve(hourLater, func(*Server) {
		byPath := map[string]bctrl.Secret{"/": waits.Secret, "/hangs": underWay.Secret}
		for range 2 {
			got := <-r.got
			_, err := bctrl.VerifyWebhook(got.header, got.body, byPath[got.path])
			require.NoError(t, err)
			delete(byPath, got.path)
		}
		require.Empty(t, byPath)
	})
}

func orgOf(t *testing.T, db *store.DB) string {
	t.Helper()
	orgs, err := db.Read().Organizations(t.Context())
	require.NoError(t, err)
	return orgs[0].ID
}
