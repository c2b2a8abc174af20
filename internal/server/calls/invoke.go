package calls

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/server/catalog"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/strictjson"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// The limits of a call to a provider, which a capability's policy may lower.
const (
	// maxEnvelope bounds an invocation in JSON, its body among it, in bytes.
	maxEnvelope = 24 << 20
	// maxStreamedBody and maxStreamedAnswer bound what is never held in memory whole.
	maxStreamedBody   = 5 << 30
	maxStreamedAnswer = 5 << 30
	// maxWholeAnswer bounds an answer that is not streamed.
	maxWholeAnswer = broker.DefaultMaxAnswer

	defaultCallTimeout = 2 * time.Minute
	maxCallTimeout     = 30 * time.Minute
)

// invoke calls a provider as the capability that the path names, and answers with
// the provider's answer: described in JSON, or with the parameter stream as it comes.
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
		return web.ScopeAt(err, "context.type", "context.workspaceId", "context.groupId")
	}
	req.credential = in.Credential
	if req.callIdentity, err = s.permitCapability(ctx, rq, req.callIdentity, id); err != nil {
		return err
	}
	if req.sentRequest, err = in.requestToSend(req.capability); err != nil {
		return err
	}
	if req.timeout, err = in.timeout(stream); err != nil {
		return err
	}
	if req.sentRequest, err = req.permittedBy(req.capability); err != nil {
		return err
	}
	if rq.HasIdempotencyKey() {
		req.keepSent = func(ctx context.Context, tx *store.Tx) error { return s.keepSent(ctx, tx, rq) }
	}
	if req.maxAnswer = maxWholeAnswer; stream {
		req.maxAnswer = maxStreamedAnswer
	}

	a, err := s.callForRequest(ctx, rq, w, req)
	if err != nil {
		return err
	}
	if stream {
		return s.streamAnswer(w, rq, a, http.StatusOK)
	}
	return s.answerWhole(w, rq, a)
}

// keepSent stores with the request's idempotency key that the invocation was sent.
// Asked again with the key, it is refused. What the provider answers is not kept.
func (s *Service) keepSent(ctx context.Context, tx *store.Tx, rq *web.Request) error {
	e := web.Conflict(
		"invoke.already_sent",
		"an invocation with this Idempotency-Key was sent before, and is not sent again",
	)
	e.Hint = "the audit log says under the request id how it ended"
	return rq.KeepRefusal(ctx, tx, e)
}

// callForRequest makes the call of a request to this server. The event of the call
// is that of the request, which is not recorded once more.
func (s *Service) callForRequest(
	ctx context.Context, rq *web.Request, w http.ResponseWriter, req providerRequest,
) (*providerAnswer, error) {
	a, err := s.callProvider(ctx, req)
	rq.Describe = a.description.describe
	if a.isOnRecord() {
		rq.MarkRecorded()
	}
	if limited, ok := errors.AsType[*rateLimitedError](err); ok {
		w.Header().Set("Retry-After", limited.retryAfter())
	}
	return a, err
}

// answerWhole reads the provider's answer to its end, and answers with a
// description of it in JSON.
func (s *Service) answerWhole(w http.ResponseWriter, rq *web.Request, a *providerAnswer) error {
	body, err := a.readWhole()
	took := time.Since(a.begun)
	if err := a.end(err); err != nil {
		return err
	}
	dropForCaller(a.Header)
	if a.call.method == http.MethodHead && a.ContentLength >= 0 { // nothing else says it
		a.Header.Set("Content-Length", strconv.FormatInt(a.ContentLength, 10))
	}
	out := wire.Invoked{
		Status:     a.StatusCode,
		Headers:    a.Header,
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

// encodeInvoked writes the description of an answer with its body: JSON byte for
// byte as it came, UTF-8 as a text, all else as base64.
func encodeInvoked(out wire.Invoked, body []byte) ([]byte, error) {
	text := bytes.TrimSpace(body)
	asJSON := len(text) > 0 && strictjson.Valid(text)
	switch {
	case asJSON, len(body) == 0:
	case utf8.Valid(body):
		out.Text = new(string(body))
	default:
		out.RawBody = body
	}
	answer, err := json.Marshal(out)
	if err != nil || !asJSON {
		return answer, err
	}
	return slices.Concat(answer[:len(answer)-1], []byte(`,"body":`), text, []byte("}")), nil
}
