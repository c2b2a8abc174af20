package soak

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/bctrl-go/bctrl"
)

// workspace is what runtimes are launched in.
const workspace = "soak"

// launch launches a runtime, makes a token of it and revokes that, and stops the runtime, each of
// any node. What became of a launch without an answer is found by the alias, which no other has.
func launch(ctx context.Context, c *caller) error {
	alias := c.name + "-" + strconv.Itoa(c.calls)
	call, done := context.WithTimeout(ctx, callTime)
	n := c.pick()
	ws, err := n.client.Workspaces.GetByName(call, workspace)
	var rt *bctrl.Runtime
	if err == nil {
		rt, err = ws.Runtimes.Browser(alias).Stagehand(call, bctrl.Launch{})
	}
	done()
	switch {
	case err == nil:
		c.acknowledged.Add(1)
		if err := c.useToken(ctx, rt); err != nil {
			return err
		}
	case !isTrouble(err) && !mayEnd(err):
		return fmt.Errorf("launch: %w", err)
	default:
		if err := c.meet(n, "launch", err); err != nil {
			return err
		}
	}
	return c.endRuntime(ctx, alias)
}

// mayEnd reports whether an error says that a runtime has ended, which it does with its node.
func mayEnd(err error) bool {
	e, ok := errors.AsType[*bctrl.Error](err)
	return ok && (e.Code == "runtimes.ended" || e.Code == "runtimes.not_found" || e.Code == "runtimes.node_lost" ||
		e.Code == "runtimes.failed" || e.Code == "runtimes.not_active")
}

// endRuntime stops a runtime, if there is one, and requires that it has ended then.
func (c *caller) endRuntime(ctx context.Context, alias string) error {
	err := c.ask(ctx, "stop a runtime", func(ctx context.Context, client *bctrl.Client, _ ...bctrl.CallOption) error {
		ctx, done := context.WithTimeout(ctx, callTime)
		defer done()
		ws, err := client.Workspaces.GetByName(ctx, workspace)
		if err != nil {
			return err
		}
		rt, err := ws.Runtimes.Get(ctx, alias)
		if errors.Is(err, bctrl.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := rt.Stop(ctx); err != nil {
			return err
		}
		if err := rt.Refresh(ctx); err != nil {
			return err
		}
		if s := rt.Latest().Status; s != bctrl.RuntimeStopped && s != bctrl.RuntimeFailed {
			return fmt.Errorf("a runtime that was stopped is %s", s)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("runtime %s: %w", alias, err)
	}
	return nil
}

// useToken mints a token, uses it, revokes it, and requires that no node takes it then.
func (c *caller) useToken(ctx context.Context, rt *bctrl.Runtime) error {
	mint, done := context.WithTimeout(ctx, callTime)
	token, err := rt.Token(mint, bctrl.TokenRequest{})
	done()
	if err != nil {
		if isTrouble(err) || mayEnd(err) {
			return nil
		}
		return fmt.Errorf("mint: %w", err)
	}
	info, err := bctrl.InspectToken(token)
	if err != nil {
		return err
	}
	clients, closeAll, err := c.clientsOf(token)
	if err != nil {
		return err
	}
	defer closeAll()
	use, done := context.WithTimeout(ctx, callTime)
	_, err = clients[c.pick().i].Self(use)
	done()
	if err != nil && !isTrouble(err) && !errors.Is(err, bctrl.ErrUnauthorized) { // its runtime may have ended
		return fmt.Errorf("a token that is good: %w", err)
	}
	if err := c.change(ctx, "revoke a token",
		func(ctx context.Context, client *bctrl.Client, o ...bctrl.CallOption) error {
			return client.RevokeToken(ctx, info.ID, o...)
		}); err != nil && !errors.Is(err, bctrl.ErrNotFound) {
		return err
	}
	return c.requireRefused(ctx, "a revoked token", clients)
}
