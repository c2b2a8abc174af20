package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Service) capabilityRoutes() []web.Route {
	return []web.Route{
		web.Endpoint("DELETE /v1/capabilities/{id}", access.CapabilityWrite, s.deleteCapability),
		web.Endpoint("PUT /v1/capabilities/{id}/policy", access.CapabilityWrite, s.putCapabilityPolicy),
	}
}

// capabilityMeta is what an own capability permits.
type capabilityMeta struct {
	Description string   `json:"description,omitempty"`
	Methods     []string `json:"methods"`
	Paths       []string `json:"paths"`
	Host        string   `json:"host,omitempty"`
	Credential  string   `json:"credential,omitempty"`
}

// ErrNoCapability refuses an id under which the organization finds no capability.
func ErrNoCapability() *bctrl.Error {
	return web.NotFound("capabilities.not_found", "there is no such capability")
}

func errBuiltin() *bctrl.Error {
	return web.WithHint(
		web.Conflict("capabilities.builtin", "the capability is one of the registry, which nobody changes"),
		"limit it with a policy, or make one with another name",
	)
}

// ValidCapabilityID refuses what cannot be the id of a capability.
func ValidCapabilityID(id string) error {
	if err := names.Capability(id); err != nil {
		return web.Invalid("capabilities.invalid_id", "id", "not a capability: "+err.Error())
	}
	return nil
}

func capabilityRecord(org string, row store.Capability) seal.Record {
	return sealOf("capability", org, row.UID, row.Version, row.ID, string(row.Meta))
}

func policyRecord(org string, row store.CapabilityPolicy) seal.Record {
	return sealOf("capability_policy", org, row.UID, row.Version, row.Capability, string(row.Meta))
}

// FindCapability describes a capability, of the registry or an organization's
// own, with its policy. Whether it is ready is left open. The registry's goes
// before one that is stored under the same id. It returns [ErrNoCapability] where
// there is none, and capabilities.tampered where a seal does not match. Whether
// the caller may know of it is decided before.
func (s *Service) FindCapability(ctx context.Context, q store.Queries, org, id string) (bctrl.Capability, error) {
	c, err := s.FindDefinition(ctx, q, org, id)
	if err != nil {
		return c, err
	}
	c.Policy, err = s.FindPolicy(ctx, q, org, id)
	return c, err
}

// FindDefinition describes a capability as [Service.FindCapability] does, without
// its policy: what it permits, not how much of it.
func (s *Service) FindDefinition(ctx context.Context, q store.Queries, org, id string) (bctrl.Capability, error) {
	if p, c, found := s.registry.Capability(id); found {
		return BuiltinCapability(p, c), nil
	}
	row, err := q.Capability(ctx, org, id)
	if errors.Is(err, store.ErrNotFound) {
		err = ErrNoCapability()
	}
	if err != nil {
		return bctrl.Capability{}, err
	}
	return s.VerifyCapability(org, row)
}

// VerifyCapability checks the seal of an own capability's row, and describes it
// without policy and status. It returns capabilities.tampered where the row is not
// as it was sealed.
func (s *Service) VerifyCapability(org string, row store.Capability) (bctrl.Capability, error) {
	var meta capabilityMeta
	err := s.verifyRecord(capabilityRecord(org, row), row.Sealed, "capabilities.tampered")
	if err == nil && json.Unmarshal(row.Meta, &meta) != nil {
		err = web.Tampered("capabilities.tampered")
	}
	return s.describeOwn(row, meta), err
}

func (s *Service) verifyPolicy(org string, row store.CapabilityPolicy) (*bctrl.CapabilityPolicy, error) {
	policy := &bctrl.CapabilityPolicy{}
	err := s.verifyRecord(policyRecord(org, row), row.Sealed, "capabilities.tampered")
	if err == nil && json.Unmarshal(row.Meta, policy) != nil {
		err = web.Tampered("capabilities.tampered")
	}
	return policy, err
}

// BuiltinCapability describes a capability that the registry has of a provider,
// without policy and status.
func BuiltinCapability(p registry.Provider, c registry.Capability) bctrl.Capability {
	out := bctrl.Capability{
		ID:          c.ID,
		Provider:    p.ID,
		Description: c.Description,
		Methods:     c.Methods,
		Paths:       c.Paths,
		Hosts:       p.Hosts,
		Model:       c.Model,
		Builtin:     true,
		Docs:        p.Docs,
		Secrets:     secretsOf(p),
	}
	if c.Host != "" {
		out.Hosts = []string{c.Host}
	}
	out.Example = exampleOf(out)
	return out
}

func (s *Service) describeOwn(row store.Capability, meta capabilityMeta) bctrl.Capability {
	provider, _, _ := strings.Cut(row.ID, "/")
	out := bctrl.Capability{
		ID:          row.ID,
		Provider:    provider,
		Description: meta.Description,
		Methods:     meta.Methods,
		Paths:       meta.Paths,
		Credential:  meta.Credential,
		CreatedAt:   row.CreatedAt,
		UpdatedAt:   row.UpdatedAt,
	}
	if p, known := s.registry.Provider(provider); known {
		out.Hosts, out.Secrets, out.Docs = p.Hosts, secretsOf(p), p.Docs
		out.Model = callsModel(p, meta) // of a provider that the registry has since
	}
	if meta.Host != "" {
		out.Hosts = []string{meta.Host}
	}
	out.Example = exampleOf(out)
	return out
}

func secretsOf(p registry.Provider) []bctrl.CapabilitySecret {
	list := make([]bctrl.CapabilitySecret, len(p.Secrets))
	for i, name := range p.Secrets {
		list[i] = bctrl.CapabilitySecret{Name: name.Name, Field: name.Field, Optional: name.Optional}
	}
	return list
}

// exampleOf is a command line that uses a capability.
func exampleOf(c bctrl.Capability) string {
	if len(c.Methods) == 0 || len(c.Paths) == 0 {
		return ""
	}
	method := c.Methods[0]
	if slices.Contains(c.Methods, http.MethodPost) && c.Model { // what one comes for
		method = http.MethodPost
	}
	line := "bctrl invoke " + c.ID + " --method " + method + " --path '" + c.Paths[0] + "'"
	if method != http.MethodGet && method != http.MethodHead && method != http.MethodDelete {
		line += " --body '{}'"
	}
	return line
}

// StatusFunc says whether a call as a capability would find a credential, in the
// state that q sees. Package calls, which resolves calls, has one.
type StatusFunc func(ctx context.Context, q store.Queries, c bctrl.Capability) (bctrl.CapabilityStatus, error)

// StoreCapability answers the request to store an own capability under the id of
// its path: it authorises, checks, stores and records it, and describes it with
// its status in the state that the transaction leaves. One that is there is
// replaced, unless the request says If-None-Match: *.
func (s *Service) StoreCapability(
	ctx context.Context, rq *web.Request, in wire.CapabilityCreate, statusOf StatusFunc,
) (bctrl.Capability, error) {
	id, err := rq.Path("id", ValidCapabilityID)
	if err != nil {
		return bctrl.Capability{}, err
	}
	if err := rq.Authorize(id); err != nil {
		return bctrl.Capability{}, err
	}
	if _, _, builtin := s.registry.Capability(id); builtin {
		return bctrl.Capability{}, errBuiltin()
	}
	adds, err := onlyIfNew(rq)
	if err != nil {
		return bctrl.Capability{}, err
	}
	meta := capabilityMeta{
		Description: in.Description,
		Methods:     in.Methods,
		Paths:       in.Paths,
		Host:        in.Host,
		Credential:  in.Credential,
	}
	if err := s.checkCapability(id, meta); err != nil {
		return bctrl.Capability{}, err
	}
	return web.ChangeRules(ctx, rq, func(tx *store.Tx, _ *audit.Event) (bctrl.Capability, error) {
		row, err := tx.Capability(ctx, rq.Caller.Org, id)
		missing := errors.Is(err, store.ErrNotFound)
		switch {
		case missing:
			row = store.Capability{UID: web.NewID(), ID: id, CreatedAt: store.Now()}
		case err != nil:
			return bctrl.Capability{}, err
		case adds:
			return bctrl.Capability{}, web.Conflict("capabilities.exists", "there is a capability with this id")
		}
		row.Version++
		row.UpdatedAt = store.Now()
		if row.Meta, err = json.Marshal(meta); err != nil {
			return bctrl.Capability{}, err
		}
		if row.Sealed, err = s.Keys.Seal(capabilityRecord(rq.Caller.Org, row), nil); err != nil {
			return bctrl.Capability{}, err
		}
		if missing {
			err = tx.InsertCapability(ctx, rq.Caller.Org, row)
		} else {
			err = tx.UpdateCapability(ctx, rq.Caller.Org, row)
		}
		if err != nil {
			return bctrl.Capability{}, err
		}
		out := s.describeOwn(row, meta)
		if out.Status, err = statusOf(ctx, tx.Queries, out); err != nil {
			return out, err
		}
		out.Policy, err = s.FindPolicy(ctx, tx.Queries, rq.Caller.Org, id)
		return out, err
	})
}

// FindPolicy returns the limits of a capability, nil where it has none, and
// capabilities.tampered where the seal does not match. It does not ask whether
// there is such a capability.
func (s *Service) FindPolicy(
	ctx context.Context, q store.Queries, org, capability string,
) (*bctrl.CapabilityPolicy, error) {
	row, err := q.CapabilityPolicy(ctx, org, capability)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.verifyPolicy(org, row)
}

// onlyIfNew reads If-None-Match, of which * is the only one that says
// something here.
func onlyIfNew(rq *web.Request) (bool, error) {
	switch rq.Header.Get("If-None-Match") {
	case "":
		return false, nil
	case "*":
		return true, nil
	}
	return false, web.Invalid("request.if_none_match", "If-None-Match", "If-None-Match must be *")
}

func (s *Service) deleteCapability(ctx context.Context, rq *web.Request, _ web.None) (web.None, error) {
	id, err := rq.Path("id", ValidCapabilityID)
	if err != nil {
		return web.None{}, err
	}
	if err := rq.Authorize(id); err != nil {
		return web.None{}, err
	}
	if _, _, builtin := s.registry.Capability(id); builtin {
		return web.None{}, errBuiltin()
	}
	return web.ChangeRules(ctx, rq, func(tx *store.Tx, ev *audit.Event) (web.None, error) {
		row, err := tx.Capability(ctx, rq.Caller.Org, id)
		if errors.Is(err, store.ErrNotFound) {
			return web.None{}, ErrNoCapability()
		}
		if err != nil {
			return web.None{}, err
		}
		switch policy, err := tx.CapabilityPolicy(ctx, rq.Caller.Org, id); {
		case err == nil:
			if err := tx.DeleteCapabilityPolicy(ctx, rq.Caller.Org, policy.UID); err != nil {
				return web.None{}, err
			}
			if err := recordAlso(tx, *ev, id); err != nil {
				return web.None{}, err
			}
		case !errors.Is(err, store.ErrNotFound):
			return web.None{}, err
		}
		if err := s.unbindAll(ctx, tx, rq.Caller.Org, id, *ev); err != nil {
			return web.None{}, err
		}
		ev.Version = row.Version
		return web.None{}, tx.DeleteCapability(ctx, rq.Caller.Org, row.UID)
	})
}

// recordAlso records one more record that a request wrote.
func recordAlso(tx *store.Tx, ev audit.Event, object string) error {
	ev.Object, ev.Outcome = object, audit.OK
	return audit.Append(tx, ev)
}

// putCapabilityPolicy replaces the limits of a capability. No limits at all are
// no policy.
func (s *Service) putCapabilityPolicy(
	ctx context.Context, rq *web.Request, in bctrl.CapabilityPolicy,
) (bctrl.CapabilityPolicy, error) {
	id, err := rq.Path("id", ValidCapabilityID)
	if err != nil {
		return in, err
	}
	if err := rq.Authorize(id); err != nil {
		return in, err
	}
	if err := checkPolicy(in); err != nil {
		return in, err
	}
	in.Redact = slices.Compact(slices.Sorted(slices.Values(in.Redact)))
	return web.Change(ctx, rq, func(tx *store.Tx, _ *audit.Event) (bctrl.CapabilityPolicy, error) {
		if _, err := s.FindDefinition(ctx, tx.Queries, rq.Caller.Org, id); err != nil {
			return in, err
		}
		row, err := tx.CapabilityPolicy(ctx, rq.Caller.Org, id)
		missing := errors.Is(err, store.ErrNotFound)
		limits := in.CallsPerMinute+len(in.Redact) > 0 || in.MaxRequestBytes+in.MaxResponseBytes > 0
		switch {
		case missing && !limits:
			return in, nil
		case missing:
			row = store.CapabilityPolicy{UID: store.PolicyUID(rq.Caller.Org, id), Capability: id}
		case err != nil:
			return in, err
		case !limits:
			return in, tx.DeleteCapabilityPolicy(ctx, rq.Caller.Org, row.UID)
		}
		if in.CallsPerMinute > 0 {
			if err := tx.CountCalls(ctx, rq.Caller.Org, id); err != nil {
				return in, err
			}
		}
		row.Version++
		row.UpdatedAt = store.Now()
		if row.Meta, err = json.Marshal(in); err != nil {
			return in, err
		}
		if row.Sealed, err = s.Keys.Seal(policyRecord(rq.Caller.Org, row), nil); err != nil {
			return in, err
		}
		if missing {
			return in, tx.InsertCapabilityPolicy(ctx, rq.Caller.Org, row)
		}
		return in, tx.UpdateCapabilityPolicy(ctx, rq.Caller.Org, row)
	})
}
