package web

import (
	"context"

	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/store"
)

// Change does a mutation in one transaction with its audit event and, where
// the request has an idempotency key, its answer: all of it is durable, or
// none. fn may complete the event. What the caller was permitted is decided
// once more inside: nothing is written under rules that have been replaced. Before
// it, the handler has asked for the right by [Request.Authorize].
func Change[Out any](
	ctx context.Context, rq *Request, fn func(tx *store.Tx, e *audit.Event) (Out, error),
) (out Out, err error) {
	err = rq.kernel.DB.Write(ctx, func(tx *store.Tx) (err error) {
		if err := rq.kernel.StillPermitted(ctx, tx.Queries, &rq.Granted); err != nil {
			return err
		}
		e := rq.Event()
		if out, err = fn(tx, &e); err != nil {
			return err
		}
		if err := rq.KeepAnswer(ctx, tx, out); err != nil {
			return err
		}
		e.Outcome = audit.OK
		return audit.Append(tx, e)
	})
	if err != nil {
		rq.answer = nil
		return out, err
	}
	rq.MarkRecorded()
	return out, nil
}

// ChangeRules is [Change] for rules that what is underway in the organization
// depends on. What they do not permit any more has ended when it returns, on every node.
func ChangeRules[Out any](
	ctx context.Context, rq *Request, fn func(tx *store.Tx, e *audit.Event) (Out, error),
) (Out, error) {
	return ChangeRulesOf(ctx, rq, store.RuleChange{Org: rq.Caller.Org}, fn)
}

// ChangeRulesOf is [ChangeRules] for the rules of one workspace, or of another
// organization than the caller's.
func ChangeRulesOf[Out any](
	ctx context.Context, rq *Request, of store.RuleChange, fn func(tx *store.Tx, e *audit.Event) (Out, error),
) (Out, error) {
	out, err := Change(ctx, rq, func(tx *store.Tx, e *audit.Event) (Out, error) {
		tx.ChangedRules(of)
		return fn(tx, e)
	})
	if err == nil {
		err = rq.kernel.Obey(ctx, of)
	}
	return out, err
}

// Use records the intent to do what e says, runs fn once that is durable, and
// records how it went. It is for the use of a secret, and for effects that no
// transaction can have. It returns the error of fn; where the intent cannot be
// recorded, or ctx was ended since, fn does not run.
func (k *Kernel) Use(ctx context.Context, e audit.Event, fn func() error) error {
	return k.UseFound(ctx, func(*store.Tx) (audit.Event, error) { return e, nil }, fn)
}

// UseFound is [Kernel.Use] for an intent that names what find reads in the transaction
// that records it. When find fails, there is neither intent nor use.
func (k *Kernel) UseFound(ctx context.Context, find func(*store.Tx) (audit.Event, error), fn func() error) error {
	e, done, err := k.Audit.BeginIn(ctx, find)
	if err != nil {
		return err
	}
	if err = k.StillUnderway(ctx); err == nil {
		err = fn()
	}
	outcome := audit.OK
	if err != nil {
		outcome = AsError(err).Code
	}
	k.RecordOutcome(e, done, audit.End{Outcome: outcome})
	return err
}

// StillUnderway is nil as long as what an intent was recorded for may be done: nobody has ended
// ctx since, and this node has its lease, without which others may have ended the intent.
func (k *Kernel) StillUnderway(ctx context.Context) error {
	if err := EndedBecause(ctx); err != nil {
		return err
	}
	return k.Cluster.Valid()
}

// RecordOutcome records how an intent went, by the function that recording the
// intent returned. Where it cannot, the log says so: the intent is on record, and
// what was done cannot be taken back.
func (k *Kernel) RecordOutcome(ev audit.Event, done audit.RecordOutcome, end audit.End) {
	if lost := done(end); lost != nil {
		k.Log.Error("an outcome was not recorded", "requestId", ev.RequestID, "error", lost)
	}
}
