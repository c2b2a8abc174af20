package daemon

import (
	"context"
	"net"
	"net/http"
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
	d.metrics.Watch("bctrl_runtimes", func() int { return d.Server.Load().Runtimes })
	d.metrics.Watch("bctrl_runtimes_queued", func() int { return d.Server.Load().Queued })
	d.metrics.Watch("bctrl_underway", func() int { return d.Server.Load().Underway })
	d.metrics.Watch("bctrl_locked", func() int {
		if d.Locked() {
			return 1
		}
		return 0
	})
	d.metrics.Watch("bctrl_warm_browsers", func() int { ready, _ := d.warm(); return ready })
	d.metrics.Watch("bctrl_warm_browsers_wanted", func() int { _, want := d.warm(); return want })
	d.metrics.Watch("bctrl_store_waiting", d.store.Waiting)
	d.metrics.Watch("bctrl_audit_events", func() int { return int(d.store.Head().Seq) })
	d.metrics.Watch("bctrl_audit_indexed", func() int { return int(d.store.Indexed()) })
}
