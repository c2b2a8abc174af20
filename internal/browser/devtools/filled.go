package devtools

import (
	"context"
	"errors"
	"time"

	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/cdproto/tracing"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// What clients take out of the browser in one piece is held to what was filled into its
// pages. A page holds a stand-in, but a site may have answered with the value itself, and
// an entry may have it typed as it is.

// withoutFilledResult takes the place of the answer to a command whose answers are looked
// through, where it holds a value that was filled.
func (f *filter) withoutFilledResult(msg message, method string) message {
	if len(msg.Result) == 0 || !f.ruleFor(method).scan {
		return msg
	}
	if !f.client.HoldsFilled(msg.Result) {
		return msg
	}
	return filledAnswer(msg, method)
}

// filledAnswer takes the place of an answer that holds a filled value.
func filledAnswer(msg message, method string) message {
	return message{ID: msg.ID, SessionID: msg.SessionID, Error: &messageError{
		Code:    codeServerError,
		Message: refusedText(method, errors.New(holdsFill+"a value that was filled stands in it")),
	}}
}

// rememberResource adds the stream of what a client has loaded.
func (f *filter) rememberResource(result jsonv2.Value) {
	var fields params
	if jsonv2.Unmarshal(result, &fields, protocol.PageText()) == nil {
		f.rememberStream(fields["resource"], "stream")
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
		if s := f.rememberStream(of, "stream"); s != nil && spoiled {
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

// printTime bounds the printing of a page in which something was filled.
const printTime = 2 * time.Minute

// printPage prints a page in the client's place where anything was filled in the browser,
// so that it is looked at before and after, as the server's own PDFs are.
func printPage(ctx context.Context, f *filter, in target.SessionID, p params) error {
	if count, _ := f.client.Fills(); count == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, printTime)
	defer cancel()
	if err := f.client.checkPrintable(ctx, in); err != nil {
		return err
	}
	printed, err := f.client.printPDF(ctx, in, p)
	if err != nil {
		return err
	}
	if err := f.client.checkPrintable(ctx, in); err != nil {
		return err
	}
	return answer(printed)
}

func (c servedClient) checkPrintable(ctx context.Context, in target.SessionID) error {
	c.m.mu.Lock()
	s := c.m.sessions[in]
	own := in != "" && s != nil && s.client == c.Client
	c.m.mu.Unlock()
	if !own {
		return errors.New(notOwn + "the session is not one of this client")
	}
	return c.CheckPrintable(ctx, s.target)
}

func (c servedClient) printPDF(ctx context.Context, in target.SessionID, p params) (printed jsonv2.Value, err error) {
	err = c.m.callIn(ctx, in, page.CommandPrintToPDF, p, &printed)
	return printed, err
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
