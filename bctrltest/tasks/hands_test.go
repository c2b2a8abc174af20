package tasks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"

	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// shadow is a widget in an open shadow root with another in a closed one inside.
func shadow() task {
	return task{
		name: "shadow", page: "/shadow",
		ask: "Rate the delivery with 4 stars, write \"quick\" and send it.",
		policy: steps(click("radio", "4 stars"), typeIn("Comment", "quick"),
			click("button", "Send")),
		judge: arrived("/shadow", "stars", "4", "comment", "quick"),
	}
}

// board has cards that are dragged from a column to another.
func board() task {
	return task{
		name: "board", page: "/board",
		ask: "Move the card Write tests to Done.",
		policy: steps(one(func(t modeltest.Turn) modeltest.Call {
			return modeltest.Drag(showing(t, "Write tests"), showing(t, `region "Done"`))
		})),
		judge: arrived("/board", "card", "Write tests", "to", "Done"),
	}
}

// hoverMenu opens under the mouse, and a part of it under the mouse on it.
func hoverMenu() task {
	return task{
		name: "hover menu", page: "/hover",
		ask: "Archive the project, which is in a menu of a menu.",
		policy: steps(
			one(func(t modeltest.Turn) modeltest.Call { return modeltest.Hover(showing(t, "Project")) }),
			one(func(t modeltest.Turn) modeltest.Call { return modeltest.Hover(showing(t, `"More"`)) }),
			one(func(t modeltest.Turn) modeltest.Call { return modeltest.Click(showing(t, `"Archive"`)) })),
		judge: arrived("/hover", "done", "archive"),
	}
}

// contextMenu is the page's own, under the right button.
func contextMenu() task {
	return task{
		name: "context menu", page: "/context",
		ask: "Rename the file draft.txt to final.txt.",
		policy: steps(
			one(func(t modeltest.Turn) modeltest.Call { return modeltest.RightClick(showing(t, "draft.txt")) }),
			click("menuitem", "Rename"), typeIn("New name", "final.txt"), press("Enter")),
		judge: arrived("/context", "from", "draft.txt", "to", "final.txt"),
	}
}

// shortcuts is worked by the keyboard alone.
func shortcuts() task {
	return task{
		name: "shortcuts", page: "/shortcuts",
		ask: "Open the palette with Control+K, switch to the dark theme with it, and save with Control+Shift+S.",
		policy: steps(press("Control+K"), typeIn("Command", "theme"), press("ArrowDown"), press("Enter"),
			press("Control+Shift+S")),
		judge: arrived("/shortcuts", "theme", "dark"),
	}
}

// editor has a toolbar, and writes into an element of the page.
func editor() task {
	return task{
		name: "editor", page: "/editor",
		ask: "Write a heading \"Minutes\" and below it \"Nobody came.\" in bold, and publish it.",
		policy: steps(typeIn("Text", "Minutes\nNobody came."), press("Shift+Home"), click("button", "Bold"),
			press("Control+Home"), click("button", "Heading"), click("button", "Publish")),
		judge: arrived("/editor", "html", "<h2>Minutes</h2><p><b>Nobody came.</b></p>"),
	}
}

// canvas is a map that only a picture shows: the red mark is dragged onto the green one.
func canvas() task {
	where := func(t modeltest.Turn, red, green bool) (x, y float64, err error) {
		picture, err := png.Decode(bytes.NewReader(t.Picture))
		if err != nil {
			return 0, 0, errors.New("there is no picture")
		}
		n := 0.0
		for py := range picture.Bounds().Dy() {
			for px := range picture.Bounds().Dx() {
				r, g, b, _ := picture.At(px, py).RGBA()
				if (r > 0xe000) == red && (g > 0xe000) == green && r < 0xffff*2 && b < 0x1000 && r+g > 0xe000 {
					x, y, n = x+float64(px), y+float64(py), n+1
				}
			}
		}
		if n == 0 {
			return 0, 0, fmt.Errorf("there is no mark")
		}
		return x / n, y / n, nil
	}
	return task{
		name: "canvas", page: "/canvas",
		ask: "Drag the red mark of the map onto the green one.",
		policy: steps(one(func(modeltest.Turn) modeltest.Call { return modeltest.Look() }),
			one(func(t modeltest.Turn) modeltest.Call {
				x, y, err := where(t, true, false)
				toX, toY, errTo := where(t, false, true)
				if err := errors.Join(err, errTo); err != nil {
					return giveUp("%v", err)
				}
				return modeltest.DragAt(x, y, toX, toY)
			})),
		judge: func(_ context.Context, d *desk) error { return d.site.once("/canvas", "mark", "red", "on", "green") },
	}
}

// dialogs asks before it deletes, and for a reason.
func dialogs() task {
	return task{
		name: "dialogs", page: "/dialogs",
		ask: "Delete the old record, not the new one. The reason is \"expired\".",
		policy: steps(
			one(func(t modeltest.Turn) modeltest.Call {
				return modeltest.Click(below(t, "Record A", "button", "delete"))
			}),
			one(func(t modeltest.Turn) modeltest.Call { // it turns out to be the new one
				return modeltest.AnswerDialog(!sees(t, "new record"), "")
			}),
			one(func(t modeltest.Turn) modeltest.Call {
				return modeltest.Click(below(t, "Record B", "button", "delete"))
			}),
			one(func(t modeltest.Turn) modeltest.Call { return modeltest.AnswerDialog(sees(t, "old record"), "") }),
			one(func(t modeltest.Turn) modeltest.Call {
				if !sees(t, "Why?") {
					return giveUp("nobody asks why")
				}
				return modeltest.AnswerDialog(true, "expired")
			})),
		judge: arrived("/dialogs", "record", "B", "why", "expired"),
	}
}
