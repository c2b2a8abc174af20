package server

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// rememberer changes at random what calls are made with, and makes them.
type rememberer struct {
	*callers
	*rand.Rand
	contexts []object
	// secrets are ids; values are numbers by what arrived, which no failure shows.
	secrets []string
	values  map[string]int
	arrived string
}

func newRememberer(t *testing.T, seed uint64) *rememberer {
	r := &rememberer{Rand: rand.New(rand.NewPCG(seed, 0)), values: map[string]int{}}
	r.callers = newCallers(t, func(w http.ResponseWriter, req *http.Request) {
		r.arrived = req.Header.Get("X-Acme")
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"name":"n","email":"e"}`))
	})
	ws := r.made("sales", object{})
	r.contexts = []object{globally(), inWorkspace(ws.ID), inGroup(ws.ID, "emea")}
	for range 3 {
		r.addSecret()
	}
	return r
}

func (r *rememberer) context() object { return r.contexts[r.IntN(len(r.contexts))] }
func (r *rememberer) secret() string  { return r.secrets[r.IntN(len(r.secrets))] }
func (r *rememberer) id() string      { return fmt.Sprint("c", r.IntN(4)) }

func (r *rememberer) addSecret() {
	s := r.secretIn(r.context(), fmt.Sprint("S", len(r.secrets), "_", r.IntN(1e9)), fmt.Sprint("value-", r.Uint64()))
	r.secrets = append(r.secrets, s.ID)
}

// change makes a change, which may be refused.
func (r *rememberer) change() {
	switch r.IntN(12) {
	case 0:
		r.addSecret()
	case 1:
		r.do("POST", []string{"secrets", r.secret(), "rotate"}, nil, object{"value": fmt.Sprint("value-", r.Uint64())})
	case 2:
		r.do("DELETE", []string{"secrets", r.secret()}, nil, nil)
	case 3, 4:
		method := []string{"PUT", "DELETE"}[r.IntN(2)]
		r.do(method, attachmentOf(r.secret(), "sales", "emea"), nil, nil)
	case 5, 6:
		r.do("POST", []string{"credentials"}, nil, object{
			"id": r.id(), "provider": "acme", "secretRef": refTo(r.secret()), "scope": r.context(),
			"hosts": []string{acmeHost}, "priority": r.IntN(3),
			"auth": object{"type": "header", "headers": object{"X-Acme": "Key {secret}"}},
		})
	case 7:
		r.do("DELETE", []string{"credentials", r.id()}, nil, nil)
	case 8:
		r.do("PATCH", []string{"credentials", r.id()}, nil, object{"enabled": r.IntN(2) == 0, "priority": r.IntN(3)})
	case 9:
		r.do("PUT", []string{"bindings"}, nil,
			object{"capability": "acme/things", "secretRef": refTo(r.secret()), "scope": r.context()})
	case 10:
		r.do("PUT", []string{"capabilities", "acme/things", "policy"}, nil,
			[]object{{}, {"redact": []string{"name"}}, {"maxResponseBytes": 3}, {"redact": []string{"email"}}}[r.IntN(4)])
	case 11:
		r.do("PUT", []string{"capabilities", "acme/things"}, nil, object{
			"methods": [][]string{{"GET", "POST"}, {"GET"}}[r.IntN(2)], "paths": []string{"/v1/things"},
		})
	}
}

// outcome is all that a call comes to: its answer, what arrived at the provider, and
// what the log has of it.
func (r *rememberer) outcome(in object) string {
	r.arrived = "nothing"
	got := r.do("POST", []string{"capabilities", "acme/things", "invoke"}, nil,
		object{"path": "/v1/things", "method": "POST", "context": in})
	if _, known := r.values[r.arrived]; !known {
		r.values[r.arrived] = len(r.values)
	}
	var answer struct {
		Body             any
		Credential, Tier string
	}
	if got.Status == http.StatusOK {
		decodeInto(r.T, got, &answer)
	}
	var log struct{ Events []bctrl.AuditEvent }
	decodeInto(r.T, r.do("GET", []string{"audit"}, url.Values{"action": {"capability.invoke"}, "limit": {"1"}}, nil), &log)
	e := log.Events[0]
	return fmt.Sprint(got.Status, got.code(), answer, r.values[r.arrived], e.Outcome, e.Credential, e.UID, e.Version,
		e.Tier, e.Host, e.Path, e.Secrets)
}

// TestACallByWhatIsRememberedIsTheCallByWhatIsStored compares each call of random
// histories with the same call of a server that remembers nothing.
func TestACallByWhatIsRememberedIsTheCallByWhatIsStored(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := newRememberer(t, seed)
	for step := range 40 {
		r.change()
		for _, in := range r.contexts {
			remembered := r.outcome(in)
			require.Equal(t, remembered, r.outcome(in), "step %d: twice", step)
			r.server.calls.Forget()
			require.Equal(t, r.outcome(in), remembered, "step %d: forgotten", step)
		}
	}
}

// TestARowThatWasUsedIsRefusedOnceItIsChanged: what is remembered of a row does not
// outlast a change of it behind the server's back.
func TestARowThatWasUsedIsRefusedOnceItIsChanged(t *testing.T) {
	for _, tc := range []struct{ why, statement, code string }{
		{"another credential's name", "UPDATE credentials SET priority = 7", "credentials.tampered"},
		{"a secret of before", "UPDATE secrets SET version = version + 1", "secrets.tampered"},
		{"more paths", `UPDATE capabilities SET meta = '{"methods":["POST"],"paths":["/"]}'`, "capabilities.tampered"},
		{"no limit", "DELETE FROM capability_policies", "capabilities.tampered"},
		{"a higher limit", `UPDATE capability_policies SET meta = '{"callsPerMinute":1000}'`, "capabilities.tampered"},
		{"another secret", "UPDATE bindings SET consumer = 'x' || consumer WHERE consumer <> ''", "credentials.tampered"},
	} {
		t.Run(tc.why, func(t *testing.T) {
			c := newCallers(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
			c.policy(bctrl.CapabilityPolicy{CallsPerMinute: 100})
			c.ok("PUT", []string{"bindings"}, object{"capability": "acme/things", "consumer": "x",
				"secretRef": refTo(c.secretIn(globally(), "OTHER", "other-value").ID), "scope": globally()}, nil)
			for range 2 {
				_, err := c.client.Capabilities.Invoke(t.Context(), things())
				require.NoError(t, err)
			}
			hits := c.hits.Load()
			c.tamper(tc.statement)
			inv := things()
			if tc.why == "another secret" {
				inv.Consumer = "xx"
			}
			_, err := c.client.Capabilities.Invoke(t.Context(), inv)
			require.Equal(t, tc.code, codeOf(err))
			require.Equal(t, hits, c.hits.Load(), "nothing was sent")
		})
	}
}

// TestARefusalNamesWhatTheCallWasToBeMadeWith also where that cannot be read any more.
func TestARefusalNamesWhatTheCallWasToBeMadeWith(t *testing.T) {
	c := newCallers(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	if _, onFile := c.db.Generation(); !onFile {
		return // PostgreSQL takes no text for a number
	}
	c.tamper("UPDATE secrets SET version = 'x'")
	_, err := c.client.Capabilities.Invoke(t.Context(), things())
	require.Error(t, err)
	refused := c.last()
	require.Equal(t, codeOf(err), refused.Outcome)
	require.Equal(t, "acme-main", refused.Credential)
	require.NotEmpty(t, refused.UID)
	require.NotEmpty(t, refused.Tier)
}

// TestUsesLeaveWhatIsRemembered: what calls are resolved by is read again once it may
// have changed, and not for each use of the server.
func TestUsesLeaveWhatIsRemembered(t *testing.T) {
	c := newCallers(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	c.policy(bctrl.CapabilityPolicy{CallsPerMinute: 100})
	ws := c.made("w", object{"vault": object{"allow": []string{"/"}}, "capabilities": object{"allow": []string{"/"}}})
	_, err := c.client.Capabilities.Invoke(t.Context(), things())
	require.NoError(t, err)
	before, ok := c.db.Generation()
	if !ok { // PostgreSQL: each transaction reads it anew
		return
	}
	for range 3 {
		_, err := c.client.Capabilities.Invoke(t.Context(), things()) // with an idempotency key
		require.NoError(t, err)
	}
	c.setLogin("prod/crm")
	rt := c.launch(ws, "r", nil)
	c.do("GET", []string{"vault", "prod/crm", "totp"}, nil, nil, as(rt)...)
	c.ok("POST", []string{"workspaces", ws.ID, "runtimes", "r", "stop"}, nil, nil)
	require.NotEmpty(t, c.log(bctrl.AuditFilter{Action: "capability.invoke"}))
	after, _ := c.db.Generation()
	require.Equal(t, before, after)
	c.policy(bctrl.CapabilityPolicy{CallsPerMinute: 99})
	changed, _ := c.db.Generation()
	require.Greater(t, changed, after)
}
