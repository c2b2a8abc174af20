package webhooks

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
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
	// version is the webhook's that it rests as; 0 is not known.
	version  int64
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
		version:  got.version,
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

// lookAtRest ends the rest of webhooks that were changed since, on whichever node.
func (s *Service) lookAtRest(ctx context.Context) error {
	if s.Cluster.Alone() {
		return nil // [Service.endRest] has
	}
	s.mu.Lock()
	resting := slices.Collect(maps.Keys(s.resting))
	s.mu.Unlock()
	now, err := s.DB.Read().WebhookVersions(ctx, resting)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for uid, r := range s.resting {
		if version, is := now[uid]; is && r.version != 0 && version != r.version {
			delete(s.resting, uid)
		}
	}
	return nil
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
