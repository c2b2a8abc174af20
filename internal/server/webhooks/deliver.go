package webhooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/egress"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/trace"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// delivery is what is stored of one.
type delivery struct {
	bctrl.WebhookDelivery
	Event json.RawMessage `json:"event"`
	// Asked is set where somebody asked for this delivery, whatever the webhook wants.
	Asked bool `json:"asked,omitempty"`
}

// row is the delivery as it is stored.
func (d delivery) row(org string) (store.Delivery, error) {
	due := d.CreatedAt
	if d.NextAttemptAt != nil {
		due = *d.NextAttemptAt
	}
	body, err := json.Marshal(d)
	return store.Delivery{
		ID:         d.ID,
		Org:        org,
		WebhookUID: d.WebhookID,
		Final:      d.Status != bctrl.WebhookPending,
		Due:        due,
		Body:       body,
	}, err
}

func readDelivery(row store.Delivery) (d delivery, err error) { return d, json.Unmarshal(row.Body, &d) }

// newDelivery is that of an event to a webhook, to be tried now.
func newDelivery(webhook string, e bctrl.Event) (delivery, error) {
	now := store.Now()
	text, err := json.Marshal(e)
	return delivery{
		WebhookDelivery: bctrl.WebhookDelivery{
			ID:            web.NewID(),
			WebhookID:     webhook,
			EventID:       e.ID,
			EventType:     e.Type,
			Status:        bctrl.WebhookPending,
			NextAttemptAt: &now,
			CreatedAt:     now,
			UpdatedAt:     now,
		},
		Event: text,
	}, err
}

// enqueue adds a delivery for each webhook that is to have an event, in the transaction
// that keeps the event. It believes what rows say of what they want: before anything
// is sent, the seal of the row has to prove it.
func (s *Service) enqueue(ctx context.Context, tx *store.Tx, org string, e bctrl.Event) error {
	rows, err := tx.Webhooks(ctx, org, "", maxWebhooks)
	if err != nil {
		return err
	}
	for _, row := range rows {
		var m meta
		if json.Unmarshal(row.Meta, &m) != nil || !m.wants(e) {
			continue
		}
		d, err := newDelivery(row.UID, e)
		if err != nil {
			return err
		}
		waiting, err := tx.WaitingDeliveries(ctx, row.UID)
		if err != nil {
			return err
		}
		if waiting >= maxWaiting {
			d.fail(codeTooManyWaiting)
		}
		if err := put(ctx, tx, org, d); err != nil {
			return err
		}
	}
	return nil
}

func put(ctx context.Context, tx *store.Tx, org string, d delivery) error {
	row, err := d.row(org)
	if err != nil {
		return err
	}
	return tx.PutDelivery(ctx, row, kept)
}

func (d *delivery) fail(code string) {
	d.Status, d.Code, d.NextAttemptAt, d.UpdatedAt = bctrl.WebhookFailed, code, nil, store.Now()
}

// run delivers what is due until ctx ends. Of the nodes of a cluster the one that leads
// does.
func (s *Service) run(ctx context.Context) {
	look := time.NewTicker(whileLed)
	defer look.Stop()
	for ctx.Err() == nil {
		if s.Cluster.Leads() {
			s.lead(ctx)
		}
		select {
		case <-look.C:
		case <-ctx.Done():
		}
	}
}

// lead delivers what is due while this node leads. What it has begun ends then, long before
// another node may think that it leads, which tries it again.
func (s *Service) lead(ctx context.Context) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	if !s.Cluster.Alone() {
		s.running.Go(func() { s.endUnlessLeading(ctx, end) })
	}
	happened, stop := s.DB.WatchEvents("", "")
	defer stop()
	defer s.waiting.Store(0)
	var counted time.Time
	for ctx.Err() == nil {
		pause := whileLocked
		if !s.Custody.Locked() {
			pause = s.beginDue(ctx)
		}
		isDue := time.Since(counted) >= countEvery
		if isDue {
			s.countWaiting(ctx)
			counted = time.Now()
		}
		if !isDue || s.Waiting() > 0 { // else nothing changes until somebody wakes the service
			pause = min(pause, countEvery)
		}
		timer := time.NewTimer(pause)
		select {
		case <-happened:
		case <-s.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// countWaiting counts what has not ended. What the database does not say stays as it was.
func (s *Service) countWaiting(ctx context.Context) {
	if n, err := s.DB.Read().AllWaitingDeliveries(ctx); err == nil {
		s.waiting.Store(int64(n))
	}
}

// Waiting is how many deliveries of all organizations have not ended, as it was some seconds
// ago at most; 0 on a node of a cluster that does not lead.
func (s *Service) Waiting() int { return int(s.waiting.Load()) }

// endUnlessLeading calls end once this node does not lead any more.
func (s *Service) endUnlessLeading(ctx context.Context, end context.CancelFunc) {
	look := time.NewTicker(whileLed)
	defer look.Stop()
	for ctx.Err() == nil {
		select {
		case <-look.C:
			if !s.Cluster.Leads() {
				end()
			}
		case <-ctx.Done():
		}
	}
}

// beginDue begins what is due and may be, and returns how long there is nothing to begin
// unless somebody wakes the service.
func (s *Service) beginDue(ctx context.Context) time.Duration {
	now := store.Now()
	pause := time.Minute // the end of one that is busy wakes it
	err := s.lookAtRest(ctx)
	var forged []string
	if err == nil {
		forged, err = s.DB.Read().DueDeliveries(ctx, now, func(row store.Delivery) (more bool) {
			wait, more := s.begin(ctx, row)
			pause = min(pause, wait)
			return more
		})
	}
	ended := 0
	if err == nil {
		ended, err = s.endForged(ctx, forged)
	}
	next, waits := time.Time{}, false
	if err == nil {
		next, waits, err = s.DB.Read().NextDue(ctx, now)
	}
	if err != nil {
		if !s.Custody.Locked() {
			s.Log.Error("deliveries of webhooks could not be read", "error", err)
		}
		return whileLocked
	}
	if ended > 0 {
		s.wakeUp() // for what they held up
	}
	if waits {
		pause = min(pause, time.Until(next))
	}
	return pause
}

// endForged ends deliveries that this server did not write as they are: nothing of them
// is sent, and they would hold up their webhooks for ever.
func (s *Service) endForged(ctx context.Context, ids []string) (ended int, err error) {
	if len(ids) == 0 {
		return 0, nil
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		ended = 0
		for _, id := range ids {
			did, err := tx.EndForgedDelivery(ctx, id)
			if err != nil {
				return err
			}
			if did {
				ended++
			}
		}
		return nil
	})
	if err == nil {
		s.Log.Error("deliveries of webhooks were changed by another, and are not sent", "deliveries", ids)
	}
	return ended, err
}

// mayBegin reports whether another receiver of an organization may be told. It has no more of
// the places than are free, which is half of them where it is alone ([maxOfOrg]), so that there is
// one for another organization however slow the receivers of this one are. Call it with mu held.
func (s *Service) mayBegin(org string) bool {
	own := 0
	for _, of := range s.busy {
		if of == org {
			own++
		}
	}
	return own < maxAtOnce-len(s.busy)
}

// begin delivers a row beside its caller, unless its webhook is busy or too many are, of its
// organization or of all: then no more can be begun. A webhook that has to rest is begun by no
// one before the time that is returned.
func (s *Service) begin(ctx context.Context, row store.Delivery) (wait time.Duration, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.busy) >= maxAtOnce {
		return time.Minute, false
	}
	if wait := time.Until(s.resting[row.WebhookUID].until); wait > 0 {
		return wait, true
	}
	if _, busy := s.busy[row.WebhookUID]; busy || !s.mayBegin(row.Org) {
		return time.Minute, true
	}
	s.busy[row.WebhookUID] = row.Org
	s.running.Go(func() {
		got, err := s.deliver(ctx, row)
		s.mu.Lock()
		delete(s.busy, row.WebhookUID)
		s.rest(row.WebhookUID, got, err)
		s.mu.Unlock()
		s.wakeUp()
	})
	return time.Minute, true
}

// deliver tries a delivery once, and records what became of it. Its error is that this
// is not on record.
func (s *Service) deliver(ctx context.Context, row store.Delivery) (got answer, err error) {
	// The list of what is due was begun before this: another may have told of it since.
	row, err = s.DB.Read().Delivery(ctx, row.Org, row.WebhookUID, row.ID)
	if err == nil && (row.Final || row.Due.After(store.Now())) {
		return got, nil
	}
	var d delivery
	if err == nil {
		d, err = readDelivery(row)
	}
	if err == nil {
		got, err = s.attempt(ctx, row.Org, &d)
	}
	if err == nil {
		err = s.record(row.Org, d)
	}
	if errors.Is(err, store.ErrNotFound) {
		return got, nil // the webhook was removed, and its deliveries with it
	}
	if err != nil && ctx.Err() == nil {
		s.Log.Error("a delivery of a webhook was not recorded", "delivery", row.ID, "error", err)
	}
	return got, err
}

// attempt tries a delivery. Its error is that it could not be tried, and is as before.
func (s *Service) attempt(ctx context.Context, org string, d *delivery) (got answer, err error) {
	row, err := s.DB.Read().Webhook(ctx, org, d.WebhookID)
	if err == nil {
		err = s.Keys.Ensure(ctx, org) // after a start nobody of the organization may have asked for anything yet
	}
	if err != nil {
		return got, err
	}
	got.version = row.Version
	w, err := s.open(org, row)
	switch {
	case web.IsTampered(err):
		d.fail(web.AsError(err).Code)
		return got, nil
	case err != nil:
		return got, err
	case !w.Enabled && d.EventType != bctrl.EventWebhookTest:
		d.fail("webhooks.disabled")
		return got, nil
	}
	wanted, err := d.isWanted(w)
	if err != nil {
		return got, err
	}
	if !wanted {
		d.fail("webhooks.not_wanted")
		return got, nil
	}
	d.Attempts++
	got = s.sendTraced(ctx, w, d)
	got.version = row.Version
	if ctx.Err() != nil {
		return got, ctx.Err() // the server ends: the next one tries it
	}
	d.ResponseStatus, d.Code, d.UpdatedAt = got.status, got.code, store.Now()
	switch {
	case got.code == "":
		d.Status, d.NextAttemptAt = bctrl.WebhookDelivered, nil
	case d.Attempts >= attempts, got.status == http.StatusGone, d.EventType == bctrl.EventWebhookTest:
		d.fail(got.code)
	default:
		next := store.Now().Add(max(s.pause(d.Attempts), got.retryAfter))
		d.NextAttemptAt = &next
	}
	return got, nil
}

// isWanted reports whether a webhook that its seal proves is to have the delivery: what
// its row said when the event happened may have been changed meanwhile, or put back.
func (d *delivery) isWanted(w opened) (bool, error) {
	if d.Asked || d.EventType == bctrl.EventWebhookTest {
		return true, nil
	}
	var e bctrl.Event
	err := json.Unmarshal(d.Event, &e)
	return w.wants(e), err
}

// answer is what a receiver did with one attempt. The code is empty where it has taken
// the delivery.
type answer struct {
	status int // 0 where there was no answer
	code   string
	// retryAfter is how long the receiver asks to be left alone, within reason.
	retryAfter time.Duration
	// version is that of the webhook as it was told; 0 where it could not be read.
	version int64
}

// sendTraced sends a delivery as a span of its own: nobody's request is what it is in.
func (s *Service) sendTraced(ctx context.Context, w opened, d *delivery) answer {
	ctx, span := trace.Begin(ctx, s.Tracer, string(trace.Delivery), trace.Client, "")
	got := s.send(ctx, w, d)
	if got.status != 0 {
		span.Number(trace.Status, got.status)
	}
	span.EndWith(got.code)
	return got
}

// send sends a delivery to its receiver. Nothing that it answers is kept but the status.
func (s *Service) send(ctx context.Context, w opened, d *delivery) answer {
	ctx, cancel := context.WithTimeout(ctx, s.attemptTime)
	defer cancel()
	rq, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(d.Event))
	if err != nil {
		return answer{code: "webhooks.unreachable"}
	}
	now := time.Now()
	rq.Header.Set("Content-Type", "application/json")
	rq.Header.Set("User-Agent", "bctrl-webhooks/"+bctrl.Version)
	rq.Header.Set(wire.HeaderWebhookID, d.EventID)
	rq.Header.Set(wire.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	rq.Header.Set(wire.HeaderWebhookSignature, w.sign(d.EventID, now, d.Event))
	resp, err := s.client.Do(rq)
	switch {
	case err == nil:
	case errors.Is(err, egress.ErrRefused):
		return answer{code: "webhooks.address_refused"}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return answer{code: "webhooks.timed_out"}
	default:
		return answer{code: "webhooks.unreachable"}
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // the connection can be used again after a short answer
	got := answer{status: resp.StatusCode, code: "webhooks.not_taken"}
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		got.code = ""
		return got
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		got.code = "webhooks.redirected"
	}
	got.retryAfter = wire.RetryAfter(resp.Header.Get("Retry-After"), longestPause)
	return got
}

// record records what became of a delivery, and disables a webhook that takes nothing.
func (s *Service) record(org string, d delivery) error {
	ctx := context.Background()
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		row, err := tx.Webhook(ctx, org, d.WebhookID)
		if err != nil {
			return err // it is gone, and its deliveries with it
		}
		if err := put(ctx, tx, org, d); err != nil {
			return err
		}
		if d.Status != bctrl.WebhookFailed || d.EventType == bctrl.EventWebhookTest {
			return nil
		}
		if d.ResponseStatus != http.StatusGone {
			failing, err := s.isFailing(ctx, tx, org, row)
			if err != nil || !failing {
				return err
			}
		}
		return s.disable(ctx, tx, org, row, d.Code)
	})
}

// disable disables a webhook that has taken nothing for long, and tells of it.
func (s *Service) disable(ctx context.Context, tx *store.Tx, org string, row store.Webhook, code string) error {
	w, err := s.open(org, row)
	if err != nil || !w.Enabled {
		return err
	}
	w.Enabled, w.DisabledFor = false, code
	row, err = s.seal(org, row, w)
	if err != nil {
		return err
	}
	if err := tx.UpdateWebhook(ctx, org, row); err != nil {
		return err
	}
	ev := web.ServerEvent("webhook.disabled", row.UID)
	ev.Org, ev.UID, ev.Version = org, row.UID, row.Version
	if err := audit.Append(tx, ev); err != nil {
		return err
	}
	e := bctrl.NewEvent(store.Now(), bctrl.WebhookDisabledEvent{WebhookID: row.UID, Code: code})
	e.WorkspaceID = w.WorkspaceID
	return s.hub.Append(ctx, tx, org, e)
}
