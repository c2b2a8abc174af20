package server

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
)

// from sends a request from an address, past the check against openapi.yaml.
func (h *harness) from(address, method, target string, headers ...string) answer {
	h.Helper()
	req := httptest.NewRequestWithContext(h.Context(), method, target, nil)
	req.RemoteAddr = address
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	h.server.ServeHTTP(rec, req)
	return answer{Status: rec.Code, Header: rec.Header(), Body: rec.Body.Bytes()}
}

// ofNobody are the events that belong to no organization.
func (h *harness) ofNobody() []bctrl.AuditEvent {
	h.Helper()
	h.server.catchUp(h.Context())
	page, err := audit.List(h.Context(), h.db.Read(), "", bctrl.AuditFilter{}, true, 0, 5000)
	require.NoError(h, err)
	return slices.DeleteFunc(page.Events, func(e bctrl.AuditEvent) bool { return e.Caller != "anonymous" })
}

func counted(events []bctrl.AuditEvent) (n int64) {
	for _, e := range events {
		n += e.Count
	}
	return n
}

// A flood of requests without a good key costs the log a handful of events,
// which say how many there were; one with a good key is served as ever, from the
// same address too.
func TestAFloodOfNobodyIsCheapAndNoneOfItIsLost(t *testing.T) {
	for _, tc := range []struct {
		why, method, path string
		headers           []string
	}{
		{"no key", "GET", "/v1/vault/prod%2Fcrm", nil},
		{"a wrong key", "PUT", "/v1/vault/prod%2Fcrm", []string{"Authorization", "Bearer bctrl_wrong"}},
		{"a forged token", "POST", "/v1/workspaces", []string{"Authorization", "Bearer bctrl_rt_AAAA"}},
		{"a foreign key passed through", "GET", "/v1/proxy/github%2F/user", []string{"Authorization", "Bearer ghp_foreign"}},
		{"no key passed through", "GET", "/v1/proxy/github%2F/user", nil},
		{"a ticket that is none", "GET", "/devtools/browser/none", nil},
	} {
		t.Run(tc.why, func(t *testing.T) {
			h := newHarness(t)
			const all = 1000
			first := h.from("198.51.100.7:1", tc.method, tc.path, tc.headers...)
			status := map[int]int{first.Status: 1}
			for n := 1; n < all; n++ {
				got := h.from("198.51.100.7:"+strconv.Itoa(1+n%60000), tc.method, tc.path, tc.headers...)
				status[got.Status]++
				if got.Status == http.StatusTooManyRequests {
					require.Equal(t, "auth.too_many_refusals", got.code())
					seconds, err := strconv.Atoi(got.Header.Get("Retry-After"))
					require.NoError(t, err)
					require.Positive(t, seconds)
				}
				if n%200 == 0 {
					require.Equal(t, 200, h.from("198.51.100.7:9", "GET", "/v1/self", "Authorization", "Bearer "+h.key).Status,
						"a good caller")
				}
			}
			require.Less(t, first.Status, 429)
			require.Len(t, status, 2, "%v", status)
			require.Greater(t, status[http.StatusTooManyRequests], all-2*100)
			events := h.ofNobody()
			require.Less(t, len(events), 2*100)
			require.EqualValues(t, all, counted(events), "every refusal is in the log")
			last := events[len(events)-1]
			require.Equal(t, "auth.refused", last.Action)
			require.Equal(t, "198.51.100.7", last.Address)
			require.Equal(t, "anonymous", last.Caller)
			require.Equal(t, events[0].Outcome, last.Outcome, "what they would have been told")
			require.True(t, h.verified())
		})
	}
}

func TestTheHoldersOfEndedTokensAreStrangersByName(t *testing.T) {
	h := newHarness(t)
	ws := h.workspace("sales", sales())
	h.launch(ws, "crm", nil)
	token := h.mint(ws.ID, "crm", object{})
	info, err := bctrl.InspectToken(token)
	require.NoError(t, err)
	h.ok("DELETE", []string{"tokens", info.ID}, nil, nil)
	const all = 1000
	for range all {
		h.from("198.51.100.7:1", "GET", "/v1/vault", "Authorization", "Bearer "+token.Expose())
	}
	events := h.log(bctrl.AuditFilter{Outcome: "auth.token_revoked"})
	require.Less(t, len(events), 2*100)
	require.EqualValues(t, all, counted(events))
	require.Equal(t, "auth.refused", events[0].Action, "the organization sees it in its own log")
	require.Equal(t, "token:"+info.ID, events[0].Caller)
}
