package calls

import (
	"context"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/server/models"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// ModelChoice is what an agent call, or the launch of its runtime, says about
// the model to ask. Empty fields leave it open.
type ModelChoice struct {
	Provider bctrl.AIProvider
	// Model is the provider's name of it.
	Model string
	// Credential is the id of an AI credential.
	Credential string
}

// ChosenModel is what a call's model was decided to be.
type ChosenModel struct {
	// Credential is the row of the AI credential, whose seal each question proves.
	Credential store.AICredential
	// Model is empty for the provider's default.
	Model string
}

// ChooseModel chooses the credential and the model of an agent call from what the
// mounts of a runtime caller permit (semantics 2.5): what the call leaves open, the
// launch decides, and what that leaves open, the effective mounts. The caller's
// chain is that of workspace, runtime and execution. Nothing is noted in a grant:
// whoever asks the model decides about the credential once more.
func (s *Service) ChooseModel(ctx context.Context, c access.Caller, call, launch ModelChoice) (ChosenModel, error) {
	set, rows, err := s.usableModels(ctx, c)
	if err != nil {
		return ChosenModel{}, err
	}
	id, name, err := set.choose(call, launch)
	return ChosenModel{Credential: rows[id], Model: name}, err
}

// OpenModel returns a model that is asked with the credential that was chosen.
// Nothing is sent, and nothing decided, before a question is asked: each is then
// resolved, decided about and recorded as a call of its own, and may be refused.
func (s *Service) OpenModel(chosen ChosenModel, by Asker) (model.Chat, error) {
	meta, err := models.UnprovenMeta(chosen.Credential) // proved by each call
	if err != nil {
		return nil, err
	}
	return model.New(s.broker, model.Config{
		Provider: meta.Provider,
		BaseURL:  meta.BaseURL,
		Model:    chosen.Model,
		Sender:   &modelSender{service: s, credential: chosen.Credential.ID, by: by},
	})
}

// usableSet is what the effective mounts leave to choose from.
type usableSet struct {
	// allow are the ids that are permitted.
	allow []string
	// usable are the credentials that were mounted under those ids, without those
	// that are gone.
	usable []usableCredential
	// defaults are ids by provider.
	defaults map[bctrl.AIProvider]string
}

// usableCredential is an AI credential with what its row says, which is proved
// when its key is opened.
type usableCredential struct {
	id   string
	meta models.Meta
}

// choose returns the id of a credential in allow, and the name of a model or "" for
// the provider's default.
//
// A launch's choice of credential and model is one for a provider: a call that
// names another provider, or a credential of another, does not take it over.
func (set usableSet) choose(call, launch ModelChoice) (id, name string, err error) {
	launched := set.providerOf(launch)
	provider, id := call.Provider, call.Credential
	asLaunched := id == "" && (provider == "" || provider == launched)
	if asLaunched {
		provider, id = launched, launch.Credential
	}
	if provider == "" && id == "" {
		if provider, err = set.onlyProvider(); err != nil {
			return "", "", err
		}
	}
	if id == "" {
		if id, err = set.defaultFor(provider); err != nil {
			return "", "", err
		}
	}
	chosen, err := set.find(id)
	switch {
	case err != nil:
		return "", "", err
	case provider != "" && chosen.meta.Provider != provider:
		return "", "", web.Invalid("ai.wrong_provider", "credential",
			"the credential "+id+" belongs to another provider than the one that is named")
	case !chosen.meta.Enabled:
		return "", "", models.ErrDisabled(id)
	}
	name = call.Model
	if name == "" && (asLaunched || launched == chosen.meta.Provider) {
		name = launch.Model
	}
	if name == "" {
		name = chosen.meta.DefaultModel
	}
	return id, name, nil
}

// providerOf is the provider that a choice names, or whose credential it names.
func (set usableSet) providerOf(c ModelChoice) bctrl.AIProvider {
	if c.Provider != "" || c.Credential == "" {
		return c.Provider
	}
	found, _ := set.find(c.Credential) // the zero one where there is none
	return found.meta.Provider
}

// find returns the credential with an id that the mounts permit.
func (set usableSet) find(id string) (usableCredential, error) {
	if !slices.Contains(set.allow, id) {
		return usableCredential{}, web.OutsideMount(bctrl.UseAI)
	}
	for _, c := range set.usable {
		if c.id == id {
			return c, nil
		}
	}
	e := models.ErrNoCredential()
	e.Message = "the AI credential " + id + " was deleted after it was mounted"
	e.Hint = "mount the one that it shall be now: a new one with the id does not take its place by itself"
	return usableCredential{}, e
}

// onlyProvider is the provider that all usable credentials are of. Disabled ones
// count, so that disabling one never sends prompts to another provider.
func (set usableSet) onlyProvider() (bctrl.AIProvider, error) {
	var found []string
	for _, c := range set.usable {
		if p := string(c.meta.Provider); !slices.Contains(found, p) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		if len(set.allow) == 0 {
			return "", web.OutsideMount(bctrl.UseAI)
		}
		return "", errNoDefault(nil)
	case 1:
		return bctrl.AIProvider(found[0]), nil
	}
	slices.Sort(found)
	e := web.Conflict("ai.model_ambiguous", "the mounts can serve more than one provider: "+strings.Join(found, ", "))
	e.Hint = "name one in the call or in the launch"
	return "", e
}

// defaultFor is the credential that a provider is asked with when none is
// named: the mounts' default, else the only one that is enabled.
func (set usableSet) defaultFor(p bctrl.AIProvider) (string, error) {
	if id, ok := set.defaults[p]; ok {
		// A token's holder can declare defaults that no server has looked at, and so can BCTRL-Mounts.
		if chosen, err := set.find(id); err == nil && chosen.meta.Provider != p {
			return "", errWrongDefault(p, chosen)
		}
		return id, nil
	}
	var candidates, enabled []string
	for _, c := range set.usable {
		if c.meta.Provider == p {
			candidates = append(candidates, c.id)
			if c.meta.Enabled {
				enabled = append(enabled, c.id)
			}
		}
	}
	if len(enabled) == 1 {
		return enabled[0], nil
	}
	return "", errNoDefault(candidates)
}

func errWrongDefault(p bctrl.AIProvider, chosen usableCredential) *bctrl.Error {
	return web.WithHint(web.Invalid("mounts.default_wrong_provider", "mounts.ai.defaults."+string(p),
		"the default of a provider is a credential of another"), "it is a credential of "+string(chosen.meta.Provider))
}

func errNoDefault(candidates []string) *bctrl.Error {
	e := web.Conflict("ai.no_default_credential", "the mounts allow no AI credential of this provider")
	if len(candidates) > 0 {
		e.Message = "no default is mounted, and not exactly one of the allowed AI credentials " +
			"of this provider is enabled: " + strings.Join(candidates, ", ")
		e.Hint = "choose one in ai.defaults, or name one in the call"
	}
	return e
}
