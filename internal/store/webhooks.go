package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl/internal/tuple"
)

// Webhook is a receiver of events.
type Webhook struct {
	UID     string
	Version int64
	// Meta says which events it gets, as JSON; Sealed covers it.
	Meta []byte
	// Sealed is where it is and what its deliveries are signed with, encrypted.
	Sealed               []byte
	CreatedAt, UpdatedAt time.Time
}

const webhookColumns = "uid, version, meta, sealed, created_at, updated_at"

func scanWebhook(row scanner) (w Webhook, err error) {
	var created, updated int64
	err = row(&w.UID, &w.Version, &w.Meta, &w.Sealed, &created, &updated)
	w.CreatedAt, w.UpdatedAt = fromMillis(created), fromMillis(updated)
	return w, err
}

func (w Webhook) record(org string) Record {
	row := cellsOf(KindWebhook).Text(org).Bytes(w.Meta, w.Sealed).Number(millis(w.CreatedAt), millis(w.UpdatedAt))
	return recordOf(KindWebhook, org, w.UID, w.Version, row)
}

func (w Webhook) name() string { return w.UID }

// Webhook returns the webhook with this id.
func (q Queries) Webhook(ctx context.Context, org, uid string) (Webhook, error) {
	return one(ctx, q, scanWebhook, "SELECT "+webhookColumns+" FROM webhooks WHERE org_id = $1 AND uid = $2", org, uid)
}

// Webhooks lists webhooks by id, which is by age.
func (q Queries) Webhooks(ctx context.Context, org, after string, limit int) ([]Webhook, error) {
	return many(ctx, q, scanWebhook, "SELECT "+webhookColumns+
		" FROM webhooks WHERE org_id = $1 AND uid > $2 ORDER BY uid LIMIT $3", org, after, limit)
}

// WebhookVersions returns the versions of webhooks by their uids, of all organizations. One
// that is gone is left out.
func (q Queries) WebhookVersions(ctx context.Context, uids []string) (map[string]int64, error) {
	versions := make(map[string]int64, len(uids))
	for some := range slices.Chunk(uids, 500) {
		args, places := make([]any, len(some)), make([]string, len(some))
		for i, uid := range some {
			args[i], places[i] = uid, "$"+strconv.Itoa(i+1)
		}
		err := each(ctx, q, func(row scanner) (none struct{}, err error) {
			var uid string
			var version int64
			err = row(&uid, &version)
			versions[uid] = version
			return none, err
		}, func(struct{}) error { return nil },
			"SELECT uid, version FROM webhooks WHERE uid IN ("+strings.Join(places, ", ")+")", args...)
		if err != nil {
			return nil, err
		}
	}
	return versions, nil
}

// InsertWebhook adds a webhook.
func (tx *Tx) InsertWebhook(ctx context.Context, org string, w Webhook) error {
	tx.wroteRecord(w.record(org))
	_, err := tx.exec(ctx, "INSERT INTO webhooks (org_id, "+webhookColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7)",
		org, w.UID, w.Version, string(w.Meta), w.Sealed, millis(w.CreatedAt), millis(w.UpdatedAt))
	return err
}

// UpdateWebhook replaces what the webhook with w's UID is.
func (tx *Tx) UpdateWebhook(ctx context.Context, org string, w Webhook) error {
	tx.wroteRecord(w.record(org))
	tx.scrub = true
	return tx.execChanging(ctx, "UPDATE webhooks SET version = $1, meta = $2, sealed = $3, updated_at = $4 "+
		"WHERE org_id = $5 AND uid = $6", w.Version, string(w.Meta), w.Sealed, millis(w.UpdatedAt), org, w.UID)
}

// DeleteWebhook removes a webhook with its deliveries.
func (tx *Tx) DeleteWebhook(ctx context.Context, org, uid string) error {
	tx.wroteRecord(deleted(KindWebhook, org, uid))
	tx.scrub = true
	return tx.execChanging(ctx, "DELETE FROM webhooks WHERE org_id = $1 AND uid = $2", org, uid)
}

// Delivery is an event on its way to a webhook.
type Delivery struct {
	ID, Org, WebhookUID string
	// Final is set once nothing is tried any more.
	Final bool
	// Due is when it is tried next.
	Due time.Time
	// Body is the event and what became of it, as JSON.
	Body []byte
}

const deliveryColumns = "org_id, id, webhook_uid, final, due, body, proof"

func (d *Delivery) cells() tuple.Encoding {
	return cellsOf(KindDelivery).Text(d.Org, d.ID, d.WebhookUID).Flag(d.Final).Bytes(d.Body).Number(millis(d.Due))
}

// scanDelivery reads a delivery, which is proven as an event is.
func scanDelivery(row scanner) (d Delivery, p provenRow, err error) {
	var due int64
	if err := row(&d.Org, &d.ID, &d.WebhookUID, &d.Final, &due, &d.Body, &p.proof); err != nil {
		return d, provenRow{kind: KindDelivery, uid: d.ID}, err // which is named, where it cannot be read
	}
	d.Due = fromMillis(due)
	p.kind, p.uid, p.org, p.cells, p.ended = KindDelivery, d.ID, d.Org, d.cells(), true
	return d, p, nil
}

// Delivery returns the delivery of a webhook with this id.
func (q Queries) Delivery(ctx context.Context, org, webhook, id string) (Delivery, error) {
	return one(ctx, q, checked(q, scanDelivery), "SELECT "+deliveryColumns+
		" FROM webhook_deliveries WHERE org_id = $1 AND webhook_uid = $2 AND id = $3", org, webhook, id)
}

// Deliveries lists the deliveries of a webhook, the newest first, before an id; empty
// begins with the newest. Those that are not as this server wrote them are named by their
// ids alone.
func (q Queries) Deliveries(
	ctx context.Context, org, webhook, before string, limit int,
) (rows []Delivery, forged []string, err error) {
	forged, err = q.eachDelivery(ctx, func(d Delivery) (more bool) {
		rows = append(rows, d)
		return len(rows) < limit
	}, "SELECT "+deliveryColumns+" FROM webhook_deliveries "+
		"WHERE org_id = $1 AND webhook_uid = $2 AND id < $3 ORDER BY id DESC",
		org, webhook, cmp.Or(before, beyondIDs))
	return rows, forged, err
}

// eachDelivery calls fn with the deliveries of a query until it returns false. One that is
// not as this server wrote it is named by its id alone.
func (q Queries) eachDelivery(
	ctx context.Context, fn func(Delivery) (more bool), query string, args ...any,
) (forged []string, err error) {
	read, enough := checked(q, scanDelivery), errors.New("enough")
	err = each(ctx, q, func(row scanner) (none struct{}, err error) {
		d, err := read(row)
		if by, ok := errors.AsType[*ForgedError](err); ok {
			forged = append(forged, by.UID)
			return none, nil
		}
		if err == nil && !fn(d) {
			err = enough
		}
		return none, err
	}, func(struct{}) error { return nil }, query, args...)
	if errors.Is(err, enough) {
		err = nil
	}
	return forged, err
}

// FinalDeliveries calls fn with the deliveries of a webhook that have ended, the newest
// first, until it returns false. One that is not as this server wrote it is left out.
func (q Queries) FinalDeliveries(ctx context.Context, webhook string, fn func(Delivery) (more bool)) error {
	_, err := q.eachDelivery(ctx, fn, "SELECT "+deliveryColumns+
		" FROM webhook_deliveries WHERE webhook_uid = $1 AND final ORDER BY id DESC", webhook)
	return err
}

// DueDeliveries calls fn with deliveries of all organizations that are to be tried before
// a time, of each webhook the longest due, until it returns false. One that is not as this
// server wrote it is named by its id alone, since it holds up its webhook until
// [Tx.EndForgedDelivery].
func (q Queries) DueDeliveries(
	ctx context.Context, before time.Time, fn func(Delivery) (more bool),
) (forged []string, err error) {
	return q.eachDelivery(ctx, fn, "SELECT "+deliveryColumns+` FROM webhook_deliveries d
		WHERE NOT final AND due <= $1 AND NOT EXISTS (SELECT 1 FROM webhook_deliveries e
			WHERE e.webhook_uid = d.webhook_uid AND NOT e.final AND (e.due < d.due OR e.due = d.due AND e.id < d.id))
		ORDER BY due, id`, millis(before))
}

// EndForgedDelivery ends a delivery that is not as this server wrote it, and leaves all
// else that it holds. False says that there is none: it may have been replaced since.
func (tx *Tx) EndForgedDelivery(ctx context.Context, id string) (ended bool, err error) {
	_, err = one(ctx, tx.Queries, checked(tx.Queries, scanDelivery),
		"SELECT "+deliveryColumns+" FROM webhook_deliveries WHERE id = $1 AND NOT final", id)
	if !isForged(err) {
		if errors.Is(err, ErrNotFound) {
			err = nil
		}
		return false, err
	}
	return true, tx.execChanging(ctx, "UPDATE webhook_deliveries SET final = TRUE WHERE id = $1", id)
}

// NextDue is when the first delivery is to be tried that is not yet due at a time; false
// where none is.
func (q Queries) NextDue(ctx context.Context, after time.Time) (due time.Time, any bool, err error) {
	ms, err := one(ctx, q, func(row scanner) (ms int64, err error) { return ms, row(&ms) },
		"SELECT COALESCE(MIN(due), -1) FROM webhook_deliveries WHERE NOT final AND due > $1", millis(after))
	return fromMillis(ms), ms >= 0, err
}

// WaitingDeliveries counts the deliveries of a webhook that have not ended.
func (q Queries) WaitingDeliveries(ctx context.Context, webhook string) (int, error) {
	return one(ctx, q, func(row scanner) (n int, err error) { return n, row(&n) },
		"SELECT COUNT(*) FROM webhook_deliveries WHERE webhook_uid = $1 AND NOT final", webhook)
}

// AllWaitingDeliveries counts the deliveries of all webhooks that have not ended.
func (q Queries) AllWaitingDeliveries(ctx context.Context) (int, error) {
	return one(ctx, q, func(row scanner) (n int, err error) { return n, row(&n) },
		"SELECT COUNT(*) FROM webhook_deliveries WHERE NOT final")
}

// PutDelivery adds a delivery, or replaces what is known of it. Of those of its webhook
// that have ended, the newest stay, as many as keep says.
func (tx *Tx) PutDelivery(ctx context.Context, d Delivery, keep int) error {
	d.Due = fromMillis(millis(d.Due))
	proof, err := tx.prove(KindDelivery, d.cells(), true)
	if err != nil {
		return err
	}
	if _, err := tx.exec(ctx, "INSERT INTO webhook_deliveries ("+deliveryColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7) "+
		"ON CONFLICT (id) DO UPDATE SET final = excluded.final, due = excluded.due, body = excluded.body, "+
		"proof = excluded.proof",
		d.Org, d.ID, d.WebhookUID, d.Final, millis(d.Due), string(d.Body), proof); err != nil {
		return err
	}
	if !d.Final {
		return nil
	}
	_, err = tx.exec(ctx, "DELETE FROM webhook_deliveries WHERE webhook_uid = $1 AND final AND id IN (SELECT id FROM "+
		"webhook_deliveries WHERE webhook_uid = $1 AND final ORDER BY id DESC LIMIT 1000000 OFFSET $2)", d.WebhookUID, keep)
	return err
}
