package server

import (
	"context"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/store"
)

// testAICredential asks a model one thing with an AI credential, and says what
// came of it.
func (s *Server) testAICredential(ctx context.Context, rq *request, _ none) (out bctrl.AICredentialTest, err error) {
	id, err := rq.path("id", validCredentialID)
	if err != nil {
		return out, err
	}
	if err := s.authorize(rq, id); err != nil {
		return out, err
	}
	rq.granted.require(func(ctx context.Context, q store.Queries, c access.Caller) error {
		_, err := s.askable(ctx, q, c, id)
		return err
	})
	row, err := s.askable(ctx, s.db.Read(), rq.caller, id)
	if err != nil {
		return out, err
	}
	meta, err := readAIMeta(row) // proved by each call
	if err != nil {
		return out, err
	}
	asked := &modelCalls{
		s:      s,
		id:     id,
		test:   rq.caller.Runtime == nil,
		caller: func(context.Context) (access.Caller, error) { return rq.caller, nil },
		grant:  func() *grant { return &rq.granted },
		event:  rq.event,
	}
	found := model.Check(ctx, s.broker, model.Config{
		Provider: meta.Provider,
		BaseURL:  meta.BaseURL,
		Model:    meta.DefaultModel,
		Sender:   asked,
	})
	out = found.AICredentialTest
	out.CheckedAt = out.CheckedAt.UTC().Truncate(time.Millisecond)
	rq.recorded = asked.sent > 0
	switch {
	case asked.refused != nil:
		return bctrl.AICredentialTest{}, asked.refused
	case endedBecause(ctx) != nil:
		return bctrl.AICredentialTest{}, endedBecause(ctx)
	}
	return out, nil
}
