package server

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/sample"
)

// The rules of who may do what, written here a second time from the
// documentation: the walk below holds the server to them on every route.
var (
	// walkMounted are rights that a runtime has where its mounts give them.
	walkMounted = strings.Fields(`ai.use ai.read vault.use vault.list vault.readRaw
		storage.get storage.put storage.delete storage.list storage.sign capability.read capability.invoke`)
	// walkOwn are rights that a runtime has to itself, whatever its mounts.
	walkOwn = strings.Fields("runtime.read runtime.stop runtime.connect runtime.disconnect runtime.execute " +
		"runtime.save_profile " +
		"operation.read operation.cancel")
	// walkAnybody are rights of everybody who is somebody.
	walkAnybody = []string{"self.read"}
	// All others are for organization keys alone.
)

// asking is what a request is about: a line of testdata/routes.txt.
type asking struct {
	of            string // "" where it is nobody's
	found, anyone bool
	target, body  string
}

// stop is a route and what may be asked of it.
type stop struct {
	route, right string
	// anew is what is made again before each request, where requests end it.
	anew string
	// mounted is set where the right alone is not enough for a runtime: its mounts have to
	// give another one.
	mounted bool
	askings []asking
}

//go:embed testdata/routes.txt
var walkedRoutes string

// walk reads testdata/routes.txt.
func walk(t *testing.T) (stops []stop) {
	t.Helper()
	for line := range strings.Lines(walkedRoutes) {
		line = strings.TrimRight(line, "\n")
		asked, isAsking := strings.CutPrefix(line, "\t")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case isAsking:
			fields := strings.SplitN(asked, " ", 4)
			require.GreaterOrEqual(t, len(fields), 3, line)
			require.Contains(t, []string{"has", "lacks", "any"}, fields[1], line)
			about := asking{
				of:     fields[0],
				found:  fields[1] != "lacks",
				anyone: fields[1] == "any",
				target: fields[2],
			}
			if about.of == "-" {
				about.of = ""
			}
			if len(fields) == 4 {
				about.body = fields[3]
			}
			last := &stops[len(stops)-1]
			last.askings = append(last.askings, about)
		default:
			route, anew, _ := strings.Cut(line, " anew ")
			route, mounted := strings.CutSuffix(route, " with mounts")
			at := strings.LastIndex(route, " ")
			stops = append(stops, stop{route: route[:at], right: route[at+1:], anew: anew, mounted: mounted})
		}
	}
	return stops
}

// unseen are names that a list must not hold for this caller.
func (who somebody) unseen() []string {
	mine := map[string]string{"rt": "prod/crm/acme acme-mine acme/mine", "other": "email/acme acme-theirs acme/theirs"}
	var not []string
	for of, names := range mine {
		if who.runtime != "" && (who.runtime != of || !who.powers) {
			not = append(not, strings.Fields(names)...)
		}
	}
	if who.runtime != "" {
		not = append(not, "root/acme", "acme/root")
	}
	return not
}

// expected is the status by the rules: 401, 403, 404, 409 for a caller who is
// no runtime any more or, for yes, 200.
func expected(s stop, who somebody, about asking) int {
	right := s.right
	switch {
	case who.org == "":
		return http.StatusUnauthorized
	case who.runtime == "dead" && who.as != "" && who.token == nil: // which there is none of in its organization
		return http.StatusConflict
	case who.runtime == "dead":
		return http.StatusForbidden
	case who.runtime != "":
		mine := about.of == who.runtime
		switch {
		case about.of == "each": // a list of what each may see, empty perhaps
		case slices.Contains(walkAnybody, right):
		case slices.Contains(walkOwn, right) && mine && (who.powers || !s.mounted):
		case slices.Contains(walkMounted, right) && mine && who.powers:
		default:
			return http.StatusForbidden
		}
	case who.org == "b" && (strings.HasPrefix(right, "seal.") || strings.HasPrefix(right, "node.")):
		return http.StatusForbidden // the operator's
	case who.sub != "" && right == "subaccount.write" && about.anyone:
		return http.StatusForbidden // subaccounts are not nested
	case who.org == "b" && !about.anyone:
		return http.StatusNotFound
	}
	if !about.found {
		return http.StatusNotFound
	}
	return http.StatusOK
}

// ask sends what the asking says.
func (w *world) ask(method string, about asking, who somebody) answer {
	w.made++
	target := w.names.Replace(about.target)
	for name, id := range w.objects {
		target = strings.ReplaceAll(target, name, id)
	}
	n := strconv.Itoa(w.made)
	target, body := strings.ReplaceAll(target, "{n}", n), w.names.Replace(strings.ReplaceAll(about.body, "{n}", n))
	if method == "ANY" {
		method = http.MethodGet
	}
	// The same id for all, so that answers can be compared byte for byte.
	headers := []string{"x-request-id", "walk"}
	key := who.key
	if who.token != nil {
		key = "Bearer " + who.token(w.token(who.held)).Expose()
	}
	if key != "" {
		headers = append(headers, "Authorization", key)
	}
	if who.as != "" {
		headers = append(headers, "BCTRL-Runtime", w.live[who.as])
	}
	if who.sub != "" {
		headers = append(headers, "BCTRL-Subaccount-Id", who.sub)
	}
	if who.mounts != "" {
		headers = append(headers, "BCTRL-Mounts", base64.RawURLEncoding.EncodeToString([]byte(who.mounts)))
	}
	if ns, ok := strings.CutPrefix(body, "form "); ok {
		body = fmt.Sprintf("--b\r\nContent-Disposition: form-data; "+
			"name=\"workspace\"\r\n\r\n%s\r\n--b\r\nContent-Disposition: form-data; name=\"path\"\r\n\r\nn%s\r\n"+
			"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nx\r\n--b--\r\n", ns, n)
		headers = append(headers, "Content-Type", "multipart/form-data; boundary=b")
	} else if strings.HasPrefix(body, "{") {
		headers = append(headers, "Content-Type", "application/json")
	} else if body != "" {
		headers = append(headers, "Content-Type", "text/plain")
	}
	// Past the check against openapi.yaml, which other tests have and which
	// would take most of the time here.
	req := httptest.NewRequestWithContext(w.Context(), method, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, req)
	return answer{Status: rec.Code, Header: rec.Header(), Body: rec.Body.Bytes()}
}

// TestEveryRouteIsHeldToItsRightWhoeverCalls calls every route as everybody
// about what is there and what is not, and compares each answer with the rules
// above. What is denied must be denied alike whether the thing exists or not.
func TestEveryRouteIsHeldToItsRightWhoeverCalls(t *testing.T) {
	w := newWorld(t)
	everybody := w.everybody()
	var log bytes.Buffer
	w.server.Log = slog.New(slog.NewTextHandler(&log, nil))
	stops := walk(t)
	for _, rt := range w.server.routes() {
		i := slices.IndexFunc(stops, func(s stop) bool { return s.route == rt.Method+" "+rt.Path })
		require.GreaterOrEqual(t, i, 0, "%s %s is not walked", rt.Method, rt.Path)
		require.Equal(t, stops[i].right, string(rt.Verb), "%s %s", rt.Method, rt.Path)
	}
	require.Len(t, w.server.routes(), len(stops), "a route that is walked is gone")

	asked, takes := 0, sample.Each(t, 6)
	for _, s := range stops {
		method, _, _ := strings.Cut(s.route, " ")
		denied := map[string]string{}
		for _, about := range s.askings {
			for _, who := range everybody {
				if asked++; !takes(asked) {
					continue
				}
				w.makeAnew(s.anew)
				got := w.ask(method, about, who)
				why := fmt.Sprintf("%s: %s %s", who.why, method, about.target)
				want := expected(s, who, about)
				if assert.Equal(t, want, got.Status, "%s: %s", why, got.Body); want == http.StatusOK {
					if about.of == "each" {
						for _, name := range who.unseen() {
							assert.NotContains(t, string(got.Body), name, why)
						}
					}
					if who.org == "b" {
						// Its own new things may lie in a namespace of that name.
						text := strings.ReplaceAll(string(got.Body), `"acme-sales`, "")
						text = strings.NewReplacer(`"acme-email`, "", `"acme-root`, "").Replace(text)
						for _, id := range w.ids {
							assert.NotContains(t, text, id, why)
						}
					}
					continue
				}
				// One answer for each caller and status, whatever it was about.
				whole := fmt.Sprintf("%v\n%s", got.Header, got.Body)
				kind := who.why + strconv.Itoa(want)
				if s.mounted && about.of == who.runtime {
					kind += " of its own"
				}
				if first, seen := denied[kind]; seen && (want != http.StatusNotFound || who.org == "b" &&
					s.route != "POST /v1/workspaces/{id}/execute") &&
					s.route != "POST /v1/subaccounts" {
					assert.Equal(t, first, whole, why)
				}
				denied[kind] = whole
			}
		}
	}
	require.NotContains(t, log.String(), "without a decision", "every handler asks")
}
