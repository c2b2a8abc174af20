package webhooks

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store"
)

// pause is how long after an attempt the next is made: a fifth more or less than what
// grows from one to the next, so that receivers that were away are not asked all at once.
func (s *Service) pause(attempt int) time.Duration {
	wait := float64(s.firstPause) * math.Pow(pauseFactor, float64(attempt-1))
	wait = min(wait, float64(longestPause))
	return time.Duration(wait * (0.8 + 0.4*rand.Float64()))
}

// rest is how long a webhook is left alone: because its receiver has too much to do, or
// because what became of its deliveries could not be written down, as on a full disk, so
// that the next attempt may send the same once more.
type rest struct {
	since    time.Time // as rows have times
	until    time.Time
	failures int
}

// rest lets a webhook rest after an answer that asks for it and after a delivery that
// ended with an error, each time longer. The caller holds mu.
func (s *Service) rest(webhook string, got answer, err error) {
	if err == nil && !got.isOfTooMuch() {
		delete(s.resting, webhook)
		return
	}
	failures := s.resting[webhook].failures + 1
	wait := max(min(s.pause(failures), longestRest), got.retryAfter)
	s.resting[webhook] = rest{
		since:    store.Now(),
		until:    time.Now().Add(wait),
		failures: failures,
	}
}

// endRest has a webhook be told again at once: what it rested for was changed.
func (s *Service) endRest(webhook string) {
	s.mu.Lock()
	delete(s.resting, webhook)
	s.mu.Unlock()
	s.wakeUp()
}

// lookAtRest ends the rest of a webhook that was changed since, on whichever node.
func (s *Service) lookAtRest(ctx context.Context, org, webhook string) {
	s.mu.Lock()
	r, rests := s.resting[webhook]
	s.mu.Unlock()
	if !rests || s.Cluster.Alone() {
		return
	}
	row, err := s.DB.Read().Webhook(ctx, org, webhook)
	if err == nil && !row.UpdatedAt.Before(r.since) {
		s.mu.Lock()
		delete(s.resting, webhook)
		s.mu.Unlock()
	}
}

// isOfTooMuch reports whether a receiver asks for fewer requests, for which Standard Webhooks
// names three statuses and Retry-After.
func (a answer) isOfTooMuch() bool {
	switch a.status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	}
	return a.retryAfter > 0
}

// isFailing reports whether the newest deliveries of a webhook, as far as they count, have
// all failed. Those that were never sent say nothing about the receiver, nor do tests.
func (s *Service) isFailing(
	ctx context.Context, tx *store.Tx, org string, row store.Webhook,
) (failing bool, err error) {
	w, err := s.open(org, row)
	if err != nil {
		return false, err
	}
	failed := 0
	err = tx.FinalDeliveries(ctx, row.UID, func(row store.Delivery) (more bool) {
		d, err := readDelivery(row)
		switch {
		case err != nil, d.Attempts == 0, d.EventType == bctrl.EventWebhookTest:
			return true
		case d.Status != bctrl.WebhookFailed, d.UpdatedAt.Before(w.FailuresFrom):
			return false
		}
		failed++
		return failed < maxFailing
	})
	return failed >= maxFailing, err
}
