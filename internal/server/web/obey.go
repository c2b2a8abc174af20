package web

import (
	"context"
	"time"

	"github.com/bctrl-go/bctrl/internal/store"
)

// obeyLimit bounds how long a change waits for the other nodes. The lease of one that is
// silent runs out long before.
const obeyLimit = 30 * time.Second

// errNotObeyed is the answer to a change that is stored, and of which nobody can say
// whether every node obeys it.
var errNotObeyed = WithHint(
	Unavailable("server.nodes_behind", "the change is stored, but not every node has said that it obeys it"),
	"send it again with its Idempotency-Key: it is answered once all of them do",
)

// Obey is for whoever has changed rules by [store.Tx.ChangedRules]: once that is durable,
// and before it is acknowledged. What is no longer permitted has ended when it returns, on
// this node and all others, but for nodes whose lease has run out: they do nothing any
// more. Its error says that nobody can tell.
func (k *Kernel) Obey(ctx context.Context, change store.RuleChange) error {
	if !k.DB.Shared() {
		k.RecheckUnderway(ctx, change.Org, change.Workspace)
		return nil
	}
	return k.awaitNodes(ctx)
}

// awaitNodes waits until every node obeys what is stored, this one too, which is told as
// all are. A caller who leaves changes nothing.
func (k *Kernel) awaitNodes(ctx context.Context) error {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), obeyLimit)
	defer done()
	if err := k.DB.AwaitRules(ctx); err != nil {
		k.Log.Error("a change is not acknowledged, since not every node has said that it obeys it", "error", err)
		return errNotObeyed
	}
	return nil
}

// ObeyNews has this node obey what any node has changed of the rules: what is no longer
// permitted has ended when it returns.
func (k *Kernel) ObeyNews(ctx context.Context, news store.RuleNews) {
	if news.All {
		k.underway.recheckAll(ctx)
		return
	}
	whole, done := map[string]bool{}, map[store.RuleChange]bool{}
	for _, c := range news.Changes {
		whole[c.Org] = whole[c.Org] || c.Workspace == "" && c.Runtime == ""
	}
	for _, c := range news.Changes {
		if c.Runtime != "" {
			continue
		}
		if whole[c.Org] {
			c.Workspace = ""
		}
		if !done[c] {
			done[c] = true
			k.RecheckUnderway(ctx, c.Org, c.Workspace)
		}
	}
}
