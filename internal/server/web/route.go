package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/strictjson"
)

// Route is one method and path, the right it needs, and what it does. The
// table of all routes is data, so that tests can walk it.
type Route struct {
	// Method and path are as net/http's mux has them: "GET", "/v1/vault/{key}".
	Method, Path string
	Verb         access.Verb
	// query names the parameters it takes; any other is refused.
	query []string
	// streams is set where the body is a file, which nobody holds.
	streams bool
	// Foreign is set where the request is in a provider's form.
	Foreign *ForeignForm
	// MaxBody bounds a JSON body where it is not the constant.
	MaxBody int64
	// WithoutKey is set where it works while the server is locked.
	WithoutKey bool
	// ToUnlock is set where it then works for callers that are not proven.
	ToUnlock bool
	serve    func(http.ResponseWriter, *Request) error
}

// ForeignForm is what a route brings whose requests are a provider's: their
// query, their idempotency key, where they have the caller's token and how they
// are refused are not as in this contract.
type ForeignForm struct {
	// TakeToken finds the caller's token, and returns the request with it where
	// the server looks for it.
	TakeToken func(*http.Request) (*http.Request, error)
	// Refuse answers with an error that the provider's own clients can read.
	Refuse func(http.ResponseWriter, *Request, *bctrl.Error)
}

// None stands for a body or an answer that is empty.
type None struct{}

// MaxBody bounds a JSON body; files have routes of their own.
const MaxBody = 1 << 20

// Endpoint makes a route that takes JSON and answers JSON.
func Endpoint[In, Out any](
	pattern string, verb access.Verb, do func(context.Context, *Request, In) (Out, error), query ...string,
) Route {
	return Raw(pattern, verb, func(w http.ResponseWriter, rq *Request) error {
		in, err := decode[In](rq)
		if err != nil {
			return err
		}
		run := func(ctx context.Context) (Out, error) { return do(ctx, rq, in) }
		var out Out
		if rq.Method == http.MethodGet {
			out, err = ReadConsistently(rq.Context(), rq, run)
		} else {
			out, err = run(rq.Context())
		}
		if err != nil {
			return err
		}
		if rq.answer == nil { // not encoded inside a transaction already
			if rq.answer, err = rq.finish(out); err != nil {
				return err
			}
		}
		rq.WriteAnswer(w)
		return nil
	}, query...)
}

// WriteAnswer answers with what [Change] or [Request.KeepAnswer] encoded.
func (rq *Request) WriteAnswer(w http.ResponseWriter) { WriteJSON(w, http.StatusOK, rq.answer) }

// finish encodes an answer that was not made inside a transaction, and
// remembers it where the request has an idempotency key.
func (rq *Request) finish(out any) ([]byte, error) {
	body, err := EncodeAnswer(out)
	if err != nil || rq.idempotent == nil {
		return body, err
	}
	ctx := context.WithoutCancel(rq.Context()) // what was done is done
	err = rq.kernel.DB.Write(ctx, func(tx *store.Tx) error { return rq.keep(ctx, tx, http.StatusOK, body) })
	if errors.Is(err, seal.ErrLocked) { // in this moment; what was done is done
		err = nil
	}
	return body, err
}

// EncodeAnswer writes out as JSON; [None] is an empty object.
func EncodeAnswer(out any) ([]byte, error) {
	if list, ok := out.(interface{ Encode() ([]byte, error) }); ok {
		return list.Encode()
	}
	return json.Marshal(out)
}

// Raw makes a route that reads its own body or writes its own answer.
func Raw(
	pattern string, verb access.Verb, serve func(http.ResponseWriter, *Request) error, query ...string,
) Route {
	method, path, _ := strings.Cut(pattern, " ")
	return Route{
		Method: method,
		Path:   path,
		Verb:   verb,
		query:  query,
		serve:  serve,
	}
}

// Streamed makes a raw route whose body is a file.
func Streamed(
	pattern string, verb access.Verb, serve func(http.ResponseWriter, *Request) error, query ...string,
) Route {
	rt := Raw(pattern, verb, serve, query...)
	rt.streams = true
	return rt
}

// decode reads the body into In. Requests that take none refuse one.
func decode[In any](rq *Request) (in In, err error) {
	if _, takesNone := any(in).(None); takesNone {
		if rq.ContentLength > 0 {
			return in, Invalid("request.unexpected_body", "", "this request takes no body")
		}
		return in, nil
	}
	if ct := rq.Header.Get("Content-Type"); !IsJSON(ct) {
		return in, Invalid("request.content_type", "", "the body must be application/json")
	}
	body, err := rq.ReadBody()
	if err != nil {
		return in, err
	}
	if err := strictjson.Unmarshal(body, &in); err != nil {
		return in, BadJSON(err)
	}
	return in, nil
}

func IsJSON(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "application/json")
}

func WriteJSON(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone; there is nobody to tell
}

// mayBeEmpty are the parameters of which nothing means the same as none, and
// name, whose own grammar refuses it.
var mayBeEmpty = []string{"prefix", "delimiter", "cursor", "name"}

// checkQuery refuses what the route does not know, and what says nothing: a
// misspelt filter, or one that a program left empty, must not widen what is
// listed.
func (rt Route) checkQuery(rq *Request) error {
	values, err := queryValues(rq.URL.RawQuery)
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

func (rt Route) takes() string {
	if len(rt.query) == 0 {
		return "it takes none"
	}
	return "it takes " + strings.Join(rt.query, ", ")
}
