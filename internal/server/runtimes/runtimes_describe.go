package runtimes

import (
	"slices"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/store"
)

// describeRuntimeTo describes a runtime to a caller. One that acts as the runtime is
// shown its own mounts, which may be lower, and nothing that these do not permit.
func (s *Service) describeRuntimeTo(c access.Caller, rt store.Runtime, ws store.Workspace) bctrl.RuntimeInfo {
	own := c.Runtime
	if own == nil {
		return s.describeRuntime(rt, ws)
	}
	effective := own.Chain.Effective()
	if len(own.Chain) > 2 {
		rt.Mounts = effective
	}
	rt.Launch = launchShownTo(c, rt.Launch)
	return describeEffective(rt, s.knownHere(rt.ID), effective)
}

// launchShownTo is a launch without what it says of credentials and vault entries that
// the caller may not use.
func launchShownTo(c access.Caller, l bctrl.Launch) bctrl.Launch {
	isHidden := func(verb bctrl.Verb, object string) bool {
		return object != "" && !access.Decide(c, access.Action{Verb: verb, Object: object})
	}
	if isHidden(bctrl.UseAI, l.Credential) {
		l.Credential = ""
	}
	if l.Config == nil {
		return l
	}
	config := *l.Config
	if p := config.Proxy; p != nil && isHidden(bctrl.UseVault, p.VaultKey) {
		config.Proxy = &bctrl.LaunchProxy{Bypass: p.Bypass}
	}
	config.Headers = slices.Clone(config.Headers)
	for i := range config.Headers {
		if h := &config.Headers[i]; isHidden(bctrl.UseVault, h.VaultKey) {
			h.VaultKey, h.Prefix, h.Value = "", "", ""
		}
	}
	l.Config = &config
	return l
}

// describeRuntime describes a runtime under the mounts that it has in its workspace.
func (s *Service) describeRuntime(rt store.Runtime, ws store.Workspace) bctrl.RuntimeInfo {
	return describeAs(rt, ws, s.knownHere(rt.ID))
}

// describeAs is describeRuntime with what its node alone knows of it.
func describeAs(rt store.Runtime, ws store.Workspace, known KnownOfNode) bctrl.RuntimeInfo {
	return describeEffective(rt, known, bctrl.Chain{ws.Mounts, rt.Mounts}.Effective())
}

// describeEffective describes a runtime with the mounts that are in effect for whoever
// is told.
func describeEffective(rt store.Runtime, known KnownOfNode, effective bctrl.Mounts) bctrl.RuntimeInfo {
	info := bctrl.RuntimeInfo{
		ID:              rt.ID,
		WorkspaceID:     rt.WorkspaceID,
		Alias:           rt.Alias,
		Kind:            bctrl.KindBrowser,
		Driver:          rt.Driver,
		Status:          rt.Status,
		Launch:          rt.Launch,
		EffectiveMounts: effective,
		Group:           rt.Group,
		CreatedAt:       rt.CreatedAt,
		UpdatedAt:       rt.UpdatedAt,
		Summary:         bctrl.RuntimeSummary{BrowserRunning: rt.Status == bctrl.RuntimeActive, Message: rt.Reason},
	}
	switch rt.Status {
	case bctrl.RuntimeFailed, bctrl.RuntimeStopped:
		info.Summary.Code = codeOfEnd(rt.Status, rt.Reason)
	case bctrl.RuntimeActive:
		info.Summary.CurrentDriver = rt.Driver
	case bctrl.RuntimeStarting: // as its row has it also while it waits for room
		if known.QueuePlace > 0 {
			info.Status, info.Summary.QueuePlace = bctrl.RuntimeQueued, known.QueuePlace
		}
	}
	info.Summary.BlockedRequests, info.Summary.BlockedHosts = known.BlockedRequests, known.BlockedHosts
	if effective.Storage != nil {
		info.Summary.StorageWorkspace = effective.Storage.Workspace
	}
	if m := rt.Mounts; m != (bctrl.Mounts{}) {
		info.Mounts = &m
	}
	return info
}
