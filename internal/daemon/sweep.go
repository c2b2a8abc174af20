package daemon

import (
	"cmp"
	"context"
	"time"
)

const (
	// sweepEvery is how often what serves nobody any more is removed.
	sweepEvery = 6 * time.Hour
	// leadEvery is how often a node looks whether that is up to it: whether it leads.
	leadEvery = time.Minute
	// firstLeft and lastLeft are how long what a dead server's browsers have left is let alone.
	firstLeft = time.Second
	lastLeft  = time.Minute
)

// sweepBrowsers goes on to remove what a server left that was killed before this one, until nothing is
// left: some of its browsers may only end now, and profiles are saved after that.
func sweepBrowsers(ctx context.Context, sweep func() (left int)) {
	for pause := firstLeft; sweep() > 0; pause = min(2*pause, lastLeft) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// startSweeping removes what serves nobody any more every sweepEvery, beside the requests,
// until Close. Of the nodes of a cluster the one that leads does, and one that has begun
// to lead does so at once. Each removes the folders that it alone knows to be of no use.
func (d *Daemon) startSweeping(ctx context.Context, look time.Duration) {
	ctx, d.stopSweeping = context.WithCancel(context.WithoutCancel(ctx))
	clocks := clockWatch{compare: d.store.Clocks, log: d.log}
	d.sweeps.Go(func() { clocks.run(ctx) })
	if d.chromium != nil {
		d.sweeps.Go(func() { sweepBrowsers(ctx, d.chromium.Sweep) })
	}
	d.sweeps.Go(func() {
		ticker := time.NewTicker(cmp.Or(look, leadEvery))
		defer ticker.Stop()
		var last time.Time // when this node swept; zero while another leads
		for ctx.Err() == nil {
			d.logUnlessStopped(ctx, "folders of profiles that were not made were not removed", d.Server.RemoveUnmade(ctx))
			switch {
			case !d.Node().Leads():
				last = time.Time{}
			case time.Since(last) >= sweepEvery:
				last = time.Now()
				d.log.Debug("sweeping")
				d.logUnlessStopped(ctx, "sweeping failed", d.Server.Sweep(ctx))
				fallthrough
			default:
				d.logUnlessStopped(ctx, "the deletion of subaccounts was not finished", d.Server.FinishDeletions(ctx))
				d.logUnlessStopped(ctx, "how far the log is settled was not noted", d.Server.NoteSettled(ctx))
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
			}
		}
	})
}

func (d *Daemon) logUnlessStopped(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		d.log.Error(what, "error", err)
	}
}
