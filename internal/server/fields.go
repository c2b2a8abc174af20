package server

import "unicode/utf8"

// maxLabel bounds a label, in bytes.
const maxLabel = 256

func checkLabel(label string) error {
	if !utf8.ValidString(label) { // of a command on the data directory: JSON holds text alone
		return notText("label")
	}
	var p problems
	p.limit("label", len(label), maxLabel)
	return p.err()
}

// invalidName refuses a field that breaks the rule of names; a nil rule is kept.
func invalidName(code, field string, rule error) error {
	if rule == nil {
		return nil
	}
	return invalid(code, field, field+": "+rule.Error())
}

// apply sets a field to what an update gives, where it gives anything.
func apply[T any](field *T, to *T) {
	if to != nil {
		*field = *to
	}
}
