package democrm

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
)

// The cookies: of a login between its two steps, and of a session.
const (
	pendingCookie = "crm_login"
	sessionCookie = "crm_session"
)

// step tells the login page what comes next.
type step struct {
	Step string `json:"step"` // "code" or "done"
}

// login is the first step: user name and password.
func (a *App) login(w http.ResponseWriter, r *http.Request) {
	var in struct{ Username, Password string }
	if !decode(w, r, &in) || a.refusedForNow(w) {
		return
	}
	username, password := sha256.Sum256([]byte(in.Username)), sha256.Sum256([]byte(in.Password))
	if subtle.ConstantTimeCompare(username[:], a.username[:])&subtle.ConstantTimeCompare(password[:], a.password[:]) != 1 {
		a.refuse(w, "Wrong user name or password.")
		return
	}
	a.openSession(w, r, pendingCookie, a.pending, codeTimeout)
	answer(w, http.StatusOK, step{"code"})
}

// loginCode is the second step: the one-time code. A login without its first
// step gets nowhere, whatever the code.
func (a *App) loginCode(w http.ResponseWriter, r *http.Request) {
	var in struct{ Code string }
	if !decode(w, r, &in) || a.refusedForNow(w) {
		return
	}
	if !a.hasCookie(r, pendingCookie, a.pending) {
		answerError(w, http.StatusUnauthorized, "The login took too long. Please start again.")
		return
	}
	ok, err := totp.ValidateCustom(in.Code, a.seed.Expose(), a.now(), totp.ValidateOpts{
		Period:    30,
		Skew:      1,
		Digits:    otp.DigitsSix,
		Algorithm: otp.AlgorithmSHA1,
	})
	if err != nil || !ok { // an error is a code of the wrong length
		a.refuse(w, "Wrong code.")
		return
	}
	a.closeSession(w, r, pendingCookie, a.pending)
	a.openSession(w, r, sessionCookie, a.sessions, sessionTimeout)
	a.mu.Lock()
	a.counts.Logins++
	a.mu.Unlock()
	answer(w, http.StatusOK, step{"done"})
}

func (a *App) logout(w http.ResponseWriter, r *http.Request) {
	a.closeSession(w, r, sessionCookie, a.sessions)
	w.WriteHeader(http.StatusNoContent)
}

func (a *App) hasSession(r *http.Request) bool { return a.hasCookie(r, sessionCookie, a.sessions) }

// refusedForNow refuses a login while too many before it were wrong. There is one
// account, so one limit.
func (a *App) refusedForNow(w http.ResponseWriter) bool {
	tokens := a.wrong.TokensAt(a.now())
	if tokens >= 1 {
		return false
	}
	wait := 1 + int((1-tokens)*wrongLoginEvery.Seconds())
	w.Header().Set("Retry-After", strconv.Itoa(wait))
	answerError(w, http.StatusTooManyRequests, "Too many wrong logins. Try again in "+strconv.Itoa(wait)+" seconds.")
	return true
}

// refuse counts a wrong login and says so.
func (a *App) refuse(w http.ResponseWriter, message string) {
	a.wrong.AllowN(a.now(), 1)
	a.mu.Lock()
	a.counts.WrongLogins++
	a.mu.Unlock()
	answerError(w, http.StatusUnauthorized, message)
}

// openSession issues a fresh cookie and remembers it until its time is over.
func (a *App) openSession(w http.ResponseWriter, r *http.Request, name string, jar map[string]time.Time,
	life time.Duration) {
	token := rand.Text()
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	for t, until := range jar {
		if now.After(until) {
			delete(jar, t)
		}
	}
	jar[token] = now.Add(life)
	setCookie(w, r, name, token, life)
}

// hasCookie reports whether the request carries a cookie that still counts.
func (a *App) hasCookie(r *http.Request, name string, jar map[string]time.Time) bool {
	cookie, err := r.Cookie(name)
	if err != nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	until, ok := jar[cookie.Value]
	return ok && a.now().Before(until)
}

// closeSession forgets the request's cookie on both sides.
func (a *App) closeSession(w http.ResponseWriter, r *http.Request, name string, jar map[string]time.Time) {
	if cookie, err := r.Cookie(name); err == nil {
		a.mu.Lock()
		delete(jar, cookie.Value)
		a.mu.Unlock()
	}
	setCookie(w, r, name, "", -time.Second)
}

// setCookie sets a cookie that scripts cannot read; a life below zero removes
// it. It is kept over a restart of the browser, as "stay signed in" does.
func setCookie(w http.ResponseWriter, r *http.Request, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // plain HTTP on loopback has no secure cookies
		Name: name, Value: value, Path: "/", MaxAge: int(life.Seconds()),
		HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode,
	})
}

// decode reads a JSON body. A refusal does not repeat any of it.
func decode[T any](w http.ResponseWriter, r *http.Request, v *T) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(v); err != nil {
		answerError(w, http.StatusBadRequest, "The request is not valid.")
		return false
	}
	return true
}
