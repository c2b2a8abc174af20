package httpconn

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// A proxy may take maxConnect to open a tunnel, and say so in maxConnectAnswer
// bytes.
const (
	maxConnect       = time.Minute
	maxConnectAnswer = 64 << 10
)

// ErrProxy: a proxy opens no tunnel.
var ErrProxy = errors.New("the proxy opens no connection to the server")

// viaSocks marks, in a context, a request whose connection begins with words to
// a SOCKS proxy, and maybe with TLS that net/http puts into it.
type viaSocks struct{}

// tunnels reports whether this package asks a proxy itself for a tunnel, so
// that the connection inside is one of its own.
func tunnels(proxy *url.URL) bool { return proxy.Scheme == "http" || proxy.Scheme == "https" }

// proxyOfOthers is which proxy net/http asks: none where we do.
func (d *dialing) proxyOfOthers(req *http.Request) (*url.URL, error) {
	via, err := d.proxy(req)
	if err == nil && via != nil && req.URL.Scheme == "https" && tunnels(via) {
		return nil, nil //nolint:nilnil // as http.Transport.Proxy has it
	}
	return via, err
}

// reach dials an address for https, through a proxy where one is to be taken.
func (d *dialing) reach(ctx context.Context, network, address string) (net.Conn, error) {
	if d.proxy == nil {
		return d.dial(ctx, network, address)
	}
	via, err := d.proxy(&http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "https", Host: address},
		Header: http.Header{}})
	if err != nil {
		return nil, err
	}
	if via == nil || !tunnels(via) {
		return d.dial(ctx, network, address)
	}
	port := via.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[via.Scheme]
	}
	c, err := d.dial(ctx, network, net.JoinHostPort(via.Hostname(), port))
	if err != nil {
		return nil, err
	}
	if via.Scheme == "https" {
		if c, err = d.handshakeWith(ctx, c, via.Hostname(), []string{"http/1.1"}); err != nil {
			return nil, err
		}
	}
	if err := connect(ctx, c, via, address); err != nil {
		_ = c.Close() // it is of no use
		return nil, err
	}
	return c, nil
}

// connect asks a proxy for a tunnel (RFC 9110 §9.3.6). Nothing follows its
// answer before we speak TLS, so none of it is lost in the reader.
func connect(ctx context.Context, c net.Conn, via *url.URL, address string) error {
	req := &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Opaque: address},
		Host:   address,
		Header: http.Header{},
	}
	if u := via.User; u != nil {
		password, _ := u.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	ctx, cancel := context.WithTimeout(ctx, maxConnect)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) }) // what waits ends
	err := req.Write(c)
	var resp *http.Response
	if err == nil {
		resp, err = http.ReadResponse(bufio.NewReader(io.LimitReader(c, maxConnectAnswer)),
			req) //nolint:bodyclose // what follows is the tunnel
	}
	switch {
	case !stop():
		return context.Cause(ctx)
	case err != nil || resp.StatusCode != http.StatusOK:
		return ErrProxy // what the proxy wrote is not repeated
	}
	return nil
}
