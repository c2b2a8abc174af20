package server

import (
	"bytes"
	"context"
	"encoding/json"
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
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/strictjson"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Server) callRoutes() []route {
	invoke := raw("POST /v1/capabilities/{id}/invoke", bctrl.InvokeCapability, s.invoke, "stream")
	invoke.maxBody = maxEnvelope
	pass := raw("ANY /v1/proxy/{target}/{path...}", bctrl.InvokeCapability, s.proxy)
	pass.foreign = &foreignForm{takeToken: s.takeToken, refuse: refuseForeign}
	return []route{
		invoke,
		pass,
		endpoint("POST /v1/ai-credentials/{id}/test", bctrl.UseAI, s.testAICredential),
		// Whether a capability is ready is known by resolving a call.
		endpoint("GET /v1/capabilities", access.CapabilityRead, s.listCapabilities,
			"provider", "status", "workspaceId", "groupId", "limit", "cursor"),
		endpoint("GET /v1/capabilities/{id}", access.CapabilityRead, s.getCapability),
		endpoint("PUT /v1/capabilities/{id}", access.CapabilityWrite, s.putCapability),
	}
}

// The limits of a call to a provider, which a capability's policy may lower.
const (
	// maxEnvelope bounds an invocation in JSON, its body among it, in bytes.
	maxEnvelope = 24 << 20
	// maxStreamedBody and maxStreamedAnswer bound what is never held.
	maxStreamedBody   = 5 << 30
	maxStreamedAnswer = 5 << 30
	// maxWholeAnswer bounds an answer that is not streamed.
	maxWholeAnswer = broker.DefaultMaxAnswer

	defaultCallTimeout = 2 * time.Minute
	maxCallTimeout     = 30 * time.Minute
)

// invoke calls a provider as the capability that the path names.
func (s *Server) invoke(w http.ResponseWriter, rq *request) error {
	ctx := rq.Context()
	id, err := rq.path("id", validCapability)
	if err != nil {
		return err
	}
	stream, err := rq.flag("stream")
	if err != nil {
		return err
	}
	c := s.newCall(rq)
	rq.object, c.capability.ID = id, id
	in, err := rq.invocation()
	if err != nil {
		return err
	}
	if err := s.inContext(ctx, rq, c, in.Context, in.Consumer); err != nil {
		return err
	}
	c.credential = in.Credential
	if err := s.asCapability(ctx, rq, c, id); err != nil {
		return err
	}
	if err := c.shape(in); err != nil {
		return err
	}
	c.once = func(ctx context.Context, tx *store.Tx) error { return s.sentOnce(ctx, tx, rq) }
	c.maxAnswer = maxWholeAnswer
	if stream {
		c.maxAnswer = maxStreamedAnswer
		if in.TimeoutMs == 0 {
			c.timeout = maxCallTimeout
		}
	}
	a, err := s.perform(ctx, rq, w, c)
	if err != nil {
		return err
	}
	if stream {
		return s.passOn(w, rq, a, http.StatusOK)
	}
	return s.whole(w, rq, a)
}

// invocation is what a request asks for, and where its body is.
type invocation struct {
	wire.Invocation[bctrl.Scope]
	// parts follow the envelope, where Content says so.
	parts *multipart.Reader
}

// invocation reads the envelope: the body, or the first part of it.
func (rq *request) invocation() (in invocation, err error) {
	var text []byte
	media, params, _ := mime.ParseMediaType(rq.Header.Get("Content-Type"))
	switch {
	case isJSON(rq.Header.Get("Content-Type")):
		text, err = rq.body()
	case media == "multipart/form-data" && params["boundary"] != "":
		in.parts = multipart.NewReader(rq.Body, params["boundary"])
		text, err = firstPart(in.parts)
	default:
		err = invalid("request.content_type", "", "the body must be application/json, or multipart/form-data that begins with a part named invocation")
	}
	if err != nil {
		return in, err
	}
	if err := strictjson.Unmarshal(text, &in.Invocation); err != nil {
		return in, badEnvelope(err)
	}
	return in, checkNames(in.Credential, in.Consumer)
}

// checkNames refuses what is no name before the log has it: a key may have been
// pasted there.
func checkNames(credential, consumer string) error {
	switch {
	case credential != "" && names.CredentialID(credential) != nil:
		return invalid("credentials.invalid_id", "credential", "not a credential id")
	case consumer != "" && names.Name(consumer) != nil:
		return invalid("invoke.invalid_consumer", "consumer", "not a consumer: an alias, or another name of this form")
	}
	return nil
}

// firstPart reads the envelope of a request in parts.
func firstPart(parts *multipart.Reader) ([]byte, error) {
	part, err := parts.NextPart()
	if err != nil || part.FormName() != "invocation" {
		return nil, invalid("invoke.invalid_parts", "", "the first part must be named invocation, and be JSON")
	}
	text, err := io.ReadAll(io.LimitReader(part, maxBody+1))
	if err != nil || len(text) > maxBody {
		return nil, invalid("invoke.invalid_parts", "", "the part named invocation breaks off, or is too long")
	}
	return text, nil
}

// badEnvelope names what is wrong with an envelope. Two slips have codes of
// their own.
func badEnvelope(err error) error {
	var e *strictjson.Error
	if errors.As(err, &e) {
		switch {
		case strings.EqualFold(e.Field, "url"):
			return invalid("invoke.url_refused", "url", "an invocation has no url: it goes to a path of the capability's own host")
		case e.Code == strictjson.CodeDuplicateField && strings.HasPrefix(e.Field, "headers."):
			return errRepeatedHeader()
		case e.Code == strictjson.CodeDuplicateField && slices.Contains([]string{"body", "rawBody", "multipart"}, e.Field):
			return errTwoBodies()
		}
	}
	return badJSON(err)
}

func errRepeatedHeader() *bctrl.Error {
	return invalid("invoke.repeated_header", "headers", "a header is there more than once")
}

// shape takes over what is asked for, as far as the capability permits it.
func (c *call) shape(in invocation) error {
	if err := c.takeBody(in); err != nil {
		return err
	}
	c.method, c.path, c.host = in.Method, in.Path, in.Host
	if c.method == "" {
		c.method = c.usualMethod()
	}
	if c.path == "" && len(c.capability.Paths) > 0 {
		c.path = c.capability.Paths[0]
		if strings.Contains(c.path, "{") {
			return invalid("invoke.path_required", "path", "the capability's path has parts to fill in: "+c.path)
		}
	}
	for name, value := range in.Headers {
		name = http.CanonicalHeaderKey(name)
		if _, twice := c.header[name]; twice && name != "Content-Type" {
			return errRepeatedHeader()
		}
		if name == "Content-Type" && (in.Multipart != nil || in.Content == wire.ContentMultipart) {
			continue // it has the boundary
		}
		c.header[name] = []string{value}
	}
	c.query = url.Values(in.Query).Encode()
	switch limit := time.Duration(in.TimeoutMs) * time.Millisecond; {
	case in.TimeoutMs == 0:
	case in.TimeoutMs < 0 || in.TimeoutMs > maxCallTimeout.Milliseconds():
		return invalid("invoke.timeout", "timeoutMs", "a call may take from 1 to 1800000 milliseconds")
	default:
		c.timeout = limit
	}
	return c.admit()
}

// usualMethod is the one that is meant when none is named.
func (c *call) usualMethod() string {
	if c.body != nil {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch} {
			if slices.Contains(c.capability.Methods, method) {
				return method
			}
		}
	}
	if len(c.capability.Methods) == 0 {
		return http.MethodGet
	}
	return c.capability.Methods[0]
}

// admit refuses what the capability does not permit. Its policy is asked where
// the call is recorded.
func (c *call) admit() (err error) {
	if c.template, err = (broker.Rule{Methods: c.capability.Methods, Paths: c.capability.Paths}).Admit(c.method, c.path); err != nil {
		return err
	}
	if err := broker.CheckHeader(c.header); err != nil {
		return err
	}
	if err := c.checkSources(); err != nil {
		return err
	}
	if err := broker.CheckQuery(c.query); err != nil {
		return err
	}
	broker.DropHopByHop(c.header)
	if c.body != nil {
		return c.body.within(maxStreamedBody)
	}
	return nil
}

// checkSources refuses headers that name something else to read or write: a
// capability for some paths alone is none for what such a header names.
func (c *call) checkSources() error {
	if slices.Contains(c.capability.Paths, "/") {
		return nil
	}
	for name := range c.header {
		if broker.NamesAnother(name) {
			return &bctrl.Error{
				Status: http.StatusForbidden, Code: "invoke.path_not_allowed", Field: "headers",
				Message: "the header " + strings.ToLower(name) + " names something else than the path, and the capability does not permit every path",
			}
		}
	}
	return nil
}

// takeBody finds the one body of an invocation.
func (c *call) takeBody(in invocation) (err error) {
	n := 0
	for _, there := range []bool{in.Body != nil, in.RawBody != nil, in.Multipart != nil, in.Content != ""} {
		if there {
			n++
		}
	}
	contentType := "application/octet-stream"
	switch {
	case n > 1:
		return errTwoBodies()
	case (in.Content != "") != (in.parts != nil):
		return invalid("invoke.invalid_parts", "content", "content says what the parts behind the invocation are: raw or multipart")
	case in.Body != nil:
		c.body, contentType = heldBody(in.Body), "application/json"
	case in.RawBody != nil:
		c.body = heldBody(in.RawBody)
	case in.Multipart != nil:
		var form []byte
		if form, contentType, err = formOf(in.Multipart); err != nil {
			return err
		}
		c.body = heldBody(form)
	case in.Content == wire.ContentRaw:
		raw, header, length, err := rawPart(in.parts)
		if err != nil {
			return err
		}
		if given := header.Get("Content-Type"); given != "" {
			contentType = given
		}
		c.body = &callBody{src: raw, length: length}
	case in.Content == wire.ContentMultipart:
		form := formParts(in.parts)
		c.body, contentType = &callBody{src: form, length: -1}, form.form.FormDataContentType()
	case in.Content != "":
		return invalid("invoke.invalid_parts", "content", "content must be raw or multipart")
	default:
		return nil
	}
	c.header.Set("Content-Type", contentType)
	return nil
}

// sentOnce keeps for the request's idempotency key that it was sent: asked
// again, it is refused, and nothing is sent. What the provider answers is not
// kept.
func (s *Server) sentOnce(ctx context.Context, tx *store.Tx, rq *request) error {
	if rq.idempotent == nil {
		return nil
	}
	e := conflict("invoke.already_sent", "an invocation with this Idempotency-Key was sent before, and is not sent again")
	e.Hint = "the audit log says under the request id how it ended"
	err := s.save(ctx, tx, rq, e.Status, encodeError(e, rq.id))
	rq.idempotent = nil // what comes of it is not kept
	return err
}

// perform makes the call and sees to it that the request is recorded once.
func (s *Server) perform(ctx context.Context, rq *request, w http.ResponseWriter, c *call) (*providerAnswer, error) {
	a, err := s.call(ctx, c)
	rq.recorded = c.recorded
	if limited := (*rateLimitedError)(nil); errors.As(err, &limited) {
		w.Header().Set("Retry-After", limited.seconds())
	}
	return a, err
}

// whole answers with all that the provider answered.
func (s *Server) whole(w http.ResponseWriter, rq *request, a *providerAnswer) error {
	body, err := io.ReadAll(a)
	took := time.Since(a.begun)
	if err := a.end(err); err != nil {
		return err
	}
	out := wire.Invoked{
		Status: a.StatusCode, Headers: passedHeaders(a.Header), Credential: a.call.credential, Tier: a.call.tier, DurationMs: took.Milliseconds(),
	}
	answer, err := encodeInvoked(out, body)
	if err != nil {
		return err
	}
	rq.letFinish()
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// encodeInvoked writes the answer with the body in the plainest way that keeps
// it: JSON as it is, to the byte.
func encodeInvoked(out wire.Invoked, body []byte) ([]byte, error) {
	text := bytes.TrimSpace(body)
	asJSON := len(text) > 0 && json.Valid(text)
	switch {
	case asJSON, len(body) == 0:
	case isText(body):
		out.Text = new(string(body))
	default:
		out.RawBody = body
	}
	answer, err := json.Marshal(out)
	if err != nil || !asJSON {
		return answer, err
	}
	answer = append(answer[:len(answer)-1], `,"body":`...)
	return append(append(answer, text...), '}'), nil
}
