// Package metrics counts what a server does, and shows it to Prometheus in its text
// format (https://prometheus.io/docs/instrumenting/exposition_formats/). No label has
// what a caller sent, nor an organization's names: routes are templates, rights and
// providers are of this program's own lists.
package metrics

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	victoria "github.com/VictoriaMetrics/metrics"

	"github.com/bctrl-go/bctrl/internal/store"
)

// Metrics are those of one server. All methods may be called at the same time.
type Metrics struct {
	set      *victoria.Set
	commits  *victoria.PrometheusHistogram
	failures *victoria.Counter
	writes   *victoria.Counter

	answered         byLabels[answeredLabels, victoria.PrometheusHistogram]
	providerAnswered byLabels[providerLabels, victoria.PrometheusHistogram]
	decisions        byLabels[decisionLabels, victoria.Counter]
}

// The labels of metrics of which there are several.
type (
	answeredLabels struct {
		method, route string
		status        int
	}
	providerLabels struct {
		provider string
		status   int
	}
	decisionLabels struct {
		action string
		denied bool
	}
)

// byLabels keeps metrics by their labels: to write these out for each thing that is counted
// takes many times as long as to count it.
type byLabels[L comparable, M any] struct {
	mu    sync.RWMutex
	known map[L]*M // nil before the first
}

// get returns the metric with some labels, which it makes where there is none.
func (b *byLabels[L, M]) get(labels L, create func() *M) *M {
	b.mu.RLock()
	metric := b.known[labels]
	b.mu.RUnlock()
	if metric != nil {
		return metric
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known == nil {
		b.known = map[L]*M{}
	}
	if b.known[labels] == nil {
		b.known[labels] = create()
	}
	return b.known[labels]
}

// New makes the metrics of a server of which nothing is known yet.
func New() *Metrics {
	set := victoria.NewSet()
	return &Metrics{
		set: set,
		commits: set.NewPrometheusHistogramExt("bctrl_store_commit_duration_seconds",
			[]float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .5, 1, 10}),
		failures: set.NewCounter("bctrl_store_commit_failures_total"),
		writes:   set.NewCounter("bctrl_store_writes_total"),
	}
}

// Answered counts a request. The route is a template, and the status is 0 where
// nothing was answered.
func (m *Metrics) Answered(method, route string, status int, took time.Duration) {
	m.answered.get(answeredLabels{method, route, status}, func() *victoria.PrometheusHistogram {
		return m.set.NewPrometheusHistogramExt(
			fmt.Sprintf("bctrl_http_request_duration_seconds{method=%q,route=%q,status=\"%d\"}", method, route, status),
			[]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60})
	}).Update(took.Seconds())
}

// ProviderAnswered counts a call to a provider. The status is 0 where none answered.
func (m *Metrics) ProviderAnswered(provider string, status int, took time.Duration) {
	m.providerAnswered.get(providerLabels{provider, status}, func() *victoria.PrometheusHistogram {
		return m.set.NewPrometheusHistogramExt(
			fmt.Sprintf("bctrl_provider_call_duration_seconds{provider=%q,status=\"%d\"}", provider, status),
			[]float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300})
	}).Update(took.Seconds())
}

// Committed counts a transaction of the store, and the decisions on record in it.
func (m *Metrics) Committed(c store.Commit) {
	if c.Err != nil {
		m.failures.Inc()
		return
	}
	m.commits.Update(c.Took.Seconds())
	m.writes.Add(c.Writes)
	for _, d := range c.Decisions {
		m.decisions.get(decisionLabels{d.Action, d.Denied}, func() *victoria.Counter {
			decision := "allow"
			if d.Denied {
				decision = "deny"
			}
			return m.set.NewCounter(fmt.Sprintf("bctrl_decisions_total{action=%q,decision=%q}", d.Action, decision))
		}).Inc()
	}
}

// Watch adds a number that is looked at each time somebody asks. Two of one name
// panic.
func (m *Metrics) Watch(name string, read func() int) {
	m.set.NewGauge(name, func() float64 { return float64(read()) })
}

// Handler answers with all metrics, and those of the process.
func (m *Metrics) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		m.set.WritePrometheus(w)
		victoria.WriteProcessMetrics(w)
	})
}
