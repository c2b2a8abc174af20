package live

import (
	"context"
	"sync"
	"time"
)

const (
	// IdleAfter is how long a person has to do nothing before a task that waits goes on.
	IdleAfter = 10 * time.Second
	// MaxWait is how long a task waits for a person at most.
	MaxWait = 10 * time.Minute
)

// Control knows which person works in a browser, and has tasks wait meanwhile. One person
// works at a time. The zero Control is ready.
type Control struct {
	mu      sync.Mutex
	person  string // who has taken over; "" for nobody
	last    time.Time
	turns   int           // see Turns
	waiting int           // tasks that wait
	change  chan struct{} // closed and replaced when person, waiting or last changes; nil while nobody asks
	release func()
}

// ControlState is who works in a browser.
type ControlState struct {
	// Person has taken over; "" for nobody.
	Person string
	// Waiting says that a task waits for the person, and goes on at Until where the person
	// does nothing until then.
	Waiting bool
	Until   time.Time
}

// State returns who works in the browser, and what is closed when that changes.
func (c *Control) State() (ControlState, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := ControlState{Person: c.person, Waiting: c.waiting > 0 && c.person != ""}
	if s.Waiting {
		s.Until = c.last.Add(IdleAfter)
	}
	return s, c.changed()
}

// changed returns the channel of the next change. Call it with mu held.
func (c *Control) changed() <-chan struct{} {
	if c.change == nil {
		c.change = make(chan struct{})
	}
	return c.change
}

// signal tells of a change. Call it with mu held.
func (c *Control) signal() {
	if c.change != nil {
		close(c.change)
		c.change = nil
	}
}

// Take gives the browser to a person. begin is called when nobody had it, and must not wait;
// what it returns is called when the person is done. It reports false where another person
// has it.
func (c *Control) Take(person string, begin func() (release func())) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.person != "" && c.person != person {
		return false
	}
	if c.person == "" {
		c.release = begin()
		c.turns++
	}
	c.person, c.last = person, time.Now()
	c.signal()
	return true
}

// Turns counts how often somebody has taken the browser over, or given it back. Who has read a page
// knows by it whether a person may have changed it since, also one who had it while it was read.
func (c *Control) Turns() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.turns
}

// Touch notes that a person does something. It reports false where the person does not
// have the browser.
func (c *Control) Touch(person string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.person != person {
		return false
	}
	c.last = time.Now()
	if c.waiting > 0 {
		c.signal() // it goes on later than was told
	}
	return true
}

// HandBack takes the browser from a person; nothing happens where the person does not have
// it.
func (c *Control) HandBack(person string) {
	c.mu.Lock()
	release := func() {}
	if c.person == person && person != "" {
		release = c.handBack()
	}
	c.mu.Unlock()
	release()
}

// handBack takes the browser from whoever has it, and returns what is to be called without
// the lock. Call it with mu held.
func (c *Control) handBack() (release func()) {
	release = c.release
	c.person, c.release = "", nil
	c.turns++
	c.signal()
	return release
}

// Wait waits while a person works in the browser: until it is handed back, or the person
// has done nothing for [IdleAfter]. told is called once where there is somebody to wait
// for. After [MaxWait] it reports false.
func (c *Control) Wait(ctx context.Context, told func()) (free bool, err error) {
	c.mu.Lock()
	if c.person == "" {
		c.mu.Unlock()
		return true, nil
	}
	c.waiting++
	c.signal()
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.waiting--
		c.signal()
	}()
	told()
	longest := time.NewTimer(MaxWait)
	defer longest.Stop()
	for {
		c.mu.Lock()
		if c.person == "" {
			c.mu.Unlock()
			return true, nil
		}
		idle := time.Until(c.last.Add(IdleAfter))
		if idle <= 0 {
			release := c.handBack()
			c.mu.Unlock()
			release()
			return true, nil
		}
		change := c.changed()
		c.mu.Unlock()
		timer := time.NewTimer(idle)
		select {
		case <-change:
		case <-timer.C:
		case <-longest.C:
			timer.Stop()
			return false, nil
		case <-ctx.Done():
			timer.Stop()
			return false, ctx.Err()
		}
		timer.Stop()
	}
}
