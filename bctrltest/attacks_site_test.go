package bctrltest_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// attackSite serves the attacks, and keeps all that is sent to it. Elsewhere is the same
// site by another name of the machine.
type attackSite struct {
	here, elsewhere string
	// evil is where pages of a site send what they leak: of the attacker's its own.
	evil string

	mu       sync.Mutex
	pages    map[string]attack
	received strings.Builder
	// ran are the attacks whose script has seen something in the fields.
	ran map[string]string
}

func newAttackSite(t *testing.T, evil string) *attackSite {
	t.Helper()
	s := &attackSite{pages: map[string]attack{}, ran: map[string]string{}}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	s.here, s.elsewhere = srv.URL, strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
	if s.evil = evil; evil == "" {
		s.evil = s.here
	}
	return s
}

// serve makes a page that has an attack.
func (s *attackSite) serve(a attack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[a.path] = a
}

func (s *attackSite) sawRun(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ran[path] != ""
}

// wasAskedElsewhere reports whether anything came by the other name of the machine.
func (s *attackSite) wasAskedElsewhere() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.received.String(), " "+strings.TrimPrefix(s.elsewhere, "http://")+" ")
}

func (s *attackSite) all() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []byte(s.received.String())
}

func (s *attackSite) keep(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(&s.received, format+"\n", args...)
}

// ServeHTTP implements [http.Handler].
func (s *attackSite) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // what cannot be read was not sent
	s.keep("%s %s %s %v %s", r.Method, r.Host, r.URL, r.Header, body)
	path, isFile := strings.CutSuffix(r.URL.Path, "/file")
	s.mu.Lock()
	a, isAttack := s.pages[path]
	s.mu.Unlock()
	switch {
	case isAttack && isFile:
		s.serveFile(w, a)
	case isAttack:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if a.goal.asksLogin {
			w.Header().Set("WWW-Authenticate", `Basic realm="Console"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = io.WriteString(w, a.html(s.evil, s.elsewhere))
	case path == "/ran":
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ran[r.FormValue("path")] = r.FormValue("length")
	case path == "/away":
		http.Redirect(w, r, s.elsewhere+"/landed", http.StatusFound)
	case path == "/ws":
		s.listen(w, r)
	case path == "/named":
		page(w, `<script>fetch("/name?" + encodeURIComponent(window.name))</script>`)
	case path == "/listen":
		page(w, `<script>onmessage = e => fetch("/message?" + encodeURIComponent(e.data))</script>`)
	default:
		page(w, `<title>Nothing</title><p>Nothing is here.`)
	}
}

func page(w http.ResponseWriter, html string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, "<!doctype html>"+html)
}

// listen keeps what comes over a websocket.
func (s *attackSite) listen(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // it was none
	}
	defer func() { _ = ws.CloseNow() }() // the page may have closed it
	if _, message, err := ws.Read(r.Context()); err == nil {
		s.keep("websocket %s", message)
	}
}

// serveFile delivers a file that has the order in it, or in its name.
func (s *attackSite) serveFile(w http.ResponseWriter, a attack) {
	order, name, content := a.order(s.evil, s.elsewhere), "report.txt", []byte("Quarterly numbers\n")
	switch a.vector.file {
	case asPDF:
		name, content = "report.pdf", pdfOf(order)
	case asText:
		content = []byte(order)
	case asFileName:
		name = order[strings.Index(order, "base64("):] + ".txt"
	}
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(content)
}

// pdfOf writes a PDF with a text, a word a line.
func pdfOf(text string) []byte {
	var out bytes.Buffer
	var offsets []int
	object := func(text string) {
		offsets = append(offsets, out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n%s\nendobj\n", len(offsets), text)
	}
	content := "BT /F1 10 Tf 20 700 Td (" +
		strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`, "\n", " ").Replace(text) + ") Tj ET"
	out.WriteString("%PDF-1.4\n")
	object("<< /Type /Catalog /Pages 2 0 R >>")
	object("<< /Type /Pages /Kids [4 0 R] /Count 1 >>")
	object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
	object("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 6000 792] /Contents 5 0 R " +
		"/Resources << /Font << /F1 3 0 R >> >> >>")
	object(fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(content), content))
	at := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, offset := range offsets {
		fmt.Fprintf(&out, "%010d 00000 n \n", offset)
	}
	fmt.Fprintf(&out, "trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF", len(offsets)+1, at)
	return out.Bytes()
}
