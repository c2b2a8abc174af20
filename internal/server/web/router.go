package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// Router finds the route of a request, and refuses what is none's.
type Router struct {
	mux *http.ServeMux
	// foreign serves the paths below prefix, as they are: they are a provider's.
	foreign http.Handler
	prefix  string
}

// NewRouter makes a router of routes, each run by the kernel. At most one of
// them is [Route.Foreign]; two with the same method and path panic, as in
// [http.ServeMux].
func NewRouter(k *Kernel, routes []Route) *Router {
	rr := &Router{mux: http.NewServeMux()}
	taken := map[string][]string{} // methods by path
	for _, rt := range routes {
		taken[rt.Path] = append(taken[rt.Path], rt.Method)
	}
	for i := range routes {
		rr.add(&routes[i], k.handler(&routes[i]), taken[routes[i].Path])
	}
	rr.mux.HandleFunc("/", rr.noRoute)
	for path, methods := range taken {
		if methods[0] != anyMethod {
			rr.refuseOthers(path, methods)
		}
	}
	return rr
}

// anyMethod is the method of a route that takes all.
const anyMethod = "ANY"

// add serves a route, whose path takes methods.
func (rr *Router) add(rt *Route, handler http.Handler, methods []string) {
	pattern := rt.Path
	if rt.Method != anyMethod {
		pattern = rt.Method + " " + rt.Path
	}
	if rt.Method == http.MethodGet && !slices.Contains(methods, http.MethodHead) {
		handler = getAlone(handler, wrongMethod(methods))
	}
	rr.mux.Handle(pattern, handler)
	if rt.Foreign != nil {
		rr.foreign = handler
		rr.prefix, _, _ = strings.Cut(rt.Path, "{")
	}
}

// ServeHTTP refuses what no route may see, then routes.
func (rr *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := newRequestID(r.Header.Get(wire.HeaderRequestID))
	w.Header().Set(wire.HeaderRequestID, id)
	switch path := r.URL.EscapedPath(); {
	case rr.foreign != nil && strings.HasPrefix(path, rr.prefix): // the mux would change what is not ours to change
		rr.foreign.ServeHTTP(w, r)
	case !utf8.ValidString(r.URL.Path):
		refuse(w, id, NotUTF8(""))
	case plainPath(path):
		rr.mux.ServeHTTP(w, r)
	default:
		refuse(w, id, Invalid("request.path", "", "the path has an empty segment, a dot segment or a zero byte"))
	}
}

// noRoute is the answer where no other route is. A path that has routes comes here too
// with a method that HTTP does not name: then what answers OPTIONS there, which no route
// takes, refuses it.
func (rr *Router) noRoute(w http.ResponseWriter, r *http.Request) {
	named := *r
	named.Method = http.MethodOptions
	if wrong, pattern := rr.mux.Handler(&named); pattern != "/" {
		wrong.ServeHTTP(w, r)
		return
	}
	refuse(w, w.Header().Get(wire.HeaderRequestID), NotFound("request.no_route", "there is no such route"))
}

// refuse answers with an error where no route does.
func refuse(w http.ResponseWriter, id string, e *bctrl.Error) {
	WriteJSON(w, e.Status, EncodeError(e, id))
}

// plainPath reports whether every segment of a path means itself: the mux
// would redirect what it can clean, and what is meant by an encoded dot segment
// is for nobody to guess.
func plainPath(escaped string) bool {
	if escaped == "/" {
		return true
	}
	rest, ok := strings.CutPrefix(escaped, "/")
	if !ok {
		return false
	}
	for segment := range strings.SplitSeq(rest, "/") {
		text, err := url.PathUnescape(segment)
		// The mux takes an encoded slash alone for the end of a path.
		if err != nil || text == "" || text == "." || text == ".." || text == "/" || strings.ContainsRune(text, 0) {
			return false
		}
	}
	return true
}

// refuseOthers answers the methods that a path does not take. They are named
// one by one: a pattern for all methods of /v1/secrets/import would contend with
// that of GET /v1/secrets/{id}.
func (rr *Router) refuseOthers(path string, methods []string) {
	wrong := wrongMethod(methods)
	for _, m := range []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace,
	} {
		taken := slices.Contains(methods, m) || m == http.MethodHead && slices.Contains(methods, http.MethodGet)
		if !taken {
			rr.mux.Handle(m+" "+path, wrong)
		}
	}
}

// getAlone keeps HEAD from a route for GET, to which the mux gives it too: a use
// of a secret of which nobody sees the answer is no way to ask for a header. The
// routes of files have a HEAD of their own.
func getAlone(get, wrong http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			wrong.ServeHTTP(w, r)
			return
		}
		get.ServeHTTP(w, r)
	})
}

// wrongMethod refuses a method that a path does not take.
func wrongMethod(methods []string) http.Handler {
	allow := strings.Join(slices.Compact(slices.Sorted(slices.Values(methods))), ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		refuse(w, w.Header().Get(wire.HeaderRequestID), WithHint(
			Refusal(http.StatusMethodNotAllowed, "request.method", "the route does not take this method"),
			"it takes "+allow,
		))
	})
}
