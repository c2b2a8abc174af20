package server

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

const (
	rightPassphrase = "correct horse battery staple"
	wrongPassphrase = "correct horse battery stable"
)

// locked requires the refusal of what needs the key.
func locked(t *testing.T, got answer, why string) {
	t.Helper()
	refused(t, got, http.StatusServiceUnavailable, "seal.locked", why)
}

// TestWhileLockedEveryRouteWorksWithoutTheKeyOrIsRefused calls every route of a
// server that has just been locked.
func TestWhileLockedEveryRouteWorksWithoutTheKeyOrIsRefused(t *testing.T) {
	w := newWorld(t)
	everybody := w.everybody()
	token := "Bearer " + w.token("rt").Expose()
	w.token("other")
	link := w.linkTo("acme-sales", "a/acme.txt", "")
	w.lock()

	open := slices.Collect(maps.Keys(whileLocked()))
	for _, name := range open {
		require.True(t, slices.ContainsFunc(w.server.routes(), func(rt web.Route) bool {
			return rt.Method+" "+rt.Path == name
		}), "there is no %s", name)
	}
	organization := everybody[len(everybody)-1]
	tried := 0
	for _, s := range walk(t) {
		method, _, _ := strings.Cut(s.route, " ")
		if s.right == "public" || s.route == "POST /v1/seal/unlock" {
			continue
		}
		for _, about := range s.askings {
			why := s.route + " " + about.target
			got := w.ask(method, about, organization)
			if slices.Contains(open, s.route) {
				assert.Equal(t, expected(s, organization, about), got.Status, "%s: %s", why, got.Body)
			} else {
				assert.Equal(t, http.StatusServiceUnavailable, got.Status, "%s: %s", why, got.Body)
				assert.True(t, method == "HEAD" || got.code() == "seal.locked", "%s: %s", why, got.Body)
			}
			got = w.ask(method, about, somebody{key: token})
			assert.Equal(t, http.StatusServiceUnavailable, got.Status, "%s with a token: %s", why, got.Body)
			tried++
		}
	}
	require.Greater(t, tried, 100)
	require.Contains(t, string(w.send("GET", "/healthz", nil).Body), "ok")
	require.Contains(t, string(w.send("GET", "/readyz", nil).Body), "locked")
	require.Equal(t, http.StatusOK, w.send("GET", "/v1/openapi.json", nil).Status)
	require.Equal(t, http.StatusServiceUnavailable, w.visit(link).Status, "a signed link")

	w.unlock()
	require.Contains(t, string(w.send("GET", "/readyz", nil).Body), "ok")
	refused(t, w.do("GET", []string{"vault", "nobody/s"}, nil, nil), http.StatusNotFound, "vault.secret_not_found",
		"unlocked")
}

func TestWhatALockedServerKeptIsThereAfterwards(t *testing.T) {
	h := newHarness(t)
	h.setLogin("prod/crm/k")
	ws := h.made("w", object{"vault": object{"allow": []string{"prod/"}, "allowRawReads": true}})
	h.launch(ws, "crm", nil)
	minted := h.mint(ws.ID, "crm", object{})
	link := h.linkTo("w", h.stored("w", "f.txt", "content").LogicalPath, "")
	h.lock()
	h.lock()
	locked(t, h.do("GET", []string{"vault", "prod/crm/k"}, nil, nil), "a value")
	locked(t, h.with(minted, "GET", []string{"vault", "prod/crm/k"}, nil), "a token")
	locked(t, h.do("PUT", []string{"vault", "prod/crm/k"}, nil, object{"password": "p"}, "Idempotency-Key", "one"),
		"a write")
	h.unlock()
	h.unlock()
	h.ok("GET", []string{"vault", "prod/crm/k"}, nil, nil)
	require.Equal(t, http.StatusOK, h.with(minted, "GET", []string{"vault", "prod/crm/k"}, nil).Status,
		"the token of before")
	require.Equal(t, http.StatusOK, h.visit(link).Status, "the link of before")
	h.ok("PUT", []string{"vault", "prod/crm/k"}, object{"password": "p"}, nil, "Idempotency-Key", "one")
	require.True(t, h.verified())

	var did []string
	for _, e := range h.log(bctrl.AuditFilter{Action: "seal.write"}) {
		did = append(did, e.Object+" "+e.Outcome)
	}
	require.Equal(t, []string{"unlock ok", "lock ok", "lock ok"}, did, "unlocking what is not locked does nothing")
}

func TestALockEndsWhatAgentsAsk(t *testing.T) {
	asked := make(chan struct{})
	provider := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else nobody hears of the caller's end
		close(asked)
		<-r.Context().Done()
	}))
	defer provider.Close()
	l := newLowering(t, provider.URL+"/v1")
	answers := make(chan answer, 1)
	go func() {
		answers <- l.do("POST", []string{"workspaces", l.ws.ID, "execute"}, nil, object{
			"runtime": "r", "steps": []object{{"call": "stagehand.act", "args": object{"instruction": "x", "provider": "openai",
				"model": "m"}}},
		})
	}()
	<-asked
	l.lock()
	got := <-answers
	require.Contains(t, string(got.Body), "seal.locked")
	require.Zero(t, l.server.Underway())
}

func TestAFilledLoginIsNotSentWhileLocked(t *testing.T) {
	l := newAgents(t)
	fill := l.filled()
	require.NoError(t, fill.StillPermitted(t.Context()))
	l.lock()
	require.ErrorIs(t, fill.StillPermitted(t.Context()), web.ErrLocked)
	refused(t, l.act(), http.StatusServiceUnavailable, "seal.locked", "and none is filled")
	l.unlock()
	require.NoError(t, fill.StillPermitted(t.Context()))
}

// TestLockingUnderLoadIsNeverMoreThanARefusal locks and unlocks under callers
// who write, read, mint and sign: each of them is served or told that the
// server is locked, and nothing that was acknowledged is lost.
func TestLockingUnderLoadIsNeverMoreThanARefusal(t *testing.T) {
	h := newHarness(t)
	ws := h.made("w", object{"vault": object{"allow": []string{"/"}, "allowRawReads": true}})
	h.launch(ws, "crm", nil)
	minted := h.mint(ws.ID, "crm", object{})
	h.stored("w", "f.txt", "content")
	sub := h.subaccount("late") // whose data key is made meanwhile
	var stop atomic.Bool
	var refusals, served atomic.Int64
	var wg sync.WaitGroup
	kept := make([]int, 4)
	fine := func(got answer, why string) bool {
		if got.code() == "seal.locked" {
			refusals.Add(1)
			return false
		}
		served.Add(1)
		return assert.Equal(t, http.StatusOK, got.Status, "%s: %s", why, got.Body)
	}
	for g := range kept {
		wg.Go(func() {
			for n := 1; !stop.Load() && !t.Failed(); n++ {
				key, text := []string{"vault", fmt.Sprintf("k%d", g)}, fmt.Sprint(n)
				if fine(h.do("PUT", key, nil, object{"password": text}, "Idempotency-Key", fmt.Sprintf("%d-%d", g, n)), "a write") {
					kept[g] = n
				}
				if got := h.do("GET", key, nil, nil); kept[g] > 0 && fine(got, "a read") {
					assert.Contains(t, string(got.Body), fmt.Sprintf(`"password":"%d"`, kept[g]))
				}
				fine(h.send("GET", "/v1/self", nil, "Authorization", "Bearer "+minted.Expose()), "a token")
				fine(h.do("GET", []string{"storage", "namespaces", "w", "files", "f.txt", "download-url"}, nil, nil), "a link")
				fine(h.do("PUT", []string{"vault", "s"}, nil, object{"password": "p"}, within(sub)...), "a subaccount")
			}
		})
	}
	for range 15 {
		h.lock()
		before := refusals.Load()
		require.Eventually(t, func() bool { return refusals.Load() > before }, 10*time.Second, time.Millisecond)
		require.NoError(t, h.server.Custody.Unlock(t.Context(), bctrl.Secret{}, nil)) // not at the pace of guesses
		before = served.Load()
		require.Eventually(t, func() bool { return served.Load() > before || t.Failed() }, 10*time.Second, time.Millisecond)
	}
	stop.Store(true)
	wg.Wait()
	for g, n := range kept {
		if n > 0 {
			require.Contains(t, string(h.do("GET", []string{"vault", fmt.Sprintf("k%d", g)}, nil, nil).Body),
				fmt.Sprintf(`"password":"%d"`, n))
		}
	}
	require.True(t, h.verified())
}

func TestAServerWithAPassphraseStartsLocked(t *testing.T) {
	dir := t.TempDir()
	var key string
	t.Run("first", func(t *testing.T) {
		h := newHarnessIn(t, dir, custody.Config{Source: bctrl.SealPassphrase, Passphrase: bctrl.NewSecret(rightPassphrase)})
		h.setLogin("k")
		key = h.key
	})
	h := newHarnessIn(t, dir, custody.Config{})
	h.key = key
	require.NoFileExists(t, filepath.Join(dir, "kek"))
	var status bctrl.SealStatus
	h.ok("GET", []string{"seal"}, nil, &status)
	require.True(t, status.Locked)
	require.Equal(t, bctrl.SealPassphrase, status.Source)
	h.ok("GET", []string{"nodes"}, nil, nil) // which says where else to unlock
	locked(t, h.do("GET", []string{"vault"}, nil, nil), "a list: nobody can tell yet whether the caller's key is genuine")
	locked(t, h.do("GET", []string{"vault", "k"}, nil, nil), "a value")
	path := []string{"seal", "unlock"}
	refused(t, h.do("POST", path, nil, object{}), 400, "seal.passphrase_required", "none given")
	refused(t, h.do("POST", path, nil, object{"key": seal.Generate().Expose()}), 400, "seal.key_not_taken", "a key")
	refused(t, h.do("POST", path, nil, object{"passphrase": wrongPassphrase}), 403, "seal.wrong_key", "a wrong one")
	h.ok("POST", path, object{"passphrase": rightPassphrase}, &status)
	require.False(t, status.Locked)
	h.ok("GET", []string{"vault", "k"}, nil, nil)

	refused(t, h.do("POST", []string{"seal", "rotate"}, nil, object{"passphrase": "short"}), 400,
		"seal.invalid_passphrase", "a short one")
	h.ok("POST", []string{"seal", "rotate"}, object{"passphrase": wrongPassphrase}, nil)
	h.lock()
	h.ok("POST", path, object{"passphrase": wrongPassphrase}, nil)
	h.ok("GET", []string{"vault", "k"}, nil, nil)
	for _, e := range h.events() {
		text := fmt.Sprintf("%+v", e)
		require.NotContains(t, text, "horse")
	}
}

func TestGuessesAreSlowedAndRecorded(t *testing.T) {
	h := newHarness(t)
	h.lock()
	guess := func() answer {
		return h.do("POST", []string{"seal", "unlock"}, nil, object{"key": seal.Generate().Expose()})
	}
	for range unlockBurst {
		refused(t, guess(), 403, "seal.wrong_key", "a guess")
	}
	got := guess()
	refused(t, got, 429, "seal.too_many_attempts", "one too many")
	require.NotEmpty(t, got.Header.Get("Retry-After"))
	refused(t, h.do("POST", []string{"seal", "unlock"}, nil, object{}), 429, "seal.too_many_attempts",
		"the right one waits as well")
	recorded := h.log(bctrl.AuditFilter{Outcome: "seal.wrong_key"})
	require.Len(t, recorded, unlockBurst)
	require.Equal(t, "unlock", recorded[0].Object)
	require.Len(t, h.log(bctrl.AuditFilter{Outcome: "seal.too_many_attempts"}), 2)
}

func TestARotationIsDoneOnceAndKeepsEverything(t *testing.T) {
	h := newHarness(t)
	h.setLogin("prod/crm/k")
	ws := h.made("w", object{"vault": object{"allow": []string{"prod/"}, "allowRawReads": true}})
	h.launch(ws, "crm", nil)
	minted := h.mint(ws.ID, "crm", object{})
	var before, one, again bctrl.SealStatus
	h.ok("GET", []string{"seal"}, nil, &before)
	h.ok("POST", []string{"seal", "rotate"}, object{}, &one, "Idempotency-Key", "r")
	h.ok("POST", []string{"seal", "rotate"}, object{}, &again, "Idempotency-Key", "r")
	require.NotEqual(t, before.KeyID, one.KeyID)
	require.Equal(t, one, again, "the same answer, and no other rotation")
	h.ok("GET", []string{"seal"}, nil, &again)
	require.Equal(t, one, again)
	h.ok("GET", []string{"vault", "prod/crm/k"}, nil, nil)
	require.Equal(t, http.StatusOK, h.with(minted, "GET", []string{"vault", "prod/crm/k"}, nil).Status)
	require.True(t, h.verified())
	var did []string
	for _, e := range h.events() {
		if e.Kind != audit.Outcome && (e.Action == "seal.rotate" || e.Action == "seal.write") {
			did = append(did, e.Caller[:3]+" "+e.Action)
		}
	}
	require.Equal(t, []string{"key seal.write", "ser seal.rotate", "ser seal.rotate", "ser seal.rotate"}, did,
		"the intent, each data key, the key")
	refused(t, h.do("POST", []string{"seal", "rotate"}, nil, object{"key": seal.Generate().Expose()}), 400,
		"seal.key_not_taken", "for a key file")
	refused(t, h.do("POST", []string{"seal", "rotate"}, nil, object{"passphrase": rightPassphrase}), 400,
		"seal.passphrase_not_taken", "for a key file")
}
