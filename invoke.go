package bctrl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"time"

	"github.com/bctrl-go/bctrl/internal/body"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// Invocation is a call to a provider as a capability: the server adds what the
// credential needs, and the caller never holds the key.
type Invocation struct {
	// Capability is what is called: "openai/chat-completions".
	Capability string
	// Credential is the one to call with; empty resolves one: of the group, else
	// of the workspace, else a global one.
	Credential string
	// Context is the workspace and group that the call is made in. The zero
	// Scope is [Global] for an organization key. A runtime has its own, and a
	// Context that names another is refused.
	Context Scope
	// Consumer is who the call is for, where a binding is for one consumer alone.
	// A runtime's is its alias.
	Consumer string

	// Method is upper-case; empty is the first that the capability permits.
	Method string
	// Path is percent-encoded and whole, "/v1/chat/completions"; empty is the
	// first that the capability permits. It is sent as it is, and must be at or
	// below one that the capability permits however its escapes are read: where
	// %2F is a slash, and where it is none. What climbs in any reading is refused.
	Path string
	// Host picks one of the provider's hosts where it has several.
	Host string
	// Query is sent with the path. Parameters by which the credential itself
	// authenticates are refused.
	Query url.Values
	// Header is sent with the request. One by which the credential itself
	// authenticates, Authorization, a cookie, and one that has two values are
	// refused; hop-by-hop headers are dropped.
	Header http.Header

	// At most one of Body, RawBody and Multipart is set. Body is sent as JSON;
	// RawBody is streamed as it is, with the Content-Type of Header; Multipart
	// is streamed as multipart/form-data.
	Body      any
	RawBody   io.Reader
	Multipart []FormPart

	// Timeout bounds the call at the provider, after which it is ended; zero is
	// two minutes, or for a stream thirty, which is the most.
	Timeout time.Duration
}

// FormPart is a field of a form, or with a Filename or a Content a file.
type FormPart struct {
	Name string
	// Value is the field's text, unless Content is set.
	Value string
	// Content is streamed. It is not closed.
	Content     io.Reader
	Filename    string
	ContentType string
}

// InvokeResponse is what a provider answered, whatever its status: a 404 of the
// provider's is a response, a refusal by the server an error.
type InvokeResponse struct {
	// Status is the provider's.
	Status int
	// Header is without cookies, authentication and hop-by-hop headers.
	Header http.Header
	// Body is whole. Where the provider repeated a secret, it holds "[secret]",
	// and "[redacted]" in place of what the capability's policy takes out.
	// White space around JSON is left out.
	Body []byte
	// Credential is the id of the one that was used, Tier where it was found:
	// "group", "attached", "workspace" or "global".
	Credential, Tier string
	// Duration is from sending the request to the answer's end.
	Duration time.Duration
}

const (
	pathInvoke = pathCapability + "/invoke"
	// maxInvoked bounds a whole answer: 16 MiB, written as base64, and headers.
	maxInvoked = 24 << 20
)

// Invoke calls a provider and returns its whole answer, at most 16 MiB unless
// the capability's policy says less. [CapabilitiesService.Stream] has no such
// bound.
//
// It is sent once: neither the SDK nor the server sends an invocation again,
// whatever becomes of it. With [WithIdempotencyKey] it can be asked for again:
// when it was sent before, the call is refused as invoke.already_sent and
// nothing is sent.
//
// Access: capability.invoke
func (s *CapabilitiesService) Invoke(ctx context.Context, inv Invocation, opts ...CallOption) (*InvokeResponse, error) {
	return invoke(ctx, s.via, nil, inv, opts)
}

func invoke(ctx context.Context, via via, as *limits, inv Invocation, opts []CallOption) (*InvokeResponse, error) {
	r, err := inv.request(as, opts)
	if err != nil {
		return nil, err
	}
	var w wire.Invoked
	r.out, r.answer = &w, maxInvoked
	if err := via().call(ctx, r); err != nil {
		return nil, err
	}
	out := &InvokeResponse{
		Status:     w.Status,
		Header:     w.Headers,
		Body:       w.Body,
		Credential: w.Credential,
		Tier:       w.Tier,
		Duration:   fromMillis(w.DurationMs),
	}
	switch {
	case w.Text != nil:
		out.Body = []byte(*w.Text)
	case w.RawBody != nil:
		out.Body = w.RawBody
	}
	return out, nil
}

// JSON decodes the body into out.
func (r *InvokeResponse) JSON(out any) error {
	if err := json.Unmarshal(r.Body, out); err != nil {
		// The cause is not kept: it may quote the answer.
		return &Error{Status: http.StatusBadGateway, Code: "invoke.not_json",
			Message: "the provider's answer is not the JSON that was expected"}
	}
	return nil
}

// request makes the request of an invocation.
func (inv Invocation) request(as *limits, opts []CallOption) (*request, error) {
	refused := func(err error) (*request, error) {
		if e, ok := errors.AsType[*Error](err); ok {
			e.Method, e.PathTemplate = http.MethodPost, pathInvoke
		}
		return nil, err
	}
	fail := func(code, field, message string) (*request, error) {
		return refused(refusal(http.StatusBadRequest, code, field, message))
	}
	in := wire.Invocation[Scope]{
		Credential: inv.Credential,
		Context:    inv.Context,
		Consumer:   inv.Consumer,
		Method:     inv.Method,
		Path:       inv.Path,
		Host:       inv.Host,
		Query:      inv.Query,
		TimeoutMs:  millis(inv.Timeout),
	}
	if inv.Timeout < 0 || inv.Timeout > 0 && in.TimeoutMs == 0 {
		return fail("invoke.timeout", "timeoutMs", "want a timeout of a millisecond or more")
	}
	for name, values := range inv.Header {
		if len(values) != 1 {
			return fail("invoke.repeated_header", "headers", "a header has not exactly one value")
		}
		if _, twice := in.Headers[http.CanonicalHeaderKey(name)]; twice {
			return fail("invoke.repeated_header", "headers", "a header is there twice, in two spellings")
		}
		if in.Headers == nil {
			in.Headers = map[string]string{}
		}
		in.Headers[http.CanonicalHeaderKey(name)] = values[0]
	}
	bodies := 0
	for _, set := range []bool{inv.Body != nil, inv.RawBody != nil, inv.Multipart != nil} {
		if set {
			bodies++
		}
	}
	if bodies > 1 {
		return fail("invoke.two_bodies", "body", "want one of Body, RawBody and Multipart")
	}
	r := &request{
		method: http.MethodPost,
		path:   pathInvoke,
		params: []string{inv.Capability},
		as:     as,
		in:     in,
		opts:   opts,
		once:   true,
		slow:   true,
	}
	if inv.Body != nil {
		body, err := encode("body", inv.Body)
		if err != nil {
			return refused(err)
		}
		in.Body = body
		r.in = in
	}
	if inv.RawBody == nil && inv.Multipart == nil {
		return r, nil
	}
	var err error
	if r.body, r.header, err = inv.parts(in); err != nil {
		return refused(err)
	}
	r.in = nil
	return r, nil
}

// parts makes a body of the invocation and what it sends, none of which is held.
func (inv Invocation) parts(in wire.Invocation[Scope]) (*body.Source, http.Header, error) {
	var pieces []io.Reader
	var frame bytes.Buffer // what stands between the contents
	w := multipart.NewWriter(&frame)
	part := func(h textproto.MIMEHeader, content io.Reader) error {
		if _, err := w.CreatePart(h); err != nil {
			return err
		}
		pieces = append(pieces, bytes.NewReader(bytes.Clone(frame.Bytes())), content)
		frame.Reset()
		return nil
	}
	in.Content = wire.ContentRaw
	if inv.Multipart != nil {
		in.Content = wire.ContentMultipart
	}
	envelope, err := encode("", in)
	if err != nil {
		return nil, nil, err
	}
	if err := part(wire.PartHeader("invocation", "", "application/json"), bytes.NewReader(envelope)); err != nil {
		return nil, nil, err
	}
	if inv.RawBody != nil {
		h := wire.PartHeader("body", "", "")
		if size := body.Of(inv.RawBody).Size; size >= 0 {
			h.Set("Content-Length", strconv.FormatInt(size, 10)) // some providers want to know
		}
		err = part(h, inv.RawBody)
	}
	for i, p := range inv.Multipart {
		if wrong := wire.ValidPart(p.Name, p.Filename, p.ContentType); wrong != "" {
			return nil, nil, refusal(http.StatusBadRequest, "invoke.invalid_parts", "multipart["+strconv.Itoa(i)+"]."+wrong,
				"it is not UTF-8 or holds a control character, and the form would carry it as something else")
		}
		content := p.Content
		if content == nil {
			content = bytes.NewReader([]byte(p.Value))
		}
		if err == nil {
			err = part(wire.PartHeader(p.Name, p.Filename, p.ContentType), content)
		}
	}
	if err == nil {
		err = w.Close()
	}
	pieces = append(pieces, &frame)
	return body.Of(onlyReader{io.MultiReader(pieces...)}), http.Header{"Content-Type": {w.FormDataContentType()}}, err
}

// onlyReader hides that a reader could do more.
type onlyReader struct{ io.Reader }
