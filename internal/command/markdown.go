package command

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
)

// indented is JSON for people; what would steer a terminal is in it as escapes.
func indented(body []byte) (string, error) {
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(body), "", "  "); err != nil {
		return "", err
	}
	if b.Len() == 0 {
		return "", io.ErrUnexpectedEOF
	}
	return escaped(b.String()), nil
}

// markdown writes JSON as Markdown.
type markdown struct {
	namespace     string
	exclude, wrap []string
}

// text is a whole answer.
func (m markdown) text(body []byte) string {
	var b strings.Builder
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if json.Valid(body) {
		m.value(&b, decoder, "", "")
	} else {
		b.WriteString(strings.TrimRight(string(body), "\n") + "\n")
	}
	out := escaped(b.String())
	if m.namespace != "" {
		out = "<begin " + m.namespace + ">\n" + out + "</end " + m.namespace + ">\n"
	}
	return out
}

// value writes the next value of valid JSON: what stands in a list after a
// lead, and everything else by itself. Fields stay in the order that they have.
func (m markdown) value(b *strings.Builder, d *json.Decoder, lead, indent string) {
	token, err := d.Token()
	if err != nil {
		return // it is valid, so this is its end
	}
	below := indent
	if lead != "" {
		below += "  "
	}
	switch token {
	case json.Delim('{'):
		endLead(b, lead, d.More(), "{}")
		for d.More() {
			name, _ := d.Token()
			m.field(b, d, name.(string), below) //nolint:forcetypeassert // an object's name is a text
		}
		_, _ = d.Token()
	case json.Delim('['):
		endLead(b, lead, d.More(), "[]")
		for d.More() {
			m.value(b, d, below+"-", below)
		}
		_, _ = d.Token()
	default:
		writeScalar(b, token, lead, below)
	}
}

// endLead ends the line of a value that goes on below it, or is empty.
func endLead(b *strings.Builder, lead string, more bool, empty string) {
	switch {
	case !more:
		b.WriteString(after(lead, empty) + "\n")
	case lead != "":
		b.WriteString(lead + "\n")
	}
}

// after puts a text behind a lead, if there is one.
func after(lead, text string) string {
	if lead == "" {
		return text
	}
	return lead + " " + text
}

func (m markdown) field(b *strings.Builder, d *json.Decoder, name, indent string) {
	if slices.Contains(m.exclude, name) {
		var skipped json.RawMessage
		_ = d.Decode(&skipped) // it is valid
		return
	}
	lead := indent + "- **" + name + "**:"
	if !slices.Contains(m.wrap, name) {
		m.value(b, d, lead, indent)
		return
	}
	var raw json.RawMessage
	_ = d.Decode(&raw)
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	fence := strings.Repeat("`", max(3, longestRun(text, '`')+1))
	b.WriteString(lead + "\n\n" + fence + "\n" + strings.TrimRight(text, "\n") + "\n" + fence + "\n\n")
}

// longestRun is how often c stands in a row.
func longestRun(text string, c byte) (longest int) {
	n := 0
	for i := range len(text) {
		if text[i] != c {
			n = 0
			continue
		}
		n++
		longest = max(longest, n)
	}
	return longest
}

// writeScalar writes a text, number or word. A text of several lines stands
// below its lead.
func writeScalar(b *strings.Builder, token json.Token, lead, below string) {
	text, isText := token.(string)
	if !isText {
		raw, _ := json.Marshal(token) // it came from JSON
		text = string(raw)
	}
	if strings.Contains(text, "\n") && lead != "" {
		b.WriteString(lead + "\n\n" + below)
		b.WriteString(strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+below) + "\n\n")
		return
	}
	b.WriteString(after(lead, text) + "\n")
}
