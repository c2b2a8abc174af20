package devtools

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/cdproto/tracing"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// A browser has tabs, cookies and storage of hosts that somebody else visited. A client
// whose mounts do not permit a host does not see what is of that: it cannot attach to
// its tabs, nor read its cookies. What is asked of the network, the proxy decides for
// every client.

const hostOutside = "devtools.host_outside: "

// errHostOutside refuses what is of a host outside.
var errHostOutside = errors.New(hostOutside + "it is of a host that the client's mounts do not permit")

// hostOf is the host of an address, or of a key of storage, which begins with one; empty
// where it is of no site.
func hostOf(address string) string {
	address, _, _ = strings.Cut(strings.TrimPrefix(address, "blob:"), "^")
	scheme, rest, found := strings.Cut(address, "://")
	if !found || !slices.Contains([]string{"http", "https", "ws", "wss"}, strings.ToLower(scheme)) {
		return ""
	}
	if end := strings.IndexAny(rest, `/\?#|`); end >= 0 {
		rest = rest[:end]
	}
	u, err := url.Parse("http://" + rest)
	if err != nil {
		return rest // of which nobody permits anything
	}
	return strings.ToLower(u.Hostname())
}

// sees reports whether the client may see what is at an address.
func (c *Client) sees(address string) bool {
	if c.rights == nil {
		return true
	}
	host := hostOf(address)
	return host == "" || c.rights.SeesHost(host)
}

// EnsureTab opens an empty tab where a client with these rights would see none: a chromedriver
// that is told of no tab waits for one, and gives up.
func (m *Mux) EnsureTab(ctx context.Context, rights browser.ClientRights) error {
	var got target.GetTargetsResult
	if err := m.Call(ctx, target.CommandGetTargets, struct{}{}, &got); err != nil {
		return fmt.Errorf("list the browser's tabs: %w", err)
	}
	would := &Client{rights: rights}
	m.mu.Lock()
	seen := slices.ContainsFunc(got.TargetInfos, func(info *target.Info) bool {
		return info.Type == "page" && would.sees(info.URL) && m.owners.contexts[info.BrowserContextID] == nil
	})
	m.mu.Unlock()
	if seen {
		return nil
	}
	blank := target.CreateTargetParams{URL: "about:blank"}
	if err := m.Call(ctx, target.CommandCreateTarget, blank, nil); err != nil {
		return fmt.Errorf("open a tab: %w", err)
	}
	return nil
}

// noteTarget takes note of what targets show, and of who opened them. Call it with mu held.
func (m *Mux) noteTarget(method string, in jsonv2.Value) {
	var p struct {
		TargetID   target.ID    `json:"targetId"`
		TargetInfo *target.Info `json:"targetInfo"`
	}
	if jsonv2.Unmarshal(in, &p, protocol.PageText()) != nil {
		return
	}
	info := p.TargetInfo
	switch {
	case method == target.TargetDestroyed.Method:
		delete(m.shown, p.TargetID)
		delete(m.worlds.ofFrames, p.TargetID)
		return
	case info == nil:
		return
	case method == target.TargetCreated.Method:
		// What a client's tab opens is that client's, as the tab itself is.
		if by := m.owners.opened[info.OpenerID]; by != nil && m.owners.opened[info.TargetID] == nil {
			m.owners.opened[info.TargetID] = by
		}
	}
	m.shown[info.TargetID] = info.URL
}

// isOutside reports whether a target shows what a client may not see. One that the client has
// attached is its own to leave. Call it with mu held.
func (m *Mux) isOutside(c *Client, id target.ID) bool {
	if c.sees(m.shown[id]) {
		return false
	}
	for _, s := range m.sessions {
		if s.client == c && s.target == id {
			return false
		}
	}
	return true
}

// hidesOutside reports whether a target, as the browser describes it, shows what a client may
// not see. Call it with mu held.
func (m *Mux) hidesOutside(c *Client, info jsonv2.Value) bool {
	var of target.Info
	if c.rights == nil || jsonv2.Unmarshal(info, &of, protocol.PageText()) != nil {
		return false
	}
	if _, known := m.shown[of.TargetID]; !known && of.Type != "browser" {
		m.shown[of.TargetID] = of.URL
	}
	return m.isOutside(c, of.TargetID)
}

// withoutOutside takes the targets that a client may not see out of the answer that lists them.
// Call it with mu held.
func (m *Mux) withoutOutside(c *Client, msg message, method string) message {
	if c.rights != nil && msg.Error == nil && method == target.CommandGetTargets {
		msg.Result = withoutSome(msg.Result, "targetInfos", func(info jsonv2.Value) bool { return m.hidesOutside(c, info) })
	}
	return msg
}

func (c servedClient) hostRights() browser.ClientRights { return c.rights }

// checkHosts refuses a command that is about hosts outside the client's mounts.
func (f *filter) checkHosts(msg message) error {
	rights := f.client.hostRights()
	if rights == nil || rights.SeesEveryHost() {
		return nil
	}
	p := params{}
	if len(msg.Params) > 0 && jsonv2.Unmarshal(msg.Params, &p) != nil {
		return errors.New(badParams)
	}
	switch msg.Method {
	case tracing.CommandStart:
		return errors.New(hostOutside + "a trace is of every tab, also of hosts that the client's mounts do not permit")
	case network.CommandClearBrowserCookies, storage.CommandClearCookies:
		return errors.New(hostOutside + "there may be cookies of hosts that the client's mounts do not permit: " +
			"delete its own with Network.deleteCookies")
	case network.CommandSetCookie, network.CommandDeleteCookies:
		if !seesCookie(rights, p) {
			return errHostOutside
		}
	case network.CommandSetCookies, storage.CommandSetCookies:
		var cookies []params
		if jsonv2.Unmarshal(p["cookies"], &cookies) != nil {
			return errors.New(badParams)
		}
		if slices.ContainsFunc(cookies, func(cookie params) bool { return !seesCookie(rights, cookie) }) {
			return errHostOutside
		}
	}
	var storageID params
	_ = jsonv2.Unmarshal(p["storageId"], &storageID) // none is empty
	for _, named := range []string{
		p.text("origin"), p.text("securityOrigin"), p.text("storageKey"), p.text("cacheId"),
		storageID.text("securityOrigin"), storageID.text("storageKey"),
	} {
		if !seesHostOf(rights, named) {
			return errHostOutside
		}
	}
	return f.client.checkSeen(msg.SessionID, msg.Method, p)
}

func seesHostOf(rights browser.ClientRights, address string) bool {
	host := hostOf(address)
	return host == "" || rights.SeesHost(host)
}

// seesCookie reports whether a client may see and set a cookie that it names, or is told of.
func seesCookie(rights browser.ClientRights, cookie params) bool {
	domain := cookie.text("domain")
	return seesHostOf(rights, cookie.text("url")) && (domain == "" || rights.SeesCookiesOf(domain))
}

// withinHosts returns a message without what is of hosts outside the client's mounts.
func (f *filter) withinHosts(msg message, method string) message {
	rights := f.client.hostRights()
	if rights == nil || rights.SeesEveryHost() {
		return msg
	}
	switch method {
	case network.CommandGetCookies, "Network.getAllCookies", storage.CommandGetCookies:
		msg.Result = withoutSome(msg.Result, "cookies", func(cookie jsonv2.Value) bool {
			var fields params
			return jsonv2.Unmarshal(cookie, &fields, protocol.PageText()) != nil || !seesCookie(rights, fields)
		})
	case page.CommandGetNavigationHistory:
		msg.Result = f.withoutHistoryOutside(msg.Result)
	case network.RequestWillBeSentExtraInfo.Method:
		msg.Params = withoutCookiesOutside(msg.Params, rights)
	}
	return msg
}

// withoutCookiesOutside takes the cookies of other hosts out of the event of a request: it is
// told before the proxy has refused the request.
func withoutCookiesOutside(event jsonv2.Value, rights browser.ClientRights) jsonv2.Value {
	without := withoutSome(event, "associatedCookies", func(associated jsonv2.Value) bool {
		var of struct {
			Cookie params `json:"cookie"`
		}
		return jsonv2.Unmarshal(associated, &of, protocol.PageText()) != nil || !seesCookie(rights, of.Cookie)
	})
	if len(without) == len(event) {
		return event
	}
	var fields, headers params
	if jsonv2.Unmarshal(without, &fields, protocol.PageText()) != nil ||
		jsonv2.Unmarshal(fields["headers"], &headers, protocol.PageText()) != nil {
		return jsonv2.Value(nothingTold)
	}
	for name := range headers {
		if strings.EqualFold(name, "Cookie") {
			delete(headers, name)
		}
	}
	inner, err := jsonv2.Marshal(headers, protocol.PageText())
	if err != nil {
		return jsonv2.Value(nothingTold)
	}
	fields["headers"] = inner
	whole, err := jsonv2.Marshal(fields, protocol.PageText())
	if err != nil {
		return jsonv2.Value(nothingTold)
	}
	return whole
}
