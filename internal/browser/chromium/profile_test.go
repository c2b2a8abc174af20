package chromium

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/lockbox"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// keeper keeps a profile for the browsers of a test, as the server does.
type keeper struct {
	t   *testing.T
	dir string
	key lockbox.Key

	mu      sync.Mutex
	cookies []wire.Cookie
}

func newKeeper(t *testing.T, dir string) *keeper {
	t.Helper()
	key, err := lockbox.NewKey()
	require.NoError(t, err)
	return &keeper{t: t, dir: dir, key: key}
}

// profile is what the next browser is launched with.
func (k *keeper) profile() *browser.Profile {
	return &browser.Profile{Dir: k.dir, Key: k.key, Cookies: k.kept(), OnCookies: func(all []wire.Cookie) error {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.cookies = all
		return nil
	}}
}

func (k *keeper) kept() []wire.Cookie {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.cookies)
}

func (k *keeper) has(name string) bool {
	return slices.ContainsFunc(k.kept(), func(c wire.Cookie) bool { return c.Name == name })
}

// waitFor waits until a cookie was told of.
func (k *keeper) waitFor(name string) {
	k.t.Helper()
	require.Eventually(k.t, func() bool { return k.has(name) }, 30*time.Second, 5*time.Millisecond, name)
}

// logins is a site that has a person logged in by a lasting cookie and one of the session,
// each under the number of the visit that set it.
type logins struct {
	url string
	mu  sync.Mutex
	// came are the names of the cookies that the visits to / came with.
	came []string
}

func newLogins(t *testing.T) *logins {
	t.Helper()
	l := &logins{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/login":
			of := r.URL.RawQuery
			http.SetCookie(w, &http.Cookie{Name: "lasting" + of, Value: "v", MaxAge: 3600, HttpOnly: true,
				SameSite: http.SameSiteLaxMode})
			http.SetCookie(w, &http.Cookie{Name: "session" + of, Value: "v", Path: "/"})
		case "/":
			var names []string
			for _, c := range r.Cookies() {
				names = append(names, c.Name)
			}
			slices.Sort(names)
			l.mu.Lock()
			l.came = append(l.came, strings.Join(names, " "))
			l.mu.Unlock()
		}
		_, _ = w.Write([]byte(`<title>hi</title><script>
if (location.search) localStorage.setItem("kept", location.search)
document.title = localStorage.getItem("kept")</script>`))
	}))
	t.Cleanup(srv.Close)
	l.url = srv.URL
	return l
}

// as visits the site, and returns the names of the cookies that the browser came with.
func (l *logins) as(t *testing.T, b browser.Browser) string {
	t.Helper()
	require.NoError(t, chromedp.Do(browsertest.Chromedp(t, b), chromedp.Navigate(l.url)))
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.came[len(l.came)-1]
}

func (l *logins) login(t *testing.T, b browser.Browser, of int) {
	t.Helper()
	require.NoError(t, chromedp.Do(browsertest.Chromedp(t, b), chromedp.Navigate(l.url+"/login?"+strconv.Itoa(of))))
}

// TestALoginSurvives a stop, a crash, and a copy that is made while its browser runs, with
// its cookies of the session too.
func TestALoginSurvives(t *testing.T) {
	temp := openTempDir(t)
	driver, err := New(Options{TempDir: temp})
	require.NoError(t, err)
	// The folder above is closed to the browsers' user, as a data directory is.
	closed := filepath.Join(temp, "closed")
	require.NoError(t, os.Mkdir(closed, 0o700))
	k := newKeeper(t, filepath.Join(closed, "sf-bot"))
	site := newLogins(t)
	start := func(k *keeper) *instance {
		t.Helper()
		return launchOn(t, driver, browser.Spec{ID: "profile", Profile: k.profile(), Egress: browsertest.Loopback()})
	}

	b := start(k)
	require.Empty(t, site.as(t, b))
	site.login(t, b, 1)
	require.NoError(t, b.Stop(t.Context()))

	crashed, err := driver.Launch(t.Context(), browser.Spec{ID: "profile", Profile: k.profile(),
		Egress: browsertest.Loopback()})
	require.NoError(t, err)
	require.Equal(t, "lasting1 session1", site.as(t, crashed), "after a stop")
	site.login(t, crashed, 2)
	k.waitFor("session2")
	require.NoError(t, crashed.(*instance).proc.cmd.Process.Kill())
	<-crashed.Done()
	require.ErrorIs(t, crashed.Err(), browser.ErrKilled)

	b = start(k)
	require.Equal(t, "lasting1 lasting2 session1 session2", site.as(t, b), "after a crash")
	site.login(t, b, 3)
	require.NoError(t, b.SaveProfile(t.Context()))
	copied := newKeeper(t, filepath.Join(closed, "copy"))
	copied.key, copied.cookies = k.key, k.kept()
	require.NoError(t, os.CopyFS(copied.dir, os.DirFS(k.dir)))
	require.NoError(t, b.SaveProfile(t.Context()), "it can be saved again and again")
	other := start(copied)
	require.Equal(t, "lasting1 lasting2 lasting3 session1 session2 session3", site.as(t, other),
		"in a copy, while the first one runs")
	require.NoError(t, other.Stop(t.Context()))
	require.NotEmpty(t, site.as(t, b), "the first one goes on")
	require.NoError(t, b.Stop(t.Context()))

	left, err := filepath.Glob(filepath.Join(temp, "bctrl-*"))
	require.NoError(t, err)
	require.Empty(t, left, "no copy is left")
	copies, err := filepath.Glob(filepath.Join(k.dir, "*"))
	require.NoError(t, err)
	require.ElementsMatch(t, []string{filepath.Join(k.dir, "5"), filepath.Join(k.dir, "lock")}, copies)
	requireSealed(t, k.dir, site.url)

	alone := launchOn(t, driver, browser.Spec{ID: "ephemeral", Egress: browsertest.Loopback()})
	require.Empty(t, site.as(t, alone), "an ephemeral browser knows nothing")
	require.ErrorIs(t, alone.SaveProfile(t.Context()), browser.ErrNoProfile)
}

// requireSealed looks for what a browser's data is full of.
func requireSealed(t *testing.T, dir, url string) {
	t.Helper()
	host := strings.TrimPrefix(url, "http://")
	require.NoError(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, word := range []string{host, "kept", "Default", "Preferences", "SQLite format"} {
			require.False(t, strings.Contains(string(raw), word), "%s holds %s", path, word)
		}
		return err
	}))
}

// TestADamagedProfileIsNotLaunched, and one that is whole has what pages stored.
func TestADamagedProfileIsNotLaunched(t *testing.T) {
	driver, err := New(Options{})
	require.NoError(t, err)
	k := newKeeper(t, filepath.Join(t.TempDir(), "p"))
	site := newLogins(t)
	spec := browser.Spec{ID: "profile", Profile: k.profile(), Egress: browsertest.Loopback()}
	b := launchOn(t, driver, spec)
	require.NoError(t, chromedp.Do(browsertest.Chromedp(t, b), chromedp.Navigate(site.url+"/?mine")))
	require.NoError(t, b.Stop(t.Context()))
	b = launchOn(t, driver, spec)
	ctx := browsertest.Chromedp(t, b)
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(site.url)))
	title, err := chromedp.Run(ctx, chromedp.Title())
	require.NoError(t, err)
	require.Equal(t, "?mine", title, "what a page stored is there after a stop")
	require.NoError(t, b.Stop(t.Context()))

	kept := filepath.Join(k.dir, "2")
	whole, err := os.ReadFile(kept)
	require.NoError(t, err)
	other, err := lockbox.NewKey()
	require.NoError(t, err)
	for why, change := range map[string]func(p *browser.Profile) []byte{
		"cut":         func(*browser.Profile) []byte { return whole[:len(whole)-1] },
		"empty":       func(*browser.Profile) []byte { return nil },
		"changed":     func(*browser.Profile) []byte { c := slices.Clone(whole); c[len(c)/2] ^= 1; return c },
		"another key": func(p *browser.Profile) []byte { p.Key = other; return whole },
	} {
		p := k.profile()
		require.NoError(t, os.WriteFile(kept, change(p), 0o600))
		_, err := driver.Launch(t.Context(), browser.Spec{ID: "damaged", Profile: p})
		require.ErrorIs(t, err, browser.ErrProfileDamaged, why)
	}
	require.NoError(t, os.WriteFile(kept, whole, 0o600))
	b = launchOn(t, driver, spec)
	require.NoError(t, b.Stop(t.Context()), "nothing is left in use")
}

// TestWhatAKilledServerLeftIsOlderThanWhatWasSavedSince: at the next start it could not be
// saved, and a runtime used the profile in between.
func TestWhatAKilledServerLeftIsOlderThanWhatWasSavedSince(t *testing.T) {
	user := account{uid: uint32(os.Getuid()), gid: uint32(os.Getgid())}
	k := newKeeper(t, filepath.Join(t.TempDir(), "p"))
	begin := func(content string) (d dirs, p *profile, loaded string) {
		p, err := openProfile(k.dir, k.key.Lock())
		require.NoError(t, err)
		d, err = makeDirs(t.TempDir(), "profile", user)
		require.NoError(t, err)
		require.NoError(t, p.load(d.data, k.key, user))
		require.NoError(t, d.noteProfile(p))
		path := filepath.Join(d.data, "content")
		text, err := os.ReadFile(path)
		if !errors.Is(err, fs.ErrNotExist) {
			require.NoError(t, err)
		}
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return d, p, string(text)
	}
	rescue := func(d dirs) {
		folder, err := os.OpenRoot(d.root)
		require.NoError(t, err)
		require.NoError(t, d.rescue(folder, user))
		require.NoError(t, folder.Close())
		require.NoError(t, d.remove())
	}
	killed, p, _ := begin("of before")
	require.NoError(t, p.saveAndNote(killed, user, nobodyWrites)) // on request
	require.NoError(t, p.close())
	since, p, loaded := begin("of since")
	require.Equal(t, "of before", loaded)
	require.NoError(t, p.save(since.data, user, nobodyWrites))
	require.NoError(t, p.close())
	require.NoError(t, since.remove())
	rescue(killed)

	last, p, loaded := begin("of the last")
	require.Equal(t, "of since", loaded)
	require.NoError(t, p.close())
	rescue(last)
	again, p, loaded := begin("")
	require.Equal(t, "of the last", loaded, "nobody saved anything since")
	require.NoError(t, p.close())
	require.NoError(t, again.remove())
}

// TestWhatCouldNotBeSavedAtAStopIsSavedByTheNextServer, for the browser's folder has its
// only copy.
func TestWhatCouldNotBeSavedAtAStopIsSavedByTheNextServer(t *testing.T) {
	temp := openTempDir(t)
	driver, err := New(Options{TempDir: temp})
	require.NoError(t, err)
	k := newKeeper(t, filepath.Join(t.TempDir(), "p"))
	launched, err := driver.Launch(t.Context(), browser.Spec{ID: "first", Profile: k.profile()})
	require.NoError(t, err)
	b := launched.(*instance)
	mark := filepath.Join(b.dirs.data, "mark")
	require.NoError(t, os.WriteFile(mark, nil, 0o600))
	require.NoError(t, b.user.give(mark))
	require.NoError(t, b.profile.folder.Close()) // as if the disk of the profile were gone
	require.ErrorIs(t, b.Stop(t.Context()), fs.ErrClosed)
	require.FileExists(t, mark)

	again, err := New(Options{TempDir: temp})
	require.NoError(t, err)
	left, err := filepath.Glob(filepath.Join(temp, "bctrl-*"))
	require.NoError(t, err)
	require.Empty(t, left, "it is in the profile, and in clear no longer")
	launched = launchOn(t, again, browser.Spec{ID: "second", Profile: k.profile()})
	require.FileExists(t, filepath.Join(launched.(*instance).dirs.data, "mark"))
	require.NoError(t, launched.Stop(t.Context()))
}

func TestAProfileHasOneBrowserAtATime(t *testing.T) {
	k := newKeeper(t, filepath.Join(t.TempDir(), "p"))
	spec := browser.Spec{ID: "profile", Profile: k.profile()}
	b := launch(t, spec)
	other, err := New(Options{})
	require.NoError(t, err)
	_, err = other.Launch(t.Context(), spec)
	require.ErrorIs(t, err, browser.ErrProfileInUse)
	require.NoError(t, b.Stop(t.Context()))
	again, err := other.Launch(t.Context(), spec)
	require.NoError(t, err)
	require.NoError(t, again.Stop(t.Context()))
}

// TestSavingMeetsTheEndOfItsBrowser saves while the browser is stopped or killed. Whoever
// comes first, what is kept is whole, nothing is left, and nobody waits.
func TestSavingMeetsTheEndOfItsBrowser(t *testing.T) {
	temp := openTempDir(t)
	driver, err := New(Options{TempDir: temp})
	require.NoError(t, err)
	k := newKeeper(t, filepath.Join(t.TempDir(), "p"))
	for _, end := range []func(b *instance) error{
		func(b *instance) error { return b.Stop(context.Background()) },
		func(b *instance) error { return b.proc.cmd.Process.Kill() },
	} {
		launched, err := driver.Launch(t.Context(), browser.Spec{ID: "both", Profile: k.profile()})
		require.NoError(t, err)
		b := launched.(*instance)
		var saving sync.WaitGroup
		begun := make(chan struct{})
		saving.Go(func() {
			for once := sync.OnceFunc(func() { close(begun) }); b.SaveProfile(context.Background()) == nil; {
				once()
			}
		})
		<-begun
		require.NoError(t, end(b))
		<-b.Done()
		saving.Wait()
		left, err := filepath.Glob(filepath.Join(temp, "bctrl-*"))
		require.NoError(t, err)
		require.Empty(t, left)
		kept, err := filepath.Glob(filepath.Join(k.dir, "*"))
		require.NoError(t, err)
		require.Len(t, kept, 2, "one copy, and the lock")
	}
	require.NoError(t, launchOn(t, driver, browser.Spec{ID: "after", Profile: k.profile()}).Stop(t.Context()))
}

// BenchmarkProfile measures what a profile of some size costs at launch, and for how long
// saving it takes.
func BenchmarkProfile(b *testing.B) {
	for _, mib := range []int{0, 10, 100} {
		b.Run(fmt.Sprint(mib, "MiB"), func(b *testing.B) {
			driver, err := New(Options{})
			if err != nil {
				b.Fatal(err)
			}
			key, err := lockbox.NewKey()
			if err != nil {
				b.Fatal(err)
			}
			p := &browser.Profile{Dir: filepath.Join(b.TempDir(), "p"), Key: key}
			var launched, saved time.Duration
			for n := 0; b.Loop(); n++ {
				began := time.Now()
				x, err := driver.Launch(b.Context(), browser.Spec{ID: "bench", Profile: p})
				if err != nil {
					b.Fatal(err)
				}
				launched += time.Since(began)
				if n == 0 {
					for i := range mib {
						name := filepath.Join(x.(*instance).dirs.data, fmt.Sprint("filler", i))
						if err := os.WriteFile(name, make([]byte, 1<<20), 0o644); err != nil {
							b.Fatal(err)
						}
						if err := x.(*instance).user.give(name); err != nil {
							b.Fatal(err)
						}
					}
					launched = 0
				}
				began = time.Now()
				if err := x.SaveProfile(b.Context()); err != nil {
					b.Fatal(err)
				}
				saved += time.Since(began)
				if err := x.Stop(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(launched.Milliseconds())/float64(max(b.N-1, 1)), "ms-to-launch/op")
			b.ReportMetric(float64(saved.Milliseconds())/float64(b.N), "ms-to-save/op")
		})
	}
}

// TestCookiesThatWereNotKeptAreSaid, by the stop and by a save, whose callers would else
// rely on them.
func TestCookiesThatWereNotKeptAreSaid(t *testing.T) {
	driver, err := New(Options{})
	require.NoError(t, err)
	p := newKeeper(t, filepath.Join(t.TempDir(), "p")).profile()
	full := errors.New("the disk is full")
	p.OnCookies = func([]wire.Cookie) error { return full }
	b, err := driver.Launch(t.Context(), browser.Spec{ID: "full", Profile: p})
	require.NoError(t, err)
	require.ErrorIs(t, b.SaveProfile(t.Context()), full)
	require.ErrorIs(t, b.Stop(t.Context()), full)
}

func TestAProfileHasBounds(t *testing.T) {
	full := bounds{bytes: maxProfileBytes - 1}
	require.NoError(t, full.add(1))
	require.ErrorIs(t, full.add(1), browser.ErrProfileTooLarge)
	full = bounds{files: maxProfileFiles - 1}
	require.NoError(t, full.add(0))
	require.ErrorIs(t, full.add(0), browser.ErrProfileTooLarge)
}

// TestCookiesAreGivenAsTheyWereTaken gives a browser one cookie of each sort, and compares
// what it tells of.
func TestCookiesAreGivenAsTheyWereTaken(t *testing.T) {
	far := float64(time.Now().Add(24 * time.Hour).Unix())
	cookie := func(name string, change func(*wire.Cookie)) wire.Cookie {
		c := wire.Cookie{Name: name, Value: wire.NewValue("v"), Domain: "app.example.com", Path: "/",
			SourceScheme: "NonSecure", SourcePort: 80}
		change(&c)
		if c.Secure {
			c.SourceScheme, c.SourcePort = "Secure", 443
		}
		return c
	}
	given := []wire.Cookie{
		cookie("of one host", func(*wire.Cookie) {}),
		cookie("of all below", func(c *wire.Cookie) { c.Domain = ".example.com" }),
		cookie("lasting", func(c *wire.Cookie) { c.Expires = far }),
		cookie("hidden", func(c *wire.Cookie) { c.HTTPOnly, c.Secure = true, true }),
		cookie("below a path", func(c *wire.Cookie) { c.Path = "/a/b" }),
		cookie("strict", func(c *wire.Cookie) { c.SameSite = "Strict" }),
		cookie("lax", func(c *wire.Cookie) { c.SameSite = "Lax" }),
		cookie("none", func(c *wire.Cookie) { c.SameSite, c.Secure = "None", true }),
		cookie("__Host-one", func(c *wire.Cookie) { c.Secure = true }),
		cookie("__Secure-one", func(c *wire.Cookie) { c.Secure, c.Domain = true, ".app.example.com" }),
		cookie("partitioned", func(c *wire.Cookie) {
			c.Secure, c.SameSite = true, "None"
			c.PartitionKey = &wire.CookiePartition{TopLevelSite: "https://shop.example", HasCrossSiteAncestor: true}
		}),
		cookie("of an address", func(c *wire.Cookie) { c.Domain = "127.0.0.1" }),
		cookie("of a machine", func(c *wire.Cookie) { c.Domain = "localhost" }),
		cookie("over http from a site of https", func(c *wire.Cookie) { c.SourceScheme, c.SourcePort = "Secure", 443 }),
		cookie("of a port", func(c *wire.Cookie) { c.SourcePort = 8080 }),
		cookie("of anywhere", func(c *wire.Cookie) { c.SourceScheme, c.SourcePort = "Unset", -1 }),
		cookie("valued", func(c *wire.Cookie) { c.Value = wire.NewValue(`"a=b, c" é {"d": [1]}`) }),
		cookie("no value", func(c *wire.Cookie) { c.Value = wire.Value{} }),
		cookie("", func(*wire.Cookie) {}),
	}
	refused := cookie("__Host-of all below", func(c *wire.Cookie) { c.Secure, c.Domain = true, ".example.com" })
	expired := cookie("expired", func(c *wire.Cookie) { c.Expires = 1e9 })
	for _, c := range given {
		c.Check(func(code, field, hint string) { t.Errorf("%s: %s %s %s", c.Name, code, field, hint) })
	}
	k := newKeeper(t, filepath.Join(t.TempDir(), "p"))
	k.cookies = append(slices.Clone(given), refused, expired)
	p := k.profile()
	k.cookies = nil
	b := launch(t, browser.Spec{ID: "cookies", Profile: p})
	require.NoError(t, b.SaveProfile(t.Context()))
	got := map[string]wire.Cookie{}
	for _, c := range k.kept() {
		got[c.Name] = c
	}
	for _, want := range given {
		is := got[want.Name]
		require.True(t, is.Value.Reveal() == want.Value.Reveal(), "%s: its value", want.Name)
		is.Value, want.Value = wire.Value{}, wire.Value{}
		require.InDelta(t, want.Expires, is.Expires, 1, want.Name)
		is.Expires = want.Expires
		require.Equal(t, want, is)
	}
	require.Len(t, got, len(given), "what no browser takes is left out alone")
}
