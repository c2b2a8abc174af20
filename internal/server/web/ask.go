package web

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"

	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/cluster/peer"
	"github.com/bctrl-go/bctrl/internal/seal"
)

// InParts is an answer to another node of which a part is known at once.
type InParts = peer.InParts

// IsUnknownQuestion reports whether a node did not answer since it is of another version.
func IsUnknownQuestion(err error) bool { return errors.Is(err, peer.ErrUnknownQuestion) }

// Answers answers what other nodes ask with [AskOwners]: find returns what this node knows of
// the things with some ids, without those of which it knows nothing. The other node has seen
// to it that its caller may know.
func Answers[T any](find func(ctx context.Context, ids []string) (map[string]T, error)) peer.AnswerFunc {
	return func(ctx context.Context, question []byte) (any, error) {
		var ids []string
		if err := json.Unmarshal(question, &ids); err != nil {
			return nil, err
		}
		return find(ctx, ids)
	}
}

// AskOwners asks the nodes that have some things, all at once, for what they alone know of
// them, by the name that [Answers] was given to the peers under. Owners are by the id of what
// they have. A node that does not answer within two seconds is left out, and so is what one says
// of what it was not asked about.
func AskOwners[T any](ctx context.Context, k *Kernel, name string, owners map[string]cluster.Node) map[string]T {
	nodes, ids := map[string]cluster.Node{}, map[string][]string{}
	for id, n := range owners {
		if n.ID != k.Cluster.Self().ID {
			nodes[n.ID], ids[n.ID] = n, append(ids[n.ID], id)
		}
	}
	found := map[string]T{}
	var mu sync.Mutex // guards found
	var asking sync.WaitGroup
	for _, n := range nodes {
		asking.Go(func() {
			var of map[string]T
			if err := k.Peers.Ask(ctx, n, name, ids[n.ID], &of); err != nil {
				k.unanswered(ctx, n, name, err)
				return
			}
			k.answered(n, name)
			mu.Lock()
			defer mu.Unlock()
			for _, id := range ids[n.ID] {
				if known, ok := of[id]; ok {
					found[id] = known
				}
			}
		})
	}
	asking.Wait()
	return found
}

// questionOf is a question of a name to the node at an address, which it keeps when it comes back as
// another.
type questionOf struct{ address, name string }

// unheard are the questions that nodes do not answer, as the log has told: each list would ask
// and tell anew.
type unheard struct {
	mu sync.Mutex
	of map[questionOf]struct{} // made with the first
}

// unanswered tells the log once that a node does not answer, until it does. That this
// node is locked has been told, an older node does not know each question, and whoever has left
// lacks nothing: that is for who looks for details.
func (k *Kernel) unanswered(ctx context.Context, n cluster.Node, name string, err error) {
	level := slog.LevelDebug
	switch {
	case IsUnknownQuestion(err): // as always until it is upgraded
	case errors.Is(err, seal.ErrLocked): // this node: it can ask nobody
	case ctx.Err() != nil: // whose list it was has left
	case k.unheard.add(questionOf{n.Address, name}):
		level = slog.LevelWarn
	}
	k.Log.Log(ctx, level, "lists lack what another node alone knows", "of", name, "node", n.ID, "name", n.Name,
		"address", n.Address, "error", err)
}

// answered tells the log that a node answers again.
func (k *Kernel) answered(n cluster.Node, name string) {
	if k.unheard.remove(questionOf{n.Address, name}) {
		k.Log.Info("lists have again what another node alone knows", "of", name, "node", n.ID, "name", n.Name)
	}
}

// add adds a question, and reports whether it is new.
func (u *unheard) add(q questionOf) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, known := u.of[q]; known {
		return false
	}
	if u.of == nil {
		u.of = map[questionOf]struct{}{}
	}
	u.of[q] = struct{}{}
	return true
}

// remove removes a question, and reports whether it was there.
func (u *unheard) remove(q questionOf) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, known := u.of[q]
	delete(u.of, q)
	return known
}
