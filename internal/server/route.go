package server

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

// route is one method and path, the right it needs, and what it does. The
// table of all routes is data, so that tests can walk it.
type route struct {
	// method and path are as net/http's mux has them: "GET", "/v1/vault/{key}".
	method, path string
	verb         access.Verb
	// query names the parameters it takes; any other is refused.
	query []string
	// streams is set where the body is a file, which nobody holds.
	streams bool
	// foreign is set where the request is in a provider's form.
	foreign *foreignForm
	// maxBody bounds a JSON body where it is not the constant.
	maxBody int64
	// withoutKey is set where it works while the server is locked.
	withoutKey bool
	// toUnlock is set where it then works for callers that are not proven.
	toUnlock bool
	serve    func(http.ResponseWriter, *request) error
}

// foreignForm is what a route brings whose requests are a provider's: their
// query, their idempotency key, where they have the caller's token and how they
// are refused are not as in this contract.
type foreignForm struct {
	// takeToken finds the caller's token, and returns the request with it where
	// the server looks for it.
	takeToken func(*http.Request) (*http.Request, error)
	// refuse answers with an error that the provider's own clients can read.
	refuse func(http.ResponseWriter, *request, *bctrl.Error)
}

// none stands for a body or an answer that is empty.
type none struct{}

// maxBody bounds a JSON body; files have routes of their own.
const maxBody = 1 << 20

// endpoint makes a route that takes JSON and answers JSON.
func endpoint[In, Out any](
	pattern string, verb access.Verb, do func(context.Context, *request, In) (Out, error), query ...string,
) route {
	return raw(pattern, verb, func(w http.ResponseWriter, rq *request) error {
		in, err := decode[In](rq)
		if err != nil {
			return err
		}
		run := func(ctx context.Context) (Out, error) { return do(ctx, rq, in) }
		var out Out
		if rq.Method == http.MethodGet {
			out, err = ofOneMoment(rq.Context(), rq.server, rq, run)
		} else {
			out, err = run(rq.Context())
		}
		if err != nil {
			return err
		}
		if rq.answer == nil { // not encoded inside a transaction already
			if rq.answer, err = rq.server.finish(rq, out); err != nil {
				return err
			}
		}
		writeJSON(w, http.StatusOK, rq.answer)
		return nil
	}, query...)
}

// finish encodes an answer that was not made inside a transaction, and
// remembers it where the request has an idempotency key.
func (s *Server) finish(rq *request, out any) ([]byte, error) {
	body, err := encodeAnswer(out)
	if err != nil || rq.idempotent == nil {
		return body, err
	}
	ctx := context.WithoutCancel(rq.Context()) // what was done is done
	err = s.db.Write(ctx, func(tx *store.Tx) error { return s.save(ctx, tx, rq, http.StatusOK, body) })
	if errors.Is(err, seal.ErrLocked) { // in this moment; what was done is done
		err = nil
	}
	return body, err
}

// encodeAnswer writes out as JSON; [none] is an empty object.
func encodeAnswer(out any) ([]byte, error) {
	if list, ok := out.(interface{ Encode() ([]byte, error) }); ok {
		return list.Encode()
	}
	return json.Marshal(out)
}

// raw makes a route that reads its own body or writes its own answer.
func raw(
	pattern string, verb access.Verb, serve func(http.ResponseWriter, *request) error, query ...string,
) route {
	method, path, _ := strings.Cut(pattern, " ")
	return route{
		method: method,
		path:   path,
		verb:   verb,
		query:  query,
		serve:  serve,
	}
}

// streamed makes a raw route whose body is a file.
func streamed(
	pattern string, verb access.Verb, serve func(http.ResponseWriter, *request) error, query ...string,
) route {
	rt := raw(pattern, verb, serve, query...)
	rt.streams = true
	return rt
}

// decode reads the body into In. Requests that take none refuse one.
func decode[In any](rq *request) (in In, err error) {
	if _, takesNone := any(in).(none); takesNone {
		if rq.ContentLength > 0 {
			return in, invalid("request.unexpected_body", "", "this request takes no body")
		}
		return in, nil
	}
	if ct := rq.Header.Get("Content-Type"); !isJSON(ct) {
		return in, invalid("request.content_type", "", "the body must be application/json")
	}
	body, err := rq.body()
	if err != nil {
		return in, err
	}
	if err := strictjson.Unmarshal(body, &in); err != nil {
		return in, badJSON(err)
	}
	return in, nil
}

func isJSON(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "application/json")
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
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
func (rt route) checkQuery(rq *request) error {
	values, err := queryValues(rq.URL.RawQuery)
	if err != nil {
		return invalid("request.query", "", "the query string is malformed")
	}
	for name, v := range values {
		if !slices.Contains(rt.query, name) {
			return withHint(
				invalid("request.unknown_parameter", "", "the query has a parameter that this route does not take"),
				rt.takes(),
			)
		}
		if len(v) > 1 {
			return invalid("request.repeated_parameter", name, "the parameter is given more than once")
		}
		if !utf8.ValidString(v[0]) {
			return notText(name)
		}
		if v[0] == "" && !slices.Contains(mayBeEmpty, name) {
			return invalid("request.parameter", name, name+" is empty: leave the parameter out, or say what is meant")
		}
	}
	rq.query = values
	return nil
}

func (rt route) takes() string {
	if len(rt.query) == 0 {
		return "it takes none"
	}
	return "it takes " + strings.Join(rt.query, ", ")
}
