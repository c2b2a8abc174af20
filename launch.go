package bctrl

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// BrowserLauncher launches one browser. Its methods return changed copies, so
// that a launcher can be kept and reused. See [RuntimesService.Browser].
//
// A launch whose context ends while it waits for room is given up. One whose browser starts
// goes on without its caller: the same launch with the same [WithIdempotencyKey] gives the
// runtime, and [RuntimesService.Get] finds it by its alias, to stop it for example.
type BrowserLauncher struct {
	ws     *Workspace
	alias  string
	group  string
	narrow []Mounts
}

// Narrow lowers what the runtime may use below what the workspace may. Calls
// add up: each narrows what the ones before left. Mounts that widen are
// refused by the launch, before a request is sent.
func (l *BrowserLauncher) Narrow(m Mounts) *BrowserLauncher {
	lower := *l
	lower.narrow = append(slices.Clone(l.narrow), m)
	return &lower
}

// Group puts the runtime into a group of the workspace, so that it sees the
// secrets attached there.
func (l *BrowserLauncher) Group(id string) *BrowserLauncher {
	grouped := *l
	grouped.group = id
	return &grouped
}

// Stagehand launches a browser for an agent and waits until it is active.
//
// Access: runtime.launch
func (l *BrowserLauncher) Stagehand(ctx context.Context, launch Launch, opts ...CallOption) (*Runtime, error) {
	return l.launch(ctx, DriverStagehand, launch, opts)
}

// Playwright launches a browser for Playwright, which connects by
// [Runtime.ConnectURL], and waits until it is active.
//
// Access: runtime.launch
func (l *BrowserLauncher) Playwright(ctx context.Context, launch Launch, opts ...CallOption) (*Runtime, error) {
	return l.launch(ctx, DriverPlaywright, launch, opts)
}

// Puppeteer launches a browser for Puppeteer (or chromedp, or anything else
// that speaks the DevTools protocol), which connects by [Runtime.ConnectURL],
// and waits until it is active.
//
// Access: runtime.launch
func (l *BrowserLauncher) Puppeteer(ctx context.Context, launch Launch, opts ...CallOption) (*Runtime, error) {
	return l.launch(ctx, DriverPuppeteer, launch, opts)
}

// Selenium launches a browser for Selenium, or anything else that speaks
// WebDriver, which connects by [Runtime.ConnectURL], and waits until it is active.
// The server needs Debian's chromium-driver; without one the launch is refused as
// runtimes.no_webdriver, which says what to install.
//
// Access: runtime.launch
func (l *BrowserLauncher) Selenium(ctx context.Context, launch Launch, opts ...CallOption) (*Runtime, error) {
	return l.launch(ctx, DriverSelenium, launch, opts)
}

func (l *BrowserLauncher) launch(
	ctx context.Context, driver Driver, launch Launch, opts []CallOption,
) (*Runtime, error) {
	if launch.Mode == "" {
		launch.Mode = ModeEphemeral
	}
	in := RuntimeCreate{
		Alias:  l.alias,
		Kind:   KindBrowser,
		Driver: driver,
		Launch: launch,
		Group:  l.group,
	}
	r := &request{
		method: http.MethodPost,
		path:   pathRuntimes,
		params: []string{l.ws.id},
		slow:   true, // it may be queued, and wait for its browser
		opts:   opts,
	}
	effective, declared, err := l.mounts()
	if err == nil {
		err = checkSegment("alias", l.alias)
	}
	if err == nil {
		err = launch.Validate()
	}
	if err == nil {
		err = launch.refuseSecrets(effective)
	}
	if err != nil {
		return nil, (&exchange{r: r}).fail(err)
	}
	in.Mounts = declared
	ctx, cancel := bounded(ctx, opts)
	defer cancel()
	var info RuntimeInfo
	r.in, r.out = in, &info
	if err := l.ws.via().call(ctx, r); err != nil {
		return nil, err
	}
	rt := newRuntime(l.ws.via, info, effective)
	if err := rt.started(ctx); err != nil {
		return nil, err
	}
	return rt, nil
}

// refuseSecrets refuses vault keys that the mounts do not permit, as the server does.
func (l Launch) refuseSecrets(m Mounts) error {
	if l.Config == nil {
		return nil
	}
	check := func(field, key string) error {
		if key == "" || m.AllowsVaultKey(key) {
			return nil
		}
		e := outside(UseVault, "the mounts do not permit the vault entry of a launch", "permit it in mounts.vault.allow")
		e.Field = field
		return e
	}
	var errs []error
	if p := l.Config.Proxy; p != nil {
		errs = append(errs, check(fieldLaunchConfig+"proxy.vaultKey", p.VaultKey))
	}
	for i, h := range l.Config.Headers {
		errs = append(errs, check(element(fieldLaunchConfig+"headers", i)+".vaultKey", h.VaultKey))
	}
	return firstError(errs...)
}

// mounts computes what the runtime will effectively have, and what to declare.
func (l *BrowserLauncher) mounts() (effective Mounts, declared *Mounts, err error) {
	effective = l.ws.ceiling()
	for _, m := range l.narrow {
		if effective, err = effective.Narrow(m); err != nil {
			return Mounts{}, nil, err
		}
		if declared == nil {
			declared = &Mounts{}
		}
		*declared = declared.then(m)
	}
	return effective, declared, nil
}

const (
	startPollMin = 50 * time.Millisecond
	startPollMax = time.Second
)

// started waits until a runtime that is starting is active, for as long as the
// context allows.
func (rt *Runtime) started(ctx context.Context) error {
	for wait := startPollMin; rt.Status == RuntimeStarting || rt.Status == RuntimeQueued; {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
		if err := rt.Refresh(ctx); err != nil {
			return err
		}
		wait = min(2*wait, startPollMax)
	}
	if rt.Status == RuntimeActive {
		return nil
	}
	message := "the browser did not start"
	if rt.Info.Summary.Message != "" {
		message += ": " + rt.Info.Summary.Message
	}
	return &Error{
		Status:       http.StatusServiceUnavailable,
		Code:         "runtimes.start_failed",
		Message:      message,
		Method:       http.MethodPost,
		PathTemplate: pathRuntimes,
	}
}
