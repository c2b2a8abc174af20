package bctrltest

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"sync"
	"time"
)

// Request is a request that arrived at the server.
type Request struct {
	Method string
	// Path is percent-encoded, as it was sent, with "[secret]" in the place of a key or
	// token in it, and of what signs an address.
	Path string
	// Header is without Authorization, cookies and what else has a key or token.
	Header http.Header
	// Status is what was answered; 0 when the reply was dropped.
	Status int
	// Injected is set when a fault was, by [Server.Fail] or
	// [Server.DropReply].
	Injected bool
}

// faults stands between the network and the server.
type faults struct {
	mu       sync.Mutex
	fail     []int
	drop     int
	delay    time.Duration
	requests []Request
	closed   chan struct{}
}

// Fail lets the next n requests be answered with status, without the server
// seeing them.
func (s *Server) Fail(n, status int) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.fail = append(s.faults.fail, slices.Repeat([]int{status}, n)...)
}

// DropReply lets the server do the next n requests and then cuts the
// connection instead of answering: the caller cannot know that it was done.
func (s *Server) DropReply(n int) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.drop += n
}

// Delay holds every request from now on for d before the server sees it. Zero
// ends that.
func (s *Server) Delay(d time.Duration) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.delay = d
}

// Requests returns what has arrived so far, oldest first. Bodies and
// credentials are left out.
func (s *Server) Requests() []Request {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	return slices.Clone(s.faults.requests)
}

// next takes the faults that are meant for one request.
func (f *faults) next() (status int, drop bool, delay time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.fail) > 0 {
		status, f.fail = f.fail[0], f.fail[1:]
	} else if f.drop > 0 {
		drop, f.drop = true, f.drop-1
	}
	return status, drop, f.delay
}

func (f *faults) record(r *http.Request, status int, injected bool) {
	header := r.Header.Clone()
	for _, name := range []string{"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "X-Goog-Api-Key"} {
		header.Del(name)
	}
	maps.DeleteFunc(header, func(_ string, values []string) bool { // where the SDKs of providers put them
		return slices.ContainsFunc(values, ownKey.MatchString)
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, Request{
		Method:   r.Method,
		Path:     withoutSecrets(r.URL.EscapedPath()),
		Header:   header,
		Status:   status,
		Injected: injected,
	})
}

// ownKey matches a key or token of the server, which no word is as long as.
var ownKey = regexp.MustCompile(`bctrl_[A-Za-z0-9_-]{32,}`)

// signedPath matches a path by which whoever has it gets in.
var signedPath = regexp.MustCompile(`^(/v1/downloads|/devtools/browser|/embed/(?:live|recording)|` +
	`/v1/workspaces/[^/]+/runtimes/[^/]+/webdriver)/[^/]+`)

func withoutSecrets(path string) string {
	return signedPath.ReplaceAllString(ownKey.ReplaceAllString(path, "[secret]"), "$1/[secret]")
}

// release ends requests that are held.
func (f *faults) release() { close(f.closed) }

func (f *faults) wrap(next http.Handler) http.Handler {
	f.closed = make(chan struct{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, drop, delay := f.next()
		if delay > 0 {
			timer := time.NewTimer(delay)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-r.Context().Done():
			case <-f.closed:
			}
		}
		switch {
		case status != 0:
			f.record(r, status, true)
			http.Error(w, http.StatusText(status), status)
		case drop:
			next.ServeHTTP(httptest.NewRecorder(), r)
			f.record(r, 0, true)
			panic(http.ErrAbortHandler) // cuts the connection
		default:
			seen := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
			defer func() { f.record(r, seen.status, false) }()
			next.ServeHTTP(seen, r)
		}
	})
}

// statusRecorder notes the status of an answer.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (w *statusRecorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets [http.ResponseController] and websockets reach the connection.
func (w *statusRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
