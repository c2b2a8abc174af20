package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// network makes the ways between what runs. Each is a proxy of Toxiproxy, in this process.
type network struct{ server *toxiproxy.ApiServer }

func newNetwork() *network {
	zerolog.SetGlobalLevel(zerolog.Disabled) // toxics have a log of their own otherwise
	return &network{toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())}
}

// way leads to one address, and can be made worse.
type way struct {
	name  string
	proxy *toxiproxy.Proxy

	mu  sync.Mutex
	cut bool
}

func (n *network) to(name, address string) (*way, error) {
	w := &way{name: name, proxy: toxiproxy.NewProxy(n.server, name, "127.0.0.1:0", address)}
	return w, w.proxy.Start()
}

// address is where the way begins.
func (w *way) address() string { return w.proxy.Listen }

// harm is something that a way does to what goes over it.
type harm struct {
	text string
	// toxics are Toxiproxy's; without any the way is cut.
	toxics []string
}

// harms are what may happen to a way. One-way means that requests arrive and answers do not, or
// the other way round.
func harms(r *rand.Rand) []harm {
	toxic := func(stream, kind, attributes string) string {
		return fmt.Sprintf(`{"type": %q, "stream": %q, "attributes": {%s}}`, kind, stream, attributes)
	}
	late := 20 + r.IntN(400)
	rate := 8 + r.IntN(100)
	return []harm{
		{"is cut", nil},
		{fmt.Sprintf("takes %d ms and more", late), []string{
			toxic("downstream", "latency", fmt.Sprintf(`"latency": %d, "jitter": %d`, late, late/2)),
		}},
		{fmt.Sprintf("carries %d KB a second", rate), []string{
			toxic("upstream", "bandwidth", fmt.Sprintf(`"rate": %d`, rate)),
			toxic("downstream", "bandwidth", fmt.Sprintf(`"rate": %d`, rate)),
		}},
		{"swallows what is asked", []string{toxic("upstream", "timeout", `"timeout": 0`)}},
		{"swallows what is answered", []string{toxic("downstream", "timeout", `"timeout": 0`)}},
		{"swallows everything", []string{
			toxic("upstream", "timeout", `"timeout": 0`), toxic("downstream", "timeout", `"timeout": 0`),
		}},
		{"resets connections", []string{toxic("upstream", "reset_peer", fmt.Sprintf(`"timeout": %d`, r.IntN(300)))}},
		{"resets connections whose answer comes", []string{
			toxic("downstream", "reset_peer", fmt.Sprintf(`"timeout": %d`, r.IntN(300))),
		}},
		{"carries small pieces", []string{
			toxic("downstream", "slicer", `"average_size": 200, "size_variation": 100, "delay": 500`),
		}},
	}
}

// suffer has the way do something from now on.
func (w *way) suffer(h harm) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(h.toxics) == 0 {
		w.cut = true
		w.proxy.Stop()
		return nil
	}
	for _, t := range h.toxics {
		if _, err := w.proxy.Toxics.AddToxicJson(strings.NewReader(t)); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return nil
}

// mendTime is how long taking all toxics from a way may take.
const mendTime = 10 * time.Second

// mend has the way carry everything again.
func (w *way) mend(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), mendTime)
	defer done()
	w.proxy.Toxics.ResetToxics(ctx)
	if !w.cut {
		return nil
	}
	w.cut = false
	return w.proxy.Start() // at the address that it had
}

func (w *way) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.proxy.Toxics.ResetToxics(context.Background())
	if !w.cut {
		w.proxy.Stop()
	}
}
