package peer

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/cluster"
)

// TestNodesAskEachOther also for what another does not know, cannot say, or is not there to
// say.
func TestNodesAskEachOther(t *testing.T) {
	owner, here, stranger := newNode(t, 1, nil), newNode(t, 1, nil), newNode(t, 2, nil)
	owner.Answer("double", func(_ context.Context, question []byte) (answer any, err error) {
		var n int
		err = json.Unmarshal(question, &n)
		return 2 * n, err
	})
	owner.answer(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a question is nobody's request")
	}))
	var got int
	require.NoError(t, here.Ask(t.Context(), owner.at, "double", 21, &got))
	require.Equal(t, 42, got)
	require.ErrorContains(t, here.Ask(t.Context(), owner.at, "double", "no number", &got), "500: json: cannot unmarshal")
	require.ErrorIs(t, here.Ask(t.Context(), owner.at, "unknown", 21, &got), ErrUnknownQuestion)
	require.Error(t, stranger.Ask(t.Context(), owner.at, "double", 21, &got), "it is of another cluster")
	gone := cluster.Node{ID: owner.at.ID, Address: "127.0.0.1:1"}
	require.Error(t, here.Ask(t.Context(), gone, "double", 21, &got))
}

// TestAQuestionWaitsForNoNodeThatHangs has one that takes the question and answers it never.
func TestAQuestionWaitsForNoNodeThatHangs(t *testing.T) {
	owner, here := newNode(t, 1, nil), newNode(t, 1, nil)
	left := make(chan error, 1)
	owner.Answer("hang", func(ctx context.Context, _ []byte) (any, error) {
		<-ctx.Done()
		left <- ctx.Err()
		return nil, ctx.Err()
	})
	owner.answer(t, http.NotFoundHandler())
	var got int
	// Its own error, or what the other says when it gives up.
	require.Error(t, here.Ask(t.Context(), owner.at, "hang", nil, &got))
	require.ErrorIs(t, <-left, context.Canceled, "and the other node gives up what nobody waits for")
}

// TestTheRestOfAnAnswerIsWaitedForWhileItsNodeLives also where nobody wants it.
func TestTheRestOfAnAnswerIsWaitedForWhileItsNodeLives(t *testing.T) {
	owner, here := newNode(t, 1, nil), newNode(t, 1, nil)
	work, left := make(chan string), make(chan struct{}, 1)
	owner.Answer("launch", func(context.Context, []byte) (any, error) {
		return InParts{"taken", func(ctx context.Context) any {
			select {
			case done := <-work:
				return done
			case <-ctx.Done():
				left <- struct{}{}
				return nil
			}
		}}, nil
	})
	owner.Answer("whole", func(context.Context, []byte) (any, error) { return "refused", nil })
	owner.answer(t, http.NotFoundHandler())
	here.member.live.Store(&[]cluster.Node{owner.at})
	var got string
	ask := func(name string) func(any) error {
		rest, err := here.AskInParts(t.Context(), owner.at, name, nil, &got)
		require.NoError(t, err)
		return rest
	}
	rest := ask("launch")
	require.Equal(t, "taken", got)
	go func() { work <- "started" }()
	require.NoError(t, rest(&got))
	require.Equal(t, "started", got)

	require.NoError(t, ask("whole")(nil))
	require.Equal(t, "refused", got)
	require.ErrorIs(t, ask("whole")(&got), ErrLost, "there is no rest")

	require.NoError(t, ask("launch")(nil))
	<-left

	rest = ask("launch")
	here.member.live.Store(&[]cluster.Node{})
	require.ErrorIs(t, rest(&got), ErrLost, "it lives no more")
	<-left

	rest = ask("launch")
	why := errors.New("the lease is lost")
	here.EndAll(why)
	require.ErrorIs(t, rest(&got), why)
	<-left
	require.Empty(t, here.working())

	_, err := here.AskInParts(t.Context(), owner.at, "unknown", nil, &got)
	require.ErrorIs(t, err, ErrUnknownQuestion)
	require.Empty(t, here.working())
}

// TestALockedNodeNeitherAsksNorAnswers has either end of a connection that is open be locked.
func TestALockedNodeNeitherAsksNorAnswers(t *testing.T) {
	locked := errors.New("locked")
	for name, locks := range map[string]func(owner, here *node) *node{
		"who answers": func(owner, _ *node) *node { return owner },
		"who asks":    func(_, here *node) *node { return here },
	} {
		t.Run(name, func(t *testing.T) {
			owner, here := newNode(t, 1, nil), newNode(t, 1, nil)
			answered := 0
			owner.Answer("count", func(context.Context, []byte) (any, error) {
				answered++
				return answered, nil
			})
			owner.answer(t, http.NotFoundHandler())
			var got int
			ask := func() error { return here.Ask(t.Context(), owner.at, "count", nil, &got) }
			require.NoError(t, ask())
			one := locks(owner, here)
			one.identity.seed = func(context.Context) ([]byte, error) { return nil, locked }
			one.identity.forget() // and not the connection, as where a request has it at that moment
			require.ErrorContains(t, ask(), "locked")
			require.Equal(t, 1, answered)
			one.identity.seed = func(context.Context) ([]byte, error) { return seedOf(1), nil }
			require.NoError(t, ask())
			require.Equal(t, 2, got)
		})
	}
}
