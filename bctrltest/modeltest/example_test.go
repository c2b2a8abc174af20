package modeltest_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"

	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// A script that sees looks for the red in the picture, clicks there and is done, in one
// answer.
func ExampleTurn_picture() {
	script := func(t modeltest.Turn) modeltest.Call {
		picture, err := png.Decode(bytes.NewReader(t.Picture))
		if err != nil {
			return modeltest.Done(false, "There is no picture.")
		}
		for y := range picture.Bounds().Dy() {
			for x := range picture.Bounds().Dx() {
				if r, g, b, _ := picture.At(x, y).RGBA(); r > 0xf000 && g == 0 && b == 0 {
					call := modeltest.ClickAt(float64(x), float64(y))
					call.Also = []modeltest.Call{modeltest.Done(true, "Clicked the red.")}
					return call
				}
			}
		}
		return modeltest.Done(false, "Nothing is red.")
	}

	page := image.NewNRGBA(image.Rect(0, 0, 40, 30))
	page.Set(12, 7, color.NRGBA{R: 0xff, A: 0xff})
	var sent bytes.Buffer
	if err := png.Encode(&sent, page); err != nil {
		panic(err)
	}
	call := script(modeltest.Turn{Picture: sent.Bytes()})
	fmt.Println(call.Tool, call.Args["x"], call.Args["y"], call.Also[0].Tool)
	// Output: click_at 12 7 done
}
