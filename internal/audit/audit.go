// Package audit writes the log of who did what: every mutation, every use of a
// secret, every refusal.
//
// An effect outside the database is recorded twice: an intent that is durable
// before the effect, and an outcome linked to it after. A crash between leaves
// the intent alone, which reads as "unknown". An effect inside the database
// shares its transaction with one event that is both. Each event is chained by
// the store to all before it in its lane, of which each node of a cluster has
// one, and names the state of the record that its transaction wrote, if it wrote
// one: the store undoes a write that no event names. The exception are the
// answers kept for idempotency keys: they serve for 24 hours, only to repeat an
// answer to the very request that got it, and are written together with that
// request's event.
//
// A [Notary] signs where all lanes stand and keeps the newest signature
// outside the database too.
//
// An event never holds a value. Text from callers is bounded, and encoded as
// ASCII JSON, so no event can forge another.
package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store"
)

// Kind tells what an event records.
type Kind string

// The kinds of events.
const (
	// Intent is written before an effect outside the database.
	Intent Kind = "intent"
	// Outcome is written after it and names the intent.
	Outcome Kind = "outcome"
	// Both is intent and outcome at once: the effect, or its refusal, is in
	// the same transaction.
	Both Kind = "event"
)

// Decision is what the policy said.
type Decision string

// The decisions.
const (
	Allowed Decision = "allow"
	Denied  Decision = "deny"
)

// Event is one line of the log.
type Event struct {
	ID     string `json:"id"`
	Kind   Kind   `json:"kind"`
	Intent int64  `json:"intent,omitempty"` // of an outcome: the intent's number
	// Node is, of an intent, the node of the cluster that has it underway.
	Node string `json:"node,omitempty"`
	Org  string `json:"org,omitempty"`
	// Caller is "key:<id>", "token:<id>", "runtime:<id>", "server", "operator"
	// (who works on the data directory itself) or "anonymous".
	Caller string `json:"caller"`
	// Parent is the caller's own organization where it acts for a subaccount,
	// which then is Org.
	Parent    string `json:"parent,omitempty"`
	Workspace string `json:"workspace,omitempty"`
	Group     string `json:"group,omitempty"`
	Runtime   string `json:"runtime,omitempty"`
	Execution string `json:"execution,omitempty"`
	// Action is the right that was asked for: "vault.use".
	Action string `json:"action"`
	// Object is what it was asked for: a key, an id, a path; never a value.
	Object string `json:"object,omitempty"`
	// UID and Version name the record that was meant.
	UID     string `json:"uid,omitempty"`
	Version int64  `json:"version,omitempty"`
	// Record is the kind of the record that the event wrote, Digest what it was
	// then, empty when it was deleted. Append sets both.
	Record string `json:"record,omitempty"`
	Digest string `json:"digest,omitempty"`
	Tier   string `json:"tier,omitempty"`
	// Secrets are what a call to a provider is made with: UID and Tier are its
	// credential's.
	Secrets  []bctrl.AuditSecret `json:"secrets,omitempty"`
	Decision Decision            `json:"decision,omitempty"`
	// Outcome is "ok" or the code of an error.
	Outcome string `json:"outcome,omitempty"`
	// Capability, Credential and Consumer say what a call to a provider was made
	// as, Method, Host and Path where it went. Path is the template that the
	// capability permits, so that no id and no query is in the log.
	Capability string `json:"capability,omitempty"`
	Credential string `json:"credential,omitempty"`
	Consumer   string `json:"consumer,omitempty"`
	Method     string `json:"method,omitempty"`
	Host       string `json:"host,omitempty"`
	Path       string `json:"path,omitempty"`
	Status     int    `json:"status,omitempty"`
	// RequestBytes and ResponseBytes count the bodies of a call to a provider.
	RequestBytes  int64  `json:"requestBytes,omitempty"`
	ResponseBytes int64  `json:"responseBytes,omitempty"`
	DurationMs    int64  `json:"durationMs,omitempty"`
	RequestID     string `json:"requestId,omitempty"`
	// TraceID is the trace of the request, 32 hexadecimal digits: the one that the server tells
	// of, else the one that the caller named.
	TraceID string `json:"traceId,omitempty"`
	// Address is where a request without a good caller came from. Count is for
	// how many such requests the event stands.
	Address string `json:"address,omitempty"`
	Count   int64  `json:"count,omitempty"`
}

// End is how an effect ended.
type End struct {
	// Outcome is [OK] or the code of an error.
	Outcome string
	// The rest is of a call to a provider: the status of its answer, the sizes
	// of the bodies, and how long it took.
	Status                      int
	RequestBytes, ResponseBytes int64
	Took                        time.Duration
}

// RecordOutcome records how an effect ended, and does not wait until that is durable.
type RecordOutcome func(End) error

// Outcomes that are not the code of an error.
const (
	// OK is the outcome of what went well.
	OK = "ok"
	// Unknown is the outcome of an effect during which the server ended.
	Unknown = "unknown"
)

// Actions on the log itself.
const (
	// Started is the start of a server.
	Started = "server.start"
	// Accepted is an operator's word that the log is to go on from where it is,
	// whatever was done to it.
	Accepted = "audit.accept"
)

// Log writes events.
type Log struct{ db *store.DB }

// New returns a log in db.
func New(db *store.DB) *Log { return &Log{db: db} }

// Append records an event whose effect is tx itself, with the record that tx
// has written since the last Append, at most one.
func Append(tx *store.Tx, e Event) error {
	e.Kind = Both
	switch written := tx.Written(); len(written) {
	case 0:
	case 1:
		r := written[0]
		e.Record, e.UID, e.Digest = r.Kind, r.UID, r.Digest
		if r.Digest != "" {
			e.Version = r.Version
		}
	default:
		return errors.New("audit: one event for more than one record")
	}
	_, err := add(tx, &e)
	return err
}

// Record writes an event of its own, for a refusal or a failure, and returns
// when it is durable.
func (l *Log) Record(ctx context.Context, e Event) error {
	if err := l.db.Decide(ctx, func(tx *store.Tx) error { return Append(tx, e) }); err != nil {
		return fmt.Errorf("recording %s: %w", e.Action, err)
	}
	return nil
}

// Begin records the intent of an effect and returns when it is durable: an
// effect that cannot be recorded must not happen.
func (l *Log) Begin(ctx context.Context, e Event) (RecordOutcome, error) {
	_, done, err := l.BeginIn(ctx, func(*store.Tx) (Event, error) { return e, nil })
	return done, err
}

// BeginIn is Begin for an intent that names what the transaction finds: what is
// recorded is then what is used. It returns the event, or find's error.
func (l *Log) BeginIn(ctx context.Context, find func(*store.Tx) (Event, error)) (Event, RecordOutcome, error) {
	return l.beginIn(ctx, l.db.Decide, find)
}

// BeginChanging is BeginIn for a transaction that changes rows: see [store.DB.Decide], which
// would run find twice.
func (l *Log) BeginChanging(
	ctx context.Context, find func(*store.Tx) (Event, error),
) (Event, RecordOutcome, error) {
	return l.beginIn(ctx, l.db.Write, find)
}

func (l *Log) beginIn(
	ctx context.Context, transact func(context.Context, func(*store.Tx) error) error,
	find func(*store.Tx) (Event, error),
) (Event, RecordOutcome, error) {
	var e Event
	var notFound error
	var intent *store.Entry
	err := transact(ctx, func(tx *store.Tx) (err error) {
		if e, notFound = find(tx); notFound != nil {
			return notFound
		}
		e.Kind, e.Node = Intent, tx.Node()
		intent, err = add(tx, &e)
		return err
	})
	switch {
	case notFound != nil:
		return e, nil, notFound
	case err != nil:
		return e, nil, fmt.Errorf("recording the intent of %s: %w", e.Action, err)
	}
	return e, func(end End) error {
		done := Event{
			Kind:          Outcome,
			Intent:        intent.Seq,
			Org:           e.Org,
			Parent:        e.Parent,
			Caller:        e.Caller,
			Action:        e.Action,
			Outcome:       end.Outcome,
			Host:          e.Host,
			Status:        end.Status,
			RequestBytes:  end.RequestBytes,
			ResponseBytes: end.ResponseBytes,
			DurationMs:    end.Took.Milliseconds(),
			RequestID:     e.RequestID,
			TraceID:       e.TraceID,
		}
		entry, err := encode(&done)
		if err != nil {
			return err
		}
		entry.Node = e.Node
		return l.db.AppendLater(entry)
	}, nil
}

func add(tx *store.Tx, e *Event) (*store.Entry, error) {
	entry, err := encode(e)
	if err == nil {
		tx.Append(entry)
	}
	return entry, err
}

// encode gives an event its id, and makes the line of the log.
func encode(e *Event) (*store.Entry, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("making an event id: %w", err)
	}
	e.ID = id.String()
	e.bound()
	body, err := Encode(e)
	if err != nil {
		return nil, fmt.Errorf("encoding an event: %w", err)
	}
	entry := e.index()
	entry.Body = body
	return entry, nil
}

// index is what the log can be searched for without reading bodies.
func (e *Event) index() *store.Entry {
	entry := &store.Entry{Org: e.Org, Terms: store.EventText{
		Kind:      string(e.Kind),
		Workspace: e.Workspace,
		Runtime:   e.Runtime,
		Action:    e.Action,
		Object:    e.Object,
		Decision:  string(e.Decision),
		Outcome:   e.Outcome,
	}.Terms()}
	switch {
	case e.Kind == Outcome:
		entry.Intent = e.Intent
	case e.Record != "":
		entry.Record = store.Record{Kind: e.Record, UID: e.UID}.Name()
	}
	return entry
}
