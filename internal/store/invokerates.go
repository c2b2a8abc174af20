package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bctrl-go/bctrl/internal/tuple"
)

// rateWindow is how long a call counts, in seconds: a minute, and the second in
// which it began, so that no minute has more calls than are permitted, wherever
// it begins.
const rateWindow = 61

// rateCalls counts calls by the second in which they began.
type rateCalls struct {
	Second int64 `json:"s"`
	Count  int   `json:"n"`
}

// rateKey is what calls are counted for.
type rateKey struct{ org, capability string }

// noteCount remembers what this transaction has written of a count.
func (tx *Tx) noteCount(key rateKey, calls string) {
	if tx.counted == nil {
		tx.counted = map[rateKey]string{}
	}
	tx.counted[key] = calls
}

// isOlderCount reports whether a stored count is not the one that the writer wrote
// last, and so was put back by somebody else.
func (tx *Tx) isOlderCount(key rateKey, calls string) bool {
	for _, written := range []map[rateKey]string{tx.counted, tx.counting, tx.rates} { // the last first
		if was, known := written[key]; known {
			return was != calls
		}
	}
	return false
}

// CountCalls begins to count the calls of a capability, when it gets a limit.
// What is counted already stays.
func (tx *Tx) CountCalls(ctx context.Context, org, capability string) error {
	proof, err := tx.prove(KindInvokeRate, rateCells(org, capability, "[]"), false)
	if err != nil {
		return err
	}
	n, err := tx.exec(ctx, "INSERT INTO invoke_rates (org_id, capability, calls, proof) VALUES ($1, $2, '[]', $3) "+
		"ON CONFLICT (org_id, capability) DO NOTHING",
		org, capability, proof)
	if n > 0 {
		tx.noteCount(rateKey{org, capability}, "[]")
	}
	return err
}

// TakeCall counts a call of a capability that begins now, unless perMinute
// calls of the organization's have begun within a minute. Then it returns how
// long it is until one may.
func (tx *Tx) TakeCall(
	ctx context.Context, org, capability string, perMinute int, now time.Time,
) (wait time.Duration, err error) {
	text, err := one(ctx, tx.Queries, checked(tx.Queries, scanRate),
		"SELECT "+rateColumns+" FROM invoke_rates WHERE org_id = $1 AND capability = $2", org, capability)
	key := rateKey{org, capability}
	if errors.Is(err, ErrNotFound) || err == nil && tx.isOlderCount(key, text) { // to count from nothing, or from less
		err = &ForgedError{KindInvokeRate, capability}
	}
	if err != nil {
		return 0, err
	}
	var calls []rateCalls
	if err := json.Unmarshal([]byte(text), &calls); err != nil {
		return 0, fmt.Errorf("reading the calls of a minute: %w", err)
	}
	second := now.Unix()
	total := 0
	recent := calls[:0]
	for _, c := range calls {
		c.Second = min(c.Second, second) // the clock was set back since
		if c.Second > second-rateWindow {
			recent, total = append(recent, c), total+c.Count
		}
	}
	if total >= perMinute {
		return untilRoom(recent, total-perMinute, now), nil
	}
	if n := len(recent); n > 0 && recent[n-1].Second == second {
		recent[n-1].Count++
	} else {
		recent = append(recent, rateCalls{second, 1})
	}
	body, err := json.Marshal(recent)
	if err != nil {
		return 0, err
	}
	proof, err := tx.prove(KindInvokeRate, rateCells(org, capability, string(body)), false)
	if err != nil {
		return 0, err
	}
	tx.noteCount(key, string(body))
	return 0, tx.execChanging(ctx, "UPDATE invoke_rates SET calls = $1, proof = $2 WHERE org_id = $3 AND capability = $4",
		string(body), proof, org, capability)
}

const rateColumns = "org_id, capability, calls, proof"

func scanRate(row scanner) (calls string, p provenRow, err error) {
	err = row(&p.org, &p.uid, &calls, &p.proof)
	p.kind, p.cells = KindInvokeRate, rateCells(p.org, p.uid, calls)
	return calls, p, err
}

func rateCells(org, capability, calls string) tuple.Encoding {
	return cellsOf(KindInvokeRate).Text(org, capability, calls)
}

// untilRoom is how long it takes until more calls than over have stopped
// counting; recent are in order of time.
func untilRoom(recent []rateCalls, over int, now time.Time) time.Duration {
	for _, c := range recent {
		if over -= c.Count; over < 0 {
			return time.Unix(c.Second+rateWindow, 0).Sub(now)
		}
	}
	return rateWindow * time.Second // a limit of no calls at all
}
