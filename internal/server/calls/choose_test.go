package calls

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/models"
)

func usable(id string, p bctrl.AIProvider, enabled bool) usableCredential {
	return usableCredential{id, models.Meta{Provider: p, Enabled: enabled, DefaultModel: "model of " + id}}
}

// choiceCase is what the mounts leave, what call and launch say, and what is chosen.
type choiceCase struct {
	why          string
	usable       []usableCredential
	gone         string // allowed, but no longer what was mounted
	defaults     map[bctrl.AIProvider]string
	call, launch ModelChoice
	id, model    string
	code         string
}

func checkChoices(t *testing.T, cases []choiceCase) {
	t.Helper()
	for _, tc := range cases {
		set := usableSet{usable: tc.usable, defaults: tc.defaults}
		for _, c := range tc.usable {
			set.allow = append(set.allow, c.id)
		}
		if tc.gone != "" {
			set.allow = append(set.allow, tc.gone)
		}
		id, name, err := set.choose(tc.call, tc.launch)
		if tc.code != "" {
			var e *bctrl.Error
			require.ErrorAs(t, err, &e, tc.why)
			require.Equal(t, tc.code, e.Code, tc.why)
			continue
		}
		require.NoError(t, err, tc.why)
		require.Equal(t, []string{tc.id, tc.model}, []string{id, name}, tc.why)
	}
}

func TestTheMountsChooseTheModelThatNothingElseChooses(t *testing.T) {
	o1 := usable("o1", bctrl.OpenAI, true)
	o2 := usable("o2", bctrl.OpenAI, true)
	o3 := usable("off", bctrl.OpenAI, false)
	a1 := usable("a1", bctrl.Anthropic, true)
	openai := map[bctrl.AIProvider]string{bctrl.OpenAI: "o2"}
	type list = []usableCredential
	checkChoices(t, []choiceCase{
		{
			why:    "the only one",
			usable: list{o1},
			id:     "o1",
			model:  "model of o1",
		},
		{
			why:      "the default among two",
			usable:   list{o1, o2},
			defaults: openai,
			id:       "o2",
			model:    "model of o2",
		},
		{why: "two without a default", usable: list{o1, o2}, code: "ai.no_default_credential"},
		{
			why:    "the only enabled one",
			usable: list{o1, o3},
			id:     "o1",
			model:  "model of o1",
		},
		{why: "only a disabled one", usable: list{o3}, code: "ai.no_default_credential"},
		{
			why:      "a disabled default is not skipped",
			usable:   list{o1, o3},
			defaults: map[bctrl.AIProvider]string{bctrl.OpenAI: "off"},
			code:     "ai.disabled",
		},
		{
			why:      "a default that was deleted is not skipped",
			usable:   list{o1},
			gone:     "x",
			defaults: map[bctrl.AIProvider]string{bctrl.OpenAI: "x"},
			code:     "ai.not_found",
		},
		{why: "nothing is mounted", code: "ai.outside_mount"},
		{why: "all that was mounted is gone", gone: "x", code: "ai.no_default_credential"},
		{why: "two providers", usable: list{o1, a1}, code: "ai.model_ambiguous"},
		{
			why:    "a disabled one counts: disabling sends nothing elsewhere",
			usable: list{o3, a1},
			code:   "ai.model_ambiguous",
		},
	})
}

func TestTheModelIsChosenByTheCallThenTheLaunchThenTheMounts(t *testing.T) {
	o1 := usable("o1", bctrl.OpenAI, true)
	o2 := usable("o2", bctrl.OpenAI, true)
	a1 := usable("a1", bctrl.Anthropic, true)
	openai := map[bctrl.AIProvider]string{bctrl.OpenAI: "o2"}
	type list = []usableCredential
	checkChoices(t, []choiceCase{
		{
			why:    "the call's provider",
			usable: list{o1, a1},
			call:   ModelChoice{Provider: bctrl.Anthropic},
			id:     "a1",
			model:  "model of a1",
		},
		{
			why:    "the launch's provider",
			usable: list{o1, a1},
			launch: ModelChoice{Provider: bctrl.Anthropic},
			id:     "a1",
			model:  "model of a1",
		},
		{
			why:      "the call's credential over the default",
			usable:   list{o1, o2},
			defaults: openai,
			call:     ModelChoice{Credential: "o1"},
			id:       "o1",
			model:    "model of o1",
		},
		{
			why:      "the launch's credential over the default",
			usable:   list{o1, o2},
			defaults: openai,
			launch:   ModelChoice{Credential: "o1"},
			id:       "o1",
			model:    "model of o1",
		},
		{
			why:    "the call's over the launch's",
			usable: list{o1, o2},
			call:   ModelChoice{Credential: "o2"},
			launch: ModelChoice{Credential: "o1", Model: "m"},
			id:     "o2",
			model:  "m",
		},
	})
}

func TestALaunchsChoiceIsOneForItsProvider(t *testing.T) {
	o1 := usable("o1", bctrl.OpenAI, true)
	o2 := usable("o2", bctrl.OpenAI, true)
	a1 := usable("a1", bctrl.Anthropic, true)
	type list = []usableCredential
	checkChoices(t, []choiceCase{
		{
			why:    "another provider leaves the launch's credential",
			usable: list{o1, a1},
			call:   ModelChoice{Provider: bctrl.Anthropic},
			launch: ModelChoice{Credential: "o1", Model: "gpt"},
			id:     "a1",
			model:  "model of a1",
		},
		{
			why:    "the same provider takes it over",
			usable: list{o1, o2},
			call:   ModelChoice{Provider: bctrl.OpenAI},
			launch: ModelChoice{Credential: "o1", Model: "gpt"},
			id:     "o1",
			model:  "gpt",
		},
		{
			why:    "another provider's credential leaves the launch's model",
			usable: list{o1, a1},
			call:   ModelChoice{Credential: "a1"},
			launch: ModelChoice{Provider: bctrl.OpenAI, Model: "gpt"},
			id:     "a1",
			model:  "model of a1",
		},
		{
			why:    "the call's model",
			usable: list{o1},
			call:   ModelChoice{Model: "mine"},
			launch: ModelChoice{Model: "gpt"},
			id:     "o1",
			model:  "mine",
		},
		{
			why:    "the launch's model",
			usable: list{o1},
			launch: ModelChoice{Model: "gpt"},
			id:     "o1",
			model:  "gpt",
		},
	})
}

func TestAChoiceThatTheMountsDoNotPermitIsRefused(t *testing.T) {
	o1 := usable("o1", bctrl.OpenAI, true)
	o3 := usable("off", bctrl.OpenAI, false)
	a1 := usable("a1", bctrl.Anthropic, true)
	type list = []usableCredential
	checkChoices(t, []choiceCase{
		{
			why:    "a provider that is not mounted",
			usable: list{o1},
			call:   ModelChoice{Provider: bctrl.Google},
			code:   "ai.no_default_credential",
		},
		{
			why:    "a credential outside",
			usable: list{o1},
			call:   ModelChoice{Credential: "o2"},
			code:   "ai.outside_mount",
		},
		{
			why:    "a launch's credential that was lowered away",
			usable: list{o1},
			launch: ModelChoice{Credential: "o2"},
			code:   "ai.outside_mount",
		},
		{
			why:    "a credential that was deleted",
			usable: list{o1},
			gone:   "x",
			call:   ModelChoice{Credential: "x"},
			code:   "ai.not_found",
		},
		{
			why:    "a disabled credential",
			usable: list{o1, o3},
			call:   ModelChoice{Credential: "off"},
			code:   "ai.disabled",
		},
		{
			why:      "a default of another provider",
			usable:   list{o1, a1},
			defaults: map[bctrl.AIProvider]string{bctrl.Anthropic: "o1"},
			call:     ModelChoice{Provider: bctrl.Anthropic},
			code:     "mounts.default_wrong_provider",
		},
		{
			why:    "credential and provider disagree",
			usable: list{o1, a1},
			call:   ModelChoice{Provider: bctrl.Anthropic, Credential: "o1"},
			code:   "ai.wrong_provider",
		},
	})
}

// TestNoCredentialIsChosenButAnAllowedEnabledOneOfItsProvider compares with an
// oracle that says of each credential, by itself, whether it may be the answer.
func TestNoCredentialIsChosenButAnAllowedEnabledOneOfItsProvider(t *testing.T) {
	ids := []string{"a", "b", "c", "d"}
	providers := []bctrl.AIProvider{"", bctrl.OpenAI, bctrl.Anthropic}
	rapid.Check(t, func(t *rapid.T) {
		var set usableSet
		known := map[string]usableCredential{}
		for _, id := range ids {
			provider := rapid.SampledFrom(providers[1:]).Draw(t, "provider of "+id)
			c := usable(id, provider, rapid.Bool().Draw(t, id+" enabled"))
			known[id] = c
			switch rapid.IntRange(0, 2).Draw(t, id) {
			case 1:
				set.allow = append(set.allow, id) // allowed, and deleted since
			case 2:
				set.allow, set.usable = append(set.allow, id), append(set.usable, c)
			}
		}
		set.defaults = map[bctrl.AIProvider]string{}
		for _, id := range set.allow {
			if rapid.Bool().Draw(t, id+" is a default") {
				set.defaults[known[id].meta.Provider] = id
			}
		}
		draw := func(who string) ModelChoice {
			return ModelChoice{
				Provider:   rapid.SampledFrom(providers).Draw(t, who+" provider"),
				Credential: rapid.SampledFrom(append([]string{""}, ids...)).Draw(t, who+" credential"),
			}
		}
		call, launch := draw("call"), draw("launch")
		id, _, err := set.choose(call, launch)
		if err != nil {
			var e *bctrl.Error
			if !errors.As(err, &e) || e.Code == "" {
				t.Fatalf("an error without a code: %v", err)
			}
			open := call == (ModelChoice{}) && launch == (ModelChoice{}) && len(set.defaults) == 0
			if open && len(set.usable) == 1 && set.usable[0].meta.Enabled {
				t.Fatalf("the only one was refused: %v", err)
			}
			return
		}
		chosen := known[id]
		named := call.Credential == id || launch.Credential == id
		theDefault := set.defaults[chosen.meta.Provider]
		others := 0
		for _, c := range set.usable {
			if c.meta.Provider == chosen.meta.Provider && c.meta.Enabled {
				others++
			}
		}
		switch {
		case !slices.ContainsFunc(set.usable, func(c usableCredential) bool { return c.id == id }):
			t.Fatalf("%s is not allowed, or not what was mounted", id)
		case !chosen.meta.Enabled:
			t.Fatalf("%s is disabled", id)
		case call.Provider != "" && call.Provider != chosen.meta.Provider:
			t.Fatalf("%s is not of the call's provider", id)
		case call.Credential != "" && call.Credential != id:
			t.Fatalf("%s is not the call's", id)
		case !named && theDefault != id && (theDefault != "" || others != 1):
			t.Fatalf("%s is neither named, nor the default, nor the only one", id)
		}
	})
}
