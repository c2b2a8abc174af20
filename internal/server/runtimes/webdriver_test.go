package runtimes

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// hangingDriver answers nothing.
type hangingDriver struct{ browser.WebDriver }

func (hangingDriver) Browser() (string, []string) { return "b", nil }

func (hangingDriver) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestADriverThatHangsDoesNotKeepThePlaceOfASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		d := driverSession{driver: hangingDriver{}, life: t.Context()}
		_, err := d.create(t.Context(), []byte(`{"capabilities": {}}`))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, driverStart, time.Since(began))
	})
}

// TestAnIdleWebDriverSessionGivesWay also looks that one whose command has not been
// answered is not idle, however long that takes.
func TestAnIdleWebDriverSessionGivesWay(t *testing.T) {
	var d driven
	made := func() *driverSession {
		life, end := context.WithCancel(t.Context())
		return &driverSession{by: &connectURL{}, life: life, end: end, over: make(chan struct{}), id: "s"}
	}
	first := made()
	require.True(t, d.take(first, time.Now()))
	require.False(t, d.take(made(), time.Now().Add(time.Hour)), "one that is being made")
	s, _ := d.use("s", first.by)
	require.Nil(t, s, "nor is it used before")
	d.begin(first)
	require.False(t, d.take(made(), time.Now().Add(driverIdle/2)))
	s, release := d.use("s", first.by)
	require.Equal(t, first, s)
	require.False(t, d.take(made(), time.Now().Add(2*driverIdle)), "one with a command")
	release()
	second := made()
	require.True(t, d.take(second, time.Now().Add(2*driverIdle)))
	require.Error(t, first.life.Err(), "it has ended")
	d.leave(first)
	require.True(t, d.isTaken(time.Now()), "its place is another's")
	d.leave(second)
	require.False(t, d.isTaken(time.Now()))
}
