package bctrl

import (
	"context"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

const pathConnectURLs = pathRuntime + "/connect-urls"

// Connection is a connect URL of a runtime: see [Runtime.Connect].
type Connection struct {
	// ID names the URL, for [Runtime.RevokeConnectURL]. It opens nothing.
	ID string
	// URL is the address. Whoever has it can steer the browser.
	URL Secret
	// ExpiresAt is when the URL ends if nobody asks for it or uses it until then; with a
	// runtime token, not later than the token.
	ExpiresAt time.Time
}

// ConnectURLInfo describes a connect URL, without what makes it one.
type ConnectURLInfo struct {
	ID        string `json:"id"`
	RuntimeID string `json:"runtimeId"`
	// KeyID or TokenID is the key or the runtime token that asked for it, and with which
	// it ends.
	KeyID   string `json:"keyId,omitempty"`
	TokenID string `json:"tokenId,omitempty"`

	CreatedAt time.Time `json:"createdAt"`
	// LastUsedAt is when a connection was last opened or closed; nil where none was.
	LastUsedAt *time.Time `json:"lastUsedAt,omitempty"`
	ExpiresAt  time.Time  `json:"expiresAt"`
	// Connections is how many are open.
	Connections int `json:"connections"`
}

// ConnectURL returns a websocket address that speaks the DevTools protocol
// with the runtime's browser, for chromedp, Rod, Playwright or Puppeteer; that of
// a runtime with [DriverSelenium] is an HTTP address that speaks WebDriver, which
// Selenium takes as the URL of a remote server. It
// lasts as long as the runtime and the key or token of this client, so that a
// program can connect again after hours; asking again returns the same, and
// another one for a handle with other mounts. One that
// is neither asked for nor used for 30 days is forgotten before. Whoever
// has it can steer the browser: treat it as a secret, and ask with a runtime
// token (see [Runtime.Token]) where it should end sooner or alone.
// [Runtime.RevokeConnectURL] ends it.
//
// What such a program opens is its own: tabs and browser contexts, their
// dialogs, what it emulates and permits there. Agents work in the tab that the
// browser began with and in what that opens, and leave the others alone; a
// program that takes that tab shares it with them. Downloads go to the mounted
// storage, whoever asks for them, and file inputs are given files of it: see
// [ClientPath].
//
// Access: runtime.connect
func (rt *Runtime) ConnectURL(ctx context.Context, opts ...CallOption) (string, error) {
	var out wire.Connection
	r := rt.request(http.MethodGet, "/connect", &out, opts)
	err := rt.via().call(ctx, r)
	return r.said(out.URL.Reveal(), err)
}

// Connect is [Runtime.ConnectURL] with the name and the end of the URL.
//
// Access: runtime.connect
func (rt *Runtime) Connect(ctx context.Context, opts ...CallOption) (*Connection, error) {
	var out wire.Connection
	r := rt.request(http.MethodGet, "/connect", &out, opts)
	err := rt.via().call(ctx, r)
	url, err := r.said(out.URL.Reveal(), err)
	if err != nil {
		return nil, err
	}
	return &Connection{ID: out.ID, URL: NewSecret(url), ExpiresAt: out.ExpiresAt}, nil
}

// ConnectURLs lists the connect URLs of the runtime that open it now, the oldest first.
// With a runtime token it lists those that were asked for with that token.
//
// Access: runtime.connect
func (rt *Runtime) ConnectURLs(ctx context.Context, opts ...CallOption) ([]ConnectURLInfo, error) {
	out := wire.List[ConnectURLInfo]{Plural: wire.ConnectURLs}
	err := rt.via().call(ctx, rt.request(http.MethodGet, "/connect-urls", &out, opts))
	return out.Items, err
}

// RevokeConnectURL ends a connect URL of the runtime, and the connections that it has
// opened. Whoever asked for it is given another when it asks again. With a runtime token,
// only those that were asked for with that token can be ended.
//
// Access: runtime.disconnect
func (rt *Runtime) RevokeConnectURL(ctx context.Context, id string, opts ...CallOption) error {
	return rt.via().call(ctx, &request{
		method: http.MethodDelete,
		path:   pathConnectURLs + "/{connectUrl}",
		params: []string{rt.workspaceID, rt.Alias, id},
		as:     rt.limits,
		opts:   opts,
	})
}
