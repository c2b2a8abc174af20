package server

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/sample"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/strictjson"
	"github.com/bctrl-go/bctrl/internal/token"
)

// level is one level of a chain, thrice: as the SDK's caller wrote it, as the
// server has it after its way over the wire, and as the oracle judges it.
type level struct {
	sdk, server bctrl.Mounts
	text        []byte
	oracle      verdicts
}

// sent brings mounts over the wire as decode does.
func sent(
	t require.TestingT, m bctrl.Mounts, actions []bctrl.Action, inherits bool, decode func([]byte) (bctrl.Mounts, error),
) level {
	text, err := json.Marshal(m)
	require.NoError(t, err)
	server, err := decode(text)
	require.NoError(t, err, "%s", text)
	oracle, err := judge(text, actions, inherits)
	require.NoError(t, err)
	return level{m, server, text, oracle}
}

// inBody is the way of mounts in a body into a row and back.
func inBody(text []byte) (m bctrl.Mounts, err error) {
	var in struct {
		Mounts bctrl.Mounts `json:"mounts"`
	}
	body := append(append([]byte(`{"mounts":`), text...), '}')
	if err := strictjson.Unmarshal(body, &in); err != nil {
		return m, err
	}
	row, err := json.Marshal(in.Mounts)
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(row, &m)
}

// inHeader is the way of mounts in BCTRL-Mounts.
func inHeader(text []byte) (bctrl.Mounts, error) {
	return web.ParseMountsHeader(base64.RawURLEncoding.EncodeToString(text))
}

// carried are the levels of one token, minted and attenuated.
func carried(t require.TestingT, d drawer, actions []bctrl.Action) (levels []level) {
	root := []byte("the root key of a server in a test")
	var tok *token.Token
	for range 1 + d.IntN(3) {
		levels = append(levels, sent(t, d.declared(), actions, true, func(text []byte) (m bctrl.Mounts, err error) {
			if tok == nil {
				tok, err = token.New(root, token.Head{ID: uuid.Max, Organization: uuid.Max, Runtime: uuid.Max},
					time.UnixMilli(1<<41), text)
			} else {
				tok, err = tok.Add(token.Caveat{Kind: token.Mounts, Body: text})
			}
			return m, err
		}))
	}
	info, err := web.VerifyToken(root, tok.Text())
	require.NoError(t, err)
	require.Len(t, info.Levels, len(levels))
	for i := range levels {
		levels[i].server = info.Levels[i]
	}
	return levels
}

// TestAMillionChainsAreDecidedAlike draws chains of a workspace, a runtime, a
// token's levels and BCTRL-Mounts, and asks the SDK, the server and the oracle
// about actions under each.
func TestAMillionChainsAreDecidedAlike(t *testing.T) {
	const each = 6
	chains := int64(sample.Number(25, 1_000_000))
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	d := drawer{rand.New(rand.NewPCG(seed, 0))}
	actions := lawActions()
	var workspaces, runtimes, headers []level
	var tokens [][]level
	for range 2000 {
		workspaces = append(workspaces, sent(t, d.workspace(), actions, false, inBody))
		runtimes = append(runtimes, sent(t, d.declared(), actions, true, inBody))
		tokens = append(tokens, carried(t, d, actions))
		headers = append(headers, sent(t, d.declared(), actions, true, inHeader))
	}
	var left, permitted atomic.Int64
	left.Store(chains)
	var all sync.WaitGroup
	for worker := range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			d := drawer{rand.New(rand.NewPCG(seed, uint64(worker)+1))}
			sdk := make(bctrl.Chain, 0, 8)
			for left.Add(-1) >= 0 && !t.Failed() {
				ws, rt := &workspaces[d.IntN(len(workspaces))], &runtimes[d.IntN(len(runtimes))]
				caller := access.Caller{Org: "o", Runtime: web.RuntimeOf(store.Runtime{ID: "r", Mounts: rt.server},
					store.Workspace{Mounts: ws.server})}
				sdk = append(sdk[:0], ws.sdk, rt.sdk)
				oracle := verdicts{ws.oracle[0] & rt.oracle[0], ws.oracle[1] & rt.oracle[1]}
				below := func(l *level) {
					caller.Runtime.Chain, sdk = append(caller.Runtime.Chain, l.server), append(sdk, l.sdk)
					oracle[0] &= l.oracle[0]
					oracle[1] &= l.oracle[1]
				}
				if d.IntN(2) == 0 {
					levels := tokens[d.IntN(len(tokens))]
					for i := range levels {
						below(&levels[i])
					}
				}
				if d.IntN(2) == 0 {
					below(&headers[d.IntN(len(headers))])
				}
				for range each {
					i := d.IntN(len(actions))
					a, want := actions[i], oracle.has(i)
					if want {
						permitted.Add(1)
					}
					if local, remote := sdk.Allows(a), access.Decide(caller,
						access.Action{Verb: a.Verb, Object: a.Object}); local != want || remote != want {
						text, _ := json.Marshal(sdk)
						t.Errorf("seed %d: %s %s: the SDK says %v, the server %v, the oracle %v: %s", seed, a.Verb, a.Object, local,
							remote, want, text)
					}
				}
			}
		})
	}
	all.Wait()
	require.Greater(t, permitted.Load(), chains/20, "there is something to decide")
}

// TestChainsAreDecidedAlikeThroughHTTP asks a real server, over connections,
// what it permits under a workspace that is lowered and raised, runtimes that
// were launched with mounts, tokens that were attenuated and BCTRL-Mounts.
func TestChainsAreDecidedAlikeThroughHTTP(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	d := drawer{rand.New(rand.NewPCG(seed, 0))}
	h := newHarness(t)
	srv := h.live()
	for _, id := range lawIDs {
		h.ok("POST", []string{"ai-credentials"}, openAI(id), nil)
	}
	actions := slices.DeleteFunc(lawActions(), func(a bctrl.Action) bool {
		return a.Verb == bctrl.VisitHost // no request does, but a browser
	})
	everything := bctrl.Mounts{
		AI:           &bctrl.AIMount{Allow: lawIDs},
		Vault:        &bctrl.VaultMount{Allow: []string{"/"}, AllowRawReads: new(true)},
		Storage:      &bctrl.StorageMount{Workspace: lawNamespaces[0]},
		Capabilities: &bctrl.CapabilityMount{Allow: []string{"/"}},
	}
	ws := h.made("w", everything)
	type holder struct {
		sdk      bctrl.Chain // below the workspace
		launched bctrl.Chain
		key, id  string
	}
	var holders []holder
	for len(holders) < 8 {
		m := d.declared()
		launched, err := everything.Narrow(m)
		alias := "r" + string(rune('0'+len(holders)))
		got := h.do("POST", []string{"workspaces", ws.ID, "runtimes"}, nil, object{"alias": alias, "kind": "browser",
			"driver": "stagehand", "launch": object{}, "mounts": m})
		if err != nil {
			requireSameRefusal(t, err, got)
			continue
		}
		require.Equal(t, http.StatusOK, got.Status, "%s", got.Body)
		var info bctrl.RuntimeInfo
		require.NoError(t, json.Unmarshal(got.Body, &info))
		who := holder{
			sdk:      bctrl.Chain{m},
			launched: bctrl.Chain{launched},
			key:      h.key,
			id:       info.ID,
		}
		if len(holders)%2 == 0 {
			tok := h.mint(ws.ID, alias, object{})
			who.sdk, who.launched = append(who.sdk, bctrl.Mounts{}), append(who.launched, bctrl.Mounts{})
			lower := d.declared()
			if weaker, err := bctrl.Attenuate(tok, lower, time.Time{}); err == nil {
				tok, who.sdk, who.launched = weaker, append(who.sdk, lower), append(who.launched, lower)
			}
			who.key = tok.Expose()
		}
		holders = append(holders, who)
	}
	ask := func(who holder, a bctrl.Action, header *bctrl.Mounts) answer {
		method, path := requestOf(a)
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+who.key)
		req.Header.Set("BCTRL-Runtime", who.id)
		if header != nil {
			text, err := json.Marshal(header)
			require.NoError(t, err)
			req.Header.Set("BCTRL-Mounts", base64.RawURLEncoding.EncodeToString(text))
		}
		resp, err := srv.Client().Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		rec := httptest.NewRecorder()
		_, err = rec.Body.ReadFrom(resp.Body)
		require.NoError(t, err)
		return answer{Status: resp.StatusCode, Header: resp.Header, Body: rec.Body.Bytes()}
	}
	refused, permitted, rounds := 0, 0, sample.Number(4, 100)
	for range rounds {
		mounts := d.workspace()
		h.ok("PATCH", []string{"workspaces", ws.ID}, object{"mounts": mounts}, nil)
		if mounts.Storage == nil {
			mounts.Storage = &bctrl.StorageMount{Workspace: "w"} // its own
		}
		for range 30 {
			who, a := holders[d.IntN(len(holders))], actions[d.IntN(len(actions))]
			chain, launched := append(bctrl.Chain{mounts}, who.sdk...), who.launched
			var header *bctrl.Mounts
			if d.IntN(2) == 0 {
				header = new(d.declared())
				_, widens := chain.Effective().Narrow(*header)
				_, always := launched.Effective().Narrow(*header)
				if widens != nil && always != nil {
					requireSameRefusal(t, widens, ask(who, a, header))
					refused++
					continue
				}
				chain = append(chain, *header)
			}
			want := true
			for i, m := range chain {
				text, err := json.Marshal(m)
				require.NoError(t, err)
				v, err := judge(text, []bctrl.Action{a}, i > 0)
				require.NoError(t, err)
				want = want && v.has(0)
			}
			require.Equal(t, want, chain.Allows(a), "seed %d: %v %v", seed, a, chain)
			got := ask(who, a, header)
			if want {
				permitted++
			}
			require.Equal(t, want, got.Status != http.StatusForbidden, "seed %d: %v %v: %d %s", seed, a, chain, got.Status,
				got.Body)
			require.Contains(t, []int{200, 403, 404}, got.Status, "%v: %s", a, got.Body)
		}
	}
	require.Greater(t, refused, rounds)
	require.Greater(t, permitted, rounds)
}

// requestOf is a request that is permitted exactly when the action is.
func requestOf(a bctrl.Action) (method, path string) {
	switch a.Verb {
	case bctrl.UseAI:
		return "GET", target([]string{"ai-credentials", a.Object}, nil)
	case bctrl.UseVault, bctrl.ListVault:
		return "GET", target([]string{"vault", a.Object, "totp"}, nil)
	case bctrl.ReadVault:
		return "GET", target([]string{"vault", a.Object}, nil)
	case bctrl.DeleteStorage:
		return "DELETE", target(file(a.Object, "no"), nil)
	case bctrl.ListStorage:
		return "GET", target([]string{"storage", "namespaces", a.Object, "browse"}, nil)
	case bctrl.SignStorage:
		return "GET", target(append(file(a.Object, "no"), "download-url"), nil)
	case bctrl.InvokeCapability:
		return "GET", target([]string{"capabilities", a.Object}, nil)
	}
	return "GET", target(file(a.Object, "no"), url.Values{}) // a PUT of nothing would store it
}

// requireSameRefusal holds a refusal of the server's to the SDK's own: the same
// field and the same witness.
func requireSameRefusal(t *testing.T, local error, got answer) {
	t.Helper()
	var want, have *bctrl.Error
	require.ErrorAs(t, local, &want)
	require.Equal(t, http.StatusBadRequest, got.Status, "%v: %s", local, got.Body)
	have = &bctrl.Error{}
	require.NoError(t, json.Unmarshal(got.Body, have))
	require.Equal(t, want.Code, have.Code, "%s", got.Body)
	require.Equal(t, want.Field, have.Field, "%s", got.Body)
	require.Equal(t, want.Witness, have.Witness, "%s", got.Body)
	require.Equal(t, strings.HasSuffix(want.Code, "widening"), errors.Is(have, bctrl.ErrWidening) &&
		strings.HasSuffix(have.Code, "widening"))
}
