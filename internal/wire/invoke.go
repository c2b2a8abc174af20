package wire

import (
	"encoding/json"
	"mime"
	"mime/multipart"
	"net/textproto"
	"strings"
	"unicode/utf8"
)

// Invocation is the body of POST /v1/capabilities/{id}/invoke, or, with
// Content, the first part of one that is multipart/form-data. S is bctrl.Scope.
type Invocation[S any] struct {
	Credential string              `json:"credential,omitempty"`
	Context    S                   `json:"context,omitzero"`
	Consumer   string              `json:"consumer,omitempty"`
	Method     string              `json:"method,omitempty"`
	Path       string              `json:"path,omitempty"`
	Host       string              `json:"host,omitempty"`
	Query      map[string][]string `json:"query,omitempty"`
	Headers    map[string]string   `json:"headers,omitempty"`
	TimeoutMs  int64               `json:"timeoutMs,omitempty"`

	// At most one of the four says what the body is.
	Body      json.RawMessage `json:"body,omitempty"`
	RawBody   []byte          `json:"rawBody,omitempty"`
	Multipart []FormPart      `json:"multipart,omitempty"`
	// Content says that the parts behind this one are the body: [ContentRaw] or
	// [ContentMultipart].
	Content string `json:"content,omitempty"`
}

// FormPart is a field or a file of a multipart body.
type FormPart struct {
	Name        string `json:"name"`
	Value       string `json:"value,omitempty"`
	Filename    string `json:"filename,omitempty"`
	ContentType string `json:"contentType,omitempty"`
	Data        []byte `json:"data,omitempty"`
}

// The values of [Invocation.Content].
const (
	// ContentRaw: one part, named "body", is the body.
	ContentRaw = "raw"
	// ContentMultipart: the parts are those of a multipart body.
	ContentMultipart = "multipart"
)

// Invoked is the answer to an [Invocation] that is not streamed. At most one of
// Body, Text and RawBody is there: JSON, other text, anything else.
type Invoked struct {
	Status     int                 `json:"status"`
	Headers    map[string][]string `json:"headers"`
	Credential string              `json:"credential"`
	Tier       string              `json:"tier,omitempty"`
	DurationMs int64               `json:"durationMs"`
	Text       *string             `json:"text,omitempty"`
	RawBody    []byte              `json:"rawBody,omitempty"`
	Body       json.RawMessage     `json:"body,omitempty"`
}

// partDisposition is the Content-Disposition of a part of a form.
func partDisposition(name, filename string) string {
	text := multipart.FileContentDisposition(name, filename)
	if filename == "" {
		text = strings.TrimSuffix(text, `; filename=""`)
	}
	return text
}

// PartHeader is the header of a part of a form. A part that is no file has no
// filename, and one whose type is left to who reads it no contentType.
func PartHeader(name, filename, contentType string) textproto.MIMEHeader {
	h := textproto.MIMEHeader{"Content-Disposition": {partDisposition(name, filename)}}
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	return h
}

// PartNames are the names that [PartHeader] wrote, to the byte: the part's
// own FileName leaves out folders.
func PartNames(part *multipart.Part) (name, filename string) {
	_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		return "", ""
	}
	return params["name"], params["filename"]
}

// ValidPart refuses the names and the type of a part that a form would carry as
// others: what ends a line in a name is replaced, in a type it begins another
// header. It returns which one of name, filename and contentType it is, or
// nothing.
func ValidPart(name, filename, contentType string) (wrong string) {
	for _, of := range []struct{ what, text string }{{"name", name}, {"filename", filename},
		{"contentType", contentType}} {
		if !utf8.ValidString(of.text) || strings.ContainsFunc(of.text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return of.what
		}
	}
	return ""
}
