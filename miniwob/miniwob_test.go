package miniwob

import (
	"context"
	"flag"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	tasksFlag = flag.String("tasks", "sample", `tasks with commas between them; "all" for every one`)
	seedsFlag = flag.Int("seeds", 1, "seeds a task, from 1")
	viewsFlag = flag.Bool("views", false, "print what the model sees, and what it calls")
	shotsFlag = flag.String("pictures", "", "a folder to write the pictures to that the model sees")
	modelFlag = flag.String("model", "", `a real model to score, PROVIDER:NAME, as "openai:gpt-5.6-terra"`)
	baseFlag  = flag.String("base-url", "", "where the model is asked, for openai-compatible")
	htmlFlag  = flag.String("html", "html", "the folder of that name of MiniWoB++, which scripts/install-miniwob links")
)

// player plays episodes: a site, a server and a runtime with a browser.
type player struct {
	site *Site
	web  *httptest.Server
	rt   *bctrl.Runtime

	mu     sync.Mutex
	policy Policy
	shots  int // pictures that were written
}

func newPlayer(t *testing.T) *player {
	t.Helper()
	p := &player{}
	var err error
	p.site, err = NewSite(*htmlFlag)
	require.NoError(t, err, "install MiniWoB++ with scripts/install-miniwob")
	t.Cleanup(func() { _ = p.site.Close() })
	p.web = httptest.NewServer(p.site)
	t.Cleanup(p.web.Close)
	options := []bctrltest.Option{bctrltest.WithBrowser()}
	if *modelFlag == "" {
		options = append(options, bctrltest.WithModel(p.script))
	}
	srv := bctrltest.New(t, options...)
	client, ctx := srv.Client(bctrl.WithTimeout(3*time.Minute)), t.Context()
	_, err = client.AICredentials.Create(ctx, credential(t, srv))
	require.NoError(t, err)
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "miniwob", Mounts: bctrl.Mounts{
		AI: &bctrl.AIMount{Allow: []string{"model"}},
	}})
	require.NoError(t, err)
	p.rt, err = ws.Runtimes.Browser("player").Stagehand(ctx, bctrl.Launch{Mode: bctrl.ModeEphemeral})
	require.NoError(t, err)
	return p
}

// keyVariable is the environment variable with the key of a real model.
const keyVariable = "BCTRL_MINIWOB_KEY"

// credential is the scripted model's, or that of the real one which is to be scored.
func credential(t *testing.T, srv *bctrltest.Server) bctrl.AICredentialCreate {
	t.Helper()
	if *modelFlag == "" {
		return srv.ModelCredential("model")
	}
	provider, name, ok := strings.Cut(*modelFlag, ":")
	require.True(t, ok, "-model is PROVIDER:NAME")
	key := os.Getenv(keyVariable)
	if key == "" && *baseFlag != "" {
		key = "none" // a server of one's own asks for none
	}
	if key == "" {
		t.Fatal("a real model needs its key in " + keyVariable)
	}
	return bctrl.AICredentialCreate{
		ID: "model", Provider: bctrl.AIProvider(provider), DefaultModel: name, BaseURL: *baseFlag,
		APIKey: bctrl.NewSecret(key),
	}
}

func whoWasAsked() string {
	if *modelFlag == "" {
		return "a scripted model"
	}
	return *modelFlag
}

func (p *player) script(turn modeltest.Turn) (call modeltest.Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() {
		if v := recover(); v != nil {
			call = fail(fmt.Sprint("the policy cannot read this: ", v))
		}
		if *shotsFlag != "" && turn.Picture != nil {
			p.shots++
			_ = os.WriteFile(filepath.Join(*shotsFlag, fmt.Sprintf("%04d.png", p.shots)), turn.Picture, 0o600)
		}
		if *viewsFlag {
			fmt.Printf("%s\n%s\n-> %s %v\n", turn.Result, turn.View.Outline, call.Tool, call.Args)
		}
	}()
	return p.policy(newWorld(turn))
}

// play plays one episode and says how it went.
func (p *player) play(ctx context.Context, task string, seed int) (Outcome, error) {
	id := fmt.Sprintf("%s-%d", task, seed)
	started := p.site.Begin(id)
	address := p.web.URL + "/miniwob/" + url.PathEscape(task) + ".html?" +
		url.Values{"episode": {id}, "seed": {fmt.Sprint(seed)}}.Encode()
	if _, err := p.rt.Page.Goto(ctx, address); err != nil {
		return Outcome{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	select {
	case <-started:
	case <-ctx.Done():
		return Outcome{}, ctx.Err()
	}
	p.mu.Lock()
	p.policy = policies()[task]
	if p.policy == nil {
		p.policy = giveUp("nobody wrote a policy for this task")
	}
	p.mu.Unlock()
	options := bctrl.ActOptions{MaxSteps: 60, Vision: visionOf(task)}
	if *modelFlag != "" {
		options.Vision = bctrl.VisionAuto
	}
	result, err := p.rt.Stagehand.Act(ctx, p.site.Outcome(id).Utterance, options)
	out := p.site.Outcome(id)
	if err == nil && !out.Done {
		out.Reason = result.Message
	}
	return out, err
}

// visionOf is on for tasks whose policy looks at pictures, which a script that nobody
// knows to see is not sent otherwise.
func visionOf(task string) bctrl.VisionMode {
	if _, looks := picturePolicies()[task]; looks {
		return bctrl.VisionOn
	}
	return bctrl.VisionOff
}

// sample are the tasks that are played with every change: of each kind one or two.
var sample = []string{
	"count-shape", "book-flight", "choose-date", "click-checkboxes-soft", "click-collapsible-2", "click-menu",
	"click-scroll-list", "copy-paste", "email-inbox-important", "enter-date", "form-sequence", "drag-shapes-2",
	"login-user-popup", "multi-orderings", "navigate-tree", "search-engine", "social-media", "terminal", "tic-tac-toe",
	"use-slider-2",
}

// TestPoliciesReachTheReward plays a task after the other and prints the score.
func TestPoliciesReachTheReward(t *testing.T) {
	p := newPlayer(t)
	names := strings.Split(*tasksFlag, ",")
	switch *tasksFlag {
	case "all":
		names = nil
		for _, kind := range Kinds() {
			names = append(names, kind.Tasks...)
		}
	case "sample":
		names = sample
	}
	whole, wonAll := 0, map[string]bool{}
	for _, name := range names {
		if *modelFlag == "" && policies()[name] == nil {
			continue // lost, and named below
		}
		won := 0
		var lost []string
		for seed := 1; seed <= *seedsFlag; seed++ {
			out, err := p.play(t.Context(), name, seed)
			if out.Done && out.Reward == 1 {
				won++
				continue
			}
			lost = append(lost, fmt.Sprintf("seed %d: %.2f, asked for %q: %s %v",
				seed, out.Reward, out.Utterance, out.Reason, err))
		}
		if won == *seedsFlag {
			whole++
			wonAll[name] = true
		}
		fmt.Printf("%-30s %d/%d %s\n", name, won, *seedsFlag, strings.Join(lost, "; "))
	}
	if *tasksFlag == "all" {
		score := printScore(wonAll, *seedsFlag)
		if *modelFlag == "" {
			require.GreaterOrEqual(t, score, recorded, "the score may only rise")
		}
		return
	}
	fmt.Printf("%d of %d tasks reached reward 1 with each of %d seeds; %s was asked\n",
		whole, len(names), *seedsFlag, whoWasAsked())
	if *tasksFlag == "sample" && *modelFlag == "" {
		require.Equal(t, len(sample), whole)
	}
}
