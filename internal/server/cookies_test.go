package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// proof is the value of every cookie here, which nothing may show.
const proof = "proof-of-a-login-7c1e"

func cookie(name string) wire.Cookie {
	return wire.Cookie{Name: name, Value: wire.NewValue(proof), Domain: "app.example.com", Path: "/"}
}

const passphrase = "correct horse battery"

// launchWith launches a runtime with a browser profile.
func (h *harness) launchWith(ws store.Workspace, alias, profile string) (rt bctrl.RuntimeInfo) {
	h.Helper()
	h.ok("POST", []string{"workspaces", ws.ID, "runtimes"}, object{"alias": alias, "kind": "browser",
		"driver": "stagehand", "launch": object{"mode": "profile", "profileId": profile}}, &rt)
	return rt
}

// cookiesOf are the names of the cookies that a runtime's browser has.
func (h *harness) cookiesOf(runtime string) (names []string) {
	h.Helper()
	for _, c := range h.browsers.Cookies(runtime) {
		require.True(h, c.Value.Reveal() == proof, "%s has its value", c.Name)
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return names
}

// requireNoProof looks for the value of a cookie in the log and in the folder of profiles.
func (h *harness) requireNoProof() {
	h.Helper()
	events, err := json.Marshal(h.events())
	require.NoError(h, err)
	require.False(h, strings.Contains(string(events), proof), "the log shows a cookie")
	require.NoError(h, filepath.WalkDir(h.dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		require.False(h, strings.Contains(string(raw), proof) || strings.Contains(string(raw), passphrase),
			"%s holds a cookie or the passphrase", path)
		return err
	}))
}

func TestCookiesAreKeptFromOneRuntimeToTheNext(t *testing.T) {
	h := newHarness(t)
	ws := h.made("w", object{})
	rt := h.launchWith(ws, "crm", "sf-bot")
	require.Empty(t, h.cookiesOf(rt.ID))
	require.True(t, h.browsers.GiveCookies(rt.ID, cookie("a"), cookie("b")))
	h.ok("POST", []string{"workspaces", ws.ID, "runtimes", "crm", "stop"}, nil, nil)

	rt = h.launchWith(ws, "crm", "sf-bot")
	require.Equal(t, []string{"a", "b"}, h.cookiesOf(rt.ID), "after a stop")
	h.server.Custody.Lock()
	require.True(t, h.browsers.GiveCookies(rt.ID, cookie("c")), "a locked server keeps what browsers have")
	require.True(t, h.browsers.Crash(rt.ID))
	require.NoError(t, h.server.Custody.Unlock(t.Context(), bctrl.Secret{}, nil))
	require.Eventually(t, func() bool {
		var p bctrl.BrowserProfile
		h.ok("GET", []string{"browser-profiles", "sf-bot"}, nil, &p)
		return p.RuntimeID == ""
	}, 10*time.Second, time.Millisecond, "its end is on record")
	rt = h.launchWith(ws, "crm", "sf-bot")
	require.Equal(t, []string{"a", "b", "c"}, h.cookiesOf(rt.ID), "after a crash")
	h.requireNoProof()
}

func TestAProfileIsSavedOnRequest(t *testing.T) {
	h := newHarness(t)
	ws := h.made("w", object{})
	rt := h.launchWith(ws, "crm", "sf-bot")
	path := []string{"workspaces", ws.ID, "runtimes", "crm", "save-profile"}
	require.True(t, h.browsers.GiveCookies(rt.ID, cookie("a")))
	var saved bctrl.ProfileSaved
	h.ok("POST", path, nil, &saved)
	require.Equal(t, "sf-bot", saved.ProfileID)
	require.Equal(t, 1, saved.Cookies)
	require.Positive(t, saved.SizeBytes)
	var p bctrl.BrowserProfile
	h.ok("GET", []string{"browser-profiles", "sf-bot"}, nil, &p)
	require.True(t, p.UpdatedAt.Equal(saved.SavedAt))

	h.ok("POST", []string{"workspaces", ws.ID, "runtimes", "crm", "stop"}, nil, nil)
	refused(t, h.do("POST", path, nil, nil), http.StatusConflict, "runtimes.not_active", "it has ended")
	h.launchIn(ws, "plain", "")
	path[3] = "plain"
	refused(t, h.do("POST", path, nil, nil), http.StatusConflict, "runtimes.no_profile", "it keeps nothing")
	path[3] = "nobody"
	refused(t, h.do("POST", path, nil, nil), http.StatusNotFound, "runtimes.not_found", "there is none")
}

func TestAnExportMovesALoginToAnotherServer(t *testing.T) {
	from, to := newHarness(t), newHarness(t)
	ws := from.made("w", object{})
	rt := from.launchWith(ws, "crm", "sf-bot")
	held := cookie("partitioned")
	held.Secure, held.PartitionKey = true, &wire.CookiePartition{TopLevelSite: "https://example.com"}
	require.True(t, from.browsers.GiveCookies(rt.ID, cookie("a"), held))
	export := []string{"browser-profiles", "sf-bot", "cookies", "export"}
	var bundle bctrl.CookieExport
	from.ok("POST", export, object{"passphrase": passphrase}, &bundle)
	require.Equal(t, 2, bundle.Cookies, "also while a runtime uses it")
	require.Equal(t, "sf-bot", bundle.ProfileID)
	require.False(t, strings.Contains(string(bundle.Bundle), proof))

	into := []string{"browser-profiles", "other", "cookies", "import"}
	to.ok("POST", into[:1], object{"id": "other"}, nil)
	to.ok("POST", into, object{"cookies": []wire.Cookie{cookie("a"), cookie("mine")}}, nil)
	var done bctrl.CookiesImported
	to.ok("POST", into, object{"bundle": bundle.Bundle, "passphrase": passphrase}, &done)
	require.Equal(t, bctrl.CookiesImported{Imported: 2, Cookies: 3}, done)
	ws2 := to.made("w", object{})
	rt = to.launchWith(ws2, "crm", "other")
	require.Equal(t, []string{"a", "mine", "partitioned"}, to.cookiesOf(rt.ID))
	require.True(t, slices.ContainsFunc(to.browsers.Cookies(rt.ID), func(c wire.Cookie) bool {
		return c.PartitionKey != nil && *c.PartitionKey == *held.PartitionKey
	}))
	refused(t, to.do("POST", into, nil, object{"cookies": []wire.Cookie{cookie("late")}}), http.StatusConflict,
		"profiles.in_use", "a live runtime has it")
	to.ok("POST", []string{"workspaces", ws2.ID, "runtimes", "crm", "stop"}, nil, nil)
	to.ok("POST", into, object{"bundle": bundle.Bundle, "passphrase": passphrase, "replace": true}, &done)
	require.Equal(t, 2, done.Cookies)
	expired := cookie("old")
	expired.Expires = 1
	to.ok("POST", into, object{"cookies": []wire.Cookie{expired, cookie("a")}}, &done)
	require.Equal(t, bctrl.CookiesImported{Imported: 1, Expired: 1, Cookies: 2}, done)

	from.requireNoProof()
	to.requireNoProof()
	var seen []string
	for _, e := range from.events() {
		if e.Action == "profile.export" {
			seen = append(seen, string(e.Kind)+" "+e.Object+" "+e.Outcome)
		}
	}
	require.Equal(t, []string{"intent sf-bot ", "outcome  ok"}, seen, "on record before it was done")
}

// TestAnImportIsTakenWholeOrNotAtAll shows each refusal, and that none has changed anything.
func TestAnImportIsTakenWholeOrNotAtAll(t *testing.T) {
	h := newHarness(t)
	path := []string{"browser-profiles", "sf-bot", "cookies", "import"}
	h.ok("POST", path[:1], object{"id": "sf-bot"}, nil)
	h.ok("POST", path, object{"cookies": []wire.Cookie{cookie("kept")}}, nil)
	var export bctrl.CookieExport
	h.ok("POST", []string{"browser-profiles", "sf-bot", "cookies", "export"}, object{"passphrase": passphrase}, &export)
	whole := export.Bundle
	changed := slices.Clone(whole)
	changed[len(changed)-20] ^= 1
	with := func(change func(c *wire.Cookie)) object {
		c := cookie("bad")
		change(&c)
		return object{"cookies": []wire.Cookie{cookie("good"), c}}
	}
	sealed := func(b []byte, p string) object { return object{"bundle": b, "passphrase": p} }
	forged, err := seal.NewBundle(bctrl.NewSecret(passphrase), "profile cookies",
		[]byte(`{"cookies": [{"name": "a=b;c", "value": "x\r\ny", "domain": "NOT A HOST", "expires": 1e300}]}`))
	require.NoError(t, err)
	forged = append([]byte("bctrl cookies 1\n"), forged...)
	for _, tc := range []struct {
		why   string
		body  object
		code  string
		field string
	}{
		{"nothing", object{}, "profiles.invalid_import", "cookies"},
		{"both", object{"bundle": whole, "passphrase": passphrase, "cookies": []wire.Cookie{cookie("c")}},
			"profiles.invalid_import", "bundle"},
		{"a passphrase of nothing", object{"passphrase": passphrase, "cookies": []wire.Cookie{cookie("c")}},
			"profiles.invalid_import", "passphrase"},
		{"too many", object{"cookies": slices.Repeat([]wire.Cookie{cookie("c")}, wire.MaxCookies+1)},
			"profiles.too_many_cookies", "cookies"},
		{"another's passphrase", sealed(whole, "another passphrase"), "profiles.wrong_passphrase", "passphrase"},
		{"no passphrase", object{"bundle": whole}, "profiles.wrong_passphrase", "passphrase"},
		{"altered", sealed(changed, passphrase), "profiles.bundle_damaged", "bundle"},
		{"cut", sealed(whole[:len(whole)-1], passphrase), "profiles.bundle_damaged", "bundle"},
		{"cut short", sealed(whole[:20], passphrase), "profiles.bundle_damaged", "bundle"},
		{"no bundle", sealed([]byte("PK"), passphrase), "profiles.not_a_bundle", "bundle"},
		{"made by whoever knows the passphrase", sealed(forged, passphrase), "profiles.invalid_cookie_name",
			"bundle.cookies[0].name"},
		{"an address", with(func(c *wire.Cookie) { c.Domain = "https://example.com" }), "profiles.invalid_cookie_domain",
			"cookies[1].domain"},
		{"no domain", with(func(c *wire.Cookie) { c.Domain = "" }), "profiles.invalid_cookie_domain", "cookies[1].domain"},
		{"a whole top-level domain", with(func(c *wire.Cookie) { c.Domain = ".com" }), "profiles.invalid_cookie_domain",
			"cookies[1].domain"},
		{"a name that ends", with(func(c *wire.Cookie) { c.Name = "a=b" }), "profiles.invalid_cookie_name",
			"cookies[1].name"},
		{"a header in a value", with(func(c *wire.Cookie) { c.Value = wire.NewValue("a\r\nSet-Cookie: b=c") }),
			"profiles.invalid_cookie_value", "cookies[1].value"},
		{"a path that is none", with(func(c *wire.Cookie) { c.Path = "x" }), "profiles.invalid_cookie_path",
			"cookies[1].path"},
		{"too large", with(func(c *wire.Cookie) { c.Value = wire.NewValue(strings.Repeat("v", 4096)) }),
			"profiles.cookie_too_large", "cookies[1].value"},
		{"milliseconds", with(func(c *wire.Cookie) { c.Expires = 1893456000000 }), "profiles.invalid_cookie_expires",
			"cookies[1].expires"},
		{"sent to others in clear", with(func(c *wire.Cookie) { c.SameSite = "None" }),
			"profiles.invalid_cookie_same_site", "cookies[1].sameSite"},
		{"a prefix that promises more", with(func(c *wire.Cookie) { c.Name = "__Host-a" }),
			"profiles.invalid_cookie_prefix", "cookies[1].secure"},
		{"no site", with(func(c *wire.Cookie) {
			c.Secure, c.PartitionKey = true, &wire.CookiePartition{TopLevelSite: "example"}
		}), "profiles.invalid_cookie_partition", "cookies[1].partitionKey.topLevelSite"},
		{"no port", with(func(c *wire.Cookie) { c.SourcePort = 70000 }), "profiles.invalid_cookie_source",
			"cookies[1].sourcePort"},
	} {
		got := h.do("POST", path, nil, tc.body)
		refused(t, got, http.StatusBadRequest, tc.code, tc.why)
		var said wire.Error[bctrl.Problem]
		require.NoError(t, json.Unmarshal(got.Body, &said))
		require.True(t, slices.ContainsFunc(said.Details.Problems, func(p bctrl.Problem) bool {
			return p.Code == tc.code && p.Field == tc.field
		}), "%s: it names the field: %s", tc.why, got.Body)
		require.False(t, strings.Contains(string(got.Body), proof), tc.why)
	}
	huge := strings.Repeat("A", 13<<20)
	refused(t, h.do("POST", path, nil, object{"bundle": huge}), http.StatusRequestEntityTooLarge, "request.too_large",
		"more than any bundle has")
	path[1] = "nobody"
	refused(t, h.do("POST", path, nil, object{"cookies": []wire.Cookie{cookie("c")}}), http.StatusNotFound,
		"profiles.not_found", "there is none")
	path[3] = "export"
	refused(t, h.do("POST", path, nil, object{"passphrase": passphrase}), http.StatusNotFound, "profiles.not_found",
		"there is none")
	path[1] = "unused"
	h.ok("POST", path[:1], object{"id": "unused"}, nil)
	var none bctrl.CookieExport
	h.ok("POST", path, object{"passphrase": passphrase}, &none)
	require.Zero(t, none.Cookies)
	require.NoDirExists(t, filepath.Join(h.dir, "profiles", h.profileUID("unused")), "a deletion beside it stays one")
	path[1] = "sf-bot"
	refused(t, h.do("POST", path, nil, object{"passphrase": "short"}), http.StatusBadRequest,
		"profiles.invalid_passphrase", "a passphrase that is guessed")
	require.Equal(t, []string{"kept"}, h.cookiesOf(h.launchWith(h.made("w", object{}), "crm", "sf-bot").ID))
	h.requireNoProof()
}

func TestAProfileThatWasChangedOutsideIsNotUsed(t *testing.T) {
	h := newHarness(t)
	ws := h.made("w", object{})
	path := []string{"browser-profiles", "sf-bot"}
	launch := object{"alias": "crm", "kind": "browser", "driver": "stagehand",
		"launch": object{"mode": "profile", "profileId": "sf-bot"}}
	h.ok("POST", path[:1], object{"id": "sf-bot"}, nil)
	one := object{"cookies": []wire.Cookie{cookie("a")}, "replace": true}
	h.ok("POST", append(path, "cookies", "import"), one, nil)
	h.ok("POST", path[:1], object{"id": "other"}, nil)
	h.ok("POST", []string{"browser-profiles", "other", "cookies", "import"}, one, nil)
	folder := filepath.Join(h.dir, "profiles", h.profileUID("sf-bot"))
	theirs := filepath.Join(h.dir, "profiles", h.profileUID("other"))
	for _, tc := range []struct{ why, file string }{
		{"cookies of another profile", "cookies"},
		{"a key of another profile", "key"},
	} {
		mine, err := os.ReadFile(filepath.Join(folder, tc.file))
		require.NoError(t, err)
		put, err := os.ReadFile(filepath.Join(theirs, tc.file))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, tc.file), put, 0o600))
		refused(t, h.do("POST", []string{"workspaces", ws.ID, "runtimes"}, nil, launch), http.StatusInternalServerError,
			"profiles.tampered", tc.why)
		refused(t, h.do("POST", append(path, "cookies", "export"), nil, object{"passphrase": passphrase}),
			http.StatusInternalServerError, "profiles.tampered", tc.why)
		refused(t, h.do("POST", append(path, "clone"), nil, object{"id": "c"}), http.StatusInternalServerError,
			"profiles.tampered", tc.why)
		require.NoError(t, os.WriteFile(filepath.Join(folder, tc.file), mine, 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(folder, "cookies"), nil, 0o600))
	h.ok("POST", append(path, "cookies", "import"), one, nil)
	mended := h.launchWith(ws, "crm", "sf-bot")
	require.Equal(t, []string{"a"}, h.cookiesOf(mended.ID), "an import that replaces mends them")

	h.startWith(damagedDriver{h.browsers})
	launch["alias"], launch["launch"] = "again", object{"mode": "profile", "profileId": "other"}
	refused(t, h.do("POST", []string{"workspaces", ws.ID, "runtimes"}, nil, launch), http.StatusInternalServerError,
		"profiles.tampered", "the browser's data were changed")
}

// damagedDriver finds every profile damaged.
type damagedDriver struct{ browser.Driver }

func (damagedDriver) Launch(context.Context, browser.Spec) (browser.Browser, error) {
	return nil, fmt.Errorf("load the profile: %w", browser.ErrProfileDamaged)
}
