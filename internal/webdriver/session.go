package webdriver

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/strictjson"
)

// Browser is what a driver is told to start.
type Browser struct {
	Binary string
	Args   []string
}

// optionsName is the capability with what is Chromium's own.
const optionsName = "goog:chromeOptions"

// capabilities are those that a client asks for, by name.
type capabilities map[string]json.RawMessage

// newSession is the body of New Session, WebDriver §8.1. What older clients write
// beside it is not read.
type newSession struct {
	Capabilities struct {
		AlwaysMatch capabilities   `json:"alwaysMatch"`
		FirstMatch  []capabilities `json:"firstMatch"`
	} `json:"capabilities"`
}

// NewSession returns what to ask the driver for where a client asks for a session: what
// the client asks for, with the browser that is to be driven. It refuses what would make
// another browser of it.
func NewSession(body []byte, with Browser) ([]byte, error) {
	var asked newSession
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, refuse("request.invalid_json", "", "the body is no new session of WebDriver")
	}
	matches := asked.Capabilities.FirstMatch
	if len(matches) == 0 {
		matches = []capabilities{{}}
	}
	always, err := check("capabilities.alwaysMatch", asked.Capabilities.AlwaysMatch)
	if err != nil {
		return nil, err
	}
	var made newSession
	made.Capabilities.AlwaysMatch = capabilities{}
	for i, match := range matches {
		own, err := check("capabilities.firstMatch["+strconv.Itoa(i)+"]", match)
		if err != nil {
			return nil, err
		}
		for name, text := range always.kept {
			if _, twice := own.kept[name]; twice {
				return nil, refuse("runtimes.webdriver_capability", "capabilities."+name,
					"a capability is in alwaysMatch and in firstMatch")
			}
			own.kept[name] = text
		}
		options := map[string]any{"binary": with.Binary, "args": with.Args}
		for _, from := range []map[string]json.RawMessage{always.options, own.options} {
			for name, text := range from {
				options[name] = text
			}
		}
		if own.kept[optionsName], err = json.Marshal(options); err != nil {
			return nil, err
		}
		made.Capabilities.FirstMatch = append(made.Capabilities.FirstMatch, own.kept)
	}
	return json.Marshal(made)
}

// checked are the capabilities that a driver is asked for, and of Chromium's own those
// that are kept.
type checked struct {
	kept    capabilities
	options map[string]json.RawMessage
}

// check refuses capabilities that would change the browser, and leaves out those that
// ask for what holds anyway.
func check(field string, asked capabilities) (out checked, err error) {
	out.kept = capabilities{}
	for name, text := range asked {
		at := field + "." + name
		if isNothing(text) {
			continue
		}
		switch name {
		case "pageLoadStrategy", "timeouts", "strictFileInteractability", "unhandledPromptBehavior", "setWindowRect",
			"goog:loggingPrefs":
			out.kept[name] = text
		case "browserName":
			if !slices.Contains([]string{"chrome", "chromium", "chrome-headless-shell"}, textOf(text)) {
				err = refuse("runtimes.webdriver_browser", at, "the runtime's browser is Chromium: ask for chrome")
			}
		case "browserVersion", "platformName", "acceptInsecureCerts":
			err = checkPlain(name, at, text)
		case "proxy":
			err = refuse("runtimes.webdriver_proxy", at, "the runtime's browser reaches sites by the server's own proxy")
		case "webSocketUrl":
			if string(text) != "false" {
				err = refuse("runtimes.webdriver_bidi", at, "WebDriver BiDi is not spoken: leave it out")
			}
		case optionsName:
			out.options, err = checkOptions(at, text)
		default:
			// Clients and grids tell each other things, under names of their own.
			if !strings.HasPrefix(name, "se:") {
				err = refuse("runtimes.webdriver_capability", at, "this capability is not known to be safe: leave it out")
			}
		}
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// checkPlain looks at capabilities that say what the browser is, and are not passed on.
func checkPlain(name, at string, text json.RawMessage) error {
	switch {
	case name == "acceptInsecureCerts" && string(text) != "false":
		return refuse("runtimes.webdriver_certificates", at,
			"origins are only as true as their certificates, and secrets are filled by origin")
	case name == "platformName" && !slices.Contains([]string{"linux", "any"}, strings.ToLower(textOf(text))):
		return refuse("runtimes.webdriver_platform", at, "the runtime's browser is on Linux")
	}
	return nil // there is one version
}

// checkOptions looks at what is asked of Chromium itself. Each that could reach past the
// runtime has a code of its own.
func checkOptions(field string, text json.RawMessage) (map[string]json.RawMessage, error) {
	var asked map[string]json.RawMessage
	if json.Unmarshal(text, &asked) != nil {
		return nil, refuse("runtimes.webdriver_capability", field, "this is not an object")
	}
	kept := map[string]json.RawMessage{}
	for name, text := range asked {
		at := field + "." + name
		if isNothing(text) {
			continue
		}
		switch name {
		case "mobileEmulation":
			kept[name] = text
		case "w3c", "detach", "excludeSwitches", "useAutomationExtension":
			if name == "w3c" && string(text) != "true" {
				return nil, refuse("runtimes.webdriver_capability", at, "only the W3C's WebDriver is spoken")
			}
		case "args":
			if err := checkArgs(at, text); err != nil {
				return nil, err
			}
		case "extensions":
			return nil, refuse("runtimes.webdriver_extensions", at, "extensions are off: they reach past what is permitted")
		case "binary":
			return nil, refuse("runtimes.webdriver_binary", at, "the runtime has its browser already")
		case "prefs", "localState":
			return nil, refuse("runtimes.webdriver_prefs", at,
				"preferences are the server's: they could change where the browser connects to")
		case "debuggerAddress":
			return nil, refuse("runtimes.webdriver_debugger_address", at, "the session is one with the runtime's browser")
		default:
			return nil, refuse("runtimes.webdriver_capability", at, "this option is not known to be safe: leave it out")
		}
	}
	return kept, nil
}

// ignoredArgs are arguments that programs write out of habit, and that ask for what
// holds anyway or, as --no-sandbox, for what the browser needs nothing of here.
var ignoredArgs = []string{
	"headless", "headless=new", "headless=old", "disable-gpu", "disable-dev-shm-usage", "no-sandbox",
	"disable-setuid-sandbox", "no-first-run", "no-default-browser-check", "disable-extensions",
}

func checkArgs(field string, text json.RawMessage) error {
	var args []string
	if json.Unmarshal(text, &args) != nil {
		return refuse("runtimes.webdriver_args", field, "this is not a list of text")
	}
	for i, arg := range args {
		if !slices.Contains(ignoredArgs, strings.TrimLeft(arg, "-")) {
			return refuse("runtimes.webdriver_args", field+"["+strconv.Itoa(i)+"]",
				"the browser runs already and its arguments are the server's; size and language are the launch's to say")
		}
	}
	return nil
}

// isNothing reports whether a value asks for nothing. Clients send those of all
// capabilities that they know.
func isNothing(text json.RawMessage) bool {
	return slices.Contains([]string{"null", `""`, "[]", "{}"}, string(text))
}

func textOf(text json.RawMessage) string {
	var s string
	_ = json.Unmarshal(text, &s) // what is no text is none
	return s
}

func refuse(code, field, message string) error {
	return &bctrl.Error{Status: http.StatusBadRequest, Code: code, Field: field, Message: message}
}

// Created is a session that a driver has made.
type Created struct {
	ID string
	// Answer is what its client is told, without what is of the machine.
	Answer []byte
}

// errNotCreated is returned where a driver has answered without making a session.
var errNotCreated = errors.New("no session was made")

// ReadCreated reads the driver's answer to New Session.
func ReadCreated(answer []byte) (Created, error) {
	var made value[struct {
		SessionID    string         `json:"sessionId"`
		Capabilities map[string]any `json:"capabilities"`
		Error        string         `json:"error"`
	}]
	if err := json.Unmarshal(answer, &made); err != nil || made.Value.SessionID == "" {
		return Created{}, errNotCreated
	}
	told := made.Value.Capabilities
	if told == nil {
		return Created{}, errNotCreated
	}
	told["browserName"] = "chrome" // as it was asked for: clients go by it
	delete(told, optionsName)
	delete(told, "goog:processID")
	if chrome, ok := told["chrome"].(map[string]any); ok {
		delete(chrome, "userDataDir")
	}
	type session struct {
		SessionID    string         `json:"sessionId"`
		Capabilities map[string]any `json:"capabilities"`
	}
	text, err := strictjson.Marshal(value[session]{session{made.Value.SessionID, told}})
	return Created{made.Value.SessionID, text}, err
}
