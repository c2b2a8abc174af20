package server

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// TestACallEndsWhenWhatItIsMadeWithGoes has a provider that answers for ever,
// and changes what the call stands on.
func TestACallEndsWhenWhatItIsMadeWithGoes(t *testing.T) {
	type standing struct {
		*callers
		secret, second bctrl.SecretInfo
		attached       []string
	}
	ref := func(s bctrl.SecretInfo) string { return "vault:secret:" + s.ID }
	for _, test := range []struct {
		why    string
		change func(s *standing)
		// code is the outcome of the call; empty where it goes on.
		code string
	}{
		{"the credential is disabled", func(s *standing) {
			s.ok("PATCH", []string{"credentials", "acme-main"}, object{"enabled": false}, nil)
		}, "credentials.disabled"},
		{"the credential is deleted", func(s *standing) { s.delete("credentials", "acme-main") }, "credentials.not_found"},
		{"the secret is deleted", func(s *standing) { s.delete("secrets", s.secret.ID) }, "credentials.revoked"},
		{"the secret is detached", func(s *standing) { s.delete(s.attached...) }, "credentials.not_found"},
		{"another secret is bound", func(s *standing) {
			s.ok("PUT", []string{"bindings"}, object{"credential": "acme-main", "secretRef": ref(s.second),
				"scope": inGroup("w", "g")}, nil)
		}, "credentials.replaced"},
		{"another secret is bound, for what is less specific", func(s *standing) {
			s.ok("PUT", []string{"bindings"}, object{"credential": "acme-main", "secretRef": ref(s.second), "scope": globally()},
				nil)
		}, ""},
		{"the capability is deleted", func(s *standing) {
			s.delete("capabilities", "acme/things")
		}, "capabilities.not_found"},
		{"the capability permits less", func(s *standing) {
			s.ok("PUT", []string{"capabilities", "acme/things"},
				object{"methods": []string{"GET"}, "paths": []string{"/v1/other"}}, nil)
		}, "capabilities.changed"},
		{"the server is locked", func(s *standing) { s.lock() }, "seal.locked"},
		{"the secret has another value", func(s *standing) {
			s.ok("POST", []string{"secrets", s.secret.ID, "rotate"}, object{"value": "another"}, nil)
		}, ""},
		{"another credential has a higher priority", func(s *standing) {
			s.ok("POST", []string{"credentials"}, object{
				"id": "nearer", "provider": "acme", "secretRef": ref(s.second), "scope": globally(), "hosts": []string{acmeHost},
				"priority": 9,
				"auth":     object{"type": "header", "headers": object{"X-Acme": "Key {secret}"}},
			}, nil)
			s.ok("PATCH", []string{"credentials", "nearer"}, object{"priority": 10}, nil)
		}, ""},
		{"the capability permits more", func(s *standing) {
			s.ok("PUT", []string{"capabilities", "acme/things"}, object{"methods": []string{"GET", "DELETE"},
				"paths": []string{"/v1/things", "/v2"}}, nil)
		}, ""},
	} {
		for _, who := range []string{"a runtime", "an organization key"} {
			t.Run(test.why+", called by "+who, func(t *testing.T) {
				finish := make(chan struct{})
				s := &standing{callers: newCallers(t, func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.WriteString(w, "begun\n")
					_ = http.NewResponseController(w).Flush()
					select {
					case <-r.Context().Done():
					case <-finish:
						_, _ = io.WriteString(w, "ended")
					}
				})}
				s.delete("credentials", "acme-main")
				ws := s.workspace("w", bctrl.Mounts{Capabilities: &bctrl.CapabilityMount{Allow: []string{"acme/things"}}})
				s.ok("POST", []string{"secrets"}, object{"name": "NEAR", "value": "the-near-secret", "scope": globally(),
					"attachedOnly": true}, &s.secret)
				s.second = s.secretIn(globally(), "SECOND", "the-second-secret")
				s.attached = attachmentOf(s.secret.ID, ws.ID, "g")
				s.ok("PUT", s.attached, nil, nil)
				s.ok("POST", []string{"credentials"}, object{
					"id": "acme-main", "provider": "acme", "secretRef": ref(s.secret), "scope": globally(),
					"hosts": []string{acmeHost},
					"auth":  object{"type": "header", "headers": object{"X-Acme": "Key {secret}"}},
				}, nil)
				rt := s.launchIn(ws, "r", "g")
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.srv.URL+"/v1/proxy/acme%2Fthings/v1/things",
					nil)
				require.NoError(t, err)
				req.Header.Set("Authorization", "Bearer "+s.key)
				if who == "a runtime" {
					req.Header.Set("Bctrl-Runtime", rt.ID)
				} else {
					req.Header.Set("Bctrl-Workspace-Id", ws.ID)
					req.Header.Set("Bctrl-Group-Id", "g")
				}
				resp, err := s.srv.Client().Do(req)
				require.NoError(t, err)
				defer resp.Body.Close()
				first := make([]byte, len("begun\n"))
				_, err = io.ReadFull(resp.Body, first)
				require.NoError(t, err)

				soon(t, "in flight ends within a second", func() {
					test.change(s)
					if test.code == "" {
						close(finish)
					}
					rest, err := io.ReadAll(resp.Body)
					if test.code == "" {
						require.NoError(t, err)
						require.Equal(t, "ended", string(rest))
					} else {
						require.Error(t, err, "a part is not taken for the whole")
					}
				})
				s.settled(func() bool { return s.server.Underway() == 0 }, "nothing is left of it")
				want := test.code
				if want == "" {
					want = "ok"
				}
				if test.code != "seal.locked" { // nobody reads the log then
					require.Equal(t, want, s.last().Outcome)
				}
			})
		}
	}
}

// TestARefreshTokenThatWasReplacedByHandStays has a person rotate and delete the
// secret while the provider replaces it.
func TestARefreshTokenThatWasReplacedByHandStays(t *testing.T) {
	const login = "login.acme.example"
	for _, test := range []struct{ why, want string }{{"nobody", "refresh-2"}, {"rotate", "by-hand-0123456789"},
		{"delete", ""}} {
		t.Run(test.why, func(t *testing.T) {
			c := newCallers(t, func(http.ResponseWriter, *http.Request) {})
			refresh := c.secretIn(globally(), "REFRESH", "refresh-1-0123456789")
			id := c.secretIn(globally(), "CLIENT", "client-0123456789")
			c.ok("POST", []string{"credentials"}, object{
				"id": "oauth", "provider": "acme", "scope": globally(), "hosts": []string{acmeHost},
				"secretRefs": object{"refreshToken": "vault:secret:" + refresh.ID, "clientId": "vault:secret:" + id.ID},
				"auth": object{"type": "oauth2", "oauth2": object{"grant": "refresh_token",
					"tokenUrl": "https://" + login + "/token"}},
			}, nil)
			require.NoError(t, c.providers.Serve(login, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				changed := answer{Status: http.StatusOK}
				switch test.why {
				case "rotate":
					changed = c.do("POST", []string{"secrets", refresh.ID, "rotate"}, nil, object{"value": test.want})
				case "delete":
					changed = c.do("DELETE", []string{"secrets", refresh.ID}, nil, nil)
				}
				assert.Equal(t, http.StatusOK, changed.Status, "%s", changed.Body)
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"access_token":"access-0123456789","expires_in":3600,"refresh_token":"refresh-2"}`)
			})))
			call := things()
			call.Credential = "oauth"
			_, err := c.client.Capabilities.Invoke(t.Context(), call)
			if test.why == "delete" {
				require.Equal(t, "credentials.revoked", codeOf(err))
				require.Zero(t, c.hits.Load())
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, c.secretValue(refresh.ID))
		})
	}
}
