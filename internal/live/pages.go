package live

import (
	"embed"
	"html/template"
	"io"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bctrl-go/bctrl"
)

// The pages ask their own server for everything, and run no script but their own.

//go:embed pages
var files embed.FS

// Pages writes the pages of live views and recordings.
type Pages struct{ templates *template.Template }

// NewPages reads the pages, which are part of the program.
func NewPages() *Pages {
	return &Pages{templates: template.Must(template.ParseFS(files, "pages/page.html"))}
}

// page is what a page is made of.
type page struct{ Title, Message, Hint, Code string }

// Live writes the page of a live view, or of a recording.
func (p *Pages) Live(w io.Writer) error {
	return p.templates.ExecuteTemplate(w, "live", page{Title: "Live view"})
}

// Recording writes the page of a recording.
func (p *Pages) Recording(w io.Writer) error {
	return p.templates.ExecuteTemplate(w, "recording", page{Title: "Recording"})
}

// Problem writes a page that says why there is nothing to see.
func (p *Pages) Problem(w io.Writer, title string, e *bctrl.Error) error {
	return p.templates.ExecuteTemplate(w, "problem",
		page{Title: title, Message: upper(e.Message), Hint: upper(e.Hint), Code: e.Code})
}

func upper(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}

// Asset returns a file that the pages use, and its type.
func Asset(name string) (data []byte, contentType string, ok bool) {
	types := map[string]string{
		"page.css":     "text/css; charset=utf-8",
		"live.js":      "text/javascript; charset=utf-8",
		"recording.js": "text/javascript; charset=utf-8",
		"icon.svg":     "image/svg+xml",
	}
	contentType, ok = types[name]
	if !ok {
		return nil, "", false
	}
	data, err := files.ReadFile("pages/" + name)
	return data, contentType, err == nil
}

// SetHeaders sets what holds a page to its own server, and says which origins may have it
// in a frame. Connect is the origin of its websockets.
func SetHeaders(h http.Header, connect string, frames []string) {
	ancestors := "'none'"
	if len(frames) > 0 {
		ancestors = strings.Join(frames, " ")
	} else {
		h.Set("X-Frame-Options", "DENY")
	}
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "+
		"connect-src 'self' "+connect+"; base-uri 'none'; form-action 'none'; frame-ancestors "+ancestors)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer") // the address is the key
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	h.Set("X-Robots-Tag", "noindex")
}
