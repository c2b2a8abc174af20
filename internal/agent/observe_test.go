package agent_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
)

func candidate(ref, method, more string, confidence float64) string {
	return fmt.Sprintf(`{"ref":%q,"method":%q,"description":"d","confidence":%g%s}`, ref, method, confidence, more)
}

func candidates(all ...string) *model.Response {
	return calls("candidates", `{"candidates":[`+strings.Join(all, ",")+`]}`)
}

func TestWhatIsObservedCanBeDoneWithoutAModel(t *testing.T) {
	s, v := newSite("login"), &vault{}
	chat := always(candidates(
		candidate("e3", "click", ``, 0.2),
		candidate("[e1]", "type", `,"arguments":["bob"]`, 0.9),
		candidate("e2", "fill", `,"arguments":["`+vaultKey+`","password"]`, 0.9),
	))
	d := deps(chat, s, v)
	found, err := agent.Observe(t.Context(), d, bctrl.ObserveArgs{Instruction: "log in"})
	require.NoError(t, err)
	require.Len(t, found.Observed, 3)
	require.Empty(t, s.calls, "observing does nothing")
	var order []string
	for _, o := range found.Observed {
		order = append(order, o.Element.Name+" "+o.Method)
	}
	require.Equal(t, []string{"Username type", "Password fill", "Sign in click"}, order, "the likeliest first")
	require.Equal(t, 1, found.Usage.Calls)
	require.Equal(t, "https://login.example.com/login", found.URL)

	d.Model = nil // whoever asked it would panic
	for _, o := range found.Observed {
		result, err := agent.ActOn(t.Context(), d, o)
		require.NoError(t, err)
		require.True(t, result.Success)
		require.Len(t, result.Actions, 1)
		require.Equal(t, o.Element, *result.Actions[0].Element)
		require.Zero(t, result.Usage)
	}
	require.Equal(t, []string{"type e1", "fill e2 password", "click e3"}, s.calls)
}

func TestAnElementThatHasChangedIsRefused(t *testing.T) {
	for _, c := range []struct {
		why    string
		change func(*site)
	}{
		{"another page", func(s *site) { s.screen = "home" }},
		{"another name", func(s *site) { s.echo = func(string) string { return "now" }; s.filled["e9"] = "x" }},
	} {
		s := newSite("login")
		d := deps(always(candidates(candidate("e2", "click", ``, 1))), s, &vault{})
		found, err := agent.Observe(t.Context(), d, bctrl.ObserveArgs{Instruction: "x"})
		require.NoError(t, err)
		c.change(s)
		result, err := agent.ActOn(t.Context(), d, found.Observed[0])
		var refusal *bctrl.Error
		require.ErrorAs(t, err, &refusal, c.why)
		require.Equal(t, "page.changed", refusal.Code, c.why)
		require.Empty(t, s.calls, c.why)
		require.Empty(t, result.Actions)
	}
}

func TestOnlyWhatObservingGivesCanBeDone(t *testing.T) {
	s := newSite("login")
	d := deps(always(candidates(candidate("e1", "type", `,"arguments":["x"]`, 1))), s, &vault{})
	found, err := agent.Observe(t.Context(), d, bctrl.ObserveArgs{Instruction: "x"})
	require.NoError(t, err)
	for _, c := range []struct {
		why, field string
		edit       func(*bctrl.Observed)
	}{
		{"a method that there is not", "method", func(o *bctrl.Observed) { o.Method = "navigate" }},
		{"no method", "method", func(o *bctrl.Observed) { o.Method = "" }},
		{"no argument", "arguments", func(o *bctrl.Observed) { o.Arguments = nil }},
		{"many arguments", "arguments", func(o *bctrl.Observed) { o.Arguments = make([]string, 1000) }},
		{"a field of a login that there is not", "arguments", func(o *bctrl.Observed) {
			o.Method, o.Arguments = "fill", []string{vaultKey, "totpSeed"}
		}},
		{"no handle", "handle", func(o *bctrl.Observed) { o.Handle = "" }},
		{"a handle of one's own", "handle", func(o *bctrl.Observed) { o.Handle = "e1" }},
		{"a long handle", "handle", func(o *bctrl.Observed) { o.Handle = "h1." + strings.Repeat("x", 10_000) }},
	} {
		o := found.Observed[0]
		c.edit(&o)
		_, err := agent.ActOn(t.Context(), d, o)
		var refusal *bctrl.Error
		require.ErrorAs(t, err, &refusal, c.why)
		require.Equal(t, "agent.invalid_observed", refusal.Code, c.why)
		require.Equal(t, c.field, refusal.Field, c.why)
	}
	require.Empty(t, s.calls)
}

func TestAnAnswerOfWhatIsNotThereIsNotTaken(t *testing.T) {
	for _, c := range []struct {
		why, told string
		answer    *model.Response
	}{
		{"an element that there is not", "ref is no element", candidates(candidate("e99", "click", ``, 1))},
		{"one of several", "candidate 2: ref is no element",
			candidates(candidate("e1", "click", ``, 1), candidate("e99", "click", ``, 1))},
		{"a method that there is not", "method is none of", candidates(candidate("e1", "navigate", ``, 1))},
		{"no text to type", "type takes 1 arguments", candidates(candidate("e1", "type", ``, 1))},
		{"more than sure", "confidence", candidates(candidate("e1", "click", ``, 7))},
		{"a field of its own", "a field that the tool does not have",
			candidates(candidate("e1", "click", `,"selector":"#x"`, 1))},
		{"no list", "is missing", calls("candidates", `{}`)},
		{"words", "was not called", &model.Response{Text: "the button"}},
	} {
		chat := always(c.answer)
		result, err := agent.Observe(t.Context(), deps(chat, newSite("login"), &vault{}), bctrl.ObserveArgs{Instruction: "x"})
		var refusal *bctrl.Error
		require.ErrorAs(t, err, &refusal, c.why)
		require.Equal(t, "observe.invalid_answer", refusal.Code, c.why)
		require.Contains(t, refusal.Message, c.told, c.why)
		require.Len(t, chat.questions, 3, c.why)
		require.Empty(t, result.Observed)
	}
}

func TestNothingObservedIsAnEmptyList(t *testing.T) {
	result, err := agent.Observe(t.Context(), deps(always(candidates()), newSite("login"), &vault{}),
		bctrl.ObserveArgs{Instruction: "the moon"})
	require.NoError(t, err)
	require.NotNil(t, result.Observed)
	require.Empty(t, result.Observed)
}

func TestObservingIsBounded(t *testing.T) {
	chat := always(candidates(
		candidate("e1", "click", ``, 0.1), candidate("e2", "click", ``, 0.5), candidate("e3", "click", ``, 0.4),
	))
	result, err := agent.Observe(t.Context(), deps(chat, newSite("login"), &vault{}),
		bctrl.ObserveArgs{Instruction: "x", MaxCandidates: 2})
	require.NoError(t, err)
	require.Len(t, result.Observed, 2)
}

func TestWhatIsObservedHoldsNoSecret(t *testing.T) {
	s := newSite("login")
	s.echo = func(v string) string { return v }
	s.filled["e1"] = password
	chat := always(candidates(
		`{"ref":"e2","method":"type","arguments":["` + code + `"],"description":"` + code + `","confidence":1}`,
	))
	d := deps(chat, s, &vault{})
	d.Secrets = newSecrets(password, code)
	result, err := agent.Observe(t.Context(), d, bctrl.ObserveArgs{Instruction: "x"})
	require.NoError(t, err)
	requireNoSecret(t, encode(result)+encode(chat.questions))
}

func TestAPageThatCannotBeReadEndsAQuestion(t *testing.T) {
	s := newSite("login")
	s.broken = browser.Conflict("page.gone", "the page is gone", "")
	_, err := agent.Observe(context.Background(), deps(always(nil), s, &vault{}), bctrl.ObserveArgs{Instruction: "x"})
	require.ErrorIs(t, err, s.broken)
}
