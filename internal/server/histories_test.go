package server

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/histories"
	"github.com/bctrl-go/bctrl/internal/sample"
	"github.com/bctrl-go/bctrl/internal/store"
)

// newStages sets up n stages in one server.
func newStages(t *testing.T, n int) []*histories.Stage {
	t.Helper()
	h := newHarness(t)
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v, err := strconv.Atoi(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer key-")); err != nil || v%2 == 0 {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = io.WriteString(w, `{"object": "list", "data": []}`)
	}))
	t.Cleanup(provider.Close)
	h.queueReaders()
	stages := make([]*histories.Stage, n)
	for i := range stages {
		name := "s" + strconv.Itoa(i)
		if i%2 == 0 { // two share an organization
			key, err := h.server.createOrganization(t.Context(), name)
			require.NoError(t, err)
			h.key = key.Expose()
		}
		st := &histories.Stage{Next: h.server, Login: name + "/login", AI: name, Provider: provider.URL + "/v1"}
		ws := h.made(name, object{})
		rt := h.launch(ws, "r", nil)
		token := h.mint(ws.ID, "r", object{})
		weaker, err := bctrl.Attenuate(token, bctrl.Mounts{Vault: &bctrl.VaultMount{Deny: []string{st.Login}}}, time.Time{})
		require.NoError(t, err)
		narrow := base64.RawURLEncoding.EncodeToString([]byte(`{"vault": {"allowRawReads": false}}`))
		st.Workspace = ws.ID
		st.Visit = func(ctx context.Context) bool { return h.browsers.Visit(ctx, rt.ID, "site.example.com") }
		st.As = map[histories.Actor][]string{
			histories.Organization: {"Authorization", "Bearer " + h.key},
			histories.TokenHolder:  {"Authorization", "Bearer " + token.Expose()},
			histories.Denied:       {"Authorization", "Bearer " + weaker.Expose()},
			histories.NoRawReads:   {"Authorization", "Bearer " + h.key, "BCTRL-Runtime", rt.ID, "BCTRL-Mounts", narrow},
		}
		stages[i] = st
	}
	return stages
}

// queueReaders takes all but one of the connections to read with, so that
// readers wait for each other: much happens between two reads of a request.
func (h *harness) queueReaders() {
	h.Helper()
	taken, all := make(chan struct{}), make(chan struct{})
	n := max(4, 2*runtime.NumCPU()) - 1
	var holders sync.WaitGroup
	for range n {
		holders.Go(func() {
			err := h.db.Snapshot(h.Context(), func(store.Queries) error { taken <- struct{}{}; <-all; return nil })
			assert.NoError(h, err)
		})
		<-taken
	}
	h.Cleanup(func() { close(all); holders.Wait() })
}

// playHistories plays n of them, and calls wrong for each that the rules do not
// explain.
func playHistories(
	t *testing.T, seed uint64, n int, through func(http.Handler) http.Handler, wrong func(i int64, text string),
) {
	t.Helper()
	stages := newStages(t, 16)
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	for _, st := range stages {
		all.Go(func() {
			for i := left.Add(-1); i >= 0 && !t.Failed(); i = left.Add(-1) {
				r := rand.New(rand.NewPCG(seed, uint64(i)))
				begin, err := st.Begin(r)
				if err != nil {
					t.Errorf("history %d: %v", i, err)
					return
				}
				playing := *st
				playing.Next = through(st.Next)
				history := playing.Play(st.Plan(r))
				if !porcupine.CheckOperations(histories.Rules(begin), history) {
					wrong(i, histories.Describe(begin, history))
				}
			}
		})
	}
	all.Wait()
}

// TestNothingIsDecidedUnderACeilingThatWasReplaced plays 250 short
// histories, 2,000 at night, of lowering, raising, using, deleting and rotating.
func TestNothingIsDecidedUnderACeilingThatWasReplaced(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	playHistories(t, seed, sample.Number(8, 2000), straight, func(i int64, text string) {
		t.Errorf("seed %d, history %d has no explanation:\n%s", seed, i, text)
	})
}

// remembering is a server that remembers who was permitted what, and asks
// nobody again.
type remembering struct {
	next      http.Handler
	mu        sync.Mutex
	permitted map[string]bool
	key       string
}

func (s *remembering) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	who := fmt.Sprint(r.Method, r.URL, r.Header["Authorization"], r.Header["Bctrl-Mounts"])
	s.mu.Lock()
	before := s.permitted[who]
	s.mu.Unlock()
	if before { // ask as one to whom no ceiling applies
		r.Header = http.Header{"Authorization": {s.key}}
	}
	rec := httptest.NewRecorder()
	s.next.ServeHTTP(rec, r)
	s.mu.Lock()
	s.permitted[who] = before || rec.Code != http.StatusForbidden
	s.mu.Unlock()
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

// TestAHistoryOfADecisionThatWasRememberedIsRefused shows that the histories
// can be wrong: the same check finds a decision that outlives its ceiling.
func TestAHistoryOfADecisionThatWasRememberedIsRefused(t *testing.T) {
	st := newStages(t, 1)[0]
	r := rand.New(rand.NewPCG(1, 1))
	script := []histories.Asked{
		{Deed: histories.SetCeiling, By: histories.Organization, N: 2},
		{Deed: histories.ReadLogin, By: histories.TokenHolder},
		{Deed: histories.SetCeiling, By: histories.Organization, N: 1},
		{Deed: histories.ReadLogin, By: histories.TokenHolder},
		{Deed: histories.CodeOfLogin, By: histories.TokenHolder},
		{Deed: histories.SetCeiling, By: histories.Organization, N: 3},
		{Deed: histories.ReadLogin, By: histories.TokenHolder},
		{Deed: histories.AskModel, By: histories.TokenHolder},
	}
	for _, remembers := range []bool{false, true} {
		begin, err := st.Begin(r)
		require.NoError(t, err)
		playing := *st
		if remembers {
			playing.Next = &remembering{next: st.Next, permitted: map[string]bool{}, key: st.As[histories.Organization][1]}
		}
		history := playing.Play([][]histories.Asked{script})
		require.Equal(t, !remembers, porcupine.CheckOperations(histories.Rules(begin), history), "%s",
			histories.Describe(begin, history))
	}
}
