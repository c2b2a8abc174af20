package runtimes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/store"
)

// actionCache implements [agent.Cache] for the agents of one workspace. What it has is
// done through the same tools and decisions as what a model asks for, so it permits
// nothing.
type actionCache struct {
	s *Service
	x *execution
}

// Load implements [agent.Cache]. A row that is not proven, or cannot be read, is none: it
// is logged, and the model is asked.
func (c actionCache) Load(ctx context.Context, key agent.CacheKey) ([]bctrl.TranscriptStep, error) {
	steps, err := c.s.DB.Read().CachedTask(ctx, c.x.org, c.x.ws.ID, cachedUnder(key))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		c.s.Log.Error("what an agent did before cannot be used", "workspace", c.x.ws.ID, "error", err)
	}
	if err != nil {
		return nil, ctx.Err()
	}
	return steps, nil
}

// Save implements [agent.Cache]. That it fails undoes nothing of the task.
func (c actionCache) Save(ctx context.Context, key agent.CacheKey, steps []bctrl.TranscriptStep) error {
	err := c.s.DB.Write(ctx, func(tx *store.Tx) error {
		return tx.CacheTask(ctx, c.x.org, c.x.ws.ID, cachedUnder(key), steps, store.Now())
	})
	if err != nil {
		c.s.Log.Error("what an agent did was not kept", "workspace", c.x.ws.ID, "error", err)
	}
	return ctx.Err()
}

func cachedUnder(key agent.CacheKey) string {
	sum := sha256.Sum256([]byte(key.Task + "\x00" + key.Page + "\x00" + key.Shape))
	return hex.EncodeToString(sum[:])
}
