package devtools

import (
	"context"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// A tab that a client has attached may come to show a host outside the client's mounts: they
// were lowered, or its history or the browser's cache have a page that was loaded when a wider
// client used it. Then the client is locked out of what the tab shows, and can leave it.

// isLockedOut reports whether a session of a client is of a target that shows a host outside
// its mounts. Call it with mu held.
func (m *Mux) isLockedOut(c *Client, s *clientSession) bool {
	return c.rights != nil && s != nil && s.target != "" && !c.rights.SeesEveryHost() && !c.sees(m.shown[s.target])
}

// showNothing are commands that show nothing of a page and do nothing in it, beside those of
// domains that are checked by host or are about the browser, and those that turn a domain on or
// off. Who is locked out leaves by them. A command that has a script run in the page, now or
// when it loads, is none of them.
var showNothing = []string{
	page.CommandNavigate, page.CommandNavigateToHistoryEntry, page.CommandClose,
	page.CommandStopLoading, page.CommandBringToFront, page.CommandSetLifecycleEventsEnabled,
	page.CommandHandleJavaScriptDialog,
	page.CommandRemoveScriptToEvaluateOnNewDocument, page.CommandSetInterceptFileChooserDialog,
	page.CommandGetNavigationHistory, page.CommandResetNavigationHistory,
	page.CommandStopScreencast, page.CommandScreencastFrameAck,
	runtime.CommandRunIfWaitingForDebugger, runtime.CommandRemoveBinding,
}

// showsNothing reports whether a command is one that a client may give which is locked out.
func showsNothing(method string) bool {
	domain, name, _ := strings.Cut(method, ".")
	switch domain {
	case "Browser", "Emulation", "IO", "Security", "Storage", "Target":
		return true
	case "Fetch":
		return method != fetch.CommandGetResponseBody && method != fetch.CommandTakeResponseBodyAsStream
	case "Network":
		return strings.HasPrefix(name, "set") || strings.HasPrefix(name, "clear") || strings.Contains(name, "ookies") ||
			name == "enable" || name == "disable"
	}
	return name == "enable" || name == "disable" || slices.Contains(showNothing, method)
}

// tellsNothing reports whether an event says nothing of what a page has, but for its address:
// a client that is locked out is told of it, and so finds its way when the tab shows another.
func tellsNothing(method string) bool {
	domain, name, _ := strings.Cut(method, ".")
	switch domain {
	case "Fetch", "Inspector", "Target":
		return true
	case "Network":
		return strings.HasPrefix(name, "request") || strings.HasPrefix(name, "response") || strings.HasPrefix(name, "loading")
	case "Page":
		return method != page.ScreencastFrame.Method && method != page.JavascriptDialogOpening.Method
	case "Runtime":
		return strings.HasPrefix(name, "executionContext")
	}
	return false
}

// withoutLockedOut refuses what came for a client that is locked out by now. It reports false
// for an event that it is not told. Call it with mu held.
func (m *Mux) withoutLockedOut(c *Client, s *clientSession, msg message, method string) (message, bool) {
	if !m.isLockedOut(c, s) {
		return msg, true
	}
	if msg.ID == 0 {
		return msg, tellsNothing(method)
	}
	if msg.Error == nil && !showsNothing(method) {
		msg.Result, msg.Error = nil, &messageError{Code: codeMethodNotFound, Message: refusedText(method, errHostOutside)}
	}
	return msg, true
}

// withoutTitle takes the title out of the description of a target that shows what the client
// may not see.
func (c *Client) withoutTitle(info params) {
	if c.rights != nil && !c.rights.SeesEveryHost() && info.has("title") && !c.sees(info.text("url")) {
		info["title"] = jsonv2.Value(`""`)
	}
}

// withoutHistoryOutside empties the entries of a tab's history that are of hosts outside the
// client's mounts. They stay, since they are named by their place.
func (f *filter) withoutHistoryOutside(history jsonv2.Value) jsonv2.Value {
	var fields params
	var entries []params
	if jsonv2.Unmarshal(history, &fields, protocol.PageText()) != nil ||
		jsonv2.Unmarshal(fields["entries"], &entries, protocol.PageText()) != nil {
		return history // of a command that has failed
	}
	rights := f.client.hostRights()
	for _, entry := range entries {
		if seesHostOf(rights, entry.text("url")) && seesHostOf(rights, entry.text("userTypedURL")) {
			continue
		}
		for _, name := range []string{"url", "userTypedURL", "title"} {
			entry[name] = jsonv2.Value(`""`)
		}
	}
	inner, err := jsonv2.Marshal(entries, protocol.PageText())
	if err != nil {
		return jsonv2.Value(nothingTold)
	}
	fields["entries"] = inner
	whole, err := jsonv2.Marshal(fields, protocol.PageText())
	if err != nil {
		return jsonv2.Value(nothingTold)
	}
	return whole
}

// checkSeen refuses a command about a tab that shows what the client may not see: the one that
// it names, or that of its session.
func (c servedClient) checkSeen(in target.SessionID, method string, p params) error {
	c.m.mu.Lock()
	s := c.m.sessions[in]
	outside := c.m.isOutside(c.Client, target.ID(p.text("targetId")))
	locked := in != "" && s != nil && s.client == c.Client && c.m.isLockedOut(c.Client, s) && !showsNothing(method)
	c.m.mu.Unlock()
	switch {
	case locked && c.leaves:
		c.m.leave(in, s.target)
		return errHostOutside
	case outside, locked:
		return errHostOutside
	}
	return nil
}

// leave has a tab show nothing, for a client that cannot have it do so itself: a chromedriver
// looks at the page before each navigation. Where it fails, the client stays locked out.
func (m *Mux) leave(in target.SessionID, tab target.ID) {
	ctx, cancel := context.WithTimeout(context.Background(), detachTimeout)
	defer cancel()
	if m.callIn(ctx, in, page.CommandNavigate, page.NavigateParams{URL: "about:blank"}, nil) != nil {
		return
	}
	// The browser itself says what the tab shows by now: its event may come later.
	var now target.GetTargetInfoResult
	named := target.GetTargetInfoParams{TargetID: tab}
	if m.Call(ctx, target.CommandGetTargetInfo, named, &now) != nil || now.TargetInfo == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shown[tab] = now.TargetInfo.URL
}
