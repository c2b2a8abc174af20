package agent

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/bctrl-go/bctrl/internal/schema"
)

// outputSchema is what a result of a task must validate against.
type outputSchema struct{ *schema.Schema }

// newOutputSchema reads a schema; nothing is none.
func newOutputSchema(field string, text json.RawMessage) (*outputSchema, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	s, err := schema.Compile(text)
	if wrong, ok := errors.AsType[*schema.Error](err); ok {
		e := invalid("agent.invalid_schema", field, "this is no JSON Schema that can be used: "+wrong.Error())
		e.Hint = "write draft 2020-12; references stay inside the schema, patterns are without lookarounds"
		return nil, e
	}
	return &outputSchema{s}, err
}

// property is how the schema is shown as a tool's argument: as it is, so that providers
// that hold their models to schemas do, or where it means something else inside another
// schema, as a text that holds JSON.
func (s *outputSchema) property() string {
	if s.SelfContained() && isObject(string(s.Text())) {
		return string(s.Text())
	}
	return `{"type":"string","description":"JSON text that validates against the JSON Schema."}`
}

// reasonOf is why a value does not validate.
type reasonOf = schema.Reason

// read returns the value that a model wrote, as JSON or as a text that holds it, or why
// it does not validate.
func (s *outputSchema) read(raw []byte) (value json.RawMessage, reasons []string) {
	value, wrong := s.readValue(raw)
	if len(wrong) > 0 {
		return nil, texts(wrong)
	}
	return value, nil
}

// readValue is read of a value that is returned also where it does not validate.
func (s *outputSchema) readValue(raw []byte) (value json.RawMessage, wrong []reasonOf) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil, []reasonOf{{Keyword: "JSON", Detail: "it is missing"}}
	}
	wrong = s.Validate(raw)
	var text string
	if len(wrong) > 0 && json.Unmarshal(raw, &text) == nil {
		if inside := []byte(text); json.Valid(inside) {
			raw, wrong = inside, s.Validate(inside)
		}
	}
	return compact(raw), wrong
}

func texts(wrong []reasonOf) (reasons []string) {
	for _, w := range wrong {
		reasons = append(reasons, w.String())
	}
	return reasons
}

// compact returns JSON without insignificant space.
func compact(text []byte) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, text) != nil {
		return text
	}
	return b.Bytes()
}

// decodeNumbers decodes JSON with its numbers as they are written.
func decodeNumbers(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(into)
}

// encodeValue writes a decoded JSON value.
func encodeValue(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return text
}
