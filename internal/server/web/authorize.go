package web

import (
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
)

// Authorize asks access whether the caller may do what the route does to the
// object, and refuses with [OutsideMount]. The answer to a denied request is the same
// whether or not the object exists: nothing is looked up before.
func (rq *Request) Authorize(object string) error {
	return rq.authorizeAs(rq.Route.Verb, object)
}

// authorizeAs is [Request.Authorize] for a right other than the route's own.
func (rq *Request) authorizeAs(verb access.Verb, object string) error {
	rq.Object = object
	rq.decided = true
	if rq.Granted.Decide(&rq.Caller, access.Action{Verb: verb, Object: object}) {
		return nil
	}
	return OutsideMount(verb)
}

// OutsideMount is the refusal, <area>.outside_mount, of what the mounts do not
// permit.
func OutsideMount(verb access.Verb) *bctrl.Error {
	area, _, _ := strings.Cut(string(verb), ".")
	e := Forbidden(area+".outside_mount", "the mounts do not permit "+string(verb)+" here")
	hint := "no mount gives it; use the organization key"
	if mount := mountOf(verb); mount != "" {
		hint = "permit it in " + mount + " of the workspace, and of every narrower level that says something else"
	}
	return WithHint(e, "the missing right is "+string(verb)+": "+hint)
}

// mountOf is the field of the mounts that gives a right, or "" where none does.
func mountOf(verb access.Verb) string {
	switch verb {
	case bctrl.UseAI, access.AIRead:
		return "mounts.ai.allow"
	case bctrl.UseVault, bctrl.ListVault:
		return "mounts.vault.allow"
	case bctrl.ReadVault:
		return "mounts.vault.allowRawReads, for keys of mounts.vault.allow,"
	case bctrl.GetStorage, bctrl.PutStorage, bctrl.DeleteStorage, bctrl.ListStorage, bctrl.SignStorage:
		return "mounts.storage"
	case bctrl.InvokeCapability, access.CapabilityRead:
		return "mounts.capabilities.allow"
	case bctrl.VisitHost:
		return "mounts.web.allow"
	}
	return ""
}

// MarkDecided says that whether the caller may do what the route does to the
// object was decided otherwise than by [Request.Authorize]. Empty is no object in
// particular, as for a list that shows what its caller may see.
func (rq *Request) MarkDecided(object string) { rq.Object, rq.decided = object, true }
