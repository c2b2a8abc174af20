package bctrl

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
)

// limits bounds calls to what one runtime may do: the SDK refuses what the
// mounts do not permit, and the server is told to hold the call to them.
type limits struct {
	runtimeID string
	effective atomic.Pointer[Mounts] // replaced by [Runtime.Refresh]
	// declared is what handles have narrowed below the runtime, narrowed its
	// BCTRL-Mounts header. Both are empty for a handle as launched: then the
	// server's own knowledge of the runtime decides.
	declared Mounts
	narrowed string
}

// maxNarrowed bounds the BCTRL-Mounts header, in bytes: the server takes 64 KiB of
// headers, and 4 more that net/http allows for.
const maxNarrowed = 60 << 10

func newLimits(runtimeID string, effective Mounts) *limits {
	s := &limits{runtimeID: runtimeID}
	s.effective.Store(&effective)
	return s
}

// mounts are the effective ones, as last read. They are not to be changed.
func (s *limits) mounts() Mounts { return *s.effective.Load() }

// lower returns the limits below s for a handle that declares m. The server is
// sent what was declared and not what it amounts to, so that a workspace that
// is lowered elsewhere does not turn the rest into a widening.
func (s *limits) lower(m Mounts) (*limits, error) {
	effective, err := s.mounts().Narrow(m)
	if err != nil {
		return nil, err
	}
	declared := s.declared.then(m)
	text, err := encode("mounts", declared)
	if err != nil {
		return nil, err
	}
	lower := newLimits(s.runtimeID, effective)
	lower.declared, lower.narrowed = declared, base64.RawURLEncoding.EncodeToString(text)
	return lower, nil
}

// then returns the one declaration that equals m followed by next, which
// narrows it: what next leaves out is m's, but for defaults that it no longer
// allows, and denies add up.
func (m Mounts) then(next Mounts) Mounts {
	out := m.clone()
	next = next.clone()
	if ai := next.AI; ai != nil {
		if out.AI != nil {
			ai.Allow = orBefore(ai.Allow, out.AI.Allow)
			if ai.Defaults == nil {
				ai.Defaults = out.AI.Defaults
				if ai.Allow != nil { // where nobody says what is allowed, nothing has been taken away
					ai.Defaults = allowedDefaults(ai.Defaults, ai.Allow)
				}
			}
		}
		out.AI = ai
	}
	if v := next.Vault; v != nil {
		if before := out.Vault; before != nil {
			v.Allow = orBefore(v.Allow, before.Allow)
			v.Deny = append(before.Deny, v.Deny...)
			if v.AllowRawReads == nil {
				v.AllowRawReads = before.AllowRawReads
			}
		}
		out.Vault = v
	}
	if storage := next.Storage; storage != nil && *storage != (StorageMount{}) { // an empty one says nothing
		out.Storage = storage
	}
	if c := next.Capabilities; c != nil {
		if out.Capabilities != nil {
			c.Allow = orBefore(c.Allow, out.Capabilities.Allow)
		}
		out.Capabilities = c
	}
	if w := next.Web; w != nil {
		if before := out.Web; before != nil {
			w.Allow = orBefore(w.Allow, before.Allow)
			w.Deny = append(before.Deny, w.Deny...)
		}
		out.Web = w
	}
	return out
}

// orBefore tells an absent list from an empty one.
func orBefore(list, before []string) []string {
	if list == nil {
		return before
	}
	return list
}

// refuseVisit refuses an address whose host m does not permit, as the server does. What
// is no address is for the server to refuse.
func (m Mounts) refuseVisit(address string) error {
	var host string
	if u, err := url.Parse(address); err == nil {
		host = u.Hostname()
	}
	if host == "" || m.Web == nil || m.AllowsHost(host) {
		return nil
	}
	return refusal(http.StatusForbidden, "page.host_outside_mount", "",
		"the mounts do not permit the browser to speak to "+quotable(host)).
		hinted("mount it in the workspace, in web.allow, and keep it in every narrower level")
}

// outside is the refusal of something the mounts do not permit, as the server
// answers it: the same whether or not the thing exists. Its hint names the
// missing right.
func outside(missing Verb, message, hint string) *Error {
	area, _, _ := strings.Cut(string(missing), ".")
	return refusal(http.StatusForbidden, area+".outside_mount", "",
		message).hinted("the missing right is " + string(missing) + ": " + hint)
}
