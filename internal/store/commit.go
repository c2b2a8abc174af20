package store

import "time"

// Commit is one transaction of the writer.
type Commit struct {
	// Took is how long the writes in it had to wait for each other and for the disk.
	Took time.Duration
	// Err is why all of it was undone, or nil.
	Err error
	// Writes counts the writes that it made durable.
	Writes int
	// Decisions are those on record in it.
	Decisions []Decision
}

// Decision is what the audit log has of a right that somebody asked for.
type Decision struct {
	// Action is the right.
	Action string
	// Denied is set where it was not given.
	Denied bool
}

// Observe has fn told of every transaction from now on, on the writer's goroutine:
// fn must be quick. There is one observer.
func (db *DB) Observe(fn func(Commit)) { db.observe.Store(&fn) }

// Waiting is how many writes wait for a transaction.
func (db *DB) Waiting() int { return len(db.jobs) }

// committed describes a transaction that was tried.
func committed(jobs []*job, later []*Entry, took time.Duration, err error) Commit {
	c := Commit{Took: took, Err: err}
	if err != nil {
		return c
	}
	add := func(entries []*Entry) {
		for _, e := range entries {
			if e.Intent == 0 && e.Action != "" { // an outcome decides nothing
				c.Decisions = append(c.Decisions, Decision{e.Action, e.Denied})
			}
		}
	}
	add(later)
	for _, j := range jobs {
		if j.err == nil && j.fn != nil && !j.again {
			c.Writes++
			add(j.tx.entries)
		}
	}
	return c
}
