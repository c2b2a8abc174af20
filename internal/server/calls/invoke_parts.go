package calls

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"strconv"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// partsBody reads the parts behind the envelope of an invocation as one body:
// one part as it is, or all of them as a form with a boundary of its own.
type partsBody struct {
	in   *multipart.Reader
	part *multipart.Part
	// out holds what stands between the contents of a form, written by form.
	out  bytes.Buffer
	form *multipart.Writer // nil for one part
	done bool
	// last is the last byte that was read of one part. It is held back until it is
	// known that nothing follows: with it the provider would take the request for
	// whole.
	last []byte
}

// rawPart returns the part named "body", which has to be the only one, as a body
// with its headers and its length, -1 where it is not known.
func rawPart(in *multipart.Reader) (*partsBody, http.Header, int64, error) {
	part, err := in.NextPart()
	if err != nil || part.FormName() != "body" {
		return nil, nil, 0, web.Invalid(
			"invoke.invalid_parts",
			"",
			"behind the invocation there must be one part, named body",
		)
	}
	length := int64(-1)
	if n, err := strconv.ParseInt(part.Header.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		length = n
	}
	return &partsBody{in: in, part: part}, http.Header(part.Header), length, nil
}

// formParts returns all parts as one form.
func formParts(in *multipart.Reader) *partsBody {
	b := &partsBody{in: in}
	b.form = multipart.NewWriter(&b.out)
	return b
}

// Read implements [io.Reader].
func (b *partsBody) Read(p []byte) (int, error) {
	for {
		switch {
		case b.out.Len() > 0:
			return b.out.Read(p)
		case b.done:
			return 0, io.EOF
		case b.part != nil:
			n, err := b.part.Read(p)
			if err == io.EOF {
				b.part, err = nil, nil
			}
			if b.form == nil {
				n = b.holdBack(p, n)
			}
			if n > 0 || err != nil {
				return n, err
			}
		default:
			if err := b.nextPart(); err != nil {
				return 0, err
			}
		}
	}
}

// holdBack keeps the last of the n bytes that were read into p, and puts the one
// that it kept before in front of the others. It returns how many there are now.
func (b *partsBody) holdBack(p []byte, n int) int {
	if n == 0 {
		return 0
	}
	last := p[n-1]
	copy(p[len(b.last):], p[:n-1])
	copy(p, b.last)
	n += len(b.last) - 1
	b.last = []byte{last}
	return n
}

// nextPart begins the next part, or the end.
func (b *partsBody) nextPart() error {
	part, err := b.in.NextPart()
	switch {
	case err == io.EOF && b.form != nil:
		b.done = true
		return b.form.Close()
	case err == io.EOF:
		b.done = true
		b.out.Write(b.last)
		return nil
	case err != nil:
		return err
	case b.form == nil:
		return errTwoBodies()
	}
	b.part = part
	name, filename := wire.PartNames(part)
	kind := part.Header.Get("Content-Type")
	if wrong := wire.ValidPart(name, filename, kind); wrong != "" {
		return errPart(wrong)
	}
	_, err = b.form.CreatePart(wire.PartHeader(name, filename, kind))
	return err
}

// encodeForm writes a form, and returns it with its content type.
func encodeForm(parts []wire.FormPart) (body []byte, contentType string, err error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i, p := range parts {
		if wrong := wire.ValidPart(p.Name, p.Filename, p.ContentType); wrong != "" {
			return nil, "", errPart(web.FieldAt("multipart", i) + "." + wrong)
		}
		content := p.Data
		if content == nil {
			content = []byte(p.Value)
		}
		out, err := w.CreatePart(wire.PartHeader(p.Name, p.Filename, p.ContentType))
		if err != nil {
			return nil, "", err
		}
		if _, err := out.Write(content); err != nil {
			return nil, "", err
		}
	}
	err = w.Close()
	return b.Bytes(), w.FormDataContentType(), err
}

// errPart refuses a part by its field: its name, file name or content type.
func errPart(field string) *bctrl.Error {
	return web.Invalid("invoke.invalid_parts", field,
		"it is not UTF-8 or holds a control character, and the form would carry it as something else")
}

// errTwoBodies refuses an invocation with more than one body.
func errTwoBodies() *bctrl.Error {
	return web.Invalid("invoke.two_bodies", "body",
		"the invocation has more than one body: want one of body, rawBody, multipart, and parts behind it")
}
