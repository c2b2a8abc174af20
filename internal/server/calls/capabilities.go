package calls

import (
	"context"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/server/catalog"
	"github.com/bctrl-go/bctrl/internal/server/models"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// capabilityView is how one caller sees capabilities in one context.
type capabilityView struct {
	service *Service
	q       store.Queries
	org     string
	context bctrl.Scope
	// runtime is the caller where it is a runtime, and nil for an organization key.
	runtime *access.Caller
	// models are what a runtime's mounts leave to call language models with.
	models usableSet
	// known are the answers so far, by provider and credential.
	known map[[2]string]bctrl.CapabilityStatus
}

// viewCapabilities is the view of a request's caller in a context, for which a
// runtime's own is taken.
func (s *Service) viewCapabilities(ctx context.Context, rq *web.Request, in bctrl.Scope) (*capabilityView, error) {
	v := &capabilityView{
		service: s,
		q:       s.DB.Read(),
		org:     rq.Caller.Org,
		context: in,
	}
	if rq.Caller.Runtime == nil {
		return v, nil
	}
	v.runtime, v.context = &rq.Caller, web.RuntimeScope(rq.Caller.Runtime)
	usable, _, err := s.usableModels(ctx, rq.Caller)
	v.models = usable
	return v, err
}

// authorize decides whether the caller may know of a capability: a runtime of those
// that call language models by its ai mount, of others by its capabilities mount.
func (v *capabilityView) authorize(rq *web.Request, id string) error {
	if v.runtime == nil || !v.isModel(id) {
		return rq.Authorize(id)
	}
	rq.MarkDecided(id)
	if v.permits(id) {
		return nil
	}
	return web.OutsideMount(rq.Route.Verb)
}

// isModel reports whether a capability calls language models; only those of the
// registry do.
func (v *capabilityView) isModel(id string) bool {
	_, c, found := v.service.registry.Capability(id)
	return found && c.Model
}

// permits reports whether the mounts of the caller permit a capability. An
// organization key has none that could forbid it.
func (v *capabilityView) permits(id string) bool {
	if v.runtime == nil {
		return true
	}
	if !v.isModel(id) {
		return access.Decide(*v.runtime, access.Action{Verb: bctrl.InvokeCapability, Object: id})
	}
	p, _, _ := v.service.registry.Capability(id)
	return v.models.serves(p.AI)
}

// status says whether a call would find a credential.
func (v *capabilityView) status(ctx context.Context, c bctrl.Capability) (bctrl.CapabilityStatus, error) {
	if v.runtime != nil && c.Model {
		return v.modelStatus(c.Provider), nil
	}
	key := [2]string{c.Provider, c.Credential}
	if status, known := v.known[key]; known {
		return status, nil
	}
	query := broker.Query{Provider: c.Provider, Credential: c.Credential, Context: v.context}
	found, err := v.service.candidates(ctx, v.q, v.org, query)
	if web.IsTampered(err) { // calling it says so; the rest of the list is as it is
		return bctrl.CapabilityAvailable, nil
	}
	if err != nil {
		return "", err
	}
	status := bctrl.CapabilityReady
	if _, err := broker.Resolve(found.state, query); err != nil {
		status, err = v.aiStatus(ctx, c, err)
		if err != nil {
			return "", err
		}
	}
	if v.known == nil {
		v.known = map[[2]string]bctrl.CapabilityStatus{}
	}
	v.known[key] = status
	return status, nil
}

// aiStatus says whether a call that package broker refused with missing would find
// an AI credential.
func (v *capabilityView) aiStatus(
	ctx context.Context, c bctrl.Capability, missing error,
) (bctrl.CapabilityStatus, error) {
	if c.Credential != "" || web.AsError(missing).Code != codeNoCredential {
		return bctrl.CapabilityAvailable, nil
	}
	if v.runtime != nil {
		return v.modelStatus(c.Provider), nil
	}
	p, _ := v.service.registry.Provider(c.Provider)
	if p.AI == "" {
		return bctrl.CapabilityAvailable, nil
	}
	ids, err := aiCredentialsOf(ctx, v.q, v.org, p.AI)
	if err != nil || len(ids) != 1 {
		return bctrl.CapabilityAvailable, err
	}
	row, err := v.q.AICredential(ctx, v.org, ids[0])
	if err != nil {
		return "", err
	}
	if meta, err := models.UnprovenMeta(row); err != nil || !meta.Enabled {
		return bctrl.CapabilityAvailable, err
	}
	return bctrl.CapabilityReady, nil
}

// modelStatus says whether the mounts of a runtime choose an AI credential of a
// provider, and whether that is enabled.
func (v *capabilityView) modelStatus(provider string) bctrl.CapabilityStatus {
	p, _ := v.service.registry.Provider(provider)
	id, err := v.models.defaultFor(p.AI)
	if err != nil {
		return bctrl.CapabilityAvailable
	}
	if c, err := v.models.find(id); err != nil || !c.meta.Enabled {
		return bctrl.CapabilityAvailable
	}
	return bctrl.CapabilityReady
}

// capabilityFilter is what the query of a list selects. Empty fields select all.
type capabilityFilter struct {
	provider string
	status   bctrl.CapabilityStatus
}

// listCapabilities lists in the order of ids. A runtime sees those that it may
// invoke.
func (s *Service) listCapabilities(
	ctx context.Context, rq *web.Request, _ web.None,
) (list wire.List[bctrl.Capability], err error) {
	limit, after, err := rq.Page()
	if err != nil {
		return list, err
	}
	in, err := s.listContext(ctx, rq)
	if err != nil {
		return list, err
	}
	rq.MarkDecided("") // by filtering
	view, err := s.viewCapabilities(ctx, rq, in)
	if err != nil {
		return list, err
	}
	filter := capabilityFilter{rq.Query.Get("provider"), bctrl.CapabilityStatus(rq.Query.Get("status"))}
	switch filter.status {
	case "", bctrl.CapabilityReady, bctrl.CapabilityAvailable:
	default:
		return list, web.Invalid("request.parameter", "status", "status must be ready or available")
	}
	list.Plural = wire.Capabilities
	items, err := view.list(ctx, filter, after, limit+1)
	if err != nil {
		return list, err
	}
	list.Items, list.NextCursor = web.PageOf(items, limit, func(c bctrl.Capability) string { return c.ID })
	return list, nil
}

// putCapability adds or replaces a capability of the organization's own.
func (s *Service) putCapability(
	ctx context.Context, rq *web.Request, in wire.CapabilityCreate,
) (bctrl.Capability, error) {
	status := func(ctx context.Context, q store.Queries, c bctrl.Capability) (bctrl.CapabilityStatus, error) {
		view := capabilityView{
			service: s,
			q:       q,
			org:     rq.Caller.Org,
			context: bctrl.Global(),
		}
		return view.status(ctx, c)
	}
	return s.catalog.StoreCapability(ctx, rq, in, status)
}

// listContext reads the context of a list; a runtime may only name its own.
func (s *Service) listContext(ctx context.Context, rq *web.Request) (bctrl.Scope, error) {
	in, err := rq.QueryScope("", "workspaceId", "groupId")
	if err != nil || in.IsZero() {
		return bctrl.Global(), err
	}
	if rt := rq.Caller.Runtime; rt != nil {
		own, err := web.NamesOwnContext(ctx, s.DB.Read(), rq.Caller.Org, rt, in)
		if err == nil && !own {
			err = web.ErrContextMismatch
		}
		return web.RuntimeScope(rt), err
	}
	in, err = web.StoredScope(ctx, s.DB.Read(), rq.Caller.Org, in)
	return in, web.ScopeAt(err, "", "workspaceId", "groupId")
}

// list returns up to limit capabilities after an id, in the order of ids: those of
// the registry and the organization's own, merged. An own one whose id the registry
// has since is left out.
func (v *capabilityView) list(
	ctx context.Context, f capabilityFilter, after string, limit int,
) ([]bctrl.Capability, error) {
	builtin, err := v.builtin(ctx, f, after)
	if err != nil {
		return nil, err
	}
	var out []bctrl.Capability
	for next := after; ; {
		rows, err := v.q.Capabilities(ctx, v.org, next, limit)
		if err != nil {
			return nil, err
		}
		last := len(rows) < limit
		for _, row := range rows {
			for len(builtin) > 0 && builtin[0].ID < row.ID {
				if out, err = v.appendSelected(ctx, out, f, builtin[0]); err != nil {
					return nil, err
				}
				builtin = builtin[1:]
			}
			next = row.ID
			if _, _, shadowed := v.service.registry.Capability(row.ID); shadowed || !f.selectsProviderOf(row.ID) {
				continue
			}
			c, err := v.service.catalog.VerifyCapability(v.org, row)
			if err != nil {
				return nil, err
			}
			if out, err = v.appendSelected(ctx, out, f, c); err != nil {
				return nil, err
			}
		}
		for ; last && len(builtin) > 0 && len(out) < limit; builtin = builtin[1:] {
			if out, err = v.appendSelected(ctx, out, f, builtin[0]); err != nil {
				return nil, err
			}
		}
		if last || len(out) >= limit {
			return out[:min(len(out), limit)], nil
		}
	}
}

// builtin lists the capabilities of the registry after an id, in the order of ids.
// Those for servers of the organization's own are among them where an AI credential
// says that there is such a server.
func (v *capabilityView) builtin(
	ctx context.Context, f capabilityFilter, after string,
) (list []bctrl.Capability, err error) {
	providers := v.service.registry.Providers()
	if own, known := v.service.registry.ForAI(bctrl.OpenAICompatible); known {
		there := v.models.serves(own.AI)
		if v.runtime == nil {
			ids, err := aiCredentialsOf(ctx, v.q, v.org, own.AI)
			if err != nil {
				return nil, err
			}
			there = len(ids) > 0
		}
		if there {
			providers = append(providers, own)
		}
	}
	for _, p := range providers {
		for _, c := range p.Capabilities {
			if c.ID > after && f.selectsProviderOf(c.ID) {
				list = append(list, catalog.BuiltinCapability(p, c))
			}
		}
	}
	slices.SortFunc(list, func(a, b bctrl.Capability) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}

// selectsProviderOf reports whether a capability is of the provider that is selected.
func (f capabilityFilter) selectsProviderOf(id string) bool {
	return f.provider == "" || strings.HasPrefix(id, f.provider+"/")
}

// appendSelected appends a capability that the caller may know of and that is selected.
func (v *capabilityView) appendSelected(
	ctx context.Context, out []bctrl.Capability, f capabilityFilter, c bctrl.Capability,
) ([]bctrl.Capability, error) {
	if !v.permits(c.ID) {
		return out, nil
	}
	var err error
	if c.Status, err = v.status(ctx, c); err != nil {
		return out, err
	}
	if f.status != "" && f.status != c.Status {
		return out, nil
	}
	if c.Policy, err = v.service.catalog.FindPolicy(ctx, v.q, v.org, c.ID); err != nil {
		return out, err
	}
	return append(out, c), nil
}

// getCapability describes one, whether it is ready among it.
func (s *Service) getCapability(ctx context.Context, rq *web.Request, _ web.None) (out bctrl.Capability, err error) {
	id, err := rq.Path("id", catalog.ValidCapabilityID)
	if err != nil {
		return out, err
	}
	view, err := s.viewCapabilities(ctx, rq, bctrl.Global())
	if err != nil {
		return out, err
	}
	if err := view.authorize(rq, id); err != nil {
		return out, err
	}
	if out, err = s.catalog.FindCapability(ctx, s.DB.Read(), rq.Caller.Org, id); err != nil {
		return out, err
	}
	out.Status, err = view.status(ctx, out)
	return out, err
}
