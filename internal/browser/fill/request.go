package fill

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/target"
)

// Request is a request before it leaves.
type Request struct {
	flight      Flight
	method, url string
	contentType string
	// headers are the values of headers that a script can have set.
	headers []string
	body    []byte
	// bodyComplete says that body is all there is and may be replaced.
	bodyComplete bool
	// Tab and frame are where it comes from: no tab is of a worker that serves
	// many. worker says that a worker sends it, which has no frame, and kind what
	// for: a navigation is of type Document.
	Tab    target.SessionID
	Frame  cdp.FrameID
	Worker bool
	Kind   network.ResourceType
}

// RequestOf reads a request as the browser reports it.
func RequestOf(id Flight, r *network.Request) Request {
	out := Request{
		flight:       id,
		method:       r.Method,
		url:          r.URL + r.URLFragment,
		bodyComplete: true,
	}
	for name, value := range r.Headers {
		text := fmt.Sprint(value)
		switch strings.ToLower(name) {
		case "content-type":
			out.contentType = text
		case "referer", "origin", "user-agent", "accept", "accept-language", "cookie":
			// The browser's own; a cookie goes where the site has put it.
		default:
			out.headers = append(out.headers, text)
		}
	}
	for _, entry := range r.PostDataEntries {
		if entry == nil || len(entry.Bytes) == 0 {
			out.bodyComplete = false // a file, or a stream
			continue
		}
		out.body = append(out.body, entry.Bytes...)
	}
	return out
}

// RedirectOf returns where an answer sends the request on to with its body.
func RedirectOf(ev fetch.EventRequestPaused) string {
	if ev.ResponseStatusCode != http.StatusTemporaryRedirect && ev.ResponseStatusCode != http.StatusPermanentRedirect {
		return "" // the others turn the request into one without a body
	}
	for _, h := range ev.ResponseHeaders {
		if h == nil || !strings.EqualFold(h.Name, "Location") {
			continue
		}
		base, err := url.Parse(ev.Request.URL)
		if err != nil {
			return h.Value
		}
		to, err := base.Parse(h.Value)
		if err != nil {
			return h.Value
		}
		return to.String()
	}
	return ""
}
