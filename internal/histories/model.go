// Package histories plays short histories against a server and tells whether they are right.
//
// A history is what a few callers did at once to one workspace, one login and
// one AI credential, with the time of each request and answer. It is right
// when there is an order of the requests, each somewhere between its beginning
// and its answer, in which the rules below give exactly these answers: then no
// request that began after a lowering was acknowledged was decided without it,
// and none mixed what was decided under one ceiling with what was stored under
// another.
//
// It is for tests: those of the server play them in one process, and the long runs of a
// cluster against processes that are killed and paused.
package histories

import (
	"fmt"
	"net/http"

	"github.com/anishathalye/porcupine"
)

// Deed is what is done.
type Deed string

// What is done in a history.
const (
	SetCeiling     Deed = "lower or raise to"
	ReadLogin      Deed = "read the login"
	CodeOfLogin    Deed = "make a code"
	ListLogins     Deed = "list the logins"
	RotateLogin    Deed = "rotate the login to"
	DeleteLogin    Deed = "delete the login"
	ReadCredential Deed = "read the credential"
	ListOfAI       Deed = "list the credentials"
	AskModel       Deed = "ask with the credential"
	RotateAI       Deed = "rotate the credential to"
	DeleteAI       Deed = "delete the credential"
	CreateAI       Deed = "create the credential as"
	VisitSite      Deed = "have the browser speak to the site"
	RevokeToken    Deed = "revoke the token"
)

// Actor is who does it.
type Actor string

// Who does what.
const (
	Organization Actor = "the organization"
	TokenHolder  Actor = "a token"
	// Denied is a token that was attenuated: the login is denied.
	Denied Actor = "an attenuated token"
	// NoRawReads is the organization as the runtime, narrowed.
	NoRawReads Actor = "a narrowed runtime"
)

// ceiling is what a workspace mounts.
type ceiling struct {
	why string
	// use and raw are of the login, ask of the credential.
	use, raw, ask bool
	// away is that the site is no host of the browser's.
	away bool
}

func ceilings() []ceiling {
	return []ceiling{
		{why: "nothing"},
		{why: "the login, not raw and not at the site", use: true, away: true},
		{why: "the login", use: true, raw: true},
		{
			why: "everything",
			use: true,
			raw: true,
			ask: true,
		},
		{why: "the credential", ask: true},
	}
}

// Asked is the request of an operation.
type Asked struct {
	Deed Deed
	By   Actor
	// N is the ceiling that is set, or the version that is written.
	N int
}

// Replied is its answer.
type Replied struct {
	Status int
	// Saw is the version that was seen, 0 if none.
	Saw int
}

// Stored is the state of the model. Versions count from 1, 0 is none.
type Stored struct {
	ceiling int
	login   int
	// credential is the version that the credential was created as, label the
	// newest, and pinned the credential that the ceiling means.
	credential, label, pinned int
	// revoked is that of the token, and with it of its attenuation.
	revoked bool
}

// permits is the rule of one action.
func (s Stored) permits(by Actor, d Deed) bool {
	c := ceilings()[s.ceiling]
	switch {
	case d == VisitSite:
		return !c.away // whoever asks, it is the browser that does
	case by == Organization:
		return true
	}
	switch d {
	case ReadLogin:
		return c.raw && by == TokenHolder
	case CodeOfLogin, ListLogins:
		return c.use && by != Denied
	}
	return c.ask
}

// step does what is asked, and says what the answer is.
func (s Stored) step(a Asked) (Replied, Stored) {
	ok, missing := Replied{Status: http.StatusOK}, Replied{Status: http.StatusNotFound}
	exists := s.credential != 0
	switch a.Deed {
	case RevokeToken:
		s.revoked = true
		return ok, s
	case SetCeiling:
		if ceilings()[a.N].ask && !exists {
			return Replied{Status: http.StatusBadRequest}, s // what is mounted must exist
		}
		s.ceiling, s.pinned = a.N, 0
		if ceilings()[a.N].ask {
			s.pinned = s.credential
		}
		return ok, s
	case RotateLogin:
		s.login = a.N
		return ok, s
	case DeleteLogin:
		if s.login == 0 {
			return missing, s
		}
		s.login = 0
		return ok, s
	case RotateAI:
		if !exists {
			return missing, s
		}
		s.label = a.N
		return ok, s
	case DeleteAI:
		if !exists {
			return missing, s
		}
		s.credential, s.label = 0, 0
		return ok, s
	case CreateAI:
		if exists {
			return Replied{Status: http.StatusConflict}, s
		}
		s.credential, s.label = a.N, a.N
		return ok, s
	}
	return s.look(a), s
}

// look is step for what changes nothing.
func (s Stored) look(a Asked) Replied {
	if s.revoked && (a.By == TokenHolder || a.By == Denied) && a.Deed != VisitSite {
		return Replied{Status: http.StatusUnauthorized}
	}
	seen := s.login
	if a.Deed == ReadCredential || a.Deed == ListOfAI || a.Deed == AskModel {
		seen = s.label
		if a.By != Organization && s.credential != s.pinned {
			seen = 0 // another has its id since
		}
	}
	permitted := s.permits(a.By, a.Deed)
	switch {
	case a.Deed == ListLogins || a.Deed == ListOfAI:
		if !permitted {
			seen = 0
		}
		if a.Deed == ListLogins {
			seen = min(seen, 1) // a list of keys shows no version
		}
		return Replied{http.StatusOK, seen}
	case !permitted:
		return Replied{Status: http.StatusForbidden}
	case a.Deed == VisitSite:
		return Replied{Status: http.StatusOK}
	case seen == 0:
		return Replied{Status: http.StatusNotFound}
	case a.Deed == CodeOfLogin:
		seen = 0
	case a.Deed == AskModel:
		seen %= 2 // the provider knows odd keys alone
	}
	return Replied{http.StatusOK, seen}
}

// Rules are the model of histories that begin with a state.
func Rules(begin Stored) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return begin },
		Step: func(state, input, output any) (bool, any) {
			want, next := state.(Stored).step(input.(Asked))
			return want == output.(Replied), next
		},
	}
}

// RulesOfNodes are the rules where a node may be cut off: what it could not answer, which is
// 503, was done or not, and its provider may not have been reached.
func RulesOfNodes(begin Stored) porcupine.Model {
	model := porcupine.NondeterministicModel{
		Init: func() []any { return []any{begin} },
		Step: func(state, input, output any) []any {
			a, got := input.(Asked), output.(Replied)
			want, next := state.(Stored).step(a)
			switch {
			case got.Status == http.StatusServiceUnavailable:
				return []any{state, next}
			case want == got, a.Deed == AskModel && want.Status == got.Status && got.Saw == 0:
				return []any{next}
			}
			return nil
		},
	}
	return model.ToModel()
}

// Describe tells a history, in the order in which its requests began.
func Describe(begin Stored, history []porcupine.Operation) string {
	text := fmt.Sprintf("begin with %+v\n", begin)
	for _, o := range history {
		a, r := o.Input.(Asked), o.Output.(Replied)
		text += fmt.Sprintf("%3d-%3d client %d: %s: %s %d: %d saw %d\n", o.Call, o.Return, o.ClientId, a.By, a.Deed, a.N,
			r.Status, r.Saw)
	}
	return text
}
