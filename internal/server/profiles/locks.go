package profiles

import (
	"context"
	"sync"
)

// locks are locks by name. The zero locks are ready.
type locks struct {
	mu     sync.Mutex
	byName map[string]*namedLock
}

// namedLock is there for as long as somebody holds it or waits for it.
type namedLock struct {
	free  chan struct{} // holds an element while nobody has the lock
	users int           // guarded by mu of the locks
}

// lock takes the lock of a name, which it gives back by unlock. It waits no longer than ctx.
func (l *locks) lock(ctx context.Context, name string) (unlock func(), err error) {
	l.mu.Lock()
	if l.byName == nil {
		l.byName = map[string]*namedLock{}
	}
	one := l.byName[name]
	if one == nil {
		one = &namedLock{free: make(chan struct{}, 1)}
		one.free <- struct{}{}
		l.byName[name] = one
	}
	one.users++
	l.mu.Unlock()
	select {
	case <-one.free:
		return func() {
			one.free <- struct{}{}
			l.leave(name, one)
		}, nil
	case <-ctx.Done():
		l.leave(name, one)
		return nil, ctx.Err()
	}
}

func (l *locks) leave(name string, one *namedLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one.users--; one.users == 0 {
		delete(l.byName, name)
	}
}
