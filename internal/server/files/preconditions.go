package files

import (
	"net/http"
	"strings"

	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// preconditions are If-Match and If-None-Match of a request that changes a
// file (RFC 9110 §13.1). Empty is none.
type preconditions struct{ ifMatch, ifNoneMatch string }

// preconditionsOf reads those of a request. An If-Match without a tag is of a program that had none to put
// there: no version is meant then, least of all any.
func preconditionsOf(h http.Header) preconditions {
	p := preconditions{joinedHeader(h, "If-Match"), joinedHeader(h, "If-None-Match")}
	if p.ifMatch == "" && len(h.Values("If-Match")) > 0 {
		p.ifMatch = `""`
	}
	return p
}

// check refuses when the file as it is now, the zero Object when there is
// none, is not what the request is meant for.
func (p preconditions) check(now store.Object) error {
	exists := now.ID != ""
	if p.ifMatch != "" && !(exists && matches(p.ifMatch, etag(now))) {
		return web.ErrStale
	}
	anyStrength := strings.ReplaceAll(p.ifNoneMatch, "W/", "") // RFC 9110 §13.1.2, for If-None-Match alone
	if anyStrength != "" && exists && matches(anyStrength, etag(now)) {
		return web.PreconditionFailed("storage.exists", "there is a file at this path already")
	}
	return nil
}

// matches reports whether a list of entity tags names this one. Ours hold no
// comma and are never weak.
func matches(list, tag string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item == "*" || item == tag {
			return true
		}
	}
	return false
}

// etag is the entity tag of a version of a file. It is its id, so that no two
// versions share one, though their bytes be the same.
func etag(o store.Object) string { return `"` + o.ID + `"` }

// joinedHeader joins the lines of a header that is a list (RFC 9110 §5.3).
func joinedHeader(h http.Header, name string) string { return strings.Join(h.Values(name), ",") }
