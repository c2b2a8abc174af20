package web

import (
	"strconv"
	"unicode/utf8"
)

// MaxLabel bounds a label, in bytes.
const MaxLabel = 256

func CheckLabel(label string) error {
	if !utf8.ValidString(label) { // of a command on the data directory: JSON holds text alone
		return NotUTF8("label")
	}
	var p Problems
	p.Limit("label", len(label), MaxLabel)
	return p.Err()
}

// InvalidName refuses a field that breaks the rule of names; a nil rule is kept.
func InvalidName(code, field string, rule error) error {
	if rule == nil {
		return nil
	}
	return Invalid(code, field, field+": "+rule.Error())
}

// SetIfGiven sets a field to what an update gives, where it gives anything.
func SetIfGiven[T any](field *T, to *T) {
	if to != nil {
		*field = *to
	}
}

// FieldAt is the name of an element of a list, as a field.
func FieldAt(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }
