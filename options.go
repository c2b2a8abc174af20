package bctrl

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-cleanhttp"

	"github.com/bctrl-go/bctrl/internal/httpconn"
)

const (
	defaultBaseURL   = "https://api.bctrl.ai"
	defaultTimeout   = time.Minute
	defaultRetries   = 2
	maxRetries       = 20
	defaultRetryMin  = 250 * time.Millisecond
	defaultRetryMax  = 2 * time.Second
	connectionsAHost = 64 // idle ones that are kept: a caller that runs 64 calls at a time reconnects for none
)

// Option sets up a [Client] in [New].
type Option func(*config)

// config is what options write to.
type config struct {
	key         Secret
	baseURL     string
	httpClient  *http.Client
	retries     int
	retryMin    time.Duration
	retryMax    time.Duration
	timeout     time.Duration
	logger      *slog.Logger
	hook        Hook
	application string
	insecure    bool
}

func defaults() config {
	return config{
		key:      NewSecret(os.Getenv("BCTRL_API_KEY")),
		baseURL:  cmp.Or(os.Getenv("BCTRL_BASE_URL"), defaultBaseURL),
		retries:  defaultRetries,
		retryMin: defaultRetryMin,
		retryMax: defaultRetryMax,
		timeout:  defaultTimeout,
	}
}

// WithAPIKey sets the key that identifies the caller: an organization key or a
// runtime token.
func WithAPIKey(key Secret) Option { return func(c *config) { c.key = key } }

// WithBaseURL sets where the server is: "https://api.bctrl.ai", or for
// instance "http://127.0.0.1:8787". A path in it is put before every route's.
func WithBaseURL(base string) Option { return func(c *config) { c.baseURL = base } }

// WithHTTPClient sends through a copy of hc, with its Transport, Jar and
// Timeout, but never its redirect policy: redirects are not followed.
func WithHTTPClient(hc *http.Client) Option { return func(c *config) { c.httpClient = hc } }

// WithMaxRetries sets how often a failed call is sent again: 0 to 20, 2 unless
// set.
func WithMaxRetries(n int) Option { return func(c *config) { c.retries = n } }

// WithRetryWait bounds the wait before a retry: at random up to min before the
// first, doubling with each one up to max. 250 ms and 2 s unless set.
func WithRetryWait(min, max time.Duration) Option {
	return func(c *config) { c.retryMin, c.retryMax = min, max }
}

// WithTimeout bounds each call, its retries included: a minute unless set,
// zero for no bound but the context's. Uploads, downloads, streams, agent calls,
// calls to providers, and waiting for operations, for events and for a browser that
// starts are not bounded by it; see [WithCallTimeout].
func WithTimeout(d time.Duration) Option { return func(c *config) { c.timeout = d } }

// WithLogger logs each attempt at debug level: method, path template, status
// and duration; no header, query, body or path variable.
func WithLogger(l *slog.Logger) Option { return func(c *config) { c.logger = l } }

// WithHook calls h after each attempt, for metrics and traces.
func WithHook(h Hook) Option { return func(c *config) { c.hook = h } }

// WithApplication adds "name/version" to the User-Agent.
func WithApplication(name, version string) Option {
	return func(c *config) { c.application = name + "/" + version }
}

// WithInsecureHTTP allows a base URL with http to a host other than this one.
// The API key then crosses the network in clear text.
func WithInsecureHTTP() Option { return func(c *config) { c.insecure = true } }

// transport checks everything and builds the way out.
func (c *config) transport() (*transport, error) {
	var found refusals
	wrong := found.add
	switch {
	case c.key.IsZero():
		wrong("APIKey", "client.api_key_missing", "there is no API key", "set BCTRL_API_KEY or use WithAPIKey")
	case !printable(c.key.Expose()):
		wrong("APIKey", "client.invalid_api_key", "the API key holds a space, a control or a non-ASCII character", "")
	}
	base := found.parseBase(c.baseURL, c.insecure)
	if c.retries < 0 || c.retries > maxRetries {
		wrong("MaxRetries", "client.invalid_retries", "want 0 to 20 retries", "")
	}
	if c.retryMin < 0 || c.retryMax < c.retryMin {
		wrong("RetryWait", "client.invalid_retry_wait", "want 0 <= min <= max", "")
	}
	if c.timeout < 0 {
		wrong("Timeout", "client.invalid_timeout", "the timeout is negative", "zero is no timeout")
	}
	if c.application != "" && (!printable(c.application) || strings.HasPrefix(c.application, "/") ||
		strings.HasSuffix(c.application, "/")) {
		wrong("Application", "client.invalid_application", "want a name and a version of printable ASCII without spaces", "")
	}
	if len(found) > 0 {
		return nil, errors.Join(found...)
	}
	return newTransport(c, base), nil
}

// refusals collects what is wrong with the options of a client, each an
// [*Error].
type refusals []error

func (r *refusals) add(field, code, message, hint string) {
	*r = append(*r, refusal(http.StatusBadRequest, code, field, message).hinted(hint))
}

// printable reports whether s is visible ASCII, fit for a header.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != ""
}

// parseBase checks a base URL. What it refuses does not repeat it: it may hold a
// password where none belongs.
func (r *refusals) parseBase(raw string, insecure bool) *url.URL {
	wrong := func(code, message, hint string) { r.add("BaseURL", code, message, hint) }
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Hostname() == "" {
		wrong("client.invalid_base_url", "the base URL is not https://host", "for example "+defaultBaseURL)
		return nil
	}
	switch {
	case u.Scheme == "https", u.Scheme == "http" && (insecure || loopback(u.Hostname())):
	case u.Scheme == "http":
		wrong("client.insecure_base_url", "the API key would cross the network in clear text",
			"use https, or WithInsecureHTTP")
	default:
		wrong("client.invalid_base_url", "the base URL is neither https nor http", "")
	}
	if u.User != nil {
		wrong("client.invalid_base_url", "the base URL holds user information", "use WithAPIKey")
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		wrong("client.invalid_base_url", "the base URL holds a query or a fragment", "")
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	if u.RawPath != "" || u.Path != "" && unsafeSegments(u.Path[1:]) {
		wrong("client.invalid_base_url",
			"the path of the base URL holds an escape, a dot segment or an empty one", "")
	}
	if strings.HasSuffix(u.Path, "/v1") {
		wrong("client.invalid_base_url",
			"the base URL ends in /v1, which every route begins with", "leave /v1 out")
	}
	return u
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// pooled is the http.Client used when none is given. Compression is off, so
// that a length is a length and no answer unpacks to more than was sent; what a
// server sends unasked is not written into the process's log.
func pooled() *http.Client {
	t := cleanhttp.DefaultPooledTransport()
	t.MaxIdleConnsPerHost = connectionsAHost
	return &http.Client{Transport: httpconn.New(t)}
}
