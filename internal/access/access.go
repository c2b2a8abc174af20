// Package access says yes or no. [Decide] is the only place that does: every
// route names the right it needs, and every use of a secret or a file inside
// the server asks here first.
package access

import (
	"slices"
	"time"

	"github.com/bctrl-go/bctrl"
)

// Verb is a right, as the documentation of each SDK method names it.
type Verb = bctrl.Verb

// The rights beside those that mounts give, which the SDK defines.
const (
	AIRead  Verb = "ai.read"
	AIWrite Verb = "ai.write"

	VaultWrite Verb = "vault.write"

	WorkspaceRead  Verb = "workspace.read"
	WorkspaceWrite Verb = "workspace.write"

	RuntimeLaunch  Verb = "runtime.launch"
	RuntimeList    Verb = "runtime.list"
	RuntimeRead    Verb = "runtime.read"
	RuntimeStop    Verb = "runtime.stop"
	RuntimeConnect Verb = "runtime.connect"
	// RuntimeDisconnect is to end a connect URL.
	RuntimeDisconnect Verb = "runtime.disconnect"
	RuntimeExecute    Verb = "runtime.execute"
	// RuntimeSaveProfile is to have what the browser has kept in its profile now.
	RuntimeSaveProfile Verb = "runtime.save_profile"

	OperationRead   Verb = "operation.read"
	OperationCancel Verb = "operation.cancel"

	ProfileRead  Verb = "profile.read"
	ProfileWrite Verb = "profile.write"
	// ProfileExport is to take a profile's cookies away, sealed under a passphrase.
	ProfileExport Verb = "profile.export"

	SecretRead  Verb = "secret.read"
	SecretWrite Verb = "secret.write"

	CredentialRead  Verb = "credential.read"
	CredentialWrite Verb = "credential.write"

	CapabilityRead  Verb = "capability.read"
	CapabilityWrite Verb = "capability.write"

	BindingRead  Verb = "binding.read"
	BindingWrite Verb = "binding.write"

	WebhookRead  Verb = "webhook.read"
	WebhookWrite Verb = "webhook.write"

	AuditRead Verb = "audit.read"

	KeyRead  Verb = "key.read"
	KeyWrite Verb = "key.write"

	TokenWrite Verb = "token.write"

	// SelfRead is to learn who one is, which every caller may.
	SelfRead Verb = "self.read"

	// NodeList and NodeDrain are the operator's too: which servers share the database.
	NodeList  Verb = "node.list"
	NodeDrain Verb = "node.drain"
	// SealRead and SealWrite are the operator's: of the organization that the
	// server's first run made.
	SealRead  Verb = "seal.read"
	SealWrite Verb = "seal.write"

	SubaccountRead  Verb = "subaccount.read"
	SubaccountWrite Verb = "subaccount.write"

	// Public needs no caller: health, the API's description, and links that
	// carry their own proof.
	Public Verb = "public"
)

// mounted are the rights that mounts give.
var mounted = []Verb{
	bctrl.UseAI, bctrl.UseVault, bctrl.ListVault, bctrl.ReadVault,
	bctrl.GetStorage, bctrl.PutStorage, bctrl.DeleteStorage, bctrl.ListStorage, bctrl.SignStorage,
	bctrl.InvokeCapability, bctrl.VisitHost,
}

// own are the rights that a runtime caller has to its own runtime.
var own = []Verb{
	RuntimeRead, RuntimeStop, RuntimeConnect, RuntimeDisconnect, RuntimeExecute, RuntimeSaveProfile,
	OperationRead, OperationCancel,
}

// ForRuntimes reports whether a runtime caller can have the right at all. All
// others are administrative and belong to organization keys alone.
func ForRuntimes(v Verb) bool {
	return v == Public || v == SelfRead || v == AIRead || v == CapabilityRead || slices.Contains(mounted, v) ||
		slices.Contains(own, v)
}

// Action is what a caller wants to do.
type Action struct {
	Verb Verb
	// Object is what it is done to: a vault key, a credential id, a storage
	// namespace, or a runtime's id, as the verb says.
	Object string
}

// Caller is who asks.
type Caller struct {
	// Org is the organization that it acts in.
	Org string
	// Parent is the organization that its key belongs to, where Org is a
	// subaccount of that; else empty.
	Parent string
	// KeyID is the organization key it came with.
	KeyID string
	// Token is the runtime token it came with, in place of a key. Runtime is
	// then set too.
	Token *Token
	// Runtime is set when the caller acts as a runtime, and then bounds it.
	Runtime *Runtime
}

// Token is a runtime token that is genuine.
type Token struct {
	ID      string
	Expires time.Time
}

// Runtime is a caller bound to one runtime.
type Runtime struct {
	ID, Alias, WorkspaceID, Group string
	// Chain holds the mounts of the workspace as they are now, then what the
	// runtime and each level below declared: a token's, a request's.
	Chain bctrl.Chain
	// Version is that of the workspace whose mounts Chain begins with.
	Version int64
	// Launched is the chain that the levels below the runtime were declared
	// under: what the runtime permitted when it was launched, and they.
	Launched bctrl.Chain
}

// Narrow returns the runtime with one more level. The level must not widen
// what is above it, now or when the runtime was launched: one that was
// declared before its workspace was lowered is cut to what is left, and one
// that never fitted is refused with a witness.
func (r Runtime) Narrow(mounts bctrl.Mounts) (*Runtime, error) {
	if _, err := r.Chain.Effective().Narrow(mounts); err != nil {
		if _, stale := r.Launched.Effective().Narrow(mounts); stale != nil {
			return nil, err
		}
	}
	r.Chain = append(slices.Clip(r.Chain), mounts)
	r.Launched = append(slices.Clip(r.Launched), mounts)
	return &r, nil
}

// Name is how the caller appears in the audit log.
func (c Caller) Name() string {
	switch {
	case c.Token != nil:
		return "token:" + c.Token.ID
	case c.Runtime != nil:
		return "runtime:" + c.Runtime.ID
	case c.KeyID != "":
		return "key:" + c.KeyID
	}
	return "anonymous"
}

// Decide reports whether the caller may do what a names. An organization key
// may do everything in its organization; a runtime caller only what every
// level of its chain permits, and to its own runtime.
func Decide(c Caller, a Action) bool {
	switch rt := c.Runtime; {
	case a.Verb == Public:
		return true
	case c.Org == "" || c.Token != nil && rt == nil:
		return false
	case rt == nil || a.Verb == SelfRead:
		return true
	case slices.Contains(mounted, a.Verb):
		return rt.Chain.Allows(bctrl.Action{Verb: a.Verb, Object: a.Object})
	case a.Verb == AIRead:
		return rt.Chain.Allows(bctrl.Action{Verb: bctrl.UseAI, Object: a.Object})
	case a.Verb == CapabilityRead:
		return rt.Chain.Allows(bctrl.Action{Verb: bctrl.InvokeCapability, Object: a.Object})
	case slices.Contains(own, a.Verb):
		return a.Object == rt.ID
	}
	return false
}
