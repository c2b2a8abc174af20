package fill

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/chromedp/cdproto/network"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/scrub"
)

// Verdict is what becomes of a request.
type Verdict struct {
	// Reason says why the request is stopped; empty lets it pass.
	Reason string
	// BlockedBy is the guard that stops it.
	BlockedBy *Guard
	// swaps are the guards whose placeholders Complete replaces in Body.
	swaps []*Guard
	// Body is what the request is sent with where Swapped says that it differs.
	Body    []byte
	Swapped bool
	// WatchAnswer says that the answer has to be seen before it is followed: a
	// redirect could take the value elsewhere.
	WatchAnswer bool
	// carriers are the guards whose values the request takes along.
	carriers []*Guard
}

const needsDirect = " (the entry needs fill: direct)"

// Judge decides about a request. The verdict on one that passes with a value is not
// final until [Guards.Complete] has decided too.
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
		// Passwords like "admin" are words of paths, and a page that holds only a
		// placeholder cannot have put the value there but by chance.
		address = afterPath(r.url)
	}
	switch {
	case g.found(g.heldSet, g.Placeholder, []byte(r.url)) || g.found(g.valueSet, value, []byte(address)):
		return "a request with a login's value in its address, to " + where
	case !g.MayGoTo(origin) && (inBody || inHeader || g.found(g.valueSet, value, r.body)):
		return "a request with a login's value, to " + where + ", where it may not go"
	case g.Placeholder == "" && inBody, g.Placeholder != "" && !inBody && g.found(g.valueSet, value, r.body):
		// The value was filled directly, or swapped before a redirect. Where the body
		// has the placeholder too, the value is in it by chance, as in admin:admin.
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
		g.valueSent = true
	}
	return ""
}

// misplacement says why a placeholder is not in a body in the place where the
// filled field's own submission puts it; empty when it is. names are the names that
// the body has the placeholder under.
//
// The name is the field's own, or that of a hidden field of its form into which a
// script has moved the placeholder. A script of the field's own document may send
// it under any other name that no other field has. Once another field has come to
// hold the placeholder, somebody has moved it there, and it has to be a name of the
// field's own form.
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
	byScript := r.Kind == network.ResourceTypeXHR || r.Kind == network.ResourceTypeFetch
	switch {
	case !inDocument && !form, g.wasGone(r.arrived) && byScript:
		return "from another document" + moved
	case !inDocument && !ofForm, // the form's own request may come from a tab that it opens
		!ofForm && (f.spread || slices.Contains(f.Others, name)),
		form && f.spread && !slices.Contains(f.Targets, withoutFragment(r.url)):
		return "in the place of another field" + moved
	}
	return ""
}

// wasGone reports whether the field's document was gone at a time. Call it with mu held.
func (g *Guard) wasGone(at time.Time) bool {
	return g.endTimer != nil && (at.IsZero() || g.documentGoneAt.Before(at))
}

// noteMissingValue takes note of a request that looks like the login but has nothing
// of the field in it, while the field's document lives. Call it with mu held.
func (g *Guard) noteMissingValue(r Request) {
	empty := r.bodyComplete && len(r.body) == 0
	if g.valueSent || g.endTimer != nil || g.Tab == "" || r.Tab != g.Tab {
		return
	}
	if empty || !methodWrites(r.method) || !g.MayGoTo(CanonicalOrigin(r.url)) {
		return
	}
	switch r.Kind {
	case network.ResourceTypeDocument:
		g.leftWithout = g.leftWithout || r.Frame == g.Element.Frame
	case network.ResourceTypeXHR, network.ResourceTypeFetch:
		g.leftWithout = g.leftWithout || g.submitExpected && (r.Worker || r.Frame == g.Element.Frame)
	}
}

// recordCarrier takes note that a request takes the value of a guard along. Call it
// with mu held.
func (gs *Guards) recordCarrier(g *Guard, id Flight, v *Verdict) {
	v.WatchAnswer = true
	v.carriers = append(v.carriers, g)
	g.flights[id] = true
	gs.carriers.remember(id.Request)
}

// Complete completes the verdict on a request that takes values along. It asks
// whether each may still be used, which may have changed since they were filled,
// and puts them in the place of their placeholders.
func (gs *Guards) Complete(ctx context.Context, r Request, v Verdict) Verdict {
	stop := func(g *Guard, why string) Verdict {
		gs.Answered(r.flight, "") // it never leaves
		return Verdict{BlockedBy: g, Reason: why}
	}
	for _, g := range v.carriers {
		if g.StillPermitted == nil {
			continue
		}
		if err := g.StillPermitted(ctx); err != nil {
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

// valueToSend returns the value of a field, or a code that is valid now.
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
	g.latest, g.valueSet = code, scrub.New(code)
	return code, nil
}

// swapIn returns a body with the value in the one place of its placeholder. It
// reports whether nothing of the placeholder is left.
func (g *Guard) swapIn(contentType string, body []byte, value bctrl.Secret) ([]byte, bool) {
	out, n := swapBody(contentType, body, g.Placeholder, value.Expose())
	if n == 0 && g.Row {
		if out, whole := swapRow(contentType, body, g.Placeholder, value.Expose()); whole {
			return out, true
		}
		out, n := swapNamed(contentType, body, g.RowNames, g.Placeholder, value.Expose())
		return out, n > 0
	}
	if g.Row { // many pages join the digits in a hidden field, and send the boxes as well
		out, _ = swapNamed(contentType, out, g.RowNames, g.Placeholder, value.Expose())
	}
	return out, n == 1 && !g.heldSet.Holds(out)
}

// Answered takes note of the answer to a request that took a value along. When it
// redirects to where the value may not go, it returns the guard that stops it.
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
	return g.foundInBody(r) || g.found(g.heldSet, g.Placeholder, []byte(r.url)) || g.foundInHeaders(r)
}

// foundInBody reports whether a request's body holds the placeholder, also digit by
// digit where it was typed so, or what was filled directly.
func (g *Guard) foundInBody(r Request) bool {
	return g.found(g.heldSet, g.Placeholder, r.body) || g.foundInRow(r) ||
		g.Placeholder != "" && len(placesIn(r.contentType, r.body, g.Placeholder)) > 0
}

func (g *Guard) foundInRow(r Request) bool {
	if !g.Row {
		return false
	}
	if _, found := swapRow(r.contentType, r.body, g.Placeholder, g.Placeholder); found {
		return true
	}
	_, n := swapNamed(r.contentType, r.body, g.RowNames, g.Placeholder, g.Placeholder)
	// A single digit is elsewhere no more than a digit.
	return n == len(g.Placeholder) || n > 0 && g.MayGoTo(CanonicalOrigin(r.url))
}

func (g *Guard) foundInHeaders(r Request) bool {
	return slices.ContainsFunc(r.headers,
		func(text string) bool { return g.found(g.heldSet, g.Placeholder, []byte(text)) })
}

// found reports whether text holds value, which set looks for. Once digits were
// sent they count only as a number of their own: requests are full of numbers.
func (g *Guard) found(set *scrub.Set, value string, text []byte) bool {
	if !set.Holds(text) {
		return false
	}
	if !g.valueSent || !isDigits(value) || !bytes.Contains(text, []byte(value)) {
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
