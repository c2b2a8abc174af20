package calls

import (
	"bytes"
	"cmp"
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
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/server/catalog"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/strictjson"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Service) Routes() []web.Route {
	invoke := web.Raw("POST /v1/capabilities/{id}/invoke", bctrl.InvokeCapability, s.invoke, "stream")
	invoke.MaxBody = maxEnvelope
	pass := web.Raw("ANY /v1/proxy/{target}/{path...}", bctrl.InvokeCapability, s.proxy)
	pass.Foreign = &web.ForeignForm{TakeToken: s.takeToken, Refuse: refuseForeign}
	return []web.Route{
		invoke,
		pass,
		web.Endpoint("POST /v1/ai-credentials/{id}/test", bctrl.UseAI, s.testAICredential),
		// Whether a capability is ready is known by resolving a call.
		web.Endpoint("GET /v1/capabilities", access.CapabilityRead, s.listCapabilities,
			"provider", "status", "workspaceId", "groupId", "limit", "cursor"),
		web.Endpoint("GET /v1/capabilities/{id}", access.CapabilityRead, s.getCapability),
		web.Endpoint("PUT /v1/capabilities/{id}", access.CapabilityWrite, s.putCapability),
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
func (s *Service) invoke(w http.ResponseWriter, rq *web.Request) error {
	ctx := rq.Context()
	id, err := rq.Path("id", catalog.ValidCapabilityID)
	if err != nil {
		return err
	}
	stream, err := rq.Flag("stream")
	if err != nil {
		return err
	}
	rq.Object = id
	req := newProviderRequest(rq)
	req.capability.ID = id
	rq.Describe = func(ev *audit.Event) { req.describe(ev) }

	in, err := readInvocation(rq)
	if err != nil {
		return err
	}
	req.callIdentity, err = s.identifyCaller(ctx, rq, in.Context, in.Consumer)
	req.capability.ID = id
	if err != nil {
		return err
	}
	req.credential = in.Credential
	if req.callIdentity, err = s.permitCapability(ctx, rq, req.callIdentity, id); err != nil {
		return err
	}
	if req.sentRequest, err = in.toSend(req.capability); err != nil {
		return err
	}
	if req.timeout, err = in.timeout(stream); err != nil {
		return err
	}
	if req.sentRequest, err = req.permittedBy(req.capability); err != nil {
		return err
	}
	req.once = func(ctx context.Context, tx *store.Tx) error { return s.sentOnce(ctx, tx, rq) }
	if req.maxAnswer = maxWholeAnswer; stream {
		req.maxAnswer = maxStreamedAnswer
	}

	a, err := s.callFor(ctx, rq, w, req)
	if err != nil {
		return err
	}
	if stream {
		return s.answerAsItComes(w, rq, a, http.StatusOK)
	}
	return s.answerInvoked(w, rq, a)
}

// newProviderRequest begins what a request asks of a provider.
func newProviderRequest(rq *web.Request) providerRequest {
	return providerRequest{
		callIdentity: callIdentity{caller: rq.Caller, context: bctrl.Global()},
		callOrigin:   callOrigin{grant: &rq.Granted, event: rq.Event},
	}
}

// invocation is what a request asks for, and where its body is.
type invocation struct {
	wire.Invocation[bctrl.Scope]
	// parts follow the envelope, where Content says so.
	parts *multipart.Reader
}

// readInvocation reads the envelope: the body, or the first part of it.
func readInvocation(rq *web.Request) (in invocation, err error) {
	var text []byte
	media, params, _ := mime.ParseMediaType(rq.Header.Get("Content-Type"))
	switch {
	case web.IsJSON(rq.Header.Get("Content-Type")):
		text, err = rq.ReadBody()
	case media == "multipart/form-data" && params["boundary"] != "":
		in.parts = multipart.NewReader(rq.Body, params["boundary"])
		text, err = firstPart(in.parts)
	default:
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

// checkNames refuses what is no name before the log has it: a key may have been
// pasted there.
func checkNames(credential, consumer string) error {
	switch {
	case credential != "" && names.CredentialID(credential) != nil:
		return web.Invalid("credentials.invalid_id", "credential", "not a credential id")
	case consumer != "" && names.Name(consumer) != nil:
		return web.Invalid("invoke.invalid_consumer", "consumer", "not a consumer: an alias, or another name of this form")
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

// badEnvelope names what is wrong with an envelope. Two slips have codes of
// their own.
func badEnvelope(err error) error {
	if e, ok := errors.AsType[*strictjson.Error](err); ok {
		switch {
		case strings.EqualFold(e.Field, "url"):
			return web.Invalid("invoke.url_refused", "url",
				"an invocation has no url: it goes to a path of the capability's own host")
		case e.Code == strictjson.CodeDuplicateField && strings.HasPrefix(e.Field, "headers."):
			return errRepeatedHeader()
		case e.Code == strictjson.CodeDuplicateField && slices.Contains([]string{"body", "rawBody", "multipart"}, e.Field):
			return errTwoBodies()
		}
	}
	return web.BadJSON(err)
}

func errRepeatedHeader() *bctrl.Error {
	return web.Invalid("invoke.repeated_header", "headers", "a header is there more than once")
}

// toSend is the request that an invocation of a capability means.
func (in invocation) toSend(as bctrl.Capability) (r sentRequest, err error) {
	r.header = http.Header{}
	body, contentType, err := in.theBody()
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
	for name, value := range in.Headers {
		name = http.CanonicalHeaderKey(name)
		if _, twice := r.header[name]; twice && name != "Content-Type" {
			return r, errRepeatedHeader()
		}
		if name == "Content-Type" && (in.Multipart != nil || in.Content == wire.ContentMultipart) {
			continue // it has the boundary
		}
		r.header[name] = []string{value}
	}
	r.query = url.Values(in.Query).Encode()
	return r, nil
}

// timeout is how long the call may take.
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

// usualMethod is the one that is meant when none is named.
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

// permittedBy returns a request with the template of a capability that permits
// it, and refuses any other. The capability's policy is asked where the call is
// recorded.
func (r sentRequest) permittedBy(as bctrl.Capability) (sentRequest, error) {
	var err error
	if r.template, err = (broker.Rule{Methods: as.Methods, Paths: as.Paths}).Admit(r.method, r.path); err != nil {
		return r, err
	}
	if err := broker.CheckHeader(r.header); err != nil {
		return r, err
	}
	if err := r.checkSources(as); err != nil {
		return r, err
	}
	if err := broker.CheckQuery(r.query); err != nil {
		return r, err
	}
	broker.DropHopByHop(r.header)
	if r.body != nil {
		return r, r.body.within(maxStreamedBody)
	}
	return r, nil
}

// checkSources refuses headers that name something else to read or write: a
// capability for some paths alone is none for what such a header names.
func (r sentRequest) checkSources(as bctrl.Capability) error {
	if slices.Contains(as.Paths, "/") {
		return nil
	}
	for name := range r.header {
		if broker.NamesAnother(name) {
			return web.WithField(web.Forbidden("invoke.path_not_allowed",
				"the header "+strings.ToLower(name)+
					" names something else than the path, and the capability does not permit every path"), "headers")
		}
	}
	return nil
}

// theBody is the one body of an invocation, and of which type it is; nil where
// there is none.
func (in invocation) theBody() (body *callBody, contentType string, err error) {
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
		form, contentType, err := formOf(in.Multipart)
		return heldBody(form), contentType, err
	case in.Content == wire.ContentRaw:
		raw, header, length, err := rawPart(in.parts)
		if err != nil {
			return nil, "", err
		}
		return &callBody{src: raw, length: length}, cmp.Or(header.Get("Content-Type"), binary), nil
	case in.Content == wire.ContentMultipart:
		form := formParts(in.parts)
		return &callBody{src: form, length: -1}, form.form.FormDataContentType(), nil
	case in.Content != "":
		return nil, "", web.Invalid("invoke.invalid_parts", "content", "content must be raw or multipart")
	}
	return nil, "", nil
}

// sentOnce keeps for the request's idempotency key that it was sent: asked
// again, it is refused, and nothing is sent. What the provider answers is not
// kept.
func (s *Service) sentOnce(ctx context.Context, tx *store.Tx, rq *web.Request) error {
	if rq.Idempotent == nil {
		return nil
	}
	e := web.Conflict(
		"invoke.already_sent",
		"an invocation with this Idempotency-Key was sent before, and is not sent again",
	)
	e.Hint = "the audit log says under the request id how it ended"
	err := rq.KeepAnswer(ctx, tx, e.Status, web.EncodeError(e, rq.ID))
	rq.Idempotent = nil // what comes of it is not kept
	return err
}

// callFor makes the call of a request, which the log has once from then on.
func (s *Service) callFor(
	ctx context.Context, rq *web.Request, w http.ResponseWriter, req providerRequest,
) (*providerAnswer, error) {
	a, err := s.callProvider(ctx, req)
	rq.Recorded, rq.Describe = a.intended, a.call.describe
	if limited, ok := errors.AsType[*rateLimitedError](err); ok {
		w.Header().Set("Retry-After", limited.seconds())
	}
	return a, err
}

// answerInvoked answers with all that the provider answered.
func (s *Service) answerInvoked(w http.ResponseWriter, rq *web.Request, a *providerAnswer) error {
	body, err := io.ReadAll(a)
	took := time.Since(a.begun)
	if err := a.end(err); err != nil {
		return err
	}
	out := wire.Invoked{
		Status:     a.StatusCode,
		Headers:    passedHeaders(a.Header),
		Credential: a.call.with.Credential.ID,
		Tier:       string(a.call.with.Tier),
		DurationMs: took.Milliseconds(),
	}
	answer, err := encodeInvoked(out, body)
	if err != nil {
		return err
	}
	rq.LetFinish()
	web.WriteJSON(w, http.StatusOK, answer)
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
