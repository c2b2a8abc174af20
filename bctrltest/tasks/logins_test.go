package tasks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/internal/totp"
)

// loginPages ask for logins in several ways. What is kept of one is whether it was right,
// and no value.
func loginPages(s *site) {
	s.mux.HandleFunc("POST /portal/user", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("user") != portalUser {
			s.say(w, "Portal", "There is no such user.")
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "portal", Value: "user", Path: "/portal", HttpOnly: true})
		s.say(w, "Portal", `<form method=post action=/portal/password>
			<label>Password <input type=password name=password></label> <button>Log in</button></form>`)
	})
	s.mux.HandleFunc("POST /portal/password", func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("portal"); err != nil || c.Value != "user" || r.FormValue("password") != portalPassword {
			s.say(w, "Portal", "That is not right.")
			return
		}
		s.note("/portal", url.Values{"login": {"accepted"}})
		s.say(w, "Portal", "You are logged in.")
	})
	codePages(s)
	s.mux.HandleFunc("GET /archive", func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != archiveUser || password != archivePassword {
			w.Header().Set("WWW-Authenticate", `Basic realm="Archive"`)
			http.Error(w, "A login is needed.", http.StatusUnauthorized)
			return
		}
		s.say(w, "Archive", `<form method=post><label>Box <input name=box></label><button>Request</button></form>`)
	})
	s.mux.HandleFunc("POST /card", func(w http.ResponseWriter, r *http.Request) {
		paid := url.Values{"expires": {r.FormValue("expires")}, "host": {r.Host}}
		if r.FormValue("number") == cardNumber && r.FormValue("code") == cardCode {
			paid.Set("card", "right")
		}
		s.note("/card", paid)
		s.say(w, "Paid", "The payment has been made.")
	})
	s.mux.HandleFunc("POST /office", func(w http.ResponseWriter, r *http.Request) {
		for user, password := range map[string]string{officeUser: officePassword, ownerUser: ownerPassword} {
			if r.FormValue("user") == user && r.FormValue("password") == password {
				s.note("/office", url.Values{"in": {user}})
				s.say(w, "Office", `You are in. <a href=/office>Log in as somebody else</a>`)
				return
			}
		}
		s.note("/office", url.Values{"in": {"nobody"}})
		s.say(w, "Office", `That is not right. <a href=/office>Again</a>`)
	})
}

// codePages ask for a password and then for a code in six boxes.
func codePages(s *site) {
	s.mux.HandleFunc("POST /codes/password", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("user") != codesUser || r.FormValue("password") != codesPassword {
			s.say(w, "Bank", "That is not right.")
			return
		}
		boxes := ""
		for i := range 6 {
			boxes += fmt.Sprintf(`<input name=d%d maxlength=1 size=1 inputmode=numeric aria-label="Digit %d of the code"
				oninput="this.nextElementSibling?.focus()">`, i, i+1)
		}
		s.say(w, "Bank", `<form method=post action=/codes/code><p>Enter the code</p>`+boxes+`<button>Verify</button></form>`)
	})
	s.mux.HandleFunc("POST /codes/code", func(w http.ResponseWriter, r *http.Request) {
		code := ""
		for i := range 6 {
			code += r.FormValue(fmt.Sprintf("d%d", i))
		}
		if !isCode(code) {
			s.say(w, "Bank", "The code is not right.")
			return
		}
		s.note("/codes", url.Values{"login": {"accepted"}})
		s.say(w, "Bank", "Welcome")
	})
}

// isCode reports whether text is a one-time code of now or of the period before.
func isCode(text string) bool {
	key, err := totp.Parse(bctrl.NewSecret(codesSeed))
	if err != nil {
		return false
	}
	now := time.Now()
	for _, at := range []time.Time{now, now.Add(-key.Period())} {
		if code, _ := key.Code(at); code.Equal(bctrl.NewSecret(text)) {
			return true
		}
	}
	return false
}

func twoSteps() task {
	return task{
		name: "two steps", page: "/portal",
		ask: "Log in to the portal.",
		policy: steps(
			one(func(t modeltest.Turn) modeltest.Call {
				return modeltest.FillLogin(portalKey, input(t, "User"), modeltest.Element{})
			}),
			click("button", "Continue"),
			one(func(t modeltest.Turn) modeltest.Call {
				return modeltest.FillLogin(portalKey, modeltest.Element{}, input(t, "Password"))
			}),
			click("button", "Log in")),
		judge: arrived("/portal", "login", "accepted"),
	}
}

func codeBoxes() task {
	return task{
		name: "code boxes", page: "/codes",
		ask: "Log in to the bank.",
		policy: steps(
			one(func(t modeltest.Turn) modeltest.Call {
				return modeltest.FillLogin(codesKey, input(t, "User"), input(t, "Password"))
			}),
			click("button", "Log in"),
			one(func(t modeltest.Turn) modeltest.Call { return modeltest.EnterTOTP(codesKey, input(t, "Digit 1")) }),
			click("button", "Verify")),
		judge: arrived("/codes", "login", "accepted"),
	}
}

func basic() task {
	return task{
		name: "basic authentication", page: "/lobby",
		ask: "Request box 17 of the archive.",
		policy: steps(click("link", "Archive"),
			one(func(modeltest.Turn) modeltest.Call { return modeltest.HTTPLogin(archiveKey) }),
			typeIn("Box", "17"), click("button", "Request")),
		judge: arrived("/archive", "box", "17"),
	}
}

// payment is made in a frame of another origin, with a card of the vault: its number is
// the username and its security code the password of an entry for both origins.
func payment() task {
	return task{
		name: "payment", page: "/payment",
		ask: "Pay with the company's card, which expires 11/29.",
		policy: steps(
			one(func(t modeltest.Turn) modeltest.Call {
				return modeltest.FillLogin(cardKey, input(t, "Card number"), input(t, "Security code"))
			}),
			typeIn("Expires", "11/29"), click("button", "Pay")),
		judge: func(_ context.Context, d *desk) error {
			return d.site.once("/card", "card", "right", "expires", "11/29",
				"host", strings.TrimPrefix(d.site.elsewhere, "http://"))
		},
	}
}

// narrowed logs in with one login, and is refused another in a call that is lowered to the
// first.
func narrowed() task {
	logIn := func(key string) modeltest.Script {
		return steps(one(func(t modeltest.Turn) modeltest.Call {
			return modeltest.FillLogin(key, input(t, "User"), input(t, "Password"))
		}), click("button", "Log in"), click("link", ""))
	}
	return task{
		name: "narrowed", page: "/office",
		ask: "Log in to the office as its clerk.", policy: logIn(officeKey),
		call: func(ctx context.Context, d *desk, ask string) error {
			if err := act(ctx, d, ask); err != nil {
				return err
			}
			d.begin(task{policy: logIn(ownerKey)})
			result, err := d.rt.Stagehand.Act(ctx, "Log in as its owner.", bctrl.ActOptions{
				MaxSteps: 10, Mounts: &bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{officeKey}}},
			})
			if err == nil && result.Success {
				return errors.New("the second login was permitted")
			}
			return err
		},
		judge: func(ctx context.Context, d *desk) error {
			if err := d.site.once("/office", "in", officeUser); err != nil {
				return err
			}
			denied := 0
			uses := bctrl.AuditFilter{Action: string(bctrl.UseVault), RuntimeID: d.rt.ID}
			for e, err := range d.client.Audit.Events(ctx, uses) {
				if err != nil {
					return err
				}
				if e.Object == ownerKey && e.Decision == bctrl.AuditDenied {
					denied++
				} else if e.Object == ownerKey {
					return errors.New("the log has a use of the second login")
				}
			}
			if denied == 0 {
				return errors.New("the refusal is not in the log")
			}
			return nil
		},
	}
}
