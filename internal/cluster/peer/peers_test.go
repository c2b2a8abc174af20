package peer

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/cluster"
)

// TestARequestIsPassedOnAsItCame looks at what the owner sees, and at what the client gets.
func TestARequestIsPassedOnAsItCame(t *testing.T) {
	owner, here := newNode(t, 1, nil), newNode(t, 1, nil)
	var saw *http.Request
	owner.answer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		saw = r.Clone(context.Background())
		if !owner.Passed(r) {
			t.Error("it is not known that a node passed it on")
		}
		w.Header().Set("X-Request-Id", "one")
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "not really")
	}))
	front := here.front(t, func() cluster.Node { return owner.at })
	rq, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, front.URL+"/v1/a%2Fb/%41?q=1&q=%zz&;", nil)
	require.NoError(t, err)
	rq.Host = "api.example.com"
	for name, value := range map[string]string{
		"Authorization": "Bearer key", "X-Request-Id": "one", "X-Forwarded-For": "1.2.3.4", "Accept-Encoding": "br",
		"Idempotency-Key": "twice",
		headerAddress:     "9.9.9.9:9", headerScheme: "https", headerPrefix + "Other": "forged", "Te": "trailers",
	} {
		rq.Header.Set(name, value)
	}
	res, err := front.Client().Do(rq)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, "not really", string(body))
	require.Equal(t, http.StatusTeapot, res.StatusCode)
	require.Equal(t, []string{"one"}, res.Header.Values("X-Request-Id"))
	require.Equal(t, "gzip", res.Header.Get("Content-Encoding"))

	require.Equal(t, http.MethodPatch, saw.Method)
	require.Equal(t, "/v1/a%2Fb/%41?q=1&q=%zz&;", saw.RequestURI)
	require.Equal(t, "api.example.com", saw.Host)
	require.Nil(t, saw.TLS, "it came without to the other node")
	require.Equal(t, "Bearer key", saw.Header.Get("Authorization"))
	require.Equal(t, "1.2.3.4", saw.Header.Get("X-Forwarded-For"))
	require.Equal(t, "twice", saw.Header.Get("Idempotency-Key"))
	require.Equal(t, "br", saw.Header.Get("Accept-Encoding"))
	host, _, err := net.SplitHostPort(saw.RemoteAddr)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", host, "the client's, not what it says of itself")
	for name := range saw.Header {
		require.False(t, isPassed(name), "%s came in from outside", name)
	}
}

func TestABodyIsPassedOnInBothDirectionsWhileItComes(t *testing.T) {
	owner, here := newNode(t, 1, nil), newNode(t, 1, nil)
	owner.answer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn := http.NewResponseController(w)
		_ = conn.EnableFullDuplex()
		lines := bufio.NewScanner(r.Body)
		w.WriteHeader(http.StatusOK)
		_ = conn.Flush()
		for lines.Scan() {
			_, _ = io.WriteString(w, strings.ToUpper(lines.Text())+"\n")
			_ = conn.Flush()
		}
	}))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		if err := here.Pass(w, r, owner.at); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(srv.Close)
	out, in := io.Pipe()
	rq, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, out)
	require.NoError(t, err)
	res, err := srv.Client().Do(rq)
	require.NoError(t, err)
	defer res.Body.Close()
	answers := bufio.NewReader(res.Body)
	for _, word := range []string{"one", "two", "three"} {
		_, err := io.WriteString(in, word+"\n")
		require.NoError(t, err)
		line, err := answers.ReadString('\n') // before the next is sent
		require.NoError(t, err)
		require.Equal(t, strings.ToUpper(word)+"\n", line)
	}
	require.NoError(t, in.Close())
	_, err = answers.ReadByte()
	require.ErrorIs(t, err, io.EOF)
}

func TestAClientThatLeavesEndsTheWorkAtTheOwner(t *testing.T) {
	owner, here := newNode(t, 1, nil), newNode(t, 1, nil)
	began, ended := make(chan struct{}), make(chan struct{})
	owner.answer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(ended)
	}))
	front := here.front(t, func() cluster.Node { return owner.at })
	ctx, leave := context.WithCancel(t.Context())
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, front.URL, nil)
	require.NoError(t, err)
	go func() { <-began; leave() }()
	res, err := front.Client().Do(rq)
	if err == nil {
		_ = res.Body.Close()
	}
	require.ErrorIs(t, err, context.Canceled)
	<-ended
}

// TestANodeThatIsGoneIsToldOf has an owner that lives no more, while its connection stands:
// before it has answered, and after it began to.
func TestANodeThatIsGoneIsToldOf(t *testing.T) {
	owner, here := newNode(t, 1, nil), newNode(t, 1, nil)
	work, ends := make(chan struct{}), make(chan struct{})
	defer close(ends)
	owner.answer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			_ = http.NewResponseController(w).Flush()
		}
		work <- struct{}{}
		select { // it hears of nothing
		case <-ends:
		case <-r.Context().Done():
		}
	}))
	live := []cluster.Node{owner.at}
	here.member.live.Store(&live)
	front := here.front(t, func() cluster.Node { return owner.at })
	get := func(path string) (*http.Response, error) {
		rq, err := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL+path, nil)
		require.NoError(t, err)
		return front.Client().Do(rq)
	}
	go func() {
		<-work
		here.endOfDead(context.Background()) // which does not touch the living
		here.member.live.Store(&[]cluster.Node{})
		here.endOfDead(context.Background())
	}()
	res, err := get("/")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)

	here.member.live.Store(&live)
	res, err = get("/stream")
	require.NoError(t, err)
	defer res.Body.Close()
	<-work
	here.member.live.Store(&[]cluster.Node{})
	here.endOfDead(context.Background())
	_, err = io.ReadAll(res.Body)
	require.Error(t, err, "it breaks off, and does not end as if it were whole")
}

// TestANodeThatLivesAndCannotBeReachedIsToldOf has the network to an owner go away, with all
// connections left as they are, while it works on something. What that takes is in watch_test.go, by a
// clock that waits for no processor.
func TestANodeThatLivesAndCannotBeReachedIsToldOf(t *testing.T) {
	owner, here := newNode(t, 1, nil), newNode(t, 1, nil)
	work := make(chan struct{}, 1)
	owner.answer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		work <- struct{}{}
		<-r.Context().Done()
	}))
	link := newNetwork(t, owner.at.Address)
	at := owner.at
	at.Address = link.listener.Addr().String()
	here.member.live.Store(&[]cluster.Node{at})
	failed := make(chan error, 1)
	go func() {
		rq := httptest.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, "/", nil)
		failed <- here.Pass(httptest.NewRecorder(), rq, at)
	}()
	<-work
	here.endOfSilent(t.Context())
	select {
	case err := <-failed:
		t.Fatal("it can be reached", err)
	default:
	}
	link.stop()
	err := <-failed
	require.ErrorIs(t, err, ErrLost)
	var machines *net.OpError
	require.NotErrorAs(t, err, &machines, "not when the machine gives the connection up")

	err = here.Pass(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), at)
	require.ErrorIs(t, err, ErrLost)
	require.NotErrorAs(t, err, &machines, "nor is a new connection waited for until then")
	link.goOn()
}

// TestANodeThatLosesItsLeasePassesNothingOnAnyMore ends what others work on for it.
func TestANodeThatLosesItsLeasePassesNothingOnAnyMore(t *testing.T) {
	owner, here := newNode(t, 1, nil), newNode(t, 1, nil)
	work := make(chan struct{}, 1)
	owner.answer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		work <- struct{}{}
		<-r.Context().Done()
	}))
	go func() { <-work; here.EndAll(cluster.ErrLeaseLost) }()
	rq := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	err := here.Pass(httptest.NewRecorder(), rq, owner.at)
	require.ErrorIs(t, err, cluster.ErrLeaseLost)
}

// TestAnOwnerThatEndsInTheMiddleIsNotAskedAgain counts how often it was asked, over a
// connection that has been used before.
func TestAnOwnerThatEndsInTheMiddleIsNotAskedAgain(t *testing.T) {
	owner, here := newNode(t, 1, nil), newNode(t, 1, nil)
	asked := map[string]int{}
	owner.answer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked[r.URL.Path]++
		if r.URL.Path == "/dies" {
			panic(http.ErrAbortHandler)
		}
	}))
	for _, c := range []struct{ method, body, key string }{
		{http.MethodPost, "{}", ""},
		{http.MethodPost, "{}", "a key"},
		{http.MethodPost, "", "a key"},
		{http.MethodDelete, "", "a key"},
		{http.MethodGet, "", ""},
	} {
		for _, path := range []string{"/lives", "/dies"} {
			asked = map[string]int{}
			rq := httptest.NewRequestWithContext(t.Context(), c.method, path, strings.NewReader(c.body))
			if c.key != "" {
				rq.Header.Set("Idempotency-Key", c.key)
			}
			err := here.Pass(httptest.NewRecorder(), rq, owner.at)
			require.Equal(t, path == "/dies", errors.Is(err, ErrLost), "%s %v", path, err)
			require.Equal(t, map[string]int{path: 1}, asked, c)
		}
	}
}

func TestNobodyIsAPeerOnAListenerThatIsNotTheirs(t *testing.T) {
	here := newNode(t, 1, nil)
	srv := httptest.NewServer(here.Receive(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("it came through")
	})))
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	require.NoError(t, err)
	rq := &http.Request{Method: http.MethodGet, URL: u, Header: http.Header{headerScheme: {"https"}}}
	res, err := srv.Client().Do(rq.WithContext(t.Context()))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusForbidden, res.StatusCode)
}
