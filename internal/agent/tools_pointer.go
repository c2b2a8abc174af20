package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
)

const (
	maxScroll    = 20
	maxModifiers = 4
	// maxThrough bounds the places that a drag passes.
	maxThrough = 100
	// maxCoordinate bounds a point before a page is asked, in CSS pixels.
	maxCoordinate = 100_000
)

// howToClick are the arguments of a click that any tool for one has.
const howToClick = `"button":{"type":"string","enum":["left","right","middle"]},` +
	`"count":{"type":"integer","description":"2 is a double click, 3 selects a paragraph. 1 when left out."},` +
	`"modifiers":{"type":"array","items":{"type":"string","enum":["Control","Shift","Alt","Meta"]},` +
	`"description":"Keys to hold during the click."}`

// pointerTools are those of the mouse.
func pointerTools() []tool {
	const point = `"x":{"type":"number","description":"Pixels from the left edge of the newest picture."},` +
		`"y":{"type":"number","description":"Pixels from its top edge."}`
	return []tool{
		define[click]("click", "Click an element.", ref+`,`+howToClick, "ref"),
		define[hover]("hover", "Move the mouse over an element, for what opens under it.", ref, "ref"),
		define[drag]("drag", "Drag one element onto another.",
			`"from_ref":{"type":"string","description":"The reference of what is dragged."},`+
				`"to_ref":{"type":"string","description":"The reference of where it is dropped."}`, "from_ref", "to_ref"),
		define[clickAt]("click_at", "Click at a place of the picture that no element of the view stands for, as on a canvas.",
			point+`,`+howToClick, "x", "y"),
		define[hoverAt]("hover_at", "Move the mouse to a place of the picture.", point, "x", "y"),
		define[dragAt]("drag_at", "Drag from one place of the picture to another, as on a canvas or a slider.",
			point+`,"to_x":{"type":"number"},"to_y":{"type":"number"},`+
				`"through":{"type":"array","items":{"type":"array","items":{"type":"number"}},`+
				`"description":"Where the way matters, as to draw: the places [x,y] that it passes, in order."}`,
			"x", "y", "to_x", "to_y"),
		define[scroll]("scroll", "Scroll the page, or the list that an element lies in.",
			`"pages":{"type":"number","description":"Views to scroll: 1 is one down, -1 one up."},`+
				`"ref":{"type":"string","description":"An element of the list to scroll; the page when left out."}`, "pages"),
	}
}

// clickArguments say how a click is made.
type clickArguments struct {
	Button    string   `json:"button"`
	Count     int      `json:"count"`
	Modifiers []string `json:"modifiers"`
}

// how returns the click, or why there is none of that kind.
func (a clickArguments) how() (browser.Click, string) {
	switch browser.Button(a.Button) {
	case "", browser.LeftButton, browser.RightButton, browser.MiddleButton:
	default:
		return browser.Click{}, "not done: button is left, right or middle"
	}
	if a.Count < 0 || a.Count > 3 {
		return browser.Click{}, "not done: count is 1, 2 or 3"
	}
	if len(a.Modifiers) > maxModifiers {
		return browser.Click{}, "not done: there are only 4 keys to hold"
	}
	for _, name := range a.Modifiers {
		switch name {
		case "Control", "Shift", "Alt", "Meta":
		default:
			return browser.Click{}, "not done: modifiers are Control, Shift, Alt and Meta"
		}
	}
	return browser.Click{
		Button:    browser.Button(a.Button),
		Count:     a.Count,
		Modifiers: a.Modifiers,
	}, ""
}

type click struct {
	Ref string `json:"ref"`
	clickArguments
}

func (a click) do(ctx context.Context, r *run) (outcome, error) {
	how, why := a.how()
	if why != "" {
		return refuse(why), nil
	}
	return r.onElement(ctx, "click", a.Ref, "clicked", func(ctx context.Context, ref browser.Ref) error {
		return r.page.Click(ctx, ref, how)
	})
}

type hover struct {
	Ref string `json:"ref"`
}

func (a hover) do(ctx context.Context, r *run) (outcome, error) {
	return r.onElement(ctx, "hover", a.Ref, "the mouse is over it", r.page.Hover)
}

type drag struct {
	From string `json:"from_ref"`
	To   string `json:"to_ref"`
}

func (a drag) do(ctx context.Context, r *run) (outcome, error) {
	to, unknown, ok := r.element(a.To)
	if !ok {
		return unknown, nil
	}
	return r.onElement(ctx, "drag", a.From, "dragged", func(ctx context.Context, from browser.Ref) error {
		return r.page.Drag(ctx, from, to.Ref)
	})
}

// pictureFrame is where a picture lies in the viewport, and how many CSS pixels one of its
// own is; before there is any, zero is 1.
type pictureFrame struct{ left, top, scale float64 }

func (f pictureFrame) inViewport(x, y float64) browser.Point {
	if f.scale == 0 {
		f.scale = 1
	}
	return browser.Point{X: f.left + x*f.scale, Y: f.top + y*f.scale}
}

// pointArguments are a place of the picture.
type pointArguments struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// atPoint does something at a place of the picture, where it can be any. It is recorded
// by where it was in the viewport, so that it can be done again without a picture.
func (r *run) atPoint(ctx context.Context, kind, success string, p pointArguments, how browser.Click,
	do func(ctx context.Context, at browser.Point) error) (outcome, error) {
	at := r.pictured.inViewport(p.X, p.Y)
	if !mayBePlace(at) {
		return refuse(notAPlace), nil
	}
	target := fmt.Sprintf("%.0f,%.0f", at.X, at.Y)
	r.progress(kind, target)
	args := map[string]any{"x": at.X, "y": at.Y}
	if how.Button != "" {
		args["button"] = how.Button
	}
	if how.Count != 0 {
		args["count"] = how.Count
	}
	if len(how.Modifiers) > 0 {
		args["modifiers"] = how.Modifiers
	}
	return r.afterAction(ctx, bctrl.ActAction{
		Kind:      kind,
		Target:    target,
		Arguments: json.RawMessage(encodeObject(args)),
	}, do(ctx, at), success)
}

const notAPlace = "not done: the place is not in the picture"

// mayBePlace reports whether a point can be in a viewport at all.
func mayBePlace(at browser.Point) bool {
	return at.X >= 0 && at.Y >= 0 && at.X <= maxCoordinate && at.Y <= maxCoordinate
}

type clickAt struct {
	pointArguments
	clickArguments
}

func (a clickAt) do(ctx context.Context, r *run) (outcome, error) {
	how, why := a.how()
	if why != "" {
		return refuse(why), nil
	}
	return r.atPoint(ctx, "click_at", "clicked", a.pointArguments, how, func(ctx context.Context, at browser.Point) error {
		return r.page.ClickAt(ctx, at, how)
	})
}

type hoverAt struct {
	pointArguments
}

func (a hoverAt) do(ctx context.Context, r *run) (outcome, error) {
	return r.atPoint(ctx, "hover_at", "the mouse is there", a.pointArguments, browser.Click{}, r.page.HoverAt)
}

type dragAt struct {
	pointArguments
	ToX     float64     `json:"to_x"`
	ToY     float64     `json:"to_y"`
	Through [][]float64 `json:"through"`
}

func (a dragAt) do(ctx context.Context, r *run) (outcome, error) {
	if len(a.Through) > maxThrough {
		return refuse(fmt.Sprintf("not done: through lists at most %d places", maxThrough)), nil
	}
	path := []browser.Point{r.pictured.inViewport(a.X, a.Y)}
	for _, at := range a.Through {
		if len(at) != 2 {
			return refuse("not done: a place of through is [x,y]"), nil
		}
		path = append(path, r.pictured.inViewport(at[0], at[1]))
	}
	path = append(path, r.pictured.inViewport(a.ToX, a.ToY))
	for _, at := range path {
		if !mayBePlace(at) {
			return refuse(notAPlace), nil
		}
	}
	from, to := path[0], path[len(path)-1]
	args := map[string]any{"x": from.X, "y": from.Y, "to_x": to.X, "to_y": to.Y}
	if len(a.Through) > 0 {
		through := make([][2]float64, 0, len(a.Through))
		for _, at := range path[1 : len(path)-1] {
			through = append(through, [2]float64{at.X, at.Y})
		}
		args["through"] = through
	}
	target := fmt.Sprintf("%.0f,%.0f to %.0f,%.0f", from.X, from.Y, to.X, to.Y)
	r.progress("drag_at", target)
	return r.afterAction(ctx, bctrl.ActAction{
		Kind:      "drag_at",
		Target:    target,
		Arguments: json.RawMessage(encodeObject(args)),
	}, r.page.DragAt(ctx, path...), "dragged")
}

type scroll struct {
	Pages float64 `json:"pages"`
	Ref   string  `json:"ref"`
}

func (a scroll) do(ctx context.Context, r *run) (outcome, error) {
	pages := int(math.Round(max(-maxScroll, min(maxScroll, a.Pages))))
	if pages == 0 {
		return refuse("not done: pages rounds to 0"), nil
	}
	if a.Ref != "" {
		return r.onElement(ctx, "scroll", a.Ref, "scrolled", func(ctx context.Context, ref browser.Ref) error {
			moved, err := r.page.Scroll(ctx, ref, pages)
			return refuseStandstill(moved, err)
		})
	}
	target := fmt.Sprintf("%+d", pages)
	r.progress("scroll", target)
	moved, err := r.page.Scroll(ctx, "", pages)
	return r.afterAction(ctx, bctrl.ActAction{Kind: "scroll", Target: target}, refuseStandstill(moved, err), "scrolled")
}

// refuseStandstill is the error of a scroll that moved nothing.
func refuseStandstill(moved bool, err error) error {
	if moved || err != nil {
		return err
	}
	return browser.Conflict("page.not_moved", "nothing moved",
		"it may be at its end; to scroll a list, give the reference of an element in it")
}
