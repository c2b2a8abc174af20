package calls

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/server/catalog"
	"github.com/bctrl-go/bctrl/internal/server/models"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// Asker is on whose behalf a model is asked. Each function is called for each
// request of a question.
type Asker struct {
	// Caller returns who asks, under the rules as they are.
	Caller func(context.Context) (access.Caller, error)
	// Grant returns what was granted to the question that is being asked. It ends
	// with it.
	Grant func() *web.Grant
	// Event begins the event of a request.
	Event func() audit.Event
}

// modelSender sends the requests of a model with an AI credential. Each is a
// call like any other: resolved, decided, counted, recorded and sent by
// [Service.callProvider].
type modelSender struct {
	service *Service
	// credential is the id of the AI credential.
	credential string
	by         Asker
	// test is set where the credential is tried out, which may be disabled.
	test bool
	// sent counts the requests that the log has.
	sent int
	// refused is the error of a request that is this server's and not the
	// provider's: a refusal, an end, or a failure of its own.
	refused error
}

// Do implements [model.Sender].
func (m *modelSender) Do(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	caller, err := m.by.Caller(ctx)
	if err != nil {
		return nil, err
	}
	a, err := m.service.callProvider(ctx, m.request(req, caller))
	if a.isOnRecord() {
		m.sent++
	}
	if err != nil {
		ours := !a.isOnRecord() || web.EndedBecause(ctx) != nil
		if ours || web.AsError(err).Status == http.StatusInternalServerError {
			m.refused = err
		}
		return nil, err
	}
	resp := *a.Response
	resp.Body = &modelBody{m: m, a: a, asked: ctx}
	return &resp, nil
}

// request is what is asked of the provider by a request that package model made.
func (m *modelSender) request(made *http.Request, caller access.Caller) providerRequest {
	req := providerRequest{
		callIdentity: callIdentity{caller: caller, context: bctrl.Global(), credential: m.credential},
		sentRequest:  sentRequest{method: made.Method, made: made},
		callOrigin: callOrigin{
			grant:    m.by.Grant(),
			event:    m.by.Event,
			classify: m.service.asModelCall,
			test:     m.test,
		},
		timeout:   maxCallTimeout,
		maxAnswer: broker.DefaultMaxAnswer,
	}
	if made.Body != nil && made.Body != http.NoBody {
		req.body = &requestBody{src: made.Body, length: made.ContentLength}
	}
	if rt := caller.Runtime; rt != nil {
		req.context, req.consumer = web.RuntimeScope(rt), rt.Alias
	}
	return req
}

// asModelCall returns a model's request as the capability of the registry that it
// is, so that the capability's policy and bindings apply to it; where there is none,
// without a capability. That the credential may be used is a condition of the grant.
func (s *Service) asModelCall(ctx context.Context, q store.Queries, req providerRequest) (providerRequest, error) {
	row, err := s.models.Find(ctx, q, req.caller, req.credential)
	if err != nil {
		return req, err
	}
	meta, err := models.UnprovenMeta(row)
	if err != nil {
		return req, err
	}
	base, err := url.Parse(model.Target(meta.Provider, meta.Address(), bctrl.Secret{}).BaseURL)
	if err != nil {
		return req, web.Tampered("ai.tampered") // it was checked when it was stored
	}
	path := strings.TrimPrefix(req.made.URL.EscapedPath(), strings.TrimSuffix(base.EscapedPath(), "/"))
	req.template = path
	if strings.HasPrefix(path, "/models/") {
		req.template = "/models/{model}"
	}
	id, _ := s.catalog.ProviderOfAI(meta.Provider)
	p, known := s.registry.Provider(id)
	if !known {
		return req, nil
	}
	for _, found := range p.Capabilities {
		rule := broker.Rule{Methods: found.Methods, Paths: found.Paths}
		template, err := rule.Match(req.method, strings.TrimSuffix(p.BasePath, "/")+path)
		if err == nil {
			req.capability, req.template = catalog.BuiltinCapability(p, found), template
			break
		}
	}
	return req, nil
}

// modelBody is the answer to a model's request. Closing it ends the call.
type modelBody struct {
	m *modelSender
	a *providerAnswer
	// asked is the context of the question.
	asked context.Context //nolint:containedctx // a body that is closed has none
	read  error
	done  bool
}

// Read implements [io.Reader].
func (b *modelBody) Read(p []byte) (int, error) {
	n, err := b.a.Read(p)
	if err != nil {
		b.read = err
	}
	return n, err
}

// Close implements [io.Closer].
func (b *modelBody) Close() error {
	if b.done {
		return nil
	}
	b.done = true
	if b.read == io.EOF {
		b.read = nil
	}
	if err := b.a.end(b.read); err != nil && web.EndedBecause(b.asked) != nil {
		b.m.refused = err // any other error has reached the reader
	}
	return nil
}
