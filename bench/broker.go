package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/daemon"
	"github.com/bctrl-go/bctrl/internal/standin"
)

// In the environment these make this program what calls to a provider go
// through: serveBroker the server, over the directory that it names, serveProxy
// a plain reverse proxy. Each has a provider of its own in it, over TLS.
const (
	serveBroker = "BCTRL_BENCH_BROKER"
	serveProxy  = "BCTRL_BENCH_PROXY"

	providerHost = "api.acme.example"
	providerKey  = "acme-key-0123456789abcdefghijklmnop"
)

// provider answers like the API of a small thing, and of a large one.
func provider() http.Handler {
	small := []byte(`{"object":"thing","text":"` + string(bytes.Repeat([]byte("lorem ipsum "), 80)) + `"}`)
	large := bytes.Repeat(small, 1<<20/len(small))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // who breaks off gets no answer
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Header.Get("X-Acme") != providerKey:
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == http.MethodGet:
			_, _ = w.Write(large)
		default:
			_, _ = w.Write(small)
		}
	})
}

// runBroker is the server's process. It prints its key and its address, and
// ends with ctx.
func runBroker(ctx context.Context, dir string) (err error) {
	in, err := standin.New()
	if err != nil {
		return err
	}
	defer in.Close()
	if err := in.Serve(providerHost, provider()); err != nil {
		return err
	}
	endProfile, err := keepProfiles("broker")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, endProfile()) }()
	d, err := daemon.Open(ctx, daemon.Config{
		DataDir:         filepath.Join(dir, "data"),
		KeyFile:         filepath.Join(dir, "key"),
		Browsers:        &browser.Fake{},
		ProviderRoots:   in.Roots(),
		ProviderInstead: in.Instead,
	})
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, d.Close())
	}
	fmt.Println("export BCTRL_API_KEY=" + d.FirstKey.Expose())
	fmt.Println("Listening on http://" + l.Addr().String())
	return errors.Join(d.Serve(ctx, l), d.Close())
}

// runProxy is the process of a reverse proxy that adds the key, and neither
// checks nor records anything.
func runProxy(ctx context.Context) (err error) {
	in, err := standin.New()
	if err != nil {
		return err
	}
	defer in.Close()
	if err := in.Serve(providerHost, provider()); err != nil {
		return err
	}
	endProfile, err := keepProfiles("proxy")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, endProfile()) }()
	to := &url.URL{Scheme: "https", Host: providerHost}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Header.Del("Authorization")
			r.Out.Header.Set("X-Acme", providerKey)
		},
		FlushInterval: -1,
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{RootCAs: in.Roots(), MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: 64,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if instead, ok := in.Instead(address); ok {
					address = instead
				}
				return new(net.Dialer).DialContext(ctx, network, address)
			},
		},
	}
	return serveAlone(ctx, proxy)
}

// startSelf starts this program as something else.
func startSelf(ctx context.Context, env ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), env...)
	return start(cmd)
}

// broker compares calls to a provider through the server with the same calls
// through a plain reverse proxy.
func (p plan) broker(ctx context.Context, w io.Writer) error {
	costs := func(c *bctrl.Client, ours, theirs *plainClient) []comparison {
		return slices.DeleteFunc(brokerCosts(c, ours, theirs), func(cost comparison) bool {
			return !p.only.MatchString("broker: " + cost.name)
		})
	}
	if len(costs(nil, nil, nil)) == 0 {
		return nil
	}
	dir := filepath.Join(p.dir, "broker")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	server, err := startSelf(ctx, serveBroker+"="+dir, profilesOf+"="+p.profiles)
	if err != nil {
		return err
	}
	defer server.stop()
	proxy, err := startSelf(ctx, serveProxy+"=1", profilesOf+"="+p.profiles)
	if err != nil {
		return err
	}
	defer proxy.stop()
	c, err := newClient(server.url, server.key)
	if err != nil {
		return err
	}
	defer c.CloseIdleConnections()
	if err := prepareBroker(ctx, c); err != nil {
		return err
	}
	t := newTable(w, "Calls to a provider over TLS, a second; times, and what the processors of server and provider "+
		"spent on a call, in microseconds",
		"", "callers", "through the broker", "p50", "p99", "cpu", "reverse proxy", "p50", "p99", "cpu", "ratio")
	defer t.end()
	ours, theirs := newPlainClient(server.url), newPlainClient(proxy.url)
	ours.key = server.key
	for _, cost := range costs(c, ours, theirs) {
		for _, callers := range p.callers {
			our, their, err := p.compare(ctx, callers, side{cost.ours, server}, side{cost.theirs, proxy})
			if err != nil {
				return fmt.Errorf("%s: %w", cost.name, err)
			}
			t.row(cost.name, fmt.Sprint(callers), rate(our.rate), micros(our.p50), micros(our.p99), micros(our.serverCPU()),
				rate(their.rate), micros(their.p50), micros(their.p99), micros(their.serverCPU()), ratio(our.rate/their.rate))
		}
	}
	return nil
}

func prepareBroker(ctx context.Context, c *bctrl.Client) error {
	secret, err := c.Secrets.Create(ctx, bctrl.SecretCreate{
		Name:  "ACME_KEY",
		Value: bctrl.NewSecret(providerKey),
		Scope: bctrl.Global(),
	})
	if err != nil {
		return err
	}
	_, err = c.Credentials.Create(ctx, bctrl.CredentialCreate{
		ID:        "acme",
		Provider:  "acme",
		SecretRef: "vault:secret:" + secret.ID,
		Scope:     bctrl.Global(),
		Hosts:     []string{providerHost},
		Auth:      &bctrl.CredentialAuth{Type: bctrl.AuthHeader, Headers: map[string]string{"X-Acme": "{secret}"}},
	})
	if err != nil {
		return err
	}
	_, err = c.Capabilities.Create(ctx, bctrl.CapabilityCreate{
		ID:      "acme/things",
		Methods: []string{http.MethodGet, http.MethodPost},
		Paths:   []string{"/v1/things"},
	})
	return err
}

// brokerCosts are the ways through the server, each beside the way through the
// reverse proxy that does the same.
func brokerCosts(c *bctrl.Client, ours, theirs *plainClient) []comparison {
	question := map[string]any{"model": "m", "messages": []any{map[string]any{"role": "user", "content": "Who pays?"}}}
	through := func(client *plainClient, method string, in any, segments ...string) call {
		return func(ctx context.Context, _, _ int) error {
			var out struct{ Object string }
			if method == http.MethodGet {
				resp, err := client.send(ctx, method, nil, nil, false, segments...)
				if err != nil {
					return err
				}
				n, err := io.Copy(io.Discard, resp.Body)
				return full(errors.Join(err, resp.Body.Close()), n > 1<<19)
			}
			err := client.call(ctx, method, nil, in, &out, segments...)
			return full(err, out.Object == "thing")
		}
	}
	passed := []string{"proxy", "acme/things", "v1", "things"}
	return []comparison{
		{
			"invoke",
			func(ctx context.Context, _, _ int) error {
				answer, err := c.Capabilities.Invoke(ctx,
					bctrl.Invocation{Capability: "acme/things", Method: http.MethodPost, Body: question})
				return full(err, err == nil && answer.Status == http.StatusOK)
			},
			through(theirs, http.MethodPost, question, "things"),
		},
		{"passed through", through(ours, http.MethodPost, question, passed...),
			through(theirs, http.MethodPost, question, "things")},
		{"passed through, 1 MiB back", through(ours, http.MethodGet, nil, passed...),
			through(theirs, http.MethodGet, nil, "things")},
	}
}
