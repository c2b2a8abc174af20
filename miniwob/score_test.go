package miniwob

import (
	"fmt"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// recorded is how many of the 125 standard tasks reached reward 1 with each of five seeds
// when it was last counted. It may only rise.
const recorded = 116

// printScore prints the score over all standard tasks, by kind, and the tasks that were
// lost; those without a policy are. It returns how many were won.
func printScore(won map[string]bool, seeds int) (total int) {
	var lost []string
	all := 0
	for _, kind := range Kinds() {
		n := 0
		for _, task := range kind.Tasks {
			if won[task] {
				n++
				continue
			}
			lost = append(lost, task)
		}
		fmt.Printf("%-30s %d of %d\n", kind.Name, n, len(kind.Tasks))
		total, all = total+n, all+len(kind.Tasks)
	}
	fmt.Printf("score: %d of %d tasks reached reward 1 with each of %d seeds; %s was asked\nlost: %s\n",
		total, all, seeds, whoWasAsked(), strings.Join(lost, " "))
	return total
}

// TestAModelOfOnesOwnIsScored plays a task with a model behind an address, as a real one is.
func TestAModelOfOnesOwnIsScored(t *testing.T) {
	key := bctrl.NewSecret(uuid.NewString())
	model, err := modeltest.New(modeltest.Config{Key: key, Script: func(turn modeltest.Turn) modeltest.Call {
		return steps(clickNamed(quote(0)))(newWorld(turn))
	}})
	require.NoError(t, err)
	web := httptest.NewServer(model)
	t.Cleanup(web.Close)
	t.Setenv(keyVariable, key.Expose())
	*modelFlag, *baseFlag = "openai-compatible:"+modeltest.DefaultModel, web.URL+"/v1"
	t.Cleanup(func() { *modelFlag, *baseFlag = "", "" })
	out, err := newPlayer(t).play(t.Context(), "click-button", 1)
	require.NoError(t, err)
	require.True(t, out.Done)
	require.InDelta(t, 1, out.Reward, 0)
}

// TestTheStandardTasksAreThere holds the list of tasks to the pages, and the policies to the
// list or the pages that are no standard tasks.
func TestTheStandardTasksAreThere(t *testing.T) {
	site, err := NewSite(*htmlFlag)
	require.NoError(t, err, "install MiniWoB++ with scripts/install-miniwob")
	t.Cleanup(func() { require.NoError(t, site.Close()) })
	var names []string
	for _, kind := range Kinds() {
		names = append(names, kind.Tasks...)
	}
	slices.Sort(names)
	require.Len(t, slices.Compact(slices.Clone(names)), 125)
	for task := range policies() {
		names = append(names, task)
	}
	for _, name := range names {
		page, err := site.root.Open("miniwob/" + name + ".html")
		require.NoError(t, err, name)
		require.NoError(t, page.Close())
	}
}

// TestTheScoreInTheDocumentationIsTheRecordedOne reads docs/agents.md.
func TestTheScoreInTheDocumentationIsTheRecordedOne(t *testing.T) {
	text, err := os.ReadFile("../docs/agents.md")
	require.NoError(t, err)
	require.Contains(t, string(text), fmt.Sprintf("125 standard tasks, five seeds each | %d |", recorded))
}
