// Package democrm is a small customer-relations web application: the site that
// the demo and the tests let an agent work on. It behaves as sites outside do.
// Its login form is driven by JavaScript and asks for a one-time code in a
// second step, wrong logins are rate limited, the session lives in an HttpOnly
// cookie, and the pipeline of a quarter is exported as a CSV download.
//
// The data is made up and the same in every run. Nothing that was typed into
// the login form is kept, logged or repeated in an answer.
package democrm

import (
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pquerna/otp/totp"
	"golang.org/x/time/rate"

	"github.com/bctrl-go/bctrl"
)

//go:embed static
var static embed.FS

// Limits of the login form.
const (
	// wrongLogins may fail in a row; after that one more is let through every
	// wrongLoginEvery.
	wrongLogins     = 5
	wrongLoginEvery = 12 * time.Second
	// codeTimeout is how long the second step waits for its code.
	codeTimeout = 5 * time.Minute
	// sessionTimeout is how long a session lasts, used or not.
	sessionTimeout = 8 * time.Hour
	// maxBody bounds a request's body in bytes.
	maxBody = 4 << 10
)

// Config says who may log in.
type Config struct {
	// Username and Password are the one account's.
	Username string
	Password bctrl.Secret
	// TOTPSeed is the account's RFC 6238 seed in base32: SHA-1, 6 digits,
	// 30 seconds.
	TOTPSeed bctrl.Secret
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Counts says what the site has seen so far.
type Counts struct {
	// Logins were completed, with password and code.
	Logins int
	// WrongLogins had a wrong user name, password or code.
	WrongLogins int
	// Exports are CSV files that were delivered.
	Exports int
}

// App is the application. It is an [http.Handler], safe for concurrent use.
type App struct {
	handler  http.Handler
	now      func() time.Time
	username [sha256.Size]byte
	password [sha256.Size]byte
	seed     bctrl.Secret
	wrong    *rate.Limiter
	deals    []Deal

	mu       sync.Mutex
	sessions map[string]time.Time // by cookie, until when
	pending  map[string]time.Time // logins whose code is still missing
	counts   Counts
}

// New returns the application for one account.
func New(cfg Config) (*App, error) {
	if cfg.Username == "" || cfg.Password.IsZero() {
		return nil, errors.New("democrm: Username and Password are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if _, err := totp.GenerateCode(cfg.TOTPSeed.Expose(), cfg.Now()); cfg.TOTPSeed.IsZero() || err != nil {
		return nil, errors.New("democrm: TOTPSeed is not a base32 seed") // the cause may repeat it
	}
	pages, err := fs.Sub(static, "static")
	if err != nil {
		return nil, fmt.Errorf("democrm: open the embedded files: %w", err)
	}
	a := &App{
		now:      cfg.Now,
		username: sha256.Sum256([]byte(cfg.Username)),
		password: sha256.Sum256([]byte(cfg.Password.Expose())),
		seed:     cfg.TOTPSeed,
		wrong:    rate.NewLimiter(rate.Every(wrongLoginEvery), wrongLogins),
		deals:    makeDeals(),
		sessions: make(map[string]time.Time),
		pending:  make(map[string]time.Time),
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.home)
	mux.HandleFunc("GET /login", a.page(pages, "login.html"))
	mux.HandleFunc("GET /pipeline", a.signedIn(a.page(pages, "pipeline.html")))
	mux.Handle("GET /static/", http.StripPrefix("/static/", http.FileServerFS(pages)))
	mux.HandleFunc("POST /api/login", a.login)
	mux.HandleFunc("POST /api/login/code", a.loginCode)
	mux.HandleFunc("POST /api/logout", a.logout)
	mux.HandleFunc("GET /api/pipeline", a.signedIn(a.pipeline))
	mux.HandleFunc("GET /export/pipeline.csv", a.signedIn(a.export))
	a.handler = headers(http.NewCrossOriginProtection().Handler(mux))
	return a, nil
}

// ServeHTTP implements [http.Handler].
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

// Counts returns what the site has seen so far.
func (a *App) Counts() Counts {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.counts
}

// headers sets what every answer carries.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
			"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// home leads to the page that the visitor may see.
func (a *App) home(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/pipeline", http.StatusSeeOther)
}

// page serves one embedded page.
func (a *App) page(pages fs.FS, name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, pages, name) }
}

// signedIn lets only visitors with a session through. Others are sent to the
// login page, or get a 401 where a script asks.
func (a *App) signedIn(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case a.hasSession(r):
			next(w, r)
		case strings.HasPrefix(r.URL.Path, "/api/"):
			answerError(w, http.StatusUnauthorized, "Please log in.")
		default:
			http.Redirect(w, r, "/login", http.StatusSeeOther)
		}
	}
}

// answer writes a JSON value.
func answer[T any](w http.ResponseWriter, status int, v T) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a visitor who has left needs no answer
}

// answerError writes a message for the visitor.
func answerError(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]string{"error": message})
}
