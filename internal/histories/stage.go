package histories

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/anishathalye/porcupine"
)

type object = map[string]any

// Stage is a workspace with a runtime, a login and a credential, at which
// histories happen one after the other.
type Stage struct {
	// Next answers the requests.
	Next http.Handler
	// Workspace is the id of the workspace.
	Workspace string
	// Login is the key of the login, below a folder that has the name of the credential, and AI
	// the id of that.
	Login, AI string
	// Provider is the base URL of the credential's provider, which knows the keys "key-1",
	// "key-3" and so on, and no even ones.
	Provider string
	// Visit has the browser of the runtime speak to site.example.com, and reports whether it did.
	// Without it nobody visits.
	Visit func(context.Context) bool
	// Token is the id of the token.
	Token string
	// As are the headers of each actor.
	As map[Actor][]string
	// Versions counts what was written, so that each is told from all others.
	Versions int
}

// version is a new one.
func (st *Stage) version() int {
	st.Versions++
	return st.Versions
}

// do sends what is asked and reads the answer.
func (st *Stage) do(a Asked) Replied {
	if a.Deed == VisitSite {
		if !st.Visit(context.Background()) {
			return Replied{Status: http.StatusForbidden}
		}
		return Replied{Status: http.StatusOK}
	}
	method, path, body := st.request(a)
	req := httptest.NewRequestWithContext(context.Background(), method, path, bytes.NewReader(body))
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for h := st.As[a.By]; len(h) > 0; h = h[2:] {
		req.Header.Set(h[0], h[1])
	}
	rec := httptest.NewRecorder()
	st.Next.ServeHTTP(rec, req)
	return Replied{rec.Code, st.saw(a, rec)}
}

func (st *Stage) request(a Asked) (method, path string, body []byte) {
	login, ai := target("vault", st.Login), target("ai-credentials", st.AI)
	n := strconv.Itoa(a.N)
	write := func(method, path string, in object) (string, string, []byte) {
		text, err := json.Marshal(in)
		if err != nil {
			panic(err)
		}
		return method, path, text
	}
	switch a.Deed {
	case SetCeiling:
		return write("PATCH", target("workspaces", st.Workspace), object{"mounts": st.mounts(ceilings()[a.N])})
	case ReadLogin:
		return "GET", login, nil
	case CodeOfLogin:
		return "GET", login + "/totp", nil
	case ListLogins:
		return "GET", "/v1/vault?prefix=" + st.AI + "/", nil
	case RotateLogin:
		return write("PUT", login, object{"password": n, "totp": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"})
	case DeleteLogin:
		return "DELETE", login, nil
	case ReadCredential:
		return "GET", ai, nil
	case ListOfAI:
		return "GET", "/v1/ai-credentials?limit=1000", nil
	case AskModel:
		return "POST", ai + "/test", nil
	case RotateAI:
		return write("PATCH", ai, object{"label": n, "apiKey": "key-" + n})
	case DeleteAI:
		return "DELETE", ai + "?force=true", nil
	case RevokeToken:
		return "DELETE", "/v1/tokens/" + st.Token, nil
	case CreateAI:
		return write("POST", "/v1/ai-credentials", object{"id": st.AI, "provider": "openai", "label": n, "apiKey": "key-" + n,
			"baseUrl": st.Provider})
	}
	panic("no such deed: " + string(a.Deed))
}

func (st *Stage) mounts(c ceiling) object {
	vault, ai := object{"allow": []string{}}, object{"allow": []string{}}
	if c.use {
		vault = object{"allow": []string{st.AI + "/"}, "allowRawReads": c.raw}
	}
	if c.ask {
		ai["allow"] = []string{st.AI}
	}
	mounts := object{"vault": vault, "ai": ai}
	if c.away {
		mounts["web"] = object{"allow": []string{"*"}, "deny": []string{"*.example.com"}}
	}
	return mounts
}

// saw reads out of an answer which version it shows.
func (st *Stage) saw(a Asked, rec *httptest.ResponseRecorder) int {
	var out struct {
		Password, Label string
		Keys            []string
		AICredentials   []struct{ ID, Label string }
		OK              bool
	}
	if rec.Code != http.StatusOK {
		return 0
	}
	switch a.Deed {
	case ReadLogin, ReadCredential, ListLogins, ListOfAI, AskModel:
	default:
		return 0
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
		return -1
	}
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil {
			return -1
		}
		return n
	}
	switch {
	case a.Deed == ReadLogin:
		return number(out.Password)
	case a.Deed == ReadCredential:
		return number(out.Label)
	case a.Deed == ListLogins && slices.Contains(out.Keys, st.Login), a.Deed == AskModel && out.OK:
		return 1
	}
	for _, c := range out.AICredentials {
		if c.ID == st.AI {
			return number(c.Label)
		}
	}
	return 0
}

// Begin brings a stage into a known state.
func (st *Stage) Begin(r *rand.Rand) (Stored, error) {
	v := st.version()
	s := Stored{login: v, credential: v, label: v}
	ceiling := Asked{Deed: SetCeiling, By: Organization, N: r.IntN(len(ceilings()))}
	_, s = s.step(ceiling)
	for _, a := range []Asked{{RotateLogin, Organization, v}, {RotateAI, Organization, v}, ceiling} {
		got := st.do(a)
		if a.Deed == RotateAI && got.Status == http.StatusNotFound {
			a.Deed = CreateAI
			got = st.do(a)
		}
		if got.Status != http.StatusOK {
			return s, fmt.Errorf("%s: answered %+v", a.Deed, got)
		}
	}
	return s, nil
}

// Plan draws what a few clients do. One changes the ceiling and then what is
// under it, so that who sees the second under what was before the first is
// found.
func (st *Stage) Plan(r *rand.Rand) [][]Asked {
	looks := []Deed{ReadLogin, ReadLogin, CodeOfLogin, ListLogins, ReadCredential, ListOfAI, AskModel, VisitSite,
		VisitSite}
	writes := []Deed{RotateLogin, RotateLogin, DeleteLogin, RotateAI, DeleteAI, CreateAI}
	if st.Visit == nil {
		looks = looks[:len(looks)-2]
	}
	actors := []Actor{TokenHolder, TokenHolder, NoRawReads, Denied, Organization}
	write := func() Asked { return Asked{writes[r.IntN(len(writes))], Organization, st.version()} }
	change := func() Asked { return Asked{SetCeiling, Organization, r.IntN(len(ceilings()))} }
	look := func() Asked { return Asked{looks[r.IntN(len(looks))], actors[r.IntN(len(actors))], 0} }
	return [][]Asked{{change(), write(), change(), write()}, {write()}, {look(), look()}, {look(), look()}}
}

// Play has the clients do their parts at once.
func (st *Stage) Play(clients [][]Asked) []porcupine.Operation {
	var clock atomic.Int64
	var start, done sync.WaitGroup
	start.Add(1)
	parts := make([][]porcupine.Operation, len(clients))
	for c, part := range clients {
		done.Go(func() {
			start.Wait()
			for _, a := range part {
				o := porcupine.Operation{ClientId: c, Input: a, Call: clock.Add(1)}
				o.Output = st.do(a)
				o.Return = clock.Add(1)
				parts[c] = append(parts[c], o)
			}
		})
	}
	start.Done()
	done.Wait()
	history := slices.Concat(parts...)
	slices.SortFunc(history, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	return history
}

// PlanOfNodes is [Stage.Plan], in which the token may be revoked too.
func (st *Stage) PlanOfNodes(r *rand.Rand) [][]Asked {
	clients := st.Plan(r)
	if r.IntN(3) == 0 {
		clients = append(clients, []Asked{{RevokeToken, Organization, 0}})
	}
	return clients
}

// LeaveOpen says of the requests of a history that have no answer that they may be done at any
// time, and reports whether there are any.
func LeaveOpen(history []porcupine.Operation) (open bool) {
	for i := range history {
		if history[i].Output.(Replied).Status == http.StatusServiceUnavailable {
			history[i].Return, open = math.MaxInt64, true
		}
	}
	return open
}

// Revokes reports whether the token was revoked in a history, or may have been.
func Revokes(history []porcupine.Operation) bool {
	return slices.ContainsFunc(history, func(o porcupine.Operation) bool { return o.Input.(Asked).Deed == RevokeToken })
}

// target is a path of the API.
func target(segments ...string) string {
	var b strings.Builder
	for _, s := range append([]string{"v1"}, segments...) {
		b.WriteString("/" + url.PathEscape(s))
	}
	return b.String()
}
