package agent_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/model"
)

// TestAHostileCallIsAnsweredAndDoesNothing sends one call to a page that would
// record any effect, then reads what the model was told.
func TestAHostileCallIsAnsweredAndDoesNothing(t *testing.T) {
	huge := strings.Repeat("x", 1<<19) // an answer of a megabyte is none
	for _, c := range []struct {
		why, tool, args string
		told            string
	}{
		{"a file", "navigate", `{"url":"file:///etc/shadow"}`, "only whole http and https"},
		{"a script", "navigate", `{"url":"javascript:alert(1)"}`, "only whole http and https"},
		{"the browser itself", "navigate", `{"url":"chrome://settings"}`, "only whole http and https"},
		{"data", "navigate", `{"url":"data:text/html,x"}`, "only whole http and https"},
		{"user info", "navigate", `{"url":"https://a:b@login.example.com/"}`, "only whole http and https"},
		{"no host", "navigate", `{"url":"https:///x"}`, "only whole http and https"},
		{"a long address", "navigate", `{"url":"https://login.example.com/` + huge[:3000] + `"}`,
			"only whole http and https"},
		{"an unknown tool", "shell", `{"command":"id"}`, "there is no such tool"},
		{"an unknown tool with a long name", huge, `{}`, "there is no such tool"},
		{"an unknown reference", "click", `{"ref":"e99"}`, "no element e99"},
		{"a long reference", "click", `{"ref":"` + huge[:5000] + `"}`, "no element xxx"},
		{"half a megabyte", "type", `{"ref":"e1","text":"` + huge + `"}`, "longer than 65536 bytes"},
		{"too long a text", "type", `{"ref":"e1","text":"` + huge[:20000] + `"}`, "longer than 16384 bytes"},
		{"no JSON", "click", `{"ref":`, "not a JSON object"},
		{"a list", "click", `["e1"]`, "not a JSON object"},
		{"null", "click", `null`, "not a JSON object"},
		{"nothing", "click", `{}`, `the argument \"ref\" is missing`},
		{"a null argument", "click", `{"ref":null}`, `the argument \"ref\" is missing`},
		{"a wrong type", "click", `{"ref":{"a":1}}`, `the argument \"ref\" is not of the documented type`},
		{"an unknown argument", "click", `{"ref":"e1","force":true}`, "a field that the tool does not have"},
		{"a number out of range", "scroll", `{"pages":1e999}`, "not of the documented type"},
		{"no scroll", "scroll", `{"pages":0.2}`, "pages rounds to 0"},
		{"a long key name", "press", `{"key":"` + huge[:100] + `"}`, "there is no such key"},
		{"a button that no mouse has", "click", `{"ref":"e1","button":"` + huge[:5000] + `"}`,
			"button is left, right or middle"},
		{"a million clicks", "click", `{"ref":"e1","count":1000000}`, "count is 1, 2 or 3"},
		{"clicks undone", "click", `{"ref":"e1","count":-1}`, "count is 1, 2 or 3"},
		{"half a click", "click", `{"ref":"e1","count":0.5}`, `the argument \"count\" is not of the documented type`},
		{"a key to hold that is none", "click", `{"ref":"e1","modifiers":["Power"]}`, "modifiers are Control"},
		{"more keys than hands", "click", `{"ref":"e1","modifiers":["Alt","Alt","Alt","Alt","Alt"]}`, "only 4 keys"},
		{"a file in a tab", "open_tab", `{"url":"file:///etc/shadow"}`, "only whole http and https"},
		{"a script in a tab", "open_tab", `{"url":"javascript:alert(1)"}`, "only whole http and https"},
		{"a tab that is not there", "switch_tab", `{"tab":"t9"}`, "there is no tab t9"},
		{"a tab with a long name", "switch_tab", `{"tab":"` + huge[:5000] + `"}`, "there is no tab xxx"},
		{"no tab", "switch_tab", `{}`, "neither tab nor from_newest"},
		{"two tabs", "switch_tab", `{"tab":"t1","from_newest":0}`, "tab or from_newest, not both"},
		{"a tab before the first", "switch_tab", `{"from_newest":7}`, "there are 1 tabs"},
		{"a tab after the newest", "close_tab", `{"from_newest":-1}`, "there are 1 tabs"},
		{"another's tab", "close_tab", `{"tab":"t0"}`, "there is no tab t0"},
		{"no text to wait for", "wait_text", `{"text":" "}`, "the text is empty"},
		{"a long text to wait for", "wait_text", `{"text":"` + huge[:5000] + `"}`, "longer than 1024 bytes"},
		{"a dialog without an answer", "answer_dialog", `{"text":"yes"}`, `the argument \"accept\" is missing`},
		{"an answer in words", "answer_dialog", `{"accept":"yes"}`, `the argument \"accept\" is not of the documented type`},
		{"a long answer", "answer_dialog", `{"accept":true,"text":"` + huge[:20000] + `"}`, "longer than 16384 bytes"},
		{"an upload of nothing", "upload", `{"ref":"e1","paths":[]}`, "paths lists 1 to 100 files"},
		{"an upload of everything", "upload", `{"ref":"e1","paths":["a"` + strings.Repeat(`,"a"`, 100) + `]}`,
			"paths lists 1 to 100 files"},
		{"an upload to nowhere", "upload", `{"ref":"e99","paths":["a.csv"]}`, "no element e99"},
		{"an upload without a path", "upload", `{"ref":"e1","paths":[""]}`, "a path is empty"},
		{"an upload of a long path", "upload", `{"ref":"e1","paths":["` + huge[:5000] + `"]}`, "longer than 1024 bytes"},
		{"an upload that is one path", "upload", `{"ref":"e1","paths":"/etc/shadow"}`,
			`the argument \"paths\" is not of the documented type`},
		{"a file of the machine", "upload", `{"ref":"e1","paths":["/etc/shadow"]}`, "storage.not_found"},
		{"a login of no key", "http_login", `{"key":""}`, "there is no such login"},
		{"a login of a key beyond any", "http_login", `{"key":"` + huge[:600] + `"}`, "there is no such login"},
		{"another's login", "http_login", `{"key":"prod/other"}`, "vault.outside_mount"},
		{"a file that no page delivered", "read_page", `{"file":"secrets/keys.txt"}`, "listed under Downloads"},
		{"a file of the machine to read", "read_page", `{"file":"/etc/shadow"}`, "listed under Downloads"},
		{"a part before the first", "read_page", `{"part":-3}`, "part is 1 to 50"},
		{"a part that no page has", "read_page", `{"part":1e18}`, "part is 1 to 50"},
		{"a hover over nothing", "hover", `{"ref":"e99"}`, "no element e99"},
		{"a drag of nothing", "drag", `{"from_ref":"e99","to_ref":"e1"}`, "no element e99"},
		{"a drag to nowhere", "drag", `{"from_ref":"e1","to_ref":"e99"}`, "no element e99"},
		{"half a drag", "drag", `{"from_ref":"e1"}`, `the argument \"to_ref\" is missing`},
		{"a place left of the picture", "click_at", `{"x":-1,"y":5}`, "the place is not in the picture"},
		{"a place below any picture", "hover_at", `{"x":1,"y":1e300}`, "the place is not in the picture"},
		{"a drag out of the picture", "drag_at", `{"x":1,"y":1,"to_x":1,"to_y":-1e9}`, "the place is not in the picture"},
		{"a way out of the picture", "drag_at", `{"x":1,"y":1,"to_x":1,"to_y":1,"through":[[1,-5]]}`, "not in the picture"},
		{"a way past half a place", "drag_at", `{"x":1,"y":1,"to_x":1,"to_y":1,"through":[[1]]}`, "through is [x,y]"},
		{"a way without end", "drag_at", `{"x":1,"y":1,"to_x":1,"to_y":1,"through":[` + strings.Repeat("[1,1],", 100) +
			`[1,1]]}`, "at most 100 places"},
		{"a key without end", "press", `{"key":"a","times":1000}`, "times is 1 to 50"},
		{"a key less than once", "press", `{"key":"a","times":-1}`, "times is 1 to 50"},
		{"half a place", "click_at", `{"x":1}`, `the argument \"y\" is missing`},
		{"a place in words", "click_at", `{"x":"left","y":"top"}`, `the argument \"x\" is not of the documented type`},
		{"a scroll of nothing", "scroll", `{"pages":1,"ref":"e99"}`, "no element e99"},
		{"no option", "select", `{"ref":"e1"}`, "neither option nor options"},
		{"two ways to choose", "select", `{"ref":"e1","option":"a","options":["b"]}`, "option or options, not both"},
		{"a long option", "select", `{"ref":"e1","options":["a","` + huge[:2000] + `"]}`, "longer than 1024 bytes"},
		{"too many options", "select", `{"ref":"e1","options":["a"` + strings.Repeat(`,"a"`, 100) + `]}`,
			"more than 100 options"},
		{"a fill without inputs", "fill_login", `{"key":"` + vaultKey + `"}`, "neither username_ref nor password_ref"},
		{"a fill of an unknown element", "fill_login", `{"key":"` + vaultKey + `","password_ref":"e99"}`, "no element e99"},
		{"a key beyond any", "fill_login", `{"key":"` + huge[:600] + `","password_ref":"e2"}`, "there is no such login"},
		{"no key", "enter_totp", `{"key":"","ref":"e2"}`, "there is no such login"},
		{"a key outside the mounts", "fill_login", `{"key":"prod/admin/root","password_ref":"e2"}`, "vault.outside_mount"},
		{"an entry of another origin", "fill_login", `{"key":"prod/crm/elsewhere","password_ref":"e2"}`, "fill.wrong_origin"},
	} {
		for _, kind := range kinds {
			t.Run(c.why+" "+string(kind), func(t *testing.T) {
				chat, p := newModel(t, kind, func(n int, _ string) []called {
					if n == 0 {
						return does(c.tool, c.args)
					}
					return does("done", `{"success":false,"message":"gave up"}`)
				})
				s := newSite("login")
				result, err := agent.Act(t.Context(), deps(chat, s, &vault{}), agent.Options{Instruction: "x"})
				require.NoError(t, err)
				require.False(t, result.Success)
				require.Equal(t, "gave up", result.Message)
				require.Empty(t, s.calls, "nothing reached the page")
				require.Len(t, p.sent(), 2)
				answered := p.sent()[1]
				if c.why != "a number out of range" || kind == bctrl.OpenAI { // Anthropic's adapter cannot carry it
					require.Contains(t, answered, c.told)
				}
				require.Less(t, len(answered), len(p.sent()[0])+12<<10, "what was too long is not sent back")
				requireNoSecret(t, answered+encode(result))
			})
		}
	}
}

// TestAModelThatGoesInCirclesIsStopped counts how often it is asked.
func TestAModelThatGoesInCirclesIsStopped(t *testing.T) {
	click := func(ref string) []called { return does("click", `{"ref":"`+ref+`"}`) }
	for _, c := range []struct {
		why    string
		script func(n int, body string) []called
		says   string
		asked  int
	}{
		{"the same call for ever", func(int, string) []called { return click("e1") }, "repeats calls that change nothing", 6},
		{"two calls in turn", func(n int, _ string) []called { return click([]string{"e1", "e2"}[n%2]) },
			"repeats calls that change nothing", 9},
		{"no call at all", func(int, string) []called { return nil }, "called no tool that could be run", 5},
		{"nonsense", func(int, string) []called { return does("click", "?") }, "called no tool that could be run", 5},
		{"always something new", func(n int, _ string) []called { return does("press", fmt.Sprintf(`{"key":"%d"}`, n)) },
			"stopped after 12 steps", 12},
	} {
		for _, kind := range kinds {
			chat, p := newModel(t, kind, c.script)
			result, err := agent.Act(t.Context(), deps(chat, newSite("login"), &vault{}), agent.Options{
				Instruction: "x",
				MaxSteps:    12,
			})
			require.NoError(t, err, c.why)
			require.False(t, result.Success)
			require.Contains(t, result.Message, c.says, c.why)
			require.Len(t, p.sent(), c.asked, c.why)
			require.Equal(t, c.asked, result.Usage.Calls)
		}
	}
}

func TestARepeatedCallIsFineWhileThePageChanges(t *testing.T) {
	s := newSite("login")
	chat, _ := newModel(t, bctrl.OpenAI, func(n int, _ string) []called {
		if n == 10 {
			return does("done", `{"success":true,"message":""}`)
		}
		s.mu.Lock()
		s.typed["e1"] = fmt.Sprint(n)
		s.mu.Unlock()
		return does("press", `{"key":"ArrowDown"}`)
	})
	result, err := agent.Act(t.Context(), deps(chat, s, &vault{}), agent.Options{Instruction: "x"})
	require.NoError(t, err)
	require.True(t, result.Success)
	require.Len(t, s.calls, 10)
}

func TestAfterAFailureTheRestOfATurnIsNotDone(t *testing.T) {
	for _, kind := range kinds {
		chat, p := newModel(t, kind, func(n int, _ string) []called {
			if n == 0 {
				return []called{{"same", "type", `{"ref":"e1","text":"a"}`}, {"same", "click", `{"ref":"e99"}`},
					{"", "click", `{"ref":"e3"}`}, {"\x00", "done", `{"success":true,"message":"lie"}`}}
			}
			return does("done", `{"success":false,"message":"honest"}`)
		})
		s := newSite("login")
		result, err := agent.Act(t.Context(), deps(chat, s, &vault{}), agent.Options{Instruction: "x"})
		require.NoError(t, err)
		require.Equal(t, "honest", result.Message)
		require.Equal(t, []string{"type e1"}, s.calls)
		require.Equal(t, 2, strings.Count(p.sent()[1], "not done: the call before it failed"))
		require.Equal(t, 2, strings.Count(p.sent()[1], `"same"`), "ids that repeat are replaced")
	}
}

func TestOneTurnDoesOnlySoMuch(t *testing.T) {
	chat, _ := newModel(t, bctrl.OpenAI, func(n int, _ string) []called {
		if n == 1 {
			return does("done", `{"success":true,"message":""}`)
		}
		var all []called
		for i := range 50 {
			all = append(all, called{"", "press", fmt.Sprintf(`{"key":"%d"}`, i)})
		}
		return all
	})
	s := newSite("login")
	_, err := agent.Act(t.Context(), deps(chat, s, &vault{}), agent.Options{Instruction: "x"})
	require.NoError(t, err)
	require.Len(t, s.calls, 8)
}

func TestARefusedSecondHalfOfALoginIsTold(t *testing.T) {
	chat, p := newModel(t, bctrl.OpenAI, func(n int, _ string) []called {
		if n == 0 {
			return does("fill_login", `{"key":"`+vaultKey+`","username_ref":"e1","password_ref":"e99"}`)
		}
		return does("done", `{"success":false,"message":""}`)
	})
	s := newSite("login")
	_, err := agent.Act(t.Context(), deps(chat, s, &vault{}), agent.Options{Instruction: "x"})
	require.NoError(t, err)
	require.Contains(t, p.sent()[1], "filled the username; the password not done: there is no element e99")
	require.Contains(t, p.sent()[1], "[secret]", "and the page is shown as it is now")
}

// chatFunc is a model without a network, for virtual time.
type chatFunc func(ctx context.Context, n int) (*model.Response, error)

type counted struct {
	next chatFunc
	n    *int
}

func (c counted) Complete(ctx context.Context, _ model.Request) (*model.Response, error) {
	*c.n++
	return c.next(ctx, *c.n-1)
}

func TestTheTimeLimitEndsATaskWithWhatWasDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked int
		chat := counted{func(ctx context.Context, n int) (*model.Response, error) {
			if n == 0 {
				return &model.Response{Calls: []model.ToolCall{{ID: "a", Name: "click", Arguments: `{"ref":"e1"}`}}}, nil
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}, &asked}
		begun := time.Now()
		result, err := agent.Act(t.Context(), deps(chat, newSite("login"), &vault{}), agent.Options{
			Instruction: "x",
			Timeout:     time.Minute,
		})
		require.NoError(t, err)
		require.False(t, result.Success)
		require.Equal(t, "the task was stopped after 1m0s", result.Message)
		require.Len(t, result.Actions, 1)
		require.Equal(t, time.Minute, time.Since(begun))
	})
}

func TestWaitingIsBounded(t *testing.T) {
	for _, c := range []struct {
		tool, args string
		lands      time.Duration
		want       time.Duration
		failed     string
	}{
		{"wait", `{"seconds":1e9}`, 0, 10 * time.Second, ""},
		{"wait", `{"seconds":-5}`, 0, time.Second, ""},
		{"wait_download", `{"seconds":1e9}`, 0, time.Minute, "agent.no_download: no new file has landed in 1m0s"},
		{"wait_download", `{}`, 2 * time.Second, 2 * time.Second, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite("login")
			var asked int
			chat := counted{func(_ context.Context, n int) (*model.Response, error) {
				call := model.ToolCall{ID: "a", Name: c.tool, Arguments: c.args}
				if n > 0 {
					call = model.ToolCall{ID: "b", Name: "done", Arguments: `{"success":true,"message":""}`}
				} else if c.lands > 0 {
					time.AfterFunc(c.lands, func() {
						s.mu.Lock()
						defer s.mu.Unlock()
						s.files = append(s.files, bctrl.StorageObject{ID: "new", Filename: "late.csv"})
					})
				}
				return &model.Response{Calls: []model.ToolCall{call}}, nil
			}, &asked}
			begun := time.Now()
			result, err := agent.Act(t.Context(), deps(chat, s, &vault{}), agent.Options{Instruction: "x"})
			require.NoError(t, err)
			require.Len(t, result.Actions, 1)
			require.Equal(t, c.failed, result.Actions[0].Error)
			require.InDelta(t, c.want.Seconds(), time.Since(begun).Seconds(), 0.2)
			if c.lands > 0 {
				require.Equal(t, "late.csv", result.Actions[0].Target)
				require.Len(t, result.Downloads, 1)
			}
		})
	}
}

// TestAnyModelEndsAndLearnsNothing drives the loop with random calls.
func TestAnyModelEndsAndLearnsNothing(t *testing.T) {
	waits := func(tool string) bool { return strings.HasPrefix(tool, "wait") } // for seconds, and learn nothing
	called := append(slices.DeleteFunc(agent.ToolNames(), waits), "nothing", "")
	rapid.Check(t, func(rt *rapid.T) {
		ref := rapid.SampledFrom([]string{"e1", "e2", "e3", "e4", "e5", "e6", "e7", "e99", "[e1]", ""})
		key := rapid.SampledFrom([]string{vaultKey, "prod/crm/elsewhere", "prod/other", ""})
		call := rapid.Custom(func(t *rapid.T) model.ToolCall {
			name := rapid.SampledFrom(called).Draw(t, "tool")
			args := rapid.SampledFrom([]string{
				`{"ref":"` + ref.Draw(t, "ref") + `"}`,
				`{"ref":"e1","text":"hello"}`,
				`{"key":"` + key.Draw(t, "key") + `","ref":"` + ref.Draw(t, "ref") + `"}`,
				`{"key":"` + key.Draw(t, "key") + `","username_ref":"e1","password_ref":"` + ref.Draw(t, "ref") + `"}`,
				`{"url":"https://login.example.com/"}`, `{"success":true,"message":"m"}`, `{"pages":1}`, `{"key":"Enter"}`,
				`{"ref":"e7","option":"Q9"}`, `{"ref":"e7","options":["Q1","Q9"]}`, `{"ref":"e3","button":"right","count":2}`,
				`{"from_ref":"` + ref.Draw(t, "ref") + `","to_ref":"e2"}`, `{"x":10,"y":20}`, `{"x":1,"y":2,"to_x":3,"to_y":4}`,
				`{`, ``,
			}).Draw(t, "args")
			return model.ToolCall{
				ID:        rapid.SampledFrom([]string{"a", "b", "", "\x00"}).Draw(t, "id"),
				Name:      name,
				Arguments: args,
			}
		})
		var seen strings.Builder
		chat := recorder{&seen, func() *model.Response {
			return &model.Response{Text: "t", Calls: rapid.SliceOfN(call, 0, 4).Draw(rt, "calls")}
		}}
		s := newSite(rapid.SampledFrom([]string{"blank", "login", "code", "home"}).Draw(rt, "screen"))
		s.echo = func(v string) string { return v }
		result, err := agent.Act(context.Background(), deps(chat, s, &vault{}), agent.Options{Instruction: "x", MaxSteps: 15})
		if err != nil {
			rt.Fatalf("%v", err)
		}
		text := seen.String() + encode(result)
		for _, value := range []string{password, code, username, forms(password)[1]} {
			if strings.Contains(text, value) {
				rt.Fatalf("a secret got out")
			}
		}
		for _, c := range s.calls {
			if strings.HasPrefix(c, "goto") && !strings.HasPrefix(c, "goto https://login.example.com/") {
				rt.Fatalf("went to %s", c)
			}
		}
	})
}

type recorder struct {
	seen *strings.Builder
	next func() *model.Response
}

func (r recorder) Complete(_ context.Context, req model.Request) (*model.Response, error) {
	ids := map[string]bool{}
	for _, m := range req.Messages {
		r.seen.WriteString(m.Text)
		for _, c := range m.Calls {
			if ids[c.ID] || c.ID == "" {
				return nil, fmt.Errorf("the id of a call is not unique")
			}
			ids[c.ID] = true
			r.seen.WriteString(c.Arguments)
		}
	}
	return r.next(), nil
}

// TestNoPartOfASecretIsCutOff moves a value over every border at which a text
// is cut, and hides it behind characters that are taken out.
func TestNoPartOfASecretIsCutOff(t *testing.T) {
	const value = "SECRETVALUE01234567890"
	for pad := 90; pad < 520; pad++ {
		var seen strings.Builder
		var asked int
		chat := recorder{&seen, func() *model.Response {
			asked++
			if asked == 1 {
				return &model.Response{Calls: []model.ToolCall{{ID: "a", Name: "click", Arguments: `{"ref":"e3"}`}}}
			}
			return &model.Response{Calls: []model.ToolCall{{ID: "b", Name: "done", Arguments: `{"success":true,"message":""}`}}}
		}}
		s := newSite("login")
		s.filled["e9"] = value
		s.echo = func(v string) string { return strings.Repeat("x", pad) + v + " S\u200bECRET" + v[6:] }
		d := deps(chat, s, &vault{})
		d.Secrets = newSecrets(value)
		d.Progress = func(_, _ int, _, message string) { seen.WriteString(message) }
		result, err := agent.Act(t.Context(), d, agent.Options{Instruction: "x"})
		require.NoError(t, err)
		require.NotContains(t, seen.String()+encode(result), value[:4], pad)
	}
}
