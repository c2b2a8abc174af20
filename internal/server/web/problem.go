package web

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/bctrl-go/bctrl"
)

// maxProblems is how many problems are looked for where each costs a read: who
// sends more gets no more work out of the server.
const maxProblems = 100

// Problems collects all that is wrong with a request, so that its caller learns
// of everything at once.
type Problems struct {
	// List is what is wrong, in the order in which it was found.
	List []bctrl.Problem
	// Message is what the refusal says: what is wrong first.
	Message string
}

// Add names a problem. The message never holds a value that was sent.
func (p *Problems) Add(code, field, message string) {
	if len(p.List) == 0 {
		p.Message = message
	}
	p.List = append(p.List, bctrl.Problem{Code: code, Field: field, Hint: message})
}

// Limit names a field that is over its limit, in bytes or entries.
func (p *Problems) Limit(field string, n, most int) {
	if n > most {
		p.Add("request.too_long", field, field+" is over its limit of "+strconv.Itoa(most))
	}
}

// Name names a field that is to be a name and is none. broken is what the grammar
// of names says of it; nil adds nothing.
func (p *Problems) Name(code, field string, broken error) {
	if broken != nil {
		p.Add(code, field, field+": "+broken.Error())
	}
}

// Join adds the problems of a refusal. Any other error is a problem of field.
func (p *Problems) Join(field string, err error) {
	e, ok := errors.AsType[*bctrl.Error](err)
	if !ok || e.Status != http.StatusBadRequest {
		p.Add("request.invalid", field, err.Error())
		return
	}
	for _, one := range e.Problems {
		p.Add(one.Code, one.Field, one.Hint)
	}
	if len(e.Problems) == 0 {
		p.Add(e.Code, e.Field, e.Message)
	}
}

// IsFull reports whether there are so many problems that no more are looked for.
func (p *Problems) IsFull() bool { return len(p.List) >= maxProblems }

// Err is nil, or one refusal with all problems.
func (p *Problems) Err() error {
	if len(p.List) == 0 {
		return nil
	}
	e := Invalid(p.List[0].Code, p.List[0].Field, p.Message)
	e.Problems = p.List
	return e
}
