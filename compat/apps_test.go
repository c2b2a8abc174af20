package compat

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// The login of the applications below. The password and the seed are looked for
// in everything that the model was sent.
const (
	appUser     = "bot@example.com"
	appPassword = "canary-Password-Django-31"
	appSeed     = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
)

// TestDjangosAdminIsWorkedOnByAnAgent logs in with a password and a one-time code,
// creates, edits, uploads, searches, exports and logs out.
func TestDjangosAdminIsWorkedOnByAnAgent(t *testing.T) {
	address := django(t)
	w := newAppWorker(t, address, "Django administration", script(
		fillLogin, clickOn("button", "Next"),
		func(t modeltest.Turn) modeltest.Call { return modeltest.EnterTOTP(appKey, t.Find("textbox", "token")) },
		clickOn("button", "Next"),
		clickOn("link", "Add"),
		typeInto("Name", "Ada Lovelace"), typeInto("Email", "ada@example.com"),
		clickOn("button", "Save"),
		clickOn("link", "Ada Lovelace"),
		typeInto("Email", "lovelace@example.com"),
		func(t modeltest.Turn) modeltest.Call { return modeltest.Upload(t.Find("button", "Contract"), appFile) },
		clickOn("button", "Save"),
		typeInto("Search", "Lovelace"),
		clickOn("button", "Search"),
		clickOn("checkbox", "Select this object"),
		func(t modeltest.Turn) modeltest.Call {
			return modeltest.Select(t.Find("combobox", "Action"), "Export as CSV")
		},
		clickOn("button", "Go"),
		downloaded,
		clickOn("button", "Log out"),
		func(t modeltest.Turn) modeltest.Call {
			return modeltest.Done(!t.Sees("button", "Log out"), t.View.Outline)
		},
	))
	w.work(t)
	w.exported(t, "contacts.csv", "Ada Lovelace,lovelace@example.com,contract.png")
}

// django starts Django's admin and returns its address.
func django(t *testing.T) string {
	t.Helper()
	installed(t)
	in, err := json.Marshal(map[string]string{
		"dir": t.TempDir(), "username": appUser, "password": appPassword, "seed": appSeed,
	})
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), filepath.Join("python", "venv", "bin", "python"), "python/django_admin.py")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1"}
	stdin, out := startApp(t, cmd)
	_, err = stdin.Write(append(in, '\n'))
	require.NoError(t, err)
	var said struct{ Port int }
	line, err := bufio.NewReader(out).ReadBytes('\n')
	require.NoError(t, err, "Django did not start")
	require.NoError(t, json.Unmarshal(line, &said))
	return fmt.Sprintf("http://127.0.0.1:%d/admin/", said.Port)
}

// startApp starts a program that ends when its standard input is closed, or is killed.
func startApp(t *testing.T, cmd *exec.Cmd) (io.Writer, io.Reader) {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.WaitDelay = 10 * time.Second
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill() // nothing of it is needed any more
		_ = cmd.Wait()
	})
	return stdin, out
}

const appKey = "apps/admin"

// appFile lies in the mounted storage, for the applications to be given.
const appFile = "in/contract.png"

// appWorker is a runtime with a login for an application.
type appWorker struct {
	srv    *bctrltest.Server
	rt     *bctrl.Runtime
	client *bctrl.Client
	start  string
	result *bctrl.ActResult
}

func newAppWorker(t *testing.T, address, label string, s modeltest.Script) *appWorker {
	t.Helper()
	w := &appWorker{srv: bctrltest.New(t, bctrltest.WithBrowser(), bctrltest.WithModel(s)), start: address}
	w.client = w.srv.Client(bctrl.WithTimeout(5 * time.Minute))
	ctx := t.Context()
	_, err := w.client.AICredentials.Create(ctx, w.srv.ModelCredential("scripted"))
	require.NoError(t, err)
	origin, err := bctrl.ParseOrigin(address[:strings.Index(address[8:], "/")+8])
	require.NoError(t, err)
	_, err = w.client.Vault.Set(ctx, appKey, bctrl.VaultCredential{
		Username: appUser, Password: bctrl.NewSecret(appPassword), TOTP: bctrl.NewSecret(appSeed),
		Origins: []string{origin}, Label: label,
	})
	require.NoError(t, err)
	_, err = w.client.Storage("apps").Upload(ctx, appFile, bytes.NewReader(appPicture(t)))
	require.NoError(t, err)
	ws, err := w.client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "apps", Mounts: bctrl.Mounts{
		AI:      &bctrl.AIMount{Allow: []string{"scripted"}},
		Vault:   &bctrl.VaultMount{Allow: []string{"apps/"}},
		Storage: &bctrl.StorageMount{Workspace: "apps"},
	}})
	require.NoError(t, err)
	w.rt, err = ws.Runtimes.Browser("office").Stagehand(ctx, bctrl.Launch{Mode: bctrl.ModeEphemeral})
	require.NoError(t, err)
	return w
}

// work has the agent do it all, and looks for the login in what the model was sent.
func (w *appWorker) work(t *testing.T) {
	t.Helper()
	_, err := w.rt.Page.Goto(t.Context(), w.start)
	require.NoError(t, err)
	w.result, err = w.rt.Stagehand.Act(t.Context(), "Do the day's work", bctrl.ActOptions{MaxSteps: 60})
	require.NoError(t, err)
	require.True(t, w.result.Success, "%s %+v", w.result.Message, w.result.Actions)
	for _, r := range w.srv.Model().Requests() {
		require.False(t, strings.Contains(string(r.Body), appPassword), "the model was sent the password")
		require.False(t, strings.Contains(string(r.Body), appSeed), "the model was sent the seed")
	}
}

// appPicture is a picture that an application can read.
func appPicture(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 8))))
	return b.Bytes()
}

func (w *appWorker) exported(t *testing.T, name, want string) {
	t.Helper()
	require.NotEmpty(t, w.result.Downloads)
	last := w.result.Downloads[len(w.result.Downloads)-1]
	require.Equal(t, name, last.Filename)
	text, err := w.client.Storage("apps").Get(t.Context(), last.LogicalPath)
	require.NoError(t, err)
	require.Contains(t, string(text), want)
}

// script makes one call after the other, and gives up where one has failed, but for a click
// on a notice that went by itself.
func script(calls ...modeltest.Script) modeltest.Script {
	return func(t modeltest.Turn) modeltest.Call {
		failed := strings.HasPrefix(t.Result, "Error") || strings.HasPrefix(t.Result, "failed") ||
			strings.HasPrefix(t.Result, "not done")
		switch n := len(t.Calls); {
		case failed && !strings.Contains(t.Result, "page.element_gone"):
			return modeltest.Done(false, fmt.Sprintf("call %d (%s): %s\n%s", n, t.Calls[n-1].Tool, t.Result, t.View.Outline))
		case n < len(calls):
			call := calls[n](t)
			if ref, ok := call.Args["ref"]; ok && ref == "" {
				return modeltest.Done(false, fmt.Sprintf("call %d has no element on\n%s", n+1, t.View.Outline))
			}
			return call
		}
		return modeltest.Done(true, "all is done")
	}
}

func fillLogin(t modeltest.Turn) modeltest.Call {
	user := t.Find("textbox", "user")
	if user.Ref == "" {
		user = t.Find("textbox", "email")
	}
	return modeltest.FillLogin(appKey, user, t.Find("textbox", "password"))
}

func clickOn(role, name string) modeltest.Script {
	return func(t modeltest.Turn) modeltest.Call { return modeltest.Click(t.Find(role, name)) }
}

// clickText clicks what has a text in it, whatever it is.
func clickText(text string) modeltest.Script {
	return func(t modeltest.Turn) modeltest.Call {
		lines := strings.Split(t.View.Outline, "\n")
		for i, line := range lines {
			if !strings.Contains(line, text) {
				continue
			}
			for ; i >= 0; i-- { // itself, or the nearest before it: what it lies in
				if ref, _, ok := strings.Cut(strings.TrimSpace(lines[i]), "] "); ok && strings.HasPrefix(ref, "[") {
					return modeltest.Click(modeltest.Element{Ref: ref[1:]})
				}
			}
		}
		return modeltest.Done(false, "there is no "+text+" on\n"+t.View.Outline)
	}
}

// unnamedField is the first field of text without a name.
func unnamedField(t modeltest.Turn) modeltest.Element {
	for line := range strings.Lines(t.View.Outline) {
		if ref, rest, ok := strings.Cut(strings.TrimSpace(line), "] textbox"); ok && !strings.HasPrefix(rest, ` "`) {
			return modeltest.Element{Ref: ref[1:]}
		}
	}
	return modeltest.Element{}
}

func press(key string) modeltest.Script {
	return func(modeltest.Turn) modeltest.Call { return modeltest.Press(key) }
}

func typeInto(name, text string) modeltest.Script {
	return func(t modeltest.Turn) modeltest.Call { return modeltest.Type(t.Find("textbox", name), text) }
}

// dismissed closes a notice of PocketBase, which goes by itself after a few seconds.
func dismissed(t modeltest.Turn) modeltest.Call {
	if notice := t.Find("button", "Clear"); notice.Ref != "" {
		return modeltest.Click(notice)
	}
	return modeltest.Wait(1)
}

// downloaded waits for a file, where none has landed yet.
func downloaded(t modeltest.Turn) modeltest.Call {
	if len(t.View.Downloads) > 0 {
		return modeltest.Wait(1)
	}
	return modeltest.WaitDownload(20)
}

// freePort is a port of this machine that nobody listens at.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// TestPocketBaseIsWorkedOnByAnAgent logs in, creates, edits, uploads, searches, exports and
// logs out.
func TestPocketBaseIsWorkedOnByAnAgent(t *testing.T) {
	address := pocketBase(t)
	w := newAppWorker(t, address, "PocketBase", script(
		fillLogin, clickOn("button", "Login"),
		clickOn("button", "New record"),
		typeInto("email", "ada@example.com"), clickOn("button", "Generate and set random password"),
		typeInto("name", "Ada Lovelace"),
		dismissed, clickOn("button", "Create"),
		clickText("ada@example.com"),
		func(t modeltest.Turn) modeltest.Call { return modeltest.Type(t.Find("textbox", "name"), "Ada King") },
		func(t modeltest.Turn) modeltest.Call { return modeltest.Upload(t.Find("button", "Upload"), appFile) },
		dismissed, clickOn("button", "Save"),
		dismissed,
		func(t modeltest.Turn) modeltest.Call { return modeltest.Type(unnamedField(t), "Ada King") },
		press("Enter"),
		func(t modeltest.Turn) modeltest.Call { return modeltest.WaitText("ada@example.com", 10) },
		typeInto("Search collections", "super"),
		clickText("_superusers"),
		clickOn("link", "Settings"),
		clickOn("link", "Export collections"),
		clickOn("button", "Download as JSON"),
		downloaded,
		func(t modeltest.Turn) modeltest.Call { return modeltest.Click(t.Find("button", "[secret]")) },
		clickText("Logout"),
		func(t modeltest.Turn) modeltest.Call {
			return modeltest.Done(t.Sees("textbox", "password"), t.View.Outline)
		},
	))
	w.work(t)
	w.exported(t, "pb_schema.json", "users")
	record := pocketBaseUser(t, address)
	require.Equal(t, "ada@example.com", record.Email)
	require.Equal(t, "Ada King", record.Name)
	require.Regexp(t, `^contract_\w+\.png$`, record.Avatar)
}

type pocketBaseRecord struct{ Email, Name, Avatar string }

// pocketBaseUser asks PocketBase itself for the only record of its users.
func pocketBaseUser(t *testing.T, address string) pocketBaseRecord {
	t.Helper()
	base := strings.TrimSuffix(address, "/_/") + "/api/collections/"
	call := func(method, path, token, body string, into any) {
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", token)
		answer, err := http.DefaultTransport.RoundTrip(req)
		require.NoError(t, err)
		defer answer.Body.Close()
		require.Equal(t, http.StatusOK, answer.StatusCode)
		require.NoError(t, json.NewDecoder(answer.Body).Decode(into))
	}
	var login struct{ Token string }
	call(http.MethodPost, "_superusers/auth-with-password", "",
		`{"identity":"`+appUser+`","password":"`+appPassword+`"}`, &login)
	var users struct{ Items []pocketBaseRecord }
	call(http.MethodGet, "users/records", login.Token, "", &users)
	require.Len(t, users.Items, 1)
	return users.Items[0]
}

// pocketBase starts PocketBase with a superuser and a collection, and returns the
// address of its user interface.
func pocketBase(t *testing.T) string {
	t.Helper()
	installed(t)
	program := filepath.Join("python", "venv", "bin", "pocketbase")
	dir, address := t.TempDir(), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	at := []string{"--dir", filepath.Join(dir, "data"), "--migrationsDir", filepath.Join(dir, "migrations"),
		"--publicDir", filepath.Join(dir, "public"), "--hooksDir", filepath.Join(dir, "hooks")}
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LANG=C.UTF-8"}
	create := exec.CommandContext(t.Context(), program,
		append([]string{"superuser", "create", appUser, appPassword}, at...)...)
	create.Env = env
	require.NoError(t, create.Run(), "PocketBase did not make its superuser")
	serve := exec.CommandContext(t.Context(), program, append([]string{"serve", "--http", address}, at...)...)
	serve.Env = env
	startApp(t, serve)
	require.Eventually(t, func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, 20*time.Second, 50*time.Millisecond)
	return "http://" + address + "/_/"
}
