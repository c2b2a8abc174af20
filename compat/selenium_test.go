package compat

import (
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tebeka/selenium"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
)

// shop is a site with all that a WebDriver client does.
func shop(t *testing.T) string {
	t.Helper()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch r.URL.Path {
		case "/inner":
			_, _ = io.WriteString(w, `<title>inner</title><p id=said>inside</p>
				<button id=in onclick="said.textContent = 'pressed'">In</button>`)
		case "/other":
			_, _ = io.WriteString(w, `<title>other</title><p>other</p>`)
		default:
			_, _ = io.WriteString(w, `<title>shop</title><input id=name><p id=out></p>
				<button id=greet onclick="out.textContent = 'hello ' + document.querySelector('#name').value">Greet</button>
				<button id=ask onclick="out.textContent = String(confirm('sure?'))">Ask</button>
				<button id=prompt onclick="out.textContent = String(prompt('who?'))">Prompt</button>
				<a id=open target=_blank href=/other>Open</a>
				<p id=hidden style="display: none">hidden</p>
				<select id=size><option value=s>Small<option value=l>Large</select>
				<input type=file id=file onchange="this.files[0].text().then((t) => {
					out.textContent = this.files[0].name + ' ' + t })">
				<iframe id=frame src=/inner></iframe>`)
		}
	}))
	t.Cleanup(site.Close)
	return site.URL
}

// driven is a runtime for Selenium, in which an agent has been at work.
func driven(t *testing.T, site string) (rt *bctrl.Runtime, address string) {
	t.Helper()
	client := bctrltest.New(t, bctrltest.WithBrowser()).Client()
	ws, err := client.Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "w"})
	require.NoError(t, err)
	rt, err = ws.Runtimes.Browser("b").Selenium(t.Context(), bctrl.Launch{})
	require.NoError(t, err)
	_, err = rt.Page.Goto(t.Context(), site+"/agent")
	require.NoError(t, err)
	address, err = rt.ConnectURL(t.Context())
	require.NoError(t, err)
	return rt, address
}

// did is what each client prints.
func did() map[string]any {
	return map[string]any{
		"title": "shop", "typed": "hello Ada", "value": "Ada", "shown": list(true, false), "script": 42.0, "async": "later",
		"shot": "PNG", "part": "PNG", "asked": "sure?", "answers": list("false", "true", "Grace"),
		"frame":   list("inside", "pressed"),
		"windows": list(2.0, "other", 1.0), "cookie": list("blue", true), "size": list(900.0, 700.0), "chosen": "l",
		"missing": "no such element",
	}
}

func TestSeleniumOfPythonDrivesARuntimeBesideTheAgent(t *testing.T) {
	site := shop(t)
	rt, address := driven(t, site)
	want := did()
	want["file"], want["pdf"], want["cdp"] = "note.txt brought", "%PDF", "refused"
	want["bidi"] = "runtimes.webdriver_bidi"
	for range 2 {
		require.Equal(t, want, run(t, "python/selenium_client.py", given{Base: site, Key: address}))
		atWork(t, rt, site)
	}
}

func TestSeleniumOfNodeDrivesARuntimeBesideTheAgent(t *testing.T) {
	site := shop(t)
	rt, address := driven(t, site)
	want := did()
	want["file"] = "note.txt brought"
	for range 2 {
		require.Equal(t, want, run(t, "js/selenium.mjs", given{Base: site, Key: address}))
		atWork(t, rt, site)
	}
}

// TestSeleniumOfGoDrivesARuntimeBesideTheAgent uses the client of tebeka, which has no
// files, nor windows' sizes of WebDriver.
func TestSeleniumOfGoDrivesARuntimeBesideTheAgent(t *testing.T) {
	site := shop(t)
	rt, address := driven(t, site)
	for range 2 {
		useTebeka(t, site, address)
		atWork(t, rt, site)
	}
}

func useTebeka(t *testing.T, site, address string) {
	t.Helper()
	driver, err := selenium.NewRemote(selenium.Capabilities{"browserName": "chrome"}, address)
	if err != nil {
		t.Fatal(strings.ReplaceAll(err.Error(), address, "[address]"))
	}
	defer func() { require.NoError(t, driver.Quit()) }()
	find := func(css string) selenium.WebElement {
		e, err := driver.FindElement(selenium.ByCSSSelector, css)
		require.NoError(t, err)
		return e
	}
	text := func(css string) string {
		s, err := find(css).Text()
		require.NoError(t, err)
		return s
	}
	require.NoError(t, driver.Get(site))
	title, err := driver.Title()
	require.NoError(t, err)
	require.Equal(t, "shop", title)
	require.NoError(t, find("#name").SendKeys("Ada"))
	require.NoError(t, find("#greet").Click())
	require.Equal(t, "hello Ada", text("#out"))
	value, err := driver.ExecuteScript("return arguments[0] * 7", []any{6})
	require.NoError(t, err)
	require.InDelta(t, 42.0, value, 0)
	shown, err := find("#hidden").IsDisplayed()
	require.NoError(t, err)
	require.False(t, shown)
	shot, err := driver.Screenshot()
	require.NoError(t, err)
	require.Equal(t, "\x89PNG", string(shot[:4]))

	require.NoError(t, find("#ask").Click())
	asked, err := driver.AlertText()
	require.NoError(t, err)
	require.Equal(t, "sure?", asked)
	require.NoError(t, driver.AcceptAlert())
	require.Equal(t, "true", text("#out"))

	require.NoError(t, driver.SwitchFrame(find("#frame")))
	require.NoError(t, find("#in").Click())
	require.Equal(t, "pressed", text("#said"))
	require.NoError(t, driver.SwitchFrame(nil))

	here, err := driver.CurrentWindowHandle()
	require.NoError(t, err)
	require.NoError(t, find("#open").Click())
	require.NoError(t, driver.WaitWithTimeout(func(d selenium.WebDriver) (bool, error) {
		all, err := d.WindowHandles()
		return len(all) == 2, err
	}, 10*time.Second))
	all, err := driver.WindowHandles()
	require.NoError(t, err)
	other := all[0]
	if other == here {
		other = all[1]
	}
	require.NoError(t, driver.SwitchWindow(other))
	require.NoError(t, driver.Close())
	require.NoError(t, driver.SwitchWindow(here))

	require.NoError(t, driver.AddCookie(&selenium.Cookie{Name: "colour", Value: "blue", Expiry: math.MaxInt32}))
	cookies, err := driver.GetCookies()
	require.NoError(t, err)
	require.Len(t, cookies, 1)
	require.Equal(t, "blue", cookies[0].Value)
	require.NoError(t, driver.DeleteAllCookies())
	_, err = driver.FindElement(selenium.ByCSSSelector, "#none")
	require.ErrorContains(t, err, "no such element")
}

// TestNobodyElseOfTheMachineReachesAChromedriver looks at the sockets of chromedriver
// from where everybody else is.
func TestNobodyElseOfTheMachineReachesAChromedriver(t *testing.T) {
	_, address := driven(t, shop(t))
	driver, err := selenium.NewRemote(selenium.Capabilities{"browserName": "chrome"}, address)
	require.NoError(t, scrubbed(err, address))
	mine := chromedrivers(t)
	require.NotEmpty(t, mine)
	listening := 0
	for _, pid := range mine {
		sockets := socketsOf(t, pid)
		require.Empty(t, intersection(sockets, listeningIn(t, "self")), "in the network of everybody")
		listening += len(intersection(sockets, listeningIn(t, pid)))
		command, err := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
		require.NoError(t, err)
		require.NotContains(t, string(command), "/webdriver/", "everybody can read it")
	}
	require.Positive(t, listening, "it listens in a network of its own")
	require.NoError(t, scrubbed(driver.Quit(), address))
	for _, pid := range mine {
		require.NoDirExists(t, filepath.Join("/proc", pid), "nothing is left")
	}
}

// scrubbed is an error without the address, which is a secret.
func scrubbed(err error, address string) error {
	if err == nil {
		return nil
	}
	return errors.New(strings.ReplaceAll(err.Error(), address, "[address]"))
}

// chromedrivers are the processes of that name that this one has started, through the
// helper between them.
func chromedrivers(t *testing.T) (pids []string) {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	require.NoError(t, err)
	for _, name := range names {
		pid := filepath.Base(filepath.Dir(name))
		comm, err := os.ReadFile(name)
		if err == nil && strings.TrimSpace(string(comm)) == "chromedriver" &&
			parentOf(parentOf(pid)) == strconv.Itoa(os.Getpid()) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// parentOf is the process that has started another; empty where that has ended.
func parentOf(pid string) string {
	text, _ := os.ReadFile(filepath.Join("/proc", pid, "status"))
	_, after, _ := strings.Cut(string(text), "\nPPid:\t")
	parent, _, _ := strings.Cut(after, "\n")
	return parent
}

// socketsOf are the inodes of the sockets that a process has.
func socketsOf(t *testing.T, pid string) (inodes []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("/proc", pid, "fd", "*"))
	require.NoError(t, err)
	for _, name := range names {
		if to, err := os.Readlink(name); err == nil && strings.HasPrefix(to, "socket:[") {
			inodes = append(inodes, strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]"))
		}
	}
	return inodes
}

// listeningIn are the inodes of the TCP sockets that listen in the network of a process.
func listeningIn(t *testing.T, pid string) (inodes []string) {
	t.Helper()
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(filepath.Join("/proc", pid, "net", table))
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			const state, inode, listen = 3, 9, "0A" // proc_net_tcp of the kernel's documentation
			if fields := strings.Fields(line); len(fields) > inode && fields[state] == listen {
				inodes = append(inodes, fields[inode])
			}
		}
	}
	return inodes
}

func intersection(a, b []string) (both []string) {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return !slices.Contains(b, s) })
}

// TestSeleniumIsHeldToWhatClientsOfDevToolsAre tries to reach past the runtime, and to
// read a login that is filled in the page.
func TestSeleniumIsHeldToWhatClientsOfDevToolsAre(t *testing.T) {
	const password = "correct horse 7"
	received := make(chan string, 1)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			received <- r.PostFormValue("password")
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<title>in</title><form method=post>
			<label>Password <input id=p name=password type=password></label>
			<button id=b>Log in</button></form>`)
	}))
	t.Cleanup(site.Close)
	client := bctrltest.New(t, bctrltest.WithBrowser()).Client()
	_, err := client.Vault.Set(t.Context(), "crm", bctrl.VaultCredential{
		Password: bctrl.NewSecret(password),
		Origins:  []string{site.URL},
	})
	require.NoError(t, err)
	ws, err := client.Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "w", Mounts: bctrl.Mounts{
		Vault: &bctrl.VaultMount{Allow: []string{"crm"}},
	}})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("b").Selenium(t.Context(), bctrl.Launch{})
	require.NoError(t, err)
	_, err = rt.Page.Goto(t.Context(), site.URL)
	require.NoError(t, err)
	address, err := rt.ConnectURL(t.Context())
	require.NoError(t, err)
	driver, err := selenium.NewRemote(selenium.Capabilities{"browserName": "chrome"}, address)
	require.NoError(t, scrubbed(err, address))
	defer func() { require.NoError(t, scrubbed(driver.Quit(), address)) }()

	_, err = rt.Page.Fill(t.Context(), bctrl.FillArgs{
		Key:      "crm",
		Password: &bctrl.ElementDescription{Role: "textbox", Name: "Password"},
	})
	require.NoError(t, err)
	seen, err := driver.ExecuteScript(
		"return document.querySelector('#p').value + document.documentElement.outerHTML", nil)
	require.NoError(t, scrubbed(err, address))
	source, err := driver.PageSource()
	require.NoError(t, scrubbed(err, address))
	require.False(t, strings.Contains(seen.(string)+source, password), "the page has a placeholder")
	field, err := driver.FindElement(selenium.ByCSSSelector, "#b")
	require.NoError(t, err)
	require.NoError(t, scrubbed(field.Click(), address))
	require.True(t, password == <-received, "the site has the password")

	for _, address := range []string{"file:///etc/passwd", "chrome://version"} {
		require.ErrorContains(t, driver.Get(address), "is refused")
	}
	upload, err := driver.ExecuteScript(
		"let i = document.body.appendChild(document.createElement('input')); i.type = 'file'; return i", nil)
	require.NoError(t, scrubbed(err, address))
	require.NotNil(t, upload)
	input, err := driver.FindElement(selenium.ByCSSSelector, "input[type=file]")
	require.NoError(t, err)
	require.ErrorContains(t, input.SendKeys("/etc/passwd"), "refused")
	recorded := 0
	for ev, err := range client.Audit.Events(t.Context(), bctrl.AuditFilter{Action: string(bctrl.GetStorage)}) {
		require.NoError(t, err)
		require.Equal(t, []string{"runtimes.machine_path", rt.ID}, []string{ev.Outcome, ev.RuntimeID})
		recorded++
	}
	require.Equal(t, 1, recorded, "the path of a machine is in the log")
}
