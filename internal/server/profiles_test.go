package server

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/lockbox"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// profileUID is the folder's name of a profile.
func (h *harness) profileUID(id string) string {
	h.Helper()
	orgs, err := h.db.Read().Organizations(h.Context())
	require.NoError(h, err)
	p, err := h.db.Read().Profile(h.Context(), orgs[0].ID, id)
	require.NoError(h, err)
	return p.UID
}

func TestAProfileIsMadeDescribedAndDeleted(t *testing.T) {
	h := newHarness(t)
	path := []string{"browser-profiles", "sf-bot"}
	var p bctrl.BrowserProfile
	h.ok("POST", path[:1], object{"id": "sf-bot", "label": "Salesforce"}, &p)
	require.Equal(t, bctrl.BrowserProfile{
		ID:        "sf-bot",
		Label:     "Salesforce",
		CreatedAt: p.CreatedAt,
		UpdatedAt: p.CreatedAt,
	}, p)
	refused(t, h.do("POST", path[:1], nil, object{"id": "sf-bot"}), http.StatusConflict, "profiles.exists",
		"the id is taken")

	dir := filepath.Join(h.dir, "profiles", h.profileUID("sf-bot"))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "1"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "1", "Cookies"), []byte("12345"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "lock"), []byte("12"), 0o600))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "link")))
	h.ok("GET", path, nil, &p)
	require.EqualValues(t, 7, p.SizeBytes, "links are not followed")
	h.ok("PATCH", path, object{"label": "CRM"}, &p)
	require.Equal(t, "CRM", p.Label)
	h.ok("PATCH", path, object{}, &p)
	require.Equal(t, "CRM", p.Label, "what an update leaves out stays")
	require.EqualValues(t, 7, p.SizeBytes)

	h.ok("DELETE", path, nil, nil)
	require.NoDirExists(t, dir)
	refused(t, h.do("GET", path, nil, nil), http.StatusNotFound, "profiles.not_found", "it is gone")
	refused(t, h.do("PATCH", path, nil, object{}), http.StatusNotFound, "profiles.not_found", "it is gone")
	refused(t, h.do("DELETE", path, nil, nil), http.StatusNotFound, "profiles.not_found", "it is gone")
	h.ok("POST", path[:1], object{"id": "sf-bot"}, &p)
	require.Zero(t, p.SizeBytes)
	require.NotEqual(t, filepath.Base(dir), h.profileUID("sf-bot"), "a new one has nothing of the old one's")

	for _, id := range []string{"", ".", "..", "-a", "a b", "a/b", "é"} {
		refused(t, h.do("POST", path[:1], nil, object{"id": id}), http.StatusBadRequest, "profiles.invalid_id", id)
	}
	long := make([]byte, 300)
	refused(t, h.do("PATCH", path, nil, object{"label": string(long)}), http.StatusBadRequest, "request.too_long",
		"the label")
}

// boxed is a text as the data of a profile are kept.
func boxed(t *testing.T, lock lockbox.Lock, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	box, err := lock.Close(&b, lockbox.ProfileData)
	require.NoError(t, err)
	_, err = io.WriteString(box, text)
	require.NoError(t, err)
	require.NoError(t, box.Close())
	return b.Bytes()
}

func TestACloneHasWhatWasKeptAndLivesByItself(t *testing.T) {
	h := newHarness(t)
	path := []string{"browser-profiles", "sf-bot"}
	h.ok("POST", path[:1], object{"id": "sf-bot"}, nil)
	ws := h.made("w", object{})
	rt := h.launchWith(ws, "crm", "sf-bot")
	uid := h.profileUID("sf-bot")
	saved := filepath.Join(h.dir, "profiles", uid)
	source, err := h.server.profiles.Open(t.Context(), h.org(), uid)
	require.NoError(t, err)
	for _, number := range []string{"9", "10"} {
		require.NoError(t, os.WriteFile(filepath.Join(saved, number), boxed(t, source.Key.Lock(), "data "+number), 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(saved, "11"), 0o700)) // of before data were sealed
	require.True(t, h.browsers.GiveCookies(rt.ID, cookie("sid")))

	var p bctrl.BrowserProfile
	h.ok("POST", append(path, "clone"), object{"id": "copy", "label": "a copy"}, &p)
	require.Equal(t, "copy", p.ID)
	require.Empty(t, p.RuntimeID, "nobody uses it, as somebody does the other")
	copied := filepath.Join(h.dir, "profiles", h.profileUID("copy"))
	data, err := os.Open(filepath.Join(copied, "1"))
	require.NoError(t, err)
	defer data.Close()
	under, err := source.Key.Open(data, lockbox.ProfileData)
	require.NoError(t, err) // nothing was opened yet
	_, err = io.ReadAll(under)
	require.ErrorIs(t, err, lockbox.ErrDamaged, "each has a key of its own, so that files of the two are not exchanged")
	clone, err := h.server.profiles.Open(t.Context(), h.org(), h.profileUID("copy"))
	require.NoError(t, err)
	_, err = data.Seek(0, io.SeekStart)
	require.NoError(t, err)
	content, err := clone.Key.Open(data, lockbox.ProfileData)
	require.NoError(t, err)
	kept, err := io.ReadAll(content)
	require.NoError(t, err)
	require.Equal(t, "data 10", string(kept), "the newest, which is the highest number")
	info, err := os.Stat(copied)
	require.NoError(t, err)
	require.EqualValues(t, 0o700, info.Mode().Perm(), "closed to others")
	other := h.launchWith(ws, "copied", "copy")
	require.Equal(t, []string{"sid"}, h.cookiesOf(other.ID), "what the browser had a moment ago")

	for _, tc := range []struct {
		why, from, to string
		status        int
		code          string
	}{
		{"the id is taken", "sf-bot", "copy", http.StatusConflict, "profiles.exists"},
		{"there is none", "nobody", "another", http.StatusNotFound, "profiles.not_found"},
		{"no id", "sf-bot", "a b", http.StatusBadRequest, "profiles.invalid_id"},
	} {
		refused(t, h.do("POST", []string{"browser-profiles", tc.from, "clone"}, nil, object{"id": tc.to}), tc.status, tc.code,
			tc.why)
	}
	folders, err := os.ReadDir(filepath.Join(h.dir, "profiles"))
	require.NoError(t, err)
	require.Len(t, folders, 2, "a refusal leaves no folder")
	h.ok("POST", []string{"workspaces", ws.ID, "runtimes", "copied", "stop"}, nil, nil)
	h.ok("DELETE", []string{"browser-profiles", "copy"}, nil, nil)
	require.DirExists(t, saved)
}

func TestAProfileInUseIsNotDeleted(t *testing.T) {
	h := newHarness(t)
	ws := h.made("w", object{})
	path := []string{"browser-profiles", "sf-bot"}
	h.ok("POST", path[:1], object{"id": "sf-bot"}, nil)
	var rt bctrl.RuntimeInfo
	runtimes := []string{"workspaces", ws.ID, "runtimes"}
	body := object{"alias": "crm", "kind": "browser", "driver": "stagehand", "launch": object{"mode": "profile",
		"profileId": "sf-bot"}}
	h.ok("POST", runtimes, body, &rt)
	var p bctrl.BrowserProfile
	h.ok("GET", path, nil, &p)
	require.Equal(t, rt.ID, p.RuntimeID)
	body["alias"] = "other"
	for why, got := range map[string]answer{
		"a live runtime has it": h.do("DELETE", path, nil, nil),
		"one runtime at a time": h.do("POST", runtimes, nil, body),
	} {
		refused(t, got, http.StatusConflict, "profiles.in_use", why)
		require.Contains(t, string(got.Body), "crm ("+rt.ID+")", "it names the runtime: %s", why)
	}
	h.ok("POST", append(runtimes, "crm", "stop"), nil, nil)
	h.ok("DELETE", path, nil, nil)
}

func TestWhatACrashLeftOfADeletedProfileIsRemoved(t *testing.T) {
	h := newHarness(t)
	h.ok("POST", []string{"browser-profiles"}, object{"id": "kept"}, nil)
	profiles := filepath.Join(h.dir, "profiles")
	kept, left, other := filepath.Join(profiles, h.profileUID("kept")), filepath.Join(profiles,
		web.NewID()), filepath.Join(profiles, "notes")
	for _, dir := range []string{kept, left, other} {
		require.NoError(t, os.MkdirAll(dir, 0o700))
	}
	plain, sealed := filepath.Join(kept, "3"), filepath.Join(kept, "4")
	require.NoError(t, os.MkdirAll(filepath.Join(plain, "Default"), 0o700)) // of before data were sealed
	require.NoError(t, os.WriteFile(sealed, nil, 0o600))
	next, err := New(t.Context(), Config{
		Store:      h.db,
		Custody:    openCustody(t, h.db, h.rows, h.dir),
		Browsers:   h.browsers,
		ProfileDir: profiles,
	})
	require.NoError(t, err)
	require.NoError(t, next.Close(t.Context()))
	require.NoDirExists(t, left)
	require.NoDirExists(t, plain)
	require.FileExists(t, sealed)
	require.DirExists(t, other, "only what the server made")
}
