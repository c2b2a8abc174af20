package democrm

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

const (
	username = "bot@lighthouse.example"
	password = "correct horse \"battery\" staple"
	seed     = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
)

// site is the application behind a server, with a visitor and a clock.
type site struct {
	t   *testing.T
	app *App
	url string
	now time.Time
	*http.Client
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, now: time.Date(2026, time.April, 1, 9, 0, 0, 0, time.UTC)}
	app, err := New(Config{
		Username: username,
		Password: bctrl.NewSecret(password),
		TOTPSeed: bctrl.NewSecret(seed),
		Now:      func() time.Time { return s.now },
	})
	require.NoError(t, err)
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	s.app, s.url = app, server.URL
	s.visitor()
	return s
}

// visitor forgets the cookies: the next request is somebody else's.
func (s *site) visitor() {
	jar, err := cookiejar.New(nil)
	require.NoError(s.t, err)
	s.Client = &http.Client{Jar: jar}
	s.t.Cleanup(s.CloseIdleConnections)
}

func (s *site) get(path string) (*http.Response, string) {
	s.t.Helper()
	return s.read(s.Get(s.url + path))
}

func (s *site) post(path string, body map[string]string) (*http.Response, string) {
	s.t.Helper()
	text, err := json.Marshal(body)
	require.NoError(s.t, err)
	return s.read(s.Post(s.url+path, "application/json", strings.NewReader(string(text))))
}

func (s *site) read(resp *http.Response, err error) (*http.Response, string) {
	s.t.Helper()
	require.NoError(s.t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	return resp, string(text)
}

func (s *site) code() string {
	s.t.Helper()
	code, err := totp.GenerateCode(seed, s.now)
	require.NoError(s.t, err)
	return code
}

func (s *site) login() {
	s.t.Helper()
	resp, text := s.post("/api/login", map[string]string{"username": username, "password": password})
	require.Equal(s.t, http.StatusOK, resp.StatusCode, text)
	require.JSONEq(s.t, `{"step":"code"}`, text)
	resp, text = s.post("/api/login/code", map[string]string{"code": s.code()})
	require.Equal(s.t, http.StatusOK, resp.StatusCode, text)
	require.JSONEq(s.t, `{"step":"done"}`, text)
}

func TestPasswordAndCodeOpenThePipeline(t *testing.T) {
	s := newSite(t)

	_, text := s.get("/")
	require.Contains(t, text, "Log in to your account", "without a session the site leads to its login")
	s.login()
	_, text = s.get("/")
	require.Contains(t, text, "Export CSV")
	require.Equal(t, Counts{Logins: 1}, s.app.Counts())
}

func TestNothingIsOpenWithoutASession(t *testing.T) {
	s := newSite(t)
	s.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, tt := range []struct{ why, path, want string }{
		{"the page redirects", "/pipeline", "303 See Other"},
		{"the download redirects", "/export/pipeline.csv?quarter=Q1", "303 See Other"},
		{"a script is told", "/api/pipeline", "401 Unauthorized"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			resp, text := s.get(tt.path)
			require.Equal(t, tt.want, resp.Status)
			require.NotContains(t, text, "D-1001")
		})
	}
	require.Zero(t, s.app.Counts().Exports)
}

func TestWrongLoginsAreRefusedWithoutRepeatingThem(t *testing.T) {
	for _, tt := range []struct{ why, path, field, value, message string }{
		{"a wrong password", "/api/login", "password", "hunter2", "Wrong user name or password."},
		{"a wrong user name", "/api/login", "username", "someone", "Wrong user name or password."},
		{"a wrong code", "/api/login/code", "code", "000000", "Wrong code."},
		{"a code that is none", "/api/login/code", "code", "12345", "Wrong code."},
	} {
		t.Run(tt.why, func(t *testing.T) {
			s := newSite(t)
			in := map[string]string{"username": username, "password": password}
			if tt.field == "code" {
				s.post("/api/login", in)
				in = map[string]string{}
			}
			in[tt.field] = tt.value
			resp, text := s.post(tt.path, in)
			require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
			require.JSONEq(t, `{"error":"`+tt.message+`"}`, text)
			require.Equal(t, Counts{WrongLogins: 1}, s.app.Counts())
		})
	}
}

func TestACodeNeedsItsPasswordFirst(t *testing.T) {
	s := newSite(t)
	resp, _ := s.post("/api/login/code", map[string]string{"code": s.code()})
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)

	s.post("/api/login", map[string]string{"username": username, "password": password})
	s.now = s.now.Add(codeTimeout)
	resp, _ = s.post("/api/login/code", map[string]string{"code": s.code()})
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode, "the password was entered too long ago")
	require.Zero(t, s.app.Counts().Logins)
}

func TestAnOldCodeIsWorthless(t *testing.T) {
	s := newSite(t)
	old := s.code()
	s.now = s.now.Add(2 * time.Minute)
	s.post("/api/login", map[string]string{"username": username, "password": password})
	resp, _ := s.post("/api/login/code", map[string]string{"code": old})
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
}

func TestGuessingIsSlowedDown(t *testing.T) {
	s := newSite(t)
	wrong := map[string]string{"username": username, "password": "guess"}
	for range wrongLogins {
		resp, _ := s.post("/api/login", wrong)
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	}
	right := map[string]string{"username": username, "password": password}
	resp, _ := s.post("/api/login", right)
	require.Equal(t, http.StatusTooManyRequests, resp.StatusCode,
		"the right password does not help while guesses are refused")

	wait, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	require.NoError(t, err)
	s.now = s.now.Add(time.Duration(wait) * time.Second)
	resp, _ = s.post("/api/login", right)
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

func TestSessionsEnd(t *testing.T) {
	for _, tt := range []struct {
		why string
		end func(*site)
	}{
		{"logging out ends it", func(s *site) { s.post("/api/logout", nil) }},
		{"time ends it", func(s *site) { s.now = s.now.Add(sessionTimeout) }},
		{"another visitor has none", (*site).visitor},
	} {
		t.Run(tt.why, func(t *testing.T) {
			s := newSite(t)
			s.login()
			resp, _ := s.get("/api/pipeline")
			require.Equal(t, http.StatusOK, resp.StatusCode)
			tt.end(s)
			resp, _ = s.get("/api/pipeline")
			require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
		})
	}
}

func TestScriptsCannotReadTheSession(t *testing.T) {
	s := newSite(t)
	s.post("/api/login", map[string]string{"username": username, "password": password})
	resp, _ := s.post("/api/login/code", map[string]string{"code": s.code()})
	cookies := resp.Cookies()
	require.Len(t, cookies, 2, "the login's own cookie is removed, the session's is set")
	for _, c := range cookies {
		require.True(t, c.HttpOnly, c.Name)
		require.Equal(t, http.SameSiteStrictMode, c.SameSite, c.Name)
	}
}

func TestOtherSitesCannotPost(t *testing.T) {
	s := newSite(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/api/logout", nil)
	require.NoError(t, err)
	req.Header.Set("Origin", "https://evil.example")
	resp, _ := s.read(s.Do(req))
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
}

func TestExportIsADownloadOfOneQuarter(t *testing.T) {
	s := newSite(t)
	s.login()
	for _, tt := range []struct{ why, query, filename, quarter string }{
		{"one quarter", "?quarter=Q1", "pipeline-2026-q1.csv", "Q1"},
		{"the whole year", "", "pipeline-2026.csv", ""},
	} {
		t.Run(tt.why, func(t *testing.T) {
			resp, text := s.get("/export/pipeline.csv" + tt.query)
			require.Equal(t, "text/csv; charset=utf-8", resp.Header.Get("Content-Type"))
			require.Equal(t, `attachment; filename="`+tt.filename+`"`, resp.Header.Get("Content-Disposition"))
			rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
			require.NoError(t, err)
			deals := s.app.Deals(tt.quarter)
			require.Len(t, rows, 1+len(deals))
			require.Equal(t, []string{"Deal", "Account", "Owner", "Stage", "Quarter", "Close date", "Amount (USD)",
				"Probability (%)"}, rows[0])
			for i, d := range deals {
				require.Equal(t, d.ID, rows[i+1][0])
				if tt.quarter != "" {
					require.Equal(t, tt.quarter, rows[i+1][4])
				}
			}
		})
	}
	require.Equal(t, 2, s.app.Counts().Exports)

	resp, _ := s.get("/export/pipeline.csv?quarter=Q5")
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
}

func TestTheYearIsTheSameInEveryRun(t *testing.T) {
	require.Equal(t, Deal{
		ID:          "D-1001",
		Account:     "Driftwood Health",
		Owner:       "Chiara Russo",
		Stage:       "Qualification",
		Quarter:     "Q1",
		CloseDate:   "2026-01-05",
		Amount:      110500,
		Probability: 20,
	}, makeDeals()[0])
	sizes := map[string]int{}
	seen := map[string]bool{}
	for _, d := range makeDeals() {
		sizes[d.Quarter]++
		require.False(t, seen[d.Account], "an account has one deal")
		seen[d.Account] = true
		closes, err := time.Parse(time.DateOnly, d.CloseDate)
		require.NoError(t, err)
		require.Equal(t, d.Quarter, "Q"+strconv.Itoa((int(closes.Month())-1)/3+1))
	}
	require.Len(t, sizes, 4)
	for q, n := range sizes {
		require.GreaterOrEqual(t, n, 8, q)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	good := Config{Username: username, Password: bctrl.NewSecret(password), TOTPSeed: bctrl.NewSecret(seed)}
	for _, tt := range []struct {
		why    string
		change func(*Config)
	}{
		{"no user name", func(c *Config) { c.Username = "" }},
		{"no password", func(c *Config) { c.Password = bctrl.Secret{} }},
		{"no seed", func(c *Config) { c.TOTPSeed = bctrl.Secret{} }},
		{"a seed that is not base32", func(c *Config) { c.TOTPSeed = bctrl.NewSecret("not-base32-0189") }},
	} {
		t.Run(tt.why, func(t *testing.T) {
			cfg := good
			tt.change(&cfg)
			_, err := New(cfg)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "0189", "the error repeats the seed")
		})
	}
	_, err := New(good)
	require.NoError(t, err)
}
