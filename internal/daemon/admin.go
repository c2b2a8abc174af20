package daemon

import (
	"context"
	"net"
	"net/http"

	"github.com/bctrl-go/bctrl/internal/metrics"
)

// ServeAdmin answers on l whoever operates the server, as [Daemon.Serve] does callers:
// GET /metrics, in the text format of Prometheus, /healthz and /readyz. It asks nobody
// for a key, and nothing that it says is of one organization.
func (d *Daemon) ServeAdmin(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", d.metrics.Handler())
	mux.Handle("GET /healthz", d.Server)
	mux.Handle("GET /readyz", d.Server)
	return d.serve(ctx, l, mux)
}

// watch has the metrics show what the server has to do at each moment.
func (d *Daemon) watch() {
	count := func(name, help string, read func() int) metrics.Gauge {
		return metrics.Gauge{Name: name, Help: help, Read: func() float64 { return float64(read()) }}
	}
	d.metrics.Watch(
		count("bctrl_runtimes", "Runtimes that start or run.", func() int { return d.Server.Load().Runtimes }),
		count("bctrl_runtimes_queued", "Launches that wait for room.", func() int { return d.Server.Load().Queued }),
		count("bctrl_underway", "Requests and operations of callers that have not ended.",
			func() int { return d.Server.Load().Underway }),
		count("bctrl_locked", "1 where the server has no key to seal or open anything with.", func() int {
			if d.Locked() {
				return 1
			}
			return 0
		}),
		count("bctrl_warm_browsers", "Browsers that wait for a runtime.", func() int { ready, _ := d.warm(); return ready }),
		count("bctrl_warm_browsers_wanted", "Browsers that are to wait, by --warm.",
			func() int { _, want := d.warm(); return want }),
		count("bctrl_store_waiting", "Writes that wait for a transaction of the store.", d.store.Waiting),
		count("bctrl_audit_events", "The number of the newest event in the audit log.",
			func() int { return int(d.store.Head().Seq) }),
	)
}
