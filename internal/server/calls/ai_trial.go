package calls

import (
	"context"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/server/models"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// testAICredential asks a model one question with an AI credential, and says what
// the provider made of it. An organization key may test one that is disabled.
func (s *Service) testAICredential(
	ctx context.Context, rq *web.Request, _ web.None,
) (out bctrl.AICredentialTest, err error) {
	id, err := rq.Path("id", models.ValidID)
	if err != nil {
		return out, err
	}
	if err := rq.Authorize(id); err != nil {
		return out, err
	}
	rq.Granted.Require(func(ctx context.Context, q store.Queries, c access.Caller) error {
		_, err := s.models.FindUsable(ctx, q, c, id)
		return err
	})
	row, err := s.models.FindUsable(ctx, s.DB.Read(), rq.Caller, id)
	if err != nil {
		return out, err
	}
	meta, err := models.UnprovenMeta(row) // proved by each call
	if err != nil {
		return out, err
	}
	asked := &modelSender{
		service:    s,
		credential: id,
		test:       rq.Caller.Runtime == nil,
		by: Asker{
			Caller: func(context.Context) (access.Caller, error) { return rq.Caller, nil },
			Grant:  func() *web.Grant { return &rq.Granted },
			Event:  rq.Event,
		},
	}
	found := model.Check(ctx, s.broker, model.Config{
		Provider: meta.Provider,
		BaseURL:  meta.BaseURL,
		Model:    meta.DefaultModel,
		Sender:   asked,
	})
	out = found.AICredentialTest
	out.CheckedAt = out.CheckedAt.UTC().Truncate(time.Millisecond)
	if asked.sent > 0 {
		rq.MarkRecorded()
	}
	switch {
	case asked.refused != nil:
		return bctrl.AICredentialTest{}, asked.refused
	case web.EndedBecause(ctx) != nil:
		return bctrl.AICredentialTest{}, web.EndedBecause(ctx)
	}
	return out, nil
}
