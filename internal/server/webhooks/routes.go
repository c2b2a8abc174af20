package webhooks

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/events"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// Routes are all of the area.
func (s *Service) Routes() []web.Route {
	return []web.Route{
		web.Endpoint("POST /v1/webhooks", access.WebhookWrite, s.create),
		web.Endpoint("GET /v1/webhooks", access.WebhookRead, s.list, "limit", "cursor"),
		web.Endpoint("GET /v1/webhooks/{id}", access.WebhookRead, s.get),
		web.Endpoint("PATCH /v1/webhooks/{id}", access.WebhookWrite, s.update),
		web.Endpoint("DELETE /v1/webhooks/{id}", access.WebhookWrite, s.remove),
		web.Endpoint("POST /v1/webhooks/{id}/test", access.WebhookWrite, s.test),
		web.Endpoint("POST /v1/webhooks/{id}/rotate", access.WebhookWrite, s.rotate),
		web.Endpoint("GET /v1/webhooks/{id}/deliveries", access.WebhookRead, s.deliveries, "limit", "cursor"),
		web.Endpoint("POST /v1/webhooks/{id}/deliveries/{delivery}/redeliver", access.WebhookWrite, s.redeliver),
	}
}

func errNoWebhook() *bctrl.Error {
	return web.NotFound("webhooks.not_found", "there is no such webhook")
}

type created = wire.NewWebhook[bctrl.Webhook]

func (s *Service) create(ctx context.Context, rq *web.Request, in bctrl.WebhookCreate) (out created, err error) {
	if err := rq.Authorize(""); err != nil {
		return out, err
	}
	given := bctrl.WebhookUpdate{URL: &in.URL, Description: &in.Description, Events: &in.Events}
	if err := s.check(given); err != nil {
		return out, err
	}
	w := opened{meta: meta{Description: in.Description, Events: distinct(in.Events), WorkspaceID: in.WorkspaceID}}
	w.URL, w.Enabled = in.URL, true
	if in.WorkspaceID != "" {
		if web.ValidUUID(in.WorkspaceID) != nil {
			return out, web.Invalid("request.invalid_id", "workspaceId", "workspaceId must be a uuid")
		}
		_, err := s.DB.Read().Workspace(ctx, rq.Caller.Org, in.WorkspaceID)
		if errors.Is(err, store.ErrNotFound) {
			err = web.WithField(web.NotFound("workspaces.not_found", "there is no such workspace"), "workspaceId")
		}
		if err != nil {
			return out, err
		}
	}
	w.Secrets = []signing{{Secret: newSecret()}}
	row, err := s.seal(rq.Caller.Org, store.Webhook{UID: web.NewID(), CreatedAt: store.Now()}, w)
	if err != nil {
		return out, err
	}
	rq.Object = row.UID
	return web.Change(ctx, rq, func(tx *store.Tx, ev *audit.Event) (created, error) {
		ev.UID, ev.Version = row.UID, row.Version
		others, err := tx.Webhooks(ctx, rq.Caller.Org, "", maxWebhooks)
		if err == nil && len(others) >= maxWebhooks {
			err = web.Conflict("webhooks.too_many", "there are "+strconv.Itoa(maxWebhooks)+" webhooks already")
		}
		if err != nil {
			return created{}, err
		}
		return created{Webhook: describe(row, w), Secret: w.Secrets[0].Secret}, tx.InsertWebhook(ctx, rq.Caller.Org, row)
	})
}

func newSecret() wire.Value {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails, by its contract
	return wire.NewValue(wire.NewWebhookSecret(key))
}

// check refuses what no webhook can be. What is not given stays as it is, whatever it is: a
// webhook can be disabled although its address would not be taken any more.
func (s *Service) check(given bctrl.WebhookUpdate) error {
	if given.Description != nil {
		var p web.Problems
		p.Limit("description", len(*given.Description), web.MaxLabel)
		if err := p.Err(); err != nil {
			return err
		}
	}
	if given.Events != nil {
		var texts []string
		for _, t := range *given.Events {
			texts = append(texts, string(t))
		}
		if _, err := events.TypesOf("events", texts); err != nil {
			return err
		}
	}
	if given.URL != nil {
		return s.checkAddress(*given.URL)
	}
	return nil
}

// distinct drops types that are named before: all that are stored are read in each
// transaction with an event.
func distinct(types []bctrl.EventType) []bctrl.EventType {
	var out []bctrl.EventType
	for _, t := range types {
		if !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

// maxAddress bounds an address, in bytes.
const maxAddress = 2048

func (s *Service) checkAddress(text string) error {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxAddress || u.Host == "" || u.Hostname() == "" || u.User != nil || u.Fragment != "" ||
		u.Opaque != "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return web.WithHint(
			web.Invalid("webhooks.invalid_url", "url", "url must be an https address without user info and fragment"),
			"http is taken for localhost, 127.0.0.1 and [::1] alone",
		)
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil && s.egress.Check(addr) != nil {
		return errAddressRefused
	}
	return nil
}

var errAddressRefused = web.WithField(web.WithHint(
	web.Forbidden("webhooks.address_refused", "the server's address policy does not permit this address"),
	"use a public address: those of private networks are refused unless the server was set up to permit them",
), "url")

func isLoopback(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || net.ParseIP(host).Equal(net.IPv6loopback)
}

func describe(row store.Webhook, w opened) bctrl.Webhook {
	out := bctrl.Webhook{
		ID:          row.UID,
		URL:         w.URL,
		Description: w.Description,
		Events:      w.Events,
		WorkspaceID: w.WorkspaceID,
		Enabled:     w.Enabled,
		DisabledFor: w.DisabledFor,
		CreatedAt:   row.CreatedAt,
		UpdatedAt:   row.UpdatedAt,
	}
	if len(w.Secrets) > 1 && time.Now().Before(w.Secrets[1].Until) {
		out.PreviousSecretUntil = &w.Secrets[1].Until
	}
	return out
}

func (s *Service) list(ctx context.Context, rq *web.Request, _ web.None) (wire.List[bctrl.Webhook], error) {
	return web.Listing[store.Webhook, bctrl.Webhook]{
		Plural: wire.Webhooks,
		Rows: func(after string, limit int) ([]store.Webhook, error) {
			return s.DB.Read().Webhooks(ctx, rq.Caller.Org, after, limit)
		},
		Cursor: func(row store.Webhook) string { return row.UID },
		Describe: func(row store.Webhook) (bctrl.Webhook, error) {
			w, err := s.open(rq.Caller.Org, row)
			return describe(row, w), err
		},
	}.Page(rq)
}

// authorized reads the webhook that the path names, once the request is authorised.
func (s *Service) authorized(
	ctx context.Context, rq *web.Request, q store.Queries,
) (row store.Webhook, w opened, err error) {
	id, err := rq.Path("id", web.ValidUUID)
	if err != nil {
		return row, w, err
	}
	if err := rq.Authorize(id); err != nil {
		return row, w, err
	}
	row, err = q.Webhook(ctx, rq.Caller.Org, id)
	if errors.Is(err, store.ErrNotFound) {
		return row, w, errNoWebhook()
	}
	if err != nil {
		return row, w, err
	}
	w, err = s.open(rq.Caller.Org, row)
	return row, w, err
}

func (s *Service) get(ctx context.Context, rq *web.Request, _ web.None) (bctrl.Webhook, error) {
	row, w, err := s.authorized(ctx, rq, s.DB.Read())
	return describe(row, w), err
}

// changeOf changes the webhook that the path names, in one transaction.
func changeOf[Out any](
	ctx context.Context, s *Service, rq *web.Request, change func(w *opened) error,
	answer func(store.Webhook, opened) Out,
) (out Out, err error) {
	if _, _, err := s.authorized(ctx, rq, s.DB.Read()); err != nil {
		return out, err
	}
	return web.Change(ctx, rq, func(tx *store.Tx, ev *audit.Event) (out Out, err error) {
		row, w, err := s.authorized(ctx, rq, tx.Queries)
		if err != nil {
			return out, err
		}
		if err := change(&w); err != nil {
			return out, err
		}
		if row, err = s.seal(rq.Caller.Org, row, w); err != nil {
			return out, err
		}
		ev.UID, ev.Version = row.UID, row.Version
		tx.Wake(rq.Caller.Org)
		return answer(row, w), tx.UpdateWebhook(ctx, rq.Caller.Org, row)
	})
}

func (s *Service) update(ctx context.Context, rq *web.Request, in bctrl.WebhookUpdate) (bctrl.Webhook, error) {
	out, err := changeOf(ctx, s, rq, func(w *opened) error {
		if err := s.check(in); err != nil {
			return err
		}
		web.SetIfGiven(&w.URL, in.URL)
		web.SetIfGiven(&w.Description, in.Description)
		if in.Events != nil {
			w.Events = distinct(*in.Events)
		}
		if in.Enabled != nil && *in.Enabled {
			if err := s.checkAddress(w.URL); err != nil {
				return err
			}
		}
		if in.Enabled != nil {
			w.Enabled, w.DisabledFor = *in.Enabled, ""
		}
		if in.URL != nil || in.Enabled != nil {
			w.FailuresFrom = store.Now()
		}
		return nil
	}, describe)
	if err == nil && (in.URL != nil || in.Enabled != nil) {
		s.endRest(out.ID)
	}
	return out, err
}

func (s *Service) rotate(ctx context.Context, rq *web.Request, in wire.WebhookRotate) (created, error) {
	during := overlap
	if in.OverlapMs != nil {
		if *in.OverlapMs < 0 || *in.OverlapMs > maxOverlap.Milliseconds() {
			return created{}, web.Invalid("webhooks.invalid_overlap", "overlapMs", "overlapMs must be 0 to 2592000000, 30 days")
		}
		during = time.Duration(*in.OverlapMs) * time.Millisecond
	}
	return changeOf(ctx, s, rq, func(w *opened) error {
		before := w.Secrets[0]
		before.Until = store.Now().Add(during)
		w.Secrets = []signing{{Secret: newSecret()}, before}
		return nil
	}, func(row store.Webhook, w opened) created {
		return created{Webhook: describe(row, w), Secret: w.Secrets[0].Secret}
	})
}

func (s *Service) remove(ctx context.Context, rq *web.Request, _ web.None) (web.None, error) {
	id, err := rq.Path("id", web.ValidUUID)
	if err != nil {
		return web.None{}, err
	}
	if err := rq.Authorize(id); err != nil {
		return web.None{}, err
	}
	defer s.endRest(id)
	return web.Change(ctx, rq, func(tx *store.Tx, ev *audit.Event) (web.None, error) {
		row, err := tx.Webhook(ctx, rq.Caller.Org, id)
		if errors.Is(err, store.ErrNotFound) {
			return web.None{}, errNoWebhook()
		}
		if err != nil {
			return web.None{}, err
		}
		ev.UID, ev.Version = row.UID, row.Version
		return web.None{}, tx.DeleteWebhook(ctx, rq.Caller.Org, row.UID)
	})
}

// test sends a webhook an event that says so, now and once, whether it is enabled or not.
func (s *Service) test(ctx context.Context, rq *web.Request, _ web.None) (out bctrl.WebhookDelivery, err error) {
	row, _, err := s.authorized(ctx, rq, s.DB.Read())
	if err != nil {
		return out, err
	}
	e := bctrl.NewEvent(store.Now(), bctrl.WebhookTestEvent{WebhookID: row.UID})
	e.ID = web.NewID()
	d, err := newDelivery(row.UID, e)
	if err != nil {
		return out, err
	}
	ev := rq.Event()
	rq.MarkRecorded()
	err = s.Use(ctx, ev, func() error {
		if _, err := s.attempt(ctx, rq.Caller.Org, &d); err != nil {
			return err
		}
		return s.record(rq.Caller.Org, d)
	})
	return d.WebhookDelivery, err
}

func (s *Service) deliveries(
	ctx context.Context, rq *web.Request, _ web.None,
) (list wire.List[bctrl.WebhookDelivery], err error) {
	limit, before, err := rq.Page()
	if err != nil {
		return list, err
	}
	row, _, err := s.authorized(ctx, rq, s.DB.Read())
	if err != nil {
		return list, err
	}
	rows, unread, err := s.DB.Read().Deliveries(ctx, rq.Caller.Org, row.UID, before, limit+1)
	if err != nil {
		return list, err
	}
	list.Plural = wire.WebhookDeliveries
	rows, list.NextCursor = web.PageOf(rows, limit, func(d store.Delivery) string { return d.ID })
	for _, row := range rows {
		d, err := readDelivery(row)
		if err != nil {
			unread = append(unread, row.ID)
			continue
		}
		list.Items = append(list.Items, d.WebhookDelivery)
	}
	if len(unread) > 0 { // one of them hides none of the others
		s.Log.Error("deliveries of a webhook were changed by another, and are not listed",
			"webhook", row.UID, "deliveries", unread)
	}
	return list, nil
}

func errTooManyWaiting() *bctrl.Error {
	return web.WithHint(
		web.Conflict(codeTooManyWaiting, strconv.Itoa(maxWaiting)+" deliveries of the webhook wait already"),
		"send it again once its receiver has taken some",
	)
}

// redeliver has an event delivered once more, as a delivery of its own. The receiver
// knows it by the id of the event.
func (s *Service) redeliver(ctx context.Context, rq *web.Request, _ web.None) (out bctrl.WebhookDelivery, err error) {
	id, err := rq.Path("delivery", web.ValidUUID)
	if err != nil {
		return out, err
	}
	row, w, err := s.authorized(ctx, rq, s.DB.Read())
	if err != nil {
		return out, err
	}
	if !w.Enabled {
		return out, web.WithHint(web.Conflict("webhooks.disabled", "the webhook is disabled"), "enable it first")
	}
	out, err = web.Change(ctx, rq, func(tx *store.Tx, _ *audit.Event) (out bctrl.WebhookDelivery, err error) {
		stored, err := tx.Delivery(ctx, rq.Caller.Org, row.UID, id)
		if errors.Is(err, store.ErrNotFound) {
			return out, web.NotFound("webhooks.delivery_not_found", "there is no such delivery of the webhook")
		}
		if err != nil {
			return out, err
		}
		d, err := readDelivery(stored)
		if err != nil {
			return out, err
		}
		waiting, err := tx.WaitingDeliveries(ctx, row.UID)
		if err == nil && waiting >= maxWaiting {
			err = errTooManyWaiting()
		}
		if err != nil {
			return out, err
		}
		now := store.Now()
		d.WebhookDelivery = bctrl.WebhookDelivery{
			ID:            web.NewID(),
			WebhookID:     row.UID,
			EventID:       d.EventID,
			EventType:     d.EventType,
			Status:        bctrl.WebhookPending,
			NextAttemptAt: &now,
			CreatedAt:     now,
			UpdatedAt:     now,
		}
		d.Asked = true
		tx.Wake(rq.Caller.Org)
		return d.WebhookDelivery, put(ctx, tx, rq.Caller.Org, d)
	})
	return out, err
}
