package fill

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/target"
)

// Request is a request that the browser is about to send.
type Request struct {
	flight      Flight
	method, url string
	contentType string
	// headers are the values of headers that a script can have set.
	headers []string
	body    []byte
	// bodyComplete says that body is all there is and may be replaced.
	bodyComplete bool
	// Tab is the session of the tab that it comes from; empty for a worker that
	// serves many.
	Tab target.SessionID
	// Frame is the frame that it comes from. Worker says that it comes from a
	// worker, which has no frame.
	Frame  cdp.FrameID
	Worker bool
	// arrived is when the browser reported it: its document may be gone by the time that it
	// is judged, and still have sent it.
	arrived time.Time
	// Kind is what it is for: a navigation is of type Document.
	Kind network.ResourceType
}

// RequestOf reads a request that the browser has reported at a time.
func RequestOf(id Flight, r *network.Request, arrived time.Time) Request {
	out := Request{
		flight:       id,
		arrived:      arrived,
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

// RedirectOf returns the address that an answer has the browser send the request to
// once more, body included; empty when it has not.
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
