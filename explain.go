package bctrl

import (
	"slices"
	"strconv"

	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/origin"
	"github.com/bctrl-go/bctrl/internal/prefix"
)

// Verb is what an [Action] does.
type Verb string

// The verbs that mounts decide about, and what the Object of their action is.
const (
	UseAI            Verb = "ai.use"            // a credential id
	UseVault         Verb = "vault.use"         // a vault key: fill it, make its TOTP code, inject it; never see it
	ListVault        Verb = "vault.list"        // a vault key
	ReadVault        Verb = "vault.readRaw"     // a vault key
	GetStorage       Verb = "storage.get"       // a namespace, as for all of storage
	PutStorage       Verb = "storage.put"       // a namespace
	DeleteStorage    Verb = "storage.delete"    // a namespace
	ListStorage      Verb = "storage.list"      // a namespace
	SignStorage      Verb = "storage.sign"      // a namespace
	InvokeCapability Verb = "capability.invoke" // a capability
	VisitHost        Verb = "web.visit"         // a host, or an IP address
)

// Action is one thing that a caller may or may not do.
type Action struct {
	// Verb says what is done.
	Verb Verb `json:"verb"`
	// Object says with what: a credential id, a vault key, the namespace of a
	// file, the id of a capability or a host without its port.
	Object string `json:"object"`
}

// Decision says whether an action is permitted, and what decided it.
type Decision struct {
	// Allowed is the answer.
	Allowed bool `json:"allowed"`
	// Level is the place in the [Chain] of the mounts that decided: 0 is the
	// workspace, 1 the runtime, and so on down. It is 0 for a decision of
	// [Mounts].
	Level int `json:"level"`
	// Field is what decided: an entry "mounts.vault.deny[1]", the list
	// "mounts.vault.allow" when no entry matched, "mounts.vault" when that mount
	// is absent. It is empty when the action itself is malformed.
	Field string `json:"field,omitempty"`
	// Entry is the text of that entry.
	Entry string `json:"entry,omitempty"`
	// Reason says it in words.
	Reason string `json:"reason"`
}

// The reasons of a [Decision].
const (
	reasonAllowed    = "this entry allows it"
	reasonDenied     = "this entry denies it, and a deny wins over every allow"
	reasonNotAllowed = "no entry allows it"
	reasonNoMount    = "nothing of the kind is mounted"
	reasonNoRaw      = "raw reads are not allowed"
	reasonNoStorage  = "storage is dropped"
	reasonInherited  = "this level leaves it to the one above"
	reasonEveryHost  = "nothing here limits the hosts"
	reasonMalformed  = "the action names no such verb, or no such object can exist"
)

// verdict is a decision before it is put in words: deciding allocates nothing.
type verdict struct {
	allowed bool
	field   string // of a list when entry is set
	entry   string
	index   int
	reason  string
}

func (v verdict) decision(level int) Decision {
	d := Decision{
		Allowed: v.allowed,
		Level:   level,
		Field:   v.field,
		Entry:   v.entry,
		Reason:  v.reason,
	}
	if v.index >= 0 {
		d.Field += "[" + strconv.Itoa(v.index) + "]"
	}
	return d
}

// no returns a refusal that no entry of a list is behind.
func no(field, reason string) verdict { return verdict{field: field, index: -1, reason: reason} }

// Explain decides about an action and says which entry of which mount decided.
func (m Mounts) Explain(action Action) Decision { return m.decide(action, false).decision(0) }

// Allows reports whether every level of c permits action. An empty chain
// permits nothing.
func (c Chain) Allows(action Action) bool {
	for i, level := range c {
		if !level.decide(action, i > 0).allowed {
			return false
		}
	}
	return len(c) > 0
}

// Explain decides about an action at every level of c. A refusal is that of the
// first level that refuses; an allowed action is put down to the last level
// that says something about it.
func (c Chain) Explain(action Action) Decision {
	decided, at := no("", reasonNoMount), 0
	for i, level := range c {
		v := level.decide(action, i > 0)
		if !v.allowed {
			return v.decision(i)
		}
		if v.reason != reasonInherited {
			decided, at = v, i
		}
	}
	return decided.decision(at)
}

// AllowsCredential reports whether m permits the use of an AI credential.
func (m Mounts) AllowsCredential(id string) bool {
	return m.decide(Action{UseAI, id}, false).allowed
}

// AllowsVaultKey reports whether m permits the use of a vault key: filling it
// in, making its TOTP code, injecting it, and seeing it in a list. It never
// shows the value.
func (m Mounts) AllowsVaultKey(key string) bool {
	return m.decide(Action{UseVault, key}, false).allowed
}

// AllowsRawRead reports whether m permits reading the value of a vault key.
func (m Mounts) AllowsRawRead(key string) bool {
	return m.decide(Action{ReadVault, key}, false).allowed
}

// AllowsNamespace reports whether m permits files in a storage namespace.
func (m Mounts) AllowsNamespace(ns string) bool {
	return m.decide(Action{GetStorage, ns}, false).allowed
}

// AllowsCapability reports whether m permits invoking a capability.
func (m Mounts) AllowsCapability(id string) bool {
	return m.decide(Action{InvokeCapability, id}, false).allowed
}

// AllowsHost reports whether m permits a runtime's browser to speak to a host: a
// name in any letter case, or an IP address, which "*" alone permits; without a
// port. What is no host is not permitted.
func (m Mounts) AllowsHost(host string) bool {
	return m.decide(Action{VisitHost, host}, false).allowed
}

// decide decides about an action at one level, the only place where mounts say
// yes. What is absent is refused, or left to the level above when inherited.
func (m Mounts) decide(action Action, inherited bool) verdict {
	object := action.Object
	switch action.Verb {
	case UseAI:
		if names.CredentialID(object) == nil {
			return m.AI.decide(object, inherited)
		}
	case UseVault, ListVault, ReadVault:
		if names.VaultKey(object) == nil {
			return m.Vault.decide(object, action.Verb == ReadVault, inherited)
		}
	case GetStorage, PutStorage, DeleteStorage, ListStorage, SignStorage:
		if names.Name(object) == nil {
			return m.Storage.decide(object, inherited)
		}
	case InvokeCapability:
		if names.Capability(object) == nil {
			return m.Capabilities.decide(object, inherited)
		}
	case VisitHost:
		if origin.IsHost(object) {
			return m.Web.decide(object, inherited)
		}
	}
	return no("", reasonMalformed)
}

// absent decides where a level says nothing.
func absent(field string, inherited bool) verdict {
	v := no(field, reasonNoMount)
	if inherited {
		v.allowed, v.reason = true, reasonInherited
	}
	return v
}

// listed returns the verdict of the entry of an allow list at index, or of the
// list when that is -1.
func listed(field string, allow []string, index int) verdict {
	if index < 0 {
		return no(field, reasonNotAllowed)
	}
	return verdict{
		allowed: true,
		field:   field,
		entry:   allow[index],
		index:   index,
		reason:  reasonAllowed,
	}
}

// denied returns the verdict of the entry of a deny list at index.
func denied(field string, deny []string, index int) verdict {
	return verdict{
		field:  field,
		entry:  deny[index],
		index:  index,
		reason: reasonDenied,
	}
}

func (a *AIMount) decide(id string, inherited bool) verdict {
	if a == nil || a.Allow == nil && inherited {
		return absent("mounts.ai", inherited)
	}
	return listed(fieldAIAllow, a.Allow, slices.Index(a.Allow, id))
}

func (v *VaultMount) decide(key string, raw, inherited bool) verdict {
	if v == nil {
		return absent("mounts.vault", inherited)
	}
	if i := prefix.IndexFold(v.Deny, key); i >= 0 {
		return denied(fieldVaultDeny, v.Deny, i)
	}
	allowed := absent(fieldVaultAllow, true)
	if v.Allow != nil || !inherited {
		allowed = listed(fieldVaultAllow, v.Allow, prefix.Index(v.Allow, key))
	}
	if raw && allowed.allowed && !v.rawReads() && (v.AllowRawReads != nil || !inherited) {
		return no(fieldRawReads, reasonNoRaw)
	}
	return allowed
}

func (s *StorageMount) decide(ns string, inherited bool) verdict {
	switch {
	case s == nil || *s == (StorageMount{}):
		return absent("mounts.storage", inherited)
	case s.permits(ns):
		return verdict{
			allowed: true,
			field:   fieldStorage,
			entry:   s.Workspace,
			index:   -1,
			reason:  reasonAllowed,
		}
	case s.Access != "":
		return verdict{
			field:  fieldStorageAccess,
			entry:  string(s.Access),
			index:  -1,
			reason: reasonNoStorage,
		}
	}
	return verdict{
		field:  fieldStorage,
		entry:  s.Workspace,
		index:  -1,
		reason: reasonNotAllowed,
	}
}

func (c *CapabilityMount) decide(id string, inherited bool) verdict {
	if c == nil || c.Allow == nil && inherited {
		return absent("mounts.capabilities", inherited)
	}
	return listed(fieldCapabilityAllow, c.Allow, prefix.Index(c.Allow, id))
}

func (w *WebMount) decide(host string, inherited bool) verdict {
	switch {
	case w == nil && inherited:
		return absent("mounts.web", inherited)
	case w == nil:
		return verdict{
			allowed: true,
			field:   "mounts.web",
			index:   -1,
			reason:  reasonEveryHost,
		}
	}
	if i := origin.IndexHost(w.Deny, host); i >= 0 {
		return denied(fieldWebDeny, w.Deny, i)
	}
	if w.Allow == nil && inherited {
		return absent(fieldWebAllow, true)
	}
	return listed(fieldWebAllow, w.Allow, origin.IndexHost(w.Allow, host))
}
