package server

import (
	"fmt"
	"net/http"

	"github.com/anishathalye/porcupine"
)

// A history is what a few callers did at once to one workspace, one login and
// one AI credential, with the time of each request and answer. It is right
// when there is an order of the requests, each somewhere between its beginning
// and its answer, in which the rules below give exactly these answers: then no
// request that began after a lowering was acknowledged was decided without it,
// and none mixed what was decided under one ceiling with what was stored under
// another.

// deed is what is done.
type deed string

const (
	setCeiling     deed = "lower or raise to"
	readLogin      deed = "read the login"
	codeOfLogin    deed = "make a code"
	listLogins     deed = "list the logins"
	rotateLogin    deed = "rotate the login to"
	deleteLogin    deed = "delete the login"
	readCredential deed = "read the credential"
	listOfAI       deed = "list the credentials"
	askModel       deed = "ask with the credential"
	rotateAI       deed = "rotate the credential to"
	deleteAI       deed = "delete the credential"
	createAI       deed = "create the credential as"
	visitSite      deed = "have the browser speak to the site"
	revokeToken    deed = "revoke the token"
)

// who does it.
type actor string

const (
	organization actor = "the organization"
	tokenHolder  actor = "a token"
	// denied is a token that was attenuated: the login is denied.
	denied actor = "an attenuated token"
	// noRawReads is the organization as the runtime, narrowed.
	noRawReads actor = "a narrowed runtime"
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

// request and reply of an operation.
type (
	asked struct {
		deed deed
		by   actor
		// n is the ceiling that is set, or the version that is written.
		n int
	}
	replied struct {
		status int
		// saw is the version that was seen, 0 if none.
		saw int
	}
)

// stored is the state of the model. Versions count from 1, 0 is none.
type stored struct {
	ceiling int
	login   int
	// credential is the version that the credential was created as, label the
	// newest, and pinned the credential that the ceiling means.
	credential, label, pinned int
	// revoked is that of the token, and with it of its attenuation.
	revoked bool
}

// permits is the rule of one action.
func (s stored) permits(by actor, d deed) bool {
	c := ceilings()[s.ceiling]
	switch {
	case d == visitSite:
		return !c.away // whoever asks, it is the browser that does
	case by == organization:
		return true
	}
	switch d {
	case readLogin:
		return c.raw && by == tokenHolder
	case codeOfLogin, listLogins:
		return c.use && by != denied
	}
	return c.ask
}

// step does what is asked, and says what the answer is.
func (s stored) step(a asked) (replied, stored) {
	ok, missing := replied{status: http.StatusOK}, replied{status: http.StatusNotFound}
	exists := s.credential != 0
	switch a.deed {
	case revokeToken:
		s.revoked = true
		return ok, s
	case setCeiling:
		if ceilings()[a.n].ask && !exists {
			return replied{status: http.StatusBadRequest}, s // what is mounted must exist
		}
		s.ceiling, s.pinned = a.n, 0
		if ceilings()[a.n].ask {
			s.pinned = s.credential
		}
		return ok, s
	case rotateLogin:
		s.login = a.n
		return ok, s
	case deleteLogin:
		if s.login == 0 {
			return missing, s
		}
		s.login = 0
		return ok, s
	case rotateAI:
		if !exists {
			return missing, s
		}
		s.label = a.n
		return ok, s
	case deleteAI:
		if !exists {
			return missing, s
		}
		s.credential, s.label = 0, 0
		return ok, s
	case createAI:
		if exists {
			return replied{status: http.StatusConflict}, s
		}
		s.credential, s.label = a.n, a.n
		return ok, s
	}
	return s.look(a), s
}

// look is step for what changes nothing.
func (s stored) look(a asked) replied {
	if s.revoked && (a.by == tokenHolder || a.by == denied) && a.deed != visitSite {
		return replied{status: http.StatusUnauthorized}
	}
	seen := s.login
	if a.deed == readCredential || a.deed == listOfAI || a.deed == askModel {
		seen = s.label
		if a.by != organization && s.credential != s.pinned {
			seen = 0 // another has its id since
		}
	}
	permitted := s.permits(a.by, a.deed)
	switch {
	case a.deed == listLogins || a.deed == listOfAI:
		if !permitted {
			seen = 0
		}
		if a.deed == listLogins {
			seen = min(seen, 1) // a list of keys shows no version
		}
		return replied{http.StatusOK, seen}
	case !permitted:
		return replied{status: http.StatusForbidden}
	case a.deed == visitSite:
		return replied{status: http.StatusOK}
	case seen == 0:
		return replied{status: http.StatusNotFound}
	case a.deed == codeOfLogin:
		seen = 0
	case a.deed == askModel:
		seen %= 2 // the provider knows odd keys alone
	}
	return replied{http.StatusOK, seen}
}

// rules are the model of histories that begin with a state.
func rules(begin stored) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return begin },
		Step: func(state, input, output any) (bool, any) {
			want, next := state.(stored).step(input.(asked))
			return want == output.(replied), next
		},
	}
}

// rulesOfNodes are the rules where a node may be cut off: what it could not answer, which is
// 503, was done or not, and its provider may not have been reached.
func rulesOfNodes(begin stored) porcupine.Model {
	model := porcupine.NondeterministicModel{
		Init: func() []any { return []any{begin} },
		Step: func(state, input, output any) []any {
			a, got := input.(asked), output.(replied)
			want, next := state.(stored).step(a)
			switch {
			case got.status == http.StatusServiceUnavailable:
				return []any{state, next}
			case want == got, a.deed == askModel && want.status == got.status && got.saw == 0:
				return []any{next}
			}
			return nil
		},
	}
	return model.ToModel()
}

// describe tells a history, in the order in which its requests began.
func describe(begin stored, history []porcupine.Operation) string {
	text := fmt.Sprintf("begin with %+v\n", begin)
	for _, o := range history {
		a, r := o.Input.(asked), o.Output.(replied)
		text += fmt.Sprintf("%3d-%3d client %d: %s: %s %d: %d saw %d\n", o.Call, o.Return, o.ClientId, a.by, a.deed, a.n,
			r.status, r.saw)
	}
	return text
}
