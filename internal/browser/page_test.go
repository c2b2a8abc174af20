package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/egress"
)

// website is a web server of a test: pages by path, and what was posted to it.
type website struct {
	*httptest.Server
	mu       sync.Mutex
	pages    map[string]string
	handlers map[string]http.HandlerFunc
	seen     []received
}

// received is a request that reached a site.
type received struct {
	method, path, query, contentType, body, referer string
	length                                          int64
}

func newSite(t *testing.T, pages map[string]string) *website {
	t.Helper()
	s := &website{pages: pages, handlers: map[string]http.HandlerFunc{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *website) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20)) // a broken body shows in the comparison
	s.mu.Lock()
	s.seen = append(s.seen, received{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("Content-Type"), string(body), r.Referer(), r.ContentLength})
	handler := s.handlers[r.URL.Path]
	page, ok := s.pages[r.URL.Path]
	s.mu.Unlock()
	if handler != nil {
		r.Body = io.NopCloser(bytes.NewReader(body))
		handler(w, r)
		return
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, page)
}

// to returns the requests to a path.
func (s *website) to(path string) []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []received
	for _, r := range s.seen {
		if r.path == path {
			out = append(out, r)
		}
	}
	return out
}

// everything returns all that reached the site as one text.
func (s *website) everything() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.seen)
}

// local is the site under another name of this machine: another site to a
// browser.
func (s *website) local() string { return strings.Replace(s.URL, "127.0.0.1", "localhost", 1) }

// openPage starts a browser and takes its page over.
func openPage(t *testing.T) (context.Context, *pageSet, *chromium) {
	t.Helper()
	return openPageOf(t, Spec{ID: "page"})
}

// openPageOf does it for a browser that may reach this machine.
func openPageOf(t *testing.T, spec Spec) (context.Context, *pageSet, *chromium) {
	t.Helper()
	spec.Egress = egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}
	b := launch(t, spec)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	_, err := b.Page(ctx)
	require.NoError(t, err)
	return ctx, b.pages.Load(), b
}

// observe reads the page and checks what holds for every observation.
func observe(ctx context.Context, t *testing.T, p Page) *Observation {
	t.Helper()
	obs, err := p.Observe(ctx)
	require.NoError(t, err)
	require.LessOrEqual(t, len(obs.Outline), maxOutline)
	for _, e := range obs.Elements {
		require.Contains(t, obs.Outline, "["+string(e.Ref)+"] "+e.Role)
	}
	return obs
}

// find returns the element of a role and name.
func find(t *testing.T, obs *Observation, role, name string) Element {
	t.Helper()
	for _, e := range obs.Elements {
		if e.Role == role && strings.Contains(e.Name, name) {
			return e
		}
	}
	require.Failf(t, "no such element", "%s %q in\n%s", role, name, obs.Outline)
	return Element{}
}

// open shows a page of a site and reads it.
func open(ctx context.Context, t *testing.T, p Page, url string) *Observation {
	t.Helper()
	require.NoError(t, p.Goto(ctx, url))
	return observe(ctx, t, p)
}

// settle waits for the page and reads it.
func settle(ctx context.Context, t *testing.T, p Page) *Observation {
	t.Helper()
	require.NoError(t, p.Settle(ctx, 5*time.Second))
	return observe(ctx, t, p)
}

// stringAt follows keys into JSON, through the first element of an array.
func stringAt(body string, path ...string) string {
	var at any
	if json.Unmarshal([]byte(body), &at) != nil {
		return ""
	}
	for _, key := range path {
		if list, ok := at.([]any); ok && len(list) > 0 {
			at = list[0]
		}
		object, _ := at.(map[string]any)
		at = object[key]
	}
	if list, ok := at.([]any); ok && len(list) > 0 {
		at = list[0]
	}
	text, _ := at.(string)
	return text
}

// partOf returns a field of a multipart form.
func partOf(r received, name string) string {
	_, params, err := mime.ParseMediaType(r.contentType)
	if err != nil {
		return ""
	}
	form, err := multipart.NewReader(strings.NewReader(r.body), params["boundary"]).ReadForm(1 << 20)
	if err != nil || len(form.Value[name]) != 1 {
		return ""
	}
	return form.Value[name][0]
}

// masked counts the pixels of a picture that were painted over.
func masked(t *testing.T, shot []byte) int {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(shot))
	require.NoError(t, err)
	n := 0
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			if r, g, b, _ := img.At(x, y).RGBA(); r>>8 == 0x60 && g>>8 == 0x60 && b>>8 == 0x60 {
				n++
			}
		}
	}
	return n
}
