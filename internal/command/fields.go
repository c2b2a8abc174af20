package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// fieldNames are the names that a record's fields have in JSON.
func fieldNames(t reflect.Type) (names []string) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		found := []string{name}
		if name == "" && field.Anonymous {
			found = fieldNames(field.Type)
		}
		for _, name := range found {
			if name != "" && name != "-" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// writeJSON prints a record, or the chosen fields of it, without a line end.
func (c *cli) writeJSON(out io.Writer, record any, indent string) error {
	data, err := json.Marshal(record)
	if err != nil {
		return err
	}
	if len(c.fields) > 0 {
		if data, err = choose(data, c.fields); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	if err := json.Indent(&b, data, indent, "  "); err != nil {
		return err
	}
	_, err = io.WriteString(out, escaped(b.String()))
	return err
}

// choose keeps fields of an object, in their order. The name of a field inside
// of another stays whole: "storage.totalBytes".
func choose(object []byte, names []string) ([]byte, error) {
	var b bytes.Buffer
	for i, name := range names {
		value, err := lookup(object, name)
		if err != nil {
			return nil, err
		}
		b.WriteByte("{,"[min(i, 1)])
		b.WriteString(strconv.Quote(name) + ":")
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// lookup finds a field by its path; null where there is none.
func lookup(object json.RawMessage, path string) (json.RawMessage, error) {
	for name := range strings.SplitSeq(path, ".") {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(object, &fields); err != nil {
			return nil, usagef("--output %q: %q is not inside of anything", path, name)
		}
		value, ok := fields[name]
		if !ok {
			return json.RawMessage("null"), nil
		}
		object = value
	}
	return object, nil
}

// writeFields prints the chosen fields of a record on a line, with tabs
// between them: a text as it is, an absent one as nothing, all else as JSON.
func (c *cli) writeFields(out io.Writer, record any) error {
	data, err := json.Marshal(record)
	if err != nil {
		return err
	}
	texts := make([]string, len(c.fields))
	for i, path := range c.fields {
		value, err := lookup(data, path)
		if err != nil {
			return err
		}
		var text string
		if json.Unmarshal(value, &text) == nil { // null too
			texts[i] = printable(text)
		} else {
			texts[i] = escaped(string(value))
		}
	}
	_, err = fmt.Fprintln(out, strings.Join(texts, "\t"))
	return err
}

// cell is a text in a table or a line.
func cell(text string) string {
	if text == "" {
		return "-"
	}
	return printable(text)
}

// printable quotes a text that would break the line or steer a terminal.
func printable(text string) string {
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.QuoteToGraphic(text)
	}
	return text
}

// escaped writes what would steer a terminal in the escapes of JSON, to whose
// strings encoding/json leaves all but the controls of ASCII.
func escaped(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// moment is a time in a table; empty for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// size is a number of bytes for people.
func size(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, unit := float64(n), 0
	for f >= 1024 && unit < 5 {
		f, unit = f/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", f, " KMGTP"[unit])
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// joined is a list in a table.
func joined(texts []string) string { return strings.Join(texts, ", ") }
