package bridge

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
)

// stored are the paths of the files of a runtime's namespace.
func stored(t *testing.T, rt *bctrl.Runtime) (paths []string) {
	t.Helper()
	for item, err := range rt.Storage.Browse(t.Context(), bctrl.BrowseOptions{}) {
		require.NoError(t, err)
		paths = append(paths, item.Path)
	}
	return paths
}

// A page gets the files of the client's machine under their names, and nothing of them is
// left once the browser has taken them over.
func TestFilesOfTheMachineAreGivenThroughStorage(t *testing.T) {
	rt := runtimeOf(t, bctrl.Mounts{})
	x := bridgeTo(t, rt, Config{})
	folder := t.TempDir()
	local := filepath.Join(folder, "q1 é.csv")
	require.NoError(t, os.WriteFile(local, []byte("a,b\n"), 0o600))
	files, err := json.Marshal([]string{"/storage/kept.txt", local})
	require.NoError(t, err)
	set := fmt.Sprintf(`{"id":7,"sessionId":"S","method":"DOM.setFileInputFiles","params":{"backendNodeId":3,"files":%s}}`,
		files)

	client, browser := x.connect()
	client.say(set)
	got := browser.hearCommand()
	require.Equal(t, int64(7), got.ID)
	require.Equal(t, 3, got.Params.BackendNodeID)
	require.Equal(t, "/storage/kept.txt", got.Params.Files[0])
	key, ok := strings.CutPrefix(got.Params.Files[1], bctrl.ClientPath(""))
	require.True(t, ok)
	require.Equal(t, "q1 é.csv", filepath.Base(key))
	content, err := rt.Storage.Get(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, "a,b\n", string(content))
	browser.say(`{"id":7,"result":{}}`) // of another session
	require.Equal(t, `{"id":7,"result":{}}`, client.hear())
	require.Len(t, stored(t, rt), 1)
	browser.say(`{"id":7,"sessionId":"S","result":{}}`)
	require.Equal(t, `{"id":7,"sessionId":"S","result":{}}`, client.hear())
	require.Eventually(t, func() bool { return len(stored(t, rt)) == 0 }, time.Minute, time.Millisecond)

	client.say(set)
	browser.hear()
	require.NoError(t, client.conn.CloseNow()) // before there is an answer
	require.Eventually(t, func() bool { return len(stored(t, rt)) == 0 }, time.Minute, time.Millisecond)
}

// What cannot be given is refused with a code and the place in the list, and not with the
// path; nothing is left of the others, and nothing waits.
func TestFilesThatCannotBeGivenAreRefused(t *testing.T) {
	rt := runtimeOf(t, bctrl.Mounts{})
	x := bridgeTo(t, rt, Config{})
	none := bridgeTo(t, runtimeOf(t, bctrl.Mounts{Storage: &bctrl.StorageMount{Access: bctrl.StorageNone}}), Config{})
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	require.NoError(t, os.WriteFile(at("good"), nil, 0o600))
	require.NoError(t, os.WriteFile(at("back\\slash"), nil, 0o600))
	require.NoError(t, syscall.Mkfifo(at("pipe"), 0o600))
	for name, size := range map[string]int64{"large": maxBytes - 1, "larger": 2} {
		require.NoError(t, os.WriteFile(at(name), nil, 0o600))
		require.NoError(t, os.Truncate(at(name), size)) // it takes no room
	}
	for _, tc := range []struct {
		files []string
		at    *bridged
		code  string
	}{
		{[]string{at("good"), at("missing")}, x, "bridge.file_unreadable: files[1]"},
		{[]string{folder}, x, "bridge.not_a_file: files[0]"},
		{[]string{at("pipe")}, x, "bridge.not_a_file: files[0]"},
		{[]string{at("large"), at("larger")}, x, "bridge.files_too_large"},
		{[]string{at("good"), at("back\\slash")}, x, "files[1]"},
		{[]string{at("good")}, none, "storage.outside_mount: files[0]"},
	} {
		files, err := json.Marshal(tc.files)
		require.NoError(t, err)
		client, _ := tc.at.connect()
		client.say(fmt.Sprintf(`{"id":1,"sessionId":"S","method":"DOM.setFileInputFiles","params":{"files":%s}}`, files))
		var answer struct {
			ID        int64
			SessionID string
			Error     struct{ Message string }
		}
		require.NoError(t, json.Unmarshal([]byte(client.hear()), &answer))
		require.Equal(t, int64(1), answer.ID)
		require.Equal(t, "S", answer.SessionID)
		require.Contains(t, answer.Error.Message, tc.code)
		require.NotContains(t, answer.Error.Message, folder)
		require.NoError(t, client.conn.CloseNow())
	}
	require.Eventually(t, func() bool { return len(stored(t, rt)) == 0 }, time.Minute, time.Millisecond)
}

// event is what a client is told of a download.
type event struct {
	Method, SessionID string
	Params            struct{ GUID, State, FilePath string }
}

func (p *peer) hearEvent() (e event) {
	p.t.Helper()
	require.NoError(p.t, json.Unmarshal([]byte(p.hear()), &e))
	return e
}

// begin and over are what the browser tells of a download.
func begin(domain, guid, frame, name string) string {
	return fmt.Sprintf(`{"method":"%s.downloadWillBegin","params":{"guid":%q,"frameId":%q,"suggestedFilename":%q}}`,
		domain, guid, frame, name)
}

func over(domain, guid, state, path string) string {
	return fmt.Sprintf(`{"method":"%s.downloadProgress","params":{"guid":%q,"state":%q,"filePath":%q}}`,
		domain, guid, state, path)
}

// A download is in the folder that the client has named before it is told that it is
// complete, and one that cannot be brought there is told as cancelled.
func TestDownloadsAreBroughtToTheFolderOfTheClient(t *testing.T) {
	rt := runtimeOf(t, bctrl.Mounts{})
	_, err := rt.Storage.Upload(t.Context(), "downloads/report.csv", strings.NewReader("a,b\n"))
	require.NoError(t, err)
	const kept = "/storage/downloads/report.csv"
	x := bridgeTo(t, rt, Config{})
	folder := filepath.Join(t.TempDir(), "made")
	set := func(p *peer, browser *peer, method, behavior, context string, events bool) command {
		t.Helper()
		params, err := json.Marshal(map[string]any{
			"behavior": behavior, "downloadPath": filepath.Join(folder, context), "browserContextId": context,
			"eventsEnabled": events,
		})
		require.NoError(t, err)
		p.say(fmt.Sprintf(`{"id":1,"method":%q,"params":%s}`, method, params))
		return browser.hearCommand()
	}
	read := func(path string) string {
		t.Helper()
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(content)
	}

	t.Run("by the name that the page suggests, and never over another file", func(t *testing.T) {
		client, browser := x.connect()
		set(client, browser, setDownloads, "allow", "", true)
		for i, want := range []string{"report.csv", "report (1).csv", "report (2).csv"} {
			guid := fmt.Sprint("g", i)
			browser.say(begin("Browser", guid, "F", "report.csv"))
			require.Equal(t, "Browser.downloadWillBegin", client.hearEvent().Method)
			browser.say(over("Browser", guid, "inProgress", ""))
			require.Equal(t, "inProgress", client.hearEvent().Params.State)
			browser.say(over("Browser", guid, "completed", kept))
			e := client.hearEvent()
			require.Equal(t, "completed", e.Params.State)
			require.Equal(t, filepath.Join(folder, want), e.Params.FilePath)
			require.Equal(t, "a,b\n", read(e.Params.FilePath))
		}
	})
	t.Run("by its guid, for a client that hears the events of pages alone", func(t *testing.T) {
		client, browser := x.connect()
		require.True(t, set(client, browser, setDownloads, "allowAndName", "", false).Params.EventsEnabled)
		for _, domain := range []string{"Browser", "Page"} {
			browser.say(begin(domain, "g-1", "F", "report.csv"))
		}
		require.Equal(t, "Page.downloadWillBegin", client.hearEvent().Method)
		browser.say(over("Page", "g-1", "completed", ""))
		browser.say(over("Browser", "g-1", "completed", kept))
		e := client.hearEvent()
		require.Equal(t, "Page.downloadProgress", e.Method)
		require.Equal(t, "completed", e.Params.State)
		require.Equal(t, "a,b\n", read(filepath.Join(folder, "g-1")))
		browser.say(`{"method":"last"}`)
		require.Equal(t, "last", client.hearEvent().Method)
	})
	t.Run("for one that sets it for a page", func(t *testing.T) {
		client, browser := x.connect()
		asked := set(client, browser, setDownloadsOfAPage, "allow", "", false)
		require.Equal(t, setDownloads, asked.Method)
		require.True(t, asked.Params.EventsEnabled)
		require.Equal(t, setDownloadsOfAPage, browser.hearCommand().Method)
		browser.say(fmt.Sprintf(`{"id":%d,"result":{}}`, asked.ID))
		browser.say(`{"id":1,"result":{}}`)
		require.Equal(t, `{"id":1,"result":{}}`, client.hear())
	})
	t.Run("to the folder of the browser context", func(t *testing.T) {
		client, browser := x.connect()
		set(client, browser, setDownloads, "allow", "one", true)
		set(client, browser, setDownloads, "allow", "two", true)
		for i, context := range []string{"one", "two"} {
			browser.say(fmt.Sprintf(`{"method":"Target.attachedToTarget","params":{"sessionId":"S%d",`+
				`"targetInfo":{"targetId":"F%d","browserContextId":%q}}}`, i, i, context))
			client.hear()
		}
		for i, context := range []string{"one", "two"} {
			guid := fmt.Sprint("c", i)
			browser.say(begin("Browser", guid, fmt.Sprint("F", i), "report.csv"))
			client.hear()
			browser.say(over("Browser", guid, "completed", kept))
			require.Equal(t, filepath.Join(folder, context, "report.csv"), client.hearEvent().Params.FilePath)
		}
	})
	t.Run("as cancelled, where there is none", func(t *testing.T) {
		client, browser := x.connect()
		set(client, browser, setDownloads, "allow", "", true)
		for guid, path := range map[string]string{"n1": "/storage/downloads/no", "n2": "/etc/passwd", "n3": "/storage/../x"} {
			browser.say(begin("Browser", guid, "F", "report.csv"))
			client.hear()
			browser.say(over("Browser", guid, "completed", path))
			e := client.hearEvent()
			require.Equal(t, "canceled", e.Params.State, path)
			require.Empty(t, e.Params.FilePath)
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		require.NotEmpty(t, x.reports, "whoever runs the bridge is told why")
		left, err := filepath.Glob(filepath.Join(folder, "*.crdownload"))
		require.NoError(t, err)
		require.Empty(t, left)
	})
}

// No name of a page leads out of the folder or hides a file in it.
func TestNoNameLeadsOutOfTheFolder(t *testing.T) {
	for suggested, want := range map[string]string{
		"":                                "download",
		"..":                              "download",
		"../../etc/passwd":                "__.._etc_passwd",
		`C:\x.txt`:                        "C__x.txt",
		".bashrc":                         "_bashrc",
		"a\x00b\u202egpj.exe":             "a_b_gpj.exe",
		"report.csv":                      "report.csv",
		"q1 é.csv. ":                      "q1 é.csv",
		strings.Repeat("é", 300) + ".csv": strings.Repeat("é", (maxName-4)/2) + ".csv",
	} {
		require.Equal(t, want, safeName(suggested), suggested)
	}
	folder := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		suggested := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.RuneFrom([]rune(`./\~:a`)), 0, 9, -1),
			rapid.StringN(200, 400, -1)).Draw(t, "suggested")
		path, err := save(folder, suggested, strings.NewReader("x"))
		require.NoError(t, err)
		require.Equal(t, folder, filepath.Dir(path))
		require.NotEqual(t, ".", filepath.Base(path)[:1])
		require.NoError(t, os.Remove(path))
	})
	_, err := saveAs(folder, "../x", strings.NewReader("x"))
	require.Error(t, err)
	// One that breaks off leaves nothing.
	_, err = save(folder, "x", io.MultiReader(strings.NewReader("x"), failing{}))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	// Nor does a link in the folder lead out of it.
	outside := filepath.Join(t.TempDir(), "outside")
	require.NoError(t, os.Symlink(outside, filepath.Join(folder, "linked")))
	path, err := save(folder, "linked", strings.NewReader("x"))
	require.NoError(t, err)
	require.Equal(t, "linked (1)", filepath.Base(path))
	require.NoFileExists(t, outside)
	left, err := filepath.Glob(filepath.Join(folder, "*"))
	require.NoError(t, err)
	require.Len(t, left, 2)
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
