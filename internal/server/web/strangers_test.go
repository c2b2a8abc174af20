package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/audit"
)

func TestOneAddressIsOneStranger(t *testing.T) {
	for _, tc := range []struct{ remote, want string }{
		{"198.51.100.7:1234", "198.51.100.7"},
		{"[::ffff:198.51.100.7]:1", "198.51.100.7"},
		{"[2001:db8:1:2:3:4:5:6]:1", "2001:db8:1:2::/64"},
		{"[2001:db8:1:2:ffff::]:2", "2001:db8:1:2::/64"},
		{"[fe80::1%eth0]:2", "fe80::/64"},
		{"@", ""},
		{"", ""},
	} {
		require.Equal(t, tc.want, addressOf(&http.Request{
			RemoteAddr: tc.remote, Header: http.Header{"X-Forwarded-For": {"203.0.113.1"}, "Forwarded": {"for=203.0.113.1"}},
		}), tc.remote)
	}
}

// However many there are, what is held of them is bounded, and all are counted.
func TestStrangersAreBoundedAndAllAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // of what stands below: counts are written by a timer
		var log []audit.Event
		full := true
		s := newStrangers(allStrangersAtOnce, func(_ context.Context, events []audit.Event) error {
			mu.Lock()
			defer mu.Unlock()
			if full {
				return errors.New("the disk is full")
			}
			log = append(log, events...)
			return nil
		}, func(error) {})
		var admitted, all int64
		for n := range 20 * maxStrangers {
			all++
			if _, ok := s.admitRefusal(refusalKind{address: fmt.Sprint(n), code: "auth.unauthorized"}, time.Now()); ok {
				admitted++
			}
		}
		s.mu.Lock()
		addresses, counts := len(s.addresses), len(s.counts)
		s.mu.Unlock()
		require.LessOrEqual(t, addresses, maxStrangers)
		require.LessOrEqual(t, counts, maxStrangers+1)
		require.EqualValues(t, allStrangersAtOnce, admitted, "in all, too")

		<-time.After(strangersCountedFor + time.Second) // of the bubble's own clock
		synctest.Wait()
		mu.Lock()
		require.Empty(t, log, "it could not be written")
		full = false
		mu.Unlock()
		<-time.After(strangersCountedFor + time.Second)
		synctest.Wait()
		var sum int64
		mu.Lock()
		for _, e := range log {
			sum += e.Count
		}
		mu.Unlock()
		require.Equal(t, all-admitted, sum, "and is then")

		wait, ok := s.admitRefusal(refusalKind{address: "new", code: "auth.unauthorized"}, time.Now())
		require.True(t, ok, "after a while others are admitted again: %v", wait)
		for range allStrangersAtOnce / 10 {
			wait, ok = s.admitRefusal(refusalKind{address: "new", code: "auth.unauthorized"}, time.Now())
		}
		require.False(t, ok)
		require.InDelta(t, time.Second, wait, float64(time.Second))
		<-time.After(wait)
		_, ok = s.admitRefusal(refusalKind{address: "new", code: "auth.unauthorized"}, time.Now())
		require.True(t, ok, "who waits as long as it was told is admitted")
		s.Close(t.Context())
	})
}
