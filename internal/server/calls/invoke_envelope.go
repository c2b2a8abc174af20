package calls

import (
	"cmp"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/strictjson"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// invocation is the envelope of an invocation, and what follows it.
type invocation struct {
	wire.Invocation[bctrl.Scope]
	// parts follow the envelope where that is the first part of a form, else nil.
	parts *multipart.Reader
}

// readInvocation reads the envelope: a body of JSON, or the first part of a form.
func readInvocation(rq *web.Request) (in invocation, err error) {
	var text []byte
	if contentType := rq.Header.Get("Content-Type"); web.IsJSON(contentType) {
		text, err = rq.ReadBody()
	} else if boundary := boundaryOf(contentType); boundary != "" {
		in.parts = multipart.NewReader(rq.Body, boundary)
		text, err = firstPart(in.parts)
	} else {
		err = web.Invalid("request.content_type", "",
			"the body must be application/json, or multipart/form-data that begins with a part named invocation")
	}
	if err != nil {
		return in, err
	}
	if err := strictjson.Unmarshal(text, &in.Invocation); err != nil {
		return in, badEnvelope(err)
	}
	return in, checkNames(in.Credential, in.Consumer)
}

// boundaryOf is what stands between the parts of a form; "" where a content type is none.
func boundaryOf(contentType string) string {
	media, params, _ := mime.ParseMediaType(contentType)
	if media != "multipart/form-data" {
		return ""
	}
	return params["boundary"]
}

// checkNames refuses what is no name before it gets into the log: somebody may have
// pasted a key there.
func checkNames(credential, consumer string) error {
	switch {
	case credential != "" && names.CredentialID(credential) != nil:
		return web.Invalid("credentials.invalid_id", "credential", "not a credential id")
	case consumer != "" && names.Name(consumer) != nil:
		return web.Invalid("invoke.invalid_consumer", "consumer",
			"not a consumer: an alias, or another name of this form")
	}
	return nil
}

// firstPart reads the envelope of a request in parts.
func firstPart(parts *multipart.Reader) ([]byte, error) {
	part, err := parts.NextPart()
	if err != nil || part.FormName() != "invocation" {
		return nil, web.Invalid("invoke.invalid_parts", "", "the first part must be named invocation, and be JSON")
	}
	text, err := io.ReadAll(io.LimitReader(part, web.MaxBody+1))
	if err != nil || len(text) > web.MaxBody {
		return nil, web.Invalid("invoke.invalid_parts", "", "the part named invocation breaks off, or is too long")
	}
	return text, nil
}

// badEnvelope refuses an envelope that is not JSON as it should be. A url, a header
// that is there twice and a second body have codes of their own.
func badEnvelope(err error) error {
	bodies := []string{"body", "rawBody", "multipart"}
	if e, ok := errors.AsType[*strictjson.Error](err); ok {
		switch {
		case strings.EqualFold(e.Field, "url"):
			return web.Invalid("invoke.url_refused", "url",
				"an invocation has no url: it goes to a path of the capability's own host")
		case e.Code == strictjson.CodeDuplicateField && strings.HasPrefix(e.Field, "headers."):
			return errRepeatedHeader()
		case e.Code == strictjson.CodeDuplicateField && slices.Contains(bodies, e.Field):
			return errTwoBodies()
		}
	}
	return web.BadJSON(err)
}

// errRepeatedHeader refuses a header that is given more than once, also where the
// names differ in case.
func errRepeatedHeader() *bctrl.Error {
	return web.Invalid("invoke.repeated_header", "headers", "a header is there more than once")
}

// requestToSend is the request that an invocation means. What it leaves out, the
// capability fills in: its usual method, and its first path.
func (in invocation) requestToSend(as bctrl.Capability) (r sentRequest, err error) {
	r.header = http.Header{}
	body, contentType, err := in.bodyToSend()
	if err != nil {
		return r, err
	}
	r.body = body
	if contentType != "" {
		r.header.Set("Content-Type", contentType)
	}
	r.method, r.path, r.host = in.Method, in.Path, in.Host
	if r.method == "" {
		r.method = usualMethod(as, r.body != nil)
	}
	if r.path == "" && len(as.Paths) > 0 {
		r.path = as.Paths[0]
		if strings.Contains(r.path, "{") {
			return r, web.Invalid("invoke.path_required", "path", "the capability's path has parts to fill in: "+r.path)
		}
	}
	given := make(map[string]bool, len(in.Headers))
	for name, value := range in.Headers {
		name = http.CanonicalHeaderKey(name)
		if given[name] {
			return r, errRepeatedHeader()
		}
		given[name] = true
		if name == "Content-Type" && (in.Multipart != nil || in.Content == wire.ContentMultipart) {
			continue // that of the form names the boundary between its parts
		}
		r.header[name] = []string{value}
	}
	r.query = url.Values(in.Query).Encode()
	return r, nil
}

// timeout is how long the call may take. It is longer for an answer that is
// streamed.
func (in invocation) timeout(stream bool) (time.Duration, error) {
	switch {
	case in.TimeoutMs == 0 && stream:
		return maxCallTimeout, nil
	case in.TimeoutMs == 0:
		return defaultCallTimeout, nil
	case in.TimeoutMs < 0 || in.TimeoutMs > maxCallTimeout.Milliseconds():
		return 0, web.Invalid("invoke.timeout", "timeoutMs", "a call may take from 1 to 1800000 milliseconds")
	}
	return time.Duration(in.TimeoutMs) * time.Millisecond, nil
}

// usualMethod is the method of a capability that is meant where none is named: with
// a body the first of POST, PUT and PATCH that it permits, else its first.
func usualMethod(as bctrl.Capability, withBody bool) string {
	if withBody {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch} {
			if slices.Contains(as.Methods, method) {
				return method
			}
		}
	}
	if len(as.Methods) == 0 {
		return http.MethodGet
	}
	return as.Methods[0]
}

// bodyToSend returns the body of an invocation with its content type, nil where it
// has none. It refuses more than one.
func (in invocation) bodyToSend() (body *requestBody, contentType string, err error) {
	n := 0
	for _, there := range []bool{in.Body != nil, in.RawBody != nil, in.Multipart != nil, in.Content != ""} {
		if there {
			n++
		}
	}
	const binary = "application/octet-stream"
	switch {
	case n > 1:
		return nil, "", errTwoBodies()
	case (in.Content != "") != (in.parts != nil):
		return nil, "", web.Invalid("invoke.invalid_parts", "content",
			"content says what the parts behind the invocation are: raw or multipart")
	case in.Body != nil:
		return heldBody(in.Body), "application/json", nil
	case in.RawBody != nil:
		return heldBody(in.RawBody), binary, nil
	case in.Multipart != nil:
		form, contentType, err := encodeForm(in.Multipart)
		return heldBody(form), contentType, err
	case in.Content == wire.ContentRaw:
		raw, header, length, err := rawPart(in.parts)
		if err != nil {
			return nil, "", err
		}
		return &requestBody{src: raw, length: length}, cmp.Or(header.Get("Content-Type"), binary), nil
	case in.Content == wire.ContentMultipart:
		form := formParts(in.parts)
		return &requestBody{src: form, length: -1}, form.form.FormDataContentType(), nil
	case in.Content != "":
		return nil, "", web.Invalid("invoke.invalid_parts", "content", "content must be raw or multipart")
	}
	return nil, "", nil
}
