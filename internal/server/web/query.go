package web

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bctrl-go/bctrl"
)

// checkQuery refuses what the route does not know, and what says nothing: a
// misspelt filter, or one that a program left empty, must not widen what is
// listed.
func (rt Route) checkQuery(rq *Request) error {
	values, err := url.ParseQuery(rq.URL.RawQuery)
	if err != nil {
		return Invalid("request.query", "", "the query string is malformed")
	}
	for name, v := range values {
		if !slices.Contains(rt.query, name) {
			return WithHint(
				Invalid("request.unknown_parameter", "", "the query has a parameter that this route does not take"),
				rt.takes(),
			)
		}
		if len(v) > 1 {
			return Invalid("request.repeated_parameter", name, "the parameter is given more than once")
		}
		if !utf8.ValidString(v[0]) {
			return NotUTF8(name)
		}
		if v[0] == "" && !slices.Contains(mayBeEmpty, name) {
			return Invalid("request.parameter", name, name+" is empty: leave the parameter out, or say what is meant")
		}
	}
	rq.Query = values
	return nil
}

// mayBeEmpty are the parameters of which nothing means the same as none, and
// name, whose own grammar refuses it.
var mayBeEmpty = []string{"prefix", "delimiter", "cursor", "name"}

func (rt Route) takes() string {
	if len(rt.query) == 0 {
		return "it takes none"
	}
	return "it takes " + strings.Join(rt.query, ", ")
}

// Flag reads a boolean parameter, true or false; absent is false. It fails, as all
// readers of parameters do, with request.parameter and the parameter as field.
func (rq *Request) Flag(name string) (bool, error) {
	v, err := rq.OptionalFlag(name)
	return v != nil && *v, err
}

// OptionalFlag reads a boolean parameter; absent is nil.
func (rq *Request) OptionalFlag(name string) (*bool, error) {
	switch rq.Query.Get(name) {
	case "":
		if !rq.Query.Has(name) {
			return nil, nil
		}
	case "true":
		return new(true), nil
	case "false":
		return new(false), nil
	}
	return nil, Invalid("request.parameter", name, name+" must be true or false")
}

// Millis reads a duration parameter in milliseconds, between low and high;
// absent is def.
func (rq *Request) Millis(name string, def, low, high time.Duration) (time.Duration, error) {
	n, err := rq.Integer(name, def.Milliseconds(), low.Milliseconds(), high.Milliseconds())
	return time.Duration(n) * time.Millisecond, err
}

// Integer reads a number parameter between low and high; absent is def.
func (rq *Request) Integer(name string, def, low, high int64) (int64, error) {
	if !rq.Query.Has(name) {
		return def, nil
	}
	n, err := strconv.ParseInt(rq.Query.Get(name), 10, 64)
	if err != nil || n < low || n > high {
		return 0, Invalid("request.parameter", name, name+" must be a whole number from "+
			strconv.FormatInt(low, 10)+" to "+strconv.FormatInt(high, 10))
	}
	return n, nil
}

// QueryScope reads a scope from three parameters; without any of them it is
// zero. The type may be left out where ids say it.
func (rq *Request) QueryScope(typ, workspace, group string) (bctrl.Scope, error) {
	if !rq.Query.Has(typ) && !rq.Query.Has(workspace) && !rq.Query.Has(group) {
		return bctrl.Scope{}, nil
	}
	var scope bctrl.Scope
	switch kind := bctrl.ScopeType(rq.Query.Get(typ)); {
	case kind == bctrl.ScopeGroup, kind == "" && rq.Query.Has(group):
		scope = bctrl.InGroup(rq.Query.Get(workspace), rq.Query.Get(group))
	case kind == bctrl.ScopeWorkspace && !rq.Query.Has(group), kind == "" && rq.Query.Has(workspace):
		scope = bctrl.InWorkspace(rq.Query.Get(workspace))
	case kind == bctrl.ScopeGlobal && !rq.Query.Has(workspace) && !rq.Query.Has(group):
		return bctrl.Global(), nil
	case kind == bctrl.ScopeGlobal, kind == bctrl.ScopeWorkspace:
		return scope, Invalid("scope.unexpected_id", typ, "an id is given that the type of scope does not take")
	default:
		return scope, Invalid("scope.invalid_type", typ, "this is no type of scope: it is global, workspace or group")
	}
	return scope, ScopeAt(scope.Validate(), typ, workspace, group)
}
