package broker

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
)

// State is what is stored of credentials, secrets and bindings: all of it, or
// as much of it as a query's answer depends on. Order and repeats mean nothing.
type State struct {
	Credentials []Credential
	Secrets     []Secret
	Bindings    []Binding
}

// Credential is what resolving needs to know of a credential.
type Credential struct {
	// UID is its identity, ID its name in the organization.
	UID, ID, Provider string
	Scope             bctrl.Scope
	Priority          int
	Disabled          bool
	// Provisioned marks one that came of its secrets, and goes where they go.
	Provisioned bool
	// AI marks an AI credential: global, chosen by its id alone, and with a key
	// of its own.
	AI bool
	// Secrets are the ids of its secrets by field. An AI credential's has its
	// only field and no id.
	Secrets map[string]string
	// Tampered marks a row that contradicts itself.
	Tampered bool
}

// Secret is what resolving needs to know of a secret, never its value.
type Secret struct {
	ID    string
	Scope bctrl.Scope
	// Provider is the one that it is pinned to, or empty.
	Provider     string
	AttachedOnly bool
	// Attached are the groups that it is attached to.
	Attached []bctrl.Scope
	// Tampered marks a row that contradicts itself.
	Tampered bool
}

// Binding puts another secret in place of the own one of a credential that is
// not more specific than it.
type Binding struct {
	UID   string
	Scope bctrl.Scope
	// Target is the id of a capability, which has a slash, or of a credential.
	Target string
	// Consumer is the only one that it is for; empty for all.
	Consumer string
	// Field is the one whose secret it replaces; empty for the only one.
	Field, Secret string
	// Tampered marks a row that contradicts itself.
	Tampered bool
}

// Query says what a call needs a credential for, and in which context it is
// made.
type Query struct {
	// Provider is whom the call is for; empty where Credential alone says it.
	Provider string
	// Capability is the id of the capability that is called, or empty: its
	// bindings take part.
	Capability string
	// Credential is the one that the request names, or empty. NoAI is set where an
	// AI credential of that name is to be as good as none.
	Credential string
	NoAI       bool
	// Consumer is who calls, for bindings: the alias of a runtime.
	Consumer string
	// Context is where the call is made; workspaces are named by id, as in
	// State. The zero Scope is global.
	Context bctrl.Scope
	// Test is set where the credential itself is tried out, which may be
	// disabled.
	Test bool
}

// Tier is how specific what was found is.
type Tier string

// The tiers, from the most specific to the least.
const (
	TierGroup     Tier = "group"
	TierAttached  Tier = "attached" // the group's too, after its own
	TierWorkspace Tier = "workspace"
	TierGlobal    Tier = "global"
)

// rank orders tiers; the lowest is the most specific.
func (t Tier) rank() int {
	return slices.Index([]Tier{TierGroup, TierAttached, TierWorkspace, TierGlobal}, t)
}

// Resolved is what a query came to.
type Resolved struct {
	Credential Credential
	// Tier is where the credential was found, also where it was named.
	Tier Tier
	// Secrets are the ids of the secrets to use, by field; an empty one is an AI
	// credential's own key.
	Secrets map[string]string
	// Bindings are those that replaced a secret, by field, with the tier that
	// each was found in.
	Bindings map[string]Bound
}

// Bound is a binding that took effect.
type Bound struct {
	Binding
	Tier Tier
}

// Resolve chooses the credential of a call and the secrets to use with it, as
// semantics 4 has it: one total order, the same whatever else is stored. It
// does not decide whether the call is permitted. Errors are of area
// credentials, or secrets.pinned and secrets.tampered.
func Resolve(state State, q Query) (Resolved, error) {
	r, err := Choose(state, q)
	if err != nil {
		return Resolved{}, err
	}
	return r, state.bind(q, &r)
}

// Choose is Resolve before bindings: with the secrets that the credential
// itself has.
func Choose(state State, q Query) (Resolved, error) {
	secrets := state.secrets()
	found, err := state.credential(secrets, q)
	if err != nil {
		return Resolved{}, err
	}
	c := found.credential
	switch {
	case c.Tampered:
		return Resolved{}, errTampered(c.ID)
	case q.Provider != "" && c.Provider != q.Provider:
		return Resolved{}, refuse(http.StatusConflict, "credentials.wrong_provider",
			"the credential "+c.ID+" is one of "+c.Provider+
				", and the call is for "+q.Provider, "")
	case c.Disabled && !q.Test:
		return Resolved{}, refuse(http.StatusConflict, "credentials.disabled", "the credential "+c.ID+" is disabled",
			"enable it, or name another: a disabled one is never passed over")
	}
	r := Resolved{
		Credential: c,
		Tier:       found.tier,
		Secrets:    map[string]string{},
		Bindings:   map[string]Bound{},
	}
	for field, id := range c.Secrets {
		if err := secrets[id].usableFor(c); id != "" && err != nil {
			return Resolved{}, err
		}
		r.Secrets[field] = id
	}
	return r, nil
}

// match is a credential that is visible in the context, and by what.
type match struct {
	credential Credential
	tier       Tier
}

// credential finds the one that is named, or the one that the tiers give.
func (state State) credential(secrets map[string]Secret, q Query) (match, error) {
	if q.Credential != "" {
		return state.named(secrets, q)
	}
	var best []match // of the most specific tier, of its highest priority
	seen := make(map[string]bool, len(state.Credentials))
	for _, c := range state.Credentials {
		if c.AI || c.Provider != q.Provider || seen[c.UID] {
			continue
		}
		seen[c.UID] = true
		m := match{c, ""}
		if m.tier = c.visible(secrets, q.Context); m.tier == "" {
			continue
		}
		order := -1
		if len(best) > 0 {
			order = m.compare(best[0])
		}
		switch {
		case order < 0:
			best = []match{m}
		case order == 0:
			best = append(best, m)
		}
	}
	switch len(best) {
	case 0:
		return match{}, errNone(q.Provider)
	case 1:
		return best[0], nil
	}
	ids := make([]string, len(best))
	for i, m := range best {
		ids[i] = m.credential.ID
	}
	slices.Sort(ids)
	return match{}, errAmbiguous(ids, best[0].tier)
}

// compare is negative where m goes before o.
func (m match) compare(o match) int {
	return cmp.Or(m.tier.rank()-o.tier.rank(), cmp.Compare(o.credential.Priority, m.credential.Priority))
}

// named finds the credential that the query names. The error for one whose scope is
// not visible is the same as for one that does not exist.
func (state State) named(secrets map[string]Secret, q Query) (match, error) {
	i := slices.IndexFunc(state.Credentials, func(c Credential) bool { return c.ID == q.Credential && !(c.AI && q.NoAI) })
	if i < 0 {
		return match{}, errNoCredential()
	}
	c := state.Credentials[i]
	if tier := c.visible(secrets, q.Context); tier != "" {
		return match{c, tier}, nil
	}
	if tierOf(c.Scope, q.Context) != "" {
		for _, id := range c.Secrets {
			if _, stored := secrets[id]; id != "" && !stored {
				return match{}, refuse(http.StatusConflict, "credentials.revoked",
					"a secret of the credential "+c.ID+" was deleted",
					"delete the credential, and create it anew with another secret")
			}
		}
	}
	return match{}, errNoCredential()
}

// tierOf is the tier of what lives in a scope for a context that sees it, else
// "".
func tierOf(scope, context bctrl.Scope) Tier {
	switch {
	case scope.Type() == bctrl.ScopeGlobal:
		return TierGlobal
	case scope.Type() == bctrl.ScopeWorkspace && scope.WorkspaceID() == context.WorkspaceID():
		return TierWorkspace
	case scope.Type() == bctrl.ScopeGroup && scope == context:
		return TierGroup
	}
	return ""
}

// visible is the tier of a credential in a context, or "". It needs all its
// secrets. Attaching one of them to the group brings the credential near: from
// wherever it is visible, and one that was provisioned from anywhere.
func (c Credential) visible(secrets map[string]Secret, context bctrl.Scope) Tier {
	attached := false
	for _, id := range c.Secrets {
		if id == "" {
			continue // an AI credential's own key
		}
		s, stored := secrets[id]
		if !stored || !s.Visible(context) {
			return ""
		}
		attached = attached || s.attachedTo(context)
	}
	own := tierOf(c.Scope, context)
	if own != TierGroup && attached && (own != "" || c.Provisioned) {
		return TierAttached
	}
	return own
}

// Visible reports whether the secret may be used in a context.
func (s Secret) Visible(context bctrl.Scope) bool {
	return s.attachedTo(context) || !s.AttachedOnly && tierOf(s.Scope, context) != ""
}

func (s Secret) attachedTo(context bctrl.Scope) bool {
	return context.Type() == bctrl.ScopeGroup && slices.Contains(s.Attached, context)
}

// usableFor refuses a secret that belongs to another provider.
func (s Secret) usableFor(c Credential) error {
	switch {
	case s.Tampered:
		return refuse(http.StatusInternalServerError, "secrets.tampered",
			"the stored secret was changed outside the server and is not used", "")
	case s.Provider != "" && s.Provider != c.Provider:
		return refuse(http.StatusConflict, "secrets.pinned", "the secret is pinned to "+s.Provider+" and is not used for "+
			c.Provider, "")
	}
	return nil
}

func (state State) secrets() map[string]Secret {
	byID := make(map[string]Secret, len(state.Secrets))
	for _, s := range state.Secrets {
		byID[s.ID] = s
	}
	return byID
}

// bind replaces the secrets for which a binding is visible that is not less
// specific than the credential: for each field the one of the most specific
// tier, there an exact consumer before none, and a capability before a
// credential. So a global binding never displaces a group's own credential, and
// what is less specific than the answer never changes it.
func (state State) bind(q Query, r *Resolved) error {
	secrets := state.secrets()
	for field := range r.Secrets {
		var best *Bound
		for _, b := range state.Bindings {
			s, stored := secrets[b.Secret]
			if !b.appliesTo(q, r.Credential, field) || !stored || !s.Visible(q.Context) {
				continue
			}
			found := Bound{b, tierOf(b.Scope, q.Context)}
			if found.Tier == "" || found.Tier.rank() > r.Tier.rank() {
				continue
			}
			if best == nil || found.compare(*best) < 0 {
				best = &found
			}
		}
		if best == nil {
			continue
		}
		if best.Tampered {
			return errTampered(best.Target)
		}
		if err := secrets[best.Secret].usableFor(r.Credential); err != nil {
			return err
		}
		r.Secrets[field], r.Bindings[field] = best.Secret, *best
	}
	return nil
}

// appliesTo reports whether b is for the query's target and consumer and the field.
func (b Binding) appliesTo(q Query, c Credential, field string) bool {
	return (b.Target == c.ID || b.Target == q.Capability && q.Capability != "") &&
		(b.Consumer == "" || b.Consumer == q.Consumer) &&
		(b.Field == field || b.Field == "" && len(c.Secrets) == 1)
}

// compare is negative where b goes before o. No two bindings of one scope have
// the same target, consumer and field, so no two are equal.
func (b Bound) compare(o Bound) int {
	before := func(b, o bool) int {
		switch {
		case b == o:
			return 0
		case b:
			return -1
		}
		return 1
	}
	return cmp.Or(
		b.Tier.rank()-o.Tier.rank(),
		before(b.Consumer != "", o.Consumer != ""),
		before(b.ofCapability(), o.ofCapability()),
		before(b.Field != "", o.Field != ""),
		strings.Compare(b.UID, o.UID),
	)
}

func (b Binding) ofCapability() bool { return strings.Contains(b.Target, "/") }

// The refusals of resolving. They name ids, never a value.

func refuse(status int, code, message, hint string) *bctrl.Error {
	return &bctrl.Error{
		Status:  status,
		Code:    code,
		Message: message,
		Hint:    hint,
	}
}

func errNoCredential() *bctrl.Error {
	return refuse(http.StatusNotFound, "credentials.not_found",
		"there is no such credential, or none that is visible in this context", "")
}

func errNone(provider string) *bctrl.Error {
	return refuse(http.StatusNotFound, "credentials.none", "no credential of "+provider+" is visible in this context",
		"store its secret under the name that the registry has for it, or create a credential")
}

func errTampered(id string) *bctrl.Error {
	return refuse(http.StatusInternalServerError, "credentials.tampered",
		"what is stored of "+id+" was changed outside the server and is not used",
		"delete it and create it anew, and look who can write to the data directory")
}

// errAmbiguous names the candidates, as many as one reads.
func errAmbiguous(ids []string, tier Tier) *bctrl.Error {
	const shown = 10
	list := strings.Join(ids[:min(len(ids), shown)], ", ")
	if len(ids) > shown {
		list += " and others"
	}
	return refuse(http.StatusConflict, "credentials.credential_ambiguous", "credentials of the same tier ("+string(tier)+
		") and priority are visible: "+list,
		"name one, give one a higher priority, or bind a secret to the capability")
}
