package server

import (
	"context"

	"github.com/bctrl-go/bctrl/internal/store"
)

// obey has this node obey what any node of the cluster has changed: it is locked where
// another one was, or where it has not the key any more, what is no longer permitted ends,
// and so do the runtimes of an organization or a workspace that is deleted. Those end beside
// it, since a browser may take its time.
func (s *Server) obey(ctx context.Context, news store.RuleNews) {
	if news.Lock {
		s.Custody.Lock()
	}
	if news.All {
		if err := s.Custody.Follow(ctx); err != nil {
			s.Log.Error("whether the key was exchanged cannot be told", "error", err)
		}
	}
	s.ObeyNews(ctx, news)
	s.runtimes.EndTold(ctx, news)
	s.runtimes.EndDeleted(ctx, news)
}
