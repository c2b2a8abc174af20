package bctrl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-retryablehttp"

	"github.com/bctrl-go/bctrl/internal/wire"
)

const (
	// maxAnswer bounds a JSON answer, maxErrorAnswer the body of a refusal.
	maxAnswer      = 10 << 20
	maxErrorAnswer = 256 << 10
)

// transport builds, sends, retries and decodes the calls of a client. All that
// it sends leaves through out.
type transport struct {
	base     *url.URL
	out      *wayOut
	client   http.Client // which sends through out
	idle     func()
	retries  int
	retryMin time.Duration
	retryMax time.Duration
	timeout  time.Duration

	// The values of headers that never change, shared by all requests.
	authorization, userAgent, version, json []string
	// subaccount is the one that the client acts for; nil for none.
	subaccount []string
}

func newTransport(c *config, base *url.URL) *transport {
	hc := c.httpClient
	if hc == nil {
		hc = pooled()
	}
	t := &transport{
		base:          base,
		client:        *hc,
		idle:          hc.CloseIdleConnections,
		retries:       c.retries,
		retryMin:      c.retryMin,
		retryMax:      c.retryMax,
		timeout:       c.timeout,
		authorization: []string{"Bearer " + c.key.Expose()},
		userAgent:     []string{"bctrl-go/" + Version},
		version:       []string{Version},
		json:          []string{"application/json"},
	}
	if c.application != "" {
		t.userAgent[0] += " " + c.application
	}
	next := hc.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	t.out = &wayOut{next: next, hook: c.hook, logger: c.logger}
	t.client.Transport = t.out
	t.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return t
}

func (t *transport) closeIdle() { t.idle() }

// exchange is one call on its way: what its attempts share.
type exchange struct {
	t        *transport
	r        *request
	settings callSettings
	sender   retryablehttp.Client
	req      retryablehttp.Request
	// requestID is ours until the server gives one.
	requestID string
	attempts  int
	answer    []byte
	header    http.Header
	status    int
}

// call sends a request whose answer is JSON and decodes it.
func (t *transport) call(ctx context.Context, r *request) error {
	_, err := t.callHeader(ctx, r)
	return err
}

// callHeader is call for those who need the answer's header too.
func (t *transport) callHeader(ctx context.Context, r *request) (http.Header, error) {
	x := exchange{t: t, r: r}
	defer x.captured()
	if err := x.prepare(); err != nil {
		return nil, err
	}
	if limit := x.limit(); limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	resp, err := x.send(ctx, x.read)
	if err != nil {
		return nil, err
	}
	resp.Body.Close() // read to its end already
	if r.out == nil {
		return resp.Header, nil
	}
	if err := decode(x.answer, r.out); err != nil {
		return nil, x.fail(errNotAsExpected())
	}
	return resp.Header, nil
}

// said returns the one text that was asked for, which no answer of ours leaves out.
func (r *request) said(text string, err error) (string, error) {
	if err == nil && text == "" {
		err = (&exchange{r: r}).fail(errNotAsExpected())
	}
	return text, err
}

func errNotAsExpected() *Error {
	return &Error{Status: http.StatusBadGateway, Code: "transport.bad_answer",
		Message: "the answer is not the JSON that was expected"}
}

// decode reads an answer into out, which may know how to do so faster.
func decode(answer []byte, out any) error {
	if list, ok := out.(interface{ Decode(data []byte) error }); ok {
		return list.Decode(answer)
	}
	return json.Unmarshal(answer, out)
}

// open sends a request whose answer is a stream. The caller closes its body.
func (t *transport) open(ctx context.Context, r *request) (*http.Response, error) {
	x := exchange{t: t, r: r}
	defer x.captured()
	if err := x.prepare(); err != nil {
		return nil, err
	}
	return x.send(ctx, nil)
}

// prepare applies the options, and refuses what no server needs to see.
func (x *exchange) prepare() error {
	for _, o := range x.r.opts {
		o.apply(&x.settings)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return x.fail(&Error{Code: "client.no_randomness", Message: "there are no random bytes for a request id", cause: err})
	}
	x.requestID = id.String()
	if err := x.t.checkSubaccount(); err != nil {
		return x.fail(err)
	}
	if x.settings.timeout < 0 {
		return x.fail(refusal(http.StatusBadRequest, "request.invalid_timeout", "", "the timeout of the call is negative").
			hinted("zero is no timeout"))
	}
	switch key := x.settings.idempotencyKey; {
	case !x.r.mutates(), x.r.once && !x.settings.hasKey:
		x.settings.idempotencyKey = ""
	case !x.settings.hasKey:
		x.settings.idempotencyKey = x.requestID // one id a call is enough
	case !printable(key) || len(key) > 200:
		return x.fail(refusal(http.StatusBadRequest, "request.idempotency_key", wire.HeaderIdempotencyKey,
			"want 1 to 200 visible ASCII characters"))
	}
	return nil
}

// limit is how long the call may take; zero is no limit of ours.
func (x *exchange) limit() time.Duration {
	switch {
	case x.settings.hasTimeout:
		return x.settings.timeout
	case x.r.slow:
		return 0
	}
	return x.t.timeout
}

// send builds the request and sends it until it is answered for good. Read, if
// any, consumes a successful answer inside the retries, so that an answer that
// breaks off is asked for again.
func (x *exchange) send(ctx context.Context, read retryablehttp.ResponseHandlerFunc) (*http.Response, error) {
	if err := x.build(ctx); err != nil {
		return nil, err
	}
	x.req.SetResponseHandler(read)
	x.sender = retryablehttp.Client{
		HTTPClient:   &x.t.client,
		RetryMax:     x.t.retries,
		CheckRetry:   x.shouldRetry,
		Backoff:      chosen,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	resp, err := x.sender.Do(&x.req)
	if resp != nil {
		x.noted(resp)
	}
	if err != nil {
		if resp != nil {
			resp.Body.Close()
		}
		return nil, x.unanswered(ctx, err)
	}
	if !succeeded(resp) {
		defer resp.Body.Close()
		return nil, x.refused(resp)
	}
	return resp, nil
}

// build makes the request that every attempt sends.
func (x *exchange) build(ctx context.Context) error {
	hr, err := http.NewRequestWithContext(context.WithValue(ctx, exchangeKey{}, x), x.r.method, "", nil)
	if err != nil {
		return x.fail(refusal(http.StatusBadRequest, "request.invalid", "", "the request cannot be built"))
	}
	if err := locate(hr.URL, x.t.base, x.r.path, x.r.params); err != nil {
		return x.fail(err)
	}
	hr.Host = hr.URL.Host
	query := x.r.query
	if len(x.settings.query) > 0 {
		query = maps.Clone(query)
		if query == nil {
			query = url.Values{}
		}
		maps.Copy(query, x.settings.query)
	}
	if err := keptInAddress(query, x.r.header); err != nil {
		return x.fail(err)
	}
	hr.URL.RawQuery = query.Encode()
	x.req.Request = hr
	switch {
	case x.r.body != nil:
		return x.attach(x.r.body.Size, x.r.body.Rereadable(), func() (io.Reader, error) { return x.r.body.Reading(ctx) })
	case x.r.in != nil:
		body, err := encode("", x.r.in)
		if err != nil {
			return x.fail(err)
		}
		return x.attach(int64(len(body)), true, func() (io.Reader, error) { return bytes.NewReader(body), nil })
	}
	return nil
}

// attach sets the body, which each attempt reads anew. Net/http may start a
// reading of its own only where readings do not disturb each other.
func (x *exchange) attach(size int64, apart bool, reading func() (io.Reader, error)) error {
	asked := false
	err := x.req.SetBody(retryablehttp.ReaderFunc(func() (io.Reader, error) {
		if !asked { // SetBody wants to learn the length, which is known
			asked = true
			return http.NoBody, nil
		}
		return reading()
	}))
	if err != nil {
		return x.fail(err)
	}
	x.req.ContentLength = size
	if !apart {
		x.req.GetBody = nil
	}
	return nil
}

func succeeded(resp *http.Response) bool { return resp.StatusCode >= 200 && resp.StatusCode <= 299 }

// read consumes a successful answer, up to its bound.
func (x *exchange) read(resp *http.Response) error {
	if !succeeded(resp) {
		return nil // refused reads it
	}
	defer resp.Body.Close()
	if x.r.method == http.MethodHead {
		return nil // its length is that of a body that does not follow
	}
	body, err := readBounded(resp.Body, resp.ContentLength, x.r.longest())
	x.answer = body
	return err
}

// errTooLong is a final answer, not a broken one: asking again gives the same.
var errTooLong = errors.New("the answer is too long")

// readBounded reads r to its end, holding at most max bytes. The length is -1
// when it is not known; a large one is believed with eight times the memory of what has come.
func readBounded(r io.Reader, length int64, max int) ([]byte, error) {
	switch {
	case length > int64(max):
		return nil, errTooLong
	case length >= 0:
		return readLength(r, int(length))
	}
	var buf bytes.Buffer
	if _, err := buf.ReadFrom(io.LimitReader(r, int64(max)+1)); err != nil {
		return nil, err
	}
	if buf.Len() > max {
		return nil, errTooLong
	}
	return buf.Bytes(), nil
}

// readLength reads r, whose length is known, to its end.
func readLength(r io.Reader, length int) ([]byte, error) {
	buf := make([]byte, 0, min(length, 64<<10)+1) // one more, so that r gets to say how it ends
	for {
		n, err := io.ReadFull(r, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > length:
			return nil, errTooLong
		case len(buf) == length && (err == io.EOF || err == io.ErrUnexpectedEOF):
			return buf, nil
		case err != nil:
			return nil, err
		}
		buf = append(make([]byte, 0, min(length, 8*len(buf))+1), buf...)
	}
}

// ptr returns out, or nothing when the call that filled it failed.
func ptr[T any](out *T, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	return out, nil
}
