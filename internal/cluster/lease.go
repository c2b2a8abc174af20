package cluster

import "time"

// The times of a lease. The node gives up a sixth earlier than the database does, so that
// the two clocks need not run alike to a second.
const (
	leaseTime  = 6 * time.Second
	renewEvery = leaseTime / 4
	watchEvery = time.Second
)

// held is what a node holds of its lease, by its own clock, which never goes back.
type held struct {
	node Node
	// until is when it gives up, if it does not renew.
	until time.Time
	// leads and draining are as the last renewal said.
	leads, draining bool
	// toldLocked is set once the others may have been told that it is locked, until they are
	// told that it is not any more. It leads again from leadsFrom on, and not before.
	toldLocked bool
	leadsFrom  time.Time
}

// holds reports whether the lease is still held at a time.
func (h *held) holds(now time.Time) bool { return h != nil && now.Before(h.until) }

// heldUntil is how long a lease is held that was asked for at a time: from before the
// database was asked, which gives it later.
func heldUntil(asked time.Time, lease time.Duration) time.Time { return asked.Add(lease - lease/6) }
