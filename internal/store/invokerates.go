package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
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

// TakeCall counts a call of a capability that begins now, unless perMinute
// calls of the organization's have begun within a minute. Then it returns how
// long it is until one may.
func (tx *Tx) TakeCall(ctx context.Context, org, capability string, perMinute int, now time.Time) (wait time.Duration, err error) {
	text, err := one(ctx, tx.Queries, checked(tx.Queries, scanRate),
		"SELECT "+rateColumns+" FROM invoke_rates WHERE org_id = $1 AND capability = $2", org, capability)
	known := !errors.Is(err, ErrNotFound)
	if err != nil && known {
		return 0, err
	}
	var calls []rateCalls
	if known {
		if err := json.Unmarshal([]byte(text), &calls); err != nil {
			return 0, fmt.Errorf("reading the calls of a minute: %w", err)
		}
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
	_, err = tx.exec(ctx, `INSERT INTO invoke_rates (org_id, capability, calls, proof) VALUES ($1, $2, $3, $4)
		ON CONFLICT (org_id, capability) DO UPDATE SET calls = excluded.calls, proof = excluded.proof`, org, capability, string(body), proof)
	return 0, err
}

const rateColumns = "org_id, capability, calls, proof"

func scanRate(row scanner) (calls string, p provenRow, err error) {
	err = row(&p.org, &p.uid, &calls, &p.proof)
	p.kind, p.cells = KindInvokeRate, rateCells(p.org, p.uid, calls)
	return calls, p, err
}

func rateCells(org, capability, calls string) cells {
	return cellsOf(KindInvokeRate).text(org, capability, calls)
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
