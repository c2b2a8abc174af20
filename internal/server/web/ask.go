package web

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"

	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/cluster/peer"
)

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
				level := slog.LevelWarn
				if errors.Is(err, peer.ErrUnknownQuestion) {
					level = slog.LevelDebug // as always until it is upgraded
				}
				k.Log.Log(ctx, level, "a list lacks what another node alone knows", "of", name, "error", err)
				return
			}
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
