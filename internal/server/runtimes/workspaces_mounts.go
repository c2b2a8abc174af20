package runtimes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/server/models"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// setMounts checks mounts and gives them to ws, with its own namespace where they
// leave storage out. It returns which credential each id in them means from now on:
// another that is made with the id later is not mounted.
func setMounts(
	ctx context.Context, tx *store.Tx, org string, ws *store.Workspace, mounts bctrl.Mounts,
) ([]store.MountPin, error) {
	pins, err := checkMounts(ctx, tx, org, mounts)
	if err != nil {
		return nil, err
	}
	if mounts.Storage == nil {
		if err := claimNamespace(ctx, tx, org, ws); err != nil {
			return nil, err
		}
		mounts.Storage = &bctrl.StorageMount{Workspace: ws.Namespace}
	}
	ws.Mounts = mounts
	return pins, nil
}

// claimNamespace gives a workspace a namespace of its own, unless it has one. It has
// the name of the workspace, and stays when that is renamed. One that holds files, or
// is another workspace's own, is refused: to share it, it has to be mounted by name.
func claimNamespace(ctx context.Context, tx *store.Tx, org string, ws *store.Workspace) error {
	if ws.Namespace != "" {
		return nil
	}
	owner, err := tx.NamespaceOwner(ctx, org, ws.Name)
	if err != nil {
		return err
	}
	holds, err := tx.HoldsFiles(ctx, org, ws.Name)
	if err != nil {
		return err
	}
	if owner != "" || holds {
		e := web.Conflict("mounts.namespace_in_use",
			"the namespace of this name is in use: it holds files, or is that of a renamed workspace")
		return web.WithHint(web.WithField(e, "mounts.storage"),
			"mount it by name in mounts.storage.workspace to share it, or choose another name")
	}
	ws.Namespace = ws.Name
	return nil
}

// checkMounts checks the mounts of a workspace, by their own text and against the AI
// credentials of the organization. The refusal names every problem, a hundred at
// most. It returns which credential each id in the ai mount means.
func checkMounts(ctx context.Context, tx *store.Tx, org string, mounts bctrl.Mounts) ([]store.MountPin, error) {
	refusal := mounts.Validate()
	var found web.Problems
	if e, ok := errors.AsType[*bctrl.Error](refusal); ok {
		found.List = slices.Clone(e.Problems)
	}
	named := len(found.List)
	var pins []store.MountPin
	if mounts.AI != nil {
		var err error
		if pins, err = pinCredentials(ctx, tx.Queries, org, mounts.AI.Allow, &found); err != nil {
			return nil, err
		}
		if err := findWrongDefaults(mounts.AI.Defaults, anyCredential(ctx, tx.Queries, org), &found); err != nil {
			return nil, err
		}
	}
	found.List = append(found.List, web.HostProblems(mounts)...)
	if len(found.List) > named {
		return nil, mountsRefusal(found)
	}
	return pins, refusal
}

// checkLevel checks of the mounts of a level below the workspace what
// [bctrl.Mounts.Narrow] cannot know: that each default is of its provider, and no host
// pattern above a public suffix.
func checkLevel(mounts bctrl.Mounts, find findCredential) error {
	found := web.Problems{List: web.HostProblems(mounts)}
	if mounts.AI != nil {
		if err := findWrongDefaults(mounts.AI.Defaults, find, &found); err != nil {
			return err
		}
	}
	return mountsRefusal(found)
}

// pinCredentials finds the credentials that ids mean now. It adds ids of which there
// is none to the problems.
func pinCredentials(
	ctx context.Context, q store.Queries, org string, ids []string, found *web.Problems,
) ([]store.MountPin, error) {
	var pins []store.MountPin
	seen := map[string]bool{}
	for i, id := range ids {
		if found.IsFull() {
			break
		}
		if seen[id] || names.CredentialID(id) != nil { // Validate has named both as problems
			continue
		}
		seen[id] = true
		c, err := q.AICredential(ctx, org, id)
		switch {
		case errors.Is(err, store.ErrNotFound):
			found.List = append(found.List, bctrl.Problem{
				Code:  "mounts.unknown_credential",
				Field: web.FieldAt("mounts.ai.allow", i),
				Value: id,
				Hint:  "create it first",
			})
		case err != nil:
			return nil, err
		default:
			pins = append(pins, store.MountPin{CredentialID: id, CredentialUID: c.UID})
		}
	}
	return pins, nil
}

// findCredential finds the AI credential that an id means to whoever declares mounts,
// or fails with [bctrl.ErrNotFound] or [store.ErrNotFound].
type findCredential func(id string) (store.AICredential, error)

// anyCredential finds the credential that has an id now: an organization key's.
func anyCredential(ctx context.Context, q store.Queries, org string) findCredential {
	return func(id string) (store.AICredential, error) { return q.AICredential(ctx, org, id) }
}

// usableCredential finds the credentials that a runtime's mounts permit now. Of others
// a refusal would tell whether they exist, to a caller that was lowered.
func (s *Service) usableCredential(ctx context.Context, c access.Caller) findCredential {
	return func(id string) (store.AICredential, error) {
		if !access.Decide(c, access.Action{Verb: bctrl.UseAI, Object: id}) {
			return store.AICredential{}, store.ErrNotFound
		}
		return s.models.Find(ctx, s.DB.Read(), c, id)
	}
}

// findWrongDefaults adds each default that is a credential of another provider to the
// problems.
func findWrongDefaults(defaults map[bctrl.AIProvider]string, find findCredential, found *web.Problems) error {
	for _, provider := range slices.Sorted(maps.Keys(defaults)) {
		if found.IsFull() {
			break
		}
		c, err := find(defaults[provider])
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, bctrl.ErrNotFound) {
			continue // named as unknown or as not allowed, or refused when it is used
		}
		if err != nil {
			return err
		}
		meta, err := models.UnprovenMeta(c)
		if err != nil {
			return err
		}
		if meta.Provider != provider {
			found.List = append(found.List, bctrl.Problem{
				Code:  "mounts.default_wrong_provider",
				Field: "mounts.ai.defaults." + string(provider),
				Value: c.ID,
				Hint:  "it is a credential of " + string(meta.Provider),
			})
		}
	}
	return nil
}

// mountsRefusal is one refusal with all the problems, or nil where there are none.
func mountsRefusal(found web.Problems) error {
	if len(found.List) == 0 {
		return nil
	}
	found.Message = "the ai mount names a credential that cannot be meant there"
	if strings.HasPrefix(found.List[0].Field, "mounts.web.") {
		found.Message = "the web mount names all hosts below a domain where anyone can register"
	}
	if len(found.List) > 1 {
		found.Message = fmt.Sprintf("the mounts have %d problems", len(found.List))
	}
	return web.WithHint(web.AsError(found.Err()), found.List[0].Hint)
}
