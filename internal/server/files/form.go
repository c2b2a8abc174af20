package files

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime/multipart"
	"slices"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// form is a multipart/form-data upload whose fields have been read. Reading it
// reads the file.
type form struct {
	file   Incoming
	fields map[string]string // as they were given
	parts  *multipart.Reader
	part   *multipart.Part
}

// The limits of a form beside its file.
const (
	maxFields     = 8
	maxFieldBytes = 4096
)

// readForm reads the fields up to the file. What follows the file is refused:
// it would have to be held back until the fields are known.
func readForm(rq *web.Request) (*form, error) {
	parts, err := rq.MultipartReader()
	if err != nil {
		return nil, web.WithHint(
			web.Invalid("request.content_type", "", "the body must be multipart/form-data"),
			"or send the bytes themselves: PUT /v1/storage/namespaces/{ns}/files/{path}",
		)
	}
	given := map[string]string{}
	f := &form{parts: parts, fields: given, file: Incoming{Source: bctrl.SourceUpload}}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil, web.Invalid("storage.file_missing", "file", "the form has no file")
		}
		if err != nil {
			return nil, errForm()
		}
		name := part.FormName()
		if name == "file" {
			f.part = part
			return f, f.complete()
		}
		if _, twice := given[name]; twice || len(given) == maxFields {
			return nil, web.Invalid("storage.repeated_field", "",
				"a field of the form is given more than once, or there are too many")
		}
		value, err := io.ReadAll(io.LimitReader(part, maxFieldBytes+1))
		if err != nil {
			return nil, errForm()
		}
		if len(value) > maxFieldBytes {
			return nil, web.Invalid("storage.long_field", "", "a field of the form is too long")
		}
		given[name] = string(value)
	}
}

func errForm() error {
	return web.Invalid("storage.invalid_form", "", "the form is malformed or broke off")
}

// complete sets the file's fields.
func (f *form) complete() (err error) {
	f.file.ContentType = f.part.Header.Get("Content-Type")
	for _, name := range slices.Sorted(maps.Keys(f.fields)) { // of two that are wrong always the same is named
		value := f.fields[name]
		switch name {
		case "workspace":
			f.file.Namespace = value
		case "path":
			f.file.Path = value
		case "source":
			f.file.Source = bctrl.StorageSource(value)
		case "runtimeId":
			f.file.RuntimeID = value
		case "driver":
			f.file.Driver = bctrl.Driver(value)
		case "target":
			f.file.Target = value
		case "filename":
			f.file.Filename = norm.NFC.String(value)
		default:
			return web.WithHint(
				web.Invalid("storage.unknown_field", "", "the form has a field that is not one of an upload"),
				"it takes workspace, path, source, runtimeId, driver, target, filename and, last, file",
			)
		}
		if !utf8.ValidString(value) {
			return web.NotUTF8(name)
		}
	}
	if f.file.Path == "" {
		return errFieldMissing("path")
	}
	f.file.Path, err = CanonicalPath(f.file.Path)
	return err
}

// sum is a hash of all that a form says, made of its file's: whatever its boundary is.
func (f *form) sum(file []byte) []byte {
	h := sha256.New()
	h.Write(file) // as long as every other
	said := json.NewEncoder(h)
	_ = errors.Join(said.Encode(f.part.Header.Get("Content-Type")), said.Encode(f.fields)) // texts are encoded, and hashed
	return h.Sum(nil)
}

// errFieldMissing is the refusal of a form that lacks a field, or has it where
// it comes too late.
func errFieldMissing(field string) error {
	return web.WithHint(
		web.Invalid("storage.field_missing", field, "the form has no "+field+" before its file"),
		"send every field before the file, which is not held back for them",
	)
}

// Read implements [io.Reader] over the file. Its end is the end of the form,
// so that a form that is cut short stores nothing.
func (f *form) Read(p []byte) (int, error) {
	n, err := f.part.Read(p)
	if err != io.EOF {
		return n, err
	}
	_, err = f.parts.NextPart()
	if err == nil {
		return n, web.WithHint(
			web.Invalid("storage.field_after_file", "", "the form goes on after its file"),
			"send every field before the file, which is not held back for them",
		)
	}
	return n, err
}
