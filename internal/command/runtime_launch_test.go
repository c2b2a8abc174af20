package command

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestALaunchThatIsInterrupted has the server say what has become of it, in turns.
func TestALaunchThatIsInterrupted(t *testing.T) {
	type answer struct {
		status int
		body   string
	}
	is := func(status string) answer {
		return answer{200, `{"id":"rt-1","workspaceId":"ws-1","alias":"late","status":"` + status + `"}`}
	}
	gone := answer{404, `{"error":"no","code":"runtimes.not_found","reasonClass":"not_found"}`}
	conflict := answer{409, `{"error":"no","code":"runtimes.alias_in_use","reasonClass":"conflict"}`}
	noKey := answer{401, `{"error":"no","code":"auth.required","reasonClass":"unauthorized"}`}
	for why, tc := range map[string]struct {
		reads    []answer // the last one is given again
		launches []answer // after the one that is interrupted
		stops    int
		says     string
	}{
		"it never began":        {reads: []answer{gone}},
		"it was queued":         {reads: []answer{is("queued"), is("queued"), is("stopped")}},
		"it failed":             {reads: []answer{is("failed")}},
		"its browser runs":      {reads: []answer{is("active")}, launches: []answer{is("active")}, stops: 1},
		"another has the alias": {reads: []answer{is("active")}, launches: []answer{conflict}},
		"it waited, and now starts": {
			reads:    []answer{is("queued"), is("starting")},
			launches: []answer{is("active")},
			stops:    1,
		},
		"nobody can say": {reads: []answer{noKey}, says: "sales/late may still start"},
	} {
		t.Run(why, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			reads, launches, stops := 0, 0, 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				say := func(a answer) {
					w.WriteHeader(a.status)
					_, _ = w.Write([]byte(a.body)) // to this test
				}
				switch path := r.URL.Path; {
				case strings.HasSuffix(path, "/stop"):
					stops++
					say(is("stopped"))
				case r.Method == http.MethodPost && strings.HasSuffix(path, "/runtimes"):
					launches++
					if launches == 1 {
						_, _ = io.Copy(io.Discard, r.Body) // before that nobody sees the client leave
						interrupt()
						<-r.Context().Done()
						return
					}
					say(tc.launches[min(launches-2, len(tc.launches)-1)])
				case strings.HasSuffix(path, "/runtimes/late"):
					say(tc.reads[min(reads, len(tc.reads)-1)])
					reads++
				default:
					say(answer{200, `{"workspaces":[{"id":"ws-1","name":"sales"}],"nextCursor":null}`})
				}
			}))
			defer srv.Close()
			t.Setenv("BCTRL_BASE_URL", srv.URL)
			t.Setenv("BCTRL_API_KEY", "bctrl_key_"+strings.Repeat("a", 43))
			got := runIn(ctx, strings.NewReader(""), "runtime", "launch", "sales/late")
			require.Equal(t, exitInterrupted, got.code, got.stderr)
			require.Equal(t, tc.stops, stops)
			require.Equal(t, 1+len(tc.launches), launches, "it is launched again only where it may be running")
			require.GreaterOrEqual(t, reads, len(tc.reads))
			if tc.says == "" {
				require.Equal(t, "bctrl: interrupted\n", got.stderr)
			}
			require.Contains(t, got.stderr, tc.says)
		})
	}
}
