package runtimes

import (
	"context"
	"errors"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// saveBound is how long a browser may take to have its profile saved, which may be of a
// gigabyte.
const saveBound = time.Minute

var errNoProfile = web.WithHint(
	web.Conflict("runtimes.no_profile", "the runtime was launched without a browser profile, and keeps nothing"),
	"launch with mode profile and a profileId",
)

var errProfileTooLarge = web.WithHint(
	web.TooLarge("profiles.too_large", browser.ErrProfileTooLarge.Error()),
	"have the sites delete what they store, or begin with a new profile and import the cookies of this one",
)

// saveProfile makes what a live browser has now the newest of its profile.
func (s *Service) saveProfile(ctx context.Context, rq *web.Request, _ web.None) (out bctrl.ProfileSaved, err error) {
	rt, ws, err := s.authorizedRuntime(ctx, rq)
	if err != nil {
		return out, err
	}
	if rt.ProfileUID == "" {
		return out, errNoProfile
	}
	lr, ok := s.activeRuntime(ctx, rt)
	if !ok || lr.browser == nil || lr.life.Err() != nil {
		return out, web.ErrNotActive
	}
	defer lr.uses.begin()()
	ev := rq.Event()
	ev.Workspace, ev.Group, ev.Runtime, ev.UID = ws.ID, rt.Group, rt.ID, rt.ProfileUID
	rq.MarkRecorded()
	err = s.Use(ctx, ev, func() error {
		ctx, cancel := lr.whileLive(ctx)
		defer cancel()
		ctx, cancelSave := context.WithTimeout(ctx, saveBound)
		defer cancelSave()
		if err := lr.browser.SaveProfile(ctx); err != nil {
			if lr.life.Err() != nil || errors.Is(err, browser.ErrGone) && lr.endsSoon(ctx) {
				return web.ErrNotActive
			}
			if errors.Is(err, browser.ErrProfileTooLarge) {
				return errProfileTooLarge
			}
			return err
		}
		out, err = s.profiles.Saved(context.WithoutCancel(ctx), rq.Caller.Org, rt.ProfileUID)
		return err
	})
	return out, err
}
