package bctrl

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/bctrl-go/bctrl/internal/strictjson"
)

// What is sent arrives as it is, to the byte, or is refused here. JSON holds
// text alone, so a string in it that is not UTF-8 would arrive as another, and
// a header loses the blanks around it.

// encode writes v as JSON; field is where it stands in the request, empty for
// the whole of it.
func encode(field string, v any) ([]byte, error) {
	text, err := strictjson.Marshal(v)
	if err == nil {
		return text, nil
	}
	e, known := errors.AsType[*strictjson.Error](err)
	switch {
	case errors.Is(err, errSecretEncoding):
		return nil, refusal(http.StatusBadRequest, "request.not_json", field, "the request holds a Secret where JSON goes").
			hinted("call Expose where the value must leave")
	case !known:
		// The cause is not kept: it may quote what could not be encoded.
		return nil, refusal(http.StatusBadRequest, "request.not_json", field, "the request cannot be encoded as JSON")
	case field != "" && e.Field != "":
		field += "."
	}
	return nil, notText(field + e.Field)
}

// notText is the refusal of a string that is not UTF-8.
func notText(field string) *Error {
	return refusal(http.StatusBadRequest, "request.invalid_utf8", field,
		"it is not UTF-8 text, and would arrive as another").
		hinted("save it as UTF-8; what is not text is kept as text, such as its base64")
}

// keptInAddress refuses parameters and headers that would arrive as others.
func keptInAddress(query url.Values, header http.Header) error {
	for name, values := range query {
		if !utf8.ValidString(name) {
			return notText("query")
		}
		for _, value := range values {
			if !utf8.ValidString(value) {
				return notText(name)
			}
		}
	}
	for name, values := range header {
		for _, value := range values {
			if err := keptInHeader(name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// keptInHeader refuses the value of a header that would change on its way.
func keptInHeader(name, value string) error {
	switch {
	case !utf8.ValidString(value):
		return notText(name)
	case hasControl(value), strings.Trim(value, " ") != value:
		return refusal(http.StatusBadRequest, "request.invalid_header", name,
			"the header has blanks around it or a control character, and would not arrive as it is")
	}
	return nil
}

// hasControl reports whether text has a character that ends lines or steers.
func hasControl(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}
