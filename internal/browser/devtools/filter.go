package devtools

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/io"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/cdproto/tracing"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// params are the parameters of a command by name, as the browser reads them: names are
// case-sensitive and none is there twice. A rule may change them before they are sent.
type params map[string]jsonv2.Value

// filter stands between one DevTools client from outside and the browser. What
// it permits is in rules.go.
type filter struct {
	rules  map[string]rule
	client filtered

	mu       sync.Mutex
	streams  streams             // those that the client's commands opened
	contexts map[string]struct{} // browser contexts that the client made
	fills    int                 // how many fills there were before the client's trace
	refused  map[string]struct{} // the codes of refusals that were recorded
}

// filtered is a client and its browser, as far as the filter between them asks.
type filtered interface {
	// CarriesFill reports whether a request holds a value that the server filled in.
	CarriesFill(network.RequestID) bool
	// SentHTTPLogin reports whether any request had a login of HTTP with it.
	SentHTTPLogin() bool
	// KeepsRequest reports whether a request has to do with what was filled.
	KeepsRequest(network.RequestID, *network.Request) bool
	// HoldsFilled reports whether a text holds a value that was filled.
	HoldsFilled(text []byte) bool
	// MaskFilled takes the values that were filled out of a text.
	MaskFilled(text string) string
	// FindFilled is HoldsFilled for a text that goes on unless end is set. open is how many
	// of its last bytes may begin a value, and are not handed out yet.
	FindFilled(text []byte, end bool) (found bool, open int)
	// Fills is how many secrets were filled, and whether one of them may still be sent.
	Fills() (count int, waiting bool)
	// pauseOf is the paused request of an id; nil when none waits for the client.
	pauseOf(in target.SessionID, id fetch.RequestID) *pause
	// printUnfilled prints a page that says nothing filled, and returns what the browser
	// answers.
	printUnfilled(ctx context.Context, in target.SessionID, p params) (jsonv2.Value, error)
	// hostRights say which hosts the client may see; nil is all.
	hostRights() browser.ClientRights
	// checkSeen refuses a command about a tab that shows what the client may not see: the one
	// that it names, or that of its session.
	checkSeen(in target.SessionID, method string, p params) error
	// recordRefusal records what the client was refused, and returns what it is told.
	recordRefusal(ctx context.Context, refusal *bctrl.Error) error
	// ownsSession reports whether a session is the client's.
	ownsSession(target.SessionID) bool
	// sendDownloads turns the events of downloads in a session of the client on or off.
	sendDownloads(in target.SessionID, want bool)
	// giveFiles makes copies of files that the client names, for the browser to read, and
	// returns their paths.
	giveFiles(ctx context.Context, names []string) (paths []string, err error)
	// HasWindow reports whether the browser shows its pages in a window.
	HasWindow() bool
	// KeepDownloadsOf has the downloads of a new browser context kept.
	KeepDownloadsOf(cdp.BrowserContextID)
}

// maxHandles bounds the streams and contexts that a client may hold.
const maxHandles = 256

func newFilter(client filtered) *filter {
	f := &filter{
		rules:    make(map[string]rule, len(clientRules)),
		client:   client,
		streams:  streams{byHandle: map[string]*stream{}},
		contexts: map[string]struct{}{},
		refused:  map[string]struct{}{},
	}
	for _, r := range clientRules {
		f.rules[r.name] = r
	}
	return f
}

// ruleFor returns the rule for a command.
func (f *filter) ruleFor(method string) rule {
	domain, name, _ := strings.Cut(method, ".")
	if name != "" && name != "*" {
		if r, ok := f.rules[method]; ok {
			return r
		}
		if r, ok := f.rules[domain+".*"]; ok {
			return r
		}
	}
	return rule{refuse: notKnown}
}

// answer is returned for a command that does not go to the browser although the client
// is told that it was done. It is the result that the client is told.
type answer string

// errIgnored is the answer to a command that has no result.
const errIgnored answer = "{}"

func (answer) Error() string { return "it is answered without being done" }

// checkCommand returns a command as it may be sent to the browser, or why it may not
// be. Its envelope is written anew, so that nothing is sent that was not understood.
func (f *filter) checkCommand(ctx context.Context, msg message) (message, error) {
	clean := message{
		ID:        msg.ID,
		SessionID: msg.SessionID,
		Method:    msg.Method,
		Params:    msg.Params,
	}
	r := f.ruleFor(msg.Method)
	if r.refuse != "" {
		return message{}, errors.New(r.refuse)
	}
	if r.ignore != "" {
		return message{}, errIgnored
	}
	if err := f.checkHosts(msg); err != nil {
		return message{}, err
	}
	if r.check == nil && r.checkIn == nil {
		return clean, nil
	}
	p := params{}
	if len(msg.Params) > 0 {
		if err := jsonv2.Unmarshal(msg.Params, &p); err != nil || p == nil {
			return message{}, errors.New(badParams)
		}
	}
	switch msg.Method {
	case tracing.CommandStart:
		clean.noted.fills, _ = f.client.Fills() // before it is looked whether one waits
	case io.CommandRead, io.CommandClose:
		clean.noted.stream = p.text("handle")
	}
	var err error
	if r.checkIn != nil {
		err = r.checkIn(ctx, f, msg.SessionID, p)
	} else {
		err = r.check(f, p)
	}
	if err != nil {
		return message{}, err
	}
	b, err := jsonv2.Marshal(p)
	if err != nil {
		return message{}, fmt.Errorf("encode its parameters: %w", err)
	}
	clean.Params = b
	return clean, nil
}

// clean returns a message of the browser as the client may see it. method is
// the event's or that of the command that msg answers.
func (f *filter) clean(msg message, method string) message {
	msg = f.withinHosts(f.withoutFilled(msg, method), method)
	switch method {
	case page.CommandPrintToPDF, fetch.CommandTakeResponseBodyAsStream:
		f.rememberStream(msg.Result)
	case io.CommandRead:
		return f.holdBack(msg)
	case io.CommandClose:
		f.forgetStream(msg)
	case network.CommandLoadNetworkResource:
		f.rememberResource(msg.Result)
	case tracing.CommandStart:
		f.rememberTrace(msg)
	case tracing.DataCollected.Method, tracing.TracingComplete.Method:
		msg.Params = f.cleanTrace(method, msg.Params)
	case target.CommandCreateBrowserContext:
		// Its downloads are kept before its client can open a page in it.
		if id := f.rememberHandle(f.contexts, msg.Result, "browserContextId"); id != "" {
			f.client.KeepDownloadsOf(cdp.BrowserContextID(id))
		}
	case network.DataReceived.Method:
		msg.Params = f.withoutPiece(msg.Params)
	case network.RequestWillBeSent.Method:
		msg.Params = f.withoutLoginHeader(f.withoutFilledBody(msg.Params))
	case network.RequestWillBeSentExtraInfo.Method, network.ResponseReceived.Method,
		network.ResponseReceivedExtraInfo.Method:
		msg.Params = f.withoutLoginHeader(msg.Params)
	}
	return msg
}

// rememberHandle adds the handle that a result holds under name, and returns it.
func (f *filter) rememberHandle(set map[string]struct{}, result jsonv2.Value, name string) string {
	var fields params
	if jsonv2.Unmarshal(result, &fields, protocol.PageText()) != nil {
		return "" // the command has failed
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	handle := fields.text(name)
	if handle != "" && len(set) < maxHandles {
		set[handle] = struct{}{}
	}
	return handle
}

// withoutFilledBody takes the body out of the event of a request that carries a filled
// value. Of an event that cannot be read it leaves nothing.
func (f *filter) withoutFilledBody(event jsonv2.Value) jsonv2.Value {
	var outer, request params
	if jsonv2.Unmarshal(event, &outer, protocol.PageText()) != nil {
		return jsonv2.Value("{}")
	}
	if !f.client.CarriesFill(network.RequestID(outer.text("requestId"))) {
		return event
	}
	if jsonv2.Unmarshal(outer["request"], &request, protocol.PageText()) != nil {
		return jsonv2.Value("{}")
	}
	delete(request, "postData")
	delete(request, "postDataEntries")
	inner, err := jsonv2.Marshal(request, protocol.PageText())
	if err != nil {
		return jsonv2.Value("{}")
	}
	outer["request"] = inner
	whole, err := jsonv2.Marshal(outer, protocol.PageText())
	if err != nil {
		return jsonv2.Value("{}")
	}
	return whole
}

// withoutLoginHeader takes the header of a login out of the event of a request, wherever
// it stands: events repeat headers as objects and as they were sent. It does so for every
// request once one has had a login with it, whatever is remembered of this one.
func (f *filter) withoutLoginHeader(event jsonv2.Value) jsonv2.Value {
	if !f.client.SentHTTPLogin() {
		return event
	}
	var whole any
	if jsonv2.Unmarshal(event, &whole, protocol.PageText()) != nil {
		return jsonv2.Value("{}")
	}
	if !dropLoginHeader(whole, 0) {
		return event
	}
	clean, err := jsonv2.Marshal(whole, protocol.PageText())
	if err != nil {
		return jsonv2.Value("{}")
	}
	return clean
}

// maxEventDepth is deeper than any event of a request.
const maxEventDepth = 50

// dropLoginHeader reports whether there was any.
func dropLoginHeader(in any, depth int) (dropped bool) {
	object, is := in.(map[string]any)
	if !is || depth > maxEventDepth {
		return false
	}
	for name, value := range object {
		if strings.EqualFold(name, "Authorization") || name == "requestHeadersText" {
			delete(object, name)
			dropped = true
			continue
		}
		dropped = dropLoginHeader(value, depth+1) || dropped
	}
	return dropped
}

// text returns the string under name, or "" when there is none.
func (p params) text(name string) string {
	var s string
	if jsonv2.Unmarshal(p[name], &s, protocol.PageText()) != nil {
		return ""
	}
	return s
}

// has reports whether name is present, null included.
func (p params) has(name string) bool {
	_, ok := p[name]
	return ok
}

// answerCommandLine answers in the browser's place, whose arguments show the machine: Rod
// looks there for whether it has windows.
func answerCommandLine(f *filter, _ params) error {
	if f.client.HasWindow() {
		return answer(`{"arguments":[]}`)
	}
	return answer(`{"arguments":["--headless"]}`)
}

func checkNavigation(_ *filter, p params) error {
	if raw := p.text("url"); raw != "" || p.has("url") {
		if err := browser.CheckClientURL(raw); err != nil {
			return fmt.Errorf("%s%w", badAddress, err)
		}
	}
	return nil
}

// checkFlat refuses sessions whose messages would travel inside others.
func checkFlat(_ *filter, p params) error {
	p["flatten"] = jsonv2.Value("true")
	return nil
}

func checkDrag(_ *filter, p params) error {
	var data params
	if jsonv2.Unmarshal(p["data"], &data) != nil {
		return errors.New(badParams)
	}
	if data.has("files") {
		return errors.New(readsFiles)
	}
	return nil
}

// dropPostData has the browser send no bodies with events.
func dropPostData(_ *filter, p params) error {
	delete(p, "maxPostDataSize")
	return nil
}

func checkCarriesNoFill(f *filter, p params) error {
	if f.client.CarriesFill(network.RequestID(p.text("requestId"))) {
		return errors.New(holdsFill + "the request carries a secret, and its answer may repeat it")
	}
	return nil
}

// checkNewContext permits a new browser context without settings: they could change
// where it connects to (proxyServer, proxyBypassList) or what its pages may read
// (originsWithUniversalNetworkAccess). The context ends with its client.
func checkNewContext(_ *filter, p params) error {
	for name := range p {
		if name != "disposeOnDetach" {
			return errors.New(passesProxy)
		}
	}
	p["disposeOnDetach"] = jsonv2.Value("true")
	return nil
}

func checkOwnContext(f *filter, p params) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := p.text("browserContextId")
	if _, ok := f.contexts[id]; !ok {
		return errors.New(notOwn + "the browser context is not one of this client")
	}
	delete(f.contexts, id)
	return nil
}

func checkOwnSession(f *filter, p params) error {
	if !f.client.ownsSession(target.SessionID(p.text("sessionId"))) {
		return errors.New(notOwn + "the session is not one of this client")
	}
	return nil
}
