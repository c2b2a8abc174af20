package agent

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
)

const (
	// defaultPageTokens is how much of a page is read.
	defaultPageTokens = 60_000
	// partBytes is how much of a page one question holds. Answers are as bounded as
	// they are, so a long list is read in parts.
	partBytes = 64 << 10
	// minPartBytes is the smallest part that one is cut into for a model of a short
	// context.
	minPartBytes = 4 << 10
	// maxSoFar bounds what a question says of the parts before.
	maxSoFar = 8 << 10
	// maxData bounds what is extracted.
	maxData = 4 << 20

	extractedTool = "extracted"
	extractCode   = "extract.invalid_answer"
)

// defaultSchema is what is extracted where no schema is given.
const defaultSchema = `{"type":"object","properties":{"extraction":{"type":"string"}},"required":["extraction"],` +
	`"additionalProperties":false}`

// Extract reads data from the page, in the form of a JSON Schema. A model whose answer
// does not validate is told why; after two corrections the error is
// "extract.invalid_answer" with the reasons. A long page is read in parts, as far as
// the arguments' budget goes.
//
// The result stands beside an error too, with what the model took.
func Extract(ctx context.Context, deps Deps, args bctrl.ExtractArgs) (*bctrl.ExtractResult, error) {
	if err := CheckExtract(args); err != nil {
		return nil, err
	}
	text := args.Schema
	if len(strings.TrimSpace(string(text))) == 0 {
		text = json.RawMessage(defaultSchema)
	}
	schema, err := newOutputSchema("schema", text)
	if err != nil {
		return nil, err
	}
	r := newRun(deps, onePage(args.Vision))
	result := &bctrl.ExtractResult{}
	err = r.readPage(ctx, func(ctx context.Context, _ string) error {
		x := &extraction{run: r, instruction: args.Instruction, schema: schema}
		read, err := r.readWhole(ctx, cmp.Or(args.MaxPageTokens, defaultPageTokens)*bytesPerToken)
		if err != nil {
			return err
		}
		result.Truncated = read.truncated
		result.Data, err = x.extract(ctx, read.text)
		return err
	})
	result.URL, result.Usage, result.Models = r.result.URL, r.result.Usage, r.result.Models
	return result, err
}

// reading is the text of a page, without secrets.
type reading struct {
	text      string
	truncated bool
}

// readWhole returns what the page says, cut at a line where it is longer than most bytes.
func (r *run) readWhole(ctx context.Context, most int) (reading, error) {
	read, err := r.page.Read(ctx, browser.ReadOptions{MaxBytes: most})
	if err != nil {
		return reading{}, fmt.Errorf("read the page: %w", err)
	}
	out := reading{text: r.cleanText(read.Text), truncated: read.Truncated}
	if len(out.text) > most {
		out.text, out.truncated = out.text[:lineEnd(out.text, most)], true
	}
	return out, nil
}

// cleanText takes secrets out of a text, and what a reader cannot see out of its lines.
func (r *run) cleanText(text string) string {
	var b strings.Builder
	for l := range strings.Lines(r.deps.Secrets.String(text)) {
		indent := len(l) - len(strings.TrimLeft(l, " "))
		b.WriteString(strings.Repeat(" ", indent) + strings.TrimSpace(clean(l)) + "\n")
	}
	return b.String()
}

// lineEnd returns the end of the last whole line within most bytes of text, or of the
// last whole character where there is none.
func lineEnd(text string, most int) int {
	if most >= len(text) {
		return len(text)
	}
	if i := strings.LastIndexByte(text[:most], '\n'); i >= 0 {
		return i + 1
	}
	return len(strings.ToValidUTF8(text[:most], ""))
}

// extraction is a text that is being read into the form of a schema.
type extraction struct {
	*run
	instruction string
	schema      *outputSchema
}

// extract reads a text, in parts where it is long.
func (x *extraction) extract(ctx context.Context, text string) (json.RawMessage, error) {
	size := partBytes
	if len(text) <= size {
		data, err := x.part(ctx, text, partOf{number: 1, whole: true})
		if !isTooLong(err) {
			return data, err
		}
		size = len(text) / 2
	}
	var data any
	for number := 1; text != ""; number++ {
		end := lineEnd(text, max(size, minPartBytes))
		soFar := encodeValue(data)
		part, err := x.part(ctx, text[:end], partOf{number: number, last: end == len(text), soFar: soFar})
		if isTooLong(err) && size > minPartBytes {
			size /= 2
			number--
			continue
		}
		if err != nil {
			return nil, err
		}
		var v any
		if err := decodeNumbers(part, &v); err != nil {
			return nil, err
		}
		data = merge(data, v)
		text = text[end:]
	}
	merged := encodeValue(data)
	if len(merged) > maxData {
		return nil, browser.BadGateway(extractCode, fmt.Sprintf("what was extracted is longer than %d bytes", maxData),
			"ask for less, or bound the page that is read")
	}
	value, reasons := x.schema.read(merged)
	if len(reasons) == 0 {
		return value, nil
	}
	return x.correct(ctx, merged, reasons)
}

func isTooLong(err error) bool {
	known, ok := errors.AsType[*bctrl.Error](err)
	return ok && known.Code == "model.prompt_too_long"
}

// partOf says which part of a page a question is about.
type partOf struct {
	number      int
	whole, last bool
	soFar       []byte
}

// part reads one part. Of a page that has more, the value need not be complete.
func (x *extraction) part(ctx context.Context, text string, p partOf) (data json.RawMessage, err error) {
	note := ""
	if !p.whole {
		note = fmt.Sprintf("\n\nThe page is long: this is part %d of it%s. Of lists give only the items of this part; of "+
			"everything else what is right for the page so far.", p.number, map[bool]string{true: ", the last"}[p.last])
		if p.number > 1 {
			note += " What the parts before gave begins with " + clip(string(p.soFar), maxSoFar)
		}
	}
	read := x.schema.read
	if !p.whole {
		read = x.schema.readPart
	}
	q := x.question(note+"\n\n"+pageText(text), read, &data)
	if p.number == 1 {
		q.png = x.seen.png
	}
	return data, x.askStrictly(ctx, q)
}

// correct has the model correct what its parts together give.
func (x *extraction) correct(
	ctx context.Context, merged json.RawMessage, reasons []string,
) (data json.RawMessage, err error) {
	if len(merged) > partBytes {
		return nil, invalidAnswer(extractCode, reasons)
	}
	return data, x.askStrictly(ctx, x.question("\n\nThe parts of the page gave together what does not validate: "+
		strings.Join(reasons, "; ")+". Give it so that it does.\n\n"+pageText(string(merged)), x.schema.read, &data))
}

// question is one of the extraction, whose answer goes to data.
func (x *extraction) question(
	text string, read func([]byte) (json.RawMessage, []string), data *json.RawMessage,
) question {
	return question{
		chat:   x.deps.Look,
		system: extractPrompt,
		text: "Instruction: " + x.instruction + "\n\nThe page is " + x.result.URL + "\n\nThe JSON Schema: " +
			string(x.schema.Text()) + text,
		tool: model.Tool{
			Name:        extractedTool,
			Description: "Give what was extracted.",
			Parameters: json.RawMessage(`{"type":"object","properties":{"data":` + x.schema.property() +
				`},"required":["data"],"additionalProperties":false}`),
		},
		code: extractCode,
		read: func(arguments string) (reasons []string) {
			var answer struct {
				Data json.RawMessage `json:"data"`
			}
			if err := decode(arguments, nil, &answer); err != nil {
				return []string{err.Error()}
			}
			*data, reasons = read([]byte(x.deps.Secrets.String(string(answer.Data))))
			return reasons
		},
	}
}

// readPart is read of one part of a page: what is missing in it may be in another one.
func (s *outputSchema) readPart(raw []byte) (value json.RawMessage, reasons []string) {
	value, wrong := s.readValue(raw)
	wrong = slices.DeleteFunc(wrong, func(w reasonOf) bool {
		return slices.Contains([]string{
			"required", "minItems", "minProperties", "contains", "dependentRequired", "anyOf", "oneOf",
		}, w.Keyword)
	})
	if len(wrong) > 0 {
		return nil, texts(wrong)
	}
	return value, nil
}

// merge joins what two parts of a page gave: lists one behind the other, objects by their
// names, and of all else what the later part knows better.
func merge(before, after any) any {
	switch a := after.(type) {
	case nil:
		return before
	case string:
		if strings.TrimSpace(a) == "" && before != nil {
			return before
		}
	case []any:
		if b, ok := before.([]any); ok {
			return append(b, a...)
		}
	case map[string]any:
		b, ok := before.(map[string]any)
		if !ok {
			return after
		}
		for name, v := range a {
			b[name] = merge(b[name], v)
		}
		return b
	}
	return after
}

// pageText puts a text from a page between tags that the page cannot write, under an
// id that is new each time.
func pageText(text string) string {
	var nonce [8]byte
	_, _ = rand.Read(nonce[:]) // crypto/rand never fails
	tag := `page id="` + hex.EncodeToString(nonce[:]) + `"`
	return "<" + tag + ">\n" + text + "\n</" + tag + ">"
}
