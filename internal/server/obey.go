package server

import (
	"context"
	"errors"

	"github.com/bctrl-go/bctrl/internal/store"
)

// obey has this node obey what any node of the cluster has changed: it is locked where
// another one was, or where it has not the key any more, what is no longer permitted ends,
// and so do the runtimes of an organization or a workspace that is deleted. Those end beside
// it, since a browser may take its time: others wait for it, and take a node for dead that
// does not say soon that it obeys. Its error says that it does not yet.
func (s *Server) obey(ctx context.Context, news store.RuleNews) error {
	if news.Lock {
		s.Custody.Lock()
	}
	var followed error
	if news.All {
		followed = s.Custody.Follow(ctx)
	}
	s.ObeyNews(ctx, news)
	err := errors.Join(followed, s.runtimes.EndTold(ctx, news), s.runtimes.EndDeleted(ctx, news))
	if err != nil && ctx.Err() == nil {
		s.Log.Warn("a change is not obeyed yet, which is tried again", "error", err)
	}
	return err
}
