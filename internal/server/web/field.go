package web

import (
	"strconv"
	"unicode/utf8"
)

// MaxLabel bounds a label, in bytes.
const MaxLabel = 256

// CheckLabel refuses a label that is too long or no UTF-8.
func CheckLabel(label string) error {
	if !utf8.ValidString(label) { // of a command on the data directory: JSON holds text alone
		return NotUTF8("label")
	}
	var p Problems
	p.Limit("label", len(label), MaxLabel)
	return p.Err()
}

// InvalidName is [Invalid] for a field that is to be a name, or nil. broken is what
// the grammar of names says of it; nil where it is one.
func InvalidName(code, field string, broken error) error {
	if broken == nil {
		return nil
	}
	return Invalid(code, field, field+": "+broken.Error())
}

// SetIfGiven sets a field to what an update gives; nil leaves it as it is.
func SetIfGiven[T any](field *T, to *T) {
	if to != nil {
		*field = *to
	}
}

// FieldAt is the name of an element of a list as a field: "origins[3]".
func FieldAt(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }
