package runtimes

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/webdriver"
)

// maxWebDriverCommand bounds a command, in bytes: it may bring a file.
const maxWebDriverCommand = 32 << 20

// webDriverRoute takes all of WebDriver. The token is in the path, before what a client
// appends, since a base URL is all that every client takes: some drop what is before
// the host, and none sends a header of ours. It cannot be told from the path alone
// whether there is a session, so the token is asked for with every command.
func (s *Service) webDriverRoute() web.Route {
	route := web.Raw("ANY /v1/workspaces/{id}/runtimes/{alias}/webdriver/{token}/{command...}", access.Public,
		s.serveWebDriver)
	route.MaxBody = maxWebDriverCommand
	route.Refuse = refuseWebDriver
	return route
}

// webDriverURL is what clients are given as their base URL.
func webDriverURL(u *url.URL, workspace, alias, token string) *url.URL {
	return u.JoinPath("v1", "workspaces", workspace, "runtimes", alias, "webdriver", token)
}

// commandOf returns what a client has appended to its base URL, segment by segment and
// as it was escaped.
func commandOf(r *http.Request) []string {
	const before = 8 // "", v1, workspaces, {id}, runtimes, {alias}, webdriver, {token}
	return strings.Split(r.URL.EscapedPath(), "/")[before:]
}

// The refusals of WebDriver.
var (
	errSessionOpen = web.WithHint(
		web.Conflict("runtimes.webdriver_session_open", "the runtime has a WebDriver session, and can have one at a time"),
		"quit it first; where its client is gone, revoke its connect URL, or wait: it gives way after five minutes "+
			"without a command",
	)
	errNoSession = web.WithHint(
		web.NotFound("runtimes.webdriver_no_session",
			"there is no such session: it was quit, its last window was closed, it was idle and gave way, or its driver ended"),
		"make a new one",
	)
	errNoWebDriverCommand = web.WithHint(
		web.NotFound("runtimes.webdriver_command", "this is no command of WebDriver that is passed on"),
		"use those of WebDriver, or a command of DevTools",
	)
	errWebDriverEnded = web.BadGateway("runtimes.webdriver_failed",
		"chromedriver made no session: the server's log says more")
)

// refuseWebDriver answers as WebDriver has it.
func refuseWebDriver(w http.ResponseWriter, rq *web.Request, e *bctrl.Error) {
	name := webdriver.UnknownError
	command := commandOf(rq.Request)
	switch {
	case e.Status == http.StatusBadRequest:
		name = webdriver.InvalidArgument
	case len(command) == 1 && command[0] == "session":
		name = webdriver.NotCreated
	case e == errNoTicket, e == errNoSession:
		name = webdriver.InvalidSession
	case e == errNoWebDriverCommand:
		name = webdriver.UnknownCommand
	}
	status, body := webdriver.Refusal(name, e, rq.ID)
	answerWebDriver(w, status, body)
}

func answerWebDriver(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails where nobody reads it any more
}

// serveWebDriver passes one command of a WebDriver client on to the driver of its
// session. The token in the path is all the proof that there is.
func (s *Service) serveWebDriver(w http.ResponseWriter, rq *web.Request) error {
	opened, ok := s.connectURLs.open(rq.PathValue("token"), time.Now())
	if !ok {
		return errNoTicket
	}
	defer func() { s.connectURLs.leave(opened, time.Now()) }()
	lr, ok := s.startedRuntime(opened.runtime)
	if !ok {
		return errNoTicket
	}
	command := commandOf(rq.Request)
	switch {
	case len(command) == 1 && command[0] == "status" && rq.Method == http.MethodGet:
		body, err := webdriver.Status(!lr.driven.isTaken(time.Now()), "")
		if err != nil {
			return err
		}
		answerWebDriver(w, http.StatusOK, body)
		return nil
	case len(command) == 1 && command[0] == "session" && rq.Method == http.MethodPost:
		return s.newWebDriverSession(w, rq, lr, opened)
	case len(command) >= 2 && command[0] == "session":
		session, release := lr.driven.use(command[1], opened)
		if session == nil {
			return errNoSession
		}
		defer release()
		return session.serve(w, rq, command)
	}
	return errNoWebDriverCommand
}

// serve passes a command on, and ends the session with its last window.
func (d *driverSession) serve(w http.ResponseWriter, rq *web.Request, command []string) error {
	if !webdriver.Known(rq.Method, command[2:]) {
		return errNoWebDriverCommand
	}
	if rq.Method == http.MethodDelete && len(command) == 2 {
		d.quit(rq.Context())
		answerWebDriver(w, http.StatusOK, webdriver.Null())
		return nil
	}
	var body []byte
	if rq.Method == http.MethodPost {
		var err error
		if body, err = rq.ReadBody(); err != nil {
			return err
		}
	}
	if isFile(command) && rq.Method == http.MethodPost {
		return d.addFile(w, body)
	}
	status, answer, err := d.ask(rq.Context(), rq.Method, command, body)
	if err != nil {
		if d.life.Err() != nil {
			return errNoSession
		}
		return err
	}
	last := rq.Method == http.MethodDelete && len(command) == 3 && command[2] == "window" && webdriver.ClosedLast(answer)
	if last {
		d.quit(rq.Context())
	}
	answerWebDriver(w, status, answer)
	return nil
}

// isFile reports whether a command brings a file, which Selenium calls by two names.
func isFile(command []string) bool {
	what := command[2:]
	return slices.Equal(what, []string{"se", "file"}) || slices.Equal(what, []string{"file"})
}

// addFile keeps a file for the pages of the session. The driver is not told: it would
// keep it where nobody bounds it.
func (d *driverSession) addFile(w http.ResponseWriter, body []byte) error {
	file, err := webdriver.ReadFile(body)
	if err != nil {
		return err
	}
	defer file.Content.Close()
	path, err := d.driver.AddFile(file.Name, file.Content)
	if err != nil {
		return err
	}
	answer, err := webdriver.Text(path)
	if err != nil {
		return err
	}
	answerWebDriver(w, http.StatusOK, answer)
	return nil
}

// ask sends one command to the driver. It sees nothing of the client but that.
func (d *driverSession) ask(
	ctx context.Context, method string, command []string, body []byte,
) (status int, answer []byte, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.life, cancel)()
	to := (&url.URL{Scheme: "http", Host: "localhost"}).JoinPath(command...)
	r, err := http.NewRequestWithContext(ctx, method, to.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	rs, err := d.driver.RoundTrip(r)
	if err != nil {
		return 0, nil, err
	}
	defer rs.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(rs.Body, maxWebDriverAnswer))
	return rs.StatusCode, answer, err
}

// maxWebDriverAnswer bounds what a driver answers, in bytes: a picture of a very long
// page fits.
const maxWebDriverAnswer = 256 << 20

// newWebDriverSession makes the one session that a runtime can have at a time.
func (s *Service) newWebDriverSession(
	w http.ResponseWriter, rq *web.Request, lr *liveRuntime, opened *connectURL,
) error {
	if err := s.checkPathOf(rq, opened); err != nil {
		return err
	}
	body, err := rq.ReadBody()
	if err != nil {
		return err
	}
	// Refused before a driver is started for it.
	if _, err := webdriver.NewSession(body, webdriver.Browser{}); err != nil {
		return err
	}
	answer, err := s.openWebDriver(rq, lr, opened, body)
	if err != nil {
		return err
	}
	answerWebDriver(w, http.StatusOK, answer)
	return nil
}

// checkPathOf refuses a path that names another runtime than the token is for.
func (s *Service) checkPathOf(rq *web.Request, opened *connectURL) error {
	rt, err := s.DB.Read().Runtime(rq.Context(), opened.caller.Org, opened.runtime)
	if err != nil {
		return err
	}
	if rq.PathValue("id") != rt.WorkspaceID || rq.PathValue("alias") != rt.Alias {
		return errNoTicket
	}
	return nil
}

// openWebDriver starts a driver and makes a session of it, which then lives until it is
// quit, its driver or its runtime ends, or whoever asked for the URL no longer may.
func (s *Service) openWebDriver(
	rq *web.Request, lr *liveRuntime, opened *connectURL, body []byte,
) (answer []byte, err error) {
	ctx := rq.Context()
	release, ok := s.fleet.hold(lr)
	if !ok {
		return nil, errNoTicket
	}
	life, end := lr.whileLive(context.WithoutCancel(ctx))
	stop := context.AfterFunc(opened.life, end)
	session := &driverSession{
		by:   opened,
		life: life,
		end:  func() { stop(); end() },
		over: make(chan struct{}),
	}
	if !lr.driven.take(session, time.Now()) {
		session.end()
		release()
		return nil, errSessionOpen
	}
	if _, ok := s.connectURLs.open(rq.PathValue("token"), time.Now()); !ok { // a session is a connection
		lr.driven.leave(session)
		session.end()
		release()
		return nil, errNoTicket
	}
	made := make(chan error, 1)
	permitted := false
	go func() {
		defer release()
		defer func() { s.connectURLs.leave(opened, time.Now()) }()
		defer lr.driven.leave(session)
		defer session.end()
		asked, seen := &web.Grant{Caller: opened.caller}, new(seenHosts)
		asked.Require(s.CheckUnlocked)
		seen.follow(asked)
		// Nobody reads the error where there was a session.
		made <- s.WhileGranted(session.life, asked, func(ctx context.Context) error {
			permitted = true
			defer context.AfterFunc(ctx, session.end)()
			if own := opened.caller.Runtime; own != nil {
				defer s.limitHosts(ctx, lr, own.WorkspaceID, own.Chain[2:])()
			}
			defer lr.uses.begin()()
			driver, err := lr.browser.OpenWebDriver(ctx, clientRights{s, lr, opened.caller, rq.ID, rq.TraceID, seen})
			if err != nil {
				return err
			}
			defer func() { s.logUnended(lr, driver.Close()) }()
			session.driver = driver
			err = s.Use(ctx, opened.connected(rq), func() (err error) {
				answer, err = session.create(ctx, body)
				return err
			})
			if err != nil {
				return err
			}
			lr.driven.begin(session)
			made <- nil
			select {
			case <-ctx.Done():
			case <-driver.Done():
			}
			return nil
		})
	}()
	err = <-made
	switch e := web.AsError(err); {
	case err == nil && ctx.Err() == nil:
		return answer, nil
	case err == nil: // nobody is there to use it
		session.end()
		return nil, ctx.Err()
	case !permitted && e != web.ErrLocked && e != web.ErrInternal:
		return nil, errNoTicket // in place of what ended the caller
	}
	return nil, s.explainNoSession(lr, err)
}

func (s *Service) logUnended(lr *liveRuntime, err error) {
	if err != nil {
		s.Log.Error("a WebDriver did not end well", "runtime", lr.id, "error", err)
	}
}

// explainNoSession is what a client is told where no session was made.
func (s *Service) explainNoSession(lr *liveRuntime, err error) error {
	if lr.life.Err() != nil {
		return errNoTicket
	}
	if _, ok := errors.AsType[*bctrl.Error](err); ok {
		return err
	}
	if e := machineLacks(err); e != nil {
		return e
	}
	s.Log.Error("a WebDriver session was not made", "runtime", lr.id, "error", err)
	return errWebDriverEnded
}

// machineLacks is the refusal where the machine has not what WebDriver needs, or nil.
func machineLacks(err error) error {
	for _, lack := range []struct {
		err     error
		message string
	}{
		{browser.ErrNoWebDriver, "the server has no chromedriver"},
		{browser.ErrNoNetwork, "the server cannot keep a chromedriver from the machine's other users"},
	} {
		if errors.Is(err, lack.err) {
			return web.WithHint(web.Unprocessable("runtimes.no_webdriver", lack.message), lack.err.Error())
		}
	}
	return nil
}

// driverStart is how long a driver may take to make its session. Meanwhile the runtime
// can have no other.
const driverStart = time.Minute

// create makes the driver's session.
func (d *driverSession) create(ctx context.Context, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, driverStart)
	defer cancel()
	program, args := d.driver.Browser()
	asked, err := webdriver.NewSession(body, webdriver.Browser{Binary: program, Args: args})
	if err != nil {
		return nil, err
	}
	_, answer, err := d.ask(ctx, http.MethodPost, []string{"session"}, asked)
	if err != nil {
		return nil, err
	}
	made, err := webdriver.ReadCreated(answer)
	if err != nil {
		return nil, err
	}
	d.id = made.ID
	return made.Answer, nil
}
