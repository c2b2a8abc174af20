package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// oracleSecret is a secret as the rules have it.
type oracleSecret struct {
	scope    bctrl.Scope
	name     string
	aliases  []string
	attached []bctrl.Scope
	value    string
	version  int64
}

func (s oracleSecret) has(name string) bool {
	return s.name == name || slices.Contains(s.aliases, name)
}

// oracle is all that an organization should hold, in the simplest form there
// is.
type oracle struct {
	workspaces map[string]string // ids by name
	secrets    map[string]oracleSecret
}

// taken reports whether a scope has one of the names, of another secret.
func (o oracle) taken(scope bctrl.Scope, but string, names ...string) bool {
	for id, s := range o.secrets {
		if id != but && s.scope == scope && slices.ContainsFunc(names, s.has) {
			return true
		}
	}
	return false
}

// secretMachine plays an organization against its oracle, through the SDK and
// a real HTTP server.
type secretMachine struct {
	oracle
	h      *harness
	client *bctrl.Client
	org    string
}

// The names are few, so that they meet.
var (
	drawName  = rapid.SampledFrom([]string{"A", "B", "C", "a"})
	drawWS    = rapid.SampledFrom([]string{"w1", "w2"})
	drawGroup = rapid.SampledFrom([]string{"g", "h"})
	drawValue = rapid.StringN(1, 20, 40)
	drawNames = rapid.SliceOfNDistinct(drawName, 1, 3, rapid.ID[string])
)

// scope draws one as a caller gives it, and says how it is stored: zero where
// its workspace is not there.
func (m *secretMachine) scope(t *rapid.T) (given, stored bctrl.Scope) {
	name, group := drawWS.Draw(t, "workspace"), drawGroup.Draw(t, "group")
	id := m.workspaces[name]
	by := name
	if id != "" && rapid.Bool().Draw(t, "by id") {
		by = id
	}
	switch rapid.IntRange(0, 2).Draw(t, "type") {
	case 0:
		return bctrl.Global(), bctrl.Global()
	case 1:
		if id == "" {
			return bctrl.InWorkspace(by), bctrl.Scope{}
		}
		return bctrl.InWorkspace(by), bctrl.InWorkspace(id)
	}
	if id == "" {
		return bctrl.InGroup(by, group), bctrl.Scope{}
	}
	return bctrl.InGroup(by, group), bctrl.InGroup(id, group)
}

// any draws a secret that is there, mostly.
func (m *secretMachine) any(t *rapid.T) string {
	ids := append([]string{web.NewID()}, slices.Sorted(maps.Keys(m.secrets))...)
	return ids[rapid.IntRange(min(1, len(ids)-1), len(ids)-1).Draw(t, "secret")]
}

// expect holds a call's error to a code; empty is none.
func expect(t *rapid.T, err error, code string) bool {
	var e *bctrl.Error
	got := ""
	if errors.As(err, &e) {
		got = e.Code
	} else {
		require.NoError(t, err)
	}
	require.Equal(t, code, got)
	return code == ""
}

func (m *secretMachine) create(t *rapid.T) {
	given, stored := m.scope(t)
	names, value := drawNames.Draw(t, "names"), drawValue.Draw(t, "value")
	s, err := m.client.Secrets.Create(m.h.Context(), bctrl.SecretCreate{
		Name:    names[0],
		Aliases: names[1:],
		Value:   bctrl.NewSecret(value),
		Scope:   given,
	})
	code := ""
	switch {
	case stored.IsZero():
		code = "scope.workspace_not_found"
	case m.taken(stored, "", names...):
		code = "secrets.exists"
	}
	if expect(t, err, code) {
		m.secrets[s.ID] = oracleSecret{
			scope:   stored,
			name:    names[0],
			aliases: names[1:],
			value:   value,
			version: 1,
		}
	}
}

// change makes a change that the rules permit unless code says otherwise.
func (m *secretMachine) change(t *rapid.T, id string, err error, code string, fn func(s *oracleSecret) bool) {
	before, there := m.secrets[id]
	if !there {
		code = "secrets.not_found"
	}
	if expect(t, err, code) {
		after := before
		if fn(&after) {
			after.version++
		}
		m.secrets[id] = after
	}
}

func (m *secretMachine) rename(t *rapid.T) {
	id, names := m.any(t), drawNames.Draw(t, "names")
	_, err := m.client.Secrets.Update(m.h.Context(), id, bctrl.SecretUpdate{Name: &names[0], Aliases: names[1:]})
	code := ""
	if m.taken(m.secrets[id].scope, id, names...) {
		code = "secrets.exists"
	}
	m.change(t, id, err, code, func(s *oracleSecret) bool {
		changed := s.name != names[0] || !slices.Equal(s.aliases, names[1:])
		s.name, s.aliases = names[0], names[1:]
		return changed
	})
}

func (m *secretMachine) rotate(t *rapid.T) {
	id, value := m.any(t), drawValue.Draw(t, "value")
	_, err := m.client.Secrets.Rotate(m.h.Context(), id, bctrl.NewSecret(value))
	m.change(t, id, err, "", func(s *oracleSecret) bool { s.value = value; return true })
}

func (m *secretMachine) remove(t *rapid.T) {
	id := m.any(t)
	err := m.client.Secrets.Delete(m.h.Context(), id)
	m.change(t, id, err, "", func(*oracleSecret) bool { return false })
	delete(m.secrets, id)
}

func (m *secretMachine) attach(t *rapid.T) {
	id, ws, group := m.any(t), drawWS.Draw(t, "workspace"), drawGroup.Draw(t, "group")
	call, to := m.client.Secrets.AttachGroup, bctrl.InGroup(m.workspaces[ws], group)
	on := rapid.Bool().Draw(t, "on")
	if !on {
		call = m.client.Secrets.DetachGroup
	}
	_, err := call(m.h.Context(), id, ws, group)
	code := ""
	if m.workspaces[ws] == "" {
		code = "scope.workspace_not_found"
	}
	m.change(t, id, err, code, func(s *oracleSecret) bool {
		if slices.Contains(s.attached, to) == on {
			return false
		}
		if on {
			s.attached = append(slices.Clone(s.attached), to)
		} else {
			s.attached = slices.DeleteFunc(slices.Clone(s.attached), func(a bctrl.Scope) bool { return a == to })
		}
		return true
	})
}

func (m *secretMachine) load(t *rapid.T) {
	given, stored := m.scope(t)
	names := drawNames.Draw(t, "names")
	values := map[string]string{}
	var text strings.Builder
	touched := map[string]bool{}
	code := ""
	for _, name := range names {
		values[name] = rapid.StringMatching(`[a-z]{0,3}`).Draw(t, "value")
		fmt.Fprintf(&text, "export %s='%s' # c\r\n", name, values[name])
		for id, s := range m.secrets {
			if s.scope == stored && s.has(name) && values[name] != "" {
				if touched[id] {
					code = "secrets.duplicate_name"
				}
				touched[id] = true
			}
		}
	}
	if stored.IsZero() {
		code = "scope.workspace_not_found"
	}
	out, err := m.client.Secrets.Import(m.h.Context(),
		bctrl.SecretImport{Scope: given, Text: bctrl.NewSecret(text.String())})
	if !expect(t, err, code) {
		return
	}
	for _, name := range names {
		if values[name] == "" {
			require.Contains(t, out.Skipped, name)
			continue
		}
		if !m.taken(stored, "", name) {
			i := slices.IndexFunc(out.Created, func(s bctrl.SecretInfo) bool { return s.Name == name })
			require.GreaterOrEqual(t, i, 0)
			m.secrets[out.Created[i].ID] = oracleSecret{
				scope:   stored,
				name:    name,
				value:   values[name],
				version: 1,
			}
			continue
		}
		for id, s := range m.secrets {
			if s.scope == stored && s.has(name) {
				s.value, s.version = values[name], s.version+1
				m.secrets[id] = s
			}
		}
	}
}

// workspace makes one, or deletes it with all that lives in it.
func (m *secretMachine) workspace(t *rapid.T) {
	name := drawWS.Draw(t, "workspace")
	id := m.workspaces[name]
	if id == "" {
		ws, err := m.client.Workspaces.Create(m.h.Context(), bctrl.WorkspaceCreate{Name: name})
		require.NoError(t, err)
		m.workspaces[name] = ws.ID
		return
	}
	require.NoError(t, m.client.Workspaces.Delete(m.h.Context(), id))
	delete(m.workspaces, name)
	for sid, s := range m.secrets {
		if s.scope.WorkspaceID() == id {
			delete(m.secrets, sid)
			continue
		}
		kept := slices.DeleteFunc(slices.Clone(s.attached), func(a bctrl.Scope) bool { return a.WorkspaceID() == id })
		if len(kept) != len(s.attached) {
			s.attached, s.version = kept, s.version+1
			m.secrets[sid] = s
		}
	}
}

// check compares all that is stored, and what it is found by, with the oracle.
func (m *secretMachine) check(t *rapid.T) {
	ctx := m.h.Context()
	seen := map[string]oracleSecret{}
	for s, err := range m.client.Secrets.List(ctx, bctrl.SecretFilter{}) {
		require.NoError(t, err)
		stored, err := m.h.db.Read().Secret(ctx, m.org, s.ID)
		require.NoError(t, err)
		sec, err := m.h.server.catalog.OpenSecret(m.org, stored)
		require.NoError(t, err)
		seen[s.ID] = oracleSecret{s.Scope, s.Name, s.Aliases, s.Attachments, sec.Value.Reveal(), s.Version}
		index, err := m.h.db.Read().SecretIndex(ctx, s.ID)
		require.NoError(t, err)
		require.ElementsMatch(t, append([]string{s.Name}, s.Aliases...), index.Names)
		require.ElementsMatch(t, sec.Meta.Attachments, index.Attachments)
		for _, name := range index.Names {
			row, err := m.h.db.Read().SecretByName(ctx, m.org, s.Scope, name)
			require.NoError(t, err)
			require.Equal(t, s.ID, row.ID)
		}
	}
	require.Equal(t, m.plain(m.secrets), m.plain(seen))
}

// plain is a text of what can be compared: without the order of attachments
// and the difference between none and nil.
func (*secretMachine) plain(secrets map[string]oracleSecret) (lines []string) {
	for id, s := range secrets {
		sorted := make([]string, len(s.attached))
		for i, a := range s.attached {
			sorted[i] = a.String()
		}
		sort.Strings(sorted)
		lines = append(lines, fmt.Sprintf("%s %s %s %q %q %q v%d", id, s.scope, s.name, s.aliases, sorted, s.value,
			s.version))
	}
	sort.Strings(lines)
	return lines
}

// TestSecretsAreWhatTheRulesMakeOfThem plays random changes against the oracle.
func TestSecretsAreWhatTheRulesMakeOfThem(t *testing.T) {
	h := newHarness(t)
	first := h.key
	rapid.Check(t, func(t *rapid.T) {
		key, err := h.server.createOrganization(h.Context(), web.NewID())
		require.NoError(t, err)
		h.key = key.Expose()
		m := &secretMachine{h: h, client: h.sdk(straight), oracle: oracle{map[string]string{}, map[string]oracleSecret{}}}
		caller, err := m.client.Self(h.Context())
		require.NoError(t, err)
		m.org = caller.Organization
		actions := []func(*rapid.T){m.create, m.create, m.load, m.workspace, m.rename, m.rotate, m.remove, m.attach, m.attach}
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(actions)-1), 1, 25).Draw(t, "actions") {
			actions[i](t)
			m.check(t)
		}
	})
	h.key = first
	require.True(t, h.verified(), "every state is in the log")
}

// together runs calls at the same time, and returns their errors.
func together(n int, call func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			errs[i] = call(i)
		})
	}
	close(start)
	all.Wait()
	return errs
}

func TestOneOfManyCreatorsOfANameWins(t *testing.T) {
	h := newHarness(t)
	client := h.sdk(straight)
	for round := range 5 {
		name := fmt.Sprint("KEY", round)
		errs := together(8, func(i int) error {
			names := []string{name, fmt.Sprint("other", round, "_", i)}
			slices.Reverse(names[:1+i%2])
			_, err := client.Secrets.Create(h.Context(), bctrl.SecretCreate{
				Name:    names[0],
				Aliases: names[1:],
				Value:   bctrl.NewSecret("v"),
				Scope:   bctrl.Global(),
			})
			return err
		})
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				require.ErrorIs(t, err, bctrl.ErrConflict)
			}
		}
		require.Equal(t, 1, won)
	}
	require.Len(t, h.listed(), 5)
}

func TestWhoDeletesWhileOthersAttachRotateAndRenameLeavesNothing(t *testing.T) {
	h := newHarness(t)
	client, ctx := h.sdk(straight), h.Context()
	ws := h.made("w", object{})
	for round := range 5 {
		id := h.secretIn(globally(), fmt.Sprint("KEY", round), "v").ID
		for _, err := range together(8, func(i int) (err error) {
			switch i {
			case 7:
				return client.Secrets.Delete(ctx, id)
			case 6:
				_, err = client.Secrets.Rotate(ctx, id, bctrl.NewSecret("w"))
			case 5:
				_, err = client.Secrets.Update(ctx, id, bctrl.SecretUpdate{Name: new("NEW")})
			case 4:
				_, err = client.Secrets.DetachGroup(ctx, id, ws.ID, "g0")
			default:
				_, err = client.Secrets.AttachGroup(ctx, id, ws.ID, fmt.Sprint("g", i))
			}
			return err
		}) {
			require.True(t, err == nil || errors.Is(err, bctrl.ErrNotFound), "%v", err)
		}
		index, err := h.db.Read().SecretIndex(ctx, id)
		require.NoError(t, err)
		require.Equal(t, store.SecretIndex{Names: []string{}, Attachments: []bctrl.Scope{}}, index)
	}
	require.Empty(t, h.listed())
	require.True(t, h.verified())
}

func TestAWorkspaceThatIsDeletedWhileSecretsComeKeepsNone(t *testing.T) {
	h := newHarness(t)
	client, ctx := h.sdk(straight), h.Context()
	kept := h.secretIn(globally(), "KEPT", "v").ID
	for range 5 {
		ws := h.made("w", object{})
		for _, err := range together(8, func(i int) (err error) {
			switch {
			case i == 7:
				return client.Workspaces.Delete(context.WithoutCancel(ctx), ws.ID)
			case i%2 == 0:
				_, err = client.Secrets.Create(ctx, bctrl.SecretCreate{Name: fmt.Sprint("KEY", i), Value: bctrl.NewSecret("v"),
					Scope: bctrl.InWorkspace("w")})
			default:
				_, err = client.Secrets.AttachGroup(ctx, kept, "w", fmt.Sprint("g", i))
			}
			return err
		}) {
			require.True(t, err == nil || errors.Is(err, bctrl.ErrNotFound), "%v", err)
		}
		require.Equal(t, []string{kept}, h.listed())
		require.Empty(t, h.get(kept).Attachments)
	}
	require.True(t, h.verified())
}
