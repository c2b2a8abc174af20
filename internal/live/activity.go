package live

import "sync"

// Activity is what programs do in a browser at the moment, as people are told of it. The
// zero Activity is ready.
type Activity struct {
	mu      sync.Mutex
	running int
	what    string
	change  chan struct{} // closed and replaced when it changes; nil while nobody asks
}

// State returns whether anything runs, and what it does, and what is closed when that
// changes.
func (a *Activity) State() (running bool, what string, changed <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.change == nil {
		a.change = make(chan struct{})
	}
	return a.running > 0, a.what, a.change
}

// Begin notes that something runs, until end is called.
func (a *Activity) Begin() (end func()) {
	a.set(func() { a.running++ })
	var once sync.Once
	return func() {
		once.Do(func() {
			a.set(func() {
				if a.running--; a.running == 0 {
					a.what = ""
				}
			})
		})
	}
}

// Tell notes what is done, without secrets.
func (a *Activity) Tell(what string) { a.set(func() { a.what = what }) }

func (a *Activity) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
	if a.change != nil {
		close(a.change)
		a.change = nil
	}
}
