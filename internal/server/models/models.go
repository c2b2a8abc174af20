package models

import (
	"context"
	"encoding/json"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// Service answers the routes of AI credentials.
type Service struct {
	*web.Kernel
	// broker checks the addresses and keys that a credential is stored with.
	broker *broker.Broker
}

// New makes the service over the kernel that serves its routes. The broker only
// says whether an address and a key could be used: nothing is sent.
func New(k *web.Kernel, b *broker.Broker) *Service { return &Service{k, b} }

// Routes are the routes of AI credentials but for deleting and trying one, which
// need what is bound to it and calls: the areas above have those.
func (s *Service) Routes() []web.Route {
	return []web.Route{
		web.Endpoint("POST /v1/ai-credentials", access.AIWrite, s.create),
		web.Endpoint("GET /v1/ai-credentials", access.AIRead, s.list, "limit", "cursor"),
		web.Endpoint("GET /v1/ai-credentials/{id}", access.AIRead, s.get),
		web.Endpoint("PATCH /v1/ai-credentials/{id}", access.AIWrite, s.update),
	}
}

// Meta is the part of a credential that may be read. It is stored in clear,
// and the seal covers it: a base URL that was edited in the database receives
// no key.
type Meta struct {
	Provider bctrl.AIProvider `json:"provider"`
	Label    string           `json:"label,omitempty"`
	// BaseURL is empty where the provider's public address is meant: see
	// [Meta.Address].
	BaseURL string `json:"baseUrl,omitempty"`
	// DefaultModel is the provider's own name of a model; empty where a call has to
	// name one.
	DefaultModel string `json:"defaultModel,omitempty"`
	// Enabled is whether calls may be made with it.
	Enabled bool `json:"enabled"`
}

// Address is where the provider is reached, by its public address too.
func (m Meta) Address() string { return model.BaseURL(m.Provider, m.BaseURL) }

// UnprovenMeta reads what a row says of itself, before its seal has proved it: it
// may choose between credentials, and [Service.Open] proves the one that is used.
// What it cannot read is ai.tampered.
func UnprovenMeta(c store.AICredential) (meta Meta, err error) {
	if json.Unmarshal(c.Meta, &meta) != nil {
		return meta, web.Tampered("ai.tampered")
	}
	return meta, nil
}

// ErrNoCredential is the answer for an id that means no credential to the caller.
func ErrNoCredential() *bctrl.Error {
	return web.NotFound("ai.not_found", "there is no such AI credential")
}

// ValidID refuses, with ai.invalid_id, what cannot be the id of a credential.
func ValidID(id string) error {
	if err := names.CredentialID(id); err != nil {
		return web.Invalid("ai.invalid_id", "id", "not a credential id: "+err.Error())
	}
	return nil
}

// describeProven describes a credential once its seal has proved it.
func (s *Service) describeProven(org string, c store.AICredential) (bctrl.AICredential, error) {
	meta, _, err := s.Open(org, c)
	return describe(c, meta), err
}

func describe(c store.AICredential, meta Meta) bctrl.AICredential {
	return bctrl.AICredential{
		ID:           c.ID,
		Provider:     meta.Provider,
		Label:        meta.Label,
		BaseURL:      meta.BaseURL,
		DefaultModel: meta.DefaultModel,
		Enabled:      meta.Enabled,
		CreatedAt:    c.CreatedAt,
		UpdatedAt:    c.UpdatedAt,
	}
}

func (s *Service) get(ctx context.Context, rq *web.Request, _ web.None) (bctrl.AICredential, error) {
	c, err := s.findByPath(ctx, rq)
	if err != nil {
		return bctrl.AICredential{}, err
	}
	return s.describeProven(rq.Caller.Org, c)
}

// list lists by id. A runtime caller sees those that it may use.
func (s *Service) list(ctx context.Context, rq *web.Request, _ web.None) (any, error) {
	limit, after, err := rq.Page()
	if err != nil {
		return nil, err
	}
	rq.MarkDecided("") // by filtering
	var rows []store.AICredential
	if rq.Caller.Runtime == nil {
		rows, err = s.DB.Read().AICredentials(ctx, rq.Caller.Org, after, limit+1)
	} else {
		rows, err = s.ListUsable(ctx, rq.Caller, after, limit+1)
	}
	if err != nil {
		return nil, err
	}
	rows, next := web.PageOf(rows, limit, func(c store.AICredential) string { return c.ID })
	list := wire.List[bctrl.AICredential]{Plural: wire.AICredentials, NextCursor: next}
	for _, c := range rows {
		item, err := s.describeProven(rq.Caller.Org, c)
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, item)
	}
	return list, nil
}
