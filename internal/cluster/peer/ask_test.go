package peer

import (
	"context"
	"encoding/json"
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
	require.ErrorContains(t, here.Ask(t.Context(), owner.at, "double", "no number", &got), "500")
	require.ErrorContains(t, here.Ask(t.Context(), owner.at, "unknown", 21, &got), "404")
	require.Error(t, stranger.Ask(t.Context(), owner.at, "double", 21, &got), "it is of another cluster")
	gone := cluster.Node{ID: owner.at.ID, Address: "127.0.0.1:1"}
	require.Error(t, here.Ask(t.Context(), gone, "double", 21, &got))
}
