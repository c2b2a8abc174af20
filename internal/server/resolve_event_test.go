package server

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// The log says what was used: with a binding in effect another secret than the
// credential's, by uid and tier, and the binding that put it there.
func TestAnEventNamesTheSecretThatWasUsed(t *testing.T) {
	c := newCallers(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"by":"`+map[string]string{
			"Key " + acmeKey: "own", "Key for-sales-0123456789": "sales", "Key for-all-0123456789": "all",
		}[r.Header.Get("X-Acme")]+`"}`)
	})
	ws := c.made("sales", object{})
	own := c.secretNamed("ACME")
	sales := c.secretIn(inWorkspace("sales"), "OF_SALES", "for-sales-0123456789")
	all := c.secretIn(globally(), "OF_ALL", "for-all-0123456789")
	var acme bctrl.Credential
	c.ok("GET", []string{"credentials", "acme-main"}, nil, &acme)
	var ofSales, ofAll bctrl.Binding
	for _, tc := range []struct {
		why     string
		change  func()
		context bctrl.Scope
		by      string
		want    func() bctrl.AuditSecret
	}{
		{"the credential's own", func() {}, bctrl.InWorkspace(ws.ID), "own", func() bctrl.AuditSecret {
			return bctrl.AuditSecret{
				Field:   "secret",
				UID:     own.ID,
				Version: 1,
				Tier:    "global",
			}
		}},
		{"one of the workspace's binding", func() {
			c.ok("PUT", []string{"bindings"}, object{"credential": "acme-main", "secretRef": refTo(sales.ID),
				"scope": inWorkspace("sales")}, &ofSales)
		}, bctrl.InGroup(ws.ID, "emea"), "sales", func() bctrl.AuditSecret {
			return bctrl.AuditSecret{
				Field:   "secret",
				UID:     sales.ID,
				Version: 1,
				Tier:    "workspace",
				Binding: ofSales.ID,
			}
		}},
		{"which is not there elsewhere", func() {}, bctrl.Global(), "own", func() bctrl.AuditSecret {
			return bctrl.AuditSecret{
				Field:   "secret",
				UID:     own.ID,
				Version: 1,
				Tier:    "global",
			}
		}},
		{"a less specific binding changes nothing", func() {
			c.ok("PUT", []string{"bindings"}, object{"capability": "acme/things", "secretRef": refTo(all.ID),
				"scope": globally()}, &ofAll)
		}, bctrl.InWorkspace(ws.ID), "sales", func() bctrl.AuditSecret {
			return bctrl.AuditSecret{
				Field:   "secret",
				UID:     sales.ID,
				Version: 1,
				Tier:    "workspace",
				Binding: ofSales.ID,
			}
		}},
		{"and is used where there is none", func() {}, bctrl.Global(), "all", func() bctrl.AuditSecret {
			return bctrl.AuditSecret{
				Field:   "secret",
				UID:     all.ID,
				Version: 1,
				Tier:    "global",
				Binding: ofAll.ID,
			}
		}},
		{"the version is the one that was used", func() {
			c.ok("POST", []string{"secrets", sales.ID, "rotate"}, object{"value": "for-sales-0123456789"}, nil)
		}, bctrl.InWorkspace(ws.ID), "sales", func() bctrl.AuditSecret {
			return bctrl.AuditSecret{
				Field:   "secret",
				UID:     sales.ID,
				Version: 2,
				Tier:    "workspace",
				Binding: ofSales.ID,
			}
		}},
	} {
		tc.change()
		inv := things()
		inv.Context = tc.context
		answer, err := c.client.Capabilities.Invoke(t.Context(), inv)
		require.NoError(t, err, tc.why)
		require.JSONEq(t, `{"by":"`+tc.by+`"}`, string(answer.Body), tc.why)
		got := c.last()
		require.Equal(t, "global", got.Tier, "%s: the credential's", tc.why)
		require.Equal(t, "acme-main", got.Credential, tc.why)
		require.Equal(t, []bctrl.AuditSecret{tc.want()}, got.Secrets, tc.why)
		require.NotEqual(t, got.UID, got.Secrets[0].UID, tc.why)
	}
	require.NotEmpty(t, c.log(bctrl.AuditFilter{Action: "binding.write"}))
	require.Equal(t, ofAll.ID, c.log(bctrl.AuditFilter{Action: "binding.write"})[0].UID,
		"by the id that the list of bindings has")
}

// A binding replaces nothing that is more specific than it.
func TestABindingNeverDisplacesWhatIsMoreSpecific(t *testing.T) {
	h := newHarness(t)
	ws := h.made("sales", object{})
	group := bctrl.InGroup(ws.ID, "emea")
	h.secretIn(inGroup("sales", "emea"), "OPENAI_API_KEY", "own")
	bound := h.secretIn(globally(), "BOUND", "bound")
	bind := func(scope object) {
		h.ok("PUT", []string{"bindings"}, object{"capability": "openai/embeddings", "secretRef": refTo(bound.ID),
			"scope": scope}, nil)
	}
	bind(globally())
	require.Contains(t, h.resolved(openAICall(group)), "group apiKey=own", "a global binding")
	bind(inWorkspace("sales"))
	require.Contains(t, h.resolved(openAICall(group)), "group apiKey=own", "the workspace's")
	bind(inGroup("sales", "emea"))
	require.Contains(t, h.resolved(openAICall(group)), "group apiKey=bound", "the group's own is as specific, and wins")
}

// secretNamed is the global secret of a name.
func (h *harness) secretNamed(name string) bctrl.SecretInfo {
	h.Helper()
	var list struct{ Secrets []bctrl.SecretInfo }
	got := h.send("GET", "/v1/secrets?scope=global&name="+name, nil, "Authorization", "Bearer "+h.key)
	decodeInto(h.T, got, &list)
	require.Len(h, list.Secrets, 1)
	return list.Secrets[0]
}
