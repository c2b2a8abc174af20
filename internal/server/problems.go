package server

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/bctrl-go/bctrl"
)

// maxProblems is how many problems are looked for where each costs a read: who
// sends more gets no more work out of the server.
const maxProblems = 100

// problems collects all that is wrong with a request, so that its caller learns
// of everything at once.
type problems struct {
	list []bctrl.Problem
	// message is what the refusal says: what is wrong first.
	message string
}

// add names a problem.
func (p *problems) add(code, field, message string) {
	if len(p.list) == 0 {
		p.message = message
	}
	p.list = append(p.list, bctrl.Problem{Code: code, Field: field, Hint: message})
}

// limit names a field that is over its limit, in bytes or entries.
func (p *problems) limit(field string, n, most int) {
	if n > most {
		p.add("request.too_long", field, field+" is over its limit of "+strconv.Itoa(most))
	}
}

// name names a field that breaks the rule of names; a nil rule is kept.
func (p *problems) name(code, field string, rule error) {
	if rule != nil {
		p.add(code, field, field+": "+rule.Error())
	}
}

// join adds the problems of a refusal. Any other error is a problem of field.
func (p *problems) join(field string, err error) {
	e, ok := errors.AsType[*bctrl.Error](err)
	if !ok || e.Status != http.StatusBadRequest {
		p.add("request.invalid", field, err.Error())
		return
	}
	for _, one := range e.Problems {
		p.add(one.Code, one.Field, one.Hint)
	}
	if len(e.Problems) == 0 {
		p.add(e.Code, e.Field, e.Message)
	}
}

// full reports that no more problems are looked for.
func (p *problems) full() bool { return len(p.list) >= maxProblems }

// err is nil, or one refusal with all problems.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	e := invalid(p.list[0].Code, p.list[0].Field, p.message)
	e.Problems = p.list
	return e
}

// index is the name of an element of a list, as a field.
func index(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }
