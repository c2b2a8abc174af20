package browser

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
)

// fakeWebDriver makes one session and answers every command of it with null.
type fakeWebDriver struct {
	once sync.Once
	done chan struct{}
}

func (b *fakeBrowser) OpenWebDriver(ctx context.Context, _ ClientRights) (WebDriver, error) {
	return &fakeWebDriver{done: make(chan struct{})}, b.alive(ctx)
}

// CheckWebDriver finds that a fake needs nothing.
func (f *Fake) CheckWebDriver() error { return nil }

func (d *fakeWebDriver) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	answer := `{"value":null}`
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/session") {
		answer = `{"value":{"sessionId":"fake","capabilities":{"browserName":"fake"}}}`
	}
	return &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{"Content-Type": {"application/json"}},
		Body:       io.NopCloser(bytes.NewReader([]byte(answer))),
		Request:    r,
	}, nil
}

func (d *fakeWebDriver) AddFile(name string, _ io.Reader) (string, error) {
	return "/fake/" + name, nil
}

func (d *fakeWebDriver) Browser() (string, []string) { return "fake", nil }

func (d *fakeWebDriver) Done() <-chan struct{} { return d.done }

func (d *fakeWebDriver) Close() error {
	d.once.Do(func() { close(d.done) })
	return nil
}
