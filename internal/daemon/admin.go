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
	return d.serve(ctx, l, mux, maxHeader)
}

// watch has the metrics show what the server has to do at each moment.
func (d *Daemon) watch() {
	d.metrics.Watch("bctrl_runtimes", func() int { return d.Server.Load().Runtimes })
	d.metrics.Watch("bctrl_runtimes_queued", func() int { return d.Server.Load().Queued })
	d.metrics.Watch("bctrl_underway", func() int { return d.Server.Load().Underway })
	d.metrics.Watch("bctrl_webhook_deliveries_waiting", func() int { return d.Server.Load().Deliveries })
	d.metrics.Watch("bctrl_locked", flag(d.Locked))
	d.metrics.Watch("bctrl_warm_browsers", func() int { ready, _ := d.warm(); return ready })
	d.metrics.Watch("bctrl_warm_browsers_wanted", func() int { _, want := d.warm(); return want })
	if node := d.node.Load(); node != nil {
		d.metrics.Watch("bctrl_node_lease_milliseconds", func() int { return int(node.LeaseLeft().Milliseconds()) })
		d.metrics.Watch("bctrl_node_number", func() int { return int(node.Self().Number) })
		d.metrics.Watch("bctrl_node_leads", flag(node.Leads))
		d.metrics.Watch("bctrl_node_draining", flag(node.Draining))
	}
	d.metrics.Watch("bctrl_store_waiting", d.store.Waiting)
	d.metrics.Watch("bctrl_audit_events", func() int { return int(d.store.Head().Seq) })
	d.metrics.Watch("bctrl_audit_signed", func() int { return int(d.custody.Signed()) })
	d.metrics.Watch("bctrl_audit_indexed", func() int { return int(d.store.Indexed()) })
}

// flag is 1 of what is so, and else 0.
func flag(is func() bool) func() int {
	return func() int {
		if is() {
			return 1
		}
		return 0
	}
}
