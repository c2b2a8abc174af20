package peer

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/cluster"
)

// BenchmarkASmallRequest asks for a kilobyte directly, and by way of another node: the
// difference is what passing on costs, beside the look into the database for the node.
func BenchmarkASmallRequest(b *testing.B) {
	kilobyte := make([]byte, 1<<10)
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(kilobyte) })
	direct := httptest.NewServer(answer)
	b.Cleanup(direct.Close)
	owner, here := newNode(b, 1, nil), newNode(b, 1, nil)
	owner.answer(b, answer)
	passed := here.front(b, func() cluster.Node { return owner.at })
	for name, srv := range map[string]*httptest.Server{"direct": direct, "passed on": passed} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				rq, err := http.NewRequestWithContext(b.Context(), http.MethodGet, srv.URL, nil)
				require.NoError(b, err)
				res, err := srv.Client().Do(rq)
				require.NoError(b, err)
				_, err = io.Copy(io.Discard, res.Body)
				require.NoError(b, err)
				require.NoError(b, res.Body.Close())
			}
		})
	}
}
