// Package metrics counts what a server does, and shows it to Prometheus in its text
// format (https://prometheus.io/docs/instrumenting/exposition_formats/). No label has
// what a caller sent, nor an organization's names: routes are templates, rights and
// providers are of this program's own lists.
package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/bctrl-go/bctrl/internal/store"
)

// Metrics are those of one server. All methods may be called at the same time.
type Metrics struct {
	registry  *prometheus.Registry
	requests  *prometheus.HistogramVec
	decisions *prometheus.CounterVec
	providers *prometheus.HistogramVec
	commits   prometheus.Histogram
	failures  prometheus.Counter
	writes    prometheus.Counter
}

// New makes the metrics of a server of which nothing is known yet.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "bctrl_http_request_duration_seconds",
			Help:    "Requests by the template of their route, from their header to the end of their answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60},
		}, []string{"method", "route", "status"}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bctrl_decisions_total",
			Help: "Entries of the audit log by what was asked for, and whether it was permitted.",
		}, []string{"action", "decision"}),
		providers: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "bctrl_provider_call_duration_seconds",
			Help:    "Calls to providers, to the end of their answer; status 0 is none.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
		}, []string{"provider", "status"}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "bctrl_store_commit_duration_seconds",
			Help:    "Transactions of the store that became durable, each with the writes that shared it.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .5, 1, 10},
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "bctrl_store_commit_failures_total",
			Help: "Transactions of the store that failed as a whole, as on a full disk.",
		}),
		writes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "bctrl_store_writes_total",
			Help: "Writes that were made durable, many of which share a transaction.",
		}),
	}
	m.registry.MustRegister(
		m.requests, m.decisions, m.providers, m.commits, m.failures, m.writes,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Answered counts a request. The route is a template, and the status is 0 where
// nothing was answered.
func (m *Metrics) Answered(method, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Observe(took.Seconds())
}

// ProviderAnswered counts a call to a provider. The status is 0 where none answered.
func (m *Metrics) ProviderAnswered(provider string, status int, took time.Duration) {
	m.providers.WithLabelValues(provider, strconv.Itoa(status)).Observe(took.Seconds())
}

// Committed counts a transaction of the store, and the decisions on record in it.
func (m *Metrics) Committed(c store.Commit) {
	if c.Err != nil {
		m.failures.Inc()
		return
	}
	m.commits.Observe(c.Took.Seconds())
	m.writes.Add(float64(c.Writes))
	for _, d := range c.Decisions {
		decision := "allow"
		if d.Denied {
			decision = "deny"
		}
		m.decisions.WithLabelValues(d.Action, decision).Inc()
	}
}

// Gauge is something that is looked at each time somebody asks.
type Gauge struct {
	// Name and Help are as Prometheus has them; Read returns the number.
	Name, Help string
	Read       func() float64
}

// Watch adds gauges. Two of one name panic.
func (m *Metrics) Watch(gauges ...Gauge) {
	for _, g := range gauges {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.Name, Help: g.Help}, g.Read))
	}
}

// Handler answers with all metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}
