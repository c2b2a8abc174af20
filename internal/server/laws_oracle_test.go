package server

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
)

// The oracle decides from the text of the semantics and the JSON that is sent,
// one level at a time. It shares no code with what it judges, not even the
// types that mounts are decoded into.

// The small world of the laws. Segments that differ in case or begin alike are
// traps for whoever compares letters instead of segments.
var (
	lawKeys = strings.Fields("a A ab a/a a/A a/ab A/a ab/a a/a/a a/A/ab ab/ab/a z a/z a/a/z Z/a")
	// An allow or a deny is one of these.
	lawPrefixes   = strings.Fields("/ a a/ A A/ ab ab/ a/a a/a/ a/A a/ab/ z a/z")
	lawIDs        = strings.Fields("one two One")
	lawNamespaces = strings.Fields("exports Exports other")
	lawPatterns   = strings.Fields("/ github/ github/repos slack/post slack/")
	lawInvoked    = strings.Fields("github/repos github/issues slack/post jira/x")
	lawHosts      = strings.Fields("a.test A.Test b.a.test c.b.a.test ab.test test localhost 10.0.0.1 ::1 0.a.test")
	// An allow or a deny of hosts is one of these.
	lawHostPatterns = strings.Fields("* a.test *.a.test A.test localhost *.b.a.test ab.test b.A.test")
)

// lawActions are all that is asked.
func lawActions() (all []bctrl.Action) {
	add := func(objects []string, verbs ...bctrl.Verb) {
		for _, v := range verbs {
			for _, o := range objects {
				all = append(all, bctrl.Action{Verb: v, Object: o})
			}
		}
	}
	add(lawKeys, bctrl.UseVault, bctrl.ListVault, bctrl.ReadVault)
	add(lawIDs, bctrl.UseAI)
	add(lawNamespaces, bctrl.GetStorage, bctrl.PutStorage, bctrl.DeleteStorage, bctrl.ListStorage, bctrl.SignStorage)
	add(lawInvoked, bctrl.InvokeCapability)
	add(lawHosts, bctrl.VisitHost)
	return all
}

// wireMounts are mounts as the oracle reads them. A nil list is one that is
// not there.
type wireMounts struct {
	AI    *struct{ Allow []string }
	Vault *struct {
		Allow, Deny   []string
		AllowRawReads *bool
	}
	Storage      *struct{ Workspace, Access string }
	Capabilities *struct{ Allow []string }
	Web          *struct{ Allow, Deny []string }
}

// holdsHost is: "* every host; *.example.com every host strictly below; example.com that
// host alone", whatever the letter case; an address is held by * alone.
func holdsHost(patterns []string, host string) bool {
	host = "." + strings.ToLower(host)
	address := strings.Contains(host, ":") || host == ".10.0.0.1"
	return slices.ContainsFunc(patterns, func(p string) bool {
		p = strings.ToLower(p)
		below, wild := strings.CutPrefix(p, "*")
		switch {
		case p == "*":
			return true
		case address:
			return false
		case wild:
			return strings.HasSuffix(host, below) && host != below
		}
		return host == "."+p
	})
}

// holds is: "prod/crm/ is everything strictly below; prod/crm is that key and
// everything below it; / is every key", by segments.
func holds(prefix, name string) bool {
	if prefix == "/" {
		return true
	}
	above, below := strings.Split(strings.TrimSuffix(prefix, "/"), "/"), strings.Split(name, "/")
	if len(below) < len(above) || !slices.Equal(above, below[:len(above)]) {
		return false
	}
	return len(below) > len(above) || !strings.HasSuffix(prefix, "/")
}

func anyHolds(prefixes []string, name string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return holds(p, name) })
}

// permits decides at one level; inherits says that it is not the workspace's.
func (m wireMounts) permits(a bctrl.Action, inherits bool) bool {
	listed := func(absent bool, list []string, match func([]string) bool) bool {
		if absent || list == nil {
			return inherits
		}
		return match(list)
	}
	switch a.Verb {
	case bctrl.UseAI:
		return m.AI == nil && inherits || m.AI != nil && listed(false, m.AI.Allow, func(l []string) bool {
			return slices.Contains(l, a.Object)
		})
	case bctrl.InvokeCapability:
		return m.Capabilities == nil && inherits || m.Capabilities != nil &&
			listed(false, m.Capabilities.Allow, func(l []string) bool {
				return anyHolds(l, a.Object)
			})
	case bctrl.VisitHost:
		w := m.Web
		return w == nil || !holdsHost(w.Deny, a.Object) &&
			listed(false, w.Allow, func(l []string) bool { return holdsHost(l, a.Object) })
	case bctrl.UseVault, bctrl.ListVault, bctrl.ReadVault:
		v := m.Vault
		if v == nil {
			return inherits
		}
		for _, d := range v.Deny { // "deny matches case-insensitively"
			if holds(strings.ToLower(d), strings.ToLower(a.Object)) {
				return false
			}
		}
		if !listed(false, v.Allow, func(l []string) bool { return anyHolds(l, a.Object) }) {
			return false
		}
		if a.Verb != bctrl.ReadVault {
			return true
		}
		return v.AllowRawReads == nil && inherits || v.AllowRawReads != nil && *v.AllowRawReads
	}
	s := m.Storage
	if s == nil || s.Workspace == "" && s.Access == "" {
		return inherits
	}
	return s.Access != "none" && s.Workspace == a.Object
}

// verdicts are the oracle's answers of one level, a bit for each action.
type verdicts [2]uint64

func (v verdicts) has(i int) bool { return v[i/64]&(1<<(i%64)) != 0 }

func judge(text []byte, actions []bctrl.Action, inherits bool) (v verdicts, err error) {
	var m wireMounts
	if err := json.Unmarshal(text, &m); err != nil {
		return v, err
	}
	for i, a := range actions {
		if m.permits(a, inherits) {
			v[i/64] |= 1 << (i % 64)
		}
	}
	return v, nil
}

// drawer makes mounts at random.
type drawer struct{ *rand.Rand }

func (d drawer) some(from []string, longest int) []string {
	list := make([]string, d.IntN(longest+1))
	for i := range list {
		list[i] = from[d.IntN(len(from))]
	}
	return list
}

// maybe leaves a list out once in three times.
func (d drawer) maybe(list []string) []string {
	if d.IntN(3) == 0 {
		return nil
	}
	return list
}

// workspace draws a workspace's mounts, declared those of a level below.
func (d drawer) workspace() bctrl.Mounts {
	m := bctrl.Mounts{
		AI: &bctrl.AIMount{Allow: d.some(lawIDs, 3)},
		Vault: &bctrl.VaultMount{
			Allow: d.some(lawPrefixes, 4), Deny: d.some(lawPrefixes[1:], 1), AllowRawReads: new(d.IntN(3) > 0),
		},
		Storage:      &bctrl.StorageMount{Workspace: lawNamespaces[d.IntN(len(lawNamespaces))]},
		Capabilities: &bctrl.CapabilityMount{Allow: d.some(lawPatterns, 3)},
		Web:          &bctrl.WebMount{Allow: d.some(lawHostPatterns, 4), Deny: d.some(lawHostPatterns[1:], 1)},
	}
	if d.IntN(3) == 0 {
		m.Vault.Allow = []string{"/"}
	}
	d.drop(&m)
	return m
}

func (d drawer) declared() bctrl.Mounts {
	m := bctrl.Mounts{
		AI:           &bctrl.AIMount{Allow: d.maybe(d.some(lawIDs, 3))},
		Vault:        &bctrl.VaultMount{Allow: d.maybe(d.some(lawPrefixes, 4)), Deny: d.maybe(d.some(lawPrefixes[1:], 1))},
		Storage:      &bctrl.StorageMount{},
		Capabilities: &bctrl.CapabilityMount{Allow: d.maybe(d.some(lawPatterns, 3))},
		Web: &bctrl.WebMount{
			Allow: d.maybe(d.some(lawHostPatterns, 4)), Deny: d.maybe(d.some(lawHostPatterns[1:], 1)),
		},
	}
	if d.IntN(2) == 0 {
		m.Vault.AllowRawReads = new(d.IntN(4) > 0)
	}
	if d.IntN(4) == 0 {
		m.Storage.Workspace = lawNamespaces[d.IntN(len(lawNamespaces))]
	}
	d.drop(&m)
	return m
}

// drop leaves whole mounts out.
func (d drawer) drop(m *bctrl.Mounts) {
	if d.IntN(8) == 0 {
		m.AI = nil
	}
	if d.IntN(8) == 0 {
		m.Vault = nil
	}
	switch d.IntN(8) {
	case 0:
		m.Storage = nil
	case 1:
		m.Storage = &bctrl.StorageMount{Access: bctrl.StorageNone}
	}
	if d.IntN(8) == 0 {
		m.Capabilities = nil
	}
	if d.IntN(3) == 0 {
		m.Web = nil
	}
}
