package web

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/cluster/peer"
	"github.com/bctrl-go/bctrl/internal/trace"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// Peers are the other nodes of the server's cluster.
type Peers interface {
	// Passed reports whether another node has passed a request on to this one.
	Passed(r *http.Request) bool
	// Pass passes a request on to a node, and its answer to w: see [peer.Peers.Pass].
	Pass(w http.ResponseWriter, r *http.Request, to cluster.Node) error
	// Ask asks a node something for this one: see [peer.Peers.Ask].
	Ask(ctx context.Context, to cluster.Node, name string, question, answer any) error
	// AskInParts asks for an answer that takes longer: see [peer.Peers.AskInParts].
	AskInParts(ctx context.Context, to cluster.Node, name string, question, first any) (rest func(any) error, err error)
}

// Where says which node of a cluster serves a request of a route. The zero Where says
// nothing, as is right where all that is needed is in the store.
type Where struct {
	find   func(context.Context, *Request) (cluster.Node, error)
	said   bool
	orHere bool
}

// AnyNode is said of a route whose requests any node serves.
func AnyNode() Where { return Where{said: true} }

// OnNode is said of a route of whose requests find knows the node, before it is asked
// whether they are permitted: find tells nobody what it has found. A node without an id, and
// [cluster.ErrNotFound], stand for this one, which then says what is wrong. The body of a
// request whose node is not in its path is read by [Request.Peek].
func OnNode(find func(context.Context, *Request) (cluster.Node, error)) Where {
	return Where{find: find, said: true}
}

// OrHere is w of a route of which this node tells by what the store has, where the other
// cannot be asked.
func (w Where) OrHere() Where {
	w.orHere = true
	return w
}

// IsSaid reports whether something was said.
func (w Where) IsSaid() bool { return w.said }

// IsAny reports whether any node will do.
func (w Where) IsAny() bool { return w.find == nil }

// On returns the route with where it is served.
func (rt Route) On(w Where) Route {
	rt.where = w
	return rt
}

// On returns routes that are all served at one place.
func On(w Where, routes ...Route) []Route {
	for i := range routes {
		routes[i] = routes[i].On(w)
	}
	return routes
}

// Where is where the route is served.
func (rt Route) Where() Where { return rt.where }

// ErrNodeLost is the answer where the node that has what a request needs does not answer.
var ErrNodeLost = WithHint(
	Unavailable("runtimes.node_lost", "the node of the cluster that has the browser does not answer"),
	"ask again, with the same idempotency key: what was begun is done once, and a node that is gone is on record as such "+
		"within seconds",
)

// passOn passes a request on to the node that serves it, where that is another, and
// reports whether it did: then the request has its answer, and its record there. What comes
// from another node stays here, whoever should have it.
func (k *Kernel) passOn(w http.ResponseWriter, rq *Request) (done bool, err error) {
	find := rq.Route.where.find
	if find == nil || k.Peers == nil || k.Peers.Passed(rq.Request) {
		return false, nil
	}
	if err := k.Cluster.Valid(); err != nil {
		return false, err
	}
	orHere := rq.Route.where.orHere
	to, err := find(rq.Context(), rq)
	if errors.Is(err, cluster.ErrNotFound) || err == error(ErrNodeLost) && orHere {
		return false, nil
	}
	if err != nil || to.ID == "" || to.ID == k.Cluster.Self().ID {
		return false, err
	}
	if orHere {
		if _, err := rq.Peek(); err != nil { // it may be needed twice
			return false, err
		}
	}
	rq.LetFinish() // that node ends it when it is not permitted any more
	r := rq.Clone(rq.Context())
	if rq.read != nil {
		r.Body = io.NopCloser(bytes.NewReader(rq.read))
	}
	r.Header.Set(wire.HeaderRequestID, rq.ID)
	_, span := trace.Start(rq.Context(), trace.Pass, trace.Client)
	defer func() { span.End(err) }()
	span.Text(trace.Node, to.ID)
	if parent := span.Traceparent(); parent != "" { // else the caller's own is passed on as it came
		r.Header.Set(headerTraceParent, parent)
	}
	err = k.Peers.Pass(w, r, to)
	if errors.Is(err, peer.ErrLost) {
		if orHere {
			return false, nil
		}
		err = ErrNodeLost
	}
	return err == nil, err
}

// Peek reads the body of a request that says there which node serves it, for whoever
// decodes it next too. It is nil where it is not to be read as JSON.
func (rq *Request) Peek() ([]byte, error) {
	if !IsJSON(rq.Header.Get("Content-Type")) {
		return nil, nil
	}
	body, err := rq.ReadBody()
	if err != nil {
		return nil, err
	}
	rq.read = body
	return body, nil
}
