package bctrl

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// canary is the secret of every test; no output may hold it.
const canary = "canary-Xy7!secret"

// testKey is the API key of every test.
const testKey = "key-canary-Xy7"

// fake is a transport that answers from memory and remembers what it was sent.
type fake struct {
	mu     sync.Mutex
	seen   []sent
	answer func(n int, r *http.Request) (*http.Response, error)
}

// sent is a request as it arrived.
type sent struct {
	method, host, path, query string // path as it is on the wire
	header                    http.Header
	body                      string
}

// RoundTrip implements [http.RoundTripper].
func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body.Close()
	}
	f.mu.Lock()
	f.seen = append(f.seen, sent{r.Method, r.URL.Host, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Clone(),
		string(body)})
	n := len(f.seen)
	f.mu.Unlock()
	resp, err := f.answer(n, r)
	if resp != nil {
		resp.Request = r
	}
	return resp, err
}

func (f *fake) requests() []sent {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]sent(nil), f.seen...)
}

// answered makes an answer; pairs are names and values of its header.
func answered(status int, body string, pairs ...string) *http.Response {
	resp := &http.Response{
		Status:        http.StatusText(status),
		StatusCode:    status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)),
	}
	for i := 0; i < len(pairs); i += 2 {
		resp.Header.Set(pairs[i], pairs[i+1])
	}
	return resp
}

// always answers every request alike.
func always(status int, body string, pairs ...string) *fake {
	return &fake{answer: func(int, *http.Request) (*http.Response, error) { return answered(status, body, pairs...), nil }}
}

// inTurn answers the first request with the first answer, and so on; the last
// one stays.
func inTurn(answers ...*http.Response) *fake {
	var mu sync.Mutex
	bodies := make([][]byte, len(answers))
	for i, a := range answers {
		bodies[i], _ = io.ReadAll(a.Body)
	}
	return &fake{answer: func(n int, _ *http.Request) (*http.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		i := min(n, len(answers)) - 1
		resp := *answers[i]
		resp.Header = resp.Header.Clone()
		resp.Body = io.NopCloser(bytes.NewReader(bodies[i]))
		return &resp, nil
	}}
}

// clientOn returns a client that sends through a transport.
func clientOn(t testing.TB, rt http.RoundTripper, opts ...Option) *Client {
	t.Helper()
	opts = append([]Option{
		WithAPIKey(NewSecret(testKey)), WithBaseURL("https://api.example.test"), WithHTTPClient(&http.Client{Transport: rt}),
	}, opts...)
	c, err := New(opts...)
	require.NoError(t, err)
	return c
}

// refusalBody is an error as the server writes it.
func refusalBody(code, class string) string {
	return `{"error":"no","code":"` + code + `","reasonClass":"` + class + `"}`
}
