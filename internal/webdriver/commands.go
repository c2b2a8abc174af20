package webdriver

import (
	"slices"
	"strings"
)

// known are the commands of a session that are passed on, by what stands after its id: those
// of WebDriver (§6.5), those of its extensions that clients have methods for, and chromedriver's
// own that Selenium's clients use. All that they do in the browser, commands of DevTools too,
// goes through the filter of clients. A star is any one segment. Capabilities of a session are
// not among them: they name folders of the machine.
var known = map[string][]string{
	"DELETE": {
		"", "window", "cookie", "cookie/*", "actions", "chromium/network_conditions", "webauthn/authenticator/*",
		"webauthn/authenticator/*/credentials", "webauthn/authenticator/*/credentials/*",
	},
	"GET": {
		"timeouts", "url", "title", "source", "screenshot", "window", "window/handles", "window/rect",
		"element/active", "element/*/shadow", "element/*/selected", "element/*/enabled", "element/*/displayed",
		"element/*/attribute/*", "element/*/property/*", "element/*/css/*", "element/*/text", "element/*/name",
		"element/*/rect", "element/*/location", "element/*/size", "element/*/computedrole",
		"element/*/computedlabel", "element/*/screenshot", "cookie", "cookie/*", "alert/text",
		"log/types", "se/log/types", "window_handle", "window_handles", "is_loading", "orientation",
		"network_connection", "chromium/network_conditions", "webauthn/authenticator/*/credentials",
		"fedcm/gettitle", "fedcm/getdialogtype", "fedcm/accountlist",
	},
	"POST": {
		"timeouts", "timeouts/implicit_wait", "timeouts/async_script", "url", "back", "forward", "refresh",
		"window", "window/new", "window/rect", "window/maximize", "window/minimize", "window/fullscreen",
		"window/*/maximize", "window/*/size", "window/*/position", "frame", "frame/parent",
		"element", "elements", "element/active", "element/*/element", "element/*/elements", "shadow/*/element",
		"shadow/*/elements", "element/*/click", "element/*/clear", "element/*/value", "element/*/submit",
		"execute/sync", "execute/async", "execute", "execute_async", "cookie", "actions",
		"alert/dismiss", "alert/accept", "alert/text", "print", "permissions", "file", "se/file", "log", "se/log",
		"keys", "click", "doubleclick", "buttondown", "buttonup", "moveto", "orientation", "network_connection",
		"goog/cdp/execute", "chromium/send_command", "chromium/send_command_and_get_result",
		"chromium/network_conditions", "webauthn/authenticator", "webauthn/authenticator/*/credential",
		"webauthn/authenticator/*/uv", "fedcm/clickdialogbutton", "fedcm/canceldialog", "fedcm/selectaccount",
		"fedcm/setdelayenabled", "fedcm/resetcooldown",
	},
}

// Known reports whether a command of a session is one that is passed on. Its segments are
// those after the session's id, as they were escaped.
func Known(method string, command []string) bool {
	if slices.ContainsFunc(command, func(s string) bool { return s == "" || s == "." || s == ".." }) {
		return false
	}
	return slices.ContainsFunc(known[method], func(pattern string) bool {
		if pattern == "" {
			return len(command) == 0
		}
		return slices.EqualFunc(strings.Split(pattern, "/"), command, func(want, got string) bool {
			return want == "*" || want == got
		})
	})
}
