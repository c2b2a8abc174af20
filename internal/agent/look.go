package agent

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// maxPicture bounds a picture that a model is shown, in bytes: what providers take.
const maxPicture = 5 << 20

// pictures are the digests of those that the browser has made for models, with what was
// filled masked. No other may be sent.
type pictures map[[sha256.Size]byte]bool

// picture takes a picture of the page for a model, where the task wants one: always, or
// where the text says too little and the model is known to take pictures. It is nil for a
// page of which none can be taken.
func (r *run) picture(ctx context.Context, chat model.Chat, seen *browser.Observation) []byte {
	switch {
	case r.set.vision == bctrl.VisionOff,
		r.set.vision == bctrl.VisionAuto && !(seen.Poor && model.Sees(ctx, chat, r.set.model)),
		!strings.HasPrefix(seen.URL, "http"):
		return nil
	}
	return r.takePicture(ctx)
}

// takePicture takes one whatever the task wants. A model that gets none still has the
// text.
func (r *run) takePicture(ctx context.Context) []byte {
	png, err := r.photograph(ctx)
	if err != nil {
		return nil
	}
	return png
}

// lookTools read the page with the model that looks.
func lookTools() []tool {
	return []tool{define[extractText]("extract",
		"Read something from the whole page that is in front, also from what the view leaves out: a table, a list, a text.",
		`"instruction":{"type":"string","description":"What to read."}`, "instruction")}
}

type extractText struct {
	Instruction string `json:"instruction"`
}

// do has the model that looks read the page. What it says comes from the page, and so is
// data to the model that plans.
func (a extractText) do(ctx context.Context, r *run) (outcome, error) {
	if strings.TrimSpace(a.Instruction) == "" || len(a.Instruction) > wire.MaxInstruction {
		return refuse("not done: the instruction is empty or too long"), nil
	}
	r.progress("extract", a.Instruction)
	schema, err := newOutputSchema("", json.RawMessage(defaultSchema))
	if err != nil {
		return outcome{}, err
	}
	read, err := r.readWhole(ctx, defaultPageTokens*bytesPerToken)
	if err != nil {
		return r.afterAction(ctx, bctrl.ActAction{Kind: "extract"}, err, "")
	}
	x := &extraction{run: r, instruction: a.Instruction, schema: schema}
	data, err := x.extract(ctx, read.text)
	if isLimit(err) || ctx.Err() != nil {
		return outcome{}, err
	}
	o, errDone := r.afterAction(ctx, bctrl.ActAction{Kind: "extract"}, err, "")
	if o.mayHaveChanged = false; err != nil {
		return o, errDone
	}
	var value struct {
		Extraction string `json:"extraction"`
	}
	_ = json.Unmarshal(data, &value) // it validates
	o.text, o.long = pageText(r.deps.Secrets.String(value.Extraction)), true
	if read.truncated {
		o.text += "\n(the page goes on)"
	}
	return o, errDone
}
