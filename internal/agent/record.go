package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/scrub"
)

const (
	// maxThought bounds what is recorded of the model's words, in bytes.
	maxThought = 4 << 10
	// lastRecordTime is how long a record may take of a step in which the task was
	// cancelled.
	lastRecordTime = 5 * time.Second
	// pictureTime is how long a picture that only a record needs may take.
	pictureTime = 5 * time.Second
)

// seenPage is what a record says of a view.
type seenPage struct {
	url, title  string
	view, shape string
	png         []byte
}

// describePage says what a page is. The digest of its view is that of the text without
// secrets, so that none can be guessed from it.
func (r *run) describePage(seen *browser.Observation, address string) seenPage {
	title := r.shortSafe(seen.Title)
	text := address + "\x00" + title + "\x00" + r.deps.Secrets.String(seen.Outline)
	return seenPage{
		url:   address,
		title: title,
		view:  digest(text),
		shape: seen.Shape,
	}
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// openRecord is the record of a step that has begun.
type openRecord struct {
	step    bctrl.TranscriptStep
	png     []byte
	actions int
	spent   modelSpending
}

// beginRecord notes what a step begins with.
func (r *run) beginRecord(ctx context.Context) openRecord {
	return openRecord{
		step: bctrl.TranscriptStep{
			Number: r.recorded + 1,
			At:     time.Now(),
			URL:    r.seen.url,
			Title:  r.seen.title,
			View:   r.seen.view,
			Shape:  r.seen.shape,
		},
		png:     r.recordedPicture(ctx),
		actions: len(r.result.Actions),
		spent:   r.spent.total,
	}
}

// recordedPicture is the picture of a step: what the model is shown, or where that is
// none and the record is to have one, a picture of the same page. A page of which none can
// be taken has none. The model is not sent it, nor may it point at places in it.
func (r *run) recordedPicture(ctx context.Context) []byte {
	if r.seen.png != nil || r.deps.Pictured == nil || !r.deps.Pictured() || r.page == nil || r.dialog != "" ||
		!strings.HasPrefix(r.seen.url, "http") {
		return r.seen.png
	}
	ctx, cancel := context.WithTimeout(ctx, pictureTime)
	defer cancel()
	taken, err := r.page.Picture(ctx, browser.PictureOptions{Marks: true})
	if err != nil || len(taken.PNG.Bytes()) > maxPicture {
		return nil
	}
	return taken.PNG.Bytes()
}

// endRecord tells of a step. Of one that failed it is told when something was done, also
// when the task is cancelled.
func (r *run) endRecord(ctx context.Context, rec openRecord, answer *model.Response, failed bool) error {
	s := &rec.step
	s.Actions = append([]bctrl.ActAction{}, r.result.Actions[rec.actions:]...)
	r.spent.into(&r.result.Usage, &r.result.Models, r.deps.Prices)
	if r.deps.Record == nil || failed && len(s.Actions) == 0 {
		return nil
	}
	if failed {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), lastRecordTime)
		defer cancel()
	}
	s.DurationMs = time.Since(s.At).Milliseconds()
	if answer != nil {
		s.Thought = clip(r.deps.Secrets.String(answer.Text), maxThought)
		s.Model = answer.Model
	}
	now := r.spent.total
	s.Usage = bctrl.Usage{
		Calls:        now.calls - rec.spent.calls,
		InputTokens:  now.InputTokens - rec.spent.InputTokens,
		OutputTokens: now.OutputTokens - rec.spent.OutputTokens,
	}
	r.recorded++
	return r.deps.Record(ctx, Record{TranscriptStep: *s, PNG: rec.png})
}

// elementDescription says what an element is, without secrets.
func (r *run) elementDescription(e browser.Element) *bctrl.ElementDescription {
	d := &bctrl.ElementDescription{
		Role:  e.Role,
		Name:  strings.TrimSpace(r.shortSafe(e.Name)),
		Index: e.Index,
		Frame: e.Frame,
	}
	for _, s := range e.Surroundings {
		d.Surroundings = append(d.Surroundings, r.shortSafe(s))
	}
	return d
}

// recordedArguments returns a tool's arguments as they are recorded: secrets masked, also
// what may be one in an address, and in the place of a reference, which means nothing
// later, what the element is. The one called ref is the action's element.
func (r *run) recordedArguments(text string) json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &fields) != nil || fields == nil {
		return nil
	}
	for name, raw := range fields {
		what, isRef := strings.CutSuffix(name, "ref")
		if !isRef || what != "" && !strings.HasSuffix(what, "_") {
			continue
		}
		delete(fields, name)
		var ref string
		if what == "" || json.Unmarshal(raw, &ref) != nil {
			continue
		}
		if e, _, ok := r.element(ref); ok {
			fields[what+"element"] = json.RawMessage(encodeObject(r.elementDescription(e)))
		}
	}
	var address string
	if raw, ok := fields["url"]; ok && json.Unmarshal(raw, &address) == nil {
		fields["url"] = encodeValue(scrub.Address(address))
	}
	masked := r.deps.Secrets.String(encodeObject(fields))
	if len(fields) == 0 || !isObject(masked) {
		return nil
	}
	return json.RawMessage(masked)
}

// encodeObject writes what cannot fail to be written.
func encodeObject(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "{}"
	}
	return string(text)
}
