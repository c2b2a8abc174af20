package agent

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
)

const (
	// partOfPage is how much of a page the model reads at a time, in bytes: with its
	// marks it is less than maxLongText.
	partOfPage = 40 << 10
	// maxParts bounds which part of a page it may ask for.
	maxParts = 50
)

// sightTools are what a model reads and sees a page with beyond its views.
func sightTools() []tool {
	return []tool{
		define[readPage]("read_page",
			"Read the whole page that is in front as text, also what the view leaves out: lists and tables to their end, and "+
				"where links lead; or a file that a page has delivered, a PDF or a text. Long ones come in parts.",
			`"part":{"type":"number","description":"Which part, from 1; 1 where it is left out."},`+
				`"file":{"type":"string","description":"In the place of the page: the path of a file listed under Downloads."}`),
		define[lookAtPage]("look",
			"See a picture of the page as it is now. The number 12 is on the element [e12].", ``),
	}
}

// readsOnly reports whether an action of a kind changes nothing, so that there is nothing
// to do again.
func readsOnly(kind string) bool { return kind == "extract" || kind == "read_page" || kind == "look" }

type readPage struct {
	Part float64 `json:"part"`
	File string  `json:"file"`
}

// do gives the model a part of the page's text, or of a file's that a page has delivered,
// marked as the page's.
func (a readPage) do(ctx context.Context, r *run) (outcome, error) {
	part := int(a.Part)
	if part == 0 {
		part = 1
	}
	if part < 1 || part > maxParts {
		return refuse(fmt.Sprintf("not done: part is 1 to %d", maxParts)), nil
	}
	action, what := bctrl.ActAction{Kind: "read_page"}, "the page"
	read := r.readWhole
	if a.File != "" {
		action.Target, what = a.File, "the file"
		if !r.wasDelivered(a.File) {
			return r.refusedFile(ctx, action)
		}
		read = func(ctx context.Context, most int) (reading, error) { return r.readFile(ctx, a.File, most) }
	}
	r.progress("read_page", fmt.Sprintf("part %d %s", part, a.File))
	got, err := read(ctx, part*partOfPage)
	o, errDone := r.afterAction(ctx, action, err, "")
	if o.mayHaveChanged = false; err != nil {
		return o, errDone
	}
	text, from := got.text, 0
	for range part - 1 {
		from += lineEnd(text[from:], partOfPage)
	}
	text = text[from:]
	to := lineEnd(text, partOfPage)
	more := got.truncated || to < len(text)
	if text = text[:to]; text == "" {
		return refuse(what + " has no such part: it ends before"), errDone
	}
	o.text, o.long = pageText(text), true
	if more {
		o.text += fmt.Sprintf("\n(%s goes on: read part %d)", what, part+1)
	}
	return o, errDone
}

// wasDelivered reports whether a page of the runtime has delivered a file, also in an
// earlier task. No other file is read to the model: what pages deliver it is shown anyway.
func (r *run) wasDelivered(path string) bool {
	return r.deps.Files != nil && slices.ContainsFunc(r.downloads(),
		func(o bctrl.StorageObject) bool { return o.LogicalPath == path })
}

// refusedFile records that the model asked for a file that no page has delivered, and is
// the outcome of that.
func (r *run) refusedFile(ctx context.Context, a bctrl.ActAction) (outcome, error) {
	refusal := browser.Forbidden("agent.file_not_delivered",
		"file is the path of a file that is listed under Downloads, and no other is read", "")
	if err := r.deps.refused(ctx, bctrl.GetStorage, r.shortSafe(a.Target), refusal); err != error(refusal) {
		return outcome{}, fmt.Errorf("record what was refused: %w", err)
	}
	o, err := r.afterAction(ctx, a, refusal, "")
	o.mayHaveChanged = false
	return o, err
}

func (r *run) readFile(ctx context.Context, path string, most int) (reading, error) {
	text, truncated, err := r.deps.Files.Read(ctx, path, most+longestSecret) // cut again once it is masked
	if err != nil {
		return reading{}, err
	}
	out := reading{text: r.cleanText(text), truncated: truncated}
	if len(out.text) > most {
		out.text, out.truncated = out.text[:lineEnd(out.text, most)], true
	}
	return out, nil
}

// longestSecret is how many bytes more are read of a text than are told, so that what is
// cut off has no secret in it of which the beginning is left.
const longestSecret = 4 << 10

type lookAtPage struct{}

// do shows the model a picture, where the task permits it and the model takes one.
func (a lookAtPage) do(ctx context.Context, r *run) (outcome, error) {
	if r.set.vision == bctrl.VisionOff {
		return refuse("not done: this task is done without pictures; read the view or the page"), nil
	}
	if r.set.vision == bctrl.VisionAuto && !model.Sees(ctx, r.deps.Model, r.set.model) {
		return refuse("not done: this model is sent no pictures; read the view or the page"), nil
	}
	r.progress("look", "")
	png, err := r.photograph(ctx)
	o, errDone := r.afterAction(ctx, bctrl.ActAction{Kind: "look"}, err, "the picture follows")
	o.mayHaveChanged, o.png = false, png
	return o, errDone
}

// photograph takes a picture of the page with marks.
func (r *run) photograph(ctx context.Context) ([]byte, error) {
	taken, err := r.page.Picture(ctx, browser.PictureOptions{Marks: true})
	if err != nil {
		return nil, err
	}
	png := r.pictures.add(taken.PNG)
	if len(png) > maxPicture {
		return nil, browser.TooLarge("agent.picture_too_large", "the picture is larger than providers take",
			"read the view or the page")
	}
	r.pictured = pictureFrame{taken.Left, taken.Top, taken.Scale}
	return png, nil
}

// add has a picture that the browser has masked pass to the model. That it takes no other
// type is what keeps other bytes from it.
func (p pictures) add(masked browser.MaskedPNG) []byte {
	png := masked.Bytes()
	p[sha256.Sum256(png)] = true
	return png
}
