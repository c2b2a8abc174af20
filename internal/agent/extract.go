package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/model"
)

const (
	defaultPageTokens = 60_000
	maxMaxPageTokens  = 1_000_000
	extractTool       = "extracted"
)

// defaultSchema is what is extracted where no schema is given.
const defaultSchema = `{"type":"object","properties":{"extraction":{"type":"string"}},"required":["extraction"],` +
	`"additionalProperties":false}`

// Extract reads data from the page, in the form of a JSON Schema. A model whose answer
// does not validate is told why; after two corrections the error is
// "extract.invalid_answer" with the reasons.
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
	_ = cmp.Or(args.MaxPageTokens, defaultPageTokens)
	err = r.readPage(ctx, func(ctx context.Context, view string) error {
		return r.askStrictly(ctx, question{
			chat:   r.deps.Look,
			system: extractPrompt,
			text:   "Instruction: " + args.Instruction + "\n\nThe JSON Schema: " + string(schema.Text()) + "\n\n" + view,
			tool: model.Tool{
				Name:        extractTool,
				Description: "Give what was extracted.",
				Parameters: json.RawMessage(`{"type":"object","properties":{"data":` + schema.property() +
					`},"required":["data"],"additionalProperties":false}`),
			},
			code: "extract.invalid_answer",
			read: func(arguments string) (reasons []string) {
				var answer struct {
					Data json.RawMessage `json:"data"`
				}
				if err := decode(arguments, nil, &answer); err != nil {
					return []string{err.Error()}
				}
				result.Data, reasons = schema.read([]byte(r.deps.Secrets.String(string(answer.Data))))
				return reasons
			},
		})
	})
	result.URL, result.Usage, result.Models = r.result.URL, r.result.Usage, r.result.Models
	return result, err
}
