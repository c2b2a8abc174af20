package server

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// mint mints a token of a runtime.
func (h *harness) mint(workspace, alias string, body object) bctrl.Secret {
	h.Helper()
	var minted wire.NewToken
	h.ok("POST", []string{"workspaces", workspace, "runtimes", alias, "tokens"}, body, &minted)
	return bctrl.NewSecret(minted.Token.Reveal())
}

// as lets requests come with another key for as long as fn runs.
func (h *harness) as(key string, fn func()) {
	h.Helper()
	before := h.key
	h.key = key
	defer func() { h.key = before }()
	fn()
}

// with sends a request with a token.
func (h *harness) with(token bctrl.Secret, method string, segments []string, body any, headers ...string) (got answer) {
	h.Helper()
	h.as(token.Expose(), func() { got = h.do(method, segments, nil, body, headers...) })
	return got
}

func tokenID(t *testing.T, token bctrl.Secret) string {
	t.Helper()
	info, err := bctrl.InspectToken(token)
	require.NoError(t, err)
	return info.ID
}

// forged is a token with another last byte.
func forged(token bctrl.Secret) bctrl.Secret {
	text := token.Expose()
	last := "A"
	if text[20:21] == last {
		last = "B"
	}
	return bctrl.NewSecret(text[:20] + last + text[21:])
}

func TestATokenDiesOnTheNextRequest(t *testing.T) {
	for _, tc := range []struct {
		why, code string
		kill      func(h *harness, token bctrl.Secret, path []string)
	}{
		{"its runtime stopped", "runtimes.not_active", func(h *harness, _ bctrl.Secret, path []string) {
			h.ok("POST", append(path, "stop"), nil, nil)
		}},
		{"its runtime stopped by itself", "runtimes.not_active", func(h *harness, token bctrl.Secret, path []string) {
			require.Equal(h, http.StatusOK, h.with(token, "POST", append(path, "stop"), nil).Status)
		}},
		{"its alias passed to another runtime", "runtimes.not_active", func(h *harness, _ bctrl.Secret, path []string) {
			h.ok("POST", append(path, "stop"), nil, nil)
			h.ok("POST", path[:3], object{"alias": "crm", "kind": "browser", "driver": "stagehand", "launch": object{}}, nil)
		}},
		{"its workspace was deleted", "runtimes.not_active", func(h *harness, _ bctrl.Secret, path []string) {
			got := h.do("DELETE", path[:2], map[string][]string{"force": {"true"}}, nil)
			require.Equal(h, http.StatusOK, got.Status, "%s", got.Body)
		}},
		{"it was revoked", "auth.token_revoked", func(h *harness, token bctrl.Secret, _ []string) {
			h.ok("DELETE", []string{"tokens", tokenID(h.T, token)}, nil, nil)
			h.ok("DELETE", []string{"tokens", tokenID(h.T, token)}, nil, nil) // again
		}},
		{"nobody minted it: its row is gone", "runtimes.not_active", func(h *harness, _ bctrl.Secret, _ []string) {
			h.tamper("DELETE FROM runtime_tokens")
		}},
	} {
		t.Run(tc.why, func(t *testing.T) {
			h := newHarness(t)
			ws := h.workspace("sales", sales())
			h.launch(ws, "crm", nil)
			path := []string{"workspaces", ws.ID, "runtimes", "crm"}
			token := h.mint(ws.ID, "crm", object{})
			weaker, err := bctrl.Attenuate(token, bctrl.Mounts{Storage: &bctrl.StorageMount{Access: bctrl.StorageNone}}, timeIn(1))
			require.NoError(t, err)
			for _, held := range []bctrl.Secret{token, weaker} {
				require.Equal(t, http.StatusOK, h.with(held, "GET", []string{"self"}, nil).Status)
			}
			tc.kill(h, token, path)
			for _, held := range []bctrl.Secret{token, weaker} {
				for _, segments := range [][]string{{"self"}, {"vault"}, path} {
					refused(t, h.with(held, "GET", segments, nil), http.StatusUnauthorized, tc.code, tc.why)
				}
			}
		})
	}
}

// timeIn is some minutes from now.
func timeIn(minutes int) time.Time { return time.Now().Add(time.Duration(minutes) * time.Minute) }
