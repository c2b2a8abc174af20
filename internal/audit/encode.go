package audit

import (
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// The longest texts of an event, in bytes; what is longer is shortened, and says so.
const (
	maxObject = 2 << 10
	maxText   = 256
)

// bound shortens what callers could make long, and replaces what is not UTF-8, so
// that the columns by which an event is found say the same as its JSON.
func (e *Event) bound() {
	e.Object = shorten(e.Object, maxObject)
	for _, text := range []*string{
		&e.Caller, &e.Workspace, &e.Group, &e.Runtime, &e.Execution, &e.Action, &e.UID, &e.Tier, &e.Outcome, &e.Capability,
		&e.Credential, &e.Consumer, &e.Method, &e.Host, &e.Path, &e.RequestID, &e.TraceID, &e.Address,
	} {
		*text = shorten(*text, maxText)
	}
	e.Secrets = slices.Clone(e.Secrets)
	for i := range e.Secrets {
		e.Secrets[i].Field = shorten(e.Secrets[i].Field, maxText)
	}
}

// shorten cuts s to max bytes of whole characters and says how many are
// missing. What is not UTF-8 is replaced as JSON would.
func shorten(s string, max int) string {
	if !utf8.ValidString(s) {
		s = string([]rune(s)) // U+FFFD for each byte
	}
	if len(s) <= max {
		return s
	}
	at := max
	for at > 0 && !utf8.RuneStart(s[at]) {
		at--
	}
	return s[:at] + "… and " + strconv.Itoa(len(s)-at) + " bytes more"
}

// Encode writes v as JSON of printable ASCII alone: neither a line break of any
// kind nor a character that steers a terminal or reorders text is in it.
func Encode[T any](v T) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	plain := true
	for _, c := range raw {
		plain = plain && c >= ' ' && c < 0x7f
	}
	if plain {
		return raw, nil
	}
	out := make([]byte, 0, len(raw)+64)
	for _, r := range string(raw) { // JSON holds valid UTF-8 alone
		switch {
		case r < 0x7f: // json.Marshal has escaped what is below ' '
			out = append(out, byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = escape(escape(out, high), low)
		default:
			out = escape(out, r)
		}
	}
	return out, nil
}

// escape appends r as JSON writes a character by its number.
func escape(out []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(out, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
