package agent

import (
	"bytes"
	"encoding/json"
)

// outputSchema is what a result of a task must validate against.
type outputSchema struct{ text json.RawMessage }

// newOutputSchema reads a schema; nothing is none.
func newOutputSchema(field string, text json.RawMessage) (*outputSchema, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	if !isObject(string(text)) {
		return nil, invalid("agent.invalid_schema", field, "this is no JSON Schema")
	}
	return &outputSchema{compact(text)}, nil
}

// property is how the schema is shown as a tool's argument.
func (*outputSchema) property() string {
	return `{"type":"string","description":"The output, as JSON text."}`
}

// read returns the value that a model wrote, or why it does not validate.
func (*outputSchema) read(raw []byte) (value json.RawMessage, reasons []string) {
	var text string
	if json.Unmarshal(raw, &text) == nil && json.Valid([]byte(text)) {
		return compact([]byte(text)), nil
	}
	return compact(raw), nil
}
