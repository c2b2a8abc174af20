// Package webhooks tells receivers outside of events, signed as Standard Webhooks has
// it. What is meant for a receiver is a row of its own, written with the event in one
// transaction, and tried until the receiver has taken it or it was tried often enough:
// each event arrives at least once, also where the server ends meanwhile.
package webhooks

import (
	"cmp"
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bctrl-go/bctrl/internal/egress"
	"github.com/bctrl-go/bctrl/internal/server/events"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

const (
	// attempts is how often a delivery is tried. The second try follows the first after
	// firstPause, each later one after pauseFactor times as long, up to longestPause,
	// some 55 hours in all: Standard Webhooks asks for several days, so that a receiver
	// that broke in the evening is mended before anything is lost.
	attempts     = 12
	firstPause   = 5 * time.Second
	pauseFactor  = 5
	longestPause = 10 * time.Hour
	// longestRest bounds how long a webhook is left alone whose receiver has too much to
	// do and does not say for how long, and one whose deliveries cannot be written down:
	// soon after the disk has room again they go on.
	longestRest = 10 * time.Minute
	// attemptTime is how long a receiver may take to answer. Standard Webhooks asks for 15 to
	// 30 seconds.
	attemptTime = 15 * time.Second
	// maxAtOnce bounds how many receivers are told at once, and maxOfOrg those of one
	// organization, which has them all while nobody else waits. There are as many for others
	// who come while its receivers are slow. One is told of one event at a time, so that
	// events arrive in order where none fails.
	maxOfOrg  = 16
	maxAtOnce = 2 * maxOfOrg
	// maxWebhooks bounds those of an organization.
	maxWebhooks = 50
	// maxWaiting bounds the deliveries of a webhook that wait, and kept is how many stay
	// on record that have ended.
	maxWaiting = 1000
	kept       = 1000
	// maxFailing is how many deliveries in a row may fail, each with all its attempts,
	// before the webhook is disabled.
	maxFailing = 10
	// overlap is how long a secret signs after a rotation, and maxOverlap the longest.
	overlap    = 24 * time.Hour
	maxOverlap = 30 * 24 * time.Hour
	// whileLocked is how often a server that is locked looks whether it still is.
	whileLocked = time.Second
	// countEvery is how old at least the number of waiting deliveries is that is counted anew.
	countEvery = 2 * time.Second
	// whileLed is how often a node of a cluster looks whether it leads.
	whileLed = 250 * time.Millisecond
)

// codeTooManyWaiting says that maxWaiting deliveries of a webhook wait already.
const codeTooManyWaiting = "webhooks.too_many_waiting"

// Config says what deliveries are made with.
type Config struct {
	// Egress decides where receivers may be.
	Egress egress.Policy
	// FirstPause and AttemptTime are, where they are 0, 5 and 15 seconds.
	FirstPause, AttemptTime time.Duration
}

// Service answers the routes of webhooks, and delivers events to them.
type Service struct {
	*web.Kernel
	hub         *events.Hub
	egress      egress.Policy
	firstPause  time.Duration
	attemptTime time.Duration
	client      *http.Client

	wake    chan struct{}   // has an element when there is something new to deliver
	life    context.Context // of what is delivered; ended by end
	end     context.CancelFunc
	running sync.WaitGroup

	waiting atomic.Int64 // deliveries that have not ended, while this node leads

	mu      sync.Mutex
	busy    map[string]string // the organizations of webhooks that are being told, by uid
	resting map[string]rest   // webhooks that are left alone, by uid
}

// New makes the service, which gets the hub's events from then on. [Service.Start] has
// them delivered.
func New(k *web.Kernel, hub *events.Hub, cfg Config) *Service {
	s := &Service{
		Kernel:      k,
		hub:         hub,
		egress:      cfg.Egress,
		firstPause:  cmp.Or(cfg.FirstPause, firstPause),
		attemptTime: cmp.Or(cfg.AttemptTime, attemptTime),
		wake:        make(chan struct{}, 1),
		busy:        map[string]string{},
		resting:     map[string]rest{},
	}
	s.client = &http.Client{
		Transport: &http.Transport{
			DialContext:            cfg.Egress.DialContext,
			TLSHandshakeTimeout:    s.attemptTime,
			MaxResponseHeaderBytes: 64 << 10,
			IdleConnTimeout:        time.Minute,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	hub.OnAppend(s.enqueue)
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Start begins to deliver, until [Service.Close].
func (s *Service) Start() { s.running.Go(func() { s.run(s.life) }) }

// Close ends what is being delivered; the next server tries it again.
func (s *Service) Close() {
	s.end()
	s.running.Wait()
	s.client.CloseIdleConnections()
}

func (s *Service) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default: // it has been woken already
	}
}
