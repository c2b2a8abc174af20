package devtools

import (
	"bytes"
	"errors"
	"strings"

	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/tracing"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// What the browser tells clients is held to what was filled into its pages. A page holds a
// stand-in, but a site may have answered with the value itself, and an entry may have it
// typed as it is.
//
// Every message is looked through, but for what a client's own scripts return: they could
// write a value in a way of their own, so that looking would promise what cannot be kept.
// Where a value stands in a text that is handed out whole, as a body or a snapshot, the
// client is told so. In all else, as events and the trees of a page, the value alone is
// taken out: clients go on by what stands beside it.

// withoutFilled returns a message as [filter.clean] does, without filled values.
func (f *filter) withoutFilled(msg message, method string) message {
	if e := msg.Error; e != nil {
		msg.Error = &messageError{
			Code:    e.Code,
			Message: f.client.MaskFilled(e.Message),
			Data:    f.masked(e.Data),
		}
	}
	r := f.ruleFor(method)
	switch {
	case isPicture(method), isOfScripts(msg, method) && !r.scan:
		return msg
	case len(msg.Params) > 0:
		msg.Params = f.masked(msg.Params)
	case len(msg.Result) == 0 || !f.client.HoldsFilled(msg.Result):
	case r.scan:
		return filledAnswer(msg, method)
	default:
		if msg.Result = f.masked(msg.Result); string(msg.Result) == nothingTold {
			return filledAnswer(msg, method)
		}
	}
	return msg
}

// isPicture reports whether what a message has is no text.
func isPicture(method string) bool {
	switch method {
	case page.CommandCaptureScreenshot, page.ScreencastFrame.Method:
		return true
	}
	return false
}

// isOfScripts reports whether a message has what a client's own scripts return: the answer
// to a command that runs or reads them, or a call of what the client has put into a page.
func isOfScripts(msg message, method string) bool {
	domain, _, _ := strings.Cut(method, ".")
	isAnswer := len(msg.Params) == 0
	return isAnswer && (domain == "Runtime" || domain == "Debugger") || method == runtime.BindingCalled.Method
}

// nothingTold stands for what cannot be told without a filled value.
const nothingTold = "{}"

// masked returns JSON with the filled values taken out of its texts, and nothing of it
// where that does not do.
func (f *filter) masked(in jsonv2.Value) jsonv2.Value {
	if len(in) == 0 || !f.client.HoldsFilled(in) {
		return in
	}
	out, err := f.maskTexts(in)
	if err != nil || f.client.HoldsFilled(out) {
		return jsonv2.Value(nothingTold)
	}
	return out
}

// maskTexts takes the filled values out of the texts in JSON, names among them. Between
// texts it stays as it is written, numbers too.
func (f *filter) maskTexts(in jsonv2.Value) (out jsonv2.Value, err error) {
	for rest := in; len(rest) > 0; {
		start := bytes.IndexByte(rest, '"')
		if start < 0 {
			return append(out, rest...), nil
		}
		out = append(out, rest[:start]...)
		rest = rest[start:]
		literal := rest[:endOfText(rest)]
		rest = rest[len(literal):]
		var text string
		if err := jsonv2.Unmarshal(literal, &text, protocol.PageText()); err != nil {
			return nil, err
		}
		masked := f.client.MaskFilled(text)
		if masked == text {
			out = append(out, literal...)
			continue
		}
		again, err := jsonv2.Marshal(masked, protocol.PageText())
		if err != nil {
			return nil, err
		}
		out = append(out, again...)
	}
	return out, nil
}

// endOfText is where the text in JSON ends that in begins with.
func endOfText(in jsonv2.Value) int {
	for i := 1; i < len(in); i++ {
		switch in[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(in)
}

// withoutPiece takes the piece of an answer out of the event that has one, once something
// was filled: a value may come in two.
func (f *filter) withoutPiece(event jsonv2.Value) jsonv2.Value {
	if count, _ := f.client.Fills(); count == 0 {
		return event
	}
	var fields params
	if jsonv2.Unmarshal(event, &fields, protocol.PageText()) != nil {
		return jsonv2.Value(nothingTold)
	}
	if !fields.has("data") {
		return event
	}
	delete(fields, "data")
	without, err := jsonv2.Marshal(fields, protocol.PageText())
	if err != nil {
		return jsonv2.Value(nothingTold)
	}
	return without
}

// checkPieces permits that answers are told in pieces while nothing was filled.
func checkPieces(f *filter, p params) error {
	if count, _ := f.client.Fills(); count > 0 {
		return errors.New(holdsFill + "what comes in pieces cannot be looked through for what was filled: " +
			"use Network.getResponseBody")
	}
	return checkCarriesNoFill(f, p)
}

// errFilledAnswer refuses an answer that holds a filled value.
var errFilledAnswer = errors.New(holdsFill + "a value that was filled stands in it")

// filledAnswer takes the place of an answer that holds a filled value.
func filledAnswer(msg message, method string) message {
	return message{ID: msg.ID, SessionID: msg.SessionID, Error: &messageError{
		Code:    codeServerError,
		Message: refusedText(method, errFilledAnswer),
	}}
}

// rememberResource adds the stream of what a client has loaded.
func (f *filter) rememberResource(result jsonv2.Value) {
	var fields params
	if jsonv2.Unmarshal(result, &fields, protocol.PageText()) == nil {
		f.rememberStream(fields["resource"])
	}
}

// cleanTrace takes what a trace has recorded out of its events where a secret was filled
// meanwhile: a trace of the whole browser may show what left it.
func (f *filter) cleanTrace(event string, of jsonv2.Value) jsonv2.Value {
	count, waiting := f.client.Fills()
	f.mu.Lock()
	spoiled := waiting || count != f.fills
	f.mu.Unlock()
	if event == tracing.TracingComplete.Method {
		if s := f.rememberStream(of); s != nil && spoiled {
			f.mu.Lock()
			defer f.mu.Unlock()
			s.spoiled = true
		}
		return of
	}
	if spoiled {
		return jsonv2.Value(`{"value":[]}`)
	}
	return of
}

// checkTrace permits a trace of the browser's own while no fill waits to be sent.
func checkTrace(f *filter, p params) error {
	if p.has("perfettoConfig") || p.has("tracingBackend") && p.text("tracingBackend") == "system" {
		return errors.New(seesMachine)
	}
	if _, waiting := f.client.Fills(); waiting {
		return errors.New(holdsFill + "a secret that was filled may be sent while the trace is made: " +
			"wait until its page was left")
	}
	return nil
}

// rememberTrace notes how many fills there were before a trace that has begun. A command
// that the browser refuses, as another trace is running, says nothing of that one.
func (f *filter) rememberTrace(answer message) {
	if answer.Error != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fills = answer.noted.fills
}

// checkNothingFilled permits what shows the memory of pages while nothing was filled.
func checkNothingFilled(f *filter, _ params) error {
	if count, _ := f.client.Fills(); count > 0 {
		return errors.New(holdsFill + "the memory of a page may hold what was filled: use a runtime without fills")
	}
	return nil
}

// checkResource permits the loading of what the web has: by the runtime's proxy, as all
// that its browser asks for.
func checkResource(_ *filter, p params) error {
	if err := browser.CheckPageURL(p.text("url")); err != nil {
		return errors.New(badAddress + "only http and https addresses are loaded")
	}
	return nil
}

// checkCertificates permits that certificates are checked, as they are.
func checkCertificates(_ *filter, p params) error {
	var ignore bool
	if jsonv2.Unmarshal(p["ignore"], &ignore) != nil {
		return errors.New(badParams)
	}
	if ignore {
		return errors.New(trustsNobody)
	}
	return errIgnored
}
