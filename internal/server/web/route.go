package web

import (
	"context"
	"net/http"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
)

// Route is one method and path, the right it needs, and what it does. The
// table of all routes is data, so that tests can walk it.
type Route struct {
	// Method and path are as net/http's mux has them: "GET", "/v1/vault/{key}".
	Method, Path string
	// Verb is the right that it needs; [access.Public] needs none, and no caller.
	Verb access.Verb
	// query names the parameters it takes; any other is refused.
	query []string
	// content is set where the body is a file, which nobody holds: see [Streamed].
	content func(http.ResponseWriter, *Request) ([]byte, error)
	// Foreign is set where the request is in a provider's form; nil where it is in
	// that of the contract.
	Foreign *ForeignForm
	// Refuse answers a refusal where the route's clients are those of another protocol;
	// nil is as the contract has it.
	Refuse func(http.ResponseWriter, *Request, *bctrl.Error)
	// MaxBody bounds a JSON body, in bytes; 0 is [MaxBody].
	MaxBody int64
	// WithoutKey is set where it works while the server is locked.
	WithoutKey bool
	// ToUnlock is set where it then also works for callers whose key cannot be
	// proved to be one that this server made: see [Request.Unproven].
	ToUnlock bool
	// atomic is set where one transaction does all of it: see [Route.Atomic].
	atomic bool
	// where is which node of a cluster serves it: see [Route.On].
	where Where
	serve func(http.ResponseWriter, *Request) error
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

// Endpoint makes a route that takes JSON and answers JSON. pattern is a method and a
// path, "GET /v1/vault/{key}", and query names the parameters that it takes. What a
// GET reads is of one moment with what permitted it: see [ReadConsistently]. do
// asks for the right.
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

// Raw makes a route that reads its own body or writes its own answer; ANY is a
// method that stands for all.
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

// Streamed makes a raw route whose body is a file, which nobody holds in memory. Where the request
// was answered before, content reads the body in place of serve, and returns what serve then told
// [Request.KeepContent] of such a body.
func Streamed(
	pattern string, verb access.Verb, serve func(http.ResponseWriter, *Request) error,
	content func(http.ResponseWriter, *Request) ([]byte, error),
) Route {
	rt := Raw(pattern, verb, serve)
	rt.content = content
	return rt
}

// Atomic returns the route as one that does all it does in one transaction, in which its answer
// is kept, as [Change] does. Where its idempotency key was used before, that transaction fails and
// nothing is done: only then, or where the request is refused, is the first answer looked for. Of an
// organization that has answers which are stored otherwise it is looked for before, too.
func (rt Route) Atomic() Route {
	rt.atomic = true
	return rt
}
