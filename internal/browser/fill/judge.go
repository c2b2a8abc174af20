package fill

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/network"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/scrub"
)

// Verdict is what happens to a request.
type Verdict struct {
	// Reason says why the request does not leave, empty lets it pass; by is the
	// guard that stops it.
	Reason    string
	BlockedBy *Guard
	// swaps are the guards whose placeholders are to be replaced in body.
	swaps   []*Guard
	Body    []byte
	Swapped bool
	// WatchAnswer asks for the answer: a redirect would take the value elsewhere.
	WatchAnswer bool
	// carriers are the guards whose values the request takes along.
	carriers []*Guard
}

const needsDirect = " (the entry needs fill: direct)"

// Judge decides about a request. What it lets pass with a value is then
// completed.
func (gs *Guards) Judge(r Request) Verdict {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	v := Verdict{Body: r.body}
	where := CanonicalOrigin(r.url)
	if where == "" {
		where = "another place"
	}
	for g := range gs.retired {
		if g.foundAnywhere(r) {
			why := "a request with what stood for a login's value, to " + where + ": the field that was filled is gone"
			return Verdict{BlockedBy: g, Reason: why}
		}
	}
	for g := range gs.live {
		if why := gs.judgeBy(g, r, where, &v); why != "" {
			return Verdict{BlockedBy: g, Reason: why}
		}
	}
	return v
}

// judgeBy decides for one guard: it adds to the verdict or says why the
// request does not leave. Call it with mu held.
func (gs *Guards) judgeBy(g *Guard, r Request, where string, v *Verdict) string {
	origin := CanonicalOrigin(r.url)
	inBody, inHeader := g.foundInBody(r), g.foundInHeaders(r)
	value := g.latest.Expose()
	address := r.url
	if g.Placeholder != "" && g.MayGoTo(origin) {
		// The path is the site's, and passwords like "admin" are words of paths: a
		// page that never held the value puts it there at most by chance.
		address = afterPath(r.url)
	}
	switch {
	case g.found(g.seen, g.Placeholder, []byte(r.url)) || g.found(g.hidden, value, []byte(address)):
		return "a request with a login's value in its address, to " + where
	case !g.MayGoTo(origin) && (inBody || inHeader || g.found(g.hidden, value, r.body)):
		return "a request with a login's value, to " + where + ", where it may not go"
	case g.Placeholder == "" && inBody, g.Placeholder != "" && !inBody && g.found(g.hidden, value, r.body):
		// It belongs here: filled directly, or swapped before a redirect. Beside a
		// placeholder it is only the same by chance, as in admin:admin.
		gs.recordCarrier(g, r.flight, v)
	case g.Placeholder == "" && inHeader:
		v.carriers = append(v.carriers, g)
	case g.Placeholder == "":
	case inHeader && !inBody:
		return "a request with a login's value in a header, to " + where + needsDirect
	case !inBody:
		g.noteMissingValue(r)
	case !r.bodyComplete || !methodWrites(r.method):
		return "a request with a login's value, to " + where + ", which could not be completed" + needsDirect
	default:
		names := placesIn(r.contentType, r.body, g.Placeholder)
		if len(names) == 0 && g.foundInRow(r) {
			names = []string{g.state.Name} // that of the first digit stands for all
		}
		if why := g.misplacement(r, names); why != "" {
			return "a request with a login's value " + why + ", to " + where
		}
		v.swaps = append(v.swaps, g)
		gs.recordCarrier(g, r.flight, v)
		g.sent = true
	}
	return ""
}

// misplacement says why the places of a placeholder in a body are not those where
// the filled field's own submission puts it; empty when they are.
//
// They are those under the field's own name, or that of a hidden field of its
// form, where a script has moved it. A script of the field's own document may
// call it as it likes, but not as another field is called, and not when another
// field has come to hold the placeholder too: then somebody has moved it there,
// and only a name of the field's own form tells its place.
func (g *Guard) misplacement(r Request, names []string) string {
	const moved = " (a login is only sent as its field's own form sends it)"
	f := &g.state
	switch {
	case len(names) == 0:
		return "inside another" + needsDirect
	case len(names) > 1:
		return "in more than one place" + needsDirect
	case !f.known:
		return ""
	}
	name := names[0]
	form := r.Kind == network.ResourceTypeDocument
	own := name != "" && (name == f.Name || !form && name == f.ID)
	ofForm := own || slices.Contains(f.Hidden, name)
	inDocument := r.Frame == g.Element.Frame || r.Worker
	switch {
	case !inDocument && !form, g.endTimer != nil &&
		(r.Kind == network.ResourceTypeXHR || r.Kind == network.ResourceTypeFetch):
		return "from another document" + moved
	case !inDocument && !ofForm, // a form may open a tab
		!ofForm && (f.Spread || slices.Contains(f.Others, name)),
		form && f.Spread && !slices.Contains(f.Targets, withoutFragment(r.url)):
		return "in the place of another field" + moved
	}
	return ""
}

// noteMissingValue takes note of a request that looks like the login and has no value of
// the field in it, while the field's document lives. Call it with mu held.
func (g *Guard) noteMissingValue(r Request) {
	empty := r.bodyComplete && len(r.body) == 0
	if g.sent || g.endTimer != nil || g.Tab == "" || r.Tab != g.Tab {
		return
	}
	if empty || !methodWrites(r.method) || !g.MayGoTo(CanonicalOrigin(r.url)) {
		return
	}
	switch r.Kind {
	case network.ResourceTypeDocument:
		g.unsent = g.unsent || r.Frame == g.Element.Frame
	case network.ResourceTypeXHR, network.ResourceTypeFetch:
		g.unsent = g.unsent || g.submitted && (r.Worker || r.Frame == g.Element.Frame)
	}
}

// recordCarrier notes that a request carries the value of a guard. Call it with mu held.
func (gs *Guards) recordCarrier(g *Guard, id Flight, v *Verdict) {
	v.WatchAnswer = true
	v.carriers = append(v.carriers, g)
	g.flights[id] = true
	gs.rememberCarrier(id.Request)
}

// Complete has it decided whether the values that a request takes along may
// still be used, since what was permitted when they were filled may not be now,
// and puts them in the place of their placeholders.
func (gs *Guards) Complete(ctx context.Context, r Request, v Verdict) Verdict {
	stop := func(g *Guard, why string) Verdict {
		gs.Answered(r.flight, "") // it never leaves
		return Verdict{BlockedBy: g, Reason: why}
	}
	for _, g := range v.carriers {
		if g.Permitted == nil {
			continue
		}
		if err := g.Permitted(ctx); err != nil {
			return stop(g, "a request with a login's value, which may no longer be used")
		}
	}
	for _, g := range v.swaps {
		value, err := gs.valueToSend(ctx, g)
		if err != nil {
			return stop(g, "a request with a login's code, of which there is none now")
		}
		body, whole := g.swapIn(r.contentType, v.Body, value)
		if !whole {
			return stop(g, "a request with a login's value inside another"+needsDirect)
		}
		v.Body, v.Swapped = body, true
	}
	return v
}

// valueToSend returns what is sent now.
func (gs *Guards) valueToSend(ctx context.Context, g *Guard) (bctrl.Secret, error) {
	if g.Fresh == nil {
		return g.Value, nil
	}
	code, err := g.Fresh(ctx)
	if err != nil {
		return bctrl.Secret{}, err
	}
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g.latest, g.hidden = code, scrub.New(code) // what is hidden is what was sent last
	return code, nil
}

// swapIn returns a body with the value in the one place of its placeholder. It
// reports whether nothing of the placeholder is left.
func (g *Guard) swapIn(contentType string, body []byte, value bctrl.Secret) ([]byte, bool) {
	out, n := swapBody(contentType, body, g.Placeholder, value.Expose())
	if n == 0 && g.Row {
		return swapRow(contentType, body, g.Placeholder, value.Expose())
	}
	return out, n == 1 && !g.seen.Holds(out)
}

// Answered decides about the answer to a request that took a value along: it
// returns the guard that stops a redirect to where the value may not go.
func (gs *Guards) Answered(id Flight, redirect string) (by *Guard) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for _, guards := range []map[*Guard]bool{gs.live, gs.retired} {
		for g := range guards {
			if g.flights[id] && redirect != "" && !g.MayGoTo(CanonicalOrigin(redirect)) {
				by = g
			}
			delete(g.flights, id)
		}
	}
	return by
}

// foundAnywhere reports whether a request holds the placeholder anywhere.
func (g *Guard) foundAnywhere(r Request) bool {
	return g.foundInBody(r) || g.found(g.seen, g.Placeholder, []byte(r.url)) || g.foundInHeaders(r)
}

// foundInBody reports whether a request's body holds the placeholder, also digit by
// digit where it was typed so, or what was filled directly.
func (g *Guard) foundInBody(r Request) bool {
	return g.found(g.seen, g.Placeholder, r.body) || g.foundInRow(r)
}

func (g *Guard) foundInRow(r Request) bool {
	if !g.Row {
		return false
	}
	_, found := swapRow(r.contentType, r.body, g.Placeholder, g.Placeholder)
	return found
}

func (g *Guard) foundInHeaders(r Request) bool {
	return slices.ContainsFunc(r.headers, func(text string) bool { return g.found(g.seen, g.Placeholder, []byte(text)) })
}

// found reports whether text holds what set looks for: value. Of digits alone,
// once they were sent, only those count that are not part of a longer number:
// requests are full of those.
func (g *Guard) found(set *scrub.Set, value string, text []byte) bool {
	if !set.Holds(text) {
		return false
	}
	if !g.sent || !isDigits(value) || !bytes.Contains(text, []byte(value)) {
		return true
	}
	for rest := text; ; {
		at := bytes.Index(rest, []byte(value))
		if at < 0 {
			return false
		}
		end := at + len(value)
		before := at > 0 && isDigits(string(rest[at-1:at]))
		if after := end < len(rest) && isDigits(string(rest[end:end+1])); !before && !after {
			return true
		}
		rest = rest[at+1:]
	}
}

func methodWrites(method string) bool {
	switch strings.ToUpper(method) {
	case "POST", "PUT", "PATCH":
		return true
	}
	return false
}

// afterPath returns the query and the fragment of an address.
func afterPath(address string) string {
	if at := strings.IndexAny(address, "?#"); at >= 0 {
		return address[at:]
	}
	return ""
}

func withoutFragment(address string) string {
	address, _, _ = strings.Cut(address, "#")
	return address
}
