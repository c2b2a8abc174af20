package command

import (
	htmltemplate "html/template"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// notesPassword is what the site of notes takes.
const notesPassword = "canary-notes-7531"

// notes is a site that takes notes from who has logged in, and counts what reaches it.
type notes struct {
	*httptest.Server

	mu     sync.Mutex
	logins int
	notes  []string
	// reached is closed with the next note that is taken, which is then not answered before
	// goOn is closed; nil is a site that answers.
	reached, goOn chan struct{}
}

func newNotes(t *testing.T) *notes {
	t.Helper()
	s := &notes{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.login)
	mux.HandleFunc("POST /in", s.in)
	mux.HandleFunc("GET /notes", s.list)
	mux.HandleFunc("POST /notes", s.add)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// taken are the notes that have reached the site, and how often somebody has logged in.
func (s *notes) taken() (notes []string, logins int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.notes...), s.logins
}

// hold keeps the site from answering the next note before goOn is closed. Reached is closed
// when it has taken it.
func (s *notes) hold(reached, goOn chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reached, s.goOn = reached, goOn
}

// credential is the login of the site.
func (s *notes) credential() bctrl.VaultCredential {
	return bctrl.VaultCredential{Username: "bot", Password: bctrl.NewSecret(notesPassword), Origins: []string{s.URL}}
}

func (s *notes) login(w http.ResponseWriter, _ *http.Request) {
	page(w, `<title>Sign in</title><form action="/in" method="post" aria-label="Sign in">
		<label>Name <input name="name"></label><label>Password <input name="password" type="password"></label>
		<button>Sign in</button></form>`, nil)
}

func (s *notes) in(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("name") != "bot" || r.FormValue("password") != notesPassword {
		http.Error(w, "who are you?", http.StatusForbidden)
		return
	}
	s.mu.Lock()
	s.logins++
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: "who", Value: "bot", Path: "/"})
	http.Redirect(w, r, "/notes", http.StatusSeeOther)
}

func (s *notes) list(w http.ResponseWriter, r *http.Request) {
	if _, err := r.Cookie("who"); err != nil {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	all, _ := s.taken()
	page(w, `<title>Notes</title><ul>{{range .}}<li>{{.}}</li>{{end}}</ul>
		<form action="/notes" method="post" aria-label="New note"><label>Note <input name="note"></label>
		<button>Add</button></form>`, all)
}

func (s *notes) add(w http.ResponseWriter, r *http.Request) {
	if _, err := r.Cookie("who"); err != nil {
		http.Error(w, "who are you?", http.StatusForbidden)
		return
	}
	s.mu.Lock()
	s.notes = append(s.notes, r.FormValue("note"))
	reached, goOn := s.reached, s.goOn
	s.reached = nil
	s.mu.Unlock()
	if reached != nil {
		close(reached)
		select {
		case <-goOn:
		case <-r.Context().Done():
		}
	}
	http.Redirect(w, r, "/notes", http.StatusSeeOther)
}

func page(w http.ResponseWriter, text string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = htmltemplate.Must(htmltemplate.New("page").Parse(text)).Execute(w, data)
}

// takesNotes logs in and adds notes, one after the other.
func (s *notes) takesNotes(add ...string) func(modeltest.Turn) modeltest.Call {
	return func(turn modeltest.Turn) modeltest.Call {
		n := len(turn.Calls)
		switch {
		case n == 0:
			return modeltest.Navigate(s.URL + "/?lang=en")
		case n == 1:
			return modeltest.FillLogin("prod/notes", turn.Find("textbox", "name"), turn.Find("textbox", "password"))
		case n == 2:
			return modeltest.Click(turn.Find("button", "sign in"))
		case (n-3)/2 >= len(add):
			return modeltest.Done(true, "noted")
		case n%2 == 1:
			return modeltest.Type(turn.Find("textbox", "note"), add[(n-3)/2])
		}
		return modeltest.Click(turn.Find("button", "add"))
	}
}

// withNotes makes a workspace whose agents may log in to the site, with a browser in it.
func withNotes(t *testing.T, client *bctrl.Client, model bctrl.AICredentialCreate, s *notes) *bctrl.Runtime {
	t.Helper()
	ctx := t.Context()
	_, err := client.AICredentials.Create(ctx, model)
	require.NoError(t, err)
	_, err = client.Vault.Set(ctx, "prod/notes", s.credential())
	require.NoError(t, err)
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "sales", Mounts: bctrl.Mounts{
		AI:    &bctrl.AIMount{Allow: []string{model.ID}},
		Vault: &bctrl.VaultMount{Allow: []string{"prod/"}},
	}})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("crm").Stagehand(ctx, bctrl.Launch{})
	require.NoError(t, err)
	return rt
}
