package server

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
	"github.com/bctrl-go/bctrl/internal/store"
)

// modelCalls sends the requests of a model with an AI credential. Each is a
// call like any other: resolved, decided, counted, recorded and sent by
// [Server.call].
type modelCalls struct {
	s  *Server
	id string // of the credential
	// test is set where the credential is tried out, which may be disabled.
	test bool
	// caller is who asks, under the rules as they are.
	caller func(context.Context) (access.Caller, error)
	// grant is what the question was permitted that is asked.
	grant func() *grant
	// event is on whose behalf.
	event func() audit.Event
	// sent counts the requests that the log knows of; refused is why one was not
	// sent, or not with the credential as it is stored.
	sent    int
	refused error
}

// Do implements [model.Sender].
func (m *modelCalls) Do(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	caller, err := m.caller(ctx)
	if err != nil {
		return nil, err
	}
	c := &call{
		caller: caller, grant: m.grant(), event: m.event, credential: m.id, context: bctrl.Global(), test: m.test,
		method: req.Method, made: req, timeout: maxCallTimeout, maxAnswer: broker.DefaultMaxAnswer,
	}
	if req.Body != nil && req.Body != http.NoBody {
		c.body = &callBody{src: req.Body, length: req.ContentLength}
	}
	if rt := caller.Runtime; rt != nil {
		c.context, c.consumer = contextOf(rt), rt.Alias
	}
	c.classify = func(ctx context.Context, q store.Queries) error {
		row, err := m.s.findMeant(ctx, q, caller, m.id) // the grant has it that it may be asked
		if err == nil {
			err = m.s.asModelCall(c, row)
		}
		return err
	}
	a, err := m.s.call(ctx, c)
	if c.recorded {
		m.sent++
	}
	if err != nil {
		if e := asError(err); !c.recorded || endedBecause(ctx) != nil || e.Status == http.StatusInternalServerError {
			m.refused = err
		}
		return nil, err
	}
	resp := *a.Response
	resp.Body = &modelBody{m: m, a: a, asked: ctx}
	return &resp, nil
}

// asModelCall finds the capability that such a call is, if the registry has
// one, so that its policy and its bindings are the call's.
func (s *Server) asModelCall(c *call, row store.AICredential) error {
	meta, err := readAIMeta(row)
	if err != nil {
		return err
	}
	base, err := url.Parse(model.Target(meta.Provider, meta.address(), bctrl.Secret{}).BaseURL)
	if err != nil {
		return errTampered("ai.tampered") // it was checked when it was stored
	}
	path := strings.TrimPrefix(c.made.URL.EscapedPath(), strings.TrimSuffix(base.EscapedPath(), "/"))
	c.template = path
	if strings.HasPrefix(path, "/models/") {
		c.template = "/models/{model}"
	}
	id, _ := s.aiProvider(meta.Provider)
	p, known := s.registry.Provider(id)
	if !known {
		return nil
	}
	for _, found := range p.Capabilities {
		template, err := (broker.Rule{Methods: found.Methods, Paths: found.Paths}).Admit(c.method, strings.TrimSuffix(p.BasePath, "/")+path)
		if err != nil {
			continue
		}
		c.capability, c.template = describeBuiltin(p, found), template
		return nil
	}
	return nil
}

// modelBody is the answer to a model's request. Closing it ends the call.
type modelBody struct {
	m *modelCalls
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
	if err := b.a.end(b.read); err != nil && endedBecause(b.asked) != nil {
		b.m.refused = err // else whoever read it has its error
	}
	return nil
}
