package tasks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// task is one thing to do on one page.
type task struct {
	name string
	// page is where it begins, at the site.
	page string
	// ask is what the agent is asked to do.
	ask string
	// policy does what a model would do. One that counts its steps is good for one run.
	policy modeltest.Script
	// judge says what is wrong with what came of it; nil when it was done.
	judge func(ctx context.Context, d *desk) error
	// call has the agent begin; nil is Act.
	call func(ctx context.Context, d *desk, ask string) error
}

// tasks are all there are.
func tasks() []task {
	return []task{
		shop(),
		form(),
		wizard(),
		cookies(),
		modal(),
		slow(),
		table(),
		pages(),
		infinite(),
		virtual(),
		suggestions(),
		combobox(),
		dates(),
		shadow(),
		board(),
		hoverMenu(),
		contextMenu(),
		shortcuts(),
		editor(),
		canvas(),
		popup(),
		dialogs(),
		upload(),
		download(),
		invoice(),
		twoSteps(),
		codeBoxes(),
		basic(),
		payment(),
		narrowed(),
	}
}

// TestEveryTaskIsDone has the agent do one task after the other and prints the score. Two
// desks have a half each at once, since most of a task is waiting.
func TestEveryTaskIsDone(t *testing.T) {
	all := tasks()
	var done atomic.Int32
	t.Run("desks", func(t *testing.T) {
		for half := range slices.Chunk(all, (len(all)+1)/2) {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				d := newDesk(t)
				for _, task := range half {
					t.Run(task.name, func(t *testing.T) {
						require.NoError(t, d.play(t.Context(), task))
						done.Add(1)
					})
				}
				d.nothingLeaked(t)
			})
		}
	})
	fmt.Printf("%d of %d tasks were done; a scripted model was asked\n", done.Load(), len(all))
}

// play has the agent do a task and judges what came of it.
func (d *desk) play(ctx context.Context, task task) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	d.begin(task)
	if _, err := d.rt.Page.Goto(ctx, d.site.url+task.page); err != nil {
		return err
	}
	call := task.call
	if call == nil {
		call = act
	}
	err := call(ctx, d, task.ask)
	if wrong := task.judge(ctx, d); wrong != nil {
		return errors.Join(wrong, err, d.trouble())
	}
	return err
}

func act(ctx context.Context, d *desk, ask string) error {
	_, err := d.rt.Stagehand.Act(ctx, ask, bctrl.ActOptions{MaxSteps: 60})
	return err
}
