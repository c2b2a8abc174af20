package server

import (
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/server/files"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
)

// linkTo signs a link and returns its path and query.
func (h *harness) linkTo(namespace, path, ttlMs string) string {
	h.Helper()
	q := url.Values{}
	if ttlMs != "" {
		q.Set("ttlMs", ttlMs)
	}
	got := h.do("GET", append(file(namespace, path), "download-url"), q, nil)
	require.Equal(h, http.StatusOK, got.Status, "%s", got.Body)
	return h.signed(got)
}

func (h *harness) signed(a answer) string {
	h.Helper()
	var signed struct {
		URL       string
		ExpiresIn int64
	}
	require.NoError(h, json.Unmarshal(a.Body, &signed))
	require.Positive(h, signed.ExpiresIn)
	u, err := url.Parse(signed.URL)
	require.NoError(h, err)
	require.Equal(h, "http://example.com", u.Scheme+"://"+u.Host, "where the caller reached the server")
	return u.RequestURI()
}

// visit follows a link without any credential.
func (h *harness) visit(link string, headers ...string) answer {
	h.Helper()
	return h.send("GET", link, nil, headers...)
}

func (h *harness) dead(link, why string) {
	h.Helper()
	got := h.visit(link)
	require.Equal(h, http.StatusNotFound, got.Status, why)
	require.Equal(h, "storage.dead_link", got.code(), why)
}

func TestALinkGivesTheFileToAnybodyAndToNoBrowser(t *testing.T) {
	h := newHarness(t)
	o := h.stored("s", "exports/Übersicht 50%.html", "<script>alert(1)</script>", "Content-Type", "text/html")
	byPath := h.linkTo("s", "exports/Übersicht 50%.html", "")
	byID := h.signed(h.do("GET", []string{"storage", "objects", o.ID, "presign-download"}, nil, nil))
	for _, link := range []string{byPath, byID} {
		got := h.visit(link)
		require.Equal(t, 200, got.Status, "%s", got.Body)
		require.Equal(t, "<script>alert(1)</script>", string(got.Body))
		require.Equal(t, "text/html", got.Header.Get("Content-Type"))
		require.Contains(t, got.Header.Get("Content-Disposition"), "filename*=UTF-8''%C3%9Cbersicht%2050%25.html")
		inert(t, got)
		require.Equal(t, "private, no-store", got.Header.Get("Cache-Control"))
		require.Equal(t, "no-referrer", got.Header.Get("Referrer-Policy"))
		require.Empty(t, got.Header.Get("Bctrl-Object"), "who has a link learns no path and no runtime")
		part := h.visit(link, "Range", "bytes=1-6")
		require.Equal(t, 206, part.Status)
		require.Equal(t, "script", string(part.Body))
		head := h.send("HEAD", link, nil)
		require.Equal(t, 200, head.Status)
		require.Empty(t, head.Body)
		require.Equal(t, 405, h.send("PUT", link, strings.NewReader("x")).Status)
		require.Equal(t, 400, h.visit(link+"?x=1").Status)
	}
}

func TestALinkDiesWithAnyChangeOfItsFile(t *testing.T) {
	h := newHarness(t)
	h.stored("s", "f", "one")
	link := h.linkTo("s", "f", "")
	h.stored("s", "f", "one")
	h.dead(link, "overwritten, with the same bytes even")
	link = h.linkTo("s", "f", "")
	require.Equal(t, 200, h.do("DELETE", file("s", "f"), nil, nil).Status)
	h.dead(link, "deleted")
	h.stored("s", "f", "one")
	h.dead(link, "another file of the name")
	require.Equal(t, 404, h.do("GET", append(file("s", "missing"), "download-url"), nil, nil).Status)
}

func TestALinkDiesWhenASingleBitIsChanged(t *testing.T) {
	h := newHarness(t)
	h.stored("s", "report.csv", "x")
	link := h.linkTo("s", "report.csv", "")
	require.Equal(t, 200, h.visit(link).Status)
	signature, name := path.Base(path.Dir(link)), path.Base(link)
	const prefix = "/v1/downloads/"
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	require.NoError(t, err)
	verify := func(signature, name string) error {
		_, err := h.server.files.OpenLink(t.Context(), signature, name, time.Now())
		return err
	}
	require.NoError(t, verify(signature, name))
	for i := range len(raw) * 8 {
		raw[i/8] ^= 1 << (i % 8)
		require.ErrorIs(t, verify(base64.RawURLEncoding.EncodeToString(raw), name), files.ErrDeadLink, "bit %d", i)
		raw[i/8] ^= 1 << (i % 8)
	}
	for _, text := range []struct{ name, of string }{{"signature", signature}, {"name", name}} {
		for i := range len(text.of) * 8 {
			changed := []byte(text.of)
			changed[i/8] ^= 1 << (i % 8)
			if text.name == "signature" {
				require.ErrorIs(t, verify(string(changed), name), files.ErrDeadLink, "bit %d of the text", i)
			} else {
				require.ErrorIs(t, verify(signature, string(changed)), files.ErrDeadLink, "bit %d of the name", i)
			}
		}
	}
	for why, forged := range map[string]string{
		"a line end that base64 passes over": prefix + signature + "%0A/" + name,
		"padding":                            prefix + signature + "=/" + name,
		"another name":                       prefix + signature + "/report.exe",
		"cut short":                          prefix + signature[:len(signature)-4] + "/" + name,
		"longer":                             prefix + signature + "AAAA/" + name,
		"nothing":                            prefix + "A/" + name,
	} {
		h.dead(forged, why)
	}
}

func TestALinkExpires(t *testing.T) {
	h := newHarness(t)
	o := h.stored("s", "f", "x")
	expires := time.Now().Add(time.Hour)
	self, err := h.server.Authenticate(t.Context(), http.Header{"Authorization": {"Bearer " + h.key}})
	require.NoError(t, err)
	signature, err := h.server.files.SignLink(t.Context(), files.Link{
		Signer:  self,
		Object:  o.ID,
		Name:    "f",
		Expires: expires,
	})
	require.NoError(t, err)
	_, err = h.server.files.OpenLink(t.Context(), signature, "f", expires.Add(-time.Millisecond))
	require.NoError(t, err)
	for _, now := range []time.Time{expires, expires.Add(time.Hour)} {
		_, err = h.server.files.OpenLink(t.Context(), signature, "f", now)
		require.ErrorIs(t, err, files.ErrDeadLink)
	}
	past, err := h.server.files.SignLink(t.Context(), files.Link{
		Signer:  self,
		Object:  o.ID,
		Name:    "f",
		Expires: time.Now().Add(-time.Second),
	})
	require.NoError(t, err)
	h.dead(target([]string{"downloads", past, "f"}, nil), "expired")
	other, err := h.server.files.SignLink(t.Context(), files.Link{
		Signer:  access.Caller{Org: web.NewID(), KeyID: self.KeyID},
		Object:  o.ID,
		Name:    "f",
		Expires: expires,
	})
	require.NoError(t, err)
	h.dead(target([]string{"downloads", other, "f"}, nil), "of another organization")

	require.Equal(t, 200, h.visit(h.linkTo("s", "f", "604800000")).Status)
	for _, ttl := range []string{"604800001", "999", "0", "-1", "x"} {
		require.Equal(t, 400, h.do("GET", append(file("s", "f"), "download-url"), url.Values{"ttlMs": {ttl}}, nil).Status,
			ttl)
	}
}

func TestALinkOutlivesTheServerThatMadeIt(t *testing.T) {
	h := newHarness(t)
	h.stored("s", "f", "x")
	link := h.linkTo("s", "f", "")
	h.lock() // which forgets the key, as a server's end does
	h.unlock()
	require.Equal(t, 200, h.visit(link).Status)

	h.lock()
	h.unlock()
	h.tamper("UPDATE sealed_values SET sealed = zeroblob(60) WHERE name = 'download-links'")
	require.Equal(t, 500, h.visit(link).Status, "a key that was put there by hand signs nothing")
	require.NotContains(t, string(h.visit(link).Body), "dead_link")
}

func TestALinkIsWhereThePublicReachesTheServer(t *testing.T) {
	h := newHarness(t)
	h.stored("s", "f", "x")
	var err error
	h.server.PublicURL, err = url.Parse("https://files.example.org/bctrl")
	require.NoError(t, err)
	got := h.do("GET", append(file("s", "f"), "download-url"), nil, nil)
	require.Contains(t, string(got.Body), `"https://files.example.org/bctrl/v1/downloads/`)
}

func TestWhoMadeALinkIsRecorded(t *testing.T) {
	storetest.OnSQLite(t)
	h := newHarness(t)
	rt := h.launch(h.workspace("sales", sales()), "crm", nil)
	o := h.stored("sales-exports", "f", "x")
	require.Equal(t, 200, h.do("GET", append(file("sales-exports", "f"), "download-url"), nil, nil, as(rt)...).Status)
	db, err := sql.Open("sqlite", filepath.Join(h.dir, "bctrl.db"))
	require.NoError(t, err)
	defer db.Close()
	var caller, object, outcome string
	require.NoError(t, db.QueryRowContext(t.Context(),
		`SELECT body->>'caller', body->>'object', body->>'outcome' FROM audit_events
		WHERE body->>'action' = 'storage.sign' AND body->>'uid' = $1`, o.ID).Scan(&caller, &object, &outcome))
	require.Equal(t, []string{"runtime:" + rt.ID, "sales-exports/f", "ok"}, []string{caller, object, outcome})
}

// TestALinkOfARuntimeIsDecidedWhenItIsUsed lowers and raises what permitted it.
func TestALinkOfARuntimeIsDecidedWhenItIsUsed(t *testing.T) {
	for why, caller := range map[string]func(l *lowering) []string{
		"a token": func(l *lowering) []string { return []string{"Authorization", "Bearer " + l.token} },
		"a key that acts as it": func(l *lowering) []string {
			return append([]string{"Authorization", "Bearer " + l.key}, as(l.rt)...)
		},
		"a narrowed handle of it": func(l *lowering) []string {
			return append([]string{"Authorization", "Bearer " + l.key}, as(l.rt, `{"vault": {"allow": []}}`)...)
		},
		"a token that was weaker":  func(l *lowering) []string { return []string{"Authorization", "Bearer " + l.weaker(t)} },
		"the object's id, a token": func(l *lowering) []string { return []string{"Authorization", "Bearer " + l.token} },
	} {
		t.Run(why, func(t *testing.T) {
			l := newLowering(t, "http://127.0.0.1:9/v1")
			o := l.stored("s", "f", "content")
			segments := append(file("s", "f"), "download-url")
			if strings.HasPrefix(why, "the object") {
				segments = []string{"storage", "objects", o.ID, "presign-download"}
			}
			link := l.signed(l.send("GET", target(segments, nil), nil, caller(l)...))
			of := l.linkTo("s", "f", "")
			require.Equal(t, 200, l.visit(link).Status)
			l.to(l.mounts("other"))
			l.dead(link, "the namespace is not mounted any more")
			require.Equal(t, 404, l.send("HEAD", link, nil).Status)
			require.Equal(t, 404, l.visit(link, "Range", "bytes=0-1").Status)
			require.Equal(t, 200, l.visit(of).Status, "the organization's own needs no mount")
			l.to(object{"storage": object{"access": "none"}})
			l.dead(link, "no storage at all")
			l.to(l.mounts("s"))
			require.Equal(t, 200, l.visit(link).Status, "a decision of each moment")
			l.ok("POST", []string{"workspaces", l.ws.ID, "runtimes", "r", "stop"}, nil, nil)
			l.dead(link, "the runtime has ended")
			l.launchAgain()
			l.dead(link, "another runtime has its alias")
			require.Equal(t, 200, l.visit(of).Status)
		})
	}
}

// weaker is an attenuation of the token.
func (l *lowering) weaker(t *testing.T) string {
	t.Helper()
	weaker, err := bctrl.Attenuate(bctrl.NewSecret(l.token), bctrl.Mounts{Storage: &bctrl.StorageMount{Workspace: "s"}},
		time.Time{})
	require.NoError(t, err)
	return weaker.Expose()
}
